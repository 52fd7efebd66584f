"""One sweep as a picture: the finding, the curve, the table, the files. The same for running and stored sweeps.

While a sweep runs, only what lies inside of fixed boxes changes; nothing else moves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tale_core.elasticity_finding import told
from tale_core.i18n import joined, t
from tale_core.models.choice import EMBEDDED
from tale_core.models.prepare import preparation
from tale_core.spending_words import spent_words
from tale_core.studies import SweepView
from tale_core.study_documents import sweep_csv, sweep_document
from ui import elasticity_figures as figures
from ui import elasticity_words as words
from ui.elasticity_words import Named
from ui.outcome_badge import labelled_note
from ui.text import literal, whole

FINDING_HEIGHT = 120
TABLE_HEIGHT = 330
REDRAW_S = 0.8
"""Seconds between two curves of a running sweep: a chart that is replaced is gone for a moment."""


def head(view: SweepView) -> None:
    """The finding in one sentence, with everything that qualifies it right below."""
    if view.status == "interrupted":
        st.warning(t("This sweep was interrupted: the program ended while it ran. Every finished answer is kept."))
    if view.status == "cancelled":
        st.info(t("This sweep was stopped. Every finished answer is kept."))
    if view.error:
        st.error(literal(view.error, 1000), icon=":material/error:")
    if view.not_saved:
        st.warning(t("This sweep could not be saved. {reason}", reason=literal(view.not_saved, 600)))
    if view.result is None:
        st.caption(t("No answer has ended, so there is nothing to draw."))
        return
    st.subheader(literal(told(view), 600), anchor=False)
    if notes := words.qualifications(view):
        st.caption(literal(joined(*notes), 2000))
    labelled_note(call.record for call in view.calls)


def phase_line(view: SweepView) -> None:
    """How far it is and how long it may take, in words, with a bar."""
    if view.phase == "preparing" and view.endpoint == EMBEDDED:
        status = preparation(view.model).status()
        st.markdown(f"**{literal(status.message)}**")
        st.progress(min(1.0, status.fraction or 0.0))
        return
    so_far = literal(words.progress(view, now=datetime.now(UTC)))
    st.markdown(f"**{so_far}**" + (f" {literal(view.notice)}" if view.notice else ""))
    st.progress(min(1.0, view.finished / view.planned) if view.planned else 0.0)


class LiveSweep:
    """The places that `update` fills while a sweep runs."""

    def __init__(self) -> None:
        self._finding = st.container(height=FINDING_HEIGHT, border=False).empty()
        self._chart = st.container(height=figures.HEIGHT + 16, border=False).empty()
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
        self._finding.subheader(literal(told(view), 600), anchor=False)
        with self._chart.container():
            chart(view, key=f"live_{view.finished}")
        self._table.table(_cells(view), border="horizontal", alt=t("What every budget took so far"))


def chart(view: SweepView, overlays: Sequence[Named] = (), *, shares: bool = False, key: str) -> None:
    """The curve. The button at its corner saves it as a picture, in the browser."""
    picture = {"format": "png", "filename": view.session_id, "scale": 3}
    config = {
        "displayModeBar": True,
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": picture,
    }
    figure = figures.curve(view, overlays, shares=shares)
    described = words.alt_text(view, [name for name, _ in overlays])
    st.plotly_chart(figure, theme=None, config=config, key=key, alt=described)


def picture(view: SweepView, overlays: Sequence[Named] = ()) -> None:
    """The chart of a sweep that does not change, others laid over it, and how to read it."""
    if view.result is None or not view.result.points:
        return
    shares, drawn, left_out = words.comparable(view, overlays)
    chart(view, drawn, shares=shares, key=f"curve_{view.session_id}")
    st.caption(literal(joined(words.legend(view, shares=shares), *words.numbers(view, drawn), *left_out), 3000))


def table_and_files(view: SweepView) -> None:
    """The levels, what was paid for, and the sweep as files."""
    if view.result is None or not view.result.points:
        return
    st.table(_cells(view), border="horizontal", alt=t("What every budget took"))
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


def _cells(view: SweepView) -> dict[str, list[str]]:
    """The table; its cells do not wrap, so that a narrow screen scrolls it instead of breaking the numbers."""
    return {whole(name): [whole(literal(cell)) for cell in column] for name, column in words.rows(view).items()}
