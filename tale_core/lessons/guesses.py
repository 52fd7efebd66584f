"""A class's guesses as a histogram. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

MOST_BINS = 10
_NICE = (1, 2, 5, 10)


class Bin(NamedTuple):
    """Guesses from `low` to `high` tokens, both included."""

    low: int
    high: int
    students: int


def histogram(guesses: Sequence[int], *, actual: int | None = None) -> tuple[Bin, ...]:
    """Bins of one nice width that hold every guess, and the actual number where it is known; empty without a guess.

    Args:
        guesses: Tokens, from 1.
        actual: What it was, once revealed: it then lies within the bins.
    """
    if not guesses:
        return ()
    shown = [*guesses, *([actual] if actual is not None else [])]
    low, high = min(shown), max(shown)
    width = _width((high - low + 1) / MOST_BINS)
    first, last = (low - 1) // width, (high - 1) // width
    return tuple(
        Bin(i * width + 1, (i + 1) * width, sum(i * width < g <= (i + 1) * width for g in guesses))
        for i in range(first, last + 1)
    )


def _width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, … that is at least this, so that edges are round and bins are few."""
    decade = 10 ** max(0, math.floor(math.log10(least))) if least > 1 else 1
    return next(int(nice * decade) for nice in _NICE if nice * decade >= least)


def middle(guesses: Sequence[int]) -> float:
    """The median."""
    ordered, half = sorted(guesses), len(guesses) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
