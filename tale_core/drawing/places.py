"""Where words lie in a chart: where they cover least of its lines; a mark's name never covers marks or other words.

Judged in the pixels of a phone and of a desk together: what lies on one side of something else in both does so in
every width between them. Numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, pairwise, product
from typing import Literal, NamedTuple

from tale_core.drawing.html import Frame
from tale_core.drawing.text import shortened, width, wrapped

WIDTHS = (260, 880)
"""Pixels of a plot on a phone and on a desk."""
_LETTER, _LINE = 7.2, 17.0
_MARK = 7.0
"""Half of a mark."""
_WORDS_OVER_WORDS = 60.0
"""Covering words is as bad as covering so many pixels of a line."""
_OUTSIDE = 8.0
"""A pixel outside of the panel is cut off, which is worse than one that covers a line."""


class Place(NamedTuple):
    """Where words hang: at a point of the axes, by which of their sides, moved by so many pixels (right and up)."""

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


class Name(NamedTuple):
    """What is written beside a mark, and where; if that is far, a line leads there."""

    text: str
    place: Place
    far: bool


_Shift = tuple[Literal["left", "right", "center"], int, int]
_NEAR: list[_Shift] = [
    ("left", 7, 4), ("left", 7, -4), ("right", -7, 4), ("right", -7, -4), ("center", 0, 8), ("center", 0, -8),
    ("left", 7, 22), ("left", 7, -22), ("right", -7, 22), ("right", -7, -22),
]  # fmt: skip
_FAR: list[_Shift] = [("center", dx, dy) for dx in range(-120, 121, 20) for dy in range(-252, 253, 6) if abs(dy) > 22]
_FAR.sort(key=lambda shift: math.hypot(*shift[1:]))


class Places:
    """What is taken in one panel.

    Args:
        frames: What its axes show, in the sizes in which it is drawn; words may lie anywhere within their margins.
    """

    def __init__(self, *frames: Frame) -> None:
        self._frames = frames
        self._points: list[list[tuple[float, float]]] = [[] for _ in frames]
        self._boxes: list[list[Box]] = []

    def line(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """A line is drawn through these points."""
        for frame, points in zip(self._frames, self._points, strict=True):
            spots = [_pixels(frame, x, y) for x, y in zip(xs, ys, strict=True)]
            for (x0, y0), (x1, y1) in pairwise(spots):
                steps = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) / 2))
                points += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps + 1)]

    def mark(self, x: float, y: float) -> None:
        """A mark stands at this point."""
        spots = [_pixels(frame, x, y) for frame in self._frames]
        self._boxes.append([Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in spots])

    def take(self, text: str, place: Place) -> None:
        """These words lie there whatever else does."""
        self._boxes.append(self._box(text, place))

    def choose(self, text: str, *places: Place) -> Place:
        """The first of the places where these words cover least; it is taken then."""
        best = min(places, key=lambda place: self._covered(self._box(text, place)))
        self.take(text, best)
        return best

    def names(self, *marks: tuple[str, float, float]) -> list[Name | None]:
        """What is written beside marks at these points: in a line or two, as near as there is room.

        Returns:
            None for one whose name would cover a mark or another name wherever it stood.
        """
        for _, x, y in marks:
            self.mark(x, y)
        found: list[Name | None] = [None] * len(marks)
        # Those with the fewest places choose first, and far ones last: then the lines to them run over no name.
        order = sorted(range(len(marks)), key=lambda i: len(self._free(_NEAR, *marks[i])))
        for shifts, led in ((_NEAR, False), (_FAR, True), (_FAR, False)):
            for i in order:
                if found[i] is None and (free := self._free(shifts, *marks[i], led=led)):
                    found[i] = best = min(free, key=lambda name: self._covered(self._box(name.text, name.place)))
                    self.take(best.text, best.place)
                    for points, leader in zip(self._points, self._leader(best), strict=True):
                        points += leader * 3  # Worse to cover than a line of the chart: the name would hang on another.
        return found

    def _free(self, shifts: Sequence[_Shift], text: str, x: float, y: float, *, led: bool = False) -> list[Name]:
        """The nearest where it covers nothing; `led`: nor does the line that leads there."""
        letters = min(frame.width for frame in self._frames) // 9
        said = _in_a_line_or_two(text, letters)
        names = (
            Name(words, Place(x, y, side, "bottom" if dy > 0 else "top", (dx, dy)), shifts is _FAR)
            for words, (side, dx, dy) in product(said, shifts)
        )
        free = (name for name in names if self._clear(self._box(name.text, name.place)))
        return list(islice((name for name in free if not (led and self._crosses(name))), 8))

    def _crosses(self, name: Name) -> bool:
        leader = self._leader(name)
        return any(_inside(boxes, leader) for boxes in self._boxes)

    def _leader(self, name: Name) -> list[list[tuple[float, float]]]:
        """Points of the line from a mark's edge to its name, if it is far: in each size."""
        right, up = name.place.shift
        steps = [i / 24 for i in range(1, 25) if math.hypot(right, up) * i / 24 > 2 * _MARK] if name.far else []
        spots = [_pixels(frame, name.place.x, name.place.y) for frame in self._frames]
        return [[(x + right * i, y + up * i) for i in steps] for x, y in spots]

    def _clear(self, boxes: list[Box]) -> bool:
        return not self._outside(boxes) and all(apart(boxes, taken) for taken in self._boxes)

    def _box(self, text: str, place: Place) -> list[Box]:
        lines = text.split("<br>")
        wide, high = _LETTER * max(map(width, lines)), _LINE * len(lines)
        boxes = []
        for frame in self._frames:
            x, y = _pixels(frame, place.x, place.y)
            left = x + place.shift[0] - {"left": 0.0, "right": wide, "center": wide / 2}[place.xanchor]
            low = y + place.shift[1] - (high if place.yanchor == "top" else 0.0)
            boxes.append(Box(left, low, left + wide, low + high))
        return boxes

    def _covered(self, boxes: list[Box]) -> float:
        words = sum(not apart(boxes, other) for other in self._boxes)
        return _WORDS_OVER_WORDS * words + _inside(boxes, self._points) + _OUTSIDE * self._outside(boxes)

    def _outside(self, boxes: list[Box]) -> float:
        return sum(
            max(0.0, -box.left, box.right - frame.width) + max(0.0, -box.low, box.high - frame.height)
            for box, frame in zip(boxes, self._frames, strict=True)
        )


