"""The session that a page's address names: found again, started, or shown elsewhere. Shared by every such page.

`?session=` is the only memory of which session is shown: a refresh or a shared link finds a running one again and
never starts anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import streamlit as st

from tale_core import jobs
from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.i18n import N_, joined, t
from tale_core.models.choice import EMBEDDED, ModelChoice
from tale_core.types import SessionKind, SessionRecord
from ui import state
from ui.shell import OF_KIND
from ui.text import literal

SAME_CLICK_S = 1.0
"""Seconds within which asking the very same again is the second half of a double click."""
RESUMABLE = ("interrupted", "failed", "cancelled")
WORDS: dict[SessionKind, str] = {
    "ask": N_("an Ask session"), "search": N_("a search"), "sweep": N_("a sweep"), "experiment": N_("an experiment"),
}  # fmt: skip
"""What a session of each kind is called, with its article (said with `t`)."""
_RESUMED: dict[SessionKind, str] = {
    "ask": N_("The Ask session that this one resumed"),
    "search": N_("The search that this one resumed"),
    "sweep": N_("The sweep that this one resumed"),
    "experiment": N_("The experiment that this one resumed"),
}
_ELSEWHERE: dict[SessionKind, str] = {
    "ask": N_("This Ask session runs in another program, on the command line perhaps."),
    "search": N_("This search runs in another program, on the command line perhaps."),
    "sweep": N_("This sweep runs in another program, on the command line perhaps."),
    "experiment": N_("This experiment runs in another program, on the command line perhaps."),
}
V = TypeVar("V", bound=jobs.View)


class Requested(Protocol):
    """What a form asks for."""

    @property
    def plan(self) -> Any:
        """The plan of an Ask, a search or a sweep."""
        ...

    @property
    def choice(self) -> ModelChoice:
        """Whom to ask."""
        ...


def running_job(session_id: str, view_type: type[V]) -> jobs.Job[V] | None:
    """The running job of this session; None when it has ended, runs elsewhere, or is of another kind."""
    job = jobs.runner().get(session_id) if session_id else None
    if job is None:
        return None
    view = job.view()
    return job if isinstance(view, view_type) and view.running else None


def stored(session_id: str) -> SessionRecord | None:
    """The stored session, or None; the reason is then shown by the page's welcome."""
    try:
        return state.store().get_session(session_id)
    except NotFoundError:
        st.session_state["page_error"] = t(
            "There is no session of this name in the database. It may have been deleted."
        )
    except StoreError as e:
        st.session_state["page_error"] = str(e)
    return None


def unsaved(session_id: str, view_type: type[V]) -> V | None:
    """The last picture of a session that the store could not take; None when there is none of this kind."""
    view = st.session_state.get("unsaved")
    if isinstance(view, view_type) and getattr(view, "session_id", None) == session_id:
        return view
    return ended_here(session_id, view_type)


def ended_here(session_id: str, view_type: type[V]) -> V | None:
    """The last picture of the job that this browser session started last, once it has ended.

    A job may fail before the page has drawn it once, and with nothing stored.
    """
    job = st.session_state.get("started_job")
    if not isinstance(job, jobs.Job) or job.id != session_id:
        return None
    view = job.view()
    return view if isinstance(view, view_type) and not view.running else None


def start(
    request: Requested, starter: Callable[..., jobs.Job[Any]], view_type: type[jobs.View], *, address: str = "session"
) -> None:
    """Start a job and show it; the second half of a double click shows what the first half started.

    Args:
        request: What the form asks for.
        starter: One of `jobs.start_ask`, `jobs.start_search`, `jobs.start_sweep`, `jobs.start_experiment`.
        view_type: The kind of view that the job has.
        address: The part of the address that names it.
    """
    if (session_id := _started_just_now(request, view_type)) is not None:
        st.query_params[address] = session_id
        st.rerun()
    choice, secrets, key = request.choice, state.secrets(), state.session_keys().get(request.choice.key)
    try:
        job = starter(request.plan, choice, store=state.store(), secrets=secrets, key=key)
    except (InputError, StoreError) as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    st.session_state["loaded"] = job.id
    st.session_state["started_job"] = job
    st.session_state["started"] = (request, job.id, time.monotonic())
    st.query_params[address] = job.id
    st.rerun()


def _started_just_now(request: Requested, view_type: type[jobs.View]) -> str | None:
    """The session that this very request has started already.

    The second half of a double click can arrive when the first has started its job and the browser does not know yet:
    it still sends the old address.
    """
    last, session_id, when = st.session_state.get("started", (None, "", 0.0))
    if last != request:
        return None
    running = running_job(session_id, view_type) is not None
    return session_id if running or time.monotonic() - when < SAME_CLICK_S else None


def elsewhere(session: SessionRecord, here: SessionKind) -> None:
    """Say that the link leads to a session of another kind, and offer the page that shows it."""
    path, title, icon = OF_KIND[session.kind]
    st.info(t("This link leads to {found}, not to {expected}.", found=t(WORDS[session.kind]), expected=t(WORDS[here])))
    st.page_link(
        path, label=t("Open it under {page}", page=t(title)), icon=icon, query_params=state.address(session=session.id)
    )


def parent_link(parent_id: str | None, kind: SessionKind) -> None:
    """A link to the session that this one resumed, if it did."""
    if parent_id:
        path, _, _ = OF_KIND[kind]
        st.page_link(
            path, label=t(_RESUMED[kind]), icon=":material/history:",
            query_params=state.address(session=parent_id),
        )  # fmt: skip


def resume_button(model: str, endpoint: str, *, capped: bool = False) -> ModelChoice | None:
    """A button to go on where a session ended, with the model that it ran on; that model once it is pressed.

    Args:
        model: The session's model.
        endpoint: Its endpoint; both must be among the models that can be asked now.
        capped: It ended at a cap, which the resumed session counts anew.
    """
    choices = state.model_choices().values()
    choice = next((c for c in choices if (c.model, c.endpoint) == (model, endpoint)), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(t("Resume"), key="resume", icon=":material/resume:", disabled=choice is None)
        if choice is None and endpoint == EMBEDDED:
            words = t("It ran on {model}, on this machine: that model is needed to resume.", model=model)
        elif choice is None:
            words = t(
                "It ran on {model} at {endpoint}: add that model in Settings to resume.", model=model, endpoint=endpoint
            )
        else:
            kept = t("Finished answers are not paid for again.")
            if capped:
                kept = t("Finished answers are not paid for again, and the cap counts anew.")
            words = joined(t("It goes on where it ended."), kept)
        st.caption(literal(words, 400), width="content")
    return choice if pressed else None


@st.fragment(run_every=2.0)
def wait_for_the_other_program(shown: SessionRecord) -> None:
    """Follow a session that another process is working on through what it stores."""
    st.caption(joined(t(_ELSEWHERE[shown.kind]), t("The page follows what it stores.")))
    if state.store().get_session(shown.id) != shown:
        st.rerun()
