"""An experiment as it lives: run, watched, stopped, reopened by its id.

`ExperimentView` is the picture; `view_of` makes the same picture from the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tale_core.calls.budget_ledger import Spent
from tale_core.calls.events import RateLimited
from tale_core.calls.recorder import BEAT_S, how_it_ended, to_the_end
from tale_core.calls.retry import RetryPolicy
from tale_core.errors import StoreError, TaleError
from tale_core.experiments.create import create_experiment
from tale_core.experiments.events import ExperimentDone, ExperimentEvent, ExperimentStarted, Progress
from tale_core.experiments.plan import CheckedExperiment, ExperimentPlan
from tale_core.experiments.results import ExperimentResults, results, stored_plan
from tale_core.experiments.runner import run_experiment
from tale_core.i18n import t
from tale_core.store import Store, new_session_id
from tale_core.types import Client, Status

Phase = Literal["preparing", "running", "ended"]
RESULTS_S = 2.0
"""Seconds between two tables of a running experiment, at least; never more than a twentieth of the time goes there."""


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """A picture of one experiment, running or stored.

    Attributes:
        finished: Answers that are there, those before a resume included.
        failed: Answers that failed since it was started or resumed; for a stored one, those that stand as failed.
        eta_s: Seconds left at the pace so far; None when unknown.
        concurrency: Calls that may run at the same time now.
        results: The table so far; None before the first.
        error: Why it stopped before its end, in words.
        notice: What is being waited for right now, in words.
        created_at: When it was started; None before it is stored.
    """

    experiment_id: str
    status: Status
    phase: Phase
    plan: ExperimentPlan
    model: str
    endpoint: str
    finished: int
    failed: int
    planned: int
    spent: Spent
    eta_s: float | None = None
    concurrency: int | None = None
    results: ExperimentResults | None = None
    error: str | None = None
    notice: str | None = None
    created_at: datetime | None = None

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status == "running"


def view_of(store: Store, experiment_id: str) -> ExperimentView:
    """The picture of a stored experiment; one whose process is gone is interrupted and can be resumed.

    Raises:
        NotFoundError: No such experiment.
        StoreError: It is no experiment, or cannot be read.
    """
    from tale_core.store import ExperimentStore

    plan = stored_plan(store, experiment_id)
    head, found = ExperimentStore(store).head(experiment_id), results(store, experiment_id)
    return ExperimentView(
        experiment_id=experiment_id,
        status=head.status,
        phase="running" if head.status == "running" else "ended",
        plan=plan,
        model=head.model,
        endpoint=head.endpoint,
        finished=found.finished,
        failed=found.failed,
        planned=found.planned,
        spent=found.spent,
        results=found,
        error=head.error,
        created_at=head.created_at,
    )


class ExperimentRun:
    """Runs one experiment and keeps a picture of it.

    Args:
        plan: What to run.
        store: Where everything goes.
        open_client: Makes the client, waiting for weights and server if need be; its errors end the run as failed.
        model: Name for the experiment's row before the client exists.
        endpoint: Likewise.
        on_change: Called after every change, from the event loop.
        tables: Make a table of the results now and then while it runs.
        retry: How often a call is tried again.
    """

    def __init__(
        self,
        plan: CheckedExperiment,
        *,
        store: Store,
        open_client: Callable[[], Awaitable[Client]],
        model: str,
        endpoint: str,
        on_change: Callable[[], None] = lambda: None,
        tables: bool = True,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.plan: CheckedExperiment = plan
        self.id = plan.resume_of or new_session_id("experiment")
        self._store, self._open_client, self._on_change = store, open_client, on_change
        self._model, self._endpoint, self._tables, self._retry = model, endpoint, tables, retry
        self._client: Client | None = None
        self._phase: Phase = "preparing"
        self._status: Status = "running"
        self._progress = Progress(0, 0, plan.planned, Spent(), None, plan.start or plan.concurrency)
        self._results: ExperimentResults | None = None
        self._next_table = 0.0
        self._last_table = False
        self._tabling: asyncio.Task[None] | None = None
        self._stored: asyncio.Future[CheckedExperiment] | None = None
        self._error: str | None = None
        self._notice: str | None = None

    def view(self) -> ExperimentView:
        """The picture as it stands; safe to call from any thread."""
        now = self._progress
        return ExperimentView(
            experiment_id=self.id,
            status=self._status,
            phase=self._phase,
            plan=self.plan,
            model=self._model,
            endpoint=self._endpoint,
            finished=now.finished,
            failed=now.failed,
            planned=now.planned,
            spent=now.spent,
            eta_s=now.eta_s,
            concurrency=now.concurrency,
            results=self._results,
            error=self._error,
            notice=self._notice,
        )

    def notice(self, words: str) -> None:
        """Show what is being waited for, until the next answer."""
        self._notice = words
        self._on_change()

    async def run(self) -> ExperimentView:
        """Run to the end. Cancelling the task that awaits this stops the spending, and the experiment says cancelled.

        Returns:
            The final picture; a failure is in `status` and `error`, never raised.
        """
        beat = asyncio.create_task(self._beat())
        status: Status = "failed"
        try:
            status, error = await how_it_ended(self._go, self.id)
            self._error = error or self._error
        finally:
            beat.cancel()
            await to_the_end(self._end(status))
        self._status, self._phase, self._notice = status, "ended", None
        self._on_change()
        return self.view()

    async def _go(self) -> Status:
        creating = asyncio.to_thread(
            create_experiment, self.plan, self._store, model=self._model, endpoint=self._endpoint, experiment_id=self.id
        )
        self._stored = asyncio.ensure_future(creating)
        self.plan = await asyncio.shield(self._stored)
        self._client = await self._open_client()
        self._model, self._endpoint = self._client.model, self._client.endpoint
        events = run_experiment(self.plan, self._client, self._store, retry=self._retry, created=True)
        async with aclosing(events):
            async for event in events:
                self._take(event)
                self._on_change()
        return "done" if self._error is None else "failed"

    def _take(self, event: ExperimentEvent) -> None:
        match event:
            case ExperimentStarted(finished=finished):
                self._phase, self._notice = "running", None
                self._progress = Progress(
                    finished, 0, self.plan.planned, Spent(), None, self.plan.start or self.plan.concurrency
                )
            case Progress():
                self._progress, self._notice = event, None
                self._maybe_table()
            case RateLimited(wait_s, concurrency, words):
                self._notice = t(
                    "{words} Waiting {seconds:.0f} s, then at most {n} at a time.",
                    words=words,
                    seconds=wait_s,
                    n=concurrency,
                )
            case ExperimentDone(found, stop):
                self._results, self._error, self._last_table = found, stop, True

    def _maybe_table(self) -> None:
        busy = self._tabling is not None and not self._tabling.done()
        if self._tables and not busy and time.monotonic() >= self._next_table:
            self._tabling = asyncio.create_task(self._table())

    async def _table(self) -> None:
        began = time.monotonic()
        with suppress(StoreError):
            found = await asyncio.to_thread(results, self._store, self.id)
            if not self._last_table:  # The whole may be there by now, and this one was begun before it.
                self._results = found
                self._on_change()
        took = time.monotonic() - began
        self._next_table = time.monotonic() + max(RESULTS_S, 20 * took)

    async def _beat(self) -> None:
        """Signs of life while weights are fetched; the runner gives its own."""
        while True:
            await asyncio.sleep(BEAT_S)
            if self._phase == "preparing":
                with suppress(StoreError):
                    await asyncio.to_thread(self._store.heartbeat, [self.id])

    async def _end(self, status: Status) -> None:
        if self._tabling is not None:
            await asyncio.gather(self._tabling, return_exceptions=True)
        if self._stored is not None:
            # What the runner has written about the end stays: the first end counts.
            with suppress(TaleError):
                await self._stored
                await asyncio.to_thread(self._store.finish_session, self.id, status, error=self._error)
        if self._client is not None:
            await self._client.aclose()
        if status != "done" and self._stored is not None:
            with suppress(TaleError):
                self._results = await asyncio.to_thread(results, self._store, self.id)
                self._progress = _final(self._results, self._progress)


def _final(found: ExperimentResults, before: Progress) -> Progress:
    """What a stop cut off was booked after the last event."""
    return Progress(found.finished, found.failed, found.planned, found.spent, None, before.concurrency)
