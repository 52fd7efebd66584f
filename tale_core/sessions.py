"""An Ask as it lives: what has been said so far, and its writing to the store as it happens.

`AskRun` consumes the events of `tale_core.ask.ask`, keeps a live picture for whoever watches, and stores every call
when it starts, twice a second while it grows, and when it ends. `AskView` is the picture; `view_of` makes the same
picture from a stored session, so that a reopened link and a running answer are drawn by the same code. Knows the store
and the client protocol; knows no thread (see `tale_core.jobs`) and no page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from tale_core.ask import AskEvent, AskPlan, CallDelta, CallFinished, CallStarted, EstimateReady, ask
from tale_core.recording import CallView, Recorder, stored_view
from tale_core.store import Store, current_owner, new_session_id
from tale_core.types import Client, Estimate, Question, Role, SessionRecord, Status

Phase = Literal["preparing", "estimating", "answering", "ended"]


@dataclass(frozen=True, slots=True)
class AskView:
    """A picture of one Ask, running or stored.

    Attributes:
        error: Why it failed, in words.
        not_saved: Why the store holds less than this picture, in words.
        notice: What is being waited for right now, in words, where that is not plain from the phase.
    """

    session_id: str
    status: Status
    phase: Phase
    question: Question
    model: str
    endpoint: str
    together: bool
    calls: Mapping[Role, CallView] = field(default_factory=dict)
    budget: int | None = None
    estimator: str = ""
    budget_raw: str = ""
    budget_problem: str | None = None
    guesses: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    not_saved: str | None = None
    notice: str | None = None
    template: str = ""

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status == "running"


def view_of(session: SessionRecord) -> AskView:
    """The picture of a stored session."""
    calls = {c.role: stored_view(c) for c in session.calls}
    return AskView(
        session_id=session.id,
        status=session.status,
        phase="ended",
        question=session.question,
        model=session.model,
        endpoint=session.endpoint,
        together=session.together,
        calls=calls,
        budget=session.budget,
        estimator=session.estimator,
        budget_raw=session.budget_raw,
        budget_problem=session.budget_problem,
        guesses=session.guesses,
        error=session.error,
        template=session.template,
    )


class AskRun:
    """Runs one Ask and writes it down.

    Args:
        plan: Validated here; nothing is stored when it is wrong.
        open_client: Makes the client, waiting for weights and server if need be; its errors end the session as failed.
        model: Name for the session's row before the client exists.
        endpoint: Likewise.
        on_change: Called after every change, from the event loop.
        on_event: Told every event as it happens, from the event loop.

    Raises:
        InputError: The plan is wrong.
    """

    def __init__(
        self,
        plan: AskPlan,
        *,
        store: Store,
        open_client: Callable[[], Awaitable[Client]],
        model: str,
        endpoint: str,
        on_change: Callable[[], None] = lambda: None,
        on_event: Callable[[AskEvent], None] = lambda event: None,
    ) -> None:
        self.estimator = plan.validate(model=model).name
        self.plan = plan
        self.id = new_session_id()
        self._store = store
        self._open_client = open_client
        self._model, self._endpoint = model, endpoint
        self._on_change = on_change
        self._on_event = on_event
        self._client: Client | None = None
        self._estimate: Estimate | None = None
        self._phase: Phase = "preparing"
        self._status: Status = "running"
        self._error: str | None = None
        self._notice: str | None = None
        self._recorder: Recorder[Role] = Recorder(store, self.id)

    @property
    def pieces(self) -> dict[Role, int]:
        """Pieces received so far, by role: much cheaper than a picture."""
        return {role: live.pieces for role, live in list(self._recorder.live_calls.items())}

    @property
    def ended(self) -> bool:
        """Nothing will change any more."""
        return self._phase == "ended"

    def view(self) -> AskView:
        """The picture as it stands; safe to call from any thread."""
        estimate = self._estimate
        return AskView(
            session_id=self.id,
            status=self._status,
            phase=self._phase,
            question=self.plan.question,
            model=self._model,
            endpoint=self._endpoint,
            together=self.plan.together,
            calls=self._recorder.views(),
            budget=estimate.budget if estimate else None,
            estimator=self.estimator,
            budget_raw=estimate.raw if estimate else "",
            budget_problem=estimate.problem if estimate else None,
            guesses=self.plan.guesses,
            error=self._error,
            not_saved=self._recorder.not_saved,
            notice=self._notice,
            template=self.plan.template,
        )

    def notice(self, words: str) -> None:
        """Show what is being waited for, until the next event."""
        self._notice = words
        self._on_change()

    async def run(self) -> AskView:
        """Run to the end. Cancelling the task that awaits this stops the spending, and the session says cancelled.

        Returns:
            The final picture; a failure is in `status` and `error`, never raised.
        """
        status, error = await self._recorder.live(self._answer, client=lambda: self._client)
        self._status, self._error, self._phase = status, error, "ended"
        self._on_change()
        return self.view()

    def _session_record(self) -> SessionRecord:
        plan = self.plan
        return SessionRecord(
            id=self.id,
            question=plan.question,
            model=self._model,
            endpoint=self._endpoint,
            estimator=self.estimator,
            template=plan.template,
            together=plan.together,
            guesses=dict(plan.guesses),
            parent_id=plan.parent_id,
            owner=current_owner(),
        )

    async def _answer(self) -> Status:
        record = self._session_record()
        self._recorder.post_once(lambda again: self._store.create_session(record, again=again))
        self._client = await self._open_client()
        self._model, self._endpoint = self._client.model, self._client.endpoint
        self._phase, self._notice = "estimating", None
        self._on_change()
        async with aclosing(ask(self.plan, self._client, session_id=self.id)) as events:
            async for event in events:
                self._on_event(event)
                await self._take(event)
                if not self._recorder.waiting:  # One answer may wait for its endpoint while the other one grows.
                    self._notice = None
                self._on_change()
        failed = any(live.record.status == "failed" for live in self._recorder.live_calls.values())
        return "failed" if failed else "done"

    async def _take(self, event: AskEvent) -> None:
        match event:
            case CallDelta(role, text, reasoning):
                self._recorder.grow(role, text, reasoning)
            case CallStarted(call):
                self._recorder.begin(call.role, call)
            case CallFinished(call):
                await self._recorder.finish(call.role, call)
            case EstimateReady(estimate):
                self._estimate, self._phase = estimate, "answering"
                self._recorder.post(
                    lambda: self._store.update_session(
                        self.id, budget=estimate.budget, budget_raw=estimate.raw, budget_problem=estimate.problem
                    )
                )
