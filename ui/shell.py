"""What every page begins with: page configuration, the sidebar with navigation, model status and recent sessions."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import streamlit as st

from tale_core import logs
from tale_core.access.who import Role, asking
from tale_core.errors import StoreError, TaleError
from tale_core.estimators import load_ahead
from tale_core.experiments.create import experiment_title
from tale_core.i18n import joined, language, t
from tale_core.models.embedded.prepare import Readiness, preparation
from tale_core.runs.runner import runner
from ui import access
from ui.common import state
from ui.common.nav import HISTORY, OF_KIND, pages
from ui.common.text import fitting, literal

RECENT = 12
RECENT_LETTERS = 26
"""Of a question, as wide as Latin ones: Chinese ones take the room of two."""
# A :material/…: icon here would be fetched from outside, and a file would be read and hashed for every run of a page.
ICON = "data:image/png;base64," + b64encode(Path(__file__).with_name("icon.png").read_bytes()).decode()


def show(draw: Callable[[], None], *, roles: tuple[Role, ...] = ("owner", "member")) -> None:
    """Draw a page for those whom it is for; what makes that impossible (a wrong setting, say) is told in words.

    Nothing is read before it is known who asks: neither the address nor what is stored.

    Args:
        draw: The page.
        roles: For whom it is; anybody else is led to a page of theirs.
    """
    try:
        _set_up_logs()
        asker = asking()
        if asker.role == "stranger":
            access.sign_in()
        elif asker.role not in roles:
            st.switch_page(pages(asker.role)[0][0])
        else:
            draw()
    except TaleError as e:
        st.error(literal(str(e), 800), icon=":material/error:")


@st.cache_resource(show_spinner=False)
def _set_up_logs() -> None:
    logs.set_up_logs()


def page(title: str, *, following: bool = False, undoing: bool = False, alone: bool = False) -> None:
    """Begin a page.

    Args:
        title: Shown in the browser's tab.
        following: The page will follow a running job. It then says itself how far the model is: a page that follows
            runs no fragment, so a second account in the sidebar would stand still.
        undoing: The page offers to undo the deletions that were just made on it.
        alone: The page needs no model and shows no sessions, and the sidebar stays folded: for a class, whose screens
            are small or on a projector.
    """
    state.keep_language()
    if not undoing:
        state.forget_deletions()
    state.empty_trash()
    sidebar: Literal["auto", "collapsed"] = "collapsed" if alone else "auto"
    st.set_page_config(page_title=f"{title} · TALE", page_icon=ICON, layout="wide", initial_sidebar_state=sidebar)
    if language() != "en":
        # Streamlit says below a box that Enter submits it, in English alone.
        st.html("<style>[data-testid=InputInstructions] { display: none; }</style>")
    with st.sidebar:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("### TALE", anchors=False, width="content")
            state.language_switch(t("Language"))
        st.caption(t("See, measure and shrink what a model spends on reasoning."))
        for path, label, icon in pages(asking().role):
            st.page_link(path, label=t(label), icon=icon, query_params=state.address() or None)
        if asking().account and asking().role != "student":
            access.who_is_here(asking().account)
        if alone:
            return
        choice = state.current_choice()
        if choice.kind == "embedded":
            _begin_embedded(choice.model)
            if not following:
                model_status(choice.model, narrow=True)
        else:
            st.caption(t("Model: {name}", name=literal(choice.title)))
        _recent()


def _begin_embedded(name: str) -> None:
    # At the first page, not at the first question: fetching takes minutes, and the page is already there to say so.
    one = preparation(name)
    if one.status().state == "idle":
        one.start()
    load_ahead(name)


def model_status(name: str, *, meanwhile: str = "", narrow: bool = False) -> None:
    """The embedded model's state; follows it while something happens.

    Args:
        name: Of the model.
        meanwhile: What can be done until it is there.
        narrow: In the sidebar, where a long reason is folded away.
    """
    busy = preparation(name).status().busy
    # A run of the whole page shows the new state anyway; starting it again would lose the click that caused it.
    st.session_state["status_was_busy"] = busy
    st.fragment(_status_line, run_every=1.0 if busy else None)(name, meanwhile, narrow)


def _status_line(name: str, meanwhile: str, narrow: bool) -> None:
    status = preparation(name).status()
    draw_status(status, meanwhile=meanwhile, narrow=narrow)
    if not status.busy and st.session_state.get("status_was_busy"):
        st.session_state["status_was_busy"] = False
        st.rerun()
    st.session_state["status_was_busy"] = status.busy


def draw_status(status: Readiness, *, meanwhile: str = "", narrow: bool = False) -> None:
    """One readiness as a line, with a bar while bytes are counted, and what can be done meanwhile."""
    if status.state == "ready":
        st.caption(f":green[:material/check_circle:] {literal(status.message)}")
        return
    if status.state == "failed":
        box = st.expander(t("The model is not there"), icon=":material/error:") if narrow else st.container()
        box.error(literal(status.message, 800), icon=None if narrow else ":material/error:")
        if st.button(t("Try again"), key=f"retry_{status.name}"):
            preparation(status.name).start()
            st.rerun()
        return
    words = literal(joined(status.message, meanwhile), 600)
    if status.fraction is not None:
        st.progress(min(1.0, status.fraction), text=words)
    else:
        st.caption(f":material/hourglass_top: {words}")


def _recent() -> None:
    try:
        sessions = state.store().list_sessions(limit=RECENT)
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/database_off:")
        return
    if not sessions:
        return
    st.caption(t("Recent sessions"))
    with st.container(gap=None):
        for s in sessions:
            running = runner().get(s.id) is not None
            path, title, icon = OF_KIND[s.kind]
            icon = ":material/pending:" if running else icon
            # Sessions of one question look alike in a list this narrow: the rest is told on pointing at one.
            when = t("{when:%d %b %H:%M}", when=s.created_at.astimezone())
            name = experiment_title(s.question_text) if s.kind == "experiment" else s.question_text
            about = f"{t(title)} · {s.model} · {when} · {name}"
            label = literal(fitting(name, RECENT_LETTERS))
            # Buttons, not page links: every link to the page that is open would be drawn as the chosen one.
            if st.button(label, key=f"open_{s.id}", icon=icon, type="tertiary", help=literal(about, 400)):
                st.switch_page(path, query_params=state.address(session=s.id))
        if st.button(t("All sessions"), key="all_sessions", icon=HISTORY[2], type="tertiary"):
            st.switch_page(HISTORY[0], query_params=state.address())
