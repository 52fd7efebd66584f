"""Many searches, one or several at a time, each a session of its own: how training rows for the estimators are made.

What is searched already is left out, so the same request goes on where it was stopped.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tale_core.calls.budget_ledger import Ledger, Limits, Spent
from tale_core.i18n import t
from tale_core.models.choice import ModelChoice, price_of
from tale_core.runs.study import StudyRun
from tale_core.search.engine import SearchPlan
from tale_core.search.view import SearchView
from tale_core.store import Store
from tale_core.types import Client, Question

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


def in_order(questions: Iterable[Question], *, known: Iterable[str] = ()) -> list[Question]:
    """Those with a known answer that are not searched yet, the easiest first."""
    searched = set(known)
    todo = [q for q in questions if (q.answer or "").strip() and q.text not in searched]
    random.Random(ORDER).shuffle(todo)
    return sorted(todo, key=lambda q: q.difficulty or MIDDLE)


def searched(store: Store, plan: SearchPlan, *, model: str) -> set[str]:
    """The questions searched in the way of this plan: under another temperature it is another search."""
    found = set()
    for text, document in store.searched_questions(model=model, template=plan.template, knob=plan.knob):
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # An imported plan may be anything.
            if SearchPlan.from_document(document).way == plan.way:
                found.add(text)
    return found


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


class Searches:
    """The searches of a run, several at a time; the limits on tokens and money hold for all of them together.

    Args:
        questions: In order.
        plan: What every search has in common; its question is put in.
        choice: Whom to ask.
        store: Where every search is written.
        tally: Counts them.
        open_client: Makes each search's client.
        show: Told each search that has ended.
        enough: Optimal budgets after which no further search begins; None searches all.
    """

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
        enough: int | None = None,
    ) -> None:
        self._todo = deque(questions)
        # The limit on calls is each search's own.
        self._plan = replace(plan, limits=Limits(max_calls=plan.limits.max_calls))
        self._limits = replace(plan.limits, max_calls=None)
        self._ledger = Ledger(self._limits, price_of(choice), plan.sampling.max_tokens)
        self._choice, self._store, self._tally = choice, store, tally
        self._open_client, self._show = open_client, show
        self._failed_in_a_row, self._enough = 0, enough

    async def run(self, at_once: int) -> None:
        """Search until the questions, the limits or the patience end; the tally says which."""
        with suppress(asyncio.CancelledError):  # Each search has taken the stop itself, and ended its session.
            await asyncio.gather(*(self._one_after_the_other() for _ in range(min(at_once, len(self._todo)))))

    async def _one_after_the_other(self) -> None:
        while self._todo and self._tally.stopped is None and not self._has_enough():
            if self._nothing_left():
                self._tally.stopped = t("a limit of the whole run is reached")
                return
            view = await self.search(self._todo.popleft())
            self._tally.take(view)
            if view.status in STOPPED:
                self._tally.stopped = INTERRUPTION
                return
            self._show(view)
            if view.result is not None and view.result.stop_reason in ("limit-tokens", "limit-cost"):
                self._tally.stopped = t("a limit of the whole run is reached")
            self._failed_in_a_row = self._failed_in_a_row + 1 if view.status == "failed" else 0
            if self._failed_in_a_row == FAILURES_IN_A_ROW:
                self._tally.stopped = t(
                    "{n} searches in a row failed; the last said: {error}", n=FAILURES_IN_A_ROW, error=view.error
                )

    async def search(self, question: Question) -> SearchView:
        """One search, to its end."""
        search = StudyRun(
            replace(self._plan, question=question).checked(),
            store=self._store,
            open_client=self._open_client,
            model=self._choice.model,
            endpoint=self._choice.endpoint,
            shared=self._ledger,
        )
        view = await search.run()
        assert isinstance(view, SearchView)  # As the plan is a search's.
        return view

    def _has_enough(self) -> bool:
        return self._enough is not None and self._tally.found >= self._enough

    def _nothing_left(self) -> bool:
        limits, spent = self._limits, self._ledger.spent
        tokens = limits.max_tokens is not None and spent.tokens >= limits.max_tokens
        cost = limits.max_cost_usd is not None and (spent.cost_usd or 0.0) >= limits.max_cost_usd
        return tokens or cost
