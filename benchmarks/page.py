"""The part `page`: what has to be waited for before anything can be asked, each in a fresh process.

It has no goals of its own; it shows where a slow start comes from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Spread, spread
from benchmarks.machine import load
from benchmarks.parts import Options, PartResult, Table
from tale_core.settings import REPO_ROOT

_TIMED = """
import json, sys, time
{before}
started = time.perf_counter()
{timed}
print(json.dumps(time.perf_counter() - started))
"""
_OPEN = "store = open_store('sqlite:///' + sys.argv[1])"

STARTS: tuple[tuple[str, str, str], ...] = (
    ("import tale_core.cli.main", "", "import tale_core.cli.main"),
    ("import the client and its SDK", "", "import openai, tale_core.models.client.openai_compatible"),
    ("import tale_core.store", "", "import tale_core.store"),
    ("open_store, no database yet", "from tale_core.store import open_store", _OPEN),
    ("open_store, schema is current", "from tale_core.store import open_store", _OPEN),
)
"""Name, what is done before the clock starts, what is timed. The last two share a file, in this order."""


def cold_start_s(before: str, timed: str, database: Path) -> float:
    """Seconds that `timed` takes in a fresh process.

    Raises:
        CalledProcessError: The process failed.
    """
    code = _TIMED.format(before=before, timed=timed)
    command = [sys.executable, "-c", code, str(database)]
    env = os.environ | {"TALE_DATA_DIR": str(database.parent)}
    done = subprocess.run(command, cwd=REPO_ROOT, env=env, capture_output=True, text=True, check=True, timeout=120)
    return float(json.loads(done.stdout.splitlines()[-1]))


def run(options: Options) -> PartResult:
    """Measure every start once a round."""
    before = load()
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in STARTS}
    for number in range(options.rounds):
        options.say(f"cold starts, round {number + 1} of {options.rounds}")
        with tempfile.TemporaryDirectory(prefix="tale-bench-") as folder:
            for name, first, timed in STARTS:
                seconds[name].append(cold_start_s(first, timed, Path(folder) / "cold.db"))
    found = {name: spread([s * 1000 for s in values]) for name, values in seconds.items()}
    rows = tuple((name, str(s.n), _milliseconds(s)) for name, s in found.items())
    return PartResult(
        name="page",
        tables=(Table("Cold starts", ("what", "processes", "milliseconds"), rows),),
        goals=(),
        data={"seconds": seconds, "load": [before, load()]},
        notes=("Median (first to third quartile); the interpreter's own start is not counted, files may be cached.",),
    )


def _milliseconds(s: Spread) -> str:
    return f"{s.median:.0f} ({s.low:.0f} to {s.high:.0f})"
