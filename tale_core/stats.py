"""The statistics of sweeps and experiments on plain numbers: intervals, paired and permutation tests, the Pareto front.

For sweeps also the grid of budgets, the rebound and the ideal range; for experiments sign-flip and McNemar tests,
Holm's correction and the break-even. Everything random is seeded: the same numbers give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_DRAWN_AT_ONCE = 1_000_000
"""Numbers drawn at a time at most."""
_SEED = 20_412
BOUND = 10
"""Means of the wholes by which a part may exceed its own for `ratio_evidence` to be exact."""
_STAKES = (0.3, 0.6, 0.9)
"""Shares of the most that can be staked."""
FLIPS = 9_999
EXACT_UP_TO = 14
"""Non-zero differences up to which a sign-flip test tries every combination of signs."""


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


class Apart(NamedTuple):
    """Which of several levels can be told apart by what they cost.

    Attributes:
        differ: Every pair that differs beyond chance, as places in the levels' order (the cheaper one first).
        ratio: The dearest level's cost over the cheapest one's.
        low: Its 95 % interval.
        high: Likewise.
        most: The largest ratio between any two levels that the answers leave open (simultaneous 95 % intervals).
    """

    differ: frozenset[tuple[int, int]]
    ratio: float
    low: float
    high: float
    most: float


def geometric_grid(lowest: int, highest: float, points: int) -> tuple[int, ...]:
    """Whole budgets in equal ratios from `lowest` to `highest` tokens, both included, descending, each once."""
    top = max(1, round(highest))
    if points < 2 or top <= lowest:
        return (top,)
    ratio = top / lowest
    return tuple(sorted({round(lowest * ratio ** (i / (points - 1))) for i in range(points)}, reverse=True))


_T = (
    math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
)  # fmt: skip
"""Student's t at 97.5 %, by the number of values less one."""


