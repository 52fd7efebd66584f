"""An Ask as it lives: `AskRun` runs and stores it, `AskView` is the picture that a page draws.

`view_of` makes the same picture from a stored session, so that a reopened link and a running answer look the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import Literal, Unpack

from tale_core.ask.plan import AskEvent, CheckedAsk, EstimateReady, ask, ask_caller
from tale_core.budgets.continuing import check_continues
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallStarted
from tale_core.calls.recorder import CallView, stored_view
from tale_core.calls.run import Run, Where
from tale_core.calls.settling import Settled, settled
from tale_core.errors import ModelError, TaleError
from tale_core.estimators import vanilla_tokens
from tale_core.labels import catch_up
from tale_core.types import ANSWERS, Client, Estimate, Question, Role, SessionRecord, Status

EXPECTATION_S = 1.0
"""Seconds that the store has to say how long a vanilla answer may get."""
Phase = Literal["preparing", "estimating", "answering", "settling", "ended"]


@dataclass(frozen=True, slots=True)
class AskView:
    """A picture of one Ask, running or stored.

    Attributes:
        error: Why it failed, in words.
        not_saved: Why the store holds less than this picture, in words.
        notice: What is being waited for right now, in words, where that is not plain from the phase.
        created_at: When it was asked.
        expected: Of a running one, output tokens that the vanilla answer is expected to take: what an estimator tells
            of the question, else the median of what this model's stored ones took when it began, or what the one took
            that is shown again; None where there are none.
        foretold: `expected` is about this very question.
        axis_known: Whether `expected` is settled; until then no axis is drawn, so that none ever changes.
        settled: Where the answers were there already, of those that were asked so.
        closed_at: While that is asked, at how many places, and of how many.
        cannot: Why no answer can be forced out, in words, once somebody wanted one.
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
    created_at: datetime | None = None
    expected: int | None = None
    foretold: bool = False
    axis_known: bool = True
    settled: Mapping[Role, Settled] = field(default_factory=dict)
    closed_at: tuple[int, int] = (0, 0)
    cannot: str | None = None

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status == "running"


def view_of(session: SessionRecord) -> AskView:
    """The picture of a stored session."""
    calls: dict[Role, CallView] = {c.role: stored_view(c) for c in session.calls if c.role != "forced"}
    closed = {
        role: settled(call.record, session.calls, session.question) for role, call in calls.items() if role in ANSWERS
    }
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
        created_at=session.created_at,
        settled={role: found for role, found in closed.items() if found is not None},
    )


class AskRun(Run[CheckedAsk, AskEvent, AskView]):
    """Runs one Ask and writes it down; see `Run`."""

    begun = "estimating"

    def __init__(self, plan: CheckedAsk, **where: Unpack[Where[AskEvent]]) -> None:
        self.estimator = plan.how(model=where["model"]).name
        super().__init__(plan, "ask", at_end=catch_up, **where)
        self._estimate: Estimate | None = None
        self._expected = plan.reuse_vanilla.completion_tokens if plan.reuse_vanilla else None
        self._foretold = False
        self._looking_up: asyncio.Task[None] | None = None
        self._caller: Caller | None = None
        self._closing: asyncio.Task[None] | None = None
        self._cannot: str | None = None

    @property
    def pieces(self) -> dict[Role, int]:
        """Pieces received so far, by role: much cheaper than a picture."""
        return {role: live.pieces for role, live in list(self._recorder.live_calls.items())}

    def view(self) -> AskView:
        """The picture as it stands; safe to call from any thread."""
        estimate = self._estimate
        known = self._expected is not None or (self._looking_up is not None and self._looking_up.done())
        return AskView(
            **self._fields(),
            together=self.plan.together,
            calls=self._recorder.views(),
            budget=estimate.budget if estimate else None,
            estimator=self.estimator,
            budget_raw=estimate.raw if estimate else "",
            budget_problem=estimate.problem if estimate else None,
            guesses=self.plan.guesses,
            template=self.plan.template,
            expected=self._expected,
            foretold=self._foretold,
            axis_known=known,
            cannot=self._cannot,
        )

    def answer_now(self) -> None:
        """Close the thoughts of the answers that are being written and force them out; from the event loop.

        Where the endpoint cannot do that, they are left alone and the picture says so.
        """
        if self._closing is None or self._closing.done():
            self._closing = asyncio.create_task(self._close_answers())

    async def _close_answers(self) -> None:
        while self._client is None or self._caller is None:
            await asyncio.sleep(0.05)  # Its model is still being fetched or loaded.
        try:
            await check_continues(self._client)
        except ModelError as e:
            self._cannot = str(e)
            self._on_change()
        else:
            self._caller.answer_now()

    async def _begin(self) -> None:
        await super()._begin()
        # Nothing waits for it: those who ask at the same time keep their order in a room's queue.
        if self._expected is None:
            self._looking_up = asyncio.create_task(self._look_up())

    async def _look_up(self) -> None:
        """How long this model's vanilla answers are; the default stands where the store fails or is late."""
        for known in (self._told, self._usual):
            with suppress(TaleError, TimeoutError):
                self._expected = await asyncio.wait_for(asyncio.to_thread(known), EXPECTATION_S)
            if self._expected is not None:
                self._foretold = known == self._told
                return

    def _told(self) -> int | None:
        return vanilla_tokens(self.plan.question, model=self._model)

    def _usual(self) -> int | None:
        tokens = self._store.vanilla_tokens(model=self._model)
        return round(median(tokens)) if tokens else None

    def _session_record(self) -> SessionRecord:
        plan = self.plan
        guesses = dict(plan.guesses)
        return replace(super()._session_record(), estimator=self.estimator, together=plan.together, guesses=guesses)

    def _events(self, client: Client) -> AsyncGenerator[AskEvent, None]:
        self._caller = ask_caller(self.plan, client, self.id)
        return ask(self.plan, client, session_id=self.id, caller=self._caller)

    async def _go(self) -> Status:
        try:
            await super()._go()
        finally:
            for beside in filter(None, (self._looking_up, self._closing)):
                beside.cancel()
        failed = any(live.record.status == "failed" for live in self._recorder.live_calls.values())
        return "failed" if failed else "done"

    async def _take(self, event: AskEvent) -> None:
        if isinstance(event, EstimateReady):
            found = event.estimate
            self._estimate, self._phase = found, "answering"
            self._post(budget=found.budget, budget_raw=found.raw, budget_problem=found.problem)
            return
        if isinstance(event, CallStarted) and event.call.role in ANSWERS:
            self._phase = "answering"  # An adapter's answer comes without an estimate.
        await self._recorder.take(event)
