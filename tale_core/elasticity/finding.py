"""What a sweep found, in a sentence or two for people: no more than its numbers say.

Reads results only; computes no statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tale_core.elasticity.knob import knob_finding
from tale_core.elasticity.plan import SweepPlan, SweepPoint, SweepResult
from tale_core.grading import known_answer
from tale_core.i18n import N_, joined, t, tn
from tale_core.types import Outcome

if TYPE_CHECKING:
    from tale_core.elasticity.view import SweepView

RESPONSE = 0.15
"""Share of the vanilla answer's tokens that a budget must save before the model counts as reacting to it."""


def is_one_measurement(plan: SweepPlan) -> bool:
    """Temperature 0: the repeats are one measurement made several times."""
    return plan.sampling.temperature == 0 and plan.repeats > 1


def sweep_finding(view: SweepView) -> str:
    """What a sweep found, in the reader's language: the stored sentence is that of the files. "" before the first."""
    if view.result is None:
        return ""
    known = known_answer(view.question) is not None
    return finding(view.plan, view.result, known=known)


def finding(plan: SweepPlan, result: SweepResult, *, known: bool) -> str:
    """The finding.

    Args:
        plan: Of the sweep.
        result: Its own `finding` is not read.
        known: The question's answer is known, so that answers could be graded.
    """
    alike = is_one_measurement(plan)
    vanilla = next((p.tokens_mean for p in result.points if p.kind == "vanilla"), None)
    levels = {p.budget: p for p in result.points if p.budget is not None and p.tokens_mean is not None}
    early = t(_EARLY[result.stop_reason]) if result.stop_reason in _EARLY else ""
    if vanilla is None or not levels:
        return joined(t("There is no answer under a budget yet."), early)
    if not plan.kind.NUMBERS:
        return joined(_words(plan, result), _right(result, known=known), _truncated(result), early)
    means = {b: p.tokens_mean or 0.0 for b, p in levels.items() if isinstance(b, int)}
    curve = t("{sentence}.", sentence=_curve(result, vanilla, means, alike=alike))
    if result.stop_reason == "running":
        curve = t("So far: {found}", found=f"{curve[0].lower()}{curve[1:]}")
    explained = _cannot_be_judged(result, alike=alike) and _rise(result, means, alike=alike) in curve
    same = t("At temperature 0 the repeats are one and the same measurement.") if alike and not explained else ""
    return joined(curve, _right(result, known=known), _truncated(result), same, early)


_EARLY = {
    "limit-calls": N_("The cap on calls ended the sweep early."),
    "limit-tokens": N_("The cap on tokens ended the sweep early."),
    "limit-cost": N_("The cap on cost ended the sweep early."),
}


def _words(plan: SweepPlan, result: SweepResult) -> str:
    """What levels that are words told: whether they are real, and one that costs more than it should."""
    knob, rebound = knob_finding(plan, result), result.rebound
    found = knob.sentence if knob else ""
    if rebound is None or not rebound.significant:
        return found
    values = {"level": rebound.budget, "turning": rebound.turning, "n": rebound.extra_tokens}
    return joined(found, t("{level} costs {n:,.0f} tokens more than {turning}, though it should cost less.", **values))


def _curve(result: SweepResult, vanilla: float, means: dict[int, float], *, alike: bool) -> str:
    lowest, highest = min(means.values()), max(means.values())
    if min(means) >= vanilla:
        return t("No budget asked for less than the {tokens} of the vanilla answer", tokens=_count(vanilla))
    if lowest > (1 - RESPONSE) * vanilla and _mostly_truncated(result):
        return t(
            "Most vanilla answers were cut at max_tokens, so what a budget saves cannot be seen; allow more tokens"
        )
    values = {"tokens": _between(lowest, highest), "budgets": _span(means), "vanilla": _round(vanilla)}
    if lowest > (1 - RESPONSE) * vanilla:
        return t(
            "The model ignores the budget: it writes {tokens} under {budgets}, and {vanilla} without one", **values
        )
    if len(means) > 1 and lowest >= (1 - RESPONSE) * highest:
        return t(
            "The model reacts to having a budget but not to its size: it writes {tokens} under {budgets}, and "
            "{vanilla} without one",
            **values,
        )
    turning = min(means, key=lambda b: (means[b], b))
    share = f"{100 * (1 - lowest / vanilla):.0f}"
    less = {"turning": turning, "tokens": _count(lowest), "percent": share}
    if turning == min(means) and len(means) > 1:
        return t(
            "Asked for less, the model writes less down to the smallest budget tried, {turning} ({tokens}, {percent} % "
            "fewer than vanilla): no rebound was seen",
            **less,
        )
    if turning == min(means):
        return t(
            "Asked for less, the model writes less down to the one budget tried, {turning} ({tokens}, {percent} % "
            "fewer than vanilla): no rebound was seen",
            **less,
        )
    return t(
        "Asked for less, the model writes less down to a budget of {turning} ({tokens}, {percent} % fewer than "
        "vanilla); {rise}",
        **less, rise=_rise(result, means, alike=alike),
    )  # fmt: skip


