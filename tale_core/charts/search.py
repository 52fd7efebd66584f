"""The search as a chart: the bracket closing in, the budgets asked for (dashed), what was really spent (solid marks).

One column for each answer; column 0 is the answer without a budget. The band in a column is what was still possible
when its budget was chosen, so that a reader sees why it was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tale_core.calls.budget_ledger import apart_words
from tale_core.calls.outcomes import OUTCOMES
from tale_core.charts.curves import with_alpha
from tale_core.charts.theme import LIGHT, TOKEN_TICKS, Palette, graph_objects
from tale_core.i18n import t
from tale_core.search.engine import SearchStep
from tale_core.search.text import number, outcome_label, outcome_words
from tale_core.types import Level, Outcome

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 460
HEADROOM = 1.16
FEWEST = 4
COLUMNS = 8
"""Columns that an empty chart has room for; a longer search takes four more at a time, so that it seldom rescales."""


class Look(NamedTuple):
    """How an answer is drawn, so that colour is never alone.

    Attributes:
        name: In the legend, in the reader's language.
        symbol: Plotly's.
        sign: The same symbol as a letter, for the legend.
    """

    name: str
    symbol: str
    sign: str


def look(outcome: Outcome, *, cut: bool) -> Look:
    """How answers of this outcome are drawn; those that the search cut are hollow."""
    if cut:
        return Look(t("Cut: could not win"), "triangle-up-open", "△")
    kind = OUTCOMES[outcome]
    return Look(outcome_label(outcome), kind.symbol, kind.sign)


def search_chart(
    steps: Sequence[SearchStep],
    *,
    whole: Sequence[SearchStep] = (),
    trying: Sequence[int] = (),
    colors: Palette = LIGHT,
) -> Figure:
    """Draw a search up to the last of `steps`.

    Args:
        steps: None at least; the first is the vanilla answer.
        whole: All steps of a search that is replayed: the axes are made for them and stay.
        trying: Budgets whose answers are being written.
        colors: Of the theme to draw it in.
    """
    # A search that has ended needs no room for more than the bracket that it left behind.
    columns = max(FEWEST, len(whole) + 1) if whole else room(len(steps) + len(trying))
    whole = whole or steps
    high = ceiling(whole)
    edge = high / HEADROOM
    figure = graph_objects().Figure()
    _band(figure, steps, colors)
    _budgets(figure, steps, trying, colors, edge=edge)
    _answers_alone(figure, steps, colors, edge=edge)
    _marks(figure, steps, colors, edge=edge)
    _best(figure, steps, colors)
    _layout(figure, columns, high, colors)
    figure.update_traces(unselected={"marker": {"opacity": 1}})  # A click opens an answer, and nothing fades for it.
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
    return HEADROOM * min(max(max(s.tokens, _asked(s) or 0) for s in steps), 1.6 * max(1.0, steps[0].tokens))


def described(steps: Sequence[SearchStep]) -> str:
    """The chart in words, for those who do not see it."""
    told = t("; ").join(_step_words(s) for s in steps) if steps else t("No answer yet")
    return t("Tokens of each answer of the search. {told}.", told=told)


def _band(figure: Figure, steps: Sequence[SearchStep], colors: Palette) -> None:
    """What was still possible in each column: the bracket that the step before left behind."""
    if not steps or any(isinstance(s.budget, str) for s in steps):  # The bounds of words are places among them.
        return
    figure.add_bar(
        x=[s.index + 1 for s in steps],
        y=[max(0, s.high - s.low) for s in steps],
        base=[s.low for s in steps],
        width=1,
        marker={"color": with_alpha(colors.budgeted, 0.17), "line": {"width": 0}},
        name=t("Still possible"),
        hovertemplate=f"{t('still possible: {low} to {high}', low='%{base}', high='%{customdata}')}<extra></extra>",
        customdata=[s.high for s in steps],
    )


def _budgets(
    figure: Figure, steps: Sequence[SearchStep], trying: Sequence[Level], colors: Palette, *, edge: float
) -> None:
    tried = [(s.index, asked) for s in steps if (asked := _asked(s)) is not None]
    tried += [(len(steps) + i, budget) for i, budget in enumerate(trying) if isinstance(budget, int)]
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
        if (asked := _asked(step)) is not None:
            figure.add_shape(
                type="line", x0=step.index, x1=step.index, y0=asked, y1=min(step.tokens, edge),
                line={"color": colors.vanilla, "width": 1.2}, layer="between",
            )  # fmt: skip


def _marks(figure: Figure, steps: Sequence[SearchStep], colors: Palette, *, edge: float) -> None:
    for outcome, cut in dict.fromkeys((s.outcome, s.cut) for s in steps):
        group = [s for s in steps if (s.outcome, s.cut) == (outcome, cut)]
        drawn = look(outcome, cut=cut)
        color = colors.text if cut else colors.outcomes[outcome]
        figure.add_scatter(
            x=[s.index for s in group],
            y=[min(s.tokens, edge) for s in group],
            mode="markers",
            marker={"symbol": drawn.symbol, "size": 14, "color": color, "line": {"width": 2 if cut else 0}},
            cliponaxis=False,
            name=drawn.name,
            customdata=[_step_words(s, "<br>") for s in group],
            hovertemplate="%{customdata}<extra></extra>",
        )
    for before, step in zip((None, *steps), steps, strict=False):
        if step.cut and before is not None and before.cut and _label(before, edge) == _label(step, edge):
            continue  # Answers that were all stopped at the same place: saying it once leaves room on a phone.
        if step.thinking_tokens:  # Below it stands the answer without its thinking.
            figure.add_annotation(
                x=step.index, y=min(step.tokens, edge), text=_label(step, edge), showarrow=False,
                xanchor="left", xshift=7, yshift=11, font={"size": 15, "color": colors.text},
            )  # fmt: skip
            continue
        below = (_asked(step) or 0) > step.tokens
        away = 25 if step.budget is not None and step.budget == steps[-1].best_budget else 21
        figure.add_annotation(
            x=step.index, y=min(step.tokens, edge), text=_label(step, edge), showarrow=False,
            yshift=-away if below else away, font={"size": 15, "color": colors.text},
        )  # fmt: skip


def _asked(step: SearchStep) -> int | None:
    """The budget as a height; words and the vanilla answer have none."""
    return step.budget if isinstance(step.budget, int) else None


def _label(step: SearchStep, edge: float) -> str:
    word = f"{step.budget}<br>" if isinstance(step.budget, str) else ""
    return f"{word}{'≥ ' if step.cut else ''}{number(step.tokens)}{' ↑' if step.tokens > edge else ''}"


def _step_words(step: SearchStep, between: str | None = None) -> str:
    asked = step.budget if isinstance(step.budget, str) else t("budget {budget}", budget=step.budget)
    asked = t("vanilla") if step.budget is None else asked
    spent = t("{asked}: {tokens} tokens", asked=asked, tokens=number(step.tokens))
    parts = [spent, *apart_words(step.visible_tokens, step.thinking_tokens), outcome_words(step).lower()]
    return (t(", ") if between is None else between).join(parts)


def thinks(steps: Sequence[SearchStep]) -> bool:
    """The model thinks beside its answers, in tokens of its own."""
    return any(step.thinking_tokens for step in steps)


def _answers_alone(figure: Figure, steps: Sequence[SearchStep], colors: Palette, *, edge: float) -> None:
    """Where the answers would stand without their thinking: what a budget is held against."""
    alone = [(s, s.visible_tokens) for s in steps if s.thinking_tokens and s.visible_tokens is not None]
    if not alone:
        return
    figure.add_scatter(
        x=[s.index for s, _ in alone],
        y=[min(tokens, edge) for _, tokens in alone],
        mode="markers",
        marker={"symbol": "circle-open", "size": 8, "color": colors.vanilla, "line": {"width": 2}},
        cliponaxis=False,
        name=t("the answer without its thinking"),
        customdata=[_step_words(s, "<br>") for s, _ in alone],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _best(figure: Figure, steps: Sequence[SearchStep], colors: Palette) -> None:
    """A ring around the best answer so far."""
    budget = steps[-1].best_budget if steps else None
    best = [s for s in steps if budget is not None and s.budget == budget][:1]
    figure.add_scatter(
        x=[s.index for s in best],
        y=[s.tokens for s in best],
        mode="markers",
        marker={"symbol": "circle-open", "size": 24, "color": colors.budgeted, "line": {"width": 2.5}},
        name=t("Best so far"),
        hoverinfo="skip",
    )


def _layout(figure: Figure, columns: int, top: float, colors: Palette) -> None:
    color = colors.text
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
        title={"text": t("Probe (0 = vanilla)"), "font": {"size": 15, "color": color}}, fixedrange=True,
        range=[-0.6, columns - 0.4], tickmode="array", tickvals=ticks, ticktext=[str(t) for t in ticks],
        tickfont={"size": 14, "color": color}, showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(
        title={"text": t("Tokens of the answer"), "font": {"size": 15, "color": color}, "standoff": 14},
        fixedrange=True, range=[0, top], tickfont={"size": 14, "color": color}, zeroline=False, automargin=True,
        nticks=7, tickformat=TOKEN_TICKS,
    )  # fmt: skip
