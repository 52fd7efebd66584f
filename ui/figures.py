"""Plotly figures. A requested budget is always a dashed line, an actual cost always a solid mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tale_core.i18n import t
from ui.theme import palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def token_bar(tokens: int, *, role: str, budget: int | None, scale: int) -> Figure:
    """One answer's output tokens as a bar on a scale shared by both answers, the budget as a dashed line.

    Args:
        tokens: Completion tokens.
        role: "vanilla" or "budgeted"; decides the colour.
        budget: Requested tokens, or None.
        scale: Tokens at the right end, the same for both bars.
    """
    # Plotly takes pandas from sys.modules; while another thread still imports it, that is half a module.
    import pandas  # noqa: F401
    import plotly.graph_objects as go

    colors = palette()
    color = colors.vanilla if role == "vanilla" else colors.budgeted
    figure = go.Figure(
        go.Bar(
            x=[tokens],
            y=[0],
            width=[0.56],
            orientation="h",
            marker_color=color,
            hovertemplate=f"%{{x}} {t('output tokens')}<extra></extra>",
        )
    )
    figure.add_shape(
        type="rect", x0=0, x1=scale, y0=-0.28, y1=0.28, fillcolor=colors.faint, line_width=0, layer="below"
    )
    if budget is not None:
        figure.add_shape(
            type="line",
            x0=budget,
            x1=budget,
            y0=-0.5,
            y1=0.5,
            line={"color": colors.text, "dash": "4px,3px", "width": 2},
        )
    figure.update_layout(
        height=34,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        bargap=0,
        xaxis={"range": [0, scale * 1.01], "visible": False, "fixedrange": True},
        yaxis={"visible": False, "range": [-0.5, 0.5], "fixedrange": True},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure
