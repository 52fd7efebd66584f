"""What a strategy is and what it is given: a `Caller` that sends, stores and grades, and predictors of budgets.

Knows records and prompts' names alone: no client, no store and no limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tale_core.types import CallRecord, ProbePhase, Question, Request, Role, Sampling


@dataclass(frozen=True, slots=True)
class Step:
    """A call that is wanted.

    Attributes:
        template: Stored with the call, as is `version`.
        budget: Tokens that the prompt asks for; None when it asks for none.
        phase: For the oracle's probes, the part of the search that asks.
        cap: Completion tokens at which the answer can no longer win; it is cut there. None lets it end by itself.
    """

    role: Role
    request: Request
    template: str
    version: int
    budget: int | None = None
    phase: ProbePhase | None = None
    cap: int | None = None


class Caller(Protocol):
    """Sends calls for one question."""

    @property
    def template(self) -> str:
        """The run's prompt template."""
        ...

    @property
    def sampling(self) -> Sampling:
        """The run's sampling, shared by every answer of every strategy."""
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


class Strategy(Protocol):
    """A way to answer a question.

    Attributes:
        name: Registry name, stored with every result.
        title: For people, a few words.
        hint: For people, one sentence.
        calls: Least and most calls for one question.
        needs_answer: The known answer is used; without it the strategy makes no sense.
        worded: Its prompt follows the run's template, so another wording can be asked for.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def hint(self) -> str: ...  # noqa: D102
    @property
    def calls(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def needs_answer(self) -> bool: ...  # noqa: D102
    @property
    def worded(self) -> bool: ...  # noqa: D102

    async def answer(self, question: Question, caller: Caller) -> Attempt:
        """Answer a question whose `kind` is set.

        Raises:
            ModelError: A call failed.
            LimitReachedError: A limit of the run is reached.
        """
        ...
