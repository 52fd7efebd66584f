"""The class's guesses as a histogram. The actual number is a solid line once it is revealed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import streamlit as st

from tale_core.charts.theme import graph_objects
from tale_core.i18n import joined, t, tn
from tale_core.lessons.charts import Bin, histogram
from ui.common.charts import palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 340


def guesses(tokens: Sequence[int], *, actual: int | None, key: str) -> None:
    """The finding, the chart and its numbers; nothing while nobody has guessed.

    Args:
        tokens: The guesses.
        actual: What it was; None until it is revealed.
        key: Of the chart.
    """
    bins = histogram(tokens, actual=actual)
    if not bins:
        st.caption(t("Nobody has guessed yet."))
        return
    st.markdown(f"**{_headline(tokens, actual)}**")
    st.plotly_chart(
        _figure(bins, actual), config={"displayModeBar": False}, key=key, alt=_described(bins, actual), theme=None
    )
    with st.expander(t("The numbers")):
        names = [f"{b.low:,}–{b.high:,}" for b in bins]
        cells = {t("Guess, tokens"): names, t("Students"): [str(b.students) for b in bins]}
        st.table(cells, border="horizontal", alt=t("How many students guessed how many tokens"))


def _headline(tokens: Sequence[int], actual: int | None) -> str:
    half = f"{median(tokens):,.0f}"
    message = tn(
        "{n} guess, in the middle {half} tokens", "{n} guesses, in the middle {half} tokens", len(tokens), half=half
    )
    return message if actual is None else t("{guesses}; it wrote {actual}", guesses=message, actual=f"{actual:,}")


def _described(bins: Sequence[Bin], actual: int | None) -> str:
    bars = "; ".join(t("{low} to {high} tokens: {n}", low=b.low, high=b.high, n=b.students) for b in bins if b.students)
    end = "" if actual is None else t("It wrote {n} tokens.", n=f"{actual:,}")
    return joined(t("Histogram of the guesses. {bins}.", bins=bars), end)


def _figure(bins: Sequence[Bin], actual: int | None) -> Figure:
    go = graph_objects()
    colors = palette()
    width = bins[0].high - bins[0].low + 1
    figure = go.Figure(
        go.Bar(
            x=[(b.low + b.high) / 2 for b in bins],
            y=[b.students for b in bins],
            width=[width * 0.92] * len(bins),
            marker_color=colors.budgeted,
            customdata=[[b.low, b.high] for b in bins],
            hovertemplate="%{customdata[0]}–%{customdata[1]}: %{y}<extra></extra>",
        )
    )
    if actual is not None:
        figure.add_vline(x=actual, line={"color": colors.text, "width": 3})
        figure.add_annotation(
            x=actual, y=1.0, yref="paper", yanchor="bottom", showarrow=False, text=t("it wrote {n}", n=f"{actual:,}"),
            font={"size": 18, "color": colors.text},
        )  # fmt: skip
    tallest = max(b.students for b in bins)
    axis = {"tickfont": {"size": 15, "color": colors.text}, "fixedrange": True, "zeroline": False}
    figure.update_layout(
        height=HEIGHT, margin={"l": 48, "r": 12, "t": 34, "b": 52}, showlegend=False, bargap=0,
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", dragmode=False,
    )  # fmt: skip
    figure.update_xaxes(
        title={"text": t("Guess, tokens"), "font": {"size": 15, "color": colors.text}}, showgrid=False,
        range=[bins[0].low - 1 - width * 0.1, bins[-1].high + width * 0.1], linecolor=colors.vanilla, **axis,
    )  # fmt: skip
    figure.update_yaxes(
        title={"text": t("Students"), "font": {"size": 15, "color": colors.text}}, gridcolor=colors.faint,
        range=[0, max(4, tallest) * 1.1], dtick=1 if tallest <= 8 else None, tickformat=",d", **axis,
    )  # fmt: skip
    return figure
