"""The Elasticity page: form, the running or stored sweep below it, and other sweeps laid over its curve.

`?session=` in the address is the only memory of which sweep is shown: a refresh or a shared link finds a running one
again and never starts anything.
"""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from tale_core import jobs, studies
from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.studies import SweepView
from tale_core.types import SessionKind, SessionRecord
from ui import elasticity_form, elasticity_result, state
from ui.elasticity_curves import MOST_OVERLAYS
from ui.elasticity_form import Sweeping
from ui.shell import OF_KIND, page
from ui.text import literal, visible

SAME_CLICK_S = 1.0
"""Seconds within which asking the very same again is the second half of a double click."""
RESUMABLE = ("interrupted", "failed", "cancelled")
OFFERED = 40
"""Sweeps that can be laid over another: the newest."""


def draw() -> None:
    """Draw the page."""
    session_id = str(st.query_params.get("session", ""))
    job = _job(session_id) if session_id else None
    session = None if job or not session_id else _stored(session_id)
    view = _view(session) if session is not None and session.kind == "sweep" else None
    if view is not None:
        elasticity_form.load(session_id, view.plan)
    page("Elasticity", following=job is not None)
    sweeping = elasticity_form.form(running=job is not None, folded=job is not None or view is not None)
    if sweeping is not None:
        _start(sweeping)
    # Two places, each of which empties the other: what a run does not draw again stays on the page until the run ends,
    # and a run that follows a sweep ends late.
    running, ended = st.empty(), st.empty()
    if job is not None:
        with running.container():
            _follow(job)
    else:
        with ended.container():
            _ended(session, view, session_id)


def _job(session_id: str) -> Any:
    """The running sweep of this session; None when it has ended, runs elsewhere, or is no sweep."""
    job: Any = jobs.runner().get(session_id)
    if job is None:
        return None
    view = job.view()
    return job if isinstance(view, SweepView) and view.running else None


def _stored(session_id: str) -> SessionRecord | None:
    try:
        return state.store().get_session(session_id)
    except NotFoundError:
        st.session_state["page_error"] = "There is no session of this name in the database. It may have been deleted."
    except StoreError as e:
        st.session_state["page_error"] = str(e)
    return None


def _view(session: SessionRecord) -> SweepView | None:
    try:
        view = studies.view_of(session)
    except StoreError as e:
        st.session_state["page_error"] = str(e)
        return None
    return view if isinstance(view, SweepView) else None


def _ended(session: SessionRecord | None, view: SweepView | None, session_id: str) -> None:
    unsaved = st.session_state.get("unsaved")
    if view is not None and session is not None:
        _whole(view)
        if session.status == "running":
            _wait_for_the_other_program(session)
    elif session is not None and session.kind != "sweep":
        _elsewhere(session.kind, session.id)
    elif isinstance(unsaved, SweepView) and unsaved.session_id == session_id:
        _whole(unsaved)
    else:
        _welcome()


def _elsewhere(kind: SessionKind, session_id: str) -> None:
    path, title, icon = OF_KIND[kind]
    st.info(f"This link leads to {'an' if title[0] in 'AE' else 'a'} {title} session, not to a sweep.")
    st.page_link(path, label=f"Open it under {title}", icon=icon, query_params={"session": session_id})


def _start(sweeping: Sweeping) -> None:
    if (session_id := _started_just_now(sweeping)) is not None:
        st.query_params["session"] = session_id
        st.rerun()
    choice, secrets, key = sweeping.choice, state.secrets(), state.session_keys().get(sweeping.choice.key)
    try:
        job = jobs.start_sweep(sweeping.plan, choice, store=state.store(), secrets=secrets, key=key)
    except (InputError, StoreError) as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    st.session_state["loaded"] = job.id
    st.session_state["started"] = (sweeping, job.id, time.monotonic())
    st.query_params["session"] = job.id
    st.rerun()


