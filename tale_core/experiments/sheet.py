"""What an experiment will take, told before anything is spent: calls, tokens, dollars.

Pure arithmetic on a plan; what nobody knows before the first answer is assumed, and the sheet says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from tale_core.estimators.base import FALLBACK_BUDGET
from tale_core.experiments.plan import ExperimentPlan
from tale_core.i18n import t
from tale_core.presheet import ASSUMED_VANILLA
from tale_core.prompts import question_block
from tale_core.types import Price, Usage

SAMPLE = 50
"""Questions whose tokens are counted; the others are taken to be as long."""
INSTRUCTION = 45
"""Tokens that a prompt adds to its question, about; the estimator's adds 60."""
_DIRECT = 10
_ESTIMATE = 15


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a plan will take; without what is known already, which costs nothing.

    Attributes:
        units: Answers that are wanted.
        calls_low: Calls at least.
        calls_high: Calls at most (a search ends by itself).
        tokens_about: Prompts and answers, if answers are as long as those of the paper.
        tokens_worst: If every call runs to its cap or the hard limit; None when nothing bounds it.
        cost_worst: Dollars of `tokens_worst`; None when the price is unknown or nothing bounds it.
    """

    units: int
    calls_low: int
    calls_high: int
    tokens_about: int
    tokens_worst: int | None
    cost_worst: float | None


def sheet(plan: ExperimentPlan, *, count: Callable[[str], int], price: Price | None) -> Sheet:
    """The sheet of a valid plan.

    Args:
        plan: What will be run.
        count: Tokens of a text, estimated.
        price: Of the model; None when unknown.
    """
    found = plan.validate()
    each = len(plan.questions) * plan.repeats
    prompt = fmean(count(question_block(q)) for q in plan.questions[:SAMPLE]) + INSTRUCTION
    low, high = (each * sum(s.calls[i] for s in found.values()) for i in (0, 1))
    limits = plan.limits
    if limits.max_calls is not None:
        low, high = min(low, limits.max_calls), min(high, limits.max_calls)
    about = each * sum(_about(name, s.calls[0], prompt) for name, s in found.items())
    cap = plan.sampling.max_tokens
    worst = None if cap is None else round(high * (prompt + cap))
    if limits.max_tokens is not None:
        worst = limits.max_tokens if worst is None else min(worst, limits.max_tokens)
    tokens_about = round(about) if worst is None else min(round(about), worst)
    return Sheet(len(found) * each, low, high, tokens_about, worst, _cost(high * prompt, worst, price, plan))


def sheet_words(one: Sheet) -> str:
    """The sheet in a sentence or two."""
    worst = t("without a bound") if one.tokens_worst is None else t("at most {n:,}", n=one.tokens_worst)
    cost = t("the cost is unknown") if one.cost_worst is None else t("at most ${usd:.2f}", usd=one.cost_worst)
    return t(
        "{answers:,} answers in {calls} calls: about {tokens:,} tokens, {worst}; {cost}.",
        answers=one.units,
        calls=calls_words(one),
        tokens=one.tokens_about,
        worst=worst,
        cost=cost,
    )


def calls_words(one: Sheet) -> str:
    """How many calls: a number, or from the least to the most."""
    if one.calls_low == one.calls_high:
        return f"{one.calls_low:,}"
    return t("{low:,} to {high:,}", low=one.calls_low, high=one.calls_high)


def _about(name: str, calls: int, prompt: float) -> float:
    """Tokens of one answer of a strategy, prompts included, as far as anybody can know."""
    bare = name.partition("@")[0]
    answer = float(ASSUMED_VANILLA)
    if bare == "direct":
        answer = _DIRECT
    elif bare.startswith("fixed:"):
        answer = float(bare.partition(":")[2])
    elif bare.startswith("tale-") or bare == "chain-of-draft":
        answer = FALLBACK_BUDGET
    return calls * prompt + answer + (calls - 1) * _ESTIMATE


def _cost(prompts: float, worst: int | None, price: Price | None, plan: ExperimentPlan) -> float | None:
    limit = plan.limits.max_cost_usd
    if price is None:
        return None
    if worst is None:
        return limit
    cost = price.cost(Usage(min(round(prompts), worst), max(0, worst - round(prompts))))
    return cost if limit is None else min(cost, limit)
