"""Accuracy against output tokens: a mark for each strategy, its intervals both ways, and the Pareto front.

One meaning, one colour: vanilla slate, budgeted answers teal, tuned violet; every family has a mark of its own as well.
The front is a solid line, since dashes are requested budgets everywhere. It draws no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from tale_core.charts.curves import OVERLAYS, with_alpha
from tale_core.charts.text import plain, shortened
from tale_core.charts.theme import (
    DARK,
    LIGHT,
    TOKEN_TICKS,
    Palette,
    axis,
    graph_objects,
    layout,
)
from tale_core.experiments import text as words
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.table import StrategyRow
from tale_core.i18n import t
from tale_core.strategies import Family, kind_of, title_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 440
LABEL_LETTERS = 28
_WIDE, _HIGH = 300.0, 300.0
"""Pixels of the plot on a phone: labels that keep clear of each other there do so everywhere."""
_LETTER, _LINE = 7.2, 17.0
_SYMBOLS: dict[Family, str] = {
    "vanilla": "square", "budgeted": "circle", "tuned": "star", "direct": "diamond", "brief": "triangle-up",
}  # fmt: skip


class Place(NamedTuple):
    """Where a label hangs at its mark."""

    xanchor: Literal["left", "right", "center"]
    yanchor: Literal["top", "bottom", "middle"]
    dx: int
    dy: int


_SIDES: tuple[tuple[Literal["left", "right", "center"], int], ...] = (("left", 7), ("right", -7), ("center", 0))
_EDGES: tuple[tuple[Literal["bottom", "top"], int], ...] = (("bottom", 1), ("top", -1))
_PLACES = tuple(
    Place(side, edge, dx, sign * dy)
    for dy in (5, 22, 40)
    for side, dx in _SIDES
    for edge, sign in _EDGES
    if side != "center" or dy > 5
)
"""The nearest first."""


def family(strategy: str) -> Family:
    """What a strategy has in common with others of its colour; of imported ones, which may be unknown, by the name."""
    bare = strategy.partition("@")[0]
    if kind := kind_of(bare):
        return kind.FAMILY
    return "budgeted" if bare.startswith("tale-") else "brief"


def color_of(strategy: str, colors: Palette) -> str:
    """The colour of a strategy's marks (hex)."""
    brief = OVERLAYS[0].dark if colors is DARK else OVERLAYS[0].light
    named = {"vanilla": colors.vanilla, "budgeted": colors.budgeted, "tuned": colors.tuned, "direct": colors.text}
    return named.get(family(strategy), brief)


def tradeoff(found: ExperimentResults, *, colors: Palette = LIGHT) -> Figure | None:
    """The chart; None while no strategy has both a graded answer and a count of tokens."""
    rows = [row for row in found.rows if row.output_tokens and row.accuracy]
    if not rows:
        return None
    figure = graph_objects().Figure()
    right = 1.12 * max(row.output_tokens.high for row in rows if row.output_tokens) or 1.0
    _front(figure, rows, right, colors)
    for row in rows:
        _mark(figure, row, color_of(row.strategy, colors))
    for row, place in zip(rows, places(rows, right), strict=True):
        assert row.output_tokens and row.accuracy
        figure.add_annotation(
            text=plain(shortened(title_of(row.strategy), LABEL_LETTERS)), showarrow=False,
            x=row.output_tokens.mean, y=row.accuracy.mean, xanchor=place.xanchor, yanchor=place.yanchor,
            xshift=place.dx, yshift=place.dy, font={"size": 13, "color": color_of(row.strategy, colors)},
        )  # fmt: skip
    _layout(figure, found, right, colors)
    return figure


def _front(figure: Figure, rows: Sequence[StrategyRow], right: float, colors: Palette) -> None:
    if not (best := _front_of(rows)):
        return
    line = {"color": with_alpha(colors.text, 0.35), "width": 2, "shape": "hv"}
    figure.add_trace(
        graph_objects().Scatter(
            x=[*(x for x, _ in best), right], y=[*(y for _, y in best), best[-1][1]], mode="lines", line=line,
            name=t("Pareto front"), hoverinfo="skip", showlegend=False,
        )
    )  # fmt: skip


def _front_of(rows: Sequence[StrategyRow]) -> list[tuple[float, float]]:
    """Tokens and right answers of what nothing else beats, the cheapest first."""
    return sorted(
        (row.output_tokens.mean, row.accuracy.mean)
        for row in rows
        if row.pareto_output and row.output_tokens and row.accuracy
    )


