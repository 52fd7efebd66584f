"""The part `search`: the search modes on simulated questions of known optimum.

300 questions of a stated population (V = 60 to 900 tokens; right from 3 to 90 % of V; 90 % of the budget is written, at
least 12 tokens; a rebound below 1 to 25 % of V), each searched through the whole of `tale_core.search.engine` against a
simulated client. Estimates are simulated too: the true optimal budget times a log-normal error of the stated spread.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from benchmarks.bound import least_ratio
from benchmarks.figures import Goal, Interval, mean_interval
from benchmarks.parts import Options, PartResult, Table
from tale_core.calls.budget_ledger import Limits
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.search.engine import SearchDone, SearchPlan, SearchResult, search
from tale_core.types import Question

QUESTIONS = 300
MAX_RATIO, MAX_SPENT = 1.02, 2.4
ANSWER = "42"


@dataclass(frozen=True, slots=True)
class Line:
    """One way to search: a row of the table."""

    name: str
    plan: Callable[[SearchPlan, SimulatedModel, random.Random], SearchPlan]


def _mode(name: str) -> Line:
    return Line(name, lambda plan, model, rng: replace(plan, mode=name))


def _estimated(spread: float) -> Line:
    def plan(plan: SearchPlan, model: SimulatedModel, rng: random.Random) -> SearchPlan:
        budget = model.optimum().budget or model.vanilla
        return replace(plan, start=max(1, round(budget * math.exp(rng.gauss(0, spread)))), spread=spread)

    return Line(f"tale, estimate within {math.exp(spread) - 1:.0%}", plan)


LINES = (_mode("reference"), _mode("paper"), _mode("tale"), *(_estimated(s) for s in (0.05, 0.1, 0.3)))


@dataclass(frozen=True, slots=True)
class Found:
    """What one line did on all questions; means with 95 % bootstrap intervals."""

    name: str
    ratio: Interval
    spent: Interval
    calls: Interval
    wall_s: float


def run(options: Options) -> PartResult:
    """Search every question with every line."""
    rng = random.Random(options.seed)
    models = [SimulatedModel.stated(rng) for _ in range(QUESTIONS)]
    found = []
    for line in LINES:
        options.say(f"{QUESTIONS} simulated questions: {line.name}")
        found.append(asyncio.run(_line(line, models, options.seed)))
    least = least_ratio(MAX_SPENT)
    tale = next(f for f in found if f.name == "tale")
    return PartResult(
        name="search",
        tables=(_table(found),),
        goals=(
            Goal("simulated questions: final cost of tale over the optimum", "at most", MAX_RATIO, tale.ratio),
            Goal("simulated questions: tokens spent by tale over V", "at most", MAX_SPENT, tale.spent),
        ),
        data={"lines": [asdict(f) for f in found], "least_ratio": {"spend": MAX_SPENT, "ratio": least}},
        notes=(
            "Simulated models: no endpoint was asked. Final cost is the best answer's tokens over those of the best of "
            "all budgets; spent counts the vanilla answer, every probe and what was cut, without prompts. Means over "
            f"{QUESTIONS} questions with 95 % bootstrap intervals; wall time is this machine's for all of them.",
            f"A search that knows nothing but V and spends {MAX_SPENT} V on average ends at {least:.3f} times the "
            "optimum at best, by dynamic programming over this population (benchmarks/bound.py): both goals together "
            "need something more to go by, an estimate or earlier searches. Estimates here are simulated with the "
            "stated error (one standard deviation).",
        ),
    )


async def _line(line: Line, models: list[SimulatedModel], seed: int) -> Found:
    rng = random.Random(seed)
    started = time.perf_counter()
    ratios, spent, calls = [], [], []
    base = SearchPlan(Question("What is six times seven?", answer=ANSWER), limits=Limits(), slots=1)
    for model in models:
        result = await _result(line.plan(base, model, rng), model)
        ratios.append((result.optimal_tokens or model.vanilla) / model.optimum().cost)
        spent.append(result.spent.completion_tokens / model.vanilla)
        calls.append(float(result.spent.calls))
    wall = time.perf_counter() - started
    return Found(line.name, mean_interval(ratios), mean_interval(spent), mean_interval(calls), wall)


async def _result(plan: SearchPlan, model: SimulatedModel) -> SearchResult:
    async for event in search(plan, SimulatedClient(model, answer=ANSWER, chunk=64)):
        if isinstance(event, SearchDone):
            return event.result
    raise AssertionError("a search ended without a result")


def _table(found: list[Found]) -> Table:
    rows = tuple(
        (
            one.name,
            f"{one.ratio.value:.3f} [{one.ratio.low:.3f}, {one.ratio.high:.3f}]",
            f"{one.spent.value:.2f} [{one.spent.low:.2f}, {one.spent.high:.2f}]",
            f"{one.calls.value:.1f}",
            f"{one.wall_s:.1f}",
        )
        for one in found
    )
    columns = ("mode", "final cost over optimum", "tokens spent over V", "calls", "wall s, all")
    return Table("Search modes on simulated questions", columns, rows)
