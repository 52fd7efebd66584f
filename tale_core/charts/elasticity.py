"""The elasticity curve: what was asked for against what was spent, and how often the answer was right.

One meaning, one colour: budgeted answers teal, vanilla slate; what was asked for is dashed, what was spent is a solid
mark. Every other sweep laid over it has a colour, a mark and a line of its own. It draws no widget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tale_core.calls.budget_ledger import apart_words
from tale_core.charts.curves import (
    MOST_OVERLAYS,
    OVERLAYS,
    Curve,
    Frame,
    align,
    frame_of,
    how_many,
    subtitle,
    ticks,
    with_alpha,
)
from tale_core.charts.levels import levels_chart
from tale_core.charts.theme import (
    DARK,
    LIGHT,
    TOKEN_TICKS,
    Palette,
    axis,
    graph_objects,
    layout,
)
from tale_core.drawing import html
from tale_core.drawing.places import WIDTHS, Place, Places
from tale_core.drawing.text import plain, shortened
from tale_core.elasticity import text as words
from tale_core.elasticity.engine import SweepPoint
from tale_core.elasticity.view import SweepView
from tale_core.i18n import N_, t

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 540
LEGEND_LETTERS = 40


def curve(
    view: SweepView, overlays: Sequence[tuple[str, SweepView]] = (), *, shares: bool = False, colors: Palette = LIGHT
) -> Figure:
    """The whole chart.

    Args:
        view: A sweep with a finding.
        overlays: Names and pictures of other sweeps, at most `MOST_OVERLAYS`.
        shares: Draw everything as shares of each sweep's own vanilla answer.
        colors: Of the theme to draw it in.
    """
    graph_objects()
    from plotly.subplots import make_subplots

    if not view.plan.kind.NUMBERS and not overlays:
        return levels_chart(view, colors=colors)
    main = Curve(t("This sweep"), view, _unit(view, shares))
    others = [Curve(name, other, _unit(other, shares)) for name, other in overlays[:MOST_OVERLAYS]]
    graded = any(p.accuracy is not None for c in (main, *others) for p in c.result.points)
    figure = make_subplots(
        rows=2 if graded else 1,
        cols=1,
        shared_xaxes=True,
        row_heights=[0.72, 0.28] if graded else None,
        vertical_spacing=0.05,
    )
    frame = frame_of(main, others)
    _Drawing(figure, colors, frame, shares=shares, graded=graded).draw(main, others)
    return figure


def _spent_words(p: SweepPoint) -> str:
    spent = t(", ").join([words.mean_tokens(p), *apart_words(p.visible_tokens_mean, p.thinking_tokens_mean)])
    budget = words.level_words(p.budget or 0)
    return t("asked for {budget}: {tokens} tokens, n = {n}", budget=budget, tokens=spent, n=len(p.tokens))


def _unit(view: SweepView, shares: bool) -> float:
    return (words.vanilla_tokens(view) or 1.0) / 100 if shares else 1.0


class _Drawing:
    """A figure while it is drawn."""

    def __init__(self, figure: Figure, colors: Palette, frame: Frame, *, shares: bool, graded: bool) -> None:
        self._figure, self._colors, self._frame = figure, colors, frame
        self._shares, self._graded = shares, graded
        self._dark = colors is DARK
        sizes = [(wide, 265) for wide in WIDTHS]
        axes = (frame.x0, frame.x1, frame.top, True)
        self._places = Places(*(html.Frame(*axes, *size, left=0, right=0, top=0, bottom=0) for size in sizes))
        self._rebound_at: Place | None = None

    def draw(self, main: Curve, others: Sequence[Curve]) -> None:
        self._lines(main, *others)
        self._ideal(main)
        self._references(main)
        self._asked_for()
        for place, (curve, look) in enumerate(zip(others, OVERLAYS, strict=False), start=1):
            self._spent(curve, look.dark if self._dark else look.light, look.dash, look.symbol, place=place)
        self._spent(main, self._colors.budgeted, "solid", "circle", place=0)
        self._answers_alone(main)
        self._rebound(main)
        self._layout(main, legend=bool(others))

    def _lines(self, main: Curve, *others: Curve) -> None:
        """Tell where lines will be drawn, for words to keep off them; also the words at a rebound."""
        low, high = self._frame.x0, self._frame.last
        self._places.line(*[[low * (high / low) ** (i / 20) for i in range(21)]] * 2)
        for curve in (main, *others):
            points = curve.budgets
            xs = [curve.asked(p) / curve.unit for p in points]
            self._places.line(xs, [(p.tokens_mean or 0) / curve.unit for p in points])
        for kind in ("vanilla", "direct"):
            if (level := main.level(kind)) is not None:
                mean = (level.tokens_mean or 0) / main.unit
                self._places.line([low, self._frame.x1], [mean, mean])
        if (found := self._rebound_words(main)) is not None:
            text, x, y = found
            # Above it is free where the curve falls to the right, below where it lies close to the vanilla level.
            above = [Place(x, y, "left", "bottom", (26, up)) for up in (34, 64)]
            self._rebound_at = self._places.choose(text, *above, Place(x, y, "left", "top", (26, -34)))

    def _ideal(self, main: Curve) -> None:
        found = main.result.ideal_range
        if found is None:
            return
        # As `Curve.asked`: a logarithmic axis has no 0.
        low, high = (max(1, end) / main.unit for end in found)
        edge = (self._frame.x1 / self._frame.x0) ** 0.012
        for row in (1, 2) if self._graded else (1,):
            self._figure.add_vrect(
                x0=low / edge, x1=high * edge, fillcolor=self._colors.faint, line_width=0, layer="below",
                row=row, col=1, exclude_empty_subplots=False,
            )  # fmt: skip
        span = f"{found[0]}" if found[0] == found[1] else f"{found[0]}–{found[1]}"
        text, middle = t("ideal range<br>{span} tokens", span=span), math.sqrt(low * high)
        self._places.take(text, Place(middle, self._frame.top, "center", "top"))
        self._words(text, middle, None, "center", "top")

    def _asked_for(self) -> None:
        low, high = self._frame.x0, self._frame.last
        xs = [low * (high / low) ** (i / 80) for i in range(81)]
        line = {"color": self._colors.text, "dash": "6px,4px", "width": 1.6}
        trace = graph_objects().Scatter(x=xs, y=xs, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        self._figure.add_trace(trace, row=1, col=1)
        ats = [low * (high / low) ** share for share in (0.68, 0.5, 0.85, 0.3)]
        below = [Place(at, at, "left", "top", (6, -4)) for at in ats]
        self._put(t("asked for"), *below, *(Place(at, at, "right", "bottom", (-6, 4)) for at in ats))

    def _references(self, main: Curve) -> None:
        ends = [self._frame.x0, self._frame.x1]
        named: tuple[tuple[Literal["vanilla", "direct"], dict[str, Any]], ...] = (
            ("vanilla", {"dash": "solid", "width": 2}),
            ("direct", {"dash": "dot", "width": 1.4}),
        )
        for kind, line in named:
            point = main.level(kind)
            if point is None or point.tokens_mean is None:
                continue
            mean = point.tokens_mean / main.unit
            color = self._colors.vanilla
            if kind == "vanilla":
                self._band(ends, [point] * 2, main.unit, color)
            said = N_("vanilla: {n:,.0f} tokens") if kind == "vanilla" else N_("direct answer: {n:,.0f} tokens")
            name = t(said, n=point.tokens_mean)
            self._figure.add_trace(
                graph_objects().Scatter(
                    x=ends, y=[mean] * 2, mode="lines", line={"color": color, **line}, showlegend=False,
                    hovertemplate=f"{name}<extra></extra>",
                ),
                row=1, col=1,
            )  # fmt: skip
            # The vanilla level's words stand at the left, where the ideal range is never and a rebound is seldom.
            left = [Place(ends[0], mean, "left", "bottom", (4, 1)), Place(ends[0], mean, "left", "top", (4, -1))]
            right = [Place(ends[1], mean, "right", "bottom", (-4, 1)), Place(ends[1], mean, "right", "top", (-4, -1))]
            self._put(name, *(left + right if kind == "vanilla" else right + left), color=color)
        vanilla = main.level("vanilla")
        if self._graded and vanilla is not None and vanilla.accuracy is not None:
            self._figure.add_trace(
                graph_objects().Scatter(
                    x=ends, y=[vanilla.accuracy] * 2, mode="lines", showlegend=False,
                    line={"color": self._colors.vanilla, "width": 2},
                    hovertemplate=f"{t('vanilla: right {share}', share=words.right_share(vanilla))}<extra></extra>",
                ),
                row=2, col=1,
            )  # fmt: skip

    def _spent(self, curve: Curve, color: str, dash: str, symbol: str, *, place: int) -> None:
        points = curve.budgets
        xs = [curve.asked(p) / curve.unit for p in points]
        main = place == 0
        if main and curve.numbers:
            self._band(xs, points, curve.unit, color)
        size = (9 if len(points) < 20 else 6) + (0 if main else 1)
        name = shortened(curve.name, LEGEND_LETTERS)
        shared: dict[str, Any] = {
            "name": plain(name), "legendgroup": str(place), "legendrank": place,
            "mode": "lines+markers" if curve.numbers else "markers",
            "line": {"color": color, "width": 3 if main else 2, "dash": dash},
            "marker": {"color": color, "size": size, "symbol": symbol},
        }  # fmt: skip
        self._figure.add_trace(
            graph_objects().Scatter(
                x=xs, y=[(p.tokens_mean or 0) / curve.unit for p in points], **shared,
                text=[_spent_words(p) for p in points],
                customdata=[p.budget for p in points] if main else None,
                hovertemplate=f"{plain(curve.name)}<br>%{{text}}<extra></extra>",
            ),
            row=1, col=1,
        )  # fmt: skip
        if not curve.numbers:
            for x, p in zip(xs, points, strict=True):
                y = (p.tokens_mean or 0) / curve.unit
                self._put(
                    str(p.budget), Place(x, y, "right", "bottom", (-4, 2)), Place(x, y, "left", "top", (6, -2)),
                    Place(x, y, "right", "top", (-4, -2)), Place(x, y, "left", "bottom", (6, 2)), color=color,
                )  # fmt: skip
        # Beside each other, not on top: two sweeps often share a budget.
        aside = (self._frame.x1 / self._frame.x0) ** (0.006 * place)
        known = [(x * aside, p) for x, p in zip(xs, points, strict=True) if p.accuracy is not None]
        if known:
            self._accuracy(known, {**shared, "showlegend": False}, plain(curve.name))

    def _answers_alone(self, main: Curve) -> None:
        """The answers without their thinking, where there is any: what a budget is held against."""
        alone = [p for p in main.budgets if p.thinking_tokens_mean and p.visible_tokens_mean is not None]
        if not alone or not main.numbers:
            return
        color = self._colors.budgeted
        self._figure.add_trace(
            graph_objects().Scatter(
                x=[main.asked(p) / main.unit for p in alone],
                y=[(p.visible_tokens_mean or 0) / main.unit for p in alone],
                mode="lines+markers", showlegend=False, line={"color": color, "width": 1.2},
                marker={"color": color, "size": 7, "symbol": "circle-open"},
                text=[_spent_words(p) for p in alone], hovertemplate="%{text}<extra></extra>",
            ),
            row=1, col=1,
        )  # fmt: skip

    def _accuracy(self, known: list[tuple[float, SweepPoint]], shared: dict[str, Any], name: str) -> None:
        share = [p.accuracy or 0.0 for _, p in known]
        high = [(p.accuracy_high or 0.0) - s for (_, p), s in zip(known, share, strict=True)]
        low = [s - (p.accuracy_low or 0.0) for (_, p), s in zip(known, share, strict=True)]
        # The line between two shares says nothing; several sweeps still need their own line to be told apart.
        self._figure.add_trace(
            graph_objects().Scatter(
                x=[x for x, _ in known], y=share, **{**shared, "mode": "markers"},
                error_y={
                    "type": "data", "symmetric": False, "array": high, "arrayminus": low, "width": 3,
                    "thickness": 1.6, "color": shared["line"]["color"],
                },
                text=[
                    t("asked for {budget}: right {share}", budget=words.level_words(p.budget or 0),
                      share=words.right_share(p))
                    for _, p in known
                ],
                hovertemplate=f"{name}<br>%{{text}}<extra></extra>",
            ),
            row=2, col=1,
        )  # fmt: skip

    def _band(self, xs: Sequence[float], points: Sequence[SweepPoint], unit: float, color: str) -> None:
        """The 95 % interval as a band; where nothing repeats there is none."""
        lows, highs = [p.tokens_low for p in points], [p.tokens_high for p in points]
        if len(points) < 2 or all(low == high for low, high in zip(lows, highs, strict=True)):
            return
        up = [(high or p.tokens_mean or 0) / unit for high, p in zip(highs, points, strict=True)]
        down = [(p.tokens_mean or 0 if low is None else low) / unit for low, p in zip(lows, points, strict=True)]
        self._figure.add_trace(
            graph_objects().Scatter(
                x=[*xs, *reversed(xs)], y=[*up, *reversed(down)], fill="toself", mode="lines", line={"width": 0},
                fillcolor=with_alpha(color, 0.2), hoverinfo="skip", showlegend=False,
            ),
            row=1, col=1,
        )  # fmt: skip

    def _rebound(self, main: Curve) -> None:
        found, at = self._rebound_words(main), self._rebound_at
        if found is not None and at is not None:
            arrow = (at.shift[0], -at.shift[1])  # Plotly counts an arrow's pixels downwards.
            self._words(*found, at.xanchor, at.yanchor, color=self._colors.budgeted, arrow=arrow)

    def _rebound_words(self, main: Curve) -> tuple[str, float, float] | None:
        """What is said at a rebound, and at which point; None without one."""
        found = main.result.rebound
        at = next((p for p in main.budgets if found and p.budget == found.budget), None)
        if found is None or at is None or not at.tokens_mean or (words.is_flat(main.view) and not found.significant):
            return None
        sure = f"p = {found.p_value:.2g}" if found.significant and found.p_value is not None else t("may be chance")
        more = {"n": found.extra_tokens, "turning": found.turning, "sure": sure}
        text = t("{n:,.0f} tokens more<br>than at {turning} ({sure})", **more)
        return text, main.asked(at) / main.unit, at.tokens_mean / main.unit

    def _put(self, text: str, *places: Place, color: str | None = None) -> None:
        """Words at the place where they cover least."""
        at = self._places.choose(text, *places)
        self._words(text, at.x, at.y, at.xanchor, at.yanchor, color=color, shift=at.shift)

    def _words(
        self,
        text: str,
        x: float,
        y: float | None,
        xanchor: str,
        yanchor: str,
        *,
        color: str | None = None,
        shift: tuple[int, int] = (0, 0),
        arrow: tuple[int, int] | None = None,
    ) -> None:
        """Words at a point of the upper panel, or at its top; a logarithmic axis wants the logarithm.

        Words with an arrow lie where the curve may go on: a ground of the page's colour keeps them readable.
        """
        color = color or self._colors.text
        place: dict[str, Any] = {"y": 1.0, "yref": "y domain"} if y is None else {"y": y, "yref": "y"}
        pointer: dict[str, Any] = {"showarrow": False, "xshift": shift[0], "yshift": shift[1]}
        if arrow:
            pointer = {"showarrow": True, "ax": arrow[0], "ay": arrow[1], "arrowcolor": color, "arrowwidth": 1.5,
                       "arrowhead": 2, "standoff": 6,
                       "bgcolor": with_alpha(self._colors.page, 0.75)}  # fmt: skip
        self._figure.add_annotation(
            text=text, x=math.log10(x), xref="x", xanchor=xanchor, yanchor=yanchor, align=align(xanchor),
            font={"size": 13, "color": color}, **place, **pointer,
        )  # fmt: skip

    def _layout(self, main: Curve, *, legend: bool) -> None:
        colors, frame = self._colors, self._frame
        style = axis(colors)
        unit = t("% of vanilla") if self._shares else t("tokens")
        last = 2 if self._graded else 1
        self._figure.update_xaxes(
            type="log", range=[math.log10(frame.x0), math.log10(frame.x1)], **ticks(frame.x0, frame.x1), **style
        )
        self._figure.update_xaxes(title_text=t("Budget asked for, {unit} (← less)", unit=unit), row=last, col=1)
        self._figure.update_yaxes(
            range=[0, frame.top], nticks=7, tickformat=TOKEN_TICKS, **style,
            title_text=t("Spent, {unit}", unit=unit), row=1, col=1,
        )  # fmt: skip
        if self._graded:
            self._figure.update_yaxes(
                range=[-0.08, 1.08], tickvals=[0, 0.5, 1], ticktext=["0 %", "50 %", "100 %"], **style,
                title_text=t("Right") if legend else how_many(main), row=2, col=1,
            )  # fmt: skip
        layout(
            self._figure, words.headline(main.view), subtitle(main.view), colors,
            height=HEIGHT + (70 if legend else 0), showlegend=legend,
            legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.16, "yanchor": "top", "font": {"size": 13}},
        )  # fmt: skip
