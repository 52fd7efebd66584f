"""Where words lie in a chart: of several places the first that covers least of its lines and of other words.

Judged in the pixels of a phone, where there is least room; a wider chart only has more of it. Numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from tale_core.charts.curves import Frame
from tale_core.charts.text import width

PANEL = (260.0, 265.0)
"""Pixels of the upper panel on a phone."""
_LETTER, _LINE = 7.0, 17.0
_WORDS_OVER_WORDS = 60.0
"""Covering words is as bad as covering so many pixels of a line."""
_OUTSIDE = 8.0
"""A pixel outside of the panel is cut off, which is worse than one that covers a line."""


class Place(NamedTuple):
    """Where words hang: at a point of the axes, by which of their sides, moved by so many pixels."""

    x: float
    y: float
    xanchor: Literal["left", "right", "center"]
    yanchor: Literal["top", "bottom"]
    shift: tuple[int, int] = (0, 0)


class Box(NamedTuple):
    """A rectangle in pixels, from the left and from below."""

    left: float
    low: float
    right: float
    high: float


class Places:
    """What is taken in one panel.

    Args:
        frame: What its axes show.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._points: list[tuple[float, float]] = []
        self._boxes: list[Box] = []

    def line(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """A line is drawn through these points."""
        spots = [self._pixels(x, y) for x, y in zip(xs, ys, strict=True)]
        for (x0, y0), (x1, y1) in pairwise(spots):
            steps = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / 2))
            self._points += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps + 1)]

    def take(self, text: str, place: Place) -> None:
        """These words lie there whatever else does."""
        self._boxes.append(self._box(text, place))

    def choose(self, text: str, *places: Place) -> Place:
        """The first of the places where these words cover least; it is taken then."""
        best = min(places, key=lambda place: self._covered(self._box(text, place)))
        self.take(text, best)
        return best

    def _pixels(self, x: float, y: float) -> tuple[float, float]:
        frame = self._frame
        return (
            PANEL[0] * math.log(x / frame.x0) / math.log(frame.x1 / frame.x0),
            PANEL[1] * y / frame.top,
        )

    def _box(self, text: str, place: Place) -> Box:
        lines = text.split("<br>")
        wide, high = _LETTER * max(map(width, lines)), _LINE * len(lines)
        x, y = self._pixels(place.x, place.y)
        x, y = x + place.shift[0], y + place.shift[1]
        left = x - {"left": 0.0, "right": wide, "center": wide / 2}[place.xanchor]
        low = y - (high if place.yanchor == "top" else 0.0)
        return Box(left, low, left + wide, low + high)

    def _covered(self, box: Box) -> float:
        words = sum(
            box.left < other.right and other.left < box.right and box.low < other.high and other.low < box.high
            for other in self._boxes
        )
        lines = sum(box.left <= x <= box.right and box.low <= y <= box.high for x, y in self._points)
        outside = max(0.0, -box.left, box.right - PANEL[0]) + max(0.0, -box.low, box.high - PANEL[1])
        return _WORDS_OVER_WORDS * words + lines + _OUTSIDE * outside
