"""Accuracy against output tokens: a mark for each strategy, its intervals both ways, and the Pareto front.

One meaning, one colour: vanilla slate, budgeted answers teal, tuned violet; every family has a mark of its own as well.
The front is a solid line, since dashes are requested budgets everywhere. Knows plotly and results; draws no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.rows import StrategyRow
from tale_core.i18n import t
from tale_core.types import TUNED
from ui import experiments_words as words
from ui.elasticity_curves import OVERLAYS, plain, with_alpha
from ui.text import shortened, wrapped
from ui.theme import DARK, FONT, Palette, palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 440
TITLE_LETTERS = 34
"""Letters of a line of the title: what fits on a phone. The server does not know how wide the chart will be."""
LABEL_LETTERS = 22
_BACKGROUND = {"light": "#ffffff", "dark": "#11171d"}
_WIDE, _HIGH = 300.0, 300.0
"""Pixels of the plot on a phone: labels that keep clear of each other there do so everywhere."""
_LETTER, _LINE = 7.2, 17.0
Family = Literal["vanilla", "budgeted", "tuned", "direct", "brief"]
_SYMBOLS: dict[Family, str] = {
    "vanilla": "square", "budgeted": "circle", "tuned": "star", "direct": "diamond", "brief": "triangle-up",
}  # fmt: skip


class Place(NamedTuple):
    """Where a label hangs at its mark."""

    xanchor: Literal["left", "right", "center"]
    yanchor: Literal["top", "bottom", "middle"]
    dx: int
    dy: int


_PLACES = (
    Place("left", "bottom", 7, 5), Place("left", "top", 7, -5), Place("right", "bottom", -7, 5),
    Place("right", "top", -7, -5), Place("center", "bottom", 0, 22), Place("center", "top", 0, -22),
)  # fmt: skip


def family(strategy: str) -> Family:
    """What a strategy has in common with others of its colour."""
    bare = strategy.partition("@")[0]
    if bare.startswith(TUNED):
        return "tuned"
    if bare.startswith(("tale-", "fixed:")) or bare == "oracle":
        return "budgeted"
    return "vanilla" if bare == "vanilla" else "direct" if bare == "direct" else "brief"


def color_of(strategy: str, colors: Palette) -> str:
    """The colour of a strategy's marks (hex)."""
    brief = OVERLAYS[0].dark if colors is DARK else OVERLAYS[0].light
    named = {"vanilla": colors.vanilla, "budgeted": colors.budgeted, "tuned": colors.tuned, "direct": colors.text}
    return named.get(family(strategy), brief)


def tradeoff(found: ExperimentResults) -> Figure | None:
    """The chart; None while no strategy has both a graded answer and a count of tokens."""
    rows = [row for row in found.rows if row.output_tokens and row.accuracy]
    if not rows:
        return None
    # Plotly takes pandas from sys.modules; while another thread still imports it, that is half a module.
    import pandas  # noqa: F401
    import plotly.graph_objects as go

    figure, colors = go.Figure(), palette()
    right = 1.12 * max(row.output_tokens.high for row in rows if row.output_tokens) or 1.0
    _front(figure, rows, right, colors)
    for row in rows:
        _mark(figure, row, color_of(row.strategy, colors))
    for row, place in zip(rows, places(rows, right), strict=True):
        assert row.output_tokens and row.accuracy
        figure.add_annotation(
            text=plain(shortened(row.strategy, LABEL_LETTERS)), showarrow=False,
            x=row.output_tokens.mean, y=row.accuracy.mean, xanchor=place.xanchor, yanchor=place.yanchor,
            xshift=place.dx, yshift=place.dy, font={"size": 13, "color": color_of(row.strategy, colors)},
        )  # fmt: skip
    _layout(figure, found, right, colors)
    return figure


def _front(figure: Figure, rows: Sequence[StrategyRow], right: float, colors: Palette) -> None:
    import plotly.graph_objects as go

    best = sorted(
        (row.output_tokens.mean, row.accuracy.mean)
        for row in rows
        if row.pareto_output and row.output_tokens and row.accuracy
    )
    if not best:
        return
    line = {"color": with_alpha(colors.text, 0.35), "width": 2, "shape": "hv"}
    figure.add_trace(
        go.Scatter(
            x=[*(x for x, _ in best), right], y=[*(y for _, y in best), best[-1][1]], mode="lines", line=line,
            name=t("Pareto front"), hoverinfo="skip", showlegend=False,
        )
    )  # fmt: skip


