"""The charts of the lesson as inline SVG, sized so that what is written on them can be read from the back row.

Colours are classes of the lesson's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from tale_core.calls.outcomes import TICKS, outcome_kind
from tale_core.drawing.html import picture, tag, words
from tale_core.i18n import t
from tale_core.lessons.ladder import Rung, counted, named

WIDTH = 1200
LETTER = 27
"""Height of a letter, in the picture's own units: as wide as a slide it is 24 pixels and more."""
DOT = 15
MOST_BINS = 10
_NICE = (1, 2, 5, 10)


class Bin(NamedTuple):
    """Guesses from `low` to `high` tokens, both included."""

    low: int
    high: int
    students: int


def columns(found: Sequence[Rung], *, of: Sequence[Rung], height: int = 300) -> Markup:
    """Answers as columns: what was spent (solid), what was asked for (dashed).

    Args:
        found: The answers to show, each in its own group `data-step`.
        of: All answers of the lesson: its pictures are on one scale.
        height: Of the picture; it is 1,200 wide.
    """
    top, floor = LETTER + 12, height - LETTER - 14
    highest = max(max(r.tokens, r.budget or 0) for r in of)
    wide = (WIDTH - 40) / len(found)

    def y(tokens: int) -> float:
        return floor - tokens / highest * (floor - top)

    parts = [tag("line", x1=0, x2=WIDTH, y1=floor, y2=floor, class_="axis")]
    for at, r in enumerate(found):
        x, half = 20 + wide * (at + 0.5), min(wide * 0.3, 70)
        sign = TICKS.get(r.call.outcome, outcome_kind(r.call.outcome).sign)
        drawn = [tag("rect", x=x - half, y=y(r.tokens), width=2 * half, height=floor - y(r.tokens),
                     class_="vf" if r.budget is None else "bf")]  # fmt: skip
        if r.budget is not None:
            drawn.append(
                tag("line", x1=x - half - 14, x2=x + half + 14, y1=y(r.budget), y2=y(r.budget), class_="asked")
            )
        drawn.append(_said(f"{sign} {r.tokens:,}", x, y(max(r.tokens, r.budget or 0)) - 9, r.call.outcome.value))
        drawn.append(words(named(r), x, height - 8))
        parts.append(tag("g", drawn, data_step=at))
    listing = "; ".join(f"{named(r)}: {counted(r)}" for r in found)
    return picture(parts, t("Output tokens under every budget: {rungs}", rungs=listing), width=WIDTH, height=height)


def _said(text: str, x: float, y: float, kind: str) -> Markup:
    return tag("text", [Markup.escape(text)], x=x, y=y, text_anchor="middle", class_=kind)


def guesses(bins: Sequence[Bin], actual: int | None, *, height: int = 250) -> Markup:
    """A dot for every guess, over the tokens guessed; what it was as a line once that is revealed.

    Args:
        bins: Of `histogram`, made with the same `actual`.
        actual: None until it is revealed.
        height: Of the picture; it is 1,200 wide.
    """
    floor, tallest = height - LETTER - 16, max(b.students for b in bins)
    wide = (WIDTH - 80) / len(bins)
    step = min(2.0 * DOT + 3, (floor - LETTER - 16) / max(1, tallest))
    parts = [tag("line", x1=0, x2=WIDTH, y1=floor, y2=floor, class_="axis")]
    for at, b in enumerate(bins):
        x = 40 + wide * (at + 0.5)
        dots = (
            tag("circle", cx=x, cy=floor - step * (i + 0.5), r=step / 2 - 1.5, class_="bf") for i in range(b.students)
        )
        parts += [*dots, words(f"{b.low:,}" if b.low == b.high else f"{b.low:,}–{b.high:,}", x, height - 8)]
    if actual is not None:
        x = 40 + (actual - bins[0].low + 0.5) / (bins[-1].high - bins[0].low + 1) * (WIDTH - 80)
        parts.append(tag("line", x1=x, x2=x, y1=LETTER + 8, y2=floor, class_="actual"))
        parts.append(words(t("it wrote {n}", n=f"{actual:,}"), min(max(x, 120), WIDTH - 120), LETTER))
    listing = "; ".join(
        t("{low} to {high} tokens: {n}", low=b.low, high=b.high, n=b.students) for b in bins if b.students
    )
    return picture(parts, t("Histogram of the guesses. {bins}.", bins=listing), width=WIDTH, height=height)


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
