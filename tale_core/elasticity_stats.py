"""The statistics of a sweep on plain numbers: grid, intervals, permutation tests, the ideal range.

Knows no model, no sweep and no page. Everything random is seeded: the same numbers give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

LEVEL = 0.95
"""Confidence of every interval."""
_Z = 1.959963984540054
_RESAMPLES = 4_000
_PERMUTATIONS = 9_999
_EXACT_UP_TO = 20_000
"""Divisions into two groups up to which a permutation test tries them all."""
_CELLS = 4_000_000
"""Numbers shuffled in one test at most, to bound its time and memory."""
_SEED = 20_412


class Interval(NamedTuple):
    """A mean or a share with its 95 % interval."""

    mean: float
    low: float
    high: float


class Rise(NamedTuple):
    """A budget below the turning point against it; `p` as in `rise_p`."""

    budget: int
    turning: int
    extra: float
    p: float | None


def geometric_grid(lowest: int, highest: float, points: int) -> tuple[int, ...]:
    """Whole budgets in equal ratios from `lowest` to `highest` tokens, both included, descending, each once."""
    top = max(1, round(highest))
    if points < 2 or top <= lowest:
        return (top,)
    ratio = top / lowest
    return tuple(sorted({round(lowest * ratio ** (i / (points - 1))) for i in range(points)}, reverse=True))


@lru_cache(maxsize=4096)
def mean_interval(values: tuple[float, ...]) -> Interval | None:
    """Mean with a bootstrap 95 % interval (percentiles); of one value, or of equal ones, the value itself."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if min(values) == max(values):
        return Interval(values[0], values[0], values[0])
    import numpy as np

    drawn = np.random.default_rng(_SEED).choice(np.asarray(values, dtype=float), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(drawn.mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def wilson(right: float, n: float) -> Interval | None:
    """Share of right answers with the Wilson 95 % interval (Wilson 1927, without continuity correction)."""
    if n == 0:
        return None
    share, z2 = right / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At 0 and n right answers rounding would leave the share itself outside.
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


@lru_cache(maxsize=4096)
def permutation_p(more: tuple[int, ...], less: tuple[int, ...]) -> float:
    """One-sided p of the mean of `more` being above that of `less`: exact when few divisions exist, else sampled.

    Raises:
        ValueError: One of the groups is empty.
    """
    if not more or not less:
        raise ValueError("A permutation test needs two groups.")
    import numpy as np

    pooled, size = np.asarray(more + less, dtype=np.int64), len(more)
    # With fixed sizes the sum of one group orders the divisions as the difference of the means does, without rounding.
    observed = sum(more)
    if math.comb(len(pooled), size) <= _EXACT_UP_TO:
        chosen = np.fromiter(combinations(range(len(pooled)), size), dtype=(np.int64, size))
        return float(np.mean(pooled[chosen].sum(axis=1) >= observed))
    shuffled = np.random.default_rng(_SEED).permuted(np.tile(pooled, (_PERMUTATIONS, 1)), axis=1)
    beyond = int(np.count_nonzero(shuffled[:, :size].sum(axis=1) >= observed))
    return (beyond + 1) / (_PERMUTATIONS + 1)


def rise_below(tokens: Mapping[int, tuple[int, ...]], *, judge: bool = True) -> Rise | None:
    """The budget that cost most among those below the turning point, the budget with the lowest mean cost.

    Args:
        tokens: Actual tokens of every repeat by budget.
        judge: Test it; False where the repeats are no separate measurements.

    Returns:
        None when no smaller budget cost more. Its p is None when there is nothing to judge by: one repeat, or repeats
        that do not vary.
    """
    means = {b: sum(t) / len(t) for b, t in tokens.items() if t}
    turning = min(means, key=lambda b: (means[b], b), default=0)
    below = sorted(b for b in means if b < turning)
    if not below:
        return None
    highest = max(below, key=lambda b: means[b])
    # Budgets above the turning point that cost as little take part: had the model ignored all of these budgets, the
    # turning point would be the luckiest of them.
    alike = [tokens[b] for b in sorted(means, reverse=True) if b <= turning or means[b] <= means[highest]]
    enough = min(len(tokens[turning]), len(tokens[highest])) > 1 and any(len(set(t)) > 1 for t in alike)
    return Rise(highest, turning, means[highest] - means[turning], rise_p(*alike) if judge and enough else None)


def rise_p(*levels: tuple[int, ...]) -> float:
    """How often chance alone gives as large a rise: the p of the largest step up in mean cost on the way down.

    The answers are shuffled among the levels, and the largest rise is looked for again each time, so that having
    compared many budgets and having chosen the turning point by its low cost are both accounted for (a maximum
    statistic, Westfall and Young 1993). Pairwise tests with Holm's correction account for the first alone: under a
    model that ignores budgets they saw a rebound in 15 % of sweeps instead of 5 %, and with 3 repeats never any.

    Args:
        levels: Tokens of each repeat, budgets descending; at least two levels, none empty.
    """
    if len(levels) == 2:
        return permutation_p(levels[1], levels[0])
    import numpy as np

    pooled = np.concatenate([np.asarray(level, dtype=float) for level in levels])
    rounds = max(999, min(_PERMUTATIONS, _CELLS // len(pooled)))
    shuffled = np.random.default_rng(_SEED).permuted(np.tile(pooled, (rounds, 1)), axis=1)
    sizes = np.asarray([len(level) for level in levels])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def rises(rows: np.ndarray) -> np.ndarray:
        means = np.add.reduceat(rows, starts, axis=1) / sizes
        return np.asarray((means - np.minimum.accumulate(means, axis=1)).max(axis=1))

    beyond = int(np.count_nonzero(rises(shuffled) >= rises(pooled[None, :]) - 1e-9))
    return (beyond + 1) / (rounds + 1)


def ideal_range(costs: Mapping[int, float]) -> tuple[int, int] | None:
    """The paper's W*: of the budgets that keep the answer right, the third next to each other that costs least.

    Args:
        costs: Mean actual tokens of the budgets that keep the answer right.

    Returns:
        Lowest and highest budget of the window of N / 3 budgets (at least one) with the smallest sum of actual costs,
        the larger budgets where two are equal; None without such a budget.
    """
    budgets = sorted(costs, reverse=True)
    size = max(1, len(budgets) // 3)
    windows = [budgets[i : i + size] for i in range(len(budgets) - size + 1)] if budgets else []
    best = min(windows, key=lambda window: sum(costs[b] for b in window), default=None)
    return (best[-1], best[0]) if best else None
