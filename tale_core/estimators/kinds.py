"""The kinds of estimators: what each is called, where its budgets come from, how it is made or trained. One registry.

A new one is an entry of `KINDS` and the Chinese of its words: Ask's list, the Estimators page, the command line, the
notebooks' interface and errors offer what is here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from tale_core.errors import InputError
from tale_core.estimators.base import MAX_BUDGET, Estimator
from tale_core.estimators.zero_shot import ZeroShot
from tale_core.i18n import N_, t
from tale_core.types import Client, Delta, Estimate, Question, Sampling


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same budget for every question; costs nothing."""

    budget: int
    asks_model: bool = False

    @property
    def name(self) -> str:
        """Registry name, with the budget."""
        return f"fixed:{self.budget}"

    @classmethod
    def parse(cls, argument: str) -> Fixed:
        """The estimator of a number.

        Raises:
            InputError: It is no whole number from 1 to MAX_BUDGET.
        """
        if argument.isascii() and argument.isdigit() and 1 <= int(argument[:9]) <= MAX_BUDGET:
            return cls(int(argument))
        raise InputError(
            t("{name!r} is not a fixed budget.", name=f"fixed:{argument}"[:60]),
            t("Give a whole number from 1 to {most:,}: fixed:50.", most=MAX_BUDGET),
        )

    async def estimate(
        self, question: Question, client: Client, *, run: Sampling | None = None
    ) -> AsyncGenerator[Delta | Estimate, None]:
        """The fixed budget."""
        yield Estimate(estimator=self.name, budget=self.budget)


@dataclass(frozen=True, slots=True)
class Training:
    """How a kind is trained: candidates (see `CANDIDATES`) are compared on questions they have not seen.

    Attributes:
        title: What it predicts from, in the list of what can be trained.
        eligible: Candidates that may be kept; the constant always may.
        shown: Compared only.
        needs_estimate: It learns from questions that the model has named a budget for, and from no others.
    """

    title: str
    eligible: tuple[str, ...]
    shown: tuple[str, ...] = ()
    needs_estimate: bool = False


@dataclass(frozen=True, slots=True)
class EstimatorKind:
    """One kind of estimator: either made from its name alone, or trained. Words are said with `t`.

    Attributes:
        name: The first part of an estimator's name, stored with each session.
        title: In the list of the Ask page.
        origin: Where a budget of it came from, beside the budget.
        make: The estimator for what stands after the colon of its name; None for one that is trained.
        argument: N where a number of tokens stands there, for which pages ask; "" for nothing.
        training: None for one that needs none.
    """

    name: str
    title: str
    origin: str
    make: Callable[[str], Estimator] | None = None
    argument: str = ""
    training: Training | None = None

    @property
    def pattern(self) -> str:
        """How a person writes it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name


TITLES: dict[str, str] = {
    "constant": N_("always the middle optimum"),
    "neighbours": N_("the most similar questions"),
    "ridge": N_("a linear model"),
    "boosting": N_("quantile gradient boosting"),
    "zero-shot": N_("the model's own estimate"),
    "calibrated": N_("the model's own estimate, calibrated"),
}
"""What `tale_core.estimators.candidates` holds, by name."""

KINDS: dict[str, EstimatorKind] = {
    kind.name: kind
    for kind in (
        EstimatorKind(
            "regression",
            N_("Predicted from searches"),
            N_("predicted from searches"),
            training=Training(
                N_("From the question alone (regression)"), ("ridge", "boosting", "neighbours"),
                shown=("zero-shot", "calibrated"),
            ),
        ),
        EstimatorKind(
            "calibrated",
            N_("The model's estimate, corrected"),
            N_("the model's estimate, corrected by searches"),
            training=Training(
                N_("From the model's own estimate (calibrated)"), ("calibrated",), shown=("zero-shot",),
                needs_estimate=True,
            ),
        ),
        EstimatorKind(
            "zero-shot", N_("The model estimates it"), N_("the model's own estimate"), make=lambda _: ZeroShot()
        ),
        EstimatorKind("fixed", N_("I set it"), N_("set by you"), make=Fixed.parse, argument="N"),
    )
}  # fmt: skip
"""Every kind, the better informed first: where nobody has chosen, the first that is there is used."""


def trainings() -> dict[str, Training]:
    """How each kind is trained that can be, by name."""
    return {name: kind.training for name, kind in KINDS.items() if kind.training}


def patterns() -> str:
    """Every kind as a person writes it, in a list."""
    return ", ".join(kind.pattern for kind in KINDS.values())