def _in_a_line_or_two(text: str, letters: int) -> list[str]:
    """A name in one line and as narrow as two lines make it, then shortened for where there is no room for all of it.

    The end tells names apart as often as the beginning does, so that whole ones come first.
    """
    fits = (lines for wide in range(letters // 2, letters + 1) if len(lines := wrapped(text, wide)) < 3)
    short = shortened(text, letters)
    line = wrapped(text, letters)
    said = line if len(line) == 1 else [], next(fits, [short]), [short], wrapped(short, letters * 3 // 5)
    return list(dict.fromkeys("<br>".join(lines) for lines in said if 0 < len(lines) < 3))


def apart(one: Sequence[Box], other: Sequence[Box]) -> bool:
    """Two boxes touch in no size, nor in one between: one is on the same side of the other in all of them."""
    both = [*zip(one, other, strict=True)], [*zip(other, one, strict=True)]
    return any(all(a.right <= b.left for a, b in two) or all(a.high <= b.low for a, b in two) for two in both)


def _inside(boxes: Sequence[Box], points: Sequence[Sequence[tuple[float, float]]]) -> int:
    return sum(
        box.left <= x <= box.right and box.low <= y <= box.high
        for box, spots in zip(boxes, points, strict=True)
        for x, y in spots
    )


def _pixels(frame: Frame, x: float, y: float) -> tuple[float, float]:
    return frame.x(x), frame.height - frame.y(y)
