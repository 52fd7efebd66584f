"""Searches and sweeps as they live: run, watched, and written to the store as it happens.

The counterpart of `AskRun` in `tale_core.sessions` for long work on one question. Knows the store and the client
protocol; knows no thread (see `tale_core.jobs`) and no page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from tale_core.elasticity import SweepDone, SweepEvent, SweepPlan, SweepProgress, SweepResult, sweep
from tale_core.errors import StoreError
from tale_core.probing import ProbeDelta, ProbeFinished, ProbeKey, ProbeStarted, Spent
from tale_core.recording import Recorder
from tale_core.search import SearchDone, SearchEvent, SearchPlan, SearchResult, SearchStep, search
from tale_core.spending import Ledger
from tale_core.store import Store, current_owner, new_session_id, through_outage
from tale_core.studies import Common, SearchView, StudyPhase, SweepView, informed
from tale_core.types import CallRecord, Client, SessionKind, SessionRecord, Status


class StoreCache:
    """Answers known from earlier sessions; implements `tale_core.probing.ProbeCache`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, cache_key: str) -> CallRecord | None:
        """A finished call of this fingerprint, or None; a store that fails knows nothing."""
        try:
            return await asyncio.to_thread(through_outage, lambda _again: self._store.finished_call(cache_key))
        except StoreError:
            return None


class StudyRun:
    """Runs one search or sweep and writes it down.

    Args:
        plan: Validated here; nothing is stored when it is wrong.
        open_client: Makes the client, waiting for weights and server if need be; its errors end the session as failed.
        model: Name for the session's row before the client exists.
        endpoint: Likewise.
        on_change: Called after every change, from the event loop.
        on_event: Told every event as it happens, from the event loop.
        shared: Keeps the limits of several searches together, beside those of the plan.

    Raises:
        InputError: The plan is wrong.
    """

    def __init__(
        self,
        plan: SearchPlan | SweepPlan,
        *,
        store: Store,
        open_client: Callable[[], Awaitable[Client]],
        model: str,
        endpoint: str,
        on_change: Callable[[], None] = lambda: None,
        on_event: Callable[[SearchEvent | SweepEvent], None] = lambda event: None,
        shared: Ledger | None = None,
    ) -> None:
        plan.validate()
        self.plan = plan
        self.kind: SessionKind = "search" if isinstance(plan, SearchPlan) else "sweep"
        self.id = new_session_id(self.kind)
        self._store, self._open_client, self._on_change = store, open_client, on_change
        self._on_event, self._shared = on_event, shared
        self._model, self._endpoint = model, endpoint
        self._client: Client | None = None
        self._recorder: Recorder[ProbeKey] = Recorder(store, self.id)
        self._phase: StudyPhase = "preparing"
        self._status: Status = "running"
        self._spent = Spent()
        self._steps: list[SearchStep] = []
        self._found: SearchResult | SweepResult | None = None
        self._finished = self._planned = 0
        self._error: str | None = None
        self._notice: str | None = None

    def view(self) -> SearchView | SweepView:
        """The picture as it stands; safe to call from any thread."""
        common = Common(
            session_id=self.id,
            status=self._status,
            phase=self._phase,
            question=self.plan.question,
            model=self._model,
            endpoint=self._endpoint,
            calls=self._recorder.every_view(),
            spent=self._spent,
            parent_id=self.plan.parent_id,
            error=self._error,
        )
        found, not_saved, notice = self._found, self._recorder.not_saved, self._notice
        if isinstance(self.plan, SearchPlan):
            return SearchView(
                **common,
                not_saved=not_saved,
                notice=notice,
                plan=self.plan,
                steps=tuple(self._steps),
                result=found if isinstance(found, SearchResult) else None,
            )
        return SweepView(
            **common,
            not_saved=not_saved,
            notice=notice,
            plan=self.plan,
            finished=self._finished,
            planned=self._planned,
            result=found if isinstance(found, SweepResult) else None,
        )

    def notice(self, words: str) -> None:
        """Show what is being waited for, until the next event."""
        self._notice = words
        self._on_change()

    async def run(self) -> SearchView | SweepView:
        """Run to the end. Cancelling the task that awaits this stops the spending, and the session says cancelled.

        Returns:
            The final picture; a failure is in `status` and `error`, never raised.
        """
        status, error = await self._recorder.live(self._go, client=lambda: self._client)
        self._status, self._error, self._phase = status, error, "ended"
        if status != "done":  # What a stop cut off was booked after the last event.
            self._spent = Spent.of(call.record for call in self._recorder.every_view())
        self._on_change()
        return self.view()

    def _session_record(self) -> SessionRecord:
        return SessionRecord(
            id=self.id,
            kind=self.kind,
            plan=self.plan.document(),
            question=self.plan.question,
            model=self._model,
            endpoint=self._endpoint,
            estimator="",
            template=self.plan.template,
            parent_id=self.plan.parent_id,
            owner=current_owner(),
        )

    async def _go(self) -> Status:
        # The row is on its way before anything else: a stop from here on finds a session to end.
        await asyncio.shield(self._recorder.post(self._create))
        self._client = await self._open_client()
        self._model, self._endpoint = self._client.model, self._client.endpoint
        self._phase, self._notice = "running", None
        self._on_change()
        async with aclosing(self._events(self._client)) as events:
            async for event in events:
                self._on_event(event)
                await self._take(event)
                if not self._recorder.waiting:
                    self._notice = None
                self._on_change()
        return "done"

    def _create(self) -> None:
        if isinstance(self.plan, SearchPlan):
            self.plan = informed(self.plan, self._store, self._model)
        self._store.create_session(self._session_record())

    def _events(self, client: Client) -> AsyncGenerator[SearchEvent | SweepEvent, None]:
        cache = StoreCache(self._store)
        if isinstance(self.plan, SearchPlan):
            return search(self.plan, client, session_id=self.id, cache=cache, shared=self._shared)
        return sweep(self.plan, client, session_id=self.id, cache=cache)

    async def _take(self, event: SearchEvent | SweepEvent) -> None:
        match event:
            case ProbeDelta(key, text, reasoning):
                self._recorder.grow(key, text, reasoning)
            case ProbeStarted(key, call):
                self._recorder.begin(key, call)
            case ProbeFinished(key, call, spent):
                await self._recorder.finish(key, call)
                self._spent = spent
            case SearchStep():
                self._steps.append(event)
                self._post_result()
            case SearchDone(result):
                self._found = result
                self._post_result()
            case SweepProgress(swept, finished, planned):
                self._found, self._finished, self._planned = swept, finished, planned
                self._post_result()
            case SweepDone(swept):
                self._found = swept
                self._post_result()

    def _post_result(self) -> None:
        """Write what was found so far; a kill then loses one step at most."""
        done = self._found.document() if self._found else None
        if self.kind == "search":
            found: dict[str, Any] = {"steps": [s.document() for s in self._steps], "done": done}
        else:
            found = {"done": done, "finished": self._finished, "planned": self._planned}
        self._recorder.post(lambda: self._store.update_session(self.id, result=found))
