"""The strategies: one small class each. They say what to ask; a `QuestionCaller` asks.

A new one is a class here, its place in `KINDS`, and the Chinese of its title and hint.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import ClassVar, cast, get_args

from tale_core.budgets import kinds as budgets
from tale_core.budgets.forcing import FORCED_TOKENS, same_answer
from tale_core.budgets.kinds import Kind
from tale_core.calls.budget_ledger import Spent
from tale_core.calls.events import CallFinished
from tale_core.calls.probing import Probe, ProbeKey, probe_step
from tale_core.calls.record import Step, answer_step, direct_step, plain_step
from tale_core.errors import InputError, TaleError
from tale_core.estimators import estimator
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET
from tale_core.estimators.zero_shot import estimate_sampling, fallback_words, named_budget
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.grading.lines import evaluated
from tale_core.i18n import N_, t
from tale_core.prompts import messages as prompts
from tale_core.search.engine import Course
from tale_core.search.plan import SearchPlan
from tale_core.strategies.base import About, Attempt, BudgetPredictor, Offer, QuestionCaller, Strategy
from tale_core.types import LINES, TUNED, CallRecord, Level, Question, ReasoningEffort, Request, Role, Writes

PROBE_TOKENS = 48
"""Tokens between two probes of an early exit."""
SURE = 0.9
"""Confidence from which a brief answer counts, while nothing is known of the model."""
ENOUGH_ROWS = 30
"""Labelled answers from which a threshold is learnt; five of them right and five wrong."""
MOST_PROBES = 24
"""Budgets that the oracle tries for one question at most."""
MOST_VOTES = 15
"""Answers that are asked for before a vote."""
VOTE_TEMPERATURE = 0.7
"""At which the samples of a vote are drawn, where the run's own is lower: equal answers would vote for nothing."""


@dataclass(frozen=True, slots=True)
class Direct(Strategy):
    """The answer alone, without reasoning."""

    PATTERN = "direct"
    TITLE = N_("Direct answer")
    HINT = N_("The answer alone, without reasoning: the fewest tokens a model can use.")
    FAMILY = "direct"
    USUAL = True
    worded = False
    assumed_tokens = 10

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(direct_step(question, sampling=caller.sampling)))


@dataclass(frozen=True, slots=True)
class Vanilla(Strategy):
    """Chain of thought without a budget."""

    PATTERN = "vanilla"
    TITLE = N_("Vanilla")
    HINT = N_("Reasoning step by step, without a budget: what the others are compared with.")
    FAMILY = "vanilla"
    USUAL = True

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(_answer_step("vanilla", question, caller)))


@dataclass(frozen=True, slots=True)
class Effort(Strategy):
    """The vanilla prompt, with the provider's own setting for how much a model reasons."""

    PATTERN = "effort:LEVEL"
    TITLE = N_("Native effort: {level}")
    HINT = N_("The provider's own setting for how much a model reasons; the prompt is the vanilla one.")
    FILLS = "level"
    FAMILY = "brief"
    level: ReasoningEffort = "none"

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """One for each level."""
        return [f"effort:{level}" for level in offer.efforts]

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        levels = get_args(ReasoningEffort)
        if (level := name.partition(":")[2]) in levels:
            return cls(level, level=cast(ReasoningEffort, level))
        raise InputError(
            t("{name!r} is no level of reasoning effort.", name=name[:60]),
            t("Choose one of: {names}.", names=", ".join(cls.offered(Offer(efforts=levels)))),
        )

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        step = _answer_step("vanilla", question, caller)
        sampling = replace(caller.sampling, reasoning_effort=self.level)
        return Attempt(await caller.call(replace(step, request=replace(step.request, sampling=sampling))))


@dataclass(frozen=True, slots=True)
class Enforced(Strategy):
    """The vanilla answer, stopped at the budget and forced out (`tale_core.budgets.forcing`)."""

    PATTERN = "enforced:N"
    TITLE = N_("Enforced budget of {budget} tokens")
    HINT = N_(
        "The vanilla prompt; generation is stopped at the budget and the final answer forced out. Both requests count."
    )
    FILLS = "budget"

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """None: pages ask for numbers, which no list holds."""
        return ()

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        return cls(str(budgets.kind(cls.head()).read(name.partition(":")[2])))

    @property
    def assumed_tokens(self) -> int:  # type: ignore[override]
        """The budget, and the answer that is forced out."""
        return int(self.argument) + FORCED_TOKENS

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, of two requests where the budget is reached."""
        kind = budgets.kind(self.head())
        return Attempt(await caller.call(_answer_step("budgeted", question, caller, int(self.argument), kind=kind)))


@dataclass(frozen=True, slots=True)
class Thinking(Enforced):
    """The vanilla prompt, with the provider's own limit on thinking."""

    PATTERN = "thinking:N"
    TITLE = N_("Thinking limited to {budget} tokens")
    HINT = N_("The provider's own limit on tokens of thinking; the prompt is the vanilla one.")