def _cannot_be_judged(result: SweepResult, *, alike: bool) -> bool:
    """There is a rebound, and at temperature 0 its repeats tell nothing about chance."""
    rebound = result.rebound
    return alike and rebound is not None and rebound.p_value is None and result.stop_reason != "running"


def _rise(result: SweepResult, means: dict[int, float], *, alike: bool) -> str:
    rebound = result.rebound
    if rebound is None:
        return t("no rebound was seen")
    n = min(len(p.tokens) for p in result.points if p.budget in (rebound.budget, rebound.turning))
    values = {"budget": rebound.budget, "tokens": _count(means[int(rebound.budget)])}
    if rebound.p_value is not None:
        judged = {**values, "p": _p(rebound.p_value), "n": n}
        if rebound.significant:
            return t("at {budget} it rebounds to {tokens} (p {p}, n = {n})", **judged)
        return t("at {budget} it wrote {tokens}, which may be chance (p {p}, n = {n})", **judged)
    if result.stop_reason == "running":
        return t("at {budget} it wrote {tokens}", **values)
    if _cannot_be_judged(result, alike=alike):
        return t(
            "at {budget} it wrote {tokens}, but at temperature 0 the {n} repeats are the same measurement and cannot "
            "tell a rebound from chance",
            **values, n=n,
        )  # fmt: skip
    if n == 1:
        return t("at {budget} it wrote {tokens}, but one answer a budget cannot tell a rebound from chance", **values)
    return t("at {budget} it wrote {tokens}; all repeats were the same, so that chance cannot be judged", **values)


def _right(result: SweepResult, *, known: bool) -> str:
    vanilla = next(p for p in result.points if p.kind == "vanilla")
    if not known:
        return t("The right answer is not known, so nothing was graded.")
    if vanilla.accuracy is None or not any(p.graded for p in result.points if p.kind == "budget"):
        return t("Nothing could be graded.")
    if vanilla.accuracy <= 0.5 and _mostly_truncated(result):
        return t("Without a whole vanilla answer it is not known which budgets keep it right.")
    if vanilla.accuracy <= 0.5:
        return t("The vanilla answer is not right, so there is no budget that keeps it right.")
    if (cheapest := _cheapest_word(result)) is not None:
        values = {"level": cheapest.budget, "tokens": _count(cheapest.tokens_mean or 0)}
        return t("Of the levels that keep the answer right, {level} costs least ({tokens}).", **values)
    if result.ideal_range is None:
        return t("No budget kept the answer right.")
    low, high = result.ideal_range
    if low == high:
        return t("Of the budgets that keep the answer right, {low} costs least.", low=low)
    return t("Of the budgets that keep the answer right, {low} to {high} cost least.", low=low, high=high)


def _cheapest_word(result: SweepResult) -> SweepPoint | None:
    """Of levels that are words the cheapest under which most answers are right."""
    words = (p for p in result.points if isinstance(p.budget, str) and p.tokens_mean is not None)
    return min((p for p in words if (p.accuracy or 0) > 0.5), key=lambda p: p.tokens_mean or 0, default=None)


def _mostly_truncated(result: SweepResult) -> bool:
    vanilla = next(p for p in result.points if p.kind == "vanilla")
    return 2 * vanilla.outcomes.get(Outcome.TRUNCATED, 0) > vanilla.repeats


def _truncated(result: SweepResult) -> str:
    n = sum(p.outcomes.get(Outcome.TRUNCATED, 0) for p in result.points)
    if n == 0:
        return ""
    return tn(
        "{n} answer was cut at max_tokens: its tokens are a lower bound.",
        "{n} answers were cut at max_tokens: their tokens are a lower bound.",
        n,
    )


def _count(tokens: float) -> str:
    return tn("{n:,} token", "{n:,} tokens", round(tokens))


def _round(tokens: float) -> str:
    return f"{round(tokens):,}"


def _between(low: float, high: float) -> str:
    return _count(low) if round(low) == round(high) else t("{low} to {high}", low=_round(low), high=_count(high))


def _span(means: dict[int, float]) -> str:
    low, high = min(means), max(means)
    return (
        t("a budget of {low}", low=low) if low == high else t("every budget from {low} to {high}", low=low, high=high)
    )


def _p(p: float) -> str:
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.2f}" if p >= 0.01 else f"= {p:.3f}"
