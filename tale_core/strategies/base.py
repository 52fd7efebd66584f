"""What a strategy is, what it is given (a `QuestionCaller`, predictors of budgets), and the steps that most ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

from tale_core.budgets import kinds as budgets
from tale_core.budgets.forcing import Close
from tale_core.budgets.kinds import Kind
from tale_core.calls.record import Step, answer_step
from tale_core.grading.lines import evaluated
from tale_core.i18n import joined, t
from tale_core.prompts import messages as prompts
from tale_core.types import CallRecord, Level, Question, Request, Role, Sampling

TOOL_MARK = "†"
"""Beside the brief title of a strategy whose answers a calculator works out, for which there is a note."""

Family = Literal["direct", "vanilla", "budgeted", "brief", "tuned"]


class QuestionCaller(Protocol):
    """Sends calls for one question."""

    @property
    def template(self) -> str:
        """The run's prompt template."""
        ...

    @property
    def sampling(self) -> Sampling:
        """The run's sampling, shared by every answer of every strategy."""
        ...

    async def sure_and_right(self, template: str) -> Sequence[tuple[float, bool]]:
        """How sure the model was of labelled answers to other questions than the run's, and whether they are right.

        Args:
            template: Of the answers, as stored.
        """
        ...

    @property
    def knob(self) -> str:
        """The kind of budget by which the run sets budgets that are numbers (`tale_core.budgets.kinds`)."""
        ...

    async def call(self, step: Step) -> CallRecord:
        """The ended call: sent once, stored, graded against the known answer.

        Raises:
            ModelError: It failed; that is stored as well.
            LimitReachedError: It could break a limit of the run; it was not sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a strategy answered a question.

    Attributes:
        answer: The call that counts.
        extra: What else it took: estimates and probes. All-in tokens are those of `answer` and `extra` together.
        budget: Tokens that the answer's prompt asked for; None when it asked for none.
        problem: Why an estimate could not be used and a stated default was taken, in words.
    """

    answer: CallRecord
    extra: tuple[CallRecord, ...] = ()
    budget: int | None = None
    problem: str | None = None


