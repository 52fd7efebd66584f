"""The part `cluster`: the engine ray against the local one. What a call costs more, and whether the table is the same.

First the same calls by both engines in turn, with answers that come at once: what is timed is whoever asks. Then more
of them (`--limit` questions) while one of the workers is killed in the middle: the table must be that of the local
engine to the digit, with each call stored once. Ray runs on this machine, its workers beside everything else.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval, median_interval
from benchmarks.fixed_endpoint import asked_of, fixed_endpoint
from benchmarks.machine import load
from benchmarks.parts import Options, PartResult, Table
from tale_core.experiments import ExperimentDone, ExperimentPlan, ExperimentStarted, UnitFinished, run_experiment
from tale_core.experiments.export import experiment_document
from tale_core.models.choice import endpoint_choice, open_client
from tale_core.models.client.retry import NO_RETRY
from tale_core.serving.ray.client import RayClient
from tale_core.serving.ray.engine import RayEngine
from tale_core.store import Store, open_store
from tale_core.types import Client, Question

QUESTIONS, TIMED, WORKERS, CONCURRENCY, LATENCY_S = 500, 250, 3, 32, 0.005
STRATEGIES = ("vanilla", "fixed:50")


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment.

    Attributes:
        asked: Requests that the endpoint has seen.
        once: Every call is stored, and stored once.
        rows: Its table, without latencies.
    """

    engine: str
    calls: int
    seconds: float
    cpu_ms: float
    asked: int
    once: bool
    rows: list[dict[str, Any]]

    @property
    def ms(self) -> float:
        """Milliseconds a call."""
        return self.seconds * 1000 / self.calls


def run(options: Options) -> PartResult:
    """Measure."""
    if importlib.util.find_spec("ray") is None:
        return PartResult.not_measured("cluster", "Ray is not installed (make ray)")
    before = load()
    with (
        fixed_endpoint(LATENCY_S, varied=True) as url,
        tempfile.TemporaryDirectory(prefix="tale-bench-ray-") as folder,
        redirect_stdout(sys.stderr),  # On standard output Ray tells of the worker that died.
    ):
        timed, local, killed = asyncio.run(_all(url, Path(folder), options))
    added = [ray.ms - here.ms for here, ray in timed]
    same = 1.0 if local.rows == killed.rows else 0.0
    once = 1.0 if local.once and killed.once else 0.0
    return PartResult(
        name="cluster",
        tables=(_table(timed, local, killed),),
        goals=(
            Goal("cluster: the table though a worker was killed is the local one", "at least", 1.0, _one(same)),
            Goal("cluster: each call stored once", "at least", 1.0, _one(once)),
        ),
        data={
            "added_ms_per_call": asdict(median_interval(added)),
            "rounds": [[asdict(one) for one in pair] for pair in timed],
            "local": asdict(local), "killed": asdict(killed), "workers": WORKERS, "load": [before, load()],
        },
        notes=(
            f"Ray adds {median(added):.1f} ms to a call (median of {len(added)} rounds of {timed[0][0].calls} calls, "
            f"{CONCURRENCY} at a time, {WORKERS} workers on this machine, answers after {LATENCY_S * 1000:.0f} ms). "
            "CPU is this process's own, without the workers'.",
            f"The killed worker's calls were asked again: {killed.asked - killed.calls} requests more than calls.",
        ),
    )  # fmt: skip


def _one(value: float) -> Interval:
    return Interval(1, value, value, value)


