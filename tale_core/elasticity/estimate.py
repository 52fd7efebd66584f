"""What a sweep will take, told before anything is spent: answers, tokens, dollars, seconds.

Pure arithmetic on a plan. What only others know (how many tokens a prompt has, what the vanilla answer will cost, how
fast the model writes, its price) is handed in; what nobody knows is assumed, and the estimate says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import NamedTuple

from tale_core.budgets.forcing import RESERVE, prompt_bound
from tale_core.calls.comparison import tokens_per_second
from tale_core.elasticity.plan import SweepPlan
from tale_core.prompts import messages as prompts
from tale_core.types import Level, Message, Price, Question, SessionRecord, Usage

ASSUMED_VANILLA = 300
"""Tokens of a vanilla answer that nobody has seen yet; the paper's averages lie between 240 and 680."""


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a plan will take.

    Attributes:
        budgets: The levels, the largest first; with an assumed vanilla answer, a guess as well.
        answers: Answers asked for: every budget, vanilla and direct, each as often as the plan repeats.
        prompt_tokens: Of all prompts together, an estimate.
        tokens_kept: Prompts and answers together if every answer keeps exactly to its budget.
        tokens_worst: The same if every answer runs to max_tokens or a hard cap; None when nothing bounds it.
        cost_worst: Dollars of `tokens_worst`; None when the price is unknown or nothing bounds it.
        vanilla_tokens: What the vanilla answer was taken to cost.
        vanilla_assumed: True when nobody has seen such an answer yet.
        seconds_kept: Writing time of `tokens_kept`, one answer after the other; None when the speed is unknown.
        seconds_worst: Likewise of `tokens_worst`.
    """

    budgets: tuple[Level, ...]
    answers: int
    prompt_tokens: int
    tokens_kept: int
    tokens_worst: int | None
    cost_worst: float | None
    vanilla_tokens: int
    vanilla_assumed: bool
    seconds_kept: float | None = None
    seconds_worst: float | None = None


def cost_estimate(
    plan: SweepPlan,
    *,
    count: Callable[[str], int],
    price: Price | None,
    vanilla_tokens: float | None = None,
    tokens_per_s: float | None = None,
) -> CostEstimate:
    """The cost estimate of a plan.

    Args:
        plan: Need not be valid in every respect: the estimate is shown while the form is being filled.
        count: Tokens of a text, estimated.
        price: Of the model; None when unknown.
        vanilla_tokens: What the vanilla answer to this question has cost before; None when nobody knows.
        tokens_per_s: How fast this model was seen to write; None when nobody knows.
    """
    vanilla = max(1, round(vanilla_tokens or ASSUMED_VANILLA))
    budgets = plan.grid(vanilla)
    answers = (len(budgets) + 2) * plan.repeats
    prompt_tokens = plan.repeats * _prompt_tokens(plan, budgets, count)
    # The direct answer is as short as answers get: taken to cost what the lowest budget asks for.
    # A word names no number: what it will cost is what the vanilla answer costs.
    asked = [level if isinstance(level, int) else vanilla for level in budgets]
    levels = (vanilla, *asked, min(asked, default=0))
    cap = plan.sampling.max_tokens
    kept = plan.repeats * sum(tokens if cap is None else min(tokens, cap) for tokens in levels)
    # Whoever is forced out reads the prompt, and what was written, once more, and answers on top of the cap.
    forced = [plan.kind.close(level) for level in budgets]
    longest = (cap or 0) + (RESERVE if any(forced) else 0)
    worst = None if cap is None else answers * longest
    if plan.limits.max_calls is not None and cap is not None:
        worst = min(answers, plan.limits.max_calls) * longest
    each = prompt_tokens // (answers or 1)
    more = plan.repeats * sum(prompt_bound(close, each, cap) - each for close in forced if close)
    bound = _bounded(prompt_tokens + more, worst, plan.limits.max_tokens)
    return CostEstimate(
        budgets=budgets,
        answers=answers,
        prompt_tokens=prompt_tokens,
        tokens_kept=prompt_tokens + kept if bound is None else min(prompt_tokens + kept, bound),
        tokens_worst=bound,
        cost_worst=_cost(prompt_tokens, bound, price, plan.limits.max_cost_usd),
        vanilla_tokens=vanilla,
        vanilla_assumed=vanilla_tokens is None,
        seconds_kept=kept / tokens_per_s if tokens_per_s else None,
        seconds_worst=max(0, bound - prompt_tokens) / tokens_per_s if tokens_per_s and bound is not None else None,
    )


class Seen(NamedTuple):
    """What earlier sessions of a model tell; None where they tell nothing.

    Attributes:
        tokens_per_s: The middle one of the speeds at which it wrote its answers.
        vanilla_tokens: What its vanilla answers to the question cost on average.
    """

    tokens_per_s: float | None
    vanilla_tokens: float | None


def seen(sessions: Iterable[SessionRecord], question: Question) -> Seen:
    """What these sessions, all of one model, tell about a sweep of this question."""
    whole = [(s.question, c) for s in sessions for c in s.calls if c.status == "done" and not c.cut]
    speeds = [speed for _, c in whole if c.source == "live" and (speed := tokens_per_second(c))]
    same = [c.completion_tokens for q, c in whole if q.text == question.text and c.role == "vanilla"]
    known = [tokens for tokens in same if tokens]
    return Seen(median(speeds) if speeds else None, fmean(known) if known else None)


def _prompt_tokens(plan: SweepPlan, budgets: tuple[Level, ...], count: Callable[[str], int]) -> int:
    """Of one repeat: the vanilla prompt, the direct prompt, and one prompt for each budget."""
    kind = plan.question.kind or "number"

    def ask(budget: int | None) -> tuple[Message, ...]:
        return prompts.answer_messages(plan.question, template_name=plan.template, kind=kind, budget=budget)

    every = [
        ask(None),
        prompts.direct_messages(plan.question, kind=kind),
        *(ask(plan.kind.in_prompt(level)) for level in budgets),
    ]
    return sum(count(message.content) for messages in every for message in messages)


def _bounded(prompt_tokens: int, completion: int | None, limit: int | None) -> int | None:
    total = None if completion is None else prompt_tokens + completion
    if limit is None or total is None:
        return limit if total is None else total
    return min(total, limit)


def _cost(prompt_tokens: int, worst: int | None, price: Price | None, limit: float | None) -> float | None:
    if price is None:
        return None
    if worst is None:
        return limit
    cost = price.cost(Usage(min(prompt_tokens, worst), max(0, worst - prompt_tokens)))
    return cost if limit is None else min(cost, limit)
