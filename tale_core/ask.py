"""One Ask: estimate a budget, answer the question vanilla and budgeted, grade both.

`ask` is an async iterator of events, pure over the client protocol: it knows no store, no server and no page. Whoever
listens (the job runner, the command line, the store's recorder) sees the same stream. Closing the iterator closes the
requests in flight, so that spending stops.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from tale_core import prompts
from tale_core.calls import begun_call, booked_call, failed_call, graded_call, replayed_call
from tale_core.errors import InputError, ModelError
from tale_core.estimators import Estimator, estimator
from tale_core.estimators.zero_shot import SAMPLING as ESTIMATE_SAMPLING
from tale_core.grading import infer_kind
from tale_core.i18n import t
from tale_core.strategies import Tuned, check_base, tuned
from tale_core.streams import chain, merge
from tale_core.types import (
    TUNED,
    CallRecord,
    Client,
    Delta,
    Estimate,
    Question,
    Request,
    Role,
    Sampling,
)

MAX_QUESTION_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class AskPlan:
    """Everything that decides an Ask, fixed before it starts.

    Attributes:
        estimator: Registry name (see `tale_core.estimators`); a trained one is that of the model that answers.
            "tuned:NAME" estimates nothing: the second answer is the adapter's, to the plain question.
        together: Generate both answers at the same time; False runs them one after the other for clean timing.
        reuse_vanilla: A finished vanilla call with the same settings; it is shown as cached and not paid again.
        guesses: Token counts guessed before the reveal, by role.
    """

    question: Question
    estimator: str = "zero-shot"
    template: str = prompts.DEFAULT_TEMPLATE
    sampling: Sampling = field(default_factory=Sampling)
    together: bool = True
    reuse_vanilla: CallRecord | None = None
    parent_id: str | None = None
    guesses: dict[str, int] = field(default_factory=dict)

    def validate(self, *, model: str = "") -> Estimator:
        """Check everything that can be wrong before anything is spent; return the estimator.

        Args:
            model: The model that will answer; only a trained estimator needs it.

        Raises:
            InputError: Empty or too long question, unknown estimator or template, max_tokens below 1.
            EstimatorFileError: A file of a trained estimator cannot be used.
        """
        text = self.question.text.strip()
        if not text:
            raise InputError(t("The question is empty."), t("Type a question first."))
        if len(text) > MAX_QUESTION_CHARS:
            raise InputError(
                t("The question has {n:,} characters.", n=len(text)),
                t("At most {n:,} are allowed.", n=MAX_QUESTION_CHARS),
            )
        if self.sampling.max_tokens is not None and self.sampling.max_tokens < 1:
            raise InputError(
                t("max_tokens is {given}.", given=self.sampling.max_tokens), t("Give a whole number from 1.")
            )
        if self.sampling.temperature is not None and not 0 <= self.sampling.temperature <= 2:
            raise InputError(
                t("The temperature is {given}.", given=self.sampling.temperature), t("Give a number from 0 to 2.")
            )
        prompts.template(self.template)
        if self.estimator.startswith(TUNED):
            return _Tuned(tuned(self.estimator.removeprefix(TUNED)), model)
        return estimator(self.estimator, model=model, template=self.template)


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call is about to be sent."""

    call: CallRecord


