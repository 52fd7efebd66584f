"""One Ask: estimate a budget, answer the question vanilla and budgeted, grade both.

`ask` is an async iterator of events: every listener (the job runner, the command line, the store's recorder) sees the
same stream. Closing the iterator closes the requests in flight, so that spending stops.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import NewType

from tale_core.budgets.kinds import ASKED, Kind, kind
from tale_core.calls.budget_ledger import Ledger, Limits
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallDelta, CallEvent, CallFinished, CallStarted
from tale_core.calls.record import (
    Step,
    answer_step,
    begun_call,
    booked_call,
    check_asked,
    failed_call,
    graded_call,
    plain_step,
    replayed_call,
)
from tale_core.calls.retry import ONLY_WORKERS
from tale_core.calls.streams import chain, merge
from tale_core.errors import InputError, ModelError
from tale_core.estimators import Estimator, estimator
from tale_core.estimators.zero_shot import estimate_sampling
from tale_core.grading import infer_kind
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.i18n import t
from tale_core.prompts import messages as prompts
from tale_core.strategies import Tuned
from tale_core.types import (
    LINES,
    TUNED,
    CallRecord,
    Client,
    Delta,
    Estimate,
    Level,
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
            "tuned:NAME" estimates nothing: the second answer is the adapter's. Nor does "lines": the second answer is
            lines of assignments, which a calculator works out (`tale_core.grading.lines`).
        knob: The kind of budget (`tale_core.budgets.kinds`) of the second answer: a number is named by the estimator.
        level: The word, where it is one; then nothing is estimated.
        together: Generate both answers at the same time; False runs them one after the other for clean timing.
        reuse_vanilla: A finished vanilla call with the same settings; it is shown as cached and not paid again.
        guesses: Token counts guessed before the reveal, by role.
    """

    question: Question
    estimator: str = "zero-shot"
    template: str = prompts.DEFAULT_TEMPLATE
    sampling: Sampling = field(default_factory=Sampling)
    knob: str = ASKED.NAME
    level: str | None = None
    together: bool = True
    reuse_vanilla: CallRecord | None = None
    parent_id: str | None = None
    guesses: dict[str, int] = field(default_factory=dict)

    def checked(self, *, model: str = "") -> CheckedAsk:
        """The plan as one that may run: everything that can be wrong is looked at before anything is spent.

        Args:
            model: The model that will answer; only a trained estimator needs it.

        Raises:
            InputError: Empty or too long question, unknown estimator or template, max_tokens below 1.
            EstimatorFileError: A file of a trained estimator cannot be used.
        """
        check_asked(self.question, self.sampling)
        text = self.question.text.strip()
        if len(text) > MAX_QUESTION_CHARS:
            raise InputError(
                t("The question has {n:,} characters.", n=len(text)),
                t("At most {n:,} are allowed.", n=MAX_QUESTION_CHARS),
            )
        prompts.template(self.template)
        self.how(model=model)
        return CheckedAsk(self)

    def how(self, *, model: str = "") -> Estimator:
        """What says the budget of the second answer, or that it has none.

        Raises:
            InputError: There is no such estimator, adapter, kind or level, or it is not this model's.
            EstimatorFileError: A file of a trained estimator cannot be used.
        """
        if (word := self._word()) is not None:
            return word
        if self.estimator.startswith(TUNED):
            return _Tuned(Tuned.make(self.estimator), model)
        if self.estimator == LINES:
            return _NoBudget()
        return estimator(self.estimator, model=model, template=self.template)

    def _word(self) -> _Word | None:
        """What stands in the estimator's place where the budget is a word; None where it is a number.

        Raises:
            InputError: There is no such kind or level, or one was given where none belongs.
        """
        chosen = kind(self.knob)
        if not chosen.NUMBERS:
            if self.level is None:
                raise InputError(t("No level of {kind} was named.", kind=self.knob), chosen.allowed())
            return _Word(chosen, str(chosen.checked(self.level)))
        if self.level is not None:
            raise InputError(t("A level was named, and budgets of the kind {kind} are numbers.", kind=self.knob),
                             t("Give a number of tokens instead."))  # fmt: skip
        if chosen is not ASKED and self.estimator.startswith((TUNED, LINES)):
            raise InputError(t("{name!r} is given no budget of any kind.", name=self.estimator),
                             t("Leave the kind out, or choose an estimator."))  # fmt: skip
        return None


CheckedAsk = NewType("CheckedAsk", AskPlan)
"""A plan that `AskPlan.checked` has passed."""


@dataclass(frozen=True, slots=True)
class EstimateReady:
    """The budget is known."""

    estimate: Estimate


AskEvent = CallEvent | EstimateReady


def ask_caller(plan: AskPlan, client: Client, session_id: str = "") -> Caller:
    """What makes the calls of an Ask."""
    ledger = Ledger(Limits(), client.price, plan.sampling.max_tokens)
    # Somebody watches: an answer whose server was killed is told at once, and not begun again unasked.
    return Caller(client, ledger, session_id=session_id, retry=ONLY_WORKERS, watched=True)


