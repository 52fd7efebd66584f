"""The elasticity curve: what was asked for against what was spent, and how often the answer was right.

One meaning, one colour: budgeted answers teal, vanilla slate; what was asked for is dashed, what was spent is a solid
mark. Every other sweep laid over it has a colour, a mark and a line of its own. Knows plotly and pictures of sweeps;
draws no widget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tale_core.elasticity import SweepPoint
from tale_core.i18n import N_, t
from tale_core.studies import SweepView
from ui import elasticity_words as words
from ui.elasticity_curves import (
    MOST_OVERLAYS,
    OVERLAYS,
    Curve,
    Frame,
    align,
    frame_of,
    how_many,
    plain,
    subtitle,
    ticks,
    with_alpha,
)
from ui.text import shortened, wrapped
from ui.theme import DARK, FONT, Palette, palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 540
TITLE_LETTERS = 34
"""Letters of a line of the title: what fits on a phone. The server does not know how wide the chart will be."""
LEGEND_LETTERS = 40
_BACKGROUND = {"light": "#ffffff", "dark": "#11171d"}


def curve(view: SweepView, overlays: Sequence[tuple[str, SweepView]] = (), *, shares: bool = False) -> Figure:
    """The whole chart.

    Args:
        view: A sweep with a finding.
        overlays: Names and pictures of other sweeps, at most `MOST_OVERLAYS`.
        shares: Draw everything as shares of each sweep's own vanilla answer.
    """
    # Plotly takes pandas from sys.modules; while another thread still imports it, that is half a module.
    import pandas  # noqa: F401
    from plotly.subplots import make_subplots

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
    _Drawing(figure, palette(), frame, shares=shares, graded=graded).draw(main, others)
    return figure


def _spent_words(p: SweepPoint) -> str:
    spent = words.mean_tokens(p)
    return t("asked for {budget:,}: {tokens} tokens, n = {n}", budget=p.budget, tokens=spent, n=len(p.tokens))


def _unit(view: SweepView, shares: bool) -> float:
    return (words.vanilla_tokens(view) or 1.0) / 100 if shares else 1.0


class _Drawing:
    """A figure while it is drawn."""

    def __init__(self, figure: Figure, colors: Palette, frame: Frame, *, shares: bool, graded: bool) -> None:
        self._figure, self._colors, self._frame = figure, colors, frame
        self._shares, self._graded = shares, graded
        self._dark = colors is DARK

    def draw(self, main: Curve, others: Sequence[Curve]) -> None:
        self._ideal(main)
        self._asked_for()
        self._references(main)
        for place, (curve, look) in enumerate(zip(others, OVERLAYS, strict=False), start=1):
            self._spent(curve, look.dark if self._dark else look.light, look.dash, look.symbol, place=place)
        self._spent(main, self._colors.budgeted, "solid", "circle", place=0)
        self._rebound(main)
        self._layout(main, legend=bool(others))

    def _ideal(self, main: Curve) -> None:
        found = main.result.ideal_range
        if found is None:
            return
        low, high = found[0] / main.unit, found[1] / main.unit
        edge = (self._frame.x1 / self._frame.x0) ** 0.012
        for row in (1, 2) if self._graded else (1,):
            self._figure.add_vrect(
                x0=low / edge, x1=high * edge, fillcolor=self._colors.faint, line_width=0, layer="below",
                row=row, col=1, exclude_empty_subplots=False,
            )  # fmt: skip
        span = f"{found[0]}" if found[0] == found[1] else f"{found[0]}–{found[1]}"
        self._words(t("ideal range<br>{span} tokens", span=span), math.sqrt(low * high), None, "center", "top")

    def _asked_for(self) -> None:
        import plotly.graph_objects as go

        low, high = self._frame.x0, self._frame.last
        xs = [low * (high / low) ** (i / 80) for i in range(81)]
        line = {"color": self._colors.text, "dash": "6px,4px", "width": 1.6}
        trace = go.Scatter(x=xs, y=xs, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        self._figure.add_trace(trace, row=1, col=1)
        at = low * (high / low) ** 0.68
        self._words(t("asked for"), at, at, "left", "top", shift=(6, -4))

    def _references(self, main: Curve) -> None:
        import plotly.graph_objects as go

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
            told = t(said, n=point.tokens_mean)
            self._figure.add_trace(
                go.Scatter(
                    x=ends, y=[mean] * 2, mode="lines", line={"color": color, **line}, showlegend=False,
                    hovertemplate=f"{told}<extra></extra>",
                ),
                row=1, col=1,
            )  # fmt: skip
            over = kind == "vanilla" and main.budgets and (main.budgets[-1].tokens_mean or 0) > point.tokens_mean
            # The vanilla level's words stand at the left, where the ideal range is never and a rebound is seldom.
            at, side, step = (self._frame.x0, "left", 4) if kind == "vanilla" else (self._frame.x1, "right", -4)
            self._words(told, at, mean, side, "top" if over else "bottom", color=color, shift=(step, -1 if over else 1))
        vanilla = main.level("vanilla")
        if self._graded and vanilla is not None and vanilla.accuracy is not None:
            self._figure.add_trace(
                go.Scatter(
                    x=ends, y=[vanilla.accuracy] * 2, mode="lines", showlegend=False,
                    line={"color": self._colors.vanilla, "width": 2},
                    hovertemplate=f"{t('vanilla: right {share}', share=words.right_share(vanilla))}<extra></extra>",
                ),
                row=2, col=1,
            )  # fmt: skip

    def _spent(self, curve: Curve, color: str, dash: str, symbol: str, *, place: int) -> None:
        import plotly.graph_objects as go

        points = curve.budgets
        xs = [(p.budget or 0) / curve.unit for p in points]
        main = place == 0
        if main:
            self._band(xs, points, curve.unit, color)
        size = (9 if len(points) < 20 else 6) + (0 if main else 1)
        name = shortened(curve.name, LEGEND_LETTERS)
        shared: dict[str, Any] = {
            "name": plain(name), "legendgroup": str(place), "legendrank": place, "mode": "lines+markers",
            "line": {"color": color, "width": 3 if main else 2, "dash": dash},
            "marker": {"color": color, "size": size, "symbol": symbol},
        }  # fmt: skip
        self._figure.add_trace(
            go.Scatter(
                x=xs, y=[(p.tokens_mean or 0) / curve.unit for p in points], **shared,
                text=[_spent_words(p) for p in points],
                hovertemplate=f"{plain(curve.name)}<br>%{{text}}<extra></extra>",
            ),
            row=1, col=1,
        )  # fmt: skip
        # Beside each other, not on top: two sweeps often share a budget.
        aside = (self._frame.x1 / self._frame.x0) ** (0.006 * place)
        known = [(x * aside, p) for x, p in zip(xs, points, strict=True) if p.accuracy is not None]
        if known:
            self._accuracy(known, {**shared, "showlegend": False}, plain(curve.name))

    def _accuracy(self, known: list[tuple[float, SweepPoint]], shared: dict[str, Any], name: str) -> None:
        import plotly.graph_objects as go

        share = [p.accuracy or 0.0 for _, p in known]
        high = [(p.accuracy_high or 0.0) - s for (_, p), s in zip(known, share, strict=True)]
        low = [s - (p.accuracy_low or 0.0) for (_, p), s in zip(known, share, strict=True)]
        # The line between two shares says nothing; several sweeps still need their own line to be told apart.
        self._figure.add_trace(
            go.Scatter(
                x=[x for x, _ in known], y=share, **{**shared, "mode": "markers"},
                error_y={
                    "type": "data", "symmetric": False, "array": high, "arrayminus": low, "width": 3,
                    "thickness": 1.6, "color": shared["line"]["color"],
                },
                text=[
                    t("asked for {budget:,}: right {share}", budget=p.budget, share=words.right_share(p))
                    for _, p in known
                ],
                hovertemplate=f"{name}<br>%{{text}}<extra></extra>",
            ),
            row=2, col=1,
        )  # fmt: skip

    def _band(self, xs: Sequence[float], points: Sequence[SweepPoint], unit: float, color: str) -> None:
        """The 95 % interval as a band; where nothing repeats there is none."""
        import plotly.graph_objects as go

        lows, highs = [p.tokens_low for p in points], [p.tokens_high for p in points]
        if len(points) < 2 or all(low == high for low, high in zip(lows, highs, strict=True)):
            return
        up = [(high or p.tokens_mean or 0) / unit for high, p in zip(highs, points, strict=True)]
        down = [(low or p.tokens_mean or 0) / unit for low, p in zip(lows, points, strict=True)]
        self._figure.add_trace(
            go.Scatter(
                x=[*xs, *reversed(xs)], y=[*up, *reversed(down)], fill="toself", mode="lines", line={"width": 0},
                fillcolor=with_alpha(color, 0.2), hoverinfo="skip", showlegend=False,
            ),
            row=1, col=1,
        )  # fmt: skip

    def _rebound(self, main: Curve) -> None:
        found = main.result.rebound
        at = next((p for p in main.budgets if found and p.budget == found.budget), None)
        if found is None or at is None or not at.tokens_mean or (words.is_flat(main.view) and not found.significant):
            return
        sure = f"p = {found.p_value:.2g}" if found.significant and found.p_value is not None else t("may be chance")
        more = {"n": found.extra_tokens, "turning": found.turning, "sure": sure}
        self._words(
            t("{n:,.0f} tokens more<br>than at {turning} ({sure})", **more),
            found.budget / main.unit, at.tokens_mean / main.unit, "left", "top",
            color=self._colors.budgeted, arrow=(26, 34),
        )  # fmt: skip

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
        title = "<br>".join(wrapped(plain(words.headline(main.view)), TITLE_LETTERS))
        axis = {"gridcolor": colors.faint, "linecolor": colors.vanilla, "zeroline": False, "fixedrange": True,
                "tickfont": {"size": 13}, "title_font": {"size": 13}, "ticks": "outside",
                "tickcolor": colors.faint}  # fmt: skip
        unit = t("% of vanilla") if self._shares else t("tokens")
        last = 2 if self._graded else 1
        self._figure.update_xaxes(
            type="log", range=[math.log10(frame.x0), math.log10(frame.x1)], **ticks(frame.x0, frame.x1), **axis
        )
        self._figure.update_xaxes(title_text=t("Budget asked for, {unit} (← less)", unit=unit), row=last, col=1)
        self._figure.update_yaxes(
            range=[0, frame.top], nticks=7, tickformat=",.0f", **axis,
            title_text=t("Spent, {unit}", unit=unit), row=1, col=1,
        )  # fmt: skip
        if self._graded:
            self._figure.update_yaxes(
                range=[-0.08, 1.08], tickvals=[0, 0.5, 1], ticktext=["0 %", "50 %", "100 %"], **axis,
                title_text=t("Right") if legend else how_many(main), row=2, col=1,
            )  # fmt: skip
        background = _BACKGROUND["dark" if self._dark else "light"]
        self._figure.update_layout(
            template="none",
            height=HEIGHT + (70 if legend else 0),
            title={
                "text": title, "x": 0, "xref": "container", "xanchor": "left", "y": 1, "yanchor": "top",
                "font": {"size": 16, "weight": 600, "color": colors.text}, "pad": {"l": 4, "t": 24},
                "subtitle": {"text": subtitle(main.view), "font": {"size": 13, "color": colors.vanilla}},
            },
            margin={"l": 64, "r": 12, "t": 58 + 20 * (title.count("<br>") + 1), "b": 54},
            font={"family": FONT, "color": colors.text, "size": 13},
            # Not see-through: the saved picture has to be legible on any page.
            paper_bgcolor=background, plot_bgcolor="rgba(0,0,0,0)",
            showlegend=legend,
            legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.16, "yanchor": "top", "font": {"size": 13}},
            hoverlabel={"font": {"family": FONT, "size": 13}},
            modebar={"bgcolor": "rgba(0,0,0,0)", "color": colors.vanilla, "activecolor": colors.budgeted},
            dragmode=False,
        )  # fmt: skip