def _mark(figure: Figure, row: StrategyRow, color: str) -> None:
    import plotly.graph_objects as go

    tokens, right = row.output_tokens, row.accuracy
    assert tokens and right
    bar = {"type": "data", "symmetric": False, "thickness": 1.6, "width": 3, "color": with_alpha(color, 0.65)}
    told = t(
        "{strategy}: {tokens:,.1f} output tokens, {share} of {n:,} right",
        strategy=row.strategy,
        tokens=tokens.mean,
        share=words.percent(right.mean),
        n=row.graded,
    )
    figure.add_trace(
        go.Scatter(
            x=[tokens.mean], y=[right.mean], mode="markers", name=plain(row.strategy), showlegend=False,
            marker={"color": color, "size": 12, "symbol": _SYMBOLS[family(row.strategy)]},
            error_x={**bar, "array": [tokens.high - tokens.mean], "arrayminus": [tokens.mean - tokens.low]},
            error_y={**bar, "array": [right.high - right.mean], "arrayminus": [right.mean - right.low]},
            text=[plain(told)], hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip


def places(rows: Sequence[StrategyRow], right: float) -> list[Place]:
    """For each mark a side on which its name lies clear of other names, of marks and of the chart's edge."""
    points = [
        (row.output_tokens.mean / right * _WIDE, row.accuracy.mean * _HIGH)
        for row in rows
        if row.output_tokens and row.accuracy
    ]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    chosen: list[Place] = []
    for row, (x, y) in zip(rows, points, strict=True):
        width = min(len(row.strategy), LABEL_LETTERS) * _LETTER
        boxes = [_box(place, x, y, width) for place in _PLACES]
        costs = [_overlap(box, taken) + 10 * _outside(box) for box in boxes]
        best = min(range(len(_PLACES)), key=costs.__getitem__)
        chosen.append(_PLACES[best])
        taken.append(boxes[best])
    return chosen


Box = tuple[float, float, float, float]


def _box(place: Place, x: float, y: float, width: float) -> Box:
    left = {"left": x, "right": x - width, "center": x - width / 2}[place.xanchor] + place.dx
    low = {"bottom": y, "top": y - _LINE, "middle": y - _LINE / 2}[place.yanchor] + place.dy
    return left, low, left + width, low + _LINE


def _overlap(box: Box, others: Sequence[Box]) -> float:
    return sum(
        max(0.0, min(box[2], o[2]) - max(box[0], o[0])) * max(0.0, min(box[3], o[3]) - max(box[1], o[1]))
        for o in others
    )


def _outside(box: Box) -> float:
    return max(0.0, -box[0]) + max(0.0, box[2] - _WIDE) + max(0.0, -box[1] - 15) + max(0.0, box[3] - _HIGH - 15)


def _layout(figure: Figure, found: ExperimentResults, right: float, colors: Palette) -> None:
    lines = wrapped(plain(words.headline(found)), TITLE_LETTERS)
    about = shortened(f"{found.model} · {found.dataset}, n = {found.questions:,}", 46, placeholder=" …")
    axis = {"gridcolor": colors.faint, "linecolor": colors.vanilla, "zeroline": False, "fixedrange": True,
            "tickfont": {"size": 13}, "title_font": {"size": 13}, "ticks": "outside",
            "tickcolor": colors.faint}  # fmt: skip
    figure.update_xaxes(range=[0, right], nticks=6, tickformat=",.0f", title_text=t("Output tokens a question"), **axis)
    figure.update_yaxes(
        range=[-0.05, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1], ticktext=["0 %", "25 %", "50 %", "75 %", "100 %"],
        title_text=t("Right"), **axis,
    )  # fmt: skip
    figure.update_layout(
        template="none",
        height=HEIGHT,
        title={
            "text": "<br>".join(lines), "x": 0, "xref": "container", "xanchor": "left", "y": 1, "yanchor": "top",
            "font": {"size": 16, "weight": 600, "color": colors.text}, "pad": {"l": 4, "t": 24},
            "subtitle": {"text": plain(about), "font": {"size": 13, "color": colors.vanilla}},
        },
        margin={"l": 66, "r": 12, "t": 58 + 20 * len(lines), "b": 54},
        font={"family": FONT, "color": colors.text, "size": 13},
        # Not see-through: the saved picture has to be legible on any page.
        paper_bgcolor=_BACKGROUND["dark" if colors is DARK else "light"],
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"family": FONT, "size": 13}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": colors.vanilla, "activecolor": colors.budgeted},
        dragmode=False,
    )  # fmt: skip
