"""Charts of the Fine-tune page: answer lengths before and after, and the loss while it is trained.

Vanilla is slate, what the tuned model is to learn violet. What a chart shows is said in a sentence above it, by the
page that draws it. It draws no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tale_core.charts.theme import FONT, Palette, graph_objects
from tale_core.i18n import t
from tale_core.tuning.examples import Examples
from tale_core.tuning.run_state import Loss
from ui.common.charts import palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 300
BINS = 24


def token_histogram(found: Examples) -> Figure:
    """How many tokens the answers take, vanilla and to learn, on one scale."""
    figure, colors = graph_objects().Figure(), palette()
    before = [e.vanilla.tokens for e in found.train if e.vanilla]
    after = [e.target_tokens for e in found.train]
    top = max([*before, *after, 10])
    bins = {"start": 0, "end": top * 1.001, "size": max(1.0, top / BINS)}
    for values, name, color in (
        (before, t("Vanilla answers"), colors.vanilla),
        (after, t("Answers to learn"), colors.tuned),
    ):
        if values:
            figure.add_histogram(
                x=values, xbins=bins, name=name, marker={"color": color, "line_width": 0}, opacity=0.75,
                hovertemplate="%{x}: %{y}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(barmode="overlay")
    _layout(figure, colors, t("Output tokens"), t("Answers"))
    return figure


def loss_curve(losses: Sequence[Loss]) -> Figure:
    """The loss of each step, and of the questions kept aside after each epoch."""
    figure, colors = graph_objects().Figure(), palette()
    trained = [one for one in losses if not one.held_out]
    held_out = [one for one in losses if one.held_out]
    figure.add_scatter(
        x=[one.step for one in trained], y=[one.loss for one in trained], mode="lines", name=t("Training"),
        line={"color": colors.vanilla, "width": 1.6}, hovertemplate="%{x}: %{y:.3f}<extra></extra>",
    )  # fmt: skip
    if held_out:
        figure.add_scatter(
            x=[one.step for one in held_out], y=[one.loss for one in held_out], mode="lines+markers",
            name=t("Questions kept aside"), line={"color": colors.tuned, "width": 2.2}, marker={"size": 8},
            hovertemplate="%{x}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    _layout(figure, colors, t("Training step"), t("Loss"))
    figure.update_yaxes(rangemode="tozero")
    figure.update_xaxes(tickformat=",d", nticks=min(9, max((one.step for one in losses), default=1) + 1))
    return figure


def _layout(figure: Figure, colors: Palette, x: str, y: str) -> None:
    axis: dict[str, Any] = {
        "gridcolor": colors.faint, "zeroline": False, "color": colors.text, "fixedrange": True, "automargin": True,
    }  # fmt: skip
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 13}},
        hoverlabel={"font": {"family": FONT, "size": 13}},
        showlegend=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "color": colors.text, "size": 13},
        xaxis={**axis, "title_text": x, "showgrid": False},
        yaxis={**axis, "title_text": y},
    )  # fmt: skip
