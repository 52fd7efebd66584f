"""The part `experiments`: throughput and memory of the runner against an endpoint with a fixed latency.

1,000 questions × 2 strategies (one call each) at 64 calls at a time against 200 ms: the ideal is 64 calls every 200 ms.
The whole way is taken: strategies, client, grading, a real database. Memory is this process's own, sampled during a
run of 10,000 calls. Beside it a bare loop as the reference code has it, one call after the other, on few calls, scaled.

What a call costs on this side is a slope: what 2,000 calls took more than 400, of the processor and of the clock. So
neither the beginning nor the end counts. The same slope of a bare loop over the SDK stands beside it, in the same run,
and that of other tools where they can be installed.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import httpx2
import openai  # noqa: TID251  # The bare loop beside it.
import psutil

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval, median_interval
from benchmarks.fixed_endpoint import fixed_endpoint
from benchmarks.parts import Options, PartResult, Table
from benchmarks.peers import peers
from tale_core import process as loops
from tale_core.experiments import ExperimentDone, ExperimentPlan, ExperimentStarted, UnitFinished, run_experiment
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.endpoints import resolve
from tale_core.store import open_store
from tale_core.types import Question

LATENCY_S, CONCURRENCY, QUESTIONS, MEMORY_QUESTIONS, SEQUENTIAL = 0.2, 64, 1000, 5000, 20
FEW_QUESTIONS = 200
"""With QUESTIONS the two points of the slope."""
MOST_CPU_MS, MOST_WALL_MS = 3.0, 3.3
STRATEGIES = ("vanilla", "fixed:50")
EARLY, LEAST_SHARE, MOST_GROWTH = 1000, 0.9, 1.1


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment.

    Attributes:
        seconds: From the first call to the last stored answer.
        table_s: Seconds for the results table after that.
        share: Of the ideal throughput.
        cpu_ms: Processor time of this process a call.
        early_mib: Highest resident memory while the first EARLY calls were made, from the EARLY / 2 th on.
        late_mib: Highest resident memory during the last EARLY calls.
    """

    calls: int
    seconds: float
    table_s: float
    share: float
    cpu_ms: float
    early_mib: float
    late_mib: float


@dataclass(frozen=True, slots=True)
class Slope:
    """What a call takes more, in milliseconds of the processor and of the clock."""

    cpu_ms: float
    wall_ms: float

    @classmethod
    def of(cls, few: Run, many: Run) -> Slope:
        """Between two runs."""
        calls = many.calls - few.calls
        cpu = many.calls * many.cpu_ms - few.calls * few.cpu_ms
        return cls(cpu / calls, (many.seconds - few.seconds) * 1000 / calls)


def run(options: Options) -> PartResult:
    """Measure."""
    rounds = min(options.rounds, 3)
    with fixed_endpoint(LATENCY_S) as url:
        options.say(f"one call after the other, {SEQUENTIAL} calls")
        each = asyncio.run(_sequential(url))
        runs, ours, bare = [], [], []
        for at in range(rounds):
            options.say(
                f"{QUESTIONS} questions × {len(STRATEGIES)} calls, {CONCURRENCY} at a time, {at + 1} of {rounds}"
            )
            few, many = (loops.run(_experiment(url, n)) for n in (FEW_QUESTIONS, QUESTIONS))
            runs.append(many)
            ours.append(Slope.of(few, many))
            bare.append(Slope.of(*(loops.run(_bare(url, n * len(STRATEGIES))) for n in (FEW_QUESTIONS, QUESTIONS))))
        options.say(f"{MEMORY_QUESTIONS} questions × {len(STRATEGIES)} calls, for memory")
        long = loops.run(_experiment(url, MEMORY_QUESTIONS))
        others, missing = _others(url, options)
    growth = long.late_mib / long.early_mib
    share = median_interval([r.share for r in runs])
    return PartResult(
        name="experiments",
        tables=(_table(runs, long, each), _slopes(ours, bare, others)),
        goals=(
            Goal("experiments: throughput over the ideal at 64 calls at a time", "at least", LEAST_SHARE, share),
            Goal(
                "experiments: milliseconds of processor a call, slope",
                "at most",
                MOST_CPU_MS,
                median_interval([s.cpu_ms for s in ours]),
            ),
            Goal(
                "experiments: milliseconds of time a call, slope",
                "at most",
                MOST_WALL_MS,
                median_interval([s.wall_ms for s in ours]),
            ),
            Goal(
                "experiments: memory after 10,000 calls over that after 1,000",
                "at most",
                MOST_GROWTH,
                Interval(1, growth, growth, growth),
            ),
        ),
        data={
            "runs": [asdict(r) for r in runs],
            "slopes": [asdict(s) for s in ours],
            "bare_slopes": [asdict(s) for s in bare],
            "others": {name: asdict(s) for name, s in others.items()},
            "long": asdict(long),
            "sequential_s_per_call": each,
        },
        notes=(
            f"The endpoint is a process of its own and answers after {LATENCY_S * 1000:.0f} ms. The ideal "
            f"is {CONCURRENCY / LATENCY_S:.0f} calls a second. Throughput counts until the last answer is stored; "
            "the table of results is timed apart.",
            f"The sequential loop (a bare HTTP client, nothing stored or graded) made {SEQUENTIAL} calls; its time for "
            f"{QUESTIONS * len(STRATEGIES)} is scaled from them.",
            f"Memory growth is of one run of {MEMORY_QUESTIONS * len(STRATEGIES):,} calls, measured once.",
            *(["Other tools were measured once each, with their own processes' time."] if others else []),
            *missing,
        ),
    )


