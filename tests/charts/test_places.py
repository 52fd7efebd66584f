"""Words in charts lie on no other words, and names on no marks, as wide as a phone, a desk and between."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.charts import elasticity
from tale_core.drawing.html import Frame
from tale_core.drawing.places import WIDTHS
from tale_core.drawing.text import width
from tale_core.elasticity.view import SweepView
from tale_core.experiments.marks import Mark, front, names
from tale_core.i18n import use_language
from tale_core.stats import Interval
from tests.pages import sweep_samples
from tests.pages.sweep_samples import point, result, view


def close(direct: float, *, low: float = 60) -> SweepView:
    """The vanilla answer and the one without explanation cost nearly the same."""
    points = [point("vanilla", 80), point("direct", direct), point(100, 79), point(50, 66), point(25, low)]
    return view(result(points, "Asked for less, it writes less.", ideal_range=(50, 50)))


def down_to_nothing() -> SweepView:
    """A limit on thinking may be 0 tokens, and the ideal range may begin there."""
    points = [point("vanilla", 80), point(100, 79), point(25, 40), point(0, 20)]
    return view(result(points, "Asked for less, it writes less.", ideal_range=(0, 25)))


CASES: dict[str, Callable[[], SweepView]] = {
    "rebound": sweep_samples.rebound,
    "flat": sweep_samples.flat,
    "full": sweep_samples.full,
    "a little more": lambda: close(86),
    "a little less": lambda: close(74),
    "the same": lambda: close(80),
    "overspent": lambda: close(60, low=120),
    "from 0 on": down_to_nothing,
}


def boxes(figure: Any, across: int) -> dict[str, tuple[float, float, float, float]]:
    """Where each of the words lies, in pixels of a plot so wide; those at the very top hang from it."""
    x0, x1 = figure.layout.xaxis.range
    top = figure.layout.yaxis.range[1]
    found = {}
    for a in figure.layout.annotations:
        if a.xref != "x" or a.yref not in ("y", "y domain"):
            continue
        lines = a.text.split("<br>")
        wide, high = 7.0 * max(map(width, lines)), 17.0 * len(lines)
        x = across * (a.x - x0) / (x1 - x0) + (a.ax if a.showarrow else a.xshift or 0)
        y = 265 * (a.y if a.yref == "y domain" else a.y / top) + (-a.ay if a.showarrow else a.yshift or 0)
        left = x - {"left": 0.0, "right": wide, "center": wide / 2}[a.xanchor]
        low = y - (high if a.yanchor == "top" else 0.0)
        found[a.text] = (left, low, left + wide, low + high)
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_words_of_the_curve_lie_on_others(name: str, language: str) -> None:
    with use_language(language):
        figure = elasticity.curve(CASES[name]())
    for across in WIDTHS:
        found = boxes(figure, across)
        assert len(found) >= 2 and all(math.isfinite(side) for box in found.values() for side in box)
        for (one, a), (other, b) in combinations(found.items(), 2):
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, f"{one!r} and {other!r}"


def sized(wide: int, high: int, most: float) -> Frame:
    return Frame(0, most, 1, width=wide, height=high, left=0, right=0, top=20, bottom=13)


def drawn(marks: list[Mark], most: float, wide: int, high: int) -> list[tuple[float, float, float, float]]:
    """Boxes of the marks and of their names in a plot of this size."""
    frame = sized(wide, high, most)
    found = []
    for mark, name in zip(marks, names(marks, sized(260, 283, most), sized(880, 305, most)), strict=True):
        x, y = frame.x(mark.tokens.mean), frame.height - frame.y(mark.right.mean)
        found.append((x - 6, y - 6, x + 6, y + 6))
        if name is not None:
            place, lines = name.place, name.text.split("<br>")
            long, tall = 7.0 * max(map(width, lines)), 17 * len(lines)
            left = x + place.shift[0] - {"left": 0.0, "right": long, "center": long / 2}[place.xanchor]
            low = y + place.shift[1] - (tall if place.yanchor == "top" else 0)
            found.append((left, low, left + long, low + tall))
            assert left >= 0 and low >= 0 and left + long <= wide and low + tall <= high
    return found


# As many strategies as one compares at most, each with tokens, its share right in percent, and a name.
MARKS = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 100), st.text("ab 预", max_size=40)), max_size=14)


@given(MARKS)
@settings(max_examples=40, deadline=None)
def test_no_name_lies_on_a_mark_or_on_another_name_in_any_width_from_phone_to_desk(points: Any) -> None:
    marks = [
        Mark(name, Interval(x, 0.9 * x, 1.1 * x), Interval(y / 100, 0.9 * y / 100, min(1, 1.1 * y / 100)), y > 50)
        for x, y, name in points
    ]
    for size in ((260, 283), (430, 290), (880, 305)):
        found = drawn(marks, 450, *size)
        for box in (one for one in found if one[3] - one[1] > 12.5):
            for other in found:
                clear = box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]
                assert clear or other is box


# docs/models.md, "What each kind of budget does on the embedded default".
KINDS = {
    "Vanilla": (291.8, 65.0), "Cascade: brief, then vanilla": (290.9, 65.0),
    "Lines, evaluated by a calculator": (56.4, 51.7), "Short answers, vote of 3": (160.9, 40.0),
    "Chain of Draft": (77.2, 33.3), "Early exit": (215.9, 21.7),
    "Enforced budget of 120 tokens": (123.3, 11.7), "Fixed budget of 60 tokens": (5.4, 10.0),
    "TALE, zero-shot": (5.3, 10.0), "Enforced budget of 60 tokens": (65.0, 5.0),
}  # fmt: skip


def test_a_line_to_a_name_runs_over_no_other_name_where_there_is_room() -> None:
    # An early evaluation of the adapters that ship: output tokens and percent right, with their intervals.
    table = {
        "Direct answer": (5.3, 5.2, 5.5, 7.5, 4.6, 12.0), "Vanilla": (300.0, 287.4, 312.9, 57.0, 50.1, 63.7),
        "Chain of Draft": (75.0, 69.7, 80.7, 39.0, 32.5, 45.9),
        "Lines, evaluated by a calculator": (54.1, 51.0, 57.3, 50.5, 43.6, 57.4),
        "Fine-tuned: brief": (82.1, 76.6, 87.9, 54.0, 47.1, 60.8),
        "Fine-tuned: lines, evaluated by a calculator": (62.9, 50.7, 87.6, 54.0, 47.1, 60.8),
    }  # fmt: skip
    marks = [
        Mark(
            name,
            Interval(x, *at),
            Interval(y / 100, low / 100, high / 100),
            name not in ("Chain of Draft", "Fine-tuned: brief"),
        )
        for name, (x, *at, y, low, high) in table.items()
    ]
    for wide, high in ((260, 283), (880, 305)):
        frame, boxes = sized(wide, high, 350), drawn(marks, 350, wide, high)
        found = names(marks, sized(260, 283, 350), sized(880, 305, 350))
        assert any(name and name.far for name in found), "this table is so full that a line leads to a name"
        for name in (name for name in found if name and name.far):
            x, y = frame.x(name.place.x), frame.height - frame.y(name.place.y)
            dx, dy = name.place.shift
            along = [(x + dx * i / 40, y + dy * i / 40) for i in range(40) if math.hypot(dx, dy) * i / 40 > 15]
            over = [box for box in boxes for x, y in along if box[0] < x < box[2] and box[1] < y < box[3]]
            assert len(set(over)) <= 1, over  # Its own box, at the end.


def test_ten_strategies_all_find_room_for_their_names_and_the_front_is_a_stair() -> None:
    marks = [
        Mark(name, Interval(x, 0.9 * x, 1.1 * x), Interval(y / 100, y / 120, y / 80), name[0] in "FLV")
        for name, (x, y) in KINDS.items()
    ]
    assert len(drawn(marks, 350, 260, 283)) == 2 * len(KINDS)
    assert front(marks, 350) == ([5.4, 56.4, 56.4, 291.8, 291.8, 350], [0.1, 0.1, 0.517, 0.517, 0.65, 0.65])


def test_the_words_at_a_rebound_lie_off_the_curve() -> None:
    figure = elasticity.curve(sweep_samples.rebound())
    curve = next(trace for trace in figure.data if trace.customdata is not None)
    x0, x1, top = *figure.layout.xaxis.range, figure.layout.yaxis.range[1]
    for across in WIDTHS:
        left, low, right, high = next(box for words, box in boxes(figure, across).items() if "more" in words)
        spots = [
            (across * (math.log10(x) - x0) / (x1 - x0), 265 * y / top) for x, y in zip(curve.x, curve.y, strict=True)
        ]
        assert spots and not [spot for spot in spots if left <= spot[0] <= right and low <= spot[1] <= high]
