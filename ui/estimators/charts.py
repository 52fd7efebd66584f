"""Charts of a trained estimator: predicted against searched, residuals by topic, features, the learning curve.

Predicted budgets are teal; the line on which a budget asked for equals the searched one is dashed. It draws no widget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tale_core.charts.curves import ticks, with_alpha
from tale_core.charts.theme import Palette, axis, graph_objects, layout
from tale_core.drawing.text import plain
from tale_core.estimators.report import TrainingReport
from tale_core.i18n import again, t
from ui.common.charts import palette
from ui.common.text import shortened
from ui.estimators import text as words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 460
SMALL = 340
MOST_DOTS = 2_000
"""Dots with intervals that a browser draws fluently."""
_LABEL_LETTERS = 16
_ROW = 26


def predicted(report: TrainingReport) -> Figure | None:
    """Predicted against searched budgets with 90 % intervals, both in tokens; None when nothing was predicted."""
    shown = words.predictions(report)[:MOST_DOTS]
    if not shown:
        return None
    figure, colors = graph_objects().Figure(), palette()
    values = [v for p in shown for v in (p.optimal, p.predicted, p.low, p.high) if v is not None and words.drawable(v)]
    low, high = min(values) / 1.15, max(values) * 1.15
    line = {"color": colors.text, "dash": "6px,4px", "width": 1.6}
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", line=line, hoverinfo="skip", name="equal")
    read = t("searched {x}, predicted {y} tokens", x="%{x:,.0f}", y="%{y:,.0f}")
    asked = [plain(shortened(p.question, 60)) for p in shown]
    figure.add_scatter(
        x=[p.optimal for p in shown], y=[p.predicted for p in shown], mode="markers", name="predicted",
        marker={"color": colors.budgeted, "size": 7, "opacity": 0.8},
        error_y=_bars([(p.predicted, p.low, p.high) for p in shown], colors), text=asked,
        hovertemplate=f"%{{text}}<br>{read}<extra></extra>",
    )  # fmt: skip
    both = {"type": "log", "range": [math.log10(low), math.log10(high)], **ticks(low, high)}
    _axes(figure, colors, x=both | {"title_text": t("Searched optimum, tokens")},
          y=both | {"title_text": t("Predicted budget, tokens")})  # fmt: skip
    _layout(figure, colors, words.predicted_title(report), _about(report), HEIGHT)
    return figure


def _bars(rows: Sequence[tuple[float, float | None, float | None]], colors: Palette) -> dict[str, Any]:
    up = [high - middle if high is not None and words.drawable(high) else 0 for middle, _, high in rows]
    down = [middle - low if low is not None and words.drawable(low) else 0 for middle, low, _ in rows]
    return {"type": "data", "symmetric": False, "array": [max(0, v) for v in up],
            "arrayminus": [max(0, v) for v in down], "width": 0, "thickness": 1.4,
            "color": with_alpha(colors.budgeted, 0.35)}  # fmt: skip


def topics(report: TrainingReport) -> Figure | None:
    """Predicted over searched by topic, as dots on a logarithmic scale; None without a topic."""
    rows = words.topics(report)
    if not rows:
        return None
    figure, colors = graph_objects().Figure(), palette()
    figure.add_scatter(
        x=[r.ratio for r in rows], y=list(range(len(rows))), mode="markers", name="topic",
        marker={"color": colors.budgeted, "size": 11},
        text=[f"{plain(shortened(words.topic(r), 60))}: × {r.ratio:.2f}, n = {r.n:,}" for r in rows],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    ratios = [*(r.ratio for r in rows), 1.0]
    spread = max(1.3, *(max(r, 1 / r) for r in ratios)) * 1.1
    figure.add_vline(x=1.0, line={"color": colors.text, "dash": "6px,4px", "width": 1.6})
    title = t("Predicted over searched (← too low, too high →)")
    _axes(figure, colors, x={"title_text": title, **_factor_axis(spread)}, y=_named([words.topic(r) for r in rows]))
    _layout(figure, colors, words.topics_title(report), _about(report), _tall(len(rows)), left=120)
    return figure


def _factor_axis(spread: float) -> dict[str, Any]:
    steps = (1.1, 1.25, 1.5, 2, 3, 5, 10, 30, 100, 1_000, 10_000, 100_000)
    mark = max(s for s in steps if s <= spread)
    values = [1 / mark, 1.0, mark]  # On a phone, more numbers than these would run into each other.
    end = math.log10(spread)
    return {"type": "log", "range": [-end, end], "tickvals": values, "ticktext": [f"× {v:.3g}" for v in values]}


def features(report: TrainingReport) -> Figure | None:
    """By which factor the error grows when a group of features is shuffled, as bars; None when none was measured."""
    rows = words.importances(report)
    if not rows:
        return None
    figure, colors = graph_objects().Figure(), palette()
    figure.add_bar(
        x=[factor - 1 for _, factor in rows], y=list(range(len(rows))), base=1.0, orientation="h", name="features",
        marker_color=colors.budgeted, text=[f"× {factor:.2f}" for _, factor in rows], textposition="outside",
        cliponaxis=False, hoverinfo="skip",
    )  # fmt: skip
    factors = [*(factor for _, factor in rows), 1.0]
    low, high = min(factors), max(*factors, 1.05)
    room = 0.25 * (high - low)
    _axes(figure, colors, y=_named([words.group(name) for name, _ in rows]),
          x={"title_text": t("Error when shuffled (× 1: no matter)"), "range": [low - (room if low < 1 else 0),
             high + room], "nticks": 5, "tickprefix": "× ", "tickformat": ".3~g"})  # fmt: skip
    _layout(figure, colors, words.features_title(report), _about(report), _tall(len(rows)), left=120)
    return figure


def learning(report: TrainingReport) -> Figure | None:
    """How the error falls with more searches; None when it was not measured."""
    found = words.points(report)
    if report.learning_curve is None or not found:
        return None
    figure, colors = graph_objects().Figure(), palette()
    figure.add_scatter(
        x=[n for n, _ in found], y=[error for _, error in found], mode="lines+markers", name="error",
        line={"color": colors.budgeted, "width": 3}, marker={"color": colors.budgeted, "size": 9},
        hovertemplate=t("{x} searches: × {y}", x="%{x:,}", y="%{y:.3f}") + "<extra></extra>",
    )  # fmt: skip
    most, worst = max(n for n, _ in found), max(error for _, error in found)
    best = min(1.0, *(error for _, error in found))
    _axes(figure, colors, x={"title_text": t("Searches learnt from"), "range": [0, most * 1.06], "nticks": 6},
          y={"title_text": t("Factor off"), "range": [best, best + 1.15 * max(0.05, worst - best)], "nticks": 5,
             "tickprefix": "× ", "tickformat": ".3~g"})  # fmt: skip
    _layout(figure, colors, again(report.learning_curve.words)[:200], _about(report), SMALL)
    return figure


def _about(report: TrainingReport) -> str:
    return f"{report.model} · {report.template}, n = {report.rows:,}"


def _named(names: Sequence[str]) -> dict[str, Any]:
    """An axis of names from the top: placed by number, since two shortened names may be the same."""
    labels = [plain(shortened(name, _LABEL_LETTERS) or name[:_LABEL_LETTERS]) for name in names]
    return {"tickvals": list(range(len(names))), "ticktext": labels, "range": [len(names) - 0.4, -0.6]}


def _tall(rows: int) -> int:
    return max(SMALL, 150 + _ROW * rows)


def _axes(figure: Figure, colors: Palette, *, x: dict[str, Any], y: dict[str, Any]) -> None:
    figure.update_xaxes(**axis(colors), **x)
    figure.update_yaxes(**axis(colors), **y)


def _layout(figure: Figure, colors: Palette, title: str, about: str, height: int, *, left: int = 64) -> None:
    layout(figure, title, about, colors, height=height, left=left, showlegend=False)
