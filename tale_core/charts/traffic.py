"""What each change to the traffic saves, and how often its answers agree: two marks a line, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tale_core.charts.theme import LIGHT, Palette, axis, graph_objects, layout
from tale_core.drawing.text import plain
from tale_core.i18n import percent, t
from tale_core.proxy.figures import Finding
from tale_core.stats import Interval
from tale_core.strategies import title_of
from tale_core.types import Outcome

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST = 8
"""Lines; further ones stand in the table."""
NAME_LETTERS = 34
"""Of a model's name."""


def traffic_chart(found: Sequence[Finding], *, colors: Palette = LIGHT) -> Figure:
    """The chart of findings, the first one on top."""
    graph_objects()
    from plotly.subplots import make_subplots

    shown = list(found[:MOST])[::-1]
    titles = (t("tokens saved"), t("answers agree"))
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.16)
    rows = list(range(len(shown)))
    green = colors.outcomes[Outcome.CORRECT]
    for col, (color, intervals) in enumerate(
        ((colors.budgeted, [one.saving for one in shown]), (green, [one.agreement for one in shown])), 1
    ):
        _marks(figure, col, rows, intervals, color)
    for row, one in zip(rows, shown, strict=True):  # Above its marks: beside them it would take half of a phone.
        figure.add_annotation(
            text=plain(f"{one.model[:NAME_LETTERS]} · {title_of(one.strategy)}"),
            x=0, xref="paper", xanchor="left", y=row, yref="y",
            yanchor="bottom", yshift=9, showarrow=False, font={"color": colors.text, "size": 12},
        )  # fmt: skip
    look = axis(colors)
    for col, title in enumerate(titles, 1):
        low = min([0.0, *(one.saving.low for one in shown if one.saving)]) if col == 1 else 0.0
        figure.update_xaxes(
            **look,
            title_text=title,
            range=[max(-1.0, low) - 0.02, 1.02],
            tickvals=(ticks := [-1, -0.5, 0, 0.5, 1]),
            ticktext=[percent(tick) for tick in ticks],
            tickangle=0,
            row=1,
            col=col,
        )
    figure.update_yaxes(**{**look, "ticks": ""}, showticklabels=False, showgrid=False,
                        range=[-0.5, len(shown) - 0.3])  # fmt: skip
    layout(figure, _title(found[0]), t("asked both ways, on your traffic"), colors,
           height=190 + 56 * len(shown), showlegend=False)  # fmt: skip
    return figure


def _title(best: Finding) -> str:
    if best.saving is None:
        return t("Too few questions for a figure")
    return t("{model}, {change}: {share:.0f} % of output tokens saved", model=best.model[:24],
             change=title_of(best.strategy), share=100 * best.saving.mean)  # fmt: skip


def _marks(figure: Figure, col: int, rows: Sequence[int], intervals: Sequence[Interval | None], color: str) -> None:
    there = [(row, one) for row, one in zip(rows, intervals, strict=True) if one is not None]
    figure.add_trace(
        graph_objects().Scatter(
            x=[one.mean for _, one in there], y=[row for row, _ in there], mode="markers", cliponaxis=False,
            marker={"size": 11, "color": color}, hoverinfo="text",
            hovertext=[f"{percent(one.mean)} ({percent(one.low)} – {percent(one.high)})" for _, one in there],
            error_x={
                "type": "data", "symmetric": False, "width": 5, "thickness": 2, "color": color,
                "array": [one.high - one.mean for _, one in there],
                "arrayminus": [one.mean - one.low for _, one in there],
            },
        ),
        row=1, col=col,
    )  # fmt: skip
