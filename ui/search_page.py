"""The Search page: form, the running or stored search below it, and what can be done next."""

from __future__ import annotations

import streamlit as st

from tale_core import jobs, studies
from tale_core.errors import StoreError
from tale_core.i18n import t
from tale_core.search_plan import SearchPlan
from tale_core.studies import SearchView
from tale_core.types import SessionRecord
from ui import opened, search_form, search_result
from ui.search_form import Searching
from ui.shell import page
from ui.text import literal


def draw() -> None:
    """Draw the page."""
    session_id = str(st.query_params.get("session", ""))
    job = opened.running_job(session_id, SearchView)
    session = None if job or not session_id else opened.stored(session_id)
    view = _view(session) if session is not None and session.kind == "search" else None
    if (shown := job.view() if job else view) is not None:
        search_form.load(session_id, shown.plan)
    page(t("Search"), following=job is not None)
    searching = search_form.form(running=job is not None)
    if searching is not None:
        opened.start(searching, jobs.start_search, SearchView)
    # Two places, each of which empties the other: what a run does not draw again stays on the page until the run ends,
    # and a run that follows a search ends late.
    running, ended = st.empty(), st.empty()
    if job is not None:
        with running.container():
            _follow(job)
    else:
        with ended.container():
            _ended(session, view, session_id)


def _view(session: SessionRecord) -> SearchView | None:
    try:
        view = studies.view_of(session)
    except StoreError as e:
        st.session_state["page_error"] = str(e)
        return None
    return view if isinstance(view, SearchView) else None


def _ended(session: SessionRecord | None, view: SearchView | None, session_id: str) -> None:
    if view is not None and session is not None:
        _whole(view)
        if session.status == "running":
            opened.wait_for_the_other_program(session)
    elif session is not None and session.kind != "search":
        opened.elsewhere(session, "search")
    elif (unsaved := opened.unsaved(session_id, SearchView)) is not None:
        _whole(unsaved)
    else:
        _welcome()


def _follow(job: jobs.SearchJob) -> None:
    """Draw a running search until it ends; leaving or refreshing the page leaves it alone."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        head = st.container(width="stretch").empty()
        st.button(t("Stop"), key="stop", icon=":material/stop_circle:", on_click=job.stop, shortcut="Escape")
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
    if view.status in opened.RESUMABLE:
        _resume(view)
    search_result.replay(view)
    search_result.spent_and_files(view)
    opened.parent_link(view.parent_id, "search")


def _resume(view: SearchView) -> None:
    if (choice := opened.resume_button(view.model, view.endpoint)) is not None:
        plan = studies.resumed(view)
        assert isinstance(plan, SearchPlan)  # As the view is a search's.
        opened.start(Searching(plan, choice), jobs.start_search, SearchView)


def _welcome() -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
    st.markdown(
        t(
            "Give a question whose answer you know. It is answered once **without a budget**; then smaller and smaller "
            "budgets are tried until none is left that is worth trying. You watch every try: what was asked for, what "
            "the model really spent, and whether it was still right."
        )
    )
