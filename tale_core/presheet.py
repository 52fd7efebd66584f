"""What a sweep will take, told before anything is spent: answers, tokens, dollars, seconds.

Pure arithmetic on a plan. What only others know (how many tokens a prompt has, what the vanilla answer will cost, how
fast the model writes, its price) is handed in; what nobody knows is assumed, and the sheet says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import NamedTuple

from tale_core import prompts
from tale_core.elasticity_types import MAX_BUDGET, MAX_LEVELS, SweepPlan
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.types import Message, Price, Question, SessionRecord, Usage
from tale_core.verdict import tokens_per_second

ASSUMED_VANILLA = 300
"""Tokens of a vanilla answer that nobody has seen yet; the paper's averages lie between 240 and 680."""
_SEPARATORS = re.compile(r"[\s,，、;；]+")


@dataclass(frozen=True, slots=True)
class PreSheet:
    """What a plan will take.

    Attributes:
        budgets: The grid, descending; with an assumed vanilla answer, a guess as well.
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

    budgets: tuple[int, ...]
    answers: int
    prompt_tokens: int
    tokens_kept: int
    tokens_worst: int | None
    cost_worst: float | None
    vanilla_tokens: int
    vanilla_assumed: bool
    seconds_kept: float | None = None
    seconds_worst: float | None = None


def presheet(
    plan: SweepPlan,
    *,
    count: Callable[[str], int],
    price: Price | None,
    vanilla_tokens: float | None = None,
    tokens_per_s: float | None = None,
) -> PreSheet:
    """The sheet of a plan.

    Args:
        plan: Need not be valid in every respect: the sheet is shown while the form is being filled.
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
    levels = (vanilla, *budgets, min(budgets, default=0))
    cap = plan.sampling.max_tokens
    kept = plan.repeats * sum(tokens if cap is None else min(tokens, cap) for tokens in levels)
    worst = None if cap is None else answers * cap
    if plan.limits.max_calls is not None and cap is not None:
        worst = min(answers, plan.limits.max_calls) * cap
    bound = _bounded(prompt_tokens, worst, plan.limits.max_tokens)
    return PreSheet(
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


def parse_grid(text: str) -> tuple[int, ...]:
    """Budgets from a list as people type it ("200, 100, 50"), descending and without doubles.

    Raises:
        InputError: Nothing was given, something is no whole number, a budget is out of range, or there are too many.
    """
    parts = [part for part in _SEPARATORS.split(text.strip()) if part]
    allowed = t(
        "Give whole numbers from 1 to {high:,} with commas between them, such as 200, 100, 50, 20.", high=MAX_BUDGET
    )
    if not parts:
        raise InputError(t("The list of budgets is empty."), allowed)
    for part in parts:
        if not (part.isascii() and part.isdigit()):
            raise InputError(t("{given!r} is not a whole number of tokens.", given=part[:30]), allowed)
        if len(part) > 9 or not 1 <= int(part) <= MAX_BUDGET:
            raise InputError(t("A budget of {given} tokens is out of range.", given=part[:30]), allowed)
    budgets = sorted({int(part) for part in parts}, reverse=True)
    if len(budgets) > MAX_LEVELS:
        raise InputError(t("{given} budgets were given.", given=len(budgets)), t("Give at most {n}.", n=MAX_LEVELS))
    return tuple(budgets)


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
    told = [(s.question, c) for s in sessions for c in s.calls if c.status == "done" and not c.cut]
    speeds = [speed for _, c in told if c.source == "live" and (speed := tokens_per_second(c))]
    same = [c.completion_tokens for q, c in told if q.text == question.text and c.role == "vanilla"]
    known = [tokens for tokens in same if tokens]
    return Seen(median(speeds) if speeds else None, fmean(known) if known else None)


def seconds_left(*, finished: int, planned: int, timed: int, elapsed_s: float) -> float | None:
    """Seconds until the last answer, at the pace so far; None before the first answer that took any time.

    Args:
        finished: Answers that are there.
        planned: Answers that were asked for.
        timed: Those of them that were generated now, and not known from earlier.
        elapsed_s: Seconds since the first of those began.
    """
    if timed < 1 or elapsed_s <= 0:
        return None
    return max(0, planned - finished) * elapsed_s / timed


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "3 min", "1 h 10 min"."""
    if seconds < 90:
        return t("{n} s", n=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 90:
        return t("{n} min", n=minutes)
    hours, rest = divmod(minutes, 60)
    return t("{h} h {min} min", h=hours, min=rest) if rest and hours < 10 else t("{h} h", h=hours)


def _prompt_tokens(plan: SweepPlan, budgets: tuple[int, ...], count: Callable[[str], int]) -> int:
    """Of one repeat: the vanilla prompt, the direct prompt, and one prompt for each budget."""
    kind = plan.question.kind or "number"

    def ask(budget: int | None) -> tuple[Message, ...]:
        return prompts.answer_messages(plan.question, template_name=plan.template, kind=kind, budget=budget)

    every = [ask(None), prompts.direct_messages(plan.question, kind=kind), *(ask(budget) for budget in budgets)]
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
