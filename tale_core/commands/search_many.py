"""`search --dataset`: every question of a data set searched, one or several at a time, each a session of its own.

This is how training rows for the estimators are made. What is searched already is left out, so the same command goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tale_core import datasets, loops
from tale_core.cli import FAILED, INTERRUPTED, OK, emit
from tale_core.commands import engines
from tale_core.commands.study import opener
from tale_core.errors import InputError
from tale_core.models.choice import ModelChoice, price_of
from tale_core.probing import Limits
from tale_core.search import SearchPlan
from tale_core.search_words import finding
from tale_core.spending import Ledger, Spent
from tale_core.spending_words import spent_words
from tale_core.store import Store, open_store
from tale_core.studies import SearchView
from tale_core.study_run import StudyRun
from tale_core.types import Client, Question

if TYPE_CHECKING:
    from rich.progress import Progress

ORDER = 1024
"""Seed of the order in which questions of one difficulty are searched: the easiest first, since what the model gets
wrong without a budget cannot be searched."""
MIDDLE = 3
"""Difficulty (1 to 5) that a question of unknown difficulty is taken to have."""
MOST_AT_ONCE = 256
STOPPED = ("cancelled", "interrupted")
INTERRUPTION = "interrupted"
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
        """Count one ended search; one that was stopped has neither found nor failed."""
        self.sessions.append(view.session_id)
        for call in view.calls:
            self.spent = self.spent.plus(call.record)
        if view.status in STOPPED:
            return
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
        InputError: The data set cannot be read, nothing in it has a known answer, or a flag is out of range.
    """
    if not 1 <= args.at_once <= MOST_AT_ONCE:
        raise InputError(f"{args.at_once} searches at the same time were asked for.", f"Give 1 to {MOST_AT_ONCE}.")
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
    with engines.engine(args, choice) as engine, _bar(len(todo)) as (bar, task):

        def show(view: SearchView) -> None:
            bar.console.print(f"{view.session_id}  {view.error or finding(view)}", markup=False, highlight=False)
            bar.advance(task)

        searches = _Searches(todo, plan, choice, store, tally, open_client=opener(choice, engine), show=show)
        status = loops.run(searches.run(args.at_once))
    if args.json:
        emit(tally.document(plan, choice.model))
    else:
        print(_words(tally))
    return status


class _Searches:
    """The searches of a run, several at a time; the limits on tokens and money hold for all of them together."""

    def __init__(
        self,
        questions: Sequence[Question],
        plan: SearchPlan,
        choice: ModelChoice,
        store: Store,
        tally: Tally,
        *,
        open_client: Callable[[], Awaitable[Client]],
        show: Callable[[SearchView], None],
    ) -> None:
        self._todo = deque(questions)
        # The limit on calls is each search's own.
        self._plan = replace(plan, limits=Limits(max_calls=plan.limits.max_calls))
        self._limits = replace(plan.limits, max_calls=None)
        self._ledger = Ledger(self._limits, price_of(choice), plan.sampling.max_tokens)
        self._choice, self._store, self._tally = choice, store, tally
        self._open_client, self._show = open_client, show
        self._failed_in_a_row = 0

    async def run(self, at_once: int) -> int:
        """Search until the questions, the limits or the patience end; the exit code."""
        with suppress(asyncio.CancelledError):  # Each search has taken the stop itself, and ended its session.
            await asyncio.gather(*(self._one_after_the_other() for _ in range(min(at_once, len(self._todo)))))
        if self._tally.stopped == INTERRUPTION:
            return INTERRUPTED
        return FAILED if self._tally.failed or self._tally.stopped else OK

    async def _one_after_the_other(self) -> None:
        while self._todo and self._tally.stopped is None:
            if self._nothing_left():
                self._tally.stopped = "a limit of the whole run is reached"
                return
            view = await self._search(self._todo.popleft())
            self._tally.take(view)
            if view.status in STOPPED:
                self._tally.stopped = INTERRUPTION
                return
            self._show(view)
            if view.result is not None and view.result.stop_reason in ("limit-tokens", "limit-cost"):
                self._tally.stopped = "a limit of the whole run is reached"
            self._failed_in_a_row = self._failed_in_a_row + 1 if view.status == "failed" else 0
            if self._failed_in_a_row == FAILURES_IN_A_ROW:
                self._tally.stopped = f"{FAILURES_IN_A_ROW} searches in a row failed; the last said: {view.error}"

    async def _search(self, question: Question) -> SearchView:
        search = StudyRun(
            replace(self._plan, question=question),
            store=self._store,
            open_client=self._open_client,
            model=self._choice.model,
            endpoint=self._choice.endpoint,
            shared=self._ledger,
        )
        view = await search.run()
        assert isinstance(view, SearchView)  # As the plan is a search's.
        return view

    def _nothing_left(self) -> bool:
        limits, spent = self._limits, self._ledger.spent
        tokens = limits.max_tokens is not None and spent.tokens >= limits.max_tokens
        cost = limits.max_cost_usd is not None and (spent.cost_usd or 0.0) >= limits.max_cost_usd
        return tokens or cost


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
