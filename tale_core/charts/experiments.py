"""Accuracy against output tokens: a mark for each strategy, its intervals both ways, and the Pareto front.

One meaning, one colour: vanilla slate, budgeted answers teal, tuned violet; every family has a mark of its own as well.
The front is a solid line, since dashes are requested budgets everywhere. It draws no widget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tale_core.charts.curves import OVERLAYS, with_alpha
from tale_core.charts.theme import (
    DARK,
    LIGHT,
    TOKEN_TICKS,
    Palette,
    axis,
    graph_objects,
    layout,
)
from tale_core.drawing.html import Frame
from tale_core.drawing.places import WIDTHS, Name
from tale_core.drawing.text import plain
from tale_core.experiments import text as words
from tale_core.experiments.marks import Mark, front, names, tool_note
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.table import StrategyRow
from tale_core.i18n import percent, t
from tale_core.strategies import Family, family, title_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 440
_HIGH = (283, 305)
"""Pixels of the plot below a title of two lines and of one; of these 13 are below 0 % and 20 above 100 %."""
_SYMBOLS: dict[Family, str] = {
    "vanilla": "square", "budgeted": "circle", "tuned": "star", "direct": "diamond", "brief": "triangle-up",
}  # fmt: skip


def color_of(strategy: str, colors: Palette) -> str:
    """The colour of a strategy's marks (hex)."""
    brief = OVERLAYS[0].dark if colors is DARK else OVERLAYS[0].light
    named = {"vanilla": colors.vanilla, "budgeted": colors.budgeted, "tuned": colors.tuned, "direct": colors.text}
    return named.get(family(strategy), brief)


def tradeoff(found: ExperimentResults, *, colors: Palette = LIGHT, of: str = "") -> Figure | None:
    """The chart, its title about the strategy `of`; None while none has both a graded answer and a count of tokens."""
    rows = [row for row in found.rows if row.output_tokens and row.accuracy]
    if not rows:
        return None
    figure = graph_objects().Figure()
    right = 1.12 * max(row.output_tokens.high for row in rows if row.output_tokens) or 1.0
    marks = [
        Mark(title_of(row.strategy, brief=True), row.output_tokens, row.accuracy, row.pareto_output)
        for row in rows
        if row.output_tokens and row.accuracy
    ]
    xs, ys = front(marks, right)
    line, shown_as = {"color": with_alpha(colors.text, 0.35), "width": 2}, t("Pareto front")
    figure.add_scatter(x=xs, y=ys, mode="lines", line=line, name=shown_as, hoverinfo="skip", showlegend=False)
    frames = [
        Frame(0, right, 1, False, *size, left=0, right=0, top=20, bottom=13) for size in zip(WIDTHS, _HIGH, strict=True)
    ]
    for row, name in zip(rows, names(marks, *frames), strict=True):
        color = color_of(row.strategy, colors)
        _mark(figure, row, color)
        if name is not None:
            _name(figure, name, color)
    _layout(figure, found, right, colors, of)
    return figure


def _name(figure: Figure, name: Name, color: str) -> None:
    place, (dx, dy) = name.place, name.place.shift
    text = "<br>".join(map(plain, name.text.split("<br>")))
    leader = {"arrowhead": 0, "arrowwidth": 1, "arrowcolor": with_alpha(color, 0.65), "standoff": 7}
    moved = {"ax": dx, "ay": -dy, **leader} if name.far else {"xshift": dx, "yshift": dy}
    figure.add_annotation(
        text=text, x=place.x, y=place.y, xanchor=place.xanchor, yanchor=place.yanchor, align=place.xanchor,
        font={"size": 13, "color": color}, showarrow=name.far, **moved,
    )  # fmt: skip


def _mark(figure: Figure, row: StrategyRow, color: str) -> None:
    tokens, right = row.output_tokens, row.accuracy
    assert tokens and right
    bar = {"type": "data", "symmetric": False, "thickness": 1.6, "width": 3, "color": with_alpha(color, 0.65)}
    message = t(
        "{strategy}: {tokens:,.1f} output tokens, {share} of {n:,} right",
        strategy=title_of(row.strategy),
        tokens=tokens.mean,
        share=percent(right.mean, 1),
        n=row.graded,
    )
    figure.add_scatter(
        x=[tokens.mean], y=[right.mean], mode="markers", name=plain(title_of(row.strategy)), showlegend=False,
        marker={"color": color, "size": 12, "symbol": _SYMBOLS[family(row.strategy)]},
        error_x={**bar, "array": [tokens.high - tokens.mean], "arrayminus": [tokens.mean - tokens.low]},
        error_y={**bar, "array": [right.high - right.mean], "arrayminus": [right.mean - right.low]},
        text=[plain(message)], hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _layout(figure: Figure, found: ExperimentResults, right: float, colors: Palette, of: str) -> None:
    about = f"{found.model} · {found.dataset}, n = {found.questions:,}"
    about = " · ".join(filter(None, (about, tool_note(row.strategy for row in found.rows))))
    style = axis(colors)
    named = t("Output tokens a question")
    figure.update_xaxes(range=[0, right], nticks=6, tickformat=TOKEN_TICKS, title_text=named, **style)
    figure.update_yaxes(
        range=[-0.05, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1], ticktext=["0 %", "25 %", "50 %", "75 %", "100 %"],
        title_text=t("Right"), **style,
    )  # fmt: skip
    layout(figure, words.headline(found, of), about, colors, height=HEIGHT, left=66)
