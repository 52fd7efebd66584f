"""What an experiment will take, told before anything is spent: calls, tokens, dollars.

Pure arithmetic on a plan; what nobody knows before the first answer is assumed, and the estimate says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tale_core.budgets.forcing import RESERVE, prompt_bound
from tale_core.budgets.kinds import kind
from tale_core.elasticity.estimate import ASSUMED_VANILLA
from tale_core.experiments.plan import CheckedExperiment, ExperimentPlan
from tale_core.grading import known_answer
from tale_core.i18n import t
from tale_core.prompts.messages import question_block, template
from tale_core.strategies import Strategy
from tale_core.types import Price, Question, Usage

SAMPLE = 50
"""Questions whose tokens are counted; the others are taken to be as long."""
INSTRUCTION = 45
"""Tokens that a prompt adds to its question, about; the estimator's adds 60."""
FIRST = 3
"""Questions that are shown with their known answers."""
_SHOWN = 100
_ESTIMATE = 15


@dataclass(frozen=True, slots=True)
class CostEstimate:
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


def cost_estimate(plan: CheckedExperiment, *, count: Callable[[str], int], price: Price | None) -> CostEstimate:
    """The cost estimate of a checked plan.

    Args:
        plan: What will be run.
        count: Tokens of a text, estimated.
        price: Of the model; None when unknown.
    """
    found = plan.by_name()
    each = len(plan.questions) * plan.repeats
    bare = fmean(count(question_block(q)) for q in plan.questions[:SAMPLE]) + INSTRUCTION
    prompts = {name: bare + _worked(s, plan, count) for name, s in found.items()}
    cap = plan.sampling.max_tokens
    # A budget of the run's kind is at most the cap: a level above it is never reached.
    close = {name: s.close or kind(plan.knob).close(cap or 0) for name, s in found.items()}
    most = {name: prompt_bound(close[name], round(prompts[name]), cap) for name in found}
    prompt = max(most.values())
    low, high = (each * sum(s.calls[i] for s in found.values()) for i in (0, 1))
    limits = plan.limits
    if limits.max_calls is not None:
        low, high = min(low, limits.max_calls), min(high, limits.max_calls)
    about = each * sum(_about(s, prompts[name]) for name, s in found.items())
    by_strategy = each * sum(s.calls[1] * most[name] for name, s in found.items())
    spent = min(high * prompt, by_strategy)
    longest = (cap or 0) + (RESERVE if any(close.values()) else 0)
    worst = None if cap is None else round(spent + high * longest)
    if limits.max_tokens is not None:
        worst = limits.max_tokens if worst is None else min(worst, limits.max_tokens)
    tokens_about = round(about) if worst is None else min(round(about), worst)
    return CostEstimate(len(found) * each, low, high, tokens_about, worst, _cost(spent, worst, price, plan))


def estimate_words(one: CostEstimate) -> str:
    """The cost estimate in a sentence or two."""
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


def first_questions(questions: Sequence[Question]) -> list[tuple[str, str]]:
    """The first questions of a set, each on one line with its known answer as it was understood.

    A known answer that was read wrong, a letter for another option say, makes every number of an experiment wrong and
    is seen here at a glance.
    """
    return [(_one_line(q.text), known_words(q)) for q in questions[:FIRST]]


def known_words(question: Question) -> str:
    """The known answer as it will be compared; of a choice the letter with the option's text."""
    gold = known_answer(question)
    if gold is None:
        return t("no known answer")
    at = ord(gold) - ord("A") if question.options and len(gold) == 1 else -1
    return _one_line(f"{gold}) {question.options[at]}" if 0 <= at < len(question.options) else gold)


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def calls_words(one: CostEstimate) -> str:
    """How many calls: a number, or from the least to the most."""
    if one.calls_low == one.calls_high:
        return f"{one.calls_low:,}"
    return t("{low:,} to {high:,}", low=one.calls_low, high=one.calls_high)


def _worked(one: Strategy, plan: ExperimentPlan, count: Callable[[str], int]) -> int:
    """Tokens of the worked examples in a strategy's prompts."""
    name = one.TEMPLATE or (one.template or plan.template if one.worded else "")
    if not name or not plan.questions:
        return 0
    shown = template(name).messages(plan.questions[0])[:-1]
    return count("\n".join(message.content for message in shown))


def _about(one: Strategy, prompt: float) -> float:
    """Tokens of one answer of a strategy, prompts included, as far as anybody can know."""
    calls = one.calls[0]
    return calls * prompt + (one.assumed_tokens or ASSUMED_VANILLA) + (calls - 1) * _ESTIMATE


def _cost(prompts: float, worst: int | None, price: Price | None, plan: ExperimentPlan) -> float | None:
    limit = plan.limits.max_cost_usd
    if price is None:
        return None
    if worst is None:
        return limit
    cost = price.cost(Usage(min(round(prompts), worst), max(0, worst - round(prompts))))
    return cost if limit is None else min(cost, limit)