@dataclass(frozen=True, slots=True)
class Verbosity(Strategy):
    """The vanilla prompt, with the provider's own setting for how much a model says."""

    PATTERN = "verbosity:LEVEL"
    TITLE = N_("Verbosity: {level}")
    HINT = N_("The provider's own setting for how much a model says, in words; the prompt is the vanilla one.")
    FILLS = "level"
    FAMILY = "brief"

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """None: few endpoints have it."""
        return ()

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        return cls(str(budgets.kind("verbosity").read(name.partition(":")[2])))

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        kind = budgets.kind("verbosity")
        return Attempt(await caller.call(_answer_step("budgeted", question, caller, self.argument, kind=kind)))


@dataclass(frozen=True, slots=True)
class EarlyExit(Strategy):
    """The vanilla answer, stopped once what it would answer stays the same."""

    PATTERN = "early-exit"
    TITLE = N_("Early exit")
    HINT = N_(
        "The vanilla prompt; on the way the model is asked again and again what it would answer now, and stopped once "
        "that stays the same. Every request counts."
    )

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, of as many requests as it takes."""
        step = _answer_step("budgeted", question, caller, PROBE_TOKENS, kind=budgets.EARLY_EXIT)
        return Attempt(await caller.call(step))


@dataclass(frozen=True, slots=True)
class FixedBudget(Strategy):
    """The same budget for every question."""

    PATTERN = "fixed:N"
    TITLE = N_("Fixed budget of {budget} tokens")
    HINT = N_("The same budget for every question.")
    FILLS = "budget"

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """None: pages ask for numbers, which no list holds."""
        return ()

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`; the estimator of the same name says in words what is no budget."""
        return cls(estimator(name).name.removeprefix("fixed:"))

    @property
    def assumed_tokens(self) -> int:  # type: ignore[override]
        """The budget."""
        return int(self.argument)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        budget = int(self.argument)
        return Attempt(await caller.call(_answer_step("budgeted", question, caller, budget)), budget=budget)


@dataclass(frozen=True, slots=True)
class TaleZeroShot(Strategy):
    """The paper's TALE-EP: the model names a budget, then answers under it."""

    PATTERN = "tale-zero-shot"
    TITLE = N_("TALE, zero-shot")
    HINT = N_("The model names a budget for the question, then keeps to it.")
    USUAL = True
    calls = (2, 2)
    assumed_tokens = FALLBACK_BUDGET

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """Two calls: the estimate is counted like any other."""
        estimate, budget, problem = await _zero_shot(question, caller)
        told = fallback_words(problem) if problem else None
        budget = budget or FALLBACK_BUDGET
        answer = await caller.call(_answer_step("budgeted", question, caller, budget))
        return Attempt(answer, (estimate,), budget, told)


@dataclass(frozen=True, slots=True)
class TalePredicted(Strategy):
    """A trained estimator names the budget; where it reads the model's own estimate, that call is made and counted."""

    KIND: ClassVar[str]
    HINT = N_("An estimator that was trained on searches names the budget.")
    USUAL = True
    TRAINED = True
    assumed_tokens = FALLBACK_BUDGET
    predictor: BudgetPredictor | None = None

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """It, where one is trained."""
        return (cls.PATTERN,) if cls.KIND in offer.trained else ()

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        if predictor := estimators.get(f"{cls.KIND}{at}"):
            return cls(predictor=predictor)
        raise InputError(
            t(
                "The strategy {name!r} is not available until an estimator is trained for the model and the template.",
                name=name + at,
            ),
            t("Train one, or choose tale-zero-shot."),
        )

    @property
    def calls(self) -> tuple[int, int]:  # type: ignore[override]
        """Two where the estimator reads the model's own estimate."""
        return (2, 2) if self.predictor and self.predictor.needs_zero_shot else (1, 1)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
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
class TaleRegression(TalePredicted):
    """A regression that reads the question."""

    PATTERN = "tale-regression"
    TITLE = N_("TALE, regression")
    KIND = "regression"


@dataclass(frozen=True, slots=True)
class TaleCalibrated(TalePredicted):
    """The model's own estimate, corrected by what searches found."""

    PATTERN = "tale-calibrated"
    TITLE = N_("TALE, calibrated")
    KIND = "calibrated"


