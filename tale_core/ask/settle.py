"""How much of an answer was needed: closes a stored Ask's answer at its steps, and keeps what is found beside it.

The probes are calls of the same session, with the role "forced", so that everything about them is stored, exported and
counted as it is of any call; where the answer was settled is read off them (`tale_core.calls.settling`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Unpack

from tale_core.ask.run import AskView, view_of
from tale_core.budgets.continuing import check_continues
from tale_core.calls.budget_ledger import Ledger, Limits
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallEvent, CallFinished
from tale_core.calls.recorder import Recorder
from tale_core.calls.run import Run, Where
from tale_core.calls.settling import places, settle
from tale_core.calls.stored_answers import StoredAnswers
from tale_core.errors import InputError, StoreError
from tale_core.grading import infer_kind
from tale_core.grading.lines import evaluated
from tale_core.i18n import t
from tale_core.labels import catch_up
from tale_core.types import AnswerRole, CallRecord, Client, Question, SessionRecord


@dataclass(frozen=True, slots=True)
class SettlePlan:
    """Which answer of which Ask."""

    session: SessionRecord
    role: AnswerRole = "vanilla"

    @property
    def question(self) -> Question:
        """Of the Ask."""
        return self.session.question

    @property
    def template(self) -> str:
        """Of the Ask."""
        return self.session.template

    @property
    def parent_id(self) -> str | None:
        """None: it is no session of its own."""
        return None

    @property
    def call(self) -> CallRecord | None:
        """The answer; None where there is none."""
        return next((c for c in self.session.calls if c.role == self.role), None)

    def validate(self, *, model: str) -> CallRecord:
        """The answer that is to be closed.

        Raises:
            InputError: It is not there, another model answered it, or it is no text that leads to an answer.
        """
        call = self.call
        if self.session.kind != "ask" or call is None or call.status != "done" or not call.completion_tokens:
            raise InputError(t("There is no finished answer to look into."), t("Ask a question first."))
        if evaluated(call.prompt_template):
            raise InputError(t("An answer in lines is worked out by a calculator."), t("Ask for an answer in prose."))
        if model != self.session.model:
            raise InputError(
                t("{answered} gave this answer, and {chosen} is chosen.", answered=self.session.model, chosen=model),
                t("Choose {model} in Settings: only the same model can say what it would have answered.",
                  model=self.session.model),
            )  # fmt: skip
        return call


class SettleRun(Run[SettlePlan, CallEvent, AskView]):
    """Closes an answer at its steps; under the id of its Ask, whose picture it shows. See `Run`.

    Raises:
        InputError: See `SettlePlan.validate`.
    """

    begun = "settling"

    def __init__(self, plan: SettlePlan, **where: Unpack[Where[CallEvent]]) -> None:
        self._call = plan.validate(model=where["model"])
        super().__init__(plan, "ask", at_end=catch_up, **where)
        self.id = plan.session.id
        self._recorder: Recorder[Any] = Recorder(self._store, self.id, at_end=catch_up)
        self._stored = view_of(plan.session)
        self._made, self._wanted = 0, len(places(self._call))

    def view(self) -> AskView:
        """The picture of the Ask; safe to call from any thread."""
        now = self._fields()
        if self.ended:
            return replace(self._stored, cannot=now["error"], not_saved=now["not_saved"])
        return replace(
            self._stored,
            status="running",
            phase=now["phase"],
            notice=now["notice"],
            closed_at=(self._made, self._wanted),
        )

    async def _begin(self) -> None:
        """Its session is there."""

    async def _events(self, client: Client) -> AsyncGenerator[CallEvent, None]:
        await check_continues(client)
        ledger = Ledger(Limits(), client.price, self._call.sampling.max_tokens)
        known = StoredAnswers(self._store, self.id)
        caller = Caller(client, ledger, session_id=self.id, cache=known)
        question = replace(self.plan.question, kind=infer_kind(self.plan.question))
        async for event in settle(self._call, question, caller, client):
            yield event

    async def _take(self, event: CallEvent) -> None:
        await self._recorder.take(event)
        self._made += isinstance(event, CallFinished) and not event.again

    async def run(self) -> AskView:
        """See `Run.run`; the picture then holds what was found."""
        await super().run()
        with suppress(StoreError):  # Said already, where it was met first.
            self._stored = view_of(await asyncio.to_thread(self._store.get_session, self.id))
        self._on_change()
        return self.view()
