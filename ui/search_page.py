"""The Search page: form, the running or stored search below it, and what can be done next.

`?session=` in the address is the only memory of which search is shown: a refresh or a shared link finds a running one
again and never starts anything.
"""

from __future__ import annotations

import time

import streamlit as st

from tale_core import jobs, studies
from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.search_plan import SearchPlan
from tale_core.studies import SearchView
from tale_core.types import SessionKind, SessionRecord
from ui import search_form, search_result, state
from ui.search_form import Searching
from ui.shell import OF_KIND, page
from ui.text import literal

SAME_CLICK_S = 1.0
"""Seconds within which asking the very same again is the second half of a double click."""
RESUMABLE = ("interrupted", "failed", "cancelled")


def draw() -> None:
    """Draw the page."""
    session_id = str(st.query_params.get("session", ""))
    job = _job(session_id) if session_id else None
    session = None if job or not session_id else _stored(session_id)
    view = _view(session) if session is not None and session.kind == "search" else None
    if (shown := job.view() if job else view) is not None:
        search_form.load(session_id, shown.plan)
    page("Search", following=job is not None)
    searching = search_form.form(running=job is not None)
    if searching is not None:
        _start(searching)
    # Two places, each of which empties the other: what a run does not draw again stays on the page until the run ends,
    # and a run that follows a search ends late.
    running, ended = st.empty(), st.empty()
    if job is not None:
        with running.container():
            _follow(job)
    else:
        with ended.container():
            _ended(session, view, session_id)


def _job(session_id: str) -> jobs.SearchJob | None:
    """The running search of this session; None when it has ended, runs elsewhere, or is no search."""
    job = jobs.runner().get(session_id)
    if job is None:
        return None
    view = job.view()
    return job if isinstance(view, SearchView) and view.running else None


def _stored(session_id: str) -> SessionRecord | None:
    try:
        return state.store().get_session(session_id)
    except NotFoundError:
        st.session_state["page_error"] = "There is no session of this name in the database. It may have been deleted."
    except StoreError as e:
        st.session_state["page_error"] = str(e)
    return None


def _view(session: SessionRecord) -> SearchView | None:
    try:
        view = studies.view_of(session)
    except StoreError as e:
        st.session_state["page_error"] = str(e)
        return None
    return view if isinstance(view, SearchView) else None


def _ended(session: SessionRecord | None, view: SearchView | None, session_id: str) -> None:
    unsaved = st.session_state.get("unsaved")
    if view is not None and session is not None:
        _whole(view)
        if session.status == "running":
            _wait_for_the_other_program(session)
    elif session is not None and session.kind != "search":
        _elsewhere(session.kind, session.id)
    elif isinstance(unsaved, SearchView) and unsaved.session_id == session_id:
        _whole(unsaved)
    else:
        _welcome()


def _elsewhere(kind: SessionKind, session_id: str) -> None:
    path, title, icon = OF_KIND[kind]
    st.info(f"This link leads to {'an' if title[0] in 'AE' else 'a'} {title} session, not to a search.")
    st.page_link(path, label=f"Open it under {title}", icon=icon, query_params={"session": session_id})


def _start(searching: Searching) -> None:
    if (session_id := _started_just_now(searching)) is not None:
        st.query_params["session"] = session_id
        st.rerun()
    choice, secrets, key = searching.choice, state.secrets(), state.session_keys().get(searching.choice.key)
    try:
        job = jobs.start_search(searching.plan, choice, store=state.store(), secrets=secrets, key=key)
    except (InputError, StoreError) as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    st.session_state["loaded"] = job.id
    st.session_state["started"] = (searching, job.id, time.monotonic())
    st.query_params["session"] = job.id
    st.rerun()


def _started_just_now(searching: Searching) -> str | None:
    """The session that this very request has started already; see `ui.ask_page`."""
    last, session_id, when = st.session_state.get("started", (None, "", 0.0))
    if last != searching:
        return None
    return session_id if _job(session_id) is not None or time.monotonic() - when < SAME_CLICK_S else None


def _follow(job: jobs.SearchJob) -> None:
    """Draw a running search until it ends; leaving or refreshing the page leaves it alone."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        head = st.container(width="stretch").empty()
        st.button("Stop", key="stop", icon=":material/stop_circle:", on_click=job.cancel, shortcut="Escape")
    live = search_result.LiveSearch()
    for view in job.watch():
        with head.container():
            search_result.phase_line(view)
        live.update(view)
        if view.not_saved:
            st.session_state["unsaved"] = view  # The store has nothing to show, or not all of it.
    st.rerun()


def _whole(view: SearchView) -> None:
    search_result.head(view)
    if view.status in RESUMABLE:
        _resume(view)
    search_result.replay(view)
    search_result.spent_and_files(view)
    if view.parent_id:
        st.page_link(
            "pages/Search.py", label="The search that this one resumed", icon=":material/history:",
            query_params={"session": view.parent_id},
        )  # fmt: skip


def _resume(view: SearchView) -> None:
    """Go on where it ended, with the model that it ran on: finished answers are taken as they are."""
    choices = state.model_choices().values()
    choice = next((c for c in choices if (c.model, c.endpoint) == (view.model, view.endpoint)), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Resume", key="resume", icon=":material/resume:", disabled=choice is None)
        if choice is None:
            words = f"It ran on {view.model} at {view.endpoint}: add that model in Settings to resume."
        else:
            words = "It goes on where it ended. Finished answers are not paid for again."
        st.caption(literal(words, 400), width="content")
    if pressed and choice is not None:
        plan = studies.resumed(view)
        assert isinstance(plan, SearchPlan)  # As the view is a search's.
        _start(Searching(plan, choice))


@st.fragment(run_every=2.0)
def _wait_for_the_other_program(shown: SessionRecord) -> None:
    st.caption("This search runs in another program, on the command line perhaps. The page follows what it stores.")
    if state.store().get_session(shown.id) != shown:
        st.rerun()


def _welcome() -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
    st.markdown(
        "Give a question whose answer you know. It is answered once **without a budget**; then smaller and smaller "
        "budgets are tried until none is left that is worth trying. You watch every try: what was asked for, what the "
        "model really spent, and whether it was still right."
    )