@dataclass(frozen=True, slots=True)
class ChainOfDraft(Strategy):
    """Steps of five words at most."""

    PATTERN = "chain-of-draft"
    TITLE = N_("Chain of Draft")
    HINT = N_("Steps of five words at most; weak below 3 billion parameters.")
    FAMILY = "brief"
    worded = False
    assumed_tokens = FALLBACK_BUDGET

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        request = Request(prompts.draft_messages(question), caller.sampling)
        return Attempt(await caller.call(Step("budgeted", request, prompts.DRAFT_TEMPLATE, prompts.DRAFT_VERSION)))


@dataclass(frozen=True, slots=True)
class Cascade(Strategy):
    """The brief answer where the model was sure of it, else the vanilla one.

    How sure is sure enough is learnt from labelled answers to other questions that an earlier run of it has stored;
    while there are too few of them a stated default counts, and is told with each answer.
    """

    PATTERN = "cascade"
    TITLE = N_("Cascade: brief, then vanilla if unsure")
    HINT = N_(
        "A brief answer first; where the model's own log-probabilities say that it is unsure, the vanilla answer "
        "counts. The threshold comes from labelled answers to other questions, of earlier runs. Every call is paid for."
    )
    FAMILY = "brief"
    calls = (1, 2)
    assumed_tokens = FALLBACK_BUDGET

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, or two where it is unsure."""
        step = _concise_step(question, caller)
        brief = await caller.call(replace(step, request=replace(step.request, logprobs=True)))
        threshold, why = sure_enough(await caller.sure_and_right(step.template))
        if brief.confidence is None:
            why = t("the endpoint gives no log-probabilities, so that every answer counts as unsure")
        elif brief.confidence >= threshold and brief.finish_reason != "length" and brief.extracted is not None:
            return Attempt(brief, problem=why)
        return Attempt(await caller.call(_answer_step("vanilla", question, caller)), (brief,), problem=why)


@dataclass(frozen=True, slots=True)
class Lines(Strategy):
    """Assignments alone, which a calculator works out (`tale_core.grading.lines`)."""

    PATTERN = LINES
    TITLE = N_("Lines, evaluated by a calculator")
    HINT = N_("Assignments without prose, worked out by a calculator: a tool computes, the model only says what.")
    FAMILY = "brief"
    TEMPLATE = ASSIGNMENTS
    worded = False
    assumed_tokens = 60

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(_answer_step("budgeted", question, caller, template=self.TEMPLATE)))


@dataclass(frozen=True, slots=True)
class Vote(Strategy):
    """Several short answers; the one that more than half of them have, else a vanilla answer.

    The first one is the plan's own, the others are sampled. Nobody is asked once the vote is decided.
    """

    PATTERN = "vote:K"
    TITLE = N_("Short answers, vote of {samples}")
    HINT = N_(
        "Several answers that are asked to be brief; where no answer has more than half of the votes, the vanilla one "
        "counts. Nobody is asked any more once the vote is decided. Every call is paid for."
    )
    FILLS = "samples"
    FAMILY = "brief"
    assumed_tokens = FALLBACK_BUDGET

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """The smallest vote that can be won two to one."""
        return (f"{cls.head()}:3",)

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        samples = name.partition(":")[2]
        if samples.isdecimal() and samples.isascii() and len(samples) < 3 and 2 <= int(samples) <= MOST_VOTES:
            return cls(str(int(samples)))
        raise InputError(
            t("{name!r} names no number of votes.", name=name[:60]),
            t("Give a whole number from 2 to {most}: {example}.", most=MOST_VOTES, example=f"{cls.head()}:3"),
        )

    @property
    def calls(self) -> tuple[int, int]:  # type: ignore[override]
        """As many as decide the vote, to all of them and a vanilla answer."""
        return int(self.argument) // 2 + 1, int(self.argument) + 1

    def first(self, question: Question, caller: QuestionCaller) -> Step:
        """The short answer of which the others are samples."""
        return _concise_step(question, caller)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """See the class."""
        samples = int(self.argument)
        made: list[CallRecord] = []
        votes: Counter[str] = Counter()
        first = self.first(question, caller)
        for i in range(samples):
            made.append(await caller.call(_sample(first, i)))
            votes.update([value] if (value := _value(made[-1], tuple(votes))) is not None else [])
            value, most = max(votes.items(), key=lambda item: item[1], default=("", 0))
            if most > samples // 2:
                won = next(call for call in made if _value(call, (value,)) == value)
                return Attempt(won, tuple(call for call in made if call is not won))
            if most + samples - i - 1 <= samples // 2:
                break
        template = prompts.DEFAULT_TEMPLATE if evaluated(caller.template) else caller.template
        answer = await caller.call(_answer_step("vanilla", question, caller, template=template))
        return Attempt(answer, tuple(made))


@dataclass(frozen=True, slots=True)
class LinesVote(Vote):
    """Several answers in lines; the value that more than half of them have, else a vanilla answer."""

    PATTERN = "lines-vote:K"
    TITLE = N_("Lines, evaluated by a calculator, vote of {samples}")
    HINT = N_(
        "Several answers in lines, which a calculator, a tool, works out; where no value has more than half of the "
        "votes, the vanilla answer counts. Every call is paid for."
    )
    TEMPLATE = ASSIGNMENTS
    worded = False
    assumed_tokens = 60

    def first(self, question: Question, caller: QuestionCaller) -> Step:
        """That of `Lines`."""
        return _answer_step("budgeted", question, caller, template=self.TEMPLATE)


@dataclass(frozen=True, slots=True)
class Tuned(Strategy):
    """The question to the model with an adapter switched on: nobody tells it to be brief, or shows it how.

    Attributes:
        adapter: The adapter's key; it names the content, so a later training under the same name is another strategy.
        base: The model that it belongs to.
        writes: Words, or lines for the calculator.
    """

    PATTERN = f"{TUNED}NAME"
    TITLE = N_("Fine-tuned: {name}")
    HINT = N_("A model fine-tuned to be brief by itself, asked the plain question.")
    LINES_TITLE = N_("Fine-tuned: {name}, lines evaluated by a calculator")
    LINES_HINT = N_(
        "A model fine-tuned to write assignments, worked out by a calculator: a tool computes, the model only says "
        "what."
    )
    FILLS = "name"
    FAMILY = "tuned"
    TRAINED = True
    worded = False
    adapter: str = ""
    base: str = ""
    writes: Writes = "words"

    @classmethod
    def about(cls, argument: str) -> About:
        """See `Strategy.about`; of an adapter that is gone as if it wrote words."""
        from tale_core.models.adapters import registry as adapters

        with suppress(TaleError):
            if adapters.find(argument).about.writes == "lines":
                return About(cls.LINES_TITLE, cls.LINES_HINT, ASSIGNMENTS)
        return About(cls.TITLE, cls.HINT, cls.TEMPLATE)

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """One for each adapter of the model."""
        return [f"{TUNED}{name}" for name in offer.adapters]

    @classmethod
    def make(cls, name: str, at: str = "", estimators: Mapping[str, BudgetPredictor] | None = None) -> Tuned:
        """See `Strategy.make`.

        Raises:
            InputError: There is no such adapter.
            AdapterFileError: Its description is damaged.
        """
        from tale_core.models.adapters import registry as adapters

        one = adapters.find(name.partition(":")[2])
        return cls(one.name, adapter=one.key, base=one.about.base, writes=one.about.writes)

    def check_base(self, model: str) -> None:
        """Check that the model is the one that the adapter belongs to.

        Raises:
            InputError: It is another one.
        """
        from tale_core.models.adapters import registry as adapters

        if self.base != model:
            found = adapters.find(self.adapter)
            raise InputError(adapters.other_base(found, model), adapters.choose_base(found))

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        step = plain_step(question, self.adapter, sampling=caller.sampling, writes=self.writes)
        return Attempt(await caller.call(step))


@dataclass(frozen=True, slots=True)
class Concise(Strategy):
    """The vanilla prompt that also asks to be brief."""

    PATTERN = "concise"
    TITLE = N_("Concise")
    HINT = N_("The vanilla prompt that also asks to be brief, without a number.")
    FAMILY = "brief"

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(_concise_step(question, caller)))


@dataclass(frozen=True, slots=True)
class Oracle(Strategy):
    """The optimum that a search finds (see `tale_core.search.modes`); every other answer of the search is extra."""

    PATTERN = "oracle"
    TITLE = N_("Searched optimum")
    HINT = N_(
        "A search finds the best budget of each question. It uses the known answer, so it shows what is "
        "possible, not what a method without it can reach."
    )
    calls = (1, 1 + MOST_PROBES)
    needs_answer = True

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call when vanilla is not right, else as many as the search takes."""
        made: dict[ProbeKey, CallRecord] = {}

        async def answers(*probes: Probe) -> AsyncGenerator[CallFinished, None]:
            for probe in probes:
                if len(made) > MOST_PROBES:
                    raise _EnoughError
                made[probe.key] = await caller.call(probe_step(question, probe, caller.template, caller.sampling, kind))
                yield CallFinished(probe.key, made[probe.key], Spent())

        kind = budgets.kind(caller.knob)
        plan = SearchPlan(question, knob=kind.NAME, template=caller.template, sampling=caller.sampling)
        course = Course(plan, answers)
        with suppress(_EnoughError):
            async with aclosing(course.run()) as events:
                async for _ in events:
                    pass
        found = course.result(Spent())
        budget = found.optimal_budget if isinstance(found.optimal_budget, int) else None
        best = made[ProbeKey("probe", budget) if budget else ProbeKey("vanilla")]
        return Attempt(best, tuple(c for c in made.values() if c is not best), budget)