@lru_cache(maxsize=4096)
def mean_interval(values: tuple[float, ...]) -> Interval | None:
    """Mean with its 95 % interval; of one value, or of equal ones, the value itself.

    From 30 values on by the bootstrap (percentiles). Of fewer that one is too narrow (of three values it holds the mean
    in three cases of four), so it is Student's t there; below 0 only where a value is.
    """
    if not values:
        return None
    n, mean = len(values), math.fsum(values) / len(values)
    if min(values) == max(values):
        return Interval(values[0], values[0], values[0])
    if n <= len(_T):
        half = _T[n - 1] * math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
        return Interval(mean, mean - half if min(values) < 0 else max(0.0, mean - half), mean + half)
    import numpy as np

    data, rng = np.asarray(values, dtype=float), np.random.default_rng(_SEED)
    means = [rng.choice(data, size=(rows, len(data))).mean(axis=1) for rows in chunks(_RESAMPLES, len(data))]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def chunks(wanted: int, each: int) -> Iterator[int]:
    """`wanted` rows of `each` numbers in portions that fit into memory."""
    rows = max(1, _DRAWN_AT_ONCE // each)
    while wanted > 0:
        yield min(rows, wanted)
        wanted -= rows


def mean_if_all(values: Iterable[float | None]) -> float | None:
    """The mean of one part of several things; None when it is unknown of one: the parts add up, or stay away."""
    known = list(values)
    if not known or None in known:
        return None
    return math.fsum(v for v in known if v is not None) / len(known)


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


@lru_cache(maxsize=1024)
def told_apart(*levels: tuple[int, ...]) -> Apart | None:
    """Compare levels by their answers' tokens, in ratios: every two by Student's t with one spread for all, Holm's way.

    On logarithms, since answers vary in proportion to their length, and with the spread of all levels together, since
    three answers alone tell little about theirs. Levels whose answers never vary (temperature 0) differ where their
    tokens do.

    Args:
        levels: Tokens of each repeat by level.

    Returns:
        None when there are fewer than two levels, or one answer under each: nothing tells chance from effect.
    """
    free = sum(len(level) - 1 for level in levels)
    if len(levels) < 2 or not all(levels) or free < 1:
        return None
    import numpy as np
    from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]  # Comes with scikit-learn.

    logs = [np.log(np.asarray(level, dtype=float) + 1) for level in levels]
    means = [float(log.mean()) for log in logs]
    spread = math.sqrt(sum(float(((log - log.mean()) ** 2).sum()) for log in logs) / free)
    order = sorted(range(len(levels)), key=lambda i: means[i])
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]

    def error(a: int, b: int) -> float:
        return spread * math.sqrt(1 / len(levels[a]) + 1 / len(levels[b]))

    def p(a: int, b: int) -> float:
        gap = means[b] - means[a]
        if spread < 1e-9:
            return float(gap < 1e-9)
        return float(2 * stdtr(free, -gap / error(a, b)))

    ps = holm({f"{a}/{b}": p(a, b) for a, b in pairs})
    least, most = order[0], order[-1]
    gap, half = means[most] - means[least], float(stdtrit(free, (1 + LEVEL) / 2)) * error(least, most)
    sure = float(stdtrit(free, 1 - (1 - LEVEL) / 2 / len(pairs)))
    return Apart(
        differ=frozenset(pair for pair in pairs if ps[f"{pair[0]}/{pair[1]}"] < 1 - LEVEL),
        ratio=math.exp(gap),
        low=math.exp(max(0.0, gap - half)),
        high=math.exp(gap + half),
        most=math.exp(max(means[b] - means[a] + sure * error(a, b) for a, b in pairs)),
    )


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


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of paired differences having mean 0 (Fisher's randomisation test).

    Every combination of signs where there are at most EXACT_UP_TO non-zero differences, else FLIPS random ones. None
    without a pair.
    """
    if not differences:
        return None
    import numpy as np

    data = np.asarray([d for d in differences if d], dtype=float)
    if not len(data):
        return 1.0
    observed = abs(data.sum()) * (1 - 1e-12)
    if len(data) <= EXACT_UP_TO:
        signs = 1 - 2 * ((np.arange(2 ** len(data))[:, None] >> np.arange(len(data))) & 1)
        return float(np.mean(np.abs(signs @ data) >= observed))
    rng = np.random.default_rng(_SEED)
    beyond = 0
    for rows in chunks(FLIPS, len(data)):
        signs = 1 - 2 * rng.integers(0, 2, size=(rows, len(data)), dtype=np.int8)
        beyond += int(np.count_nonzero(np.abs(signs @ data) >= observed))
    return (beyond + 1) / (FLIPS + 1)


def mcnemar_p(better: int, worse: int) -> float:
    """Exact two-sided McNemar test: `better` and `worse` are the pairs in which one side alone was right."""
    n, k = better + worse, min(better, worse)
    tail = term = 1
    for i in range(k):
        term = term * (n - i) // (i + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """The p-values adjusted for there being several of them (Holm 1979)."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for i, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        highest = max(highest, min(1.0, ps[name] * (len(ps) - i)))
        adjusted[name] = highest
    return adjusted


def pareto(points: Mapping[str, tuple[float, float]]) -> set[str]:
    """The names that no other beats: (accuracy, tokens), more accuracy and fewer tokens being better."""

    def beaten(mine: tuple[float, float]) -> bool:
        return any(o != mine and o[0] >= mine[0] and o[1] <= mine[1] for o in points.values())

    return {name for name, mine in points.items() if not beaten(mine)}


def break_even(paid_once: float, saved_each: float) -> int | None:
    """Questions after which what was paid once has come back; at least 1. None when it never does."""
    if not saved_each > 0:
        return None
    return max(1, math.ceil(paid_once / saved_each))


def ratio_interval(parts: Sequence[float], wholes: Sequence[float]) -> Interval | None:
    """The ratio of two paired sums with a 95 % interval: the jackknife on its logarithm.

    A few long answers carry most of such sums: the degrees of freedom are those of the pairs' effective number (Kish),
    by which the spread is widened as well. `tests/proxy/test_figures.py` holds how often it covers the truth.

    Returns:
        None with fewer than three pairs, or where either sum is not positive.
    """
    n = len(wholes)
    if n < 3 or len(parts) != n or min(parts) < 0 or min(wholes) < 0 or not (math.fsum(parts) > 0 < math.fsum(wholes)):
        return None
    import numpy as np
    from scipy.special import stdtrit

    part, whole = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    ratio = float(part.sum() / whole.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        without = (part.sum() - part) / (whole.sum() - whole)
    if not np.isfinite(without).all():
        return None
    effective = max(3.0, float(whole.sum() ** 2 / (whole**2).sum()))
    spread = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum())) / ratio
    half = float(stdtrit(effective - 1, (1 + LEVEL) / 2)) * spread * math.sqrt(1 + 1 / effective)
    return Interval(ratio, ratio * math.exp(-half), ratio * math.exp(half))


def share_evidence(right: float, n: float, least: float) -> float:
    """How strongly answers speak for a share of right ones above `least`: the natural logarithm of an e-value.

    It may be looked at after every answer: where the share is `least` or smaller, it ever reaches log(1 / error) with a
    probability of at most `error` (Ville 1939). The likelihood of the shares above `least`, all weighed alike, against
    that of `least` (Robbins 1970, the method of mixtures).
    """
    if not 0 < least < 1:
        return math.inf if least <= 0 else -math.inf
    from scipy.special import betaincc, betaln

    a, b = right + 1, n - right + 1
    above = float(betaincc(a, b, least))
    if above <= 0:
        return -math.inf
    mixed = float(betaln(a, b)) + math.log(above) - math.log1p(-least)
    return mixed - right * math.log(least) - (n - right) * math.log1p(-least)


def ratio_evidence(parts: Sequence[float], wholes: Sequence[float]) -> float:
    """Likewise for the sum of the parts being smaller than that of the wholes, in the order in which they came.

    A gambler stakes shares of what he has on each pair's difference, at odds that are fair where the sums are equal;
    what he has at the end is the evidence (Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686). Exact where
    no part exceeds its whole by more than BOUND times the mean of the wholes before it: some bound has to hold, since
    the mean of unbounded numbers cannot be tested at all (Bahadur and Savage 1956).
    """
    import numpy as np

    part, whole = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    before = np.cumsum(whole)[:-1] / np.arange(1, len(whole))
    gain = (whole - part)[1:][before > 0] / (BOUND * before[before > 0])
    won = [float(np.log(np.maximum(1 + stake * gain, 1e-300)).sum()) for stake in _STAKES]
    return max(won) + math.log(math.fsum(math.exp(one - max(won)) for one in won) / len(won))