@dataclass(frozen=True, slots=True)
class CallDelta:
    """New text of a running call."""

    role: Role
    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call ended: done, failed or cancelled; the record says which and holds every number."""

    call: CallRecord


@dataclass(frozen=True, slots=True)
class EstimateReady:
    """The budget is known."""

    estimate: Estimate


AskEvent = CallStarted | CallDelta | CallFinished | EstimateReady


async def ask(plan: AskPlan, client: Client, *, session_id: str = "") -> AsyncGenerator[AskEvent, None]:
    """Estimate, then answer twice; see the module's docstring.

    A failing estimator stops the Ask (its error is raised). A failing answer does not stop the other one: its
    `CallFinished` carries the error in words.

    Raises:
        InputError: The plan is wrong; nothing was sent.
        ModelError: The estimator's call failed.
    """
    how = plan.validate(model=client.model)
    question = replace(plan.question, kind=infer_kind(plan.question))
    calls = _Calls(plan, question, client, session_id)
    estimate: Estimate | None = None
    async with aclosing(calls.estimate(how)) as events:
        async for event in events:
            if isinstance(event, EstimateReady):
                estimate = event.estimate
            yield event
    vanilla = calls.replay(plan.reuse_vanilla) if plan.reuse_vanilla else calls.answer("vanilla", None)
    if isinstance(how, _Tuned):
        budgeted = calls.tuned(how)
    else:
        assert estimate is not None
        budgeted = calls.answer("budgeted", estimate.budget)
    streams = merge(vanilla, budgeted) if plan.together else chain(vanilla, budgeted)
    async with aclosing(streams) as events:
        async for event in events:
            yield event


class _Tuned:
    """In the estimator's place where an adapter answers instead of a budget.

    Raises:
        InputError: The adapter belongs to another model than the one that answers.
    """

    asks_model = False

    def __init__(self, how: Tuned, model: str) -> None:
        if model:
            check_base(how, model)
        self.name, self.adapter = how.name, how.adapter

    async def estimate(self, question: Question, client: Client) -> AsyncGenerator[Delta | Estimate, None]:
        """Nothing."""
        return
        yield


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls of one Ask, each as a stream of events."""

    plan: AskPlan
    question: Question
    client: Client
    session_id: str

    async def estimate(self, how: Estimator) -> AsyncGenerator[AskEvent, None]:
        request = Request(prompts.estimate_messages(self.question), ESTIMATE_SAMPLING)
        call = begun_call(
            "estimate",
            request,
            self.client,
            session_id=self.session_id,
            template=prompts.ESTIMATE_TEMPLATE,
            version=prompts.ESTIMATE_VERSION,
        )
        if how.asks_model:
            yield CallStarted(call)
        try:
            async with aclosing(how.estimate(self.question, self.client)) as stream:
                async for item in stream:
                    if isinstance(item, Delta):
                        yield CallDelta("estimate", item.text, item.reasoning)
                        continue
                    if item.completion is not None:
                        yield CallFinished(booked_call(call, item.completion))
                    yield EstimateReady(item)
        except ModelError as e:
            yield CallFinished(failed_call(call, e))
            raise

    async def answer(self, role: Role, budget: int | None) -> AsyncGenerator[AskEvent, None]:
        template = prompts.template(self.plan.template)
        kind = self.question.kind or "number"
        messages = prompts.answer_messages(self.question, template_name=template.name, kind=kind, budget=budget)
        request = Request(messages, self.plan.sampling)
        async with aclosing(self._asked(role, request, template.name, template.version, budget)) as events:
            async for event in events:
                yield event

    async def tuned(self, how: _Tuned) -> AsyncGenerator[AskEvent, None]:
        request = Request(prompts.plain_messages(self.question), self.plan.sampling, how.adapter)
        async with aclosing(self._asked("budgeted", request, f"{TUNED}{how.adapter}", 1, None)) as events:
            async for event in events:
                yield event

    async def _asked(
        self, role: Role, request: Request, template: str, version: int, budget: int | None
    ) -> AsyncGenerator[AskEvent, None]:
        call = begun_call(
            role,
            request,
            self.client,
            session_id=self.session_id,
            template=template,
            version=version,
            budget=budget,
        )
        yield CallStarted(call)
        try:
            async with aclosing(self.client.stream(request)) as stream:
                async for item in stream:
                    if isinstance(item, Delta):
                        yield CallDelta(role, item.text, item.reasoning)
                    else:
                        yield CallFinished(await graded_call(booked_call(call, item), self.question))
        except ModelError as e:
            yield CallFinished(failed_call(call, e))

    async def replay(self, stored: CallRecord) -> AsyncGenerator[AskEvent, None]:
        """A stored call shown again: marked cached, with its original latency, graded against today's known answer."""
        call = replayed_call(stored, session_id=self.session_id)
        yield CallStarted(call)
        yield CallDelta(call.role, stored.text, stored.reasoning_text)
        yield CallFinished(await graded_call(replace(call, status=stored.status), self.question))
