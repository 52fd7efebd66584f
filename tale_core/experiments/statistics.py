"""Statistics of paired results on plain numbers: bootstrap, sign-flip and McNemar tests, Holm, Pareto, break-even.

Everything random is seeded: the same numbers give the same interval. Memory is bounded, however many numbers there are.
Knows no strategy and no store.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tale_core.elasticity_stats import LEVEL, Interval

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 4_000
FLIPS = 9_999
EXACT_UP_TO = 14
"""Non-zero differences up to which a sign-flip test tries every combination of signs."""
_CELLS = 1_000_000
"""Numbers drawn at a time at most."""
_SEED = 20_412


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Mean with a percentile bootstrap 95 % interval; of one value, or of equal ones, the value itself."""
    if not values:
        return None
    import numpy as np

    data = np.asarray(values, dtype=float)
    mean = math.fsum(values) / len(values)
    if data.min() == data.max():
        return Interval(values[0], values[0], values[0])
    rng = np.random.default_rng(_SEED)
    means = [data[rng.integers(0, len(data), size=(rows, len(data)))].mean(axis=1) for rows in _rows(data, RESAMPLES)]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, min(float(low), mean), max(float(high), mean))


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
    for rows in _rows(data, FLIPS):
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


def _rows(data: np.ndarray, wanted: int) -> Iterator[int]:
    """`wanted` resamples in chunks that fit into _CELLS."""
    each = max(1, _CELLS // len(data))
    while wanted > 0:
        yield min(each, wanted)
        wanted -= each
