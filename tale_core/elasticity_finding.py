"""What a sweep found, in a sentence or two for people: no more than its numbers say.

Reads results only; knows no model and computes no statistics.
"""

from __future__ import annotations

from tale_core.elasticity_types import SweepResult
from tale_core.types import Outcome

RESPONSE = 0.15
"""Share of the vanilla answer's tokens that a budget must save before the model counts as reacting to it."""


def finding(result: SweepResult, *, known: bool, alike: bool) -> str:
    """The finding.

    Args:
        result: Its own `finding` is not read.
        known: The question's answer is known, so that answers could be graded.
        alike: Temperature 0: the repeats are one measurement made several times.
    """
    vanilla = next((p.tokens_mean for p in result.points if p.kind == "vanilla"), None)
    levels = {p.budget: p for p in result.points if p.budget is not None and p.tokens_mean is not None}
    ended = f"The limit on {result.stop_reason.removeprefix('limit-')} ended the sweep early."
    early = [ended] if result.stop_reason.startswith("limit-") else []
    if vanilla is None or not levels:
        return " ".join(["There is no answer under a budget yet.", *early])
    means = {b: p.tokens_mean or 0.0 for b, p in levels.items()}
    curve = _curve(result, vanilla, means, alike=alike) + "."
    if result.stop_reason == "running":
        curve = f"So far: {curve[0].lower()}{curve[1:]}"
    same = (
        ["At temperature 0 the repeats are one and the same measurement."]
        if alike and "temperature 0" not in curve
        else []
    )
    return " ".join([curve, _right(result, known=known), *_truncated(result), *same, *early])


def _curve(result: SweepResult, vanilla: float, means: dict[int, float], *, alike: bool) -> str:
    lowest, highest = min(means.values()), max(means.values())
    if min(means) >= vanilla:
        return f"No budget asked for less than the {_count(vanilla)} of the vanilla answer"
    if lowest > (1 - RESPONSE) * vanilla and _mostly_truncated(result):
        return "Most vanilla answers were cut at max_tokens, so what a budget saves cannot be seen; allow more tokens"
    if lowest > (1 - RESPONSE) * vanilla:
        return (
            f"The model ignores the budget: it writes {_between(lowest, highest)} under {_span(means)}, "
            f"and {_round(vanilla)} without one"
        )
    if len(means) > 1 and lowest >= (1 - RESPONSE) * highest:
        return (
            f"The model reacts to having a budget but not to its size: it writes {_between(lowest, highest)} under "
            f"{_span(means)}, and {_round(vanilla)} without one"
        )
    turning = min(means, key=lambda b: (means[b], b))
    less = f"({_count(lowest)}, {1 - lowest / vanilla:.0%} fewer than vanilla)".replace("%", " %")
    if turning == min(means):
        tried = "the smallest budget tried, " if len(means) > 1 else "the one budget tried, "
        return f"Asked for less, the model writes less down to {tried}{turning} {less}: no rebound was seen"
    said = f"Asked for less, the model writes less down to a budget of {turning} {less}"
    return f"{said}; {_rise(result, means, alike=alike)}"


def _rise(result: SweepResult, means: dict[int, float], *, alike: bool) -> str:
    rebound = result.rebound
    if rebound is None:
        return "no rebound was seen"
    at, tokens = rebound.budget, _count(means[rebound.budget])
    n = min(len(p.tokens) for p in result.points if p.budget in (rebound.budget, rebound.turning))
    if rebound.p_value is not None:
        judged = f"(p {_p(rebound.p_value)}, n = {n})"
        if rebound.significant:
            return f"at {at} it rebounds to {tokens} {judged}"
        return f"at {at} it wrote {tokens}, which may be chance {judged}"
    if result.stop_reason == "running":
        return f"at {at} it wrote {tokens}"
    if alike:
        return (
            f"at {at} it wrote {tokens}, but at temperature 0 the {n} repeats are the same measurement and cannot tell "
            "a rebound from chance"
        )
    if n == 1:
        return f"at {at} it wrote {tokens}, but one answer a budget cannot tell a rebound from chance"
    return f"at {at} it wrote {tokens}; all repeats were the same, so that chance cannot be judged"


def _right(result: SweepResult, *, known: bool) -> str:
    vanilla = next(p for p in result.points if p.kind == "vanilla")
    if not known:
        return "The right answer is not known, so nothing was graded."
    if vanilla.accuracy is None or not any(p.graded for p in result.points if p.kind == "budget"):
        return "Nothing could be graded."
    if vanilla.accuracy <= 0.5 and _mostly_truncated(result):
        return "Without a whole vanilla answer it is not known which budgets keep it right."
    if vanilla.accuracy <= 0.5:
        return "The vanilla answer is not right, so there is no budget that keeps it right."
    if result.ideal_range is None:
        return "No budget kept the answer right."
    low, high = result.ideal_range
    if low == high:
        return f"Of the budgets that keep the answer right, {low} costs least."
    return f"Of the budgets that keep the answer right, {low} to {high} cost least."


def _mostly_truncated(result: SweepResult) -> bool:
    vanilla = next(p for p in result.points if p.kind == "vanilla")
    return 2 * vanilla.outcomes.get(Outcome.TRUNCATED, 0) > vanilla.repeats


def _truncated(result: SweepResult) -> list[str]:
    n = sum(p.outcomes.get(Outcome.TRUNCATED, 0) for p in result.points)
    if n == 0:
        return []
    if n == 1:
        return ["1 answer was cut at max_tokens: its tokens are a lower bound."]
    return [f"{n} answers were cut at max_tokens: their tokens are a lower bound."]


def _count(tokens: float) -> str:
    number = _round(tokens)
    return f"{number} token" if number == "1" else f"{number} tokens"


def _round(tokens: float) -> str:
    return f"{round(tokens):,}"


def _between(low: float, high: float) -> str:
    return _count(low) if round(low) == round(high) else f"{_round(low)} to {_count(high)}"


def _span(means: dict[int, float]) -> str:
    low, high = min(means), max(means)
    return f"a budget of {low}" if low == high else f"every budget from {low} to {high}"


def _p(p: float) -> str:
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.2f}" if p >= 0.01 else f"= {p:.3f}"
