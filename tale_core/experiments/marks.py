"""A mark for each strategy in a picture of right answers over tokens: its intervals, the front, where its name goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tale_core.drawing.html import Frame
from tale_core.drawing.places import Name, Places
from tale_core.i18n import t
from tale_core.stats import Interval
from tale_core.strategies import TOOL_MARK, tool_of


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


def tool_note(strategies: Iterable[str]) -> str:
    """What `TOOL_MARK` beside a brief title stands for; "" where none of these has it."""
    return f"{TOOL_MARK}\N{NO-BREAK SPACE}{t('evaluated by a calculator')}" if any(map(tool_of, strategies)) else ""


def front(marks: Sequence[Mark], most: float) -> tuple[list[float], list[float]]:
    """The stair of what nothing else beats, the cheapest first, up to `most` tokens: its corners' tokens and shares."""
    steps = sorted((mark.tokens.mean, mark.right.mean) for mark in marks if mark.best)
    xs = [x for x, _ in steps for _ in (0, 1)][1:] + [most] * bool(steps)
    return xs, [y for _, y in steps for _ in (0, 1)]


def names(marks: Sequence[Mark], *frames: Frame) -> list[Name | None]:
    """What is written beside each mark, and where; None where there is no room for it.

    Args:
        marks: In the order in which they choose.
        frames: Axes in the sizes in which they are drawn, see `Places`.
    """
    places = Places(*frames)
    places.line(*front(marks, frames[0].x1))
    for mark in marks:
        places.line([mark.tokens.low, mark.tokens.high], [mark.right.mean] * 2)
        places.line([mark.tokens.mean] * 2, [mark.right.low, mark.right.high])
    return places.names(*((mark.name, mark.tokens.mean, mark.right.mean) for mark in marks))
