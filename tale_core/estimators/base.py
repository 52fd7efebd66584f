"""What an estimator is, and how a budget is read from a model's words."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

from tale_core.grading.clean import clean
from tale_core.grading.numbers import strict_number
from tale_core.grading.text import tidy
from tale_core.grading.thinking import split_thinking
from tale_core.grading.words import number_word
from tale_core.i18n import t
from tale_core.types import Client, Delta, Estimate, Question, Sampling

FALLBACK_BUDGET = 100
"""Tokens used, and said to be used, when a model's own estimate cannot be: about a third of the paper's vanilla answer
on GSM8K (318 tokens, Table 3), so it still shortens without starving."""

MAX_BUDGET = 20_000
"""Tokens above which an estimate is called absurd: no vanilla answer in the paper comes near a tenth of it."""

# Possessive quantifiers, and numbers that are taken whole: a text of any shape is read in one pass.
# A dash behind a figure is no sign: of a range ("50-100 tokens") the larger end counts.
_TO = r"(?<=\d)\s?(?:-|~|\bto\b|[至到])\s?(?=\d)"
_NUMBER = rf"(?:(?<!\d)-)?(?:\d{{1,3}}(?: \d{{3}})++(?!\d)|\d[\d,]*+(?:\.\d++)?)(?:{_TO}\d[\d,]*+)?"
_TOKENS = r"(?:个?(?:\s?tokens?\b|词元|标记|令牌))"
_BRACKETS = re.compile(r"\[\[([^\[\]]{1,80})\]\]|\\boxed ?\{([^{}]{1,80})\}")
_LABELLED = re.compile(
    r"(?:budget|预算|estimated? tokens?|(?:number|amount) of tokens|tokens? (?:needed|required))"
    r"(?:\s?(?:\b(?:is|are|of|would be|should be|about|approximately|around|at (?:least|most))\b|[是为约≈~])){0,4}"
    rf"[^\w-]{{0,6}}({_NUMBER})",
    re.IGNORECASE,
)
_COUNTED = re.compile(rf"({_NUMBER})(\s?+{_TOKENS})?", re.IGNORECASE)
_AROUND = re.compile(
    rf"\bbudget\s?[:=]|{_TOKENS}|\b(?:at most|up to|about|approximately|around|no more than|less than)\b|[≤≈~<+]",
    re.IGNORECASE,
)
_FLOAT = 10**300
"""A model may write 10^999, which is no float."""
_OTHER_UNIT = re.compile(r"[^\W\d_]{2}")


class ParsedBudget(NamedTuple):
    """A budget in tokens, or why there is none."""

    budget: int | None
    problem: str | None


def parse_budget(raw: str) -> ParsedBudget:
    """Read a budget from a model's answer: `[[12]]` or a box first, then "Budget: 12", "12 tokens", or a bare number.

    What it thinks before it answers names no budget.

    Returns:
        A positive budget up to MAX_BUDGET, or the reason in words why the text cannot be used.
    """
    text = tidy(split_thinking(raw).answer[:10_000]).replace("*", "").replace("$", "")
    found = [named for m in _BRACKETS.finditer(text) if (named := _number(m[1] or m[2])) is not None]
    if not found:
        counted = (written for written, unit in _COUNTED.findall(text) if unit)
        ends = (re.sub(r"[ ,]", "", _end(written)) for written in _LABELLED.findall(text) or counted)
        found = [min(float(end), float(_FLOAT)) for end in ends]
    if not found and len(text) < 80 and (bare := _number(text.strip(" []{}().\n"))) is not None:
        found = [bare]
    if not found:
        return ParsedBudget(None, t("the model named no number of tokens"))
    number = found[-1]
    shown = f"{number:.0f}" if number % 1 == 0 else f"{number:g}"
    if number > MAX_BUDGET:
        shown = shown if len(shown) <= 12 else f"{shown[:12]}…"
        absurd = t("the model's estimate of {n} tokens is absurd (more than {most:,})", n=shown, most=MAX_BUDGET)
        return ParsedBudget(None, absurd)
    if number < 1:
        return ParsedBudget(None, t("the model's estimate of {n} tokens is not positive", n=shown))
    return ParsedBudget(int(number), None)


def _end(words: str) -> str:
    """The larger end of a range; anything else as it is."""
    return re.split(_TO, words)[-1]


def _number(words: str) -> float | None:
    """The number in an answer's brackets, which may name tokens and no other unit."""
    bare = clean(_AROUND.sub(" ", _end(words)))
    number = strict_number(bare)
    if number is None or (_OTHER_UNIT.search(bare) and number_word(bare) is None) or "word" in bare:
        return None
    value = number.value
    return float(value) if abs(value) < _FLOAT else float(_FLOAT if value > 0 else -_FLOAT)


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
