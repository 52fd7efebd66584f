"""What one more probe is worth: the arithmetic behind `tale`'s choice of the next budget, and of when to stop.

The smallest budget that keeps the answer right is somewhere in (low, high]; a belief says how likely each place is. A
probe costs tokens and splits the bracket; stopping leaves an answer that may cost more than it had to. The policy that
minimises the expected sum is found by dynamic programming over a grid of at most 32 budgets (an optimal alphabetic
search with unequal probe costs and a price on what is left). Pure arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRID = 32


@dataclass(frozen=True, slots=True)
class Belief:
    """How likely the smallest budget that works is to lie at each place.

    A mixture: flat over all budgets, a log-normal hump around an estimate, and one hump for every earlier search of
    this model, whose optimum's share of the vanilla tokens is carried over.

    Attributes:
        estimate: Budget in tokens that somebody expects, or None.
        spread: Standard deviation of ln(optimum / estimate): 0.5 means that it is right within a factor of 1.6.
        ratios: Earlier optima as shares of their vanilla tokens.
        logarithmic: Nothing is known but that small budgets are as likely as large ones, factor by factor.
    """

    estimate: float | None = None
    spread: float = 0.5
    ratios: tuple[float, ...] = ()
    logarithmic: bool = False

    def below(self, budgets: NDArray[np.float64], vanilla: float) -> NDArray[np.float64]:
        """Probability (up to a constant factor) that the smallest budget that works is at most each of `budgets`."""
        import numpy as np

        if self.logarithmic:
            return np.log(np.maximum(budgets, 0.5))
        flat = np.minimum(budgets / vanilla, 1.0)
        humps = [(self.estimate, self.spread, 8.0)] if self.estimate else []
        humps += [(ratio * vanilla, 0.3, 0.2) for ratio in self.ratios[-50:] if ratio > 0]
        logs = np.log(np.maximum(budgets, 1e-9))
        total = flat.copy()
        for centre, spread, weight in humps:
            z = (logs - math.log(centre)) / (spread * math.sqrt(2))
            total += weight * 0.5 * (1 + np.array([math.erf(v) for v in z]))
        return total


def worthwhile(
    low: int,
    high: int,
    *,
    cost: Callable[[float], float],
    best: float,
    vanilla: float,
    belief: Belief,
    worth: float,
) -> int | None:
    """The budget to try next, or None when no further probe pays.

    Args:
        low: The largest budget known not to work.
        high: A budget that works, or the vanilla answer's tokens.
        cost: Expected actual tokens under a budget in (low, high].
        best: Actual tokens of the best answer so far: what stopping at once would cost.
        vanilla: The vanilla answer's tokens: the unit in which spending is counted.
        belief: Where the optimum is likely to be.
        worth: How many vanilla answers one may spend to save 100 % of the optimum's cost.

    Returns:
        A budget in (low, high), or None.
    """
    import numpy as np

    grid = _grid(low, high)
    if len(grid) < 3:
        return None
    points = np.array(grid, dtype=float)
    mass = np.maximum(np.diff(belief.below(points, vanilla)), 1e-12)
    costs = np.array([max(cost(p), 1e-9) for p in points])
    # The optimum lies inside an interval: its cost is taken at the interval's middle.
    inside = (costs[1:] + np.maximum(costs[:-1], costs[1:] * points[:-1] / points[1:])) / 2
    return _best_split(grid, mass, costs, inside, best, vanilla, worth)


def _grid(low: int, high: int) -> list[int]:
    if high - low <= GRID:
        return list(range(low, high + 1))
    start = max(low, 1)
    step = (high / start) ** (1 / (GRID - 1))
    return sorted({low, high, *(round(start * step**i) for i in range(1, GRID - 1))})


def _best_split(
    grid: list[int],
    mass: NDArray[np.float64],
    costs: NDArray[np.float64],
    inside: NDArray[np.float64],
    best_tokens: float,
    vanilla: float,
    worth: float,
) -> int | None:
    import numpy as np

    n = len(grid) - 1
    total = np.concatenate([[0.0], np.cumsum(mass)])
    weight = np.concatenate([[0.0], np.cumsum(mass / inside)])
    spend = costs / vanilla
    value = np.zeros((n + 1, n + 1))
    choice = -1
    for width in range(1, n + 1):
        i = np.arange(0, n + 1 - width)
        j = i + width
        here = total[j] - total[i]
        best = worth * np.maximum(np.minimum(costs[j], best_tokens) * (weight[j] - weight[i]) - here, 0.0)
        if width > 1:
            k = i[:, None] + np.arange(1, width)[None, :]
            split = spend[k] * here[:, None] + value[i[:, None], k] + value[k, j[:, None]]
            at = split.argmin(axis=1)
            found = split[np.arange(len(i)), at]
            better = found < best - 1e-12
            if width == n:
                choice = int(at[0]) + 1 if better[0] else -1
            best = np.where(better, found, best)
        value[i, j] = best
    return grid[choice] if choice > 0 else None
