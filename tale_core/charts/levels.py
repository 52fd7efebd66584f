"""What each of a provider's levels spends: a bar a level, the answer and its thinking on top of each other.

In the order of what they cost, which their names do not tell. Solid: the answer; lighter: its thinking; the vanilla
answer is a line across. Below: how often the answer was right. It draws no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tale_core.charts.curves import Curve as Sweep
from tale_core.charts.curves import how_many, subtitle, with_alpha
from tale_core.charts.theme import LIGHT, TOKEN_TICKS, Palette, axis, graph_objects, layout
from tale_core.elasticity import text as words
from tale_core.elasticity.engine import SweepPoint
from tale_core.elasticity.view import SweepView
from tale_core.i18n import t

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 540
ROOM = 1.28
"""Room above the highest mark for its number."""


def levels_chart(view: SweepView, *, colors: Palette = LIGHT) -> Figure:
    """The whole chart of a sweep whose levels are words."""
    graph_objects()
    from plotly.subplots import make_subplots

    sweep = Sweep(t("This sweep"), view)
    points = sorted(sweep.budgets, key=lambda p: p.tokens_mean or 0)
    graded = any(p.accuracy is not None for p in points)
    figure = make_subplots(
        rows=2 if graded else 1, cols=1, shared_xaxes=True, vertical_spacing=0.05,
        row_heights=[0.72, 0.28] if graded else None,
    )  # fmt: skip
    names = [str(p.budget) for p in points]
    _bars(figure, names, points, colors)
    _references(figure, sweep, names, colors)
    if graded:
        _right(figure, names, points, colors)
    _layout(figure, sweep, colors, graded=graded)
    return figure


def _bars(figure: Figure, names: Sequence[str], points: Sequence[SweepPoint], colors: Palette) -> None:
    apart = all(p.visible_tokens_mean is not None and p.thinking_tokens_mean is not None for p in points)
    thinks = apart and any(p.thinking_tokens_mean for p in points)
    parts = [(t("answer"), [(p.visible_tokens_mean if thinks else p.tokens_mean) or 0 for p in points], 1.0)]
    if thinks:
        parts.append((t("thinking"), [p.thinking_tokens_mean or 0 for p in points], 0.4))
    hints = [words.mean_tokens(p) for p in points]
    for name, heights, alpha in parts:
        figure.add_trace(
            graph_objects().Bar(
                x=list(names), y=heights, name=name, marker={"color": with_alpha(colors.budgeted, alpha)}, width=0.6,
                text=[t("{part}: {n:,.0f} tokens", part=name, n=n) for n in heights], textposition="none",
                hovertemplate="%{x}<br>%{text}<extra></extra>",
            ),
            row=1, col=1,
        )  # fmt: skip
    means = [p.tokens_mean or 0 for p in points]
    figure.add_trace(
        graph_objects().Scatter(
            x=list(names), y=means, mode="markers", showlegend=False, hovertext=hints, hoverinfo="text",
            marker={"size": 7, "color": colors.budgeted}, cliponaxis=False,
            error_y={
                "type": "data", "symmetric": False, "width": 4, "thickness": 1.6, "color": colors.text,
                "array": [(p.tokens_high or m) - m for p, m in zip(points, means, strict=True)],
                "arrayminus": [
                    0 if p.tokens_low is None else m - p.tokens_low for p, m in zip(points, means, strict=True)
                ],
            },
        ),
        row=1, col=1,
    )  # fmt: skip
    figure.add_trace(
        graph_objects().Scatter(
            x=list(names), y=[p.tokens_high or p.tokens_mean or 0 for p in points], mode="text", showlegend=False,
            text=[f"{m:,.0f}" for m in means], textposition="top center", hoverinfo="skip", cliponaxis=False,
            textfont={"size": 15, "color": colors.text},
        ),
        row=1, col=1,
    )  # fmt: skip


def _references(figure: Figure, sweep: Sweep, names: Sequence[str], colors: Palette) -> None:
    """The answer without a level, as a line across."""
    vanilla = sweep.level("vanilla")
    if vanilla is None or vanilla.tokens_mean is None:
        return
    figure.add_trace(
        graph_objects().Scatter(
            x=list(names), y=[vanilla.tokens_mean] * len(names), mode="lines",
            line={"color": colors.vanilla, "width": 2},
            name=t("vanilla: {n:,.0f} tokens", n=vanilla.tokens_mean), hoverinfo="name",
        ),
        row=1, col=1,
    )  # fmt: skip


def _right(figure: Figure, names: Sequence[str], points: Sequence[SweepPoint], colors: Palette) -> None:
    known = [(name, p, p.accuracy) for name, p in zip(names, points, strict=True) if p.accuracy is not None]
    figure.add_trace(
        graph_objects().Scatter(
            x=[name for name, _, _ in known], y=[share for _, _, share in known], mode="markers", showlegend=False,
            marker={"size": 9, "color": colors.budgeted}, text=[words.right_share(p) for _, p, _ in known],
            hovertemplate="%{x}<br>%{text}<extra></extra>",
            error_y={
                "type": "data", "symmetric": False, "width": 3, "thickness": 1.6, "color": colors.budgeted,
                "array": [(p.accuracy_high or 0) - share for _, p, share in known],
                "arrayminus": [share - (p.accuracy_low or 0) for _, p, share in known],
            },
        ),
        row=2, col=1,
    )  # fmt: skip


def _layout(figure: Figure, sweep: Sweep, colors: Palette, *, graded: bool) -> None:
    style: dict[str, Any] = axis(colors)
    highest = max([*((p.tokens_high or p.tokens_mean or 0) for p in sweep.result.points), 1])
    figure.update_xaxes(type="category", **style)
    figure.update_xaxes(title_text=t("Level, by what it costs"), row=2 if graded else 1, col=1)
    figure.update_yaxes(
        range=[0, ROOM * highest], nticks=7, tickformat=TOKEN_TICKS, title_text=t("Spent, {unit}", unit=t("tokens")),
        **style, row=1, col=1,
    )  # fmt: skip
    if graded:
        figure.update_yaxes(
            range=[-0.08, 1.08], tickvals=[0, 0.5, 1], ticktext=["0 %", "50 %", "100 %"], title_text=how_many(sweep),
            **style, row=2, col=1,
        )  # fmt: skip
    figure.update_layout(barmode="stack")
    layout(
        figure, words.headline(sweep.view), subtitle(sweep.view), colors,
        height=HEIGHT + 40, showlegend=True,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.16, "yanchor": "top", "font": {"size": 13}},
    )  # fmt: skip
