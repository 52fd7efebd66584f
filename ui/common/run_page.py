"""A page of something that runs for long: Ask, Search, Elasticity and Experiments are each one `RunPage`.

The address is the only memory of which run is shown: a refresh or a shared link finds a running one again and never
starts anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import streamlit as st

from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.i18n import joined, t
from tale_core.models.choice import EMBEDDED
from tale_core.runs import runner as jobs
from tale_core.types import SessionKind, SessionRecord
from ui.common import sharing, state
from ui.common.nav import OF_KIND
from ui.common.question_form import Request
from ui.common.run_parts import WORDS, Now, RunView, ask_likewise, other_kind
from ui.common.text import literal
from ui.shell import page

EMBEDDED_WATCH_S = 0.2
"""Least seconds between two pictures of answers that this machine writes itself: each costs a browser 15 ms of a core,
which may be one of the model's."""
SAME_CLICK_S = 1.0
"""Seconds within which asking the very same again is the second half of a double click."""
V = TypeVar("V", bound=jobs.View)
V_contra = TypeVar("V_contra", contravariant=True)


class Form(Protocol):
    """Draws a form; what to start once its button is pressed."""

    def __call__(self, *, running: bool, folded: bool) -> Request | None:
        """`running`: a run is being followed. `folded`: a run is shown below, and a long form stays out of its way."""
        ...


class Live(Protocol[V_contra]):
    """The places that a running one fills."""

    def update(self, view: V_contra) -> None:
        """Draw the picture as it stands."""
        ...


def session_as(kind: SessionKind, view_of: Callable[[SessionRecord], Any]) -> Callable[[str], Any]:
    """The `read` of a page whose picture is made of the whole stored session."""

    def read(session_id: str) -> Any:
        session = state.store().get_session(session_id)
        return view_of(session) if session.kind == kind else session

    return read


def _nothing(view: Any) -> None:
    """Nothing to start from here."""


