"""The database goes away in the middle of a run, or two programs share it: nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tale_core.experiments import ExperimentDone, ExperimentStarted, UnitFinished, run_experiment
from tale_core.models.scripted import Reply, ScriptedClient
from tale_core.settings import REPO_ROOT, get_settings
from tale_core.store import open_store, outage
from tests.databases import Server
from tests.faults import runs


@pytest.mark.parametrize("crash", [False, True], ids=["restarted", "crashed"])
async def test_a_database_restarted_in_the_middle_of_a_run_costs_nothing(
    postgresql: Server, new_database: Callable[[], str], crash: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "_MOST_S", 0.2)
    store = await asyncio.to_thread(open_store, new_database())
    plan = runs.plan()
    client = ScriptedClient(lambda _: Reply("6 times 7 is [[42]]", delay_s=0.002))
    finished, experiment_id, away = 0, "", None
    async for event in run_experiment(plan, client, store):
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


def _back(server: Server) -> None:
    import time

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
