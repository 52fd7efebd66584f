"""Several sweeps of one model together: what it writes, as a share of its vanilla answer, the less it is asked for.

Questions differ in length, so budgets are taken relative to each question's own vanilla answer. Reads results only.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tale_core.elasticity.plan import SweepPoint, SweepResult
from tale_core.stats import mean_interval, wilson
from tale_core.types import Outcome

BINS_PER_DOUBLING = 2
"""Bins of the logarithmic grid of relative budgets: with 2 each is 1.41 times the one below."""


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """What all questions told at about one relative budget.

    Attributes:
        relative: Centre of the bin: budget over the question's mean vanilla tokens.
        relative_low: Where the bin begins.
        relative_high: Where it ends.
        questions: Questions with a budget in the bin.
        answers: Answers with a token count in it.
        share: Actual tokens over the question's mean vanilla tokens: mean over questions, each counted once.
        share_low: 95 % interval over questions.
        graded: Answers that could be judged, over all questions.
        accuracy: Right answers over `graded`, with a Wilson 95 % interval (it takes answers to one question as
            independent); None when nothing was graded.
        within: Share of answers within their budget; None when none could be judged.
    """

    relative: float
    relative_low: float
    relative_high: float
    questions: int
    answers: int
    share: float
    share_low: float
    share_high: float
    graded: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    within: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """The token elasticity of one model over several questions.

    Attributes:
        questions: Sweeps with a vanilla answer and an answer under a budget; others are left out.
        left_out: Sweeps without.
        points: Relative budgets, descending.
        compliance: Share of budgeted answers within their budget, over all questions.
        rebounds: Questions on which a smaller budget cost more, significantly.
        judged: Questions on which that could be judged: a test was made, or no smaller budget cost more.
    """

    questions: int
    left_out: int
    points: tuple[ProfilePoint, ...]
    compliance: float | None
    rebounds: int
    judged: int


@dataclass(frozen=True, slots=True)
class _Level:
    question: int
    vanilla: float
    budget: int
    point: SweepPoint


def profile(results: Sequence[SweepResult]) -> Profile:
    """Several questions of one model together."""
    bins: dict[int, list[_Level]] = defaultdict(list)
    used = []
    for i, result in enumerate(results):
        levels = _levels(i, result)
        used += [result] if levels else []
        for level in levels:
            bins[_bin(level.budget / level.vanilla)].append(level)
    everything = [level.point for levels in bins.values() for level in levels]
    return Profile(
        questions=len(used),
        left_out=len(results) - len(used),
        points=tuple(_profile_point(i, bins[i]) for i in sorted(bins, reverse=True)),
        compliance=_within(everything),
        rebounds=sum(r.rebound is not None and r.rebound.significant for r in used),
        judged=sum(r.rebound is None or r.rebound.p_value is not None for r in used),
    )


def _levels(question: int, result: SweepResult) -> list[_Level]:
    vanilla = next((p.tokens_mean for p in result.points if p.kind == "vanilla"), None)
    if not vanilla:
        return []
    known = ((p.budget, p) for p in result.points if p.kind == "budget" and p.tokens)
    return [_Level(question, vanilla, b, p) for b, p in known if isinstance(b, int) and b]  # A word has no size.


def _bin(relative: float) -> int:
    return round(math.log2(relative) * BINS_PER_DOUBLING)


def _profile_point(index: int, levels: list[_Level]) -> ProfilePoint:
    by_question: dict[int, list[float]] = defaultdict(list)
    for level in levels:
        by_question[level.question] += [t / level.vanilla for t in level.point.tokens]
    share = mean_interval(tuple(sum(s) / len(s) for s in by_question.values()))
    assert share is not None  # Every level has tokens.
    points = [level.point for level in levels]
    graded = sum(p.graded for p in points)
    right = wilson(sum(p.outcomes.get(Outcome.CORRECT, 0) for p in points if p.graded), graded)
    return ProfilePoint(
        relative=2 ** (index / BINS_PER_DOUBLING),
        relative_low=2 ** ((index - 0.5) / BINS_PER_DOUBLING),
        relative_high=2 ** ((index + 0.5) / BINS_PER_DOUBLING),
        questions=len(by_question),
        answers=sum(map(len, by_question.values())),
        share=share.mean,
        share_low=share.low,
        share_high=share.high,
        graded=graded,
        accuracy=right and right.mean,
        accuracy_low=right and right.low,
        accuracy_high=right and right.high,
        within=_within(points),
    )


def _within(points: Sequence[SweepPoint]) -> float | None:
    """Every level's share, weighted by its answers."""
    known = [(p.within, len(p.tokens)) for p in points if p.within is not None]
    answers = sum(n for _, n in known)
    return sum(share * n for share, n in known) / answers if answers else None