@dataclass(frozen=True, slots=True)
class _Found(Generic[V]):
    """What the address names and is not followed here: a run, a session of another kind, or why it is nothing."""

    view: V | None = None
    other: SessionRecord | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class RunPage(Generic[V]):
    """One page: what it starts, and what it draws of that before, meanwhile and afterwards.

    Attributes:
        kind: Of its sessions.
        view_type: The picture of one, running or stored.
        start: One of `start_ask`, `start_search`, `start_sweep`, `start_experiment`.
        read: The picture of a stored one by its id; of another kind of session the session itself.
        load: Puts what a run was asked for into the form.
        form: Draws the form, and gives what to start when its button is pressed.
        phase_line: Tells what happens right now.
        live: Makes the places that a running one fills.
        beside_stop: Draws what else can be done to a running one.
        head: Draws what an ended one found.
        picture: Draws all that stands below.
        resume: Offers to go on, between the two; gives what to start once that is pressed.
        again: Offers more at the end of the page, likewise.
        welcome: Draws what stands there while nothing is shown.
        changed: Whether one that runs in another program has changed since the picture was read.
        address: The part of the address that names it.
        waits: While nothing is shown the form says itself how far the model is, and the sidebar does not.
    """

    kind: SessionKind
    view_type: type[V]
    start: Callable[..., jobs.Job[V]]
    read: Callable[[str], V | SessionRecord]
    load: Callable[[V], None]
    form: Form
    phase_line: Callable[[V], Now]
    live: Callable[[], Live[V]]
    head: Callable[[V], None]
    picture: Callable[[V], None]
    welcome: Callable[[], None]
    beside_stop: Callable[[jobs.Job[V]], None] = _nothing
    resume: Callable[[V], Request | None] = _nothing
    again: Callable[[V], Request | None] = _nothing
    changed: Callable[[str, V], bool] | None = None
    address: str = "session"
    waits: bool = False

    def draw(self) -> None:
        """Draw the page."""
        session_id = self._address()
        job = self._job(session_id)
        found: _Found[V] = self._find(session_id) if session_id and job is None else _Found()
        shown = job.view() if job is not None else found.view
        if shown is not None and st.session_state.get("loaded") != session_id:
            st.session_state["loaded"] = session_id
            self.load(shown)
            ask_likewise(cast(RunView, shown))
        page(t(OF_KIND[self.kind][1]), following=job is not None or (self.waits and shown is None))
        self.begin(self.form(running=job is not None, folded=shown is not None))
        # Two places, each of which empties the other: what a run does not draw again stays on the page until the run
        # ends, and a run that follows a job ends late. What was followed goes when the rest is there: a page that
        # shrinks first scrolls, which closes an open list and loses the reader's place.
        if job is not None:
            st.empty()
            with st.container():
                self.follow(job)
            return
        place = st.container()
        with place:
            ended = self._ended(session_id, found)
        st.empty()
        if ended is not None:
            with place:
                self.begin(self.again(ended))

    def _address(self) -> str:
        """What the address names; links of the lists that all pages share say `session`."""
        if self.address != "session" and (session_id := st.query_params.get("session")) is not None:
            del st.query_params["session"]
            st.query_params.setdefault(self.address, session_id)
        return str(st.query_params.get(self.address, ""))

    def _job(self, session_id: str) -> jobs.Job[V] | None:
        """The running job of this session; None when it has ended, runs elsewhere, or is of another kind."""
        job = jobs.runner().get(session_id) if session_id else None
        view = job.view() if job is not None else None
        return job if isinstance(view, self.view_type) and view.running else None

    def _find(self, session_id: str) -> _Found[V]:
        """What is stored; where the store has nothing to show, what this browser session saw of it last."""
        try:
            found = self.read(session_id)
        except NotFoundError:
            return _Found(self.last_seen(session_id), problem=t(WORDS[self.kind].unknown))
        except StoreError as e:
            return _Found(self.last_seen(session_id), problem=str(e))
        return _Found(other=found) if isinstance(found, SessionRecord) else _Found(found)

    def last_seen(self, session_id: str) -> V | None:
        """The last picture of a run that this browser session started or followed last, once it has ended.

        A job may fail before the page has drawn it once, and with nothing stored.
        """
        job = st.session_state.get("last_job")
        view = job.view() if job is not None and job.id == session_id else None
        return view if isinstance(view, self.view_type) and not view.running else None

    def begin(self, request: Request | None) -> None:
        """Start a job and show it; the second half of a double click shows what the first half started."""
        if request is None:
            return
        if (session_id := self._started_just_now(request)) is not None:
            st.query_params[self.address] = session_id
            st.rerun()
        secrets, key = state.secrets(), state.session_keys().get(request.choice.key)
        try:
            job = self.start(request.plan, request.choice, store=state.store(), secrets=secrets, key=key)
        except (InputError, StoreError) as e:
            st.error(literal(str(e), 800), icon=":material/error:")
            return
        st.session_state["loaded"] = job.id
        st.session_state["last_job"] = job
        st.session_state["started"] = (request, job.id, time.monotonic())
        st.query_params[self.address] = job.id
        st.rerun()

    def _started_just_now(self, request: Request) -> str | None:
        """The session that this very request has started already.

        The second half of a double click can arrive when the first has started its job and the browser does not know
        yet: it still sends the old address.
        """
        last, session_id, when = st.session_state.get("started", (None, "", 0.0))
        if last != request:
            return None
        running = self._job(session_id) is not None
        return session_id if running or time.monotonic() - when < SAME_CLICK_S else None

    def follow(self, job: jobs.Job[V]) -> None:
        """Draw a running job until it ends; leaving or refreshing the page leaves the job alone."""
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            head = st.container(width="stretch").empty()
            self.beside_stop(job)
            st.button(t("Stop"), key="stop", icon=":material/stop_circle:", on_click=job.stop, shortcut="Escape")
        live, said = self.live(), None
        own = cast(RunView, job.view()).endpoint == EMBEDDED
        for view in job.watch(interval_s=EMBEDDED_WATCH_S if own else jobs.WATCH_S):
            # Streamlit takes a click where something is drawn or the session's state is touched; there may be nothing
            # to draw: a browser draws the whole page anew for each piece that it is sent.
            st.session_state["last_job"] = job
            if (now := self.phase_line(view)) != said:
                said = now
                with head.container():
                    now.draw()
            live.update(view)
        st.rerun()

    def _ended(self, session_id: str, found: _Found[V]) -> V | None:
        """Draw what is not followed here; returns a run that has ended, of which more may be asked."""
        view = found.view
        if found.other is not None:
            other_kind(found.other, self.kind)
        elif view is None:
            if found.problem:
                st.warning(literal(found.problem, 800))
            self.welcome()
        else:
            self.head(view)
            if view.running:
                st.fragment(self._wait, run_every=2.0)(session_id, view)
            else:
                self.begin(self.resume(view))
            self.picture(view)
            sharing.of_session(session_id)
            if not view.running:
                return view
        return None

    def _wait(self, session_id: str, shown: V) -> None:
        """Follow a session that another process is working on through what it stores."""
        st.caption(joined(t(WORDS[self.kind].elsewhere), t("The page follows what it stores.")))
        try:
            changed = self.read(session_id) != shown if self.changed is None else self.changed(session_id, shown)
        except StoreError as e:
            st.error(literal(str(e), 600), icon=":material/database_off:")
            return
        if changed:
            st.rerun()
