"""The strategies: one small class each. They say what to ask; a `Caller` asks."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace

from tale_core import prompts
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET, parse_budget
from tale_core.estimators.zero_shot import SAMPLING as ESTIMATE_SAMPLING
from tale_core.estimators.zero_shot import fallback_words
from tale_core.i18n import joined, t
from tale_core.search_modes import MODES, Bounds, Options, Seen, Want
from tale_core.strategies.base import Attempt, BudgetPredictor, Caller, Step, Strategy
from tale_core.types import TUNED, AnswerKind, CallRecord, Outcome, Question, ReasoningEffort, Request, Role, Sampling

MOST_PROBES = 24
"""Budgets that the oracle tries for one question at most."""


@dataclass(frozen=True, slots=True)
class Described:
    """What every strategy tells about itself, in the language of whoever asked for it."""

    name: str
    title: str
    hint: str
    calls: tuple[int, int] = (1, 1)
    needs_answer: bool = False
    worded: bool = True


@dataclass(frozen=True, slots=True)
class Direct(Described):
    """The answer alone, without reasoning."""

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call."""
        messages = prompts.direct_messages(question, kind=_kind(question))
        request = Request(messages, caller.sampling)
        return Attempt(await caller.call(Step("direct", request, prompts.DIRECT_TEMPLATE, prompts.DIRECT_VERSION)))


@dataclass(frozen=True, slots=True)
class Vanilla(Described):
    """Chain of thought without a budget; `effort` sets the provider's own knob."""

    effort: ReasoningEffort | None = None

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call."""
        step = _answer_step("vanilla", question, caller)
        if self.effort is not None:
            sampling = replace(caller.sampling, reasoning_effort=self.effort)
            step = replace(step, request=replace(step.request, sampling=sampling))
        return Attempt(await caller.call(step))


@dataclass(frozen=True, slots=True)
class FixedBudget(Described):
    """The same budget for every question."""

    budget: int = FALLBACK_BUDGET

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(_answer_step("budgeted", question, caller, self.budget)), budget=self.budget)


@dataclass(frozen=True, slots=True)
class TaleZeroShot(Described):
    """The paper's TALE-EP: the model names a budget, then answers under it."""

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """Two calls: the estimate is counted like any other."""
        estimate, budget, problem = await _zero_shot(question, caller)
        told = fallback_words(problem) if problem else None
        budget = budget or FALLBACK_BUDGET
        answer = await caller.call(_answer_step("budgeted", question, caller, budget))
        return Attempt(answer, (estimate,), budget, told)


@dataclass(frozen=True, slots=True)
class TalePredicted(Described):
    """A trained estimator names the budget; where it reads the model's own estimate, that call is made and counted."""

    predictor: BudgetPredictor | None = None

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call, or two with the model's own estimate."""
        assert self.predictor is not None, "made by `strategy` alone"
        extra: tuple[CallRecord, ...] = ()
        zero_shot: int | None = None
        if self.predictor.needs_zero_shot:
            estimate, zero_shot, _ = await _zero_shot(question, caller)
            extra = (estimate,)
        # In a thread: the first prediction may import scikit-learn, and answers of others are streaming.
        predicted, problem = await asyncio.to_thread(self.predictor.budget, question, zero_shot)
        budget = min(MAX_BUDGET, max(1, round(predicted)))
        answer = await caller.call(_answer_step("budgeted", question, caller, budget))
        return Attempt(answer, extra, budget, problem)


@dataclass(frozen=True, slots=True)
class ChainOfDraft(Described):
    """Steps of five words at most."""

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call."""
        request = Request(prompts.draft_messages(question), caller.sampling)
        return Attempt(await caller.call(Step("budgeted", request, prompts.DRAFT_TEMPLATE, prompts.DRAFT_VERSION)))


@dataclass(frozen=True, slots=True)
class Tuned(Described):
    """The plain question to the model with an adapter switched on: nobody tells it to be brief.

    Attributes:
        adapter: The adapter's key; it names the content, so a later training under the same name is another strategy.
        base: The model that it belongs to.
    """

    adapter: str = ""
    base: str = ""

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call."""
        request = Request(prompts.plain_messages(question), caller.sampling, self.adapter)
        return Attempt(await caller.call(Step("budgeted", request, f"{TUNED}{self.adapter}", 1)))