async def ask(
    plan: CheckedAsk, client: Client, *, session_id: str = "", caller: Caller | None = None
) -> AsyncGenerator[AskEvent, None]:
    """Estimate, then answer twice; see the module's docstring.

    Together, the vanilla answer does not wait for the estimate. A failing answer does not stop the other one: its
    `CallFinished` carries the error in words. A failing estimator leaves a vanilla answer that has begun alone, and
    its error is raised at the end.

    Args:
        plan: What to ask.
        client: Whom.
        session_id: Written into every record.
        caller: That of `ask_caller`, for whoever may want an answer now; made here by default.

    Raises:
        InputError: The estimator is not this model's; nothing was sent.
        ModelError: The estimator's call failed.
    """
    how = plan.how(model=client.model)
    question = replace(plan.question, kind=infer_kind(plan.question))
    calls = _Calls(plan, question, client, session_id, caller or ask_caller(plan, client, session_id))
    vanilla = calls.replay(plan.reuse_vanilla) if plan.reuse_vanilla else calls.answer("vanilla", None)
    if plan.together:
        streams = merge(vanilla, chain(calls.estimate(how), calls.budgeted(how)))
    else:
        streams = chain(calls.estimate(how), vanilla, calls.budgeted(how))
    async with aclosing(streams) as events:
        async for event in events:
            yield event
            if calls.failure is not None and not plan.together:
                break
    if calls.failure is not None:
        raise calls.failure


class _NoBudget:
    """In the estimator's place where the second answer is short without a budget."""

    name = LINES
    asks_model = False

    async def estimate(
        self, question: Question, client: Client, *, run: Sampling | None = None
    ) -> AsyncGenerator[Delta | Estimate, None]:
        """Nothing."""
        return
        yield


class _Word(_NoBudget):
    """In the estimator's place where the budget is a provider's word."""

    def __init__(self, kind: Kind, level: str) -> None:
        self.name, self.level = f"{kind.NAME}:{level}", level


class _Tuned(_NoBudget):
    """In the estimator's place where an adapter answers instead of a budget.

    Raises:
        InputError: The adapter belongs to another model than the one that answers.
    """

    def __init__(self, how: Tuned, model: str) -> None:
        if model:
            how.check_base(model)
        self.name, self.adapter, self.writes = how.name, how.adapter, how.writes


class _Calls:
    """The calls of one Ask, each as a stream of events; a call's key is its role.

    Attributes:
        failure: Why there is no estimate; None while there may be one.
    """

    def __init__(self, plan: AskPlan, question: Question, client: Client, session_id: str, caller: Caller) -> None:
        self._plan, self._question, self._client, self._id, self._caller = plan, question, client, session_id, caller
        self._budget: int | None = None
        self.failure: ModelError | None = None

    async def estimate(self, how: Estimator) -> AsyncGenerator[AskEvent, None]:
        request = Request(prompts.estimate_messages(self._question), estimate_sampling(self._plan.sampling))
        call = begun_call(
            "estimate",
            request,
            self._client,
            session_id=self._id,
            template=prompts.ESTIMATE_TEMPLATE,
            version=prompts.ESTIMATE_VERSION,
        )
        if how.asks_model:
            yield CallStarted("estimate", call)
        try:
            async with aclosing(how.estimate(self._question, self._client, run=self._plan.sampling)) as stream:
                async for item in stream:
                    if isinstance(item, Delta):
                        yield CallDelta("estimate", item.text, item.reasoning)
                        continue
                    if item.completion is not None:
                        yield self._ended(booked_call(call, item.completion))
                    self._budget = item.budget
                    yield EstimateReady(item)
        except ModelError as e:
            self.failure = e
            yield self._ended(failed_call(call, e))

    async def answer(self, role: Role, budget: Level | None, template: str = "") -> AsyncGenerator[AskEvent, None]:
        plan, template = self._plan, template or self._plan.template
        step = answer_step(
            role, self._question, template=template, sampling=plan.sampling, budget=budget, kind=kind(plan.knob)
        )
        async with aclosing(self._asked(step)) as events:
            async for event in events:
                yield event

    async def budgeted(self, how: Estimator) -> AsyncGenerator[AskEvent, None]:
        """The second answer: an adapter's, or that under the budget; nothing where the estimate failed."""
        if self.failure is not None:
            return
        if isinstance(how, _Tuned):
            sampling = self._plan.sampling
            events = self._asked(plain_step(self._question, how.adapter, sampling=sampling, writes=how.writes))
        elif isinstance(how, _Word):
            events = self.answer("budgeted", how.level)
        elif isinstance(how, _NoBudget):
            events = self.answer("budgeted", None, template=ASSIGNMENTS)
        else:
            assert self._budget is not None
            events = self.answer("budgeted", self._budget)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _asked(self, step: Step) -> AsyncGenerator[AskEvent, None]:
        """A failing answer does not stop the other one."""
        with suppress(ModelError):
            async with aclosing(self._caller.stream(step.role, step, self._question)) as events:
                async for event in events:
                    yield event

    async def replay(self, stored: CallRecord) -> AsyncGenerator[AskEvent, None]:
        """A stored call shown again: marked cached, with its original latency, graded against today's known answer."""
        call = replayed_call(stored, session_id=self._id)
        yield CallStarted(call.role, call)
        yield CallDelta(call.role, stored.text, stored.reasoning_text)
        yield self._ended(await graded_call(replace(call, status=stored.status), self._question))

    def _ended(self, call: CallRecord) -> CallFinished:
        self._caller.ledger.book(None, call)
        return CallFinished(call.role, call, self._caller.spent)
