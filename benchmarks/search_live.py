"""The part `search_live`: the search modes on shipped questions, on the embedded default model itself.

Each question is also asked under every budget of a fine grid; the cheapest right answer of all that were seen, the
modes' own probes included, stands for the exhaustive optimum. `tale` goes first and pays for its probes; the others
take answers that are known already; their tokens and seconds are counted as if they had paid for them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.clock import MeasurementError
from benchmarks.figures import mean_interval
from benchmarks.parts import Options, PartResult, Table
from benchmarks.stack import serving
from tale_core.calls.budget_ledger import Limits
from tale_core.calls.cache import RecentAnswers
from tale_core.calls.events import CallEvent, CallFinished
from tale_core.calls.probing import Probe, ProbeKey, Prober
from tale_core.datasets import shipped
from tale_core.models.client.openai_compatible import make_embedded_client
from tale_core.search.engine import SearchDone, SearchPlan, SearchResult, search
from tale_core.types import CallRecord, Client, Outcome, Question, Sampling

QUESTIONS = 12
LEVELS = 8
MODES = ("tale", "paper", "reference")
DEFAULT = "qwen2.5-coder-1.5b"
TEMPLATE = "words"
"""The default model ignores a number of tokens (its curve is flat): what it ignores, no search can find."""


@dataclass(frozen=True, slots=True)
class One:
    """One mode on one question; tokens are completion tokens."""

    question: str
    mode: str
    budget: int | None
    tokens: float
    vanilla: float
    optimum: float
    spent: int
    calls: int
    seconds: float


def run(options: Options) -> PartResult:
    """Search until enough questions were right without a budget."""
    with serving(DEFAULT) as info:
        rows, asked = asyncio.run(_all(make_embedded_client(info), options))
    return PartResult(
        name="search_live",
        tables=(_table(rows),),
        goals=(),
        data={"rows": [asdict(r) for r in rows], "asked": asked, "model": DEFAULT},
        notes=(
            f"{DEFAULT}, greedy, the template {TEMPLATE!r}; {len(rows) // len(MODES)} easy shipped questions that "
            f"vanilla answers right, of {asked} asked in random order. The optimum is the cheapest right answer among "
            f"{LEVELS} budgets and every probe of every mode. Means with 95 % bootstrap intervals over questions.",
        ),
    )


async def _all(client: Client, options: Options) -> tuple[list[One], int]:
    # Easy ones in English: of the harder ones the model gets too few right for an hour to be enough.
    questions = [q for q in shipped() if q.difficulty == 1 and q.language == "en" and q.kind == "number"]
    random.Random(options.seed).shuffle(questions)
    rows: list[One] = []
    for asked, question in enumerate(questions, 1):
        options.say(f"live, question {asked}: {question.id}, {len(rows) // len(MODES)} of {QUESTIONS} searched")
        rows += await _question(question, client)
        if len(rows) == QUESTIONS * len(MODES):
            return rows, asked
    raise MeasurementError("too few shipped questions are answered right without a budget")


async def _question(question: Question, client: Client) -> list[One]:
    memory = RecentAnswers()
    plan = SearchPlan(question, template=TEMPLATE, limits=Limits(), sampling=Sampling(max_tokens=500), slots=1)
    found: list[tuple[SearchResult, list[CallRecord]]] = []
    for mode in MODES:
        result, calls = await _search(replace(plan, mode=mode), client, memory)
        if result.optimal_tokens is None:
            return []
        found.append((result, calls))
    await _grid(plan, client, memory, int(found[0][0].vanilla_tokens or 0))
    right = [c.completion_tokens for c in memory.calls if c.outcome == Outcome.CORRECT and not c.cut]
    optimum = float(min(tokens for tokens in right if tokens is not None))
    return [_one(question, result, calls, optimum) for result, calls in found]


async def _search(plan: SearchPlan, client: Client, memory: RecentAnswers) -> tuple[SearchResult, list[CallRecord]]:
    calls: list[CallRecord] = []
    result: SearchResult | None = None
    async for event in search(plan, client, cache=memory):
        if isinstance(event, CallFinished):
            calls.append(event.call)
            memory.keep(event.call)
        elif isinstance(event, SearchDone):
            result = event.result
    assert result is not None
    return result, calls


async def _grid(plan: SearchPlan, client: Client, memory: RecentAnswers, vanilla: int) -> None:
    budgets = {max(1, round(vanilla ** (i / LEVELS))) for i in range(1, LEVELS)}
    question = replace(plan.question, kind=plan.question.kind or "number")
    prober = Prober(question, client, template=TEMPLATE, sampling=plan.sampling, cache=memory, slots=4)
    events: AsyncGenerator[CallEvent, None] = prober.answers(
        *(Probe(ProbeKey("probe", budget), "sweep") for budget in sorted(budgets))
    )
    async for event in events:
        if isinstance(event, CallFinished):
            memory.keep(event.call)


def _one(question: Question, result: SearchResult, calls: list[CallRecord], optimum: float) -> One:
    return One(
        question=question.id or "",
        mode=result.mode,
        budget=result.optimal_budget,
        tokens=result.optimal_tokens or 0.0,
        vanilla=result.vanilla_tokens or 0.0,
        optimum=optimum,
        spent=sum(c.completion_tokens or 0 for c in calls),
        calls=len(calls),
        seconds=sum(c.latency_s or 0.0 for c in calls),
    )


def _table(rows: list[One]) -> Table:
    def cells(mode: str) -> tuple[str, ...]:
        mine = [r for r in rows if r.mode == mode]
        figures: list[Any] = [
            mean_interval([r.tokens / r.optimum for r in mine]),
            mean_interval([r.tokens / r.vanilla for r in mine]),
            mean_interval([r.spent / r.vanilla for r in mine]),
            mean_interval([float(r.calls) for r in mine]),
            mean_interval([r.seconds for r in mine]),
        ]
        return (mode, *(f"{f.value:.2f} [{f.low:.2f}, {f.high:.2f}]" for f in figures))

    columns = ("mode", "final cost over optimum", "final cost over V", "tokens spent over V", "calls", "wall s each")
    return Table(f"Search modes on {DEFAULT}, live", columns, tuple(cells(mode) for mode in MODES))
