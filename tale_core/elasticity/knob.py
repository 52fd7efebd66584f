"""Is a knob real? Which of a sweep's levels can be told apart, whether the endpoint took the parameter, in a sentence.

And how strongly the tokens follow the budget: elasticity, and the dead zone in which they do not. Reads results only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from tale_core.budgets.native import OFF
from tale_core.elasticity.plan import SweepPlan, SweepPoint, SweepResult
from tale_core.i18n import joined, t, tn
from tale_core.stats import Apart, told_apart
from tale_core.types import Level

NOTHING = 1.5
"""A knob does nothing when no two of its levels can differ by this factor."""
FLAT = 1.15
"""Budgets whose tokens differ by less than this factor lie in one dead zone."""
WIDE = 1.5
"""A dead zone spans at least this factor of budgets."""


@dataclass(frozen=True, slots=True)
class KnobFinding:
    """What a sweep tells about its knob.

    Attributes:
        name: The kind of budget.
        real: Whether its levels change what is spent; None when the answers are too few to tell.
        alike: Levels that cannot be told apart, the cheaper first; a level may stand in two groups.
        dropped: The endpoint refused the parameter, or shows no reaction to it.
        sentence: All of that, for people, in short.
        more: What else a careful reader must know, in sentences; "" for nothing.
        n: Answers under each level, at least.
        ratio: What the dearest level cost over what the cheapest did, with a 95 % interval; None when unknown.
        ratio_low: See `ratio`.
        ratio_high: See `ratio`.
        refused: Levels that the endpoint does not have.
    """

    name: str
    real: bool | None
    alike: tuple[tuple[Level, ...], ...]
    dropped: bool
    sentence: str
    n: int
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    refused: tuple[Level, ...] = ()
    more: str = ""

    def document(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self) | {"alike": [list(group) for group in self.alike], "refused": list(self.refused)}


@dataclass(frozen=True, slots=True)
class Slope:
    """Between two neighbouring budgets, d ln spent / d ln asked: 1 obeys, 0 ignores, less than 0 is a rebound."""

    low: int
    high: int
    elasticity: float


def knob_finding(plan: SweepPlan, result: SweepResult) -> KnobFinding | None:
    """What a sweep tells about its knob; None before an answer under a level has ended."""
    levels = [p for p in result.points if p.kind == "budget" and p.budget is not None]
    if not levels:
        return None
    taken = sorted((p for p in levels if p.tokens and not p.dropped), key=lambda p: p.tokens_mean or 0.0)
    refused = tuple(p.budget for p in levels if not p.tokens and p.repeats and p.budget is not None)
    n = min((len(p.tokens) for p in taken), default=0)
    if not taken:
        dropped = any(p.dropped for p in levels) or plan.kind.SENT == "parameter"
        sentence = t("The endpoint refuses the parameter: nothing was set.") if dropped else t("Nothing was measured.")
        return KnobFinding(plan.knob, False if dropped else None, (), dropped, sentence, n, refused=refused)
    vanilla = next((p for p in result.points if p.kind == "vanilla" and p.tokens), None)
    # A knob with one level can only be held against the answer without it.
    compared = taken if len(taken) > 1 or vanilla is None else [*taken, vanilla]
    apart = told_apart(*(p.tokens for p in compared))
    real = _real(apart, binding=_binding(plan, taken, vanilla))
    alike = _alike(taken, apart) if len(taken) > 1 else ()
    sentence = _sentence(taken, vanilla, apart, real, alike, n, plan)
    more = joined(_factor(taken, apart) if real else "", _still_thinks(taken), _refused_words(refused))
    dropped = real is False and plan.kind.SENT == "parameter"
    ratio, low, high = (None, None, None) if apart is None else (apart.ratio, apart.low, apart.high)
    return KnobFinding(plan.knob, real, alike, dropped, sentence, n, ratio, low, high, refused, more)


def _real(apart: Apart | None, *, binding: bool) -> bool | None:
    if apart is None:
        return None
    if apart.differ:
        return True
    return False if binding and apart.most < NOTHING else None


def _binding(plan: SweepPlan, levels: Sequence[SweepPoint], vanilla: SweepPoint | None) -> bool:
    """Whether some level asks for less than the model uses by itself: else no level could have had an effect."""
    if not plan.kind.NUMBERS or vanilla is None or vanilla.held is None:
        return True
    return any(isinstance(p.budget, int) and p.budget < vanilla.held / NOTHING for p in levels)


def _alike(levels: Sequence[SweepPoint], apart: Apart | None) -> tuple[tuple[Level, ...], ...]:
    """The longest runs of levels, by cost, of which no two can be told apart."""
    if apart is None:
        return ()
    runs: list[tuple[int, int]] = []
    for first in range(len(levels)):
        last = first
        while last + 1 < len(levels) and not any((i, last + 1) in apart.differ for i in range(first, last + 1)):
            last += 1
        if last > first and not (runs and runs[-1][1] >= last):
            runs.append((first, last))
    return tuple(tuple(p.budget for p in levels[a : b + 1] if p.budget is not None) for a, b in runs)


def _sentence(
    levels: Sequence[SweepPoint],
    vanilla: SweepPoint | None,
    apart: Apart | None,
    real: bool | None,
    alike: tuple[tuple[Level, ...], ...],
    n: int,
    plan: SweepPlan,
) -> str:
    if apart is None:
        return tn(
            "With {n} answer under a level it cannot be told whether this knob is real.",
            "With {n} answers under a level it cannot be told whether this knob is real.",
            n,
        )
    if real is False:
        why = {"prompt": t("The model ignores it."), "parameter": t("The endpoint ignores the parameter.")}
        nothing = t(
            "No effect was seen: a difference by a factor of more than {most:.2g} between any two levels is ruled out, "
            "n = {n}.",
            most=apart.most, n=n,
        )  # fmt: skip
        return joined(nothing, why.get(plan.kind.SENT, ""))
    if real is None and not _binding(plan, levels, vanilla):
        return t("No level asked for clearly less than the model uses by itself, so an effect could not show.")
    if real is None:
        return t(
            "No effect was seen, but the answers are too few to rule one out: levels may differ by a factor of up to "
            "{most:.2g}, n = {n}.",
            most=apart.most, n=n,
        )  # fmt: skip
    if len(levels) == 1:
        return t("{level} differs from the answer without it, n = {n}.", level=_name(levels[0].budget), n=n)
    return t("{found}, n = {n}.", found=_found(levels, apart, alike), n=n)


def _factor(levels: Sequence[SweepPoint], apart: Apart | None) -> str:
    """How much the cheapest and the dearest level differ, with the interval."""
    if apart is None or len(levels) < 2:
        return ""
    return t(
        "{low} costs least and {high} most, {ratio:.2g} times as much ({from_:.2g} to {to:.2g}).",
        low=_name(levels[0].budget), high=_name(levels[-1].budget), ratio=apart.ratio, from_=apart.low, to=apart.high,
    )  # fmt: skip


def _found(levels: Sequence[SweepPoint], apart: Apart, alike: tuple[tuple[Level, ...], ...]) -> str:
    """Which neighbours differ, and which levels do not: "none and low differ; low, medium and high do not"."""
    if not alike:
        return t("All levels differ: {names}", names=_names([p.budget for p in levels]))
    pairs = [(p.budget, q.budget) for i, (p, q) in enumerate(pairwise(levels)) if (i, i + 1) in apart.differ]
    differ = [t("{names} differ", names=_names(pair)) for pair in pairs[:3]]
    same = [t("{names} do not", names=_names(group)) for group in alike]
    if not differ:  # Neighbours never differ, but the ends do.
        differ = [t("{names} differ", names=_names((levels[0].budget, levels[-1].budget)))]
    return t("; ").join([*differ, *same])


def _names(levels: Sequence[Level | None]) -> str:
    *first, last = [_name(level) for level in levels]
    return t("{names} and {last}", names=t(", ").join(first), last=last) if first else last


def _name(level: Level | None) -> str:
    return f"{level:,}" if isinstance(level, int) else str(level)


def _still_thinks(levels: Sequence[SweepPoint]) -> str:
    """A level that asks for no thinking, and the thinking that was seen all the same."""
    off = next((p for p in levels if p.budget in OFF and p.thinking_tokens_mean), None)
    if off is None:
        return ""
    return t("Asked for no thinking, it thought {n:,.0f} tokens all the same.", n=off.thinking_tokens_mean)


def _refused_words(refused: Sequence[Level]) -> str:
    return t("The endpoint refuses {names}.", names=_names(refused)) if refused else ""


def slopes(result: SweepResult) -> tuple[Slope, ...]:
    """The elasticity between all neighbouring budgets, from the smallest up; none for levels that are words."""
    points = _numbers(result)
    return tuple(
        Slope(a, b, math.log(high / low) / math.log(b / a)) for (a, low), (b, high) in pairwise(points)
    )  # fmt: skip


def dead_zone(result: SweepResult) -> tuple[int, int] | None:
    """The widest stretch of budgets over which what was spent stays the same within 15 %; None without one."""
    points = _numbers(result)
    found: tuple[int, int] | None = None
    for i, (low, _) in enumerate(points):
        inside = [tokens for _, tokens in points[i:]]
        for j in range(len(points) - 1, i, -1):
            same = max(inside[: j - i + 1]) <= FLAT * min(inside[: j - i + 1])
            high = points[j][0]
            if same and high >= WIDE * low and (found is None or high / low > found[1] / found[0]):
                found = (low, high)
    return found


def _numbers(result: SweepResult) -> list[tuple[int, float]]:
    """Budgets above 0 with what was spent, ascending."""
    points = ((p.budget, p.tokens_mean) for p in result.points)
    return sorted((b, tokens) for b, tokens in points if isinstance(b, int) and b and tokens)
