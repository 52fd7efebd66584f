"""Words in the elasticity chart lie on no other words, as wide as a phone, in both languages."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from tale_core.charts import elasticity
from tale_core.charts.places import PANEL
from tale_core.charts.text import width
from tale_core.elasticity.view import SweepView
from tale_core.i18n import use_language
from tests.pages import sweep_samples
from tests.pages.sweep_samples import point, result, view


def close(direct: float, *, low: float = 60) -> SweepView:
    """The vanilla answer and the one without explanation cost nearly the same."""
    points = [point("vanilla", 80), point("direct", direct), point(100, 79), point(50, 66), point(25, low)]
    return view(result(points, "Asked for less, it writes less.", ideal_range=(50, 50)))


CASES: dict[str, Callable[[], SweepView]] = {
    "rebound": sweep_samples.rebound,
    "flat": sweep_samples.flat,
    "full": sweep_samples.full,
    "a little more": lambda: close(86),
    "a little less": lambda: close(74),
    "the same": lambda: close(80),
    "overspent": lambda: close(60, low=120),
}


def boxes(figure: Any) -> dict[str, tuple[float, float, float, float]]:
    """Where each of the words lies, in pixels of a phone; those at the very top hang from it."""
    x0, x1 = figure.layout.xaxis.range
    top = figure.layout.yaxis.range[1]
    found = {}
    for a in figure.layout.annotations:
        if a.xref != "x" or a.yref not in ("y", "y domain"):
            continue
        lines = a.text.split("<br>")
        wide, high = 7.0 * max(map(width, lines)), 17.0 * len(lines)
        x = PANEL[0] * (a.x - x0) / (x1 - x0) + (a.ax if a.showarrow else a.xshift or 0)
        y = PANEL[1] * (a.y if a.yref == "y domain" else a.y / top) + (-a.ay if a.showarrow else a.yshift or 0)
        left = x - {"left": 0.0, "right": wide, "center": wide / 2}[a.xanchor]
        low = y - (high if a.yanchor == "top" else 0.0)
        found[a.text] = (left, low, left + wide, low + high)
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_words_of_the_curve_lie_on_others(name: str, language: str) -> None:
    with use_language(language):
        found = boxes(elasticity.curve(CASES[name]()))
    assert len(found) >= 2 and all(math.isfinite(side) for box in found.values() for side in box)
    for (one, a), (other, b) in combinations(found.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one!r} and {other!r}"


def test_the_words_at_a_rebound_lie_off_the_curve() -> None:
    rebound = sweep_samples.rebound()
    figure = elasticity.curve(rebound)
    left, low, right, high = next(box for words, box in boxes(figure).items() if "more" in words)
    curve = next(trace for trace in figure.data if trace.customdata is not None)
    x0, x1, top = *figure.layout.xaxis.range, figure.layout.yaxis.range[1]
    spots = [
        (PANEL[0] * (math.log10(x) - x0) / (x1 - x0), PANEL[1] * y / top) for x, y in zip(curve.x, curve.y, strict=True)
    ]
    assert spots and not [spot for spot in spots if left <= spot[0] <= right and low <= spot[1] <= high]