async def _experiment(url: str, questions: int) -> Run:
    # Their own questions each time: an answer that is known would not be asked for.
    salt = time.time_ns()
    asked = tuple(Question(f"What is 6 times 7? Sum {i} of {salt}.", answer="42") for i in range(questions))
    plan = ExperimentPlan(questions=asked, strategies=STRATEGIES, concurrency=CONCURRENCY)
    client = OpenAIClient(resolve("fixed", base_url=url), retry=NO_RETRY)
    process, memory = psutil.Process(), []
    began = ended = time.perf_counter()
    cpu, calls, done = time.process_time(), 0, None
    async for event in run_experiment(plan.checked(), client, open_store()):
        if isinstance(event, ExperimentStarted):
            began, cpu = time.perf_counter(), time.process_time()
        elif isinstance(event, UnitFinished):
            calls, ended = calls + 1, time.perf_counter()
            if calls % 50 == 0:
                memory.append((calls, process.memory_info().rss / 2**20))
            used = time.process_time() - cpu
        elif isinstance(event, ExperimentDone):
            done = event
    table_s = time.perf_counter() - ended
    await client.aclose()
    if done is None or not done.results.complete:
        raise MeasurementError(f"the experiment did not finish: {done.stop if done else 'no end'}")
    seconds = ended - began
    return Run(
        calls=calls,
        seconds=seconds,
        table_s=table_s,
        share=calls * LATENCY_S / CONCURRENCY / seconds,
        cpu_ms=used * 1000 / calls,
        early_mib=max((mib for at, mib in memory if EARLY / 2 <= at <= EARLY), default=0.0),
        late_mib=max(mib for at, mib in memory if at > calls - EARLY),
    )


async def _bare(url: str, calls: int) -> Run:
    """The SDK alone, as many calls at a time: streamed, counted, thrown away."""
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        left = iter(range(calls))

        async def work() -> None:
            for i in left:
                stream = await client.chat.completions.create(
                    model="fixed", messages=[{"role": "user", "content": f"What is 6 times 7? Sum {i}."}],
                    stream=True, stream_options={"include_usage": True},
                )  # fmt: skip
                async for _ in stream:
                    pass

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return Run(calls, seconds, 0.0, calls * LATENCY_S / CONCURRENCY / seconds, used * 1000 / calls, 1.0, 1.0)


async def _sequential(url: str) -> float:
    """Seconds a call, one after the other: the reference code's way."""
    body = {"model": "fixed", "messages": [{"role": "user", "content": "What is 6 times 7?"}], "stream": True}
    times = []
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        for _ in range(SEQUENTIAL):
            began = time.perf_counter()
            (await http.post("chat/completions", json=body)).raise_for_status()
            times.append(time.perf_counter() - began)
    return median(times)


def _others(url: str, options: Options) -> tuple[dict[str, Slope], list[str]]:
    """The slope of each other tool, and why one has none."""
    found, missing = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for at, peer in enumerate(peers()):
            options.say(f"{peer.name}, the same calls")
            try:
                if reason := peer.missing():
                    missing.append(f"Not measured: {reason}.")
                    continue
                wall, cpu = [], []
                for n in (FEW_QUESTIONS, QUESTIONS):
                    spent = peer.measure(Path(folder, f"{at}-{n}"), url, n * len(STRATEGIES), CONCURRENCY)
                    wall.append(spent[0])
                    cpu.append(spent[1])
            except MeasurementError as e:
                missing.append(f"Not measured: {e}")
                continue
            calls = (QUESTIONS - FEW_QUESTIONS) * len(STRATEGIES)
            found[peer.name] = Slope(*((many - few) * 1000 / calls for few, many in (cpu, wall)))
    return found, missing


def _table(runs: list[Run], long: Run, each: float) -> Table:
    total = QUESTIONS * len(STRATEGIES)
    middle = median(r.seconds for r in runs)
    typical = replace(min(runs, key=lambda r: abs(r.seconds - middle)))
    ideal = total * LATENCY_S / CONCURRENCY
    rows = (
        ("ideal", f"{total:,}", f"{ideal:.2f}", "1.000", "", ""),
        _row("runner", typical),
        _row("runner, long", long),
        ("sequential loop, scaled", f"{total:,}", f"{each * total:.1f}", f"{ideal / (each * total):.3f}", "", ""),
    )
    columns = ("side", "calls", "seconds", "share of the ideal", "CPU ms/call", "memory early to late, MiB")
    return Table("An experiment against a fixed latency of 200 ms, 64 calls at a time", columns, rows)


def _slopes(ours: list[Slope], bare: list[Slope], others: dict[str, Slope]) -> Table:
    def row(name: str, found: list[Slope]) -> tuple[str, ...]:
        return (name, f"{median(s.cpu_ms for s in found):.2f}", f"{median(s.wall_ms for s in found):.2f}")

    ratio = median(a.cpu_ms / b.cpu_ms for a, b in zip(ours, bare, strict=True))
    sides = {"runner": ours, "bare loop over the SDK": bare} | {name: [slope] for name, slope in others.items()}
    rows = (*(row(name, found) for name, found in sides.items()), ("runner over the bare loop", f"{ratio:.2f}", ""))
    few, many = (n * len(STRATEGIES) for n in (FEW_QUESTIONS, QUESTIONS))
    title = f"What a call takes more, between {few} and {many:,} calls, {CONCURRENCY} at a time"
    return Table(title, ("side", "CPU ms/call", "ms/call"), rows)


def _row(name: str, one: Run) -> tuple[str, ...]:
    memory = f"{one.early_mib:.0f} to {one.late_mib:.0f}"
    return (name, f"{one.calls:,}", f"{one.seconds:.2f}", f"{one.share:.3f}", f"{one.cpu_ms:.2f}", memory)
