"""The Elasticity page: form, the running or stored sweep below it, and other sweeps laid over its curve."""

from __future__ import annotations

from typing import Any

import streamlit as st

from tale_core import jobs, studies
from tale_core.errors import StoreError
from tale_core.i18n import language, t
from tale_core.studies import SweepView
from tale_core.types import Language, SessionRecord
from ui import elasticity_form, elasticity_result, opened, state
from ui.elasticity_curves import MOST_OVERLAYS
from ui.elasticity_form import Sweeping
from ui.shell import page
from ui.text import literal, visible

OFFERED = 40
"""Sweeps that can be laid over another: the newest."""


def draw() -> None:
    """Draw the page."""
    session_id = str(st.query_params.get("session", ""))
    job = opened.running_job(session_id, SweepView)
    session = None if job or not session_id else opened.stored(session_id)
    view = _view(session) if session is not None and session.kind == "sweep" else None
    if view is not None:
        elasticity_form.load(session_id, view.plan)
    page(t("Elasticity"), following=job is not None)
    sweeping = elasticity_form.form(running=job is not None, folded=job is not None or view is not None)
    if sweeping is not None:
        opened.start(sweeping, jobs.start_sweep, SweepView)
    # Two places, each of which empties the other: what a run does not draw again stays on the page until the run ends,
    # and a run that follows a sweep ends late.
    running, ended = st.empty(), st.empty()
    if job is not None:
        with running.container():
            _follow(job)
    else:
        with ended.container():
            _ended(session, view, session_id)


def _view(session: SessionRecord) -> SweepView | None:
    try:
        view = studies.view_of(session)
    except StoreError as e:
        st.session_state["page_error"] = str(e)
        return None
    return view if isinstance(view, SweepView) else None


def _ended(session: SessionRecord | None, view: SweepView | None, session_id: str) -> None:
    if view is not None and session is not None:
        _whole(view)
        if session.status == "running":
            opened.wait_for_the_other_program(session)
    elif session is not None and session.kind != "sweep":
        opened.elsewhere(session, "sweep")
    elif (unsaved := opened.unsaved(session_id, SweepView)) is not None:
        _whole(unsaved)
    else:
        _welcome()


def _follow(job: Any) -> None:
    """Draw a running sweep until it ends; leaving or refreshing the page leaves it alone."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        head = st.container(width="stretch").empty()
        st.button(t("Stop"), key="stop", icon=":material/stop_circle:", on_click=job.stop, shortcut="Escape")
    live = elasticity_result.LiveSweep()
    for view in job.watch():
        with head.container():
            elasticity_result.phase_line(view)
        live.update(view)
        if view.not_saved:
            st.session_state["unsaved"] = view  # The store has nothing to show, or not all of it.
    st.rerun()


def _whole(view: SweepView) -> None:
    elasticity_result.head(view)
    if view.status in opened.RESUMABLE or _limited(view):
        _resume(view)
    picture, chooser = st.container(), st.container()
    with chooser:
        overlays = _overlays(view) if view.result is not None else []
    with picture:
        elasticity_result.picture(view, overlays)
    elasticity_result.table_and_files(view)
    opened.parent_link(view.parent_id, "sweep")


def _limited(view: SweepView) -> bool:
    return view.result is not None and view.result.stop_reason.startswith("limit-")


def _resume(view: SweepView) -> None:
    if (choice := opened.resume_button(view.model, view.endpoint, capped=_limited(view))) is not None:
        plan: Any = studies.resumed(view)
        opened.start(Sweeping(plan, choice), jobs.start_sweep, SweepView)


def _overlays(view: SweepView) -> list[tuple[str, SweepView]]:
    """Other stored sweeps, chosen by the viewer to be laid over this one."""
    store = state.store()
    others = [s for s in store.list_sessions(limit=OFFERED + 1, kind="sweep") if s.id != view.session_id][:OFFERED]
    if not others:
        return []
    names = {s.id: _name(s.id, s.status, store.where, language()) for s in others}
    chosen = st.multiselect(
        t("Lay other sweeps over it"), list(names), key=f"overlay_{view.session_id}", max_selections=MOST_OVERLAYS,
        format_func=lambda session_id: names.get(session_id, session_id), placeholder=t("Other models or prompts"),
    )  # fmt: skip
    read = ((names[session_id], opened.stored(session_id)) for session_id in chosen)
    views = ((name, _view(session)) for name, session in read if session is not None)
    return [(name, other) for name, other in views if other is not None]


@st.cache_data(max_entries=500, show_spinner=False)
def _name(session_id: str, status: str, where: str, spoken: Language) -> str:
    """A sweep in a list: model, template, the question's beginning, when. Kept: a long list is read at every run."""
    session = state.store().get_session(session_id)
    question = " ".join(visible(session.question.text).split())
    question = question if len(question) <= 40 else f"{question[:39].rstrip()}…"
    when = t("{when:%d %b %H:%M}", when=session.created_at) if session.created_at else ""
    return f"{visible(session.model)} · {visible(session.template)} · {question} · {when}"


def _welcome() -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
    st.markdown(
        t(
            "One question, asked again and again under **smaller and smaller budgets**. The curve shows what the model "
            "really spends: often it writes less when asked for less, and below some budget it **writes more again**."
        )
    )
