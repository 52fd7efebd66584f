"""The tokens of an Ask's answers as bars. A requested budget is a dashed line, an actual cost a solid mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tale_core.ask.run import AskView
from tale_core.calls.comparison import compare, role_name
from tale_core.calls.settling import Settled
from tale_core.charts.theme import FONT, LIGHT, TOKEN_TICKS, Palette, graph_objects
from tale_core.drawing.text import plain, wrapped
from tale_core.i18n import t
from tale_core.types import ANSWERS, TUNED

if TYPE_CHECKING:
    from plotly.graph_objects import Bar, Figure

TITLE_LETTERS = 60
_ANSWER_LETTERS = 8
_LETTER = 0.026
"""Share of a narrow chart's width that a letter of an answer takes, with room beside it."""

THINKING_OPACITY = 0.45
"""Thinking has its answer's own colour, paler."""


def token_bar(
    tokens: int,
    *,
    role: str,
    budget: int | None,
    scale: int,
    thinking: int = 0,
    tuned: bool = False,
    colors: Palette = LIGHT,
) -> Figure:
    """One answer's output tokens as a bar on a scale shared by both answers, the budget as a dashed line.

    The visible answer comes first, since that is what the budget is held against; the thinking follows, paler.

    Args:
        tokens: Completion tokens.
        role: "vanilla" or "budgeted"; decides the colour.
        thinking: How many of them are thinking.
        tuned: The budgeted answer is an adapter's, which has a colour of its own.
        budget: Requested tokens, or None.
        scale: Tokens at the right end, the same for both bars.
        colors: Of the theme to draw it in.
    """
    color = colors.vanilla if role == "vanilla" else colors.tuned if tuned else colors.budgeted
    shapes: list[dict[str, Any]] = [
        {"type": "rect", "x0": 0, "x1": scale, "y0": -0.28, "y1": 0.28, "fillcolor": colors.faint,
         "line": {"width": 0}, "layer": "below"},
    ]  # fmt: skip
    if budget is not None:
        line = {"color": colors.text, "dash": "4px,3px", "width": 2}
        shapes.append({"type": "line", "x0": budget, "x1": budget, "y0": -0.5, "y1": 0.5, "line": line})
    layout = {
        "height": 34,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "showlegend": False,
        "bargap": 0,
        "barmode": "stack",
        "xaxis": {"range": [0, scale * 1.01], "visible": False, "fixedrange": True},
        "yaxis": {"visible": False, "range": [-0.5, 0.5], "fixedrange": True},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "shapes": shapes,
    }
    # Said at once: changing a figure's layout afterwards takes several times as long.
    return graph_objects().Figure(_bars(tokens, thinking, color, y=0), layout)


def settled_strip(found: Settled, *, role: str, tuned: bool = False, colors: Palette = LIGHT) -> Figure:
    """One answer as a bar, pale where it was settled already, and above it what it would have answered on the way.

    A full mark stands for the answer that it gave in the end, an empty one for another.

    Args:
        found: Where it was settled.
        role: "vanilla" or "budgeted"; decides the colour.
        tuned: The budgeted answer is an adapter's.
        colors: Of the theme to draw it in.
    """
    color = colors.vanilla if role == "vanilla" else colors.tuned if tuned else colors.budgeted
    objects, after = graph_objects(), found.of_tokens - found.at_token
    parts = ((found.at_token, 1.0, t("tokens until it was settled")), (after, 0.25, t("tokens after that")))
    figure = objects.Figure(
        [
            objects.Bar(
                x=[length], y=[0], width=[0.6], orientation="h", marker={"color": color, "opacity": opacity},
                hovertemplate=f"%{{x}} {unit}<extra></extra>",
            )
            for length, opacity, unit in parts
            if length
        ]
    )  # fmt: skip
    probes = found.probes
    figure.add_scatter(
        x=[p.at_token for p in probes], y=[0.85] * len(probes), mode="markers+text", text=_named(found),
        textposition="top center", textfont={"size": 12, "color": colors.text}, cliponaxis=False,
        marker={
            "size": 10, "color": [color if p.same else colors.page for p in probes],
            "line": {"color": color, "width": 2},
        },
        customdata=[plain(p.answer or "–") for p in probes],
        hovertemplate="%{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        height=150, margin={"l": 8, "r": 8, "t": 8, "b": 44}, showlegend=False, barmode="stack", template="none",
        font={"family": FONT, "color": colors.text, "size": 13}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", yaxis={"visible": False, "range": [-0.4, 1.7], "fixedrange": True},
        xaxis={
            "title": {"text": t("output tokens"), "font": {"size": 13}}, "tickfont": {"size": 13}, "zeroline": False,
            "gridcolor": colors.faint, "fixedrange": True, "range": [-0.08 * found.of_tokens, 1.08 * found.of_tokens],
            "tickformat": TOKEN_TICKS,
        },
    )  # fmt: skip
    return figure


