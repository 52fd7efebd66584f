"""The Elasticity page: what smaller and smaller budgets really cost, and other sweeps laid over the curve."""

from __future__ import annotations

import streamlit as st

from tale_core.budgets.kinds import ASKED, NAMES, kind
from tale_core.charts.curves import MOST_OVERLAYS
from tale_core.elasticity.text import beside_it, question_begin
from tale_core.elasticity.view import SweepView
from tale_core.errors import StoreError
from tale_core.history.text import sampling_words
from tale_core.i18n import language, t
from tale_core.lessons.arc import borrowed_words
from tale_core.lessons.recorded import rebounding
from tale_core.runs.runner import start_sweep
from tale_core.runs.views import view_of
from tale_core.types import Language
from ui.common import evidence, state
from ui.common.question_form import Request
from ui.common.run_page import RunPage, session_as
from ui.common.run_parts import parent_link, provenance, resume_study
from ui.common.text import literal, sanitize
from ui.elasticity import form, result

OFFERED = 40
"""Sweeps that can be laid over another: the newest."""
_read = session_as("sweep", view_of)


def _resume(view: SweepView) -> Request | None:
    return resume_study(view, capped=view.result is not None and view.result.stop_reason.startswith("limit-"))


def _picture(view: SweepView) -> None:
    picture, chooser = st.container(), st.container()
    with chooser:
        overlays = _overlays(view) if view.result is not None else []
    with picture:
        result.picture(view, overlays)
    result.table_and_files(view)
    provenance(view, template=view.plan.template, sampling=sampling_words(view.plan.sampling))
    parent_link(view.parent_id, "sweep")


def _overlays(view: SweepView) -> list[tuple[str, SweepView]]:
    """Other stored sweeps, chosen by the viewer to be laid over this one."""
    store = state.store()
    others = [s for s in store.list_sessions(limit=OFFERED + 1, kind="sweep") if s.id != view.session_id][:OFFERED]
    if not others:
        return []
    names = {s.id: _name(s.id, s.status, store.where, language()) for s in others}
    chosen = st.multiselect(
        t("Lay other sweeps over it"), list(names), key=f"overlay_{view.session_id}", max_selections=MOST_OVERLAYS,
        format_func=lambda session_id: names.get(session_id, session_id),
        placeholder=t("Other models, prompts or kinds of budget"),
    )  # fmt: skip
    return beside_it(view, [other for session_id in chosen if (other := _other(session_id)) is not None])


def _other(session_id: str) -> SweepView | None:
    try:
        view = _read(session_id)
    except StoreError as e:
        st.warning(literal(str(e), 800))
        return None
    return view if isinstance(view, SweepView) else None


@st.cache_data(max_entries=500, show_spinner=False)
def _name(session_id: str, status: str, where: str, spoken: Language) -> str:
    """A sweep in a list: model, template, the question's beginning, when. Kept: a long list is read at every run."""
    session = state.store().get_session(session_id)
    question = question_begin(session.question.text)
    when = t("{when:%d %b %H:%M}", when=session.created_at) if session.created_at else ""
    knob = str(session.plan.get("knob", ASKED.NAME))
    how = "" if knob == ASKED.NAME or knob not in NAMES else f"{t(kind(knob).TITLE)} · "
    return f"{how}{sanitize(session.model)} · {sanitize(session.template)} · {question} · {when}"


def _example(view: SweepView) -> None:
    if view.question.language != language():
        st.caption(borrowed_words())
    result.head(view)
    result.picture(view)
    result.table(view)


def _welcome() -> None:
    st.markdown(
        t(
            "One question, asked again and again under **smaller and smaller budgets**. The curve shows what the model "
            "really spends: often it writes less when asked for less, and below some budget it **writes more again**."
        )
    )
    evidence.recorded(SweepView, rebounding, load=form.load, draw=_example)


PAGE = RunPage(
    kind="sweep",
    view_type=SweepView,
    start=start_sweep,
    read=_read,
    load=form.load,
    form=form.form,
    phase_line=result.phase_line,
    live=result.LiveSweep,
    head=result.head,
    resume=_resume,
    picture=_picture,
    welcome=_welcome,
)
draw = PAGE.draw
