"""The History page: all sessions as a list, or two of them side by side.

The address says what is shown: `q`, `kind`, … the filters, `after` or `before` a place in the list, `a` and `b` two
sessions to compare. `session` leads on to the page that shows it.
"""

from __future__ import annotations

import streamlit as st

from tale_core.access.who import asking
from tale_core.errors import InputError, StoreError
from tale_core.history.filters import Filters, place_from, place_words
from tale_core.history.text import count_words
from tale_core.i18n import t
from tale_core.lessons import lesson
from tale_core.lessons.recorded import in_language, rebounding
from tale_core.store import History, Listing, Place, tidy
from ui.common import evidence, state
from ui.common.nav import ASK, OF_KIND
from ui.common.text import fitting, literal
from ui.history import archive as history_archive
from ui.history import compare as history_compare
from ui.history import filters as history_filters
from ui.history import list as history_list
from ui.history import trash as history_trash
from ui.shell import page

ON_A_PAGE = 20


def draw() -> None:
    """Draw the page."""
    page(t("History"), undoing=True)
    _lead_on()
    left, right = (str(st.query_params.get(name, "")) for name in ("a", "b"))
    # Two places, each of which empties the other: what a run does not draw again stays on the page until it ends.
    compared, listed = st.empty(), st.empty()
    if left and right:
        with compared.container():
            history_compare.draw(left, right)
    else:
        with listed.container():
            _all()


def _lead_on() -> None:
    """Open the page of a session that the address names: a link of the list that was opened in a new tab."""
    session_id = str(st.query_params.get("session", ""))
    for kind, (path, _, _) in OF_KIND.items():
        if session_id.startswith(f"{kind}-"):
            st.switch_page(path, query_params=state.address(session=session_id))


def _all() -> None:
    st.markdown("## " + t("History"), anchors=False)
    try:
        tidy(state.store())
        models = History(state.store()).models()
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return
    if models:
        _list(history_filters.draw(models))
    else:
        _nothing_yet()
    if asking().sees_all:  # An archive holds what is everybody's, labels above all, and brings rows for all.
        history_archive.draw(history_filters.asked(), history_list.chosen())


def _list(asked: Filters) -> None:
    listing = _listing(asked)
    history_trash.draw()
    if listing is None:
        return
    history_list.actions(listing, asked, count_words(listing.count, filtered=bool(asked.many)))
    if not listing.entries:
        st.info(t("No session fits."), icon=":material/search_off:")
        st.button(t("Show all sessions"), key="hist_all", on_click=history_filters.clear)
        return
    for entry in listing.entries:
        history_list.row(entry)
    _pager(listing, asked)


def _listing(asked: Filters) -> Listing | None:
    after, before = (place_from(str(st.query_params.get(name, ""))) for name in ("after", "before"))
    try:
        return History(state.store()).listing(asked.session_filter(), limit=ON_A_PAGE, after=after, before=before)
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return None


def _pager(listing: Listing, asked: Filters) -> None:
    if listing.newer is None and listing.older is None:
        return
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.button(
            t("Newer"), key="hist_newer", icon=":material/chevron_left:", disabled=listing.newer is None,
            on_click=_turn, args=(asked, "before", listing.newer),
        )  # fmt: skip
        st.button(
            t("Older"), key="hist_older", icon=":material/chevron_right:", icon_position="right",
            disabled=listing.older is None, on_click=_turn, args=(asked, "after", listing.older),
        )  # fmt: skip


def _turn(asked: Filters, direction: str, place: Place) -> None:
    history_filters.goto(asked, **{direction: place_words(place)})


def _nothing_yet() -> None:
    history_trash.draw()
    st.markdown(t("Nothing is stored yet. Every question you ask, search or measure is kept here, with its answers."))
    st.page_link(ASK[0], label=t("Ask a question"), icon=ASK[2], query_params=state.address() or None)
    _examples()


def _examples() -> None:
    """The runs that ship with the program, each told as a row of one's own is, with the page that shows it."""
    with st.container(key="evidence"):
        try:
            recordings = [in_language("ask"), in_language("search"), rebounding()]
        except InputError as e:
            st.error(literal(str(e), 800), icon=":material/error:")
            return
        made = recordings[0].made
        evidence.heading(evidence.mark(made.model, made.on.isoformat()))
        for recording in recordings:
            session = recording.session
            path, title, icon = OF_KIND[session.kind]
            label = literal(fitting(session.question.text, history_list.TITLE), history_list.TITLE)
            # A button, and no link: a link has less height than what stands there until the browser has its code.
            if st.button(label, key=f"example_{recording.name}", icon=icon, type="tertiary", wrap=True):
                st.switch_page(path, query_params=state.address() or None)
            st.markdown(f":small[{literal(lesson.finding(recording), 400)} :gray[{t(title)}]]")
