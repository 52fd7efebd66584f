"""The search as a chart: the bracket closing in, the budgets asked for (dashed), what was really spent (solid marks).

One column for each answer; column 0 is the answer without a budget. The band in a column is what was still possible
when its budget was chosen, so that a reader sees why it was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tale_core.i18n import N_, t
from tale_core.search import SearchStep
from tale_core.search_words import number, outcome_words
from tale_core.types import Outcome
from ui.text import whole
from ui.theme import OUTCOMES, outcome_colors, palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 460
HEADROOM = 1.16
COLUMNS = 8
"""Columns that an empty chart has room for; a longer search takes four more at a time, so that it seldom rescales."""


class Look(NamedTuple):
    """How an outcome is drawn, so that colour is never alone.

    Attributes:
        name: In the legend (said with `t`).
        symbol: Plotly's.
        sign: The same symbol as a letter, for the legend.
    """

    name: str
    symbol: str
    sign: str


LOOKS: dict[Outcome, Look] = {
    Outcome.CORRECT: Look(N_("Right"), "circle", "●"),
    Outcome.WRONG: Look(N_("Wrong"), "x", "✕"),
    Outcome.TRUNCATED: Look(N_("Cut at max_tokens"), "triangle-up", "▲"),
    Outcome.UNPARSED: Look(N_("No readable answer"), "square", "■"),
    Outcome.ERROR: Look(N_("Failed"), "diamond", "◆"),
    Outcome.UNGRADED: Look(N_("Not graded"), "hexagon", "⬣"),
}
_CUT_LOOK = Look(N_("Cut: could not win"), "triangle-up-open", "△")


def search_chart(
    steps: Sequence[SearchStep], *, whole: Sequence[SearchStep] = (), trying: Sequence[int] = ()
) -> Figure:
    """Draw a search up to the last of `steps`.

    Args:
        steps: None at least; the first is the vanilla answer.
        whole: All steps of a search that is replayed: the axes are made for them and stay.
        trying: Budgets whose answers are being written.
    """
    # Plotly takes pandas from sys.modules; while another thread still imports it, that is half a module.
    import pandas  # noqa: F401
    import plotly.graph_objects as go

    whole = whole or steps
    high = ceiling(whole)
    edge = high / HEADROOM
    figure = go.Figure()
    _band(figure, steps)
    _budgets(figure, steps, trying, edge=edge)
    _marks(figure, steps, edge=edge)
    _best(figure, steps)
    _layout(figure, room(len(whole) + len(trying)), high)
    return figure


def room(answers: int) -> int:
    """Columns for so many answers, in steps of four."""
    return max(COLUMNS, -(-answers // 4) * 4)


def ceiling(steps: Sequence[SearchStep]) -> float:
    """Tokens at the upper end of the axis: room above the highest mark for its number.

    An answer that ran away would press all others to the floor: past 1.6 vanilla answers it is drawn at the edge.
    """
    if not steps:
        return 100.0
    return HEADROOM * min(max(max(s.tokens, s.budget or 0) for s in steps), 1.6 * max(1.0, steps[0].tokens))


def described(steps: Sequence[SearchStep]) -> str:
    """The chart in words, for those who do not see it."""
    told = t("; ").join(_told(s) for s in steps) if steps else t("No answer yet")
    return t("Tokens of each answer of the search. {told}.", told=told)


def legend(steps: Sequence[SearchStep]) -> str:
    """The chart's signs in words, as Markdown: it wraps where the screen is narrow, and the plot keeps its size.

    Right and wrong are always named, so that the legend seldom grows while a search runs.
    """
    always = [(Outcome.CORRECT, False), (Outcome.WRONG, False)]
    kinds = dict.fromkeys([*always, *((s.outcome, s.cut) for s in steps)])
    signs = [_sign(":blue-background[\u2003]", t("still possible")), _sign("╌╌", t("budget asked for"))]
    for outcome, cut in kinds:
        look = _CUT_LOOK if cut else LOOKS[outcome]
        sign = look.sign if cut else f":{OUTCOMES[outcome][1]}[{look.sign}]"
        signs.append(_sign(sign, t(look.name).lower().replace("_", "\\_")))
    words = "\u2003 ".join([*signs, _sign(":blue[◯]", t("best so far"))])
    return f":small[{words}]"


def _sign(sign: str, words: str) -> str:
    return f"{sign}\u00a0{whole(words)}"


def _band(figure: Figure, steps: Sequence[SearchStep]) -> None:
    """What was still possible in each column: the bracket that the step before left behind."""
    if not steps:
        return
    colors = palette()
    figure.add_bar(
        x=[s.index + 1 for s in steps],
        y=[max(0, s.high - s.low) for s in steps],
        base=[s.low for s in steps],
        width=1,
        marker={"color": _faded(colors.budgeted), "line": {"width": 0}},
        name=t("Still possible"),
        hovertemplate=f"{t('still possible: {low} to {high}', low='%{base}', high='%{customdata}')}<extra></extra>",
        customdata=[s.high for s in steps],
    )


def _faded(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.17)"


def _budgets(figure: Figure, steps: Sequence[SearchStep], trying: Sequence[int], *, edge: float) -> None:
    colors = palette()
    tried = [(s.index, s.budget) for s in steps if s.budget is not None]
    tried += [(len(steps) + i, budget) for i, budget in enumerate(trying)]
    x: list[Any] = []
    y: list[Any] = []
    for column, budget in tried:
        x += [column - 0.42, column + 0.42, None]
        y += [budget, budget, None]
    figure.add_scatter(
        x=x or [None],
        y=y or [None],
        mode="lines",
        line={"color": colors.text, "width": 2.5, "dash": "5px,3px"},
        name=t("Budget asked for"),
        hovertemplate=f"{t('budget {budget}', budget='%{y}')}<extra></extra>",
    )
    for step in steps:
        if step.budget is not None:
            figure.add_shape(
                type="line", x0=step.index, x1=step.index, y0=step.budget, y1=min(step.tokens, edge),
                line={"color": colors.vanilla, "width": 1.2}, layer="between",
            )  # fmt: skip


def _marks(figure: Figure, steps: Sequence[SearchStep], *, edge: float) -> None:
    for outcome, cut in dict.fromkeys((s.outcome, s.cut) for s in steps):
        group = [s for s in steps if (s.outcome, s.cut) == (outcome, cut)]
        look = _CUT_LOOK if cut else LOOKS[outcome]
        color = palette().text if cut else outcome_colors()[outcome]
        figure.add_scatter(
            x=[s.index for s in group],
            y=[min(s.tokens, edge) for s in group],
            mode="markers",
            marker={"symbol": look.symbol, "size": 14, "color": color, "line": {"width": 2 if cut else 0}},
            cliponaxis=False,
            name=t(look.name),
            customdata=[_told(s, "<br>") for s in group],
            hovertemplate="%{customdata}<extra></extra>",
        )
    for before, step in zip((None, *steps), steps, strict=False):
        if step.cut and before is not None and before.cut and _label(before, edge) == _label(step, edge):
            continue  # Answers that were all stopped at the same place: saying it once leaves room on a phone.
        below = step.budget is not None and step.budget > step.tokens
        away = 25 if step.budget is not None and step.budget == steps[-1].best_budget else 21
        figure.add_annotation(
            x=step.index, y=min(step.tokens, edge), text=_label(step, edge), showarrow=False,
            yshift=-away if below else away, font={"size": 15, "color": palette().text},
        )  # fmt: skip


def _label(step: SearchStep, edge: float) -> str:
    return f"{'≥ ' if step.cut else ''}{number(step.tokens)}{' ↑' if step.tokens > edge else ''}"


def _told(step: SearchStep, between: str | None = None) -> str:
    asked = t("no budget") if step.budget is None else t("budget {budget}", budget=step.budget)
    spent = t("{asked}: {tokens} tokens", asked=asked, tokens=number(step.tokens))
    return f"{spent}{t(', ') if between is None else between}{outcome_words(step).lower()}"


def _best(figure: Figure, steps: Sequence[SearchStep]) -> None:
    """A ring around the best answer so far."""
    budget = steps[-1].best_budget if steps else None
    best = [s for s in steps if budget is not None and s.budget == budget][:1]
    figure.add_scatter(
        x=[s.index for s in best],
        y=[s.tokens for s in best],
        mode="markers",
        marker={"symbol": "circle-open", "size": 24, "color": palette().budgeted, "line": {"width": 2.5}},
        name=t("Best so far"),
        hoverinfo="skip",
    )


def _layout(figure: Figure, columns: int, top: float) -> None:
    color = palette().text
    every = 1 if columns <= 16 else 2
    ticks = list(range(0, columns, every))
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        bargap=0,
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"size": 14}},
    )  # fmt: skip
    figure.update_xaxes(
        title={"text": t("Probe (0 = no budget)"), "font": {"size": 15, "color": color}}, fixedrange=True,
        range=[-0.6, columns - 0.4], tickmode="array", tickvals=ticks, ticktext=[str(t) for t in ticks],
        tickfont={"size": 14, "color": color}, showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(
        title={"text": t("Tokens of the answer"), "font": {"size": 15, "color": color}}, fixedrange=True,
        range=[0, top], tickfont={"size": 14, "color": color}, zeroline=False, automargin=True, nticks=7,
        tickformat=",d",
    )  # fmt: skip