@dataclass(frozen=True, slots=True)
class Concise(Described):
    """The vanilla prompt that also asks to be brief."""

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call."""
        template = prompts.template(caller.template)
        messages = prompts.concise_messages(question, template_name=template.name, kind=_kind(question))
        step = Step("budgeted", Request(messages, caller.sampling), f"{template.name}-concise", template.version)
        return Attempt(await caller.call(step))


@dataclass(frozen=True, slots=True)
class Oracle(Described):
    """The optimum that a search finds (see `tale_core.search_modes`); every other answer of the search is extra."""

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """One call when vanilla is not right, else as many as the search takes."""
        vanilla = await caller.call(_answer_step("vanilla", question, caller))
        made = [vanilla]
        if vanilla.outcome is not Outcome.CORRECT or not vanilla.completion_tokens:
            return Attempt(vanilla)
        bounds = Bounds(vanilla.completion_tokens)
        planner = MODES["tale"](bounds, Options())
        want = next(planner, None)
        while want is not None and len(made) <= MOST_PROBES:
            made.append(await caller.call(_probe_step(question, caller, want)))
            try:
                want = planner.send(_seen(made[-1]))
            except StopIteration:
                break
        best = vanilla if bounds.best is None else next(c for c in made if c.requested_budget == bounds.best)
        return Attempt(best, tuple(c for c in made if c is not best), bounds.best)


@dataclass(frozen=True, slots=True)
class Reworded:
    """Another strategy whose answers are asked for in a wording of their own: `name@wording`."""

    inner: Strategy
    wording: str

    @property
    def name(self) -> str:
        """The strategy's name with the wording."""
        return f"{self.inner.name}@{self.wording}"

    @property
    def title(self) -> str:
        """The strategy's, with the wording."""
        return t("{strategy}, wording {wording}", strategy=self.inner.title, wording=self.wording)

    @property
    def hint(self) -> str:
        """The strategy's and the wording's."""
        return joined(self.inner.hint, prompts.template(self.wording).hint)

    @property
    def calls(self) -> tuple[int, int]:
        """The strategy's."""
        return self.inner.calls

    @property
    def needs_answer(self) -> bool:
        """The strategy's."""
        return self.inner.needs_answer

    @property
    def worded(self) -> bool:
        """It has its wording already."""
        return False

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """As the strategy does."""
        return await self.inner.answer(question, _OtherWording(caller, self.wording))


@dataclass(frozen=True, slots=True)
class _OtherWording:
    caller: Caller
    template: str

    @property
    def sampling(self) -> Sampling:
        return self.caller.sampling

    async def call(self, step: Step) -> CallRecord:
        return await self.caller.call(step)


async def _zero_shot(question: Question, caller: Caller) -> tuple[CallRecord, int | None, str | None]:
    """The model's own estimate: the call, the budget it names, and why it names none."""
    request = Request(prompts.estimate_messages(question), ESTIMATE_SAMPLING)
    call = await caller.call(Step("estimate", request, prompts.ESTIMATE_TEMPLATE, prompts.ESTIMATE_VERSION))
    budget, problem = parse_budget(call.text)
    if problem and call.finish_reason == "length":
        problem = t("the model was still writing after {n} tokens", n=ESTIMATE_SAMPLING.max_tokens)
    return call, budget, problem


def _kind(question: Question) -> AnswerKind:
    return question.kind or "number"


def _answer_step(role: Role, question: Question, caller: Caller, budget: int | None = None) -> Step:
    template = prompts.template(caller.template)
    messages = prompts.answer_messages(question, template_name=template.name, kind=_kind(question), budget=budget)
    return Step(role, Request(messages, caller.sampling), template.name, template.version, budget)


def _probe_step(question: Question, caller: Caller, want: Want) -> Step:
    return replace(_answer_step("probe", question, caller, want.budget), phase=want.phase, cap=want.cap)


def _seen(call: CallRecord) -> Seen:
    tokens = float(call.completion_tokens) if call.completion_tokens is not None else math.inf
    return Seen(call.outcome is Outcome.CORRECT, tokens, call.cut)