async def _all(url: str, folder: Path, options: Options) -> tuple[list[tuple[Run, Run]], Run, Run]:
    choice = endpoint_choice(model="fixed", base_url=url)
    questions, number = options.limit or QUESTIONS, 0

    async def experiment(client: Client, engine: str, plan: ExperimentPlan, kill: int | None = None) -> Run:
        nonlocal number
        number += 1
        with closing(open_store(f"sqlite:///{folder / str(number)}.db")) as store:
            return await _experiment(client, engine, plan, store, url, kill)

    options.say("starting Ray")
    with await asyncio.to_thread(RayEngine, workers=WORKERS) as engine:
        ray = await engine.open(choice)
        timed = []
        for at in range(min(options.rounds, 3) + 1):
            options.say(f"both engines in turn, round {at} of {min(options.rounds, 3)} (the first one warms up)")
            plan = _plan(TIMED, f"round {at}")
            here = await open_client(choice, retry=NO_RETRY)
            pair = (await experiment(here, "local", plan), await experiment(ray, "ray", plan))
            await here.aclose()
            timed += [pair] if at else []
        plan = _plan(questions, "killed")
        options.say(f"{plan.planned} calls by the local engine")
        here = await open_client(choice, retry=NO_RETRY)
        local = await experiment(here, "local", plan)
        await here.aclose()
        options.say(f"{plan.planned} calls by Ray, a worker is killed in the middle")
        pid = await _process_of(ray)
        killed = await experiment(ray, "ray, a worker killed", plan, pid)
    return timed, local, killed


def _plan(questions: int, salt: str) -> ExperimentPlan:
    asked = tuple(Question(f"What is 6 times 7? Sum {i} of {salt}.", answer="42") for i in range(questions))
    return ExperimentPlan(questions=asked, strategies=STRATEGIES, concurrency=CONCURRENCY)


async def _process_of(ray: RayClient) -> int:
    return int(await ray._workers[0].ready.remote())


async def _experiment(
    client: Client, engine: str, plan: ExperimentPlan, store: Store, url: str, kill: int | None
) -> Run:
    asked = await asyncio.to_thread(asked_of, url)
    began = ended = time.perf_counter()
    cpu, finished, experiment_id, done = time.process_time(), 0, "", None
    async for event in run_experiment(plan.checked(), client, store):
        if isinstance(event, ExperimentStarted):
            began, cpu, experiment_id = time.perf_counter(), time.process_time(), event.experiment_id
        elif isinstance(event, UnitFinished):
            finished, ended = finished + 1, time.perf_counter()
            if kill is not None and finished == plan.planned // 2:
                os.kill(kill, signal.SIGKILL)
        elif isinstance(event, ExperimentDone):
            done = event
    used = time.process_time() - cpu
    if done is None or not done.results.complete:
        raise MeasurementError(f"the experiment did not finish: {done.stop if done else 'no end'}")
    asked = await asyncio.to_thread(asked_of, url) - asked
    calls = store.get_session(experiment_id).calls
    stored = Counter((call.unit, call.step) for call in calls if call.status == "done")
    return Run(
        engine=engine,
        calls=plan.planned,
        seconds=ended - began,
        cpu_ms=used * 1000 / plan.planned,
        asked=asked,
        once=len(stored) == plan.planned and set(stored.values()) == {1},
        rows=_rows(experiment_document(done.results)["rows"]),
    )


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keep: Callable[[str], bool] = lambda name: not name.startswith("latency")  # noqa: E731
    return [{name: value for name, value in row.items() if keep(name)} for row in rows]


def _table(timed: list[tuple[Run, Run]], local: Run, killed: Run) -> Table:
    rows = [_row([here for here, _ in timed]), _row([ray for _, ray in timed]), _row([local]), _row([killed])]
    columns = ("engine", "calls", "ms a call", "calls a second", "CPU ms a call", "requests")
    return Table("What a call takes, everything stored", columns, tuple(rows))


def _row(runs: list[Run]) -> tuple[str, ...]:
    one = sorted(runs, key=lambda r: r.seconds)[len(runs) // 2]
    return (
        one.engine, f"{one.calls:,}", f"{one.ms:.1f}", f"{1000 / one.ms:,.0f}", f"{one.cpu_ms:.1f}", f"{one.asked:,}",
    )  # fmt: skip
