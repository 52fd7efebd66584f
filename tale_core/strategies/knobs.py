"""Strategies that set a budget, or a level, and see it kept: a fixed number, a parameter of the request, a stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from tale_core.budgets import kinds as budgets
from tale_core.budgets.forcing import FORCED_TOKENS, Close
from tale_core.errors import InputError
from tale_core.estimators import estimator
from tale_core.i18n import N_, t
from tale_core.strategies.base import Attempt, BudgetPredictor, Offer, QuestionCaller, Strategy, run_step
from tale_core.types import Question, ReasoningEffort

PROBE_TOKENS = 48
"""Tokens between two probes of an early exit."""


@dataclass(frozen=True, slots=True)
class FixedBudget(Strategy):
    """The same budget for every question."""

    PATTERN = "fixed:N"
    TITLE = N_("Fixed budget of {budget} tokens")
    HINT = N_("The same budget for every question.")
    FILLS = "budget"

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
        return Attempt(await caller.call(run_step("budgeted", question, caller, budget)), budget=budget)


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
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        return cls(str(budgets.kind(cls.head()).read(name.partition(":")[2])))

    @property
    def assumed_tokens(self) -> int:  # type: ignore[override]
        """The budget, and the answer that is forced out."""
        return int(self.argument) + FORCED_TOKENS

    @property
    def close(self) -> Close | None:  # type: ignore[override]
        """At the budget, where it is ours to stop it."""
        return budgets.kind(self.head()).close(int(self.argument))

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, of two requests where the budget is reached."""
        kind = budgets.kind(self.head())
        return Attempt(await caller.call(run_step("budgeted", question, caller, int(self.argument), kind=kind)))


@dataclass(frozen=True, slots=True)
class Thinking(Enforced):
    """The vanilla prompt, with the provider's own limit on thinking."""

    PATTERN = "thinking:N"
    TITLE = N_("Thinking limited to {budget} tokens")
    HINT = N_("The provider's own limit on tokens of thinking; the prompt is the vanilla one.")


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
        step = run_step("vanilla", question, caller)
        sampling = replace(caller.sampling, reasoning_effort=self.level)
        return Attempt(await caller.call(replace(step, request=replace(step.request, sampling=sampling))))


@dataclass(frozen=True, slots=True)
class Verbosity(Strategy):
    """The vanilla prompt, with the provider's own setting for how much a model says."""

    PATTERN = "verbosity:LEVEL"
    TITLE = N_("Verbosity: {level}")
    HINT = N_("The provider's own setting for how much a model says, in words; the prompt is the vanilla one.")
    FILLS = "level"
    FAMILY = "brief"

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        return cls(str(budgets.kind("verbosity").read(name.partition(":")[2])))

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call."""
        kind = budgets.kind("verbosity")
        return Attempt(await caller.call(run_step("budgeted", question, caller, self.argument, kind=kind)))


@dataclass(frozen=True, slots=True)
class EarlyExit(Strategy):
    """The vanilla answer, stopped once what it would answer stays the same."""

    PATTERN = "early-exit"
    TITLE = N_("Early exit")
    HINT = N_(
        "The vanilla prompt; on the way the model is asked again and again what it would answer now, and stopped once "
        "that stays the same. Every request counts."
    )
    close = budgets.EARLY_EXIT.close(PROBE_TOKENS)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, of as many requests as it takes."""
        step = run_step("budgeted", question, caller, PROBE_TOKENS, kind=budgets.EARLY_EXIT)
        return Attempt(await caller.call(step))
