"""One sweep as a picture: the finding, the curve, the table, the files. The same for running and stored sweeps.

While a sweep runs, only what lies inside of fixed boxes changes; nothing else moves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import streamlit as st

from tale_core.calls.budget_ledger import spent_words
from tale_core.charts import elasticity as figures
from tale_core.elasticity import text as words
from tale_core.elasticity.finding import sweep_finding
from tale_core.elasticity.text import Named
from tale_core.elasticity.view import SweepView
from tale_core.i18n import joined, t
from tale_core.runs.documents import sweep_csv, sweep_document
from ui.ask import beside
from ui.common.charts import draw_chart, palette, wide_table
from ui.common.glossary import explain
from ui.common.outcome_badge import labelled_note
from ui.common.run_parts import Now, finding_line, how_it_ended, now_line
from ui.common.text import literal

FINDING_HEIGHT = 120
TABLE_HEIGHT = 330
REDRAW_S = 0.8
"""Seconds between two curves of a running sweep: a chart that is replaced is gone for a moment."""


def head(view: SweepView) -> None:
    """The finding in one sentence, with everything that qualifies it right below."""
    how_it_ended(view, "sweep")
    if view.result is None:
        st.caption(t("No answer has ended, so there is nothing to draw."))
        return
    finding_line(sweep_finding(view), words.qualifications(view))
    labelled_note(call.record for call in view.calls)


def phase_line(view: SweepView) -> Now:
    """How far it is and how long it may take, in words, with a bar."""
    share = view.finished / view.planned if view.planned else 0.0
    return now_line(view, words.progress(view, now=datetime.now(UTC)), share=share)


class LiveSweep:
    """The places that `update` fills while a sweep runs."""

    def __init__(self) -> None:
        self._finding = st.container(height=FINDING_HEIGHT, border=False).empty()
        self._chart = st.container(height=figures.HEIGHT + 64, border=False).empty()
        self._table = st.container(height=TABLE_HEIGHT, border=False).empty()
        self._drawn, self._when = -1, 0.0

    def update(self, view: SweepView) -> None:
        """Draw the picture as it stands; the curve anew when an answer ended, not so often that it blinks."""
        if view.finished == self._drawn or time.monotonic() - self._when < REDRAW_S:
            return
        self._drawn, self._when = view.finished, time.monotonic()
        if view.result is None or not view.result.points:
            self._chart.caption(t("The curve begins with the first answer: the one without a budget."))
            return
        self._finding.subheader(literal(sweep_finding(view), 600), anchor=False)
        with self._chart.container():
            chart(view, key=f"live_{view.finished}")
        wide_table(words.rows(view), alt=t("What every budget took so far"), place=self._table.table)


def chart(view: SweepView, overlays: Sequence[Named] = (), *, shares: bool = False, key: str) -> None:
    """The curve. The button at its corner saves it as a picture, in the browser."""
    figure = figures.curve(view, overlays, shares=shares, colors=palette())
    described = words.alt_text(view, [name for name, _ in overlays])
    clicks: dict[str, Any] = {}
    if not view.running:
        clicks = {"on_select": partial(_open, view, key), "selection_mode": "points"}
    draw_chart(figure, name=view.session_id, key=key, alt=described, **clicks)


def _open(view: SweepView, chart: str) -> None:
    """An answer under the budget whose point was clicked; points of other sweeps carry no budget."""
    found = beside.clicked(chart).get("customdata")
    beside.choose_budget(view, found[0] if isinstance(found, list) else found)


def picture(view: SweepView, overlays: Sequence[Named] = ()) -> None:
    """The chart of a sweep that does not change, others laid over it, and how to read it."""
    if view.result is None or not view.result.points:
        return
    shares, drawn, left_out = words.comparable(view, overlays)
    chart(view, drawn, shares=shares, key=f"curve_{view.session_id}")
    read = literal(joined(words.legend(view, drawn, shares=shares), *words.numbers(view, drawn), *left_out), 3000)
    st.caption(read, help=explain("token", "budget", "elasticity", "rebound"))
    beside.chooser(view)
    beside.opened(view)
    beside.why_more(view)


def table(view: SweepView) -> None:
    """The levels."""
    wide_table(words.rows(view), alt=t("What every budget took"))


def table_and_files(view: SweepView) -> None:
    """The levels, what was paid for, and the sweep as files."""
    if view.result is None or not view.result.points:
        return
    table(view)
    _files(view)


def _files(view: SweepView) -> None:
    """What was paid for, and the sweep as files."""
    st.markdown(t("**Spent:** {spent}", spent=literal(spent_words(view.spent), 400)))
    document = json.dumps(sweep_document(view), ensure_ascii=False, indent=2)
    with st.container(horizontal=True, vertical_alignment="center"):
        _download(t("Save as CSV"), sweep_csv(view).encode("utf-8-sig"), f"{view.session_id}.csv", "text/csv")
        _download(t("Save as JSON"), document, f"{view.session_id}.json", "application/json")
        st.caption(t("As a picture (PNG): the camera at the chart's upper right corner."), width="content")


def _download(label: str, data: Any, name: str, mime: str) -> None:
    st.download_button(label, data, file_name=name, mime=mime, on_click="ignore", icon=":material/download:")
