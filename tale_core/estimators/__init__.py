"""Budget estimators, by name: `zero-shot` asks the model, `fixed:N` uses N tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from tale_core.errors import InputError
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET, Estimator, parse_budget
from tale_core.estimators.zero_shot import ZeroShot
from tale_core.types import Client, Delta, Estimate, Question

__all__ = ["FALLBACK_BUDGET", "MAX_BUDGET", "Estimator", "Fixed", "ZeroShot", "estimator", "parse_budget"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same budget for every question; costs nothing."""

    budget: int
    asks_model: bool = False

    @property
    def name(self) -> str:
        """Registry name, with the budget."""
        return f"fixed:{self.budget}"

    async def estimate(self, question: Question, client: Client) -> AsyncGenerator[Delta | Estimate, None]:
        """The fixed budget."""
        yield Estimate(estimator=self.name, budget=self.budget)


def estimator(name: str) -> Estimator:
    """The estimator of this name.

    Raises:
        InputError: No such name, or a budget that is not a whole number from 1 to MAX_BUDGET.
    """
    if name == "zero-shot":
        return ZeroShot()
    head, _, number = name.partition(":")
    if head != "fixed":
        raise InputError(f"There is no estimator {name!r}.", "Choose zero-shot or fixed:N, for example fixed:50.")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:9]) <= MAX_BUDGET:
        raise InputError(f"{name!r} is not a fixed budget.", f"Give a whole number from 1 to {MAX_BUDGET:,}: fixed:50.")
    return Fixed(int(number))
