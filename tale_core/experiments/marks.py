"""A mark for each strategy in a picture of right answers over tokens: its intervals, the front, where its name goes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple
from unicodedata import east_asian_width

from tale_core.stats import Interval

LETTER, LINE = 7.2, 17.0
"""Pixels of a name's letter, and how high it is."""
Box = tuple[float, float, float, float]
"""Left, low, right and high pixels."""


class Mark(NamedTuple):
    """One strategy.

    Attributes:
        name: For people.
        best: No other is as often right with as few tokens.
    """

    name: str
    tokens: Interval
    right: Interval
    best: bool


class Place(NamedTuple):
    """Where a name hangs at its mark; dy is counted upwards."""

    xanchor: Literal["left", "right", "center"]
    yanchor: Literal["top", "bottom"]
    dx: int
    dy: int


_SIDES: tuple[tuple[Literal["left", "right", "center"], int], ...] = (("left", 7), ("right", -7), ("center", 0))
_EDGES: tuple[tuple[Literal["top", "bottom"], int], ...] = (("bottom", 1), ("top", -1))
PLACES = tuple(
    Place(side, edge, dx, sign * dy)
    for dy in (5, 22, 40)
    for side, dx in _SIDES
    for edge, sign in _EDGES
    if side != "center" or dy > 5
)
"""The nearest first."""


def front(marks: Sequence[Mark]) -> list[tuple[float, float]]:
    """Tokens and right answers of what nothing else beats, the cheapest first."""
    return sorted((mark.tokens.mean, mark.right.mean) for mark in marks if mark.best)


def places(marks: Sequence[Mark], most: float, *, wide: float, high: float) -> list[Place]:
    """For each mark a side on which its name lies clear of other names, of marks, lines and the picture's edge.

    Args:
        marks: In the order in which they choose.
        most: Tokens at the right edge; the upper one is all right answers.
        wide: Pixels of the picture.
        high: Likewise.
    """
    points = [(mark.tokens.mean / most * wide, mark.right.mean * high) for mark in marks]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    for mark, (x, y) in zip(marks, points, strict=True):
        taken.append((mark.tokens.low / most * wide, y - 2, mark.tokens.high / most * wide, y + 2))
        taken.append((x - 2, mark.right.low * high, x + 2, mark.right.high * high))
    steps = [(x / most * wide, y * high) for x, y in front(marks)]
    for (x, y), (after, above) in pairwise([*steps, *((wide, y) for _, y in steps[-1:])]):
        taken += [(x, y - 2, after, y + 2), (after - 2, y, after + 2, above)]
    chosen: list[Place] = []
    for mark, (x, y) in zip(marks, points, strict=True):
        boxes = [box_of(place, x, y, _letters(mark.name) * LETTER) for place in PLACES]
        costs = [overlap(box, taken) + 10 * _outside(box, wide, high) for box in boxes]
        best = min(range(len(PLACES)), key=costs.__getitem__)
        chosen.append(PLACES[best])
        taken.append(boxes[best])
    return chosen


def box_of(place: Place, x: float, y: float, width: float) -> Box:
    """Where a name of this width stands."""
    left = {"left": x, "right": x - width, "center": x - width / 2}[place.xanchor] + place.dx
    low = (y if place.yanchor == "bottom" else y - LINE) + place.dy
    return left, low, left + width, low + LINE


def overlap(box: Box, others: Sequence[Box]) -> float:
    """The area that a box shares with others."""
    return sum(
        max(0.0, min(box[2], o[2]) - max(box[0], o[0])) * max(0.0, min(box[3], o[3]) - max(box[1], o[1]))
        for o in others
    )


def _letters(name: str) -> int:
    """How wide a name is, in Latin letters: a Chinese one takes the room of two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)


def _outside(box: Box, wide: float, high: float) -> float:
    return max(0.0, -box[0]) + max(0.0, box[2] - wide) + max(0.0, -box[1] - 15) + max(0.0, box[3] - high - 15)