class BudgetPredictor(Protocol):
    """A trained estimator, as a strategy sees it.

    Attributes:
        name: "calibrated" or "regression", with what else tells it from others.
        version: Changes with every training; results of two versions are never mixed.
        needs_zero_shot: It reads the model's own estimate, which costs a call.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def needs_zero_shot(self) -> bool: ...  # noqa: D102

    def budget(self, question: Question, zero_shot: int | None) -> tuple[int, str | None]:
        """A budget in tokens, from 1, and why it is a stated default, in words, if it is one.

        Args:
            question: To be answered.
            zero_shot: The model's own estimate in tokens; None when it named none or was not asked.
        """
        ...


class Offer(NamedTuple):
    """What there is for a model and prompt template, and with it the strategies that need it.

    Attributes:
        trained: Kinds of trained estimators.
        efforts: Levels of reasoning effort that the model knows.
        adapters: Names of adapters that belong to the model.
    """

    trained: Sequence[str] = ()
    efforts: Sequence[str] = ()
    adapters: Sequence[str] = ()


class About(NamedTuple):
    """What is told of a strategy before it is made, see the attributes of `Strategy` that are called so."""

    title: str
    hint: str
    template: str


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to answer a question; each is a class of its own, and `kinds.KINDS` lists them.

    Attributes:
        argument: What stands after the colon of its name.
        template: Another prompt template than the run's; "" for the run's.
        TEMPLATE: A prompt template that is part of what it is; "" where that is the run's, or none at all.
        PATTERN: Its name, with N, LEVEL or NAME in the place of the argument.
        TITLE: A few words, with the argument where `FILLS` stands in braces.
        HINT: One sentence.
        FAMILY: What it has in common with others of its colour in a chart.
        USUAL: Compared where nobody has chosen, if it is offered.
        TRAINED: Something has to be trained first, so that its name may outlive it.
        calls: Least and most calls for one question.
        needs_answer: The known answer is used; without it the strategy makes no sense.
        worded: Its prompt follows the run's template, so another template can be asked for.
        assumed_tokens: Of its answer, before anybody has seen one; None for as many as a vanilla answer takes.
        close: When its answers are stopped and forced out; None lets them end by themselves.
    """

    argument: str = ""
    template: str = ""
    PATTERN: ClassVar[str]
    TITLE: ClassVar[str]
    HINT: ClassVar[str]
    FILLS: ClassVar[str] = ""
    TEMPLATE: ClassVar[str] = ""
    FAMILY: ClassVar[Family] = "budgeted"
    USUAL: ClassVar[bool] = False
    TRAINED: ClassVar[bool] = False
    calls: ClassVar[tuple[int, int]] = (1, 1)
    needs_answer: ClassVar[bool] = False
    worded: ClassVar[bool] = True
    assumed_tokens: ClassVar[int | None] = None
    close: ClassVar[Close | None] = None

    @classmethod
    def head(cls) -> str:
        """Its name without an argument."""
        return cls.PATTERN.partition(":")[0]

    @classmethod
    def about(cls, argument: str) -> About:
        """What is told of one with this argument, whether there is such a one or not."""
        return About(cls.TITLE, cls.HINT, cls.TEMPLATE)

    @classmethod
    def titled(cls, argument: str, template: str, *, brief: bool = False) -> str:
        """The title, whether there is such a one or not; in a `brief` one `TOOL_MARK` stands for the calculator."""
        about = cls.about(argument)
        title = t(about.title, **({cls.FILLS: argument} if cls.FILLS else {}))
        title = t("{strategy}, template {template}", strategy=title, template=template) if template else title
        if not evaluated(template or about.template):
            return title
        return f"{title}{TOOL_MARK}" if brief else t("{strategy}, evaluated by a calculator", strategy=title)

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """The names that a page offers in a list; none where the argument is a number that people type."""
        return () if cls.FILLS else (cls.PATTERN,)

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """The strategy of a name.

        Args:
            name: Begins with the head, and has an argument if the pattern has one.
            at: "@" and the template it is asked in; "" for the run's.
            estimators: See `tale_core.strategies.strategy`.

        Raises:
            InputError: The argument is wrong, or something has to be trained first.
        """
        return cls()

    @property
    def name(self) -> str:
        """Registry name, stored with every result."""
        name = f"{self.head()}:{self.argument}" if self.argument else self.head()
        return f"{name}@{self.template}" if self.template else name

    @property
    def title(self) -> str:
        """For people, a few words."""
        return self.titled(self.argument, self.template)

    @property
    def hint(self) -> str:
        """For people, a sentence; another on the template."""
        return joined(t(self.about(self.argument).hint), prompts.template(self.template).hint if self.template else "")

    async def answer(self, question: Question, caller: QuestionCaller) -> Attempt:
        """Answer a question whose `kind` is set, in the template asked for.

        Raises:
            ModelError: A call failed.
            LimitReachedError: A limit of the run is reached.
        """
        return await self.ask(question, _OtherTemplate(caller, self.template) if self.template else caller)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """What `answer` does; each strategy has its own."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _OtherTemplate:
    caller: QuestionCaller
    template: str

    @property
    def sampling(self) -> Sampling:
        return self.caller.sampling

    async def sure_and_right(self, template: str) -> Sequence[tuple[float, bool]]:
        return await self.caller.sure_and_right(template)

    @property
    def knob(self) -> str:
        return self.caller.knob

    async def call(self, step: Step) -> CallRecord:
        return await self.caller.call(step)


def run_step(
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


def concise_step(question: Question, caller: QuestionCaller) -> Step:
    """The vanilla prompt that also asks to be brief."""
    template = prompts.template(caller.template)
    messages = prompts.concise_messages(question, template_name=template.name, kind=question.kind or "number")
    return Step("budgeted", Request(messages, caller.sampling), f"{template.name}-concise", template.version)
