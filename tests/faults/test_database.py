"""The database goes away in the middle of a run, or two programs share it: nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tale_core import process as shutdown
from tale_core.calls.recorder import Recorder
from tale_core.errors import StoreUnreachableError
from tale_core.experiments import ExperimentDone, ExperimentStarted, UnitFinished, run_experiment
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.settings import REPO_ROOT, get_settings
from tale_core.store import open_store
from tale_core.store.database import reconnect as outage
from tests.faults import runs
from tests.support.databases import Server

pytestmark = pytest.mark.program


@pytest.mark.parametrize("crash", [False, True], ids=["restarted", "crashed"])
async def test_a_database_restarted_in_the_middle_of_a_run_costs_nothing(
    postgresql: Server, new_database: Callable[[], str], crash: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "MOST_WAIT_S", 0.2)
    store = await asyncio.to_thread(open_store, new_database())
    plan = runs.plan()
    client = ScriptedClient(lambda _: Reply("6 times 7 is [[42]]", delay_s=0.002))
    finished, experiment_id, away = 0, "", None
    async for event in run_experiment(plan.checked(), client, store):
        if isinstance(event, ExperimentStarted):
            experiment_id = event.experiment_id
        elif isinstance(event, UnitFinished):
            finished += 1
            if finished == plan.planned // 3:
                postgresql.stop(crash=crash)
                away = asyncio.create_task(asyncio.to_thread(_back, postgresql))
        elif isinstance(event, ExperimentDone):
            assert event.stop is None
    assert away is not None and finished == plan.planned
    await away
    runs.check_whole(store, experiment_id, plan)
    assert len(client.requests) == plan.planned  # No call was made twice either.


class Away:
    """A piece of work whose server never comes back."""

    def __init__(self) -> None:
        self.tries = 0

    def __call__(self, _again: bool = False) -> None:
        self.tries += 1
        raise StoreUnreachableError("It does not answer.")


async def test_a_server_that_stays_away_is_waited_for_once_and_not_by_each_write_in_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "OUTAGE_S", 0.5)
    recorder: Recorder[str] = Recorder(open_store(), "ask-1")
    works = [Away() for _ in range(4)]
    for work in works:
        assert await recorder.write(work) is None
    assert works[0].tries > 1 and [work.tries for work in works[1:]] == [1, 1, 1]
    assert "does not answer" in str(recorder.not_saved)


def test_a_process_that_was_told_to_end_does_not_wait_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "told_to_end_at", None)
    monkeypatch.setattr(shutdown, "PATIENCE_S", 0.2)
    shutdown.begin()
    work, began = Away(), time.monotonic()
    with pytest.raises(StoreUnreachableError):
        outage.through_outage(work)
    assert work.tries > 1 and time.monotonic() - began < outage.OUTAGE_S / 4


def _back(server: Server) -> None:
    time.sleep(0.5)
    server.start()


def test_two_programs_on_one_sqlite_file_lose_and_double_nothing() -> None:
    get_settings().data_dir.mkdir(parents=True, exist_ok=True)
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.faults.one_of_two"],
            cwd=REPO_ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=100) for process in started]
    assert [(p.returncode, err) for p, (_, err) in zip(started, ended, strict=True)] == [(0, "")] * 2
    store = open_store()
    for out, _ in ended:
        runs.check_whole(store, out.strip(), runs.plan())
    assert store.count_sessions() == 2