class _EnoughError(Exception):
    """As many budgets as the oracle may try were tried."""


KINDS: tuple[type[Strategy], ...] = (
    Direct, Vanilla, TaleZeroShot, Concise, ChainOfDraft, Vote, Cascade, Lines, LinesVote, EarlyExit, Oracle,
    TaleRegression, TaleCalibrated, FixedBudget, Enforced, Thinking, Effort, Verbosity, Tuned,
)  # fmt: skip
"""Every strategy, in the order in which people are shown them."""


def sure_enough(rows: Sequence[tuple[float, bool]]) -> tuple[float, str | None]:
    """The confidence that best tells right answers from wrong ones, and why it is a stated default, if it is one.

    The highest share of right ones kept minus share of wrong ones kept (Youden's J).
    """
    right, wrong = sorted(c for c, ok in rows if ok), sorted(c for c, ok in rows if not ok)
    if len(rows) < ENOUGH_ROWS or min(len(right), len(wrong)) < 5:
        return SURE, t(
            "the threshold {threshold} is a stated default: {n} labelled answers to other questions are stored, and "
            "{enough} are needed, five of them right and five wrong",
            threshold=SURE, n=len(rows), enough=ENOUGH_ROWS,
        )  # fmt: skip

    def kept(values: Sequence[float], threshold: float) -> float:
        return (len(values) - bisect_left(values, threshold)) / len(values)

    return max((c for c, _ in rows), key=lambda at: (kept(right, at) - kept(wrong, at), -at)), None


