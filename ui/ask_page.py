"""The Ask page: form, the running or stored Ask below it, and what can be done next."""

from __future__ import annotations

import streamlit as st

from tale_core.i18n import t
from tale_core.jobs import AskJob, start_ask
from tale_core.models.prepare import preparation
from tale_core.sessions import AskView, view_of
from tale_core.types import CallRecord, SessionRecord
from ui import ask_form, ask_result, opened, state
from ui.shell import page
from ui.text import literal


def draw() -> None:
    """Draw the page."""
    session_id = str(st.query_params.get("session", ""))
    job = opened.running_job(session_id, AskView)
    session = None if job or not session_id else opened.stored(session_id)
    if session is not None and session.kind == "ask":
        ask_form.load(session)
    page(t("Ask"), following=job is not None)
    asked = ask_form.form(running=job is not None)
    _more_settings()
    if asked is not None:
        opened.start(asked, start_ask, AskView)
    # Two places, each of which empties the other: what a run does not draw again stays on the page until the run ends,
    # and a run that follows an answer ends late.
    running, ended = st.empty(), st.empty()
    if job is not None:
        with running.container():
            _follow(job)
    else:
        with ended.container():
            _ended(session, session_id)


def _ended(session: SessionRecord | None, session_id: str) -> None:
    if session is not None and session.kind != "ask":
        opened.elsewhere(session, "ask")
    elif session is not None:
        _show(session)
    elif (unsaved := opened.unsaved(session_id, AskView)) is not None:
        ask_result.whole(unsaved)
    else:
        _welcome()


def _follow(job: AskJob) -> None:
    """Draw a running job until it ends; leaving or refreshing the page leaves the job alone."""
    with st.container(horizontal=True, vertical_alignment="center"):
        head = st.empty()
        st.button(t("Stop"), key="stop", icon=":material/stop_circle:", on_click=job.stop, shortcut="Escape")
    budget = st.empty()
    columns = ask_result.AnswerColumns()
    for view in job.watch():
        with head.container():
            ask_result.phase_line(view)
        if view.budget is not None:
            with budget.container():
                ask_result.budget_line(view, interactive=False)
        columns.update(view)
        if view.not_saved:
            st.session_state["unsaved"] = view  # The store has nothing to show, or not all of it.
    st.rerun()


def _show(session: SessionRecord) -> None:
    ask_result.whole(view_of(session))
    if session.status == "running":
        opened.wait_for_the_other_program(session)
        return
    again = ask_form.rerun_with_budget(session, _reusable(session))
    if again is not None:
        opened.start(again, start_ask, AskView)


def _reusable(session: SessionRecord) -> CallRecord | None:
    """The finished vanilla answer, if the model that is chosen now is the one that wrote it."""
    choice = state.current_choice()
    if (choice.model, choice.endpoint) != (session.model, session.endpoint):
        return None
    return next((c for c in session.calls if c.role == "vanilla" and c.status == "done"), None)


def _more_settings() -> None:
    with st.expander(t("How it runs"), icon=":material/tune:"):
        left, right = st.columns(2)
        with left:
            state.keep("together")
            st.toggle(
                t("Both answers at the same time"), key="together", persist_state="session",
                help=t("Off: one after the other, so that each has the machine for itself and the times are clean."),
            )  # fmt: skip
        with right:
            state.keep("guess_first")
            st.toggle(
                t("Guess first"), key="guess_first", persist_state="session",
                help=t("Guess both token counts before the answers start; your guess is scored afterwards."),
            )  # fmt: skip
        st.caption(t("Sampling, max_tokens and the prompt's wording are in Settings."))


def _welcome() -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
    choice = state.current_choice()
    if choice.kind == "embedded":
        # It moves as the sidebar's line does: two accounts of one download must not differ, and a phone hides that one.
        busy = preparation(choice.model).status().busy
        st.fragment(_loading, run_every=1.0 if busy else None)(choice.model)
    st.markdown(
        t(
            "Ask once and see it answered twice: **vanilla**, thinking for as long as the model likes, and "
            "**budgeted**, told to stay under a number of tokens. You see what each one cost and whether it was right."
        )
    )


def _loading(name: str) -> None:
    status = preparation(name).status()
    if status.busy:
        meanwhile = t("You can type a question, or use an endpoint from Settings, meanwhile.")
        st.info(f"{literal(status.message)}\n\n{meanwhile}")
