"""The least that any search can spend which knows nothing but the vanilla answer's length.

On the stated population the smallest budget that works lies anywhere between 3 and 90 % of V with equal chance, a probe
of b costs 0.9 b whatever comes of it, and tells one bit. The best policy for a given price on the final answer's excess
is found by dynamic programming over a geometric grid. Rebounds and the floor of 12 tokens are left out: the first makes
a search harder, the second changes little.
"""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST, SHARE = 0.03, 0.9, 0.9
GRID = 200


def bound(worth: float) -> tuple[float, float]:
    """The best policy when saving 100 % of the final cost is worth `worth` vanilla answers.

    Returns:
        (final cost over the optimum, tokens spent over V with vanilla's own), both means over the population.
    """
    points = np.concatenate([[0.0], np.geomspace(LOWEST, HIGHEST, GRID)])
    size = len(points)
    value, spent, excess = (np.zeros((size, size)) for _ in range(3))
    for width in range(1, size):
        i = np.arange(size - width)
        j = i + width
        low = np.maximum(points[i], LOWEST)
        mass = points[j] - low
        left = points[j] * np.log(points[j] / low) - mass
        best, cost, rest = worth * left, np.zeros(len(i)), left
        if width > 1:
            k = i[:, None] + np.arange(1, width)[None, :]
            probing = SHARE * points[k] * mass[:, None]
            split = probing + value[i[:, None], k] + value[k, j[:, None]]
            at = split.argmin(axis=1)
            row = np.arange(len(i))
            here = k[row, at]
            better = split[row, at] < best
            best = np.where(better, split[row, at], best)
            cost = np.where(better, probing[row, at] + spent[i, here] + spent[here, j], cost)
            rest = np.where(better, excess[i, here] + excess[here, j], rest)
        value[i, j], spent[i, j], excess[i, j] = best, cost, rest
    whole = HIGHEST - LOWEST
    return 1 + excess[0, -1] / whole, 1 + spent[0, -1] / whole


def least_ratio(spend: float) -> float:
    """The lowest mean final cost over the optimum for a mean spend of at most `spend` V."""
    low, high = 0.5, 400.0
    for _ in range(14):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if bound(middle)[1] <= spend else (low, middle)
    return bound(low)[0]