def threshold_document(rows: Sequence[tuple[float, bool]]) -> dict[str, object]:
    """Where the threshold of a cascade came from, as it is stored with the run."""
    threshold, why = sure_enough(rows)
    right = sum(ok for _, ok in rows)
    return {"confidence": threshold, "rows": len(rows), "right": right, "default": why is not None}


def _concise_step(question: Question, caller: QuestionCaller) -> Step:
    template = prompts.template(caller.template)
    messages = prompts.concise_messages(question, template_name=template.name, kind=question.kind or "number")
    return Step("budgeted", Request(messages, caller.sampling), f"{template.name}-concise", template.version)


def _value(call: CallRecord, known: Sequence[str]) -> str | None:
    """What an answer says, in the words of the first that said the same; None where it says nothing."""
    said = call.extracted
    if said is None:
        return None
    return next((one for one in known if same_answer(one, said)), said)


async def _zero_shot(question: Question, caller: QuestionCaller) -> tuple[CallRecord, int | None, str | None]:
    """The model's own estimate: the call, the budget it names, and why it names none."""
    request = Request(prompts.estimate_messages(question), estimate_sampling(caller.sampling))
    call = await caller.call(Step("estimate", request, prompts.ESTIMATE_TEMPLATE, prompts.ESTIMATE_VERSION))
    budget, problem = named_budget(call.text, call.finish_reason, tokens=call.completion_tokens)
    return call, budget, problem


def _answer_step(
    role: Role,
    question: Question,
    caller: QuestionCaller,
    budget: Level | None = None,
    *,
    template: str = "",
    kind: Kind | None = None,
) -> Step:
    """A step of the run's template and sampling; a budget is set in the run's way where no kind is given."""
    template, kind = template or caller.template, kind or budgets.kind(caller.knob)
    return answer_step(role, question, template=template, sampling=caller.sampling, budget=budget, kind=kind)


def _sample(first: Step, place: int) -> Step:
    """The first sample is the plan's own answer; the others are drawn, each with a seed far from those of repeats."""
    if not place:
        return first
    sampling = first.request.sampling
    warm = None if sampling.temperature is None else max(VOTE_TEMPERATURE, sampling.temperature)
    seed = None if sampling.seed is None else sampling.seed + 1000 * place
    return replace(first, request=replace(first.request, sampling=replace(sampling, temperature=warm, seed=seed)))
