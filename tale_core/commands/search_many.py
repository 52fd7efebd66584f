"""`search --dataset`: every question of a data set searched, one after the other, each a session of its own.

This is how training rows for the estimators are made. What is searched already is left out, so the same command goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tale_core import datasets
from tale_core.cli import FAILED, INTERRUPTED, OK, emit
from tale_core.commands.progress import open_with_progress
from tale_core.errors import InputError
from tale_core.models.choice import ModelChoice
from tale_core.probing import Limits
from tale_core.search import SearchPlan
from tale_core.search_words import finding
from tale_core.spending import Spent
from tale_core.spending_words import spent_words
from tale_core.store import Store, open_store
from tale_core.studies import SearchView
from tale_core.study_run import StudyRun
from tale_core.types import Question

if TYPE_CHECKING:
    from rich.progress import Progress

ORDER = 1024
"""Seed of the order in which questions of one difficulty are searched: the easiest first, since what the model gets
wrong without a budget cannot be searched."""
MIDDLE = 3
"""Difficulty (1 to 5) that a question of unknown difficulty is taken to have."""
FAILURES_IN_A_ROW = 3
"""Failed searches after which the rest is not tried: an endpoint that is down stays down."""


@dataclass
class Tally:
    """What became of the questions so far."""

    dataset: str
    questions: int
    known: int
    found: int = 0
    nothing_found: int = 0
    failed: int = 0
    stopped: str | None = None
    spent: Spent = field(default_factory=Spent)
    sessions: list[str] = field(default_factory=list)

    def take(self, view: SearchView) -> None:
        """Count one ended search."""
        self.sessions.append(view.session_id)
        for call in view.calls:
            self.spent = self.spent.plus(call.record)
        if view.status != "done":
            self.failed += 1
        elif view.result is not None and view.result.optimal_budget is not None:
            self.found += 1
        else:
            self.nothing_found += 1

    def document(self, plan: SearchPlan, model: str) -> dict[str, Any]:
        """JSON-safe."""
        named = {"model": model, "template": plan.template, "mode": plan.mode}
        return named | asdict(self) | {"searched": len(self.sessions)}


def run(args: argparse.Namespace, plan: SearchPlan, choice: ModelChoice) -> int:
    """Search the data set's questions that have not been searched yet.

    Args:
        args: The flags of `search`.
        plan: What every search has in common; its question is put in.
        choice: Whom to ask.

    Raises:
        InputError: The data set cannot be read, or nothing in it has a known answer.
    """
    loaded = datasets.load(args.dataset, limit=args.limit, offset=args.offset)
    questions = [q for q in loaded.questions if (q.answer or "").strip()]
    if not questions:
        raise InputError(f"{args.dataset!r} has no question with a known answer.", "A search needs it.")
    replace(plan, question=questions[0]).validate()
    store = open_store(args.db)
    known = store.searched_questions(model=choice.model, template=plan.template)
    todo = [q for q in questions if args.fresh or q.text not in known]
    random.Random(ORDER).shuffle(todo)
    todo.sort(key=lambda q: q.difficulty or MIDDLE)
    tally = Tally(args.dataset, len(questions), len(questions) - len(todo))
    status = asyncio.run(_all(todo, plan, choice, store, tally))
    if args.json:
        emit(tally.document(plan, choice.model))
    else:
        print(_words(tally))
    return status


async def _all(questions: Sequence[Question], plan: SearchPlan, choice: ModelChoice, store: Store, tally: Tally) -> int:
    in_a_row = 0
    with _bar(len(questions)) as (bar, task):
        for question in questions:
            limits = _left(plan.limits, tally.spent)
            if limits is None:
                tally.stopped = "a limit of the whole run is reached"
                return FAILED
            view = await _one(replace(plan, question=question, limits=limits), choice, store)
            if view.status in ("cancelled", "interrupted"):
                tally.stopped = "interrupted"
                return INTERRUPTED
            tally.take(view)
            bar.console.print(f"{view.session_id}  {view.error or finding(view)}", markup=False, highlight=False)
            bar.advance(task)
            if view.result is not None and view.result.stop_reason in ("limit-tokens", "limit-cost"):
                tally.stopped = "a limit of the whole run is reached"
                return FAILED
            in_a_row = in_a_row + 1 if view.status == "failed" else 0
            if in_a_row == FAILURES_IN_A_ROW:
                tally.stopped = f"{in_a_row} searches in a row failed; the last said: {view.error}"
                return FAILED
    return FAILED if tally.failed else OK


async def _one(plan: SearchPlan, choice: ModelChoice, store: Store) -> SearchView:
    search = StudyRun(
        plan,
        store=store,
        open_client=lambda: open_with_progress(choice),
        model=choice.model,
        endpoint=choice.endpoint,
    )
    view = await search.run()
    assert isinstance(view, SearchView)  # As the plan is a search's.
    return view


def _left(limits: Limits, spent: Spent) -> Limits | None:
    """What one more search may spend; None when nothing is left. The limit on calls is each search's own."""
    tokens = None if limits.max_tokens is None else limits.max_tokens - spent.tokens
    cost = None if limits.max_cost_usd is None or spent.cost_usd is None else limits.max_cost_usd - spent.cost_usd
    if (tokens is not None and tokens <= 0) or (cost is not None and cost <= 0):
        return None
    return replace(limits, max_tokens=tokens, max_cost_usd=cost)


@contextmanager
def _bar(total: int) -> Iterator[tuple[Progress, Any]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("searching"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task("searching", total=total)


def _words(tally: Tally) -> str:
    parts = [
        f"{tally.questions} questions, {tally.known} searched before",
        f"{tally.found} optimal budgets found, {tally.nothing_found} without one, {tally.failed} failed",
        f"spent: {spent_words(tally.spent)}",
    ]
    if tally.stopped:
        parts.append(f"Stopped: {tally.stopped}. The same command goes on from here")
    return ". ".join(parts) + "."
