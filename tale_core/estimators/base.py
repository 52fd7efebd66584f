"""What an estimator is, and how a budget is read from a model's words."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

from tale_core.grading.thinking import split_thinking
from tale_core.i18n import t
from tale_core.types import Client, Delta, Estimate, Question, Sampling

FALLBACK_BUDGET = 100
"""Tokens used, and said to be used, when a model's own estimate cannot be: about a third of the paper's vanilla answer
on GSM8K (318 tokens, Table 3), so it still shortens without starving."""

MAX_BUDGET = 20_000
"""Tokens above which an estimate is called absurd: no vanilla answer in the paper comes near a tenth of it."""

# Possessive quantifiers, and numbers that are taken whole: a text of any shape is read in one pass.
_NUMBER = r"\d[\d,]*+(?:\.\d++)?"
_BRACKETS = re.compile(rf"\[\[\s*+(?:budget\s*+[:=]\s*+)?([-−–]?\s*+{_NUMBER})\s*+(?:tokens?)?\s*+\]\]", re.IGNORECASE)
_LABELLED = re.compile(rf"budget\W{{0,6}}([-−–]?{_NUMBER})", re.IGNORECASE)
_TOKENS = re.compile(rf"([-−–]?{_NUMBER})(\s*+tokens?\b)?", re.IGNORECASE)
_BARE = re.compile(rf"\s*+([-−–]?{_NUMBER})\s*+\.?\s*+")


class ParsedBudget(NamedTuple):
    """A budget in tokens, or why there is none."""

    budget: int | None
    problem: str | None


def parse_budget(raw: str) -> ParsedBudget:
    """Read a budget from a model's answer: `[[12]]` first, then "Budget: 12", "12 tokens", or a bare number.

    What it thinks before it answers names no budget.

    Returns:
        A positive budget up to MAX_BUDGET, or the reason in words why the text cannot be used.
    """
    text = split_thinking(raw).answer[:10_000]
    found = _BRACKETS.findall(text) or _LABELLED.findall(text)
    found = found or [number for number, unit in _TOKENS.findall(text) if unit]
    if not found and (bare := _BARE.fullmatch(text)):
        found = [bare.group(1)]
    if not found:
        return ParsedBudget(None, t("the model named no number of tokens"))
    number = re.sub(r"[\s,]", "", found[-1]).replace("−", "-").replace("–", "-")
    if len(number) > 12 or float(number) > MAX_BUDGET:
        shown = number if len(number) <= 12 else f"{number[:12]}…"
        absurd = t("the model's estimate of {n} tokens is absurd (more than {most:,})", n=shown, most=MAX_BUDGET)
        return ParsedBudget(None, absurd)
    value = int(float(number))
    if value < 1:
        return ParsedBudget(None, t("the model's estimate of {n} tokens is not positive", n=number))
    return ParsedBudget(value, None)


class Estimator(Protocol):
    """Predicts a budget for a question.

    Attributes:
        name: Registry name, stored with the session.
        asks_model: True when `estimate` makes a call that costs tokens.
    """

    @property
    def name(self) -> str:
        """Registry name."""
        ...

    @property
    def asks_model(self) -> bool:
        """True when an estimate costs a call."""
        ...

    def estimate(
        self, question: Question, client: Client, *, run: Sampling | None = None
    ) -> AsyncGenerator[Delta | Estimate, None]:
        """Yield what the model writes while it estimates, if it is asked, then exactly one `Estimate`.

        Args:
            question: To be answered.
            client: Who will answer it.
            run: How the answers are sampled; the estimator's call keeps within it (`zero_shot.estimate_sampling`).

        Raises:
            ModelError: The estimator's own call failed.
        """
        ...
