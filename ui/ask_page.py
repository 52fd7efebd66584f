"""The Ask page: form, the running or stored Ask below it, and what can be done next.

`?session=` in the address is the only memory of which Ask is shown: a refresh or a shared link finds a running one
again and never starts anything.
"""

from __future__ import annotations

import time

import streamlit as st

from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.jobs import AskJob, runner, start_ask
from tale_core.sessions import view_of
from tale_core.types import CallRecord, SessionRecord
from ui import ask_form, ask_result, state
from ui.ask_form import Asked
from ui.shell import page
from ui.text import literal

SAME_CLICK_S = 1.0
"""Seconds within which asking the very same again is the second half of a double click."""


def draw() -> None:
    """Draw the page."""
    session_id = str(st.query_params.get("session", ""))
    job = runner().get(session_id) if session_id else None
    if job is not None and not job.view().running:
        job = None  # It has ended and is stored; only its clean-up is left.
    session = None if job or not session_id else _stored(session_id)
    if session is not None:
        ask_form.load(session)
    page("Ask", following=job is not None)
    asked = ask_form.form(running=job is not None)
    _more_settings()
    if asked is not None:
        _start(asked)
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
    if session is not None:
        _show(session)
    elif (unsaved := st.session_state.get("unsaved")) is not None and unsaved.session_id == session_id:
        ask_result.whole(unsaved)
    else:
        _welcome()


def _stored(session_id: str) -> SessionRecord | None:
    try:
        return state.store().get_session(session_id)
    except NotFoundError:
        st.session_state["page_error"] = "There is no session of this name in the database. It may have been deleted."
    except StoreError as e:
        st.session_state["page_error"] = str(e)
    return None


def _start(asked: Asked) -> None:
    if (session_id := _started_just_now(asked)) is not None:
        st.query_params["session"] = session_id
        st.rerun()
    choice, secrets, key = asked.choice, state.secrets(), state.session_keys().get(asked.choice.key)
    try:
        job = start_ask(asked.plan, choice, store=state.store(), secrets=secrets, key=key)
    except (InputError, StoreError) as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    st.session_state["loaded"] = job.id
    st.session_state["started"] = (asked, job.id, time.monotonic())
    st.query_params["session"] = job.id
    st.rerun()


def _started_just_now(asked: Asked) -> str | None:
    """The session that this very request has started already.

    The second half of a double click can arrive when the first has started its Ask and the browser does not know yet:
    it still sends the old address.
    """
    last, session_id, when = st.session_state.get("started", (None, "", 0.0))
    if last != asked:
        return None
    job = runner().get(session_id)
    running = job is not None and job.view().running
    return session_id if running or time.monotonic() - when < SAME_CLICK_S else None


def _follow(job: AskJob) -> None:
    """Draw a running job until it ends; leaving or refreshing the page leaves the job alone."""
    with st.container(horizontal=True, vertical_alignment="center"):
        head = st.empty()
        st.button("Stop", key="stop", icon=":material/stop_circle:", on_click=job.cancel, shortcut="Escape")
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
        _wait_for_the_other_program(session)
        return
    again = ask_form.rerun_with_budget(session, _reusable(session))
    if again is not None:
        _start(again)


@st.fragment(run_every=2.0)
def _wait_for_the_other_program(shown: SessionRecord) -> None:
    st.caption("This session runs in another program, on the command line perhaps. The page follows what it stores.")
    if state.store().get_session(shown.id) != shown:
        st.rerun()


def _reusable(session: SessionRecord) -> CallRecord | None:
    """The finished vanilla answer, if the model that is chosen now is the one that wrote it."""
    choice = state.current_choice()
    if (choice.model, choice.endpoint) != (session.model, session.endpoint):
        return None
    return next((c for c in session.calls if c.role == "vanilla" and c.status == "done"), None)


def _more_settings() -> None:
    with st.expander("How it runs", icon=":material/tune:"):
        left, right = st.columns(2)
        with left:
            state.keep("together")
            st.toggle(
                "Both answers at the same time", key="together", persist_state="session",
                help="Off: one after the other, so that each has the machine for itself and the times are clean.",
            )  # fmt: skip
        with right:
            state.keep("guess_first")
            st.toggle(
                "Guess first", key="guess_first", persist_state="session",
                help="Guess both token counts before the answers start; your guess is scored afterwards.",
            )  # fmt: skip
        st.caption("Sampling, max_tokens and the prompt's wording are in Settings.")


def _welcome() -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
    choice = state.current_choice()
    if choice.kind == "embedded":
        from tale_core.models.prepare import preparation

        status = preparation(choice.model).status()
        if status.busy:
            st.info(f"{literal(status.message)} You can type a question, or use an endpoint from Settings, meanwhile.")
    st.markdown(
        "Ask once and see it answered twice: **vanilla**, thinking for as long as the model likes, and **budgeted**, "
        "told to stay under a number of tokens. You see what each one cost and whether it was right."
    )