def _started_just_now(sweeping: Sweeping) -> str | None:
    """The session that this very request has started already; see `ui.ask_page`."""
    last, session_id, when = st.session_state.get("started", (None, "", 0.0))
    if last != sweeping:
        return None
    return session_id if _job(session_id) is not None or time.monotonic() - when < SAME_CLICK_S else None


def _follow(job: Any) -> None:
    """Draw a running sweep until it ends; leaving or refreshing the page leaves it alone."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        head = st.container(width="stretch").empty()
        st.button("Stop", key="stop", icon=":material/stop_circle:", on_click=job.cancel, shortcut="Escape")
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
    if view.status in RESUMABLE or _limited(view):
        _resume(view)
    picture, chooser = st.container(), st.container()
    with chooser:
        overlays = _overlays(view) if view.result is not None else []
    with picture:
        elasticity_result.picture(view, overlays)
    elasticity_result.table_and_files(view)
    if view.parent_id:
        path, _, _ = OF_KIND["sweep"]
        st.page_link(
            path, label="The sweep that this one resumed", icon=":material/history:",
            query_params={"session": view.parent_id},
        )  # fmt: skip


def _limited(view: SweepView) -> bool:
    return view.result is not None and view.result.stop_reason.startswith("limit-")


def _resume(view: SweepView) -> None:
    """Go on where it ended, with the model that it ran on: finished answers are taken as they are."""
    choices = state.model_choices().values()
    choice = next((c for c in choices if (c.model, c.endpoint) == (view.model, view.endpoint)), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Resume", key="resume", icon=":material/resume:", disabled=choice is None)
        if choice is None:
            words = f"It ran on {view.model} at {view.endpoint}: add that model in Settings to resume."
        else:
            words = "It goes on where it ended. Finished answers are not paid for again"
            words += ", and the cap counts anew." if _limited(view) else "."
        st.caption(literal(words, 400), width="content")
    if pressed and choice is not None:
        plan: Any = studies.resumed(view)
        _start(Sweeping(plan, choice))


def _overlays(view: SweepView) -> list[tuple[str, SweepView]]:
    """Other stored sweeps, chosen by the viewer to be laid over this one."""
    store = state.store()
    others = [s for s in store.list_sessions(limit=400) if s.kind == "sweep" and s.id != view.session_id][:OFFERED]
    if not others:
        return []
    names = {s.id: _name(s.id, s.status, store.where) for s in others}
    chosen = st.multiselect(
        "Lay other sweeps over it", list(names), key=f"overlay_{view.session_id}", max_selections=MOST_OVERLAYS,
        format_func=lambda session_id: names.get(session_id, session_id), placeholder="Other models or prompts",
    )  # fmt: skip
    read = ((names[session_id], _stored(session_id)) for session_id in chosen)
    views = ((name, _view(session)) for name, session in read if session is not None)
    return [(name, other) for name, other in views if other is not None]


@st.cache_data(max_entries=500, show_spinner=False)
def _name(session_id: str, status: str, where: str) -> str:
    """A sweep in a list: model, template, the question's beginning, when. Kept: a long list is read at every run."""
    session = state.store().get_session(session_id)
    question = " ".join(visible(session.question.text).split())
    question = question if len(question) <= 40 else f"{question[:39].rstrip()}…"
    when = f"{session.created_at:%d %b %H:%M}" if session.created_at else ""
    return f"{visible(session.model)} · {visible(session.template)} · {question} · {when}"


@st.fragment(run_every=2.0)
def _wait_for_the_other_program(shown: SessionRecord) -> None:
    st.caption("This sweep runs in another program, on the command line perhaps. The page follows what it stores.")
    if state.store().get_session(shown.id) != shown:
        st.rerun()


def _welcome() -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
    st.markdown(
        "One question, asked again and again under **smaller and smaller budgets**. The curve shows what the model "
        "really spends: often it writes less when asked for less, and below some budget it **writes more again**."
    )
