"""The strategies: one small class each. They say what to ask; a `QuestionCaller` asks.

Here are those of one call and a prompt, and `KINDS`, the list of all. A new one is a class here, its place in `KINDS`,
and the Chinese of its title and hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tale_core.calls.record import Step, direct_step, plain_step
from tale_core.errors import InputError, TaleError
from tale_core.estimators.base import FALLBACK_BUDGET
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.i18n import N_
from tale_core.prompts import messages as prompts
from tale_core.strategies.base import (
    About,
    Attempt,
    BudgetPredictor,
    Offer,
    QuestionCaller,
    Strategy,
    concise_step,
    run_step,
)
from tale_core.strategies.estimated import Oracle, TaleCalibrated, TaleRegression, TaleZeroShot
from tale_core.strategies.knobs import EarlyExit, Effort, Enforced, FixedBudget, Thinking, Verbosity
from tale_core.strategies.several import Cascade, LinesVote, Vote, vote
from tale_core.types import LINES, TUNED, Question, Request, Writes


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
        return Attempt(await caller.call(run_step("vanilla", question, caller)))


@dataclass(frozen=True, slots=True)
class Concise(Strategy):
    """The vanilla prompt that also asks to be brief."""

    PATTERN = "concise"
    TITLE = N_("Concise")
    HINT = N_("The vanilla prompt that also asks to be brief, without a number.")
    FAMILY = "brief"

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(concise_step(question, caller)))


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
class Lines(Strategy):
    """Assignments alone, which a calculator works out (`tale_core.grading.lines`)."""

    PATTERN = LINES
    TITLE = N_("Lines")
    HINT = N_("Assignments without prose, worked out by a calculator: a tool computes, the model only says what.")
    FAMILY = "brief"
    TEMPLATE = ASSIGNMENTS
    worded = False
    assumed_tokens = 60

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        return Attempt(await caller.call(run_step("budgeted", question, caller, template=self.TEMPLATE)))


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
                return About(cls.TITLE, cls.LINES_HINT, ASSIGNMENTS)
        return About(cls.TITLE, cls.HINT, cls.TEMPLATE)

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """One for each adapter of the model."""
        return [f"{cls.head()}:{name}" for name in offer.adapters]

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
        return Attempt(await caller.call(self.first(question, caller)))

    def first(self, question: Question, caller: QuestionCaller) -> Step:
        """The question alone, with the adapter."""
        return plain_step(question, self.adapter, sampling=caller.sampling, writes=self.writes)


@dataclass(frozen=True, slots=True)
class TunedVote(Tuned):
    """Up to three answers of an adapter; the one that two of them have, else a vanilla answer of the model without it.

    An adapter needs no examples in its prompt, so that a second and a third answer cost little more than their tokens.
    """

    PATTERN = "tuned-vote:NAME"
    TITLE = N_("Fine-tuned: {name}, vote of 3")
    HINT = N_(
        "Up to three answers of a model fine-tuned to be brief; where no two of them agree, the vanilla one counts. "
        "Every call is paid for."
    )
    LINES_HINT = N_(
        "Up to three answers in lines, which a calculator, a tool, works out, of a model fine-tuned to write them; "
        "where no two values agree, the vanilla answer counts. Every call is paid for."
    )
    calls = (2, 4)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """See the class."""
        return await vote(self.first(question, caller), 3, question, caller)


KINDS: tuple[type[Strategy], ...] = (
    Direct, Vanilla, TaleZeroShot, Concise, ChainOfDraft, Vote, Cascade, Lines, LinesVote, EarlyExit, Oracle,
    TaleRegression, TaleCalibrated, FixedBudget, Enforced, Thinking, Effort, Verbosity, Tuned, TunedVote,
)  # fmt: skip
"""Every strategy, in the order in which people are shown them."""
