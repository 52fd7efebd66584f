"""Several real llama.cpp servers behind one model name: all of them answer, and one that is killed costs no answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tale_core.cli.main import main
from tale_core.cli.output import OK
from tale_core.settings import REPO_ROOT, get_settings
from tale_core.store import open_store
from tale_core.types import Outcome
from tests.support.fixtures_model import TEST_MODEL, smollm_cache

__all__ = ["smollm_cache"]
pytestmark = pytest.mark.model


@pytest.fixture
def servers(smollm_cache: Path, tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """Two servers of their own (a data folder each), with what `serve` prints."""
    with ExitStack() as stack:
        yield [stack.enter_context(_Server(smollm_cache, tmp_path / name)) for name in ("one", "two")]


class _Server:
    def __init__(self, cache: Path, folder: Path) -> None:
        env = {**os.environ, "TALE_CACHE_DIR": str(cache), "TALE_DATA_DIR": str(folder)}
        command = [sys.executable, "-m", "tale_core", "serve", "--model", TEST_MODEL, "--json"]
        self._process = subprocess.Popen(command, cwd=REPO_ROOT, env=env, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = self._process.stdout.readline()
            assert line, "the server did not start"
            text += line
        told: dict[str, Any] = json.loads(text)
        return told

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()


def listening(base_url: str) -> psutil.Process:
    port = int(base_url.split(":")[2].split("/")[0])
    pid = next(c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port)
    return psutil.Process(pid)


def kill_when_it_has_answered(process: psutil.Process, base_url: str, before: str) -> None:
    """Kill it in the middle of the experiment that follows `before`, after three answers of its own."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for one in open_store().list_sessions(limit=1, kind="experiment"):
            calls = open_store().get_session(one.id).calls if one.id != before else ()
            if sum(base_url in call.endpoint and call.status == "done" for call in calls) >= 3:
                process.kill()
                return
        time.sleep(0.05)


def test_one_of_two_llama_servers_is_killed_in_the_middle_and_every_question_has_its_answer(
    servers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f'[lab]\ntitle = "Two machines"\nmodel = "{TEST_MODEL}"\n']
    for number, server in enumerate(servers):
        monkeypatch.setenv(f"LAB_{number}_KEY", server["api_key"])
        lines.append(
            f'[[lab.endpoints]]\nbase_url = "{server["base_url"]}"\nmost = 4\napi_key_env = "LAB_{number}_KEY"\n'
        )
    file = get_settings().data_dir / "endpoint-groups.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines))
    flags = ["--model", "lab", "--strategies", "vanilla", "--max-tokens", "24", "--concurrency", "6", "--json"]
    assert main(["run", "shipped", "--limit", "8", *flags]) == OK
    first = json.loads(capsys.readouterr().out)["experiment"]
    shares = Counter(call.endpoint for call in open_store().get_session(first).calls)
    assert len(shares) == 2 and min(shares.values()) >= 2, shares

    victim = listening(servers[1]["base_url"])
    killer = threading.Thread(target=kill_when_it_has_answered, args=(victim, servers[1]["base_url"], first))
    killer.start()
    assert main(["run", "shipped", "--limit", "24", "--offset", "8", *flags]) == OK
    killer.join(30)
    assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE  # Its parent may not have looked yet.
    second = json.loads(capsys.readouterr().out)["experiment"]
    calls = open_store().get_session(second).calls
    answered = [call.unit for call in calls if call.status == "done"]
    assert len(answered) == len(set(answered)) == 24
    assert all(call.outcome is not Outcome.ERROR for call in calls if call.status == "done")
    told = Counter(call.endpoint for call in calls if call.status == "done")
    by = [sum(n for where, n in told.items() if server["base_url"] in where) for server in servers]
    assert by[1] >= 3 and by[0] > by[1] and sum(by) == 24, by
