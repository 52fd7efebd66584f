"""Searches and sweeps as they live: run, watched, and written to the store as it happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Unpack

from tale_core.calls.budget_ledger import Ledger, Spent
from tale_core.calls.events import CallFinished
from tale_core.calls.run import Run, Where
from tale_core.calls.stored_answers import StoredAnswers
from tale_core.elasticity.engine import SweepDone, SweepEvent, SweepProgress, SweepResult, sweep
from tale_core.elasticity.plan import CheckedSweep
from tale_core.elasticity.view import SweepView
from tale_core.labels import catch_up
from tale_core.runs.views import informed
from tale_core.search.engine import SearchDone, SearchEvent, SearchPlan, SearchResult, SearchStep, search
from tale_core.search.plan import CheckedSearch
from tale_core.search.view import SearchView
from tale_core.types import Client, SessionRecord


class StudyRun(Run[CheckedSearch | CheckedSweep, SearchEvent | SweepEvent, SearchView | SweepView]):
    """Runs one search or sweep and writes it down; see `Run`.

    Args:
        shared: Keeps the limits of several searches together, beside those of the plan.
    """

    def __init__(
        self,
        plan: CheckedSearch | CheckedSweep,
        *,
        shared: Ledger | None = None,
        **where: Unpack[Where[SearchEvent | SweepEvent]],
    ) -> None:
        super().__init__(plan, "search" if isinstance(plan, SearchPlan) else "sweep", at_end=catch_up, **where)
        self._shared = shared
        self._spent = Spent()
        self._steps: list[SearchStep] = []
        self._found: SearchResult | SweepResult | None = None
        self._finished = self._planned = 0

    def view(self) -> SearchView | SweepView:
        """The picture as it stands; safe to call from any thread."""
        calls, found = self._recorder.every_view(), self._found
        # What a stop cut off was booked after the last event.
        late = self._status not in ("running", "done")
        spent = Spent.of(call.record for call in calls) if late else self._spent
        common: dict[str, Any] = {**self._fields(), "calls": calls, "spent": spent, "parent_id": self.plan.parent_id}
        if isinstance(self.plan, SearchPlan):
            result = found if isinstance(found, SearchResult) else None
            return SearchView(**common, plan=self.plan, steps=tuple(self._steps), result=result)
        swept = found if isinstance(found, SweepResult) else None
        return SweepView(**common, plan=self.plan, finished=self._finished, planned=self._planned, result=swept)

    async def _begin(self) -> None:
        await self._recorder.write(self._create)  # The plan may learn from what is stored.

    def _create(self, again: bool) -> None:
        if isinstance(self.plan, SearchPlan):
            self.plan = informed(self.plan, self._store, self._model)
        super()._create(again)

    def _session_record(self) -> SessionRecord:
        return replace(super()._session_record(), plan=self.plan.document())

    def _events(self, client: Client) -> AsyncGenerator[SearchEvent | SweepEvent, None]:
        cache = StoredAnswers(self._store)
        if isinstance(self.plan, SearchPlan):
            return search(self.plan, client, session_id=self.id, cache=cache, shared=self._shared)
        return sweep(self.plan, client, session_id=self.id, cache=cache)

    async def _take(self, event: SearchEvent | SweepEvent) -> None:
        match event:
            case SearchStep():
                self._steps.append(event)
                self._post_result()
            case SearchDone(result) | SweepDone(result):
                self._found = result
                self._post_result()
            case SweepProgress(swept, finished, planned):
                self._found, self._finished, self._planned = swept, finished, planned
                self._post_result()
            case _:
                await self._recorder.take(event)
                if isinstance(event, CallFinished):
                    self._spent = event.spent

    def _post_result(self) -> None:
        """Write what was found so far; a kill then loses one step at most."""
        done = self._found.document() if self._found else None
        if isinstance(self.plan, SearchPlan):
            found: dict[str, Any] = {"steps": [s.document() for s in self._steps], "done": done}
        else:
            found = {"done": done, "finished": self._finished, "planned": self._planned}
        self._post(result=found)