def _mark(figure: Figure, row: StrategyRow, color: str) -> None:
    tokens, right = row.output_tokens, row.accuracy
    assert tokens and right
    bar = {"type": "data", "symmetric": False, "thickness": 1.6, "width": 3, "color": with_alpha(color, 0.65)}
    message = t(
        "{strategy}: {tokens:,.1f} output tokens, {share} of {n:,} right",
        strategy=title_of(row.strategy),
        tokens=tokens.mean,
        share=words.percent(right.mean),
        n=row.graded,
    )
    figure.add_trace(
        graph_objects().Scatter(
            x=[tokens.mean], y=[right.mean], mode="markers", name=plain(title_of(row.strategy)), showlegend=False,
            marker={"color": color, "size": 12, "symbol": _SYMBOLS[family(row.strategy)]},
            error_x={**bar, "array": [tokens.high - tokens.mean], "arrayminus": [tokens.mean - tokens.low]},
            error_y={**bar, "array": [right.high - right.mean], "arrayminus": [right.mean - right.low]},
            text=[plain(message)], hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip


def places(rows: Sequence[StrategyRow], right: float) -> list[Place]:
    """For each mark a side on which its name lies clear of other names, of marks, lines and the chart's edge."""
    points = [
        (row.output_tokens.mean / right * _WIDE, row.accuracy.mean * _HIGH)
        for row in rows
        if row.output_tokens and row.accuracy
    ]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    for row, (x, y) in zip(rows, points, strict=True):
        assert row.output_tokens and row.accuracy
        taken.append((row.output_tokens.low / right * _WIDE, y - 2, row.output_tokens.high / right * _WIDE, y + 2))
        taken.append((x - 2, row.accuracy.low * _HIGH, x + 2, row.accuracy.high * _HIGH))
    front = [*_front_of(rows), (right, max((y for _, y in _front_of(rows)), default=0.0))]
    for (x, y), (after, above) in pairwise((x / right * _WIDE, y * _HIGH) for x, y in front):
        taken += [(x, y - 2, after, y + 2), (after - 2, y, after + 2, above)]
    chosen: list[Place] = []
    for row, (x, y) in zip(rows, points, strict=True):
        width = min(len(title_of(row.strategy)), LABEL_LETTERS) * _LETTER
        boxes = [box_of(place, x, y, width) for place in _PLACES]
        costs = [overlap(box, taken) + 10 * _outside(box) for box in boxes]
        best = min(range(len(_PLACES)), key=costs.__getitem__)
        chosen.append(_PLACES[best])
        taken.append(boxes[best])
    return chosen


Box = tuple[float, float, float, float]


def box_of(place: Place, x: float, y: float, width: float) -> Box:
    """Where a name of this width stands, as left, low, right and high pixels."""
    left = {"left": x, "right": x - width, "center": x - width / 2}[place.xanchor] + place.dx
    low = {"bottom": y, "top": y - _LINE, "middle": y - _LINE / 2}[place.yanchor] + place.dy
    return left, low, left + width, low + _LINE


def overlap(box: Box, others: Sequence[Box]) -> float:
    """The area that a box shares with others."""
    return sum(
        max(0.0, min(box[2], o[2]) - max(box[0], o[0])) * max(0.0, min(box[3], o[3]) - max(box[1], o[1]))
        for o in others
    )


def _outside(box: Box) -> float:
    return max(0.0, -box[0]) + max(0.0, box[2] - _WIDE) + max(0.0, -box[1] - 15) + max(0.0, box[3] - _HIGH - 15)


def _layout(figure: Figure, found: ExperimentResults, right: float, colors: Palette) -> None:
    about = f"{found.model} · {found.dataset}, n = {found.questions:,}"
    style = axis(colors)
    named = t("Output tokens a question")
    figure.update_xaxes(range=[0, right], nticks=6, tickformat=TOKEN_TICKS, title_text=named, **style)
    figure.update_yaxes(
        range=[-0.05, 1.08], tickvals=[0, 0.25, 0.5, 0.75, 1], ticktext=["0 %", "25 %", "50 %", "75 %", "100 %"],
        title_text=t("Right"), **style,
    )  # fmt: skip
    layout(figure, words.headline(found), about, colors, height=HEIGHT, left=66)