def _named(found: Settled) -> list[str]:
    """The words above the marks: an answer where it first appears, the one that stayed first, and none over another."""
    said = [probe.answer or "–" for probe in found.probes]
    said = [one if len(one) <= _ANSWER_LETTERS else f"{one[: _ANSWER_LETTERS - 1]}…" for one in said]
    new = [i for i in range(len(said)) if i == 0 or said[i] != said[i - 1]]
    first = [i for i in new if found.probes[i].at_token == found.at_token]
    kept: dict[int, float] = {}
    for i in (*first, *new):
        at = found.probes[i].at_token / max(1, found.of_tokens)
        if all(abs(at - other) > _LETTER * (len(said[i]) + len(said[j])) / 2 for j, other in kept.items()):
            kept.setdefault(i, at)
    return [plain(one) if i in kept else "" for i, one in enumerate(said)]


def token_bars(view: AskView, *, colors: Palette = LIGHT) -> Figure | None:
    """The answers of an Ask under each other, with the verdict above; None while no tokens are counted.

    Args:
        view: An Ask.
        colors: Of the theme to draw it in.
    """
    calls = [view.calls[role].record for role in reversed(ANSWERS) if role in view.calls]
    calls = [call for call in calls if call.completion_tokens is not None]
    if not calls:
        return None
    answer = colors.tuned if view.estimator.startswith(TUNED) else colors.budgeted
    figure = graph_objects().Figure()
    for row, call in enumerate(calls):
        color = colors.vanilla if call.role == "vanilla" else answer
        figure.add_traces(_bars(call.completion_tokens or 0, call.thinking_tokens or 0, color, y=row))
        if call.role == "budgeted" and view.budget is not None:
            line = {"color": colors.text, "dash": "4px,3px", "width": 2}
            figure.add_shape(type="line", x0=view.budget, x1=view.budget, y0=row - 0.45, y1=row + 0.45, line=line)
    _layout(figure, view, [role_name(call.role) for call in calls], colors)
    return figure


def _bars(tokens: int, thinking: int, color: str, *, y: int) -> list[Bar]:
    parts = [(tokens, t("output tokens"), 1.0)]
    if thinking:
        answer, thought = t("tokens of the answer"), t("tokens of thinking")
        parts = [(max(0, tokens - thinking), answer, 1.0), (thinking, thought, THINKING_OPACITY)]
    return [
        graph_objects().Bar(
            x=[length],
            y=[y],
            width=[0.56],
            orientation="h",
            marker={"color": color, "opacity": opacity},
            hovertemplate=f"%{{x}} {unit}<extra></extra>",
        )
        for length, unit, opacity in parts
    ]


def _layout(figure: Figure, view: AskView, names: list[str], colors: Palette) -> None:
    calls = {role: call.record for role, call in view.calls.items()}
    title = view.question.text
    if "vanilla" in calls and "budgeted" in calls:
        title = compare(calls["vanilla"], calls["budgeted"], calls.get("estimate")).sentence or title
    lines = wrapped(plain(title), TITLE_LETTERS)
    axis: dict[str, Any] = {"tickfont": {"size": 13}, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(title_text=t("output tokens"), rangemode="tozero", gridcolor=colors.faint, **axis)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, showgrid=False, **axis)
    figure.update_layout(
        template="none", barmode="stack", showlegend=False, height=150 + 55 * len(names) + 20 * len(lines),
        title={"text": "<br>".join(lines), "x": 0, "xanchor": "left", "xref": "container", "pad": {"l": 4},
               "font": {"size": 16, "weight": 600}},
        margin={"l": 90, "r": 12, "t": 40 + 20 * len(lines), "b": 50},
        font={"family": FONT, "color": colors.text, "size": 13}, paper_bgcolor=colors.page,
        plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
