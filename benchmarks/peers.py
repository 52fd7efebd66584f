"""Other evaluation tools against the same endpoint as the runner, where they can be installed.

Each comes from its package index into an environment of its own, which the tool's installer keeps; nothing of it is
imported here. What is counted is the processor time of the tool's own processes and the clock, from start to end: the
slope between two runs leaves out how long the tool takes to start.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import MeasurementError

INSTALL_LIMIT_S, RUN_LIMIT_S = 900.0, 900.0
KEY = "none"
INSPECT_TASK = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def sums(n: int = 1):
    asked = [Sample(input=f"What is 6 times 7? Sum {i}.", target="42") for i in range(n)]
    return Task(dataset=asked, solver=generate(), scorer=includes())
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool that asks the same questions and judges the answers.

    Attributes:
        name: With its version.
        start: The command that runs the tool, whatever follows.
        arguments: Those for so many calls, so many at a time, in a folder where files may be written.
        env: What its environment says, given the endpoint's address.
    """

    name: str
    start: tuple[str, ...]
    arguments: Callable[[Path, str, int, int], list[str]]
    env: Callable[[str], dict[str, str]]

    def missing(self) -> str | None:
        """Why it cannot be run here; None if it can. The first time, this installs it."""
        if shutil.which(self.start[0]) is None:
            return f"{self.name} needs {Path(self.start[0]).name}"
        try:
            done = _run([*self.start, "--version"], Path.cwd(), {}, INSTALL_LIMIT_S)
        except subprocess.TimeoutExpired:
            return f"{self.name} was not installed within {INSTALL_LIMIT_S:.0f} s"
        return f"{self.name} could not be installed" if done.returncode else None

    def measure(self, folder: Path, url: str, calls: int, at_a_time: int) -> tuple[float, float]:
        """Seconds of the clock and of the processor for so many calls.

        Raises:
            MeasurementError: It failed or took too long.
        """
        folder.mkdir()
        command = [*self.start, *self.arguments(folder, url, calls, at_a_time)]
        began, before = time.perf_counter(), _children_s()
        try:
            done = _run(command, folder, self.env(url), RUN_LIMIT_S)
        except subprocess.TimeoutExpired as e:
            raise MeasurementError(f"{self.name} did not end within {RUN_LIMIT_S:.0f} s") from e
        if done.returncode:
            raise MeasurementError(f"{self.name} failed: {done.stderr[-500:] or done.stdout[-500:]}")
        return time.perf_counter() - began, _children_s() - before


def peers() -> Iterator[Peer]:
    """The tools, as of November 2026."""
    uv = str(Path(sys.executable).with_name("uv"))
    isolated = (uv, "run", "--quiet", "--no-project", "--isolated", "--python", sys.executable)
    packages = ("--with", "inspect-ai==0.3.285", "--with", "openai==3.57.0")
    yield Peer(
        "Inspect 0.3.285",
        (*isolated, *packages, "inspect"),
        _inspect,
        lambda url: {"FIXED_BASE_URL": url, "FIXED_API_KEY": KEY},
    )
    yield Peer(
        "promptfoo 0.121.20",
        ("npx", "--yes", "promptfoo@0.121.20"),
        _promptfoo,
        lambda url: {
            "OPENAI_API_KEY": KEY,
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
            # Its log file is written to after it was closed: version 0.121.20 then fails after everything is done.
            "PROMPTFOO_DISABLE_DEBUG_LOG": "1",
            "PROMPTFOO_DISABLE_ERROR_LOG": "1",
        },
    )


def _inspect(folder: Path, _url: str, calls: int, at_a_time: int) -> list[str]:
    (folder / "sums.py").write_text(INSPECT_TASK, encoding="utf-8")
    most = [f"--max-{what}={at_a_time}" for what in ("connections", "samples")]
    return ["eval", "sums.py", "--model=openai-api/fixed/fixed", f"-Tn={calls}", *most, "--display=none"]


def _promptfoo(folder: Path, url: str, calls: int, at_a_time: int) -> list[str]:
    judged = [{"type": "contains", "value": "42"}]
    config = {
        "providers": [{"id": "openai:chat:fixed", "config": {"apiBaseUrl": url}}],
        "prompts": ["What is 6 times 7? Sum {{i}}."],
        "tests": [{"vars": {"i": i}, "assert": judged} for i in range(calls)],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    quiet = ["--no-cache", "--no-progress-bar", "--no-table", "--no-share"]
    return ["eval", "--config=config.json", f"--max-concurrency={at_a_time}", *quiet, "--output=out.json"]


def _run(command: list[str], folder: Path, env: dict[str, str], limit_s: float) -> subprocess.CompletedProcess[str]:
    # A home of its own: what the tool keeps about its user stays as it is.
    home = {} if folder == Path.cwd() else {"INSPECT_LOG_DIR": str(folder), "PROMPTFOO_CONFIG_DIR": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=os.environ | home | env, capture_output=True, text=True, timeout=limit_s, check=False
    )


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
