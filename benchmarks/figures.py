"""Medians, quartiles and bootstrap intervals."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

RESAMPLES = 4000
SEED = 1024


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle half of a sample.

    Attributes:
        low: First quartile.
        high: Third quartile.
    """

    n: int
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A median or mean with its 95 % bootstrap interval."""

    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and what was measured.

    Attributes:
        words: The goal as a sentence.
        limit: At least or at most this.
        unit: "" for a ratio.
    """

    words: str
    side: Literal["at least", "at most"]
    limit: float
    measured: Interval
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the measured value is on the goal's side."""
        return self._reaches(self.measured.value)

    @property
    def verdict(self) -> str:
        """Pass or miss in words; says when the interval leaves it open."""
        ends = {self._reaches(self.measured.low), self._reaches(self.measured.high)}
        word = "met" if self.met else "missed"
        return word if ends == {self.met} else f"{word}, but the interval holds the limit: not sure with these rounds"

    def _reaches(self, value: float) -> bool:
        return value >= self.limit if self.side == "at least" else value <= self.limit


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles.

    Raises:
        ValueError: There are no values.
    """
    if len(values) < 2:
        only = statistics.median(_some(values))
        return Spread(len(values), only, only, only)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(len(values), middle, low, high)


def median_interval(values: Sequence[float], *, seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """The median and the percentile bootstrap's 95 % interval of it; the same seed gives the same interval.

    Raises:
        ValueError: There are no values.
    """
    return _bootstrap(values, statistics.median, seed, resamples)


def mean_interval(values: Sequence[float], *, seed: int = SEED, resamples: int = RESAMPLES) -> Interval:
    """The mean, likewise: where what counts is the sum over questions.

    Raises:
        ValueError: There are no values.
    """
    return _bootstrap(values, statistics.fmean, seed, resamples)


def _bootstrap(
    values: Sequence[float], figure: Callable[[Sequence[float]], float], seed: int, resamples: int
) -> Interval:
    rng = random.Random(seed)
    n = len(_some(values))
    found = sorted(figure(rng.choices(values, k=n)) for _ in range(resamples))
    tail = round(0.025 * (resamples - 1))
    return Interval(n, figure(values), found[tail], found[-1 - tail])


def _some(values: Sequence[float]) -> Sequence[float]:
    if not values:
        raise ValueError("there is nothing to take a median or a mean of")
    return values
