"""The History page: all sessions as a list, or two of them side by side.

The address says what is shown: `q`, `kind`, … the filters, `after` or `before` a place in the list, `a` and `b` two
sessions to compare. `session` leads on to the page that shows it. What is chosen is remembered by the browser session
while pages of the list are turned and filters changed, so that any two sessions can be compared.
"""

from __future__ import annotations

import streamlit as st

from tale_core.access.who import asking
from tale_core.calls.outcomes import BadgeColor, OutcomeKind
from tale_core.errors import InputError, StoreError
from tale_core.history.filters import Filters, place_from, place_words
from tale_core.history.text import KINDS, SOURCES, STATUS, count_words, found_parts
from tale_core.i18n import t, tn
from tale_core.lessons import lesson
from tale_core.lessons.recorded import in_language, rebounding
from tale_core.runs.runner import runner
from tale_core.settings import get_settings
from tale_core.store import Entry, History, Listing, Place, Trash, tidy
from ui.common import evidence, sharing, state
from ui.common.nav import ASK, OF_KIND
from ui.common.text import fitting, literal
from ui.history import archive as history_archive
from ui.history import compare as history_compare
from ui.history import filters as history_filters
from ui.history import trash as history_trash
from ui.shell import page

ON_A_PAGE = 20
TITLE = 110
"""Room for a question, in Latin letters; a Chinese character takes two."""
_LOOK: dict[str, tuple[BadgeColor, str]] = {
    "running": ("blue", ":material/pending:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("gray", ":material/stop_circle:"),
    "interrupted": ("gray", ":material/power_off:"),
}


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
        history_archive.draw(history_filters.asked(), _chosen())


def _list(asked: Filters) -> None:
    listing = _listing(asked)
    history_trash.draw()
    if listing is None:
        return
    _actions(listing, count_words(listing.count, filtered=bool(asked.many)))
    if not listing.entries:
        st.info(t("No session fits."), icon=":material/search_off:")
        st.button(t("Show all sessions"), key="hist_all", on_click=history_filters.clear)
        return
    for entry in listing.entries:
        _row(entry)
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
            label = literal(fitting(session.question.text, TITLE), TITLE)
            # A button, and no link: a link has less height than what stands there until the browser has its code.
            if st.button(label, key=f"example_{recording.name}", icon=icon, type="tertiary", wrap=True):
                st.switch_page(path, query_params=state.address() or None)
            st.markdown(f":small[{literal(lesson.finding(recording), 400)} :gray[{t(title)}]]")


def _chosen() -> dict[str, str]:
    """Id -> question of the chosen sessions, in the order they were chosen."""
    found: dict[str, str] = st.session_state.setdefault("hist_chosen", {})
    return found


def _actions(listing: Listing, count: str) -> None:
    """How many there are, and what can be done with the chosen ones. Always there, so that no row moves."""
    mine = _chosen()
    with st.container(horizontal=True, vertical_alignment="center", key="hist_actions"):
        st.markdown(f"**{count}**", width="content")
        st.button(
            t("Compare"), key="hist_compare", icon=":material/compare:", disabled=len(mine) != 2, on_click=_compare,
            help=None if len(mine) == 2 else t("Choose exactly two sessions."),
        )  # fmt: skip
        st.button(t("Delete"), key="hist_delete", icon=":material/delete:", disabled=not mine, on_click=_delete)
        if get_settings().access == "team":
            sharing.box(list(mine), key="hist_share", off=not mine, failed=_not_shared)
        if mine:
            words = tn("Choose none of {n}", "Choose none of {n}", len(mine))
            st.button(words, key="hist_none", type="tertiary", on_click=_choose_none, help=_titles(mine))
        elif listing.entries:
            st.caption(t("Choose some to compare, delete or export them."), width="content")


def _titles(mine: dict[str, str]) -> str:
    return "  \n".join(literal(title, 60) for title in list(mine.values())[:10])


def _row(entry: Entry) -> None:
    """One session: a link to it, what it is and what it found."""
    s = entry.summary
    path, _, icon = OF_KIND[s.kind]
    key = f"hist_pick_{s.id}"
    if st.session_state.get(key) != (s.id in _chosen()):
        st.session_state[key] = s.id in _chosen()
    with st.container(horizontal=True, gap="small"):
        st.checkbox(
            t("Choose: {title}", title=literal(s.question_text, 80)), key=key, label_visibility="collapsed",
            on_change=_pick, args=(s.id, s.question_text, key), width="content",
        )  # fmt: skip
        with st.container(gap=None):
            title = literal(fitting(s.question_text, TITLE), TITLE) or t("(no text)")
            st.page_link(path, label=title, icon=icon, query_params=state.address(session=s.id))
            # No caption: it would fade the outcome's colour until it could not be read.
            st.markdown(f":small[{' · '.join(part for part in _about(entry) if part)}]")


def _about(entry: Entry) -> list[str]:
    s = entry.summary
    when = f"{s.created_at.astimezone():%Y-%m-%d %H:%M}"
    found = ", ".join(_part(words, kind) for words, kind in found_parts(entry))
    source = "" if entry.source == "live" else t(SOURCES[entry.source])
    whose = "" if entry.account == asking().account else literal(entry.account or t("the owner"), 60)
    named = t("shared with {names}", names=literal(", ".join(entry.people), 120)) if entry.people and not whose else ""
    seen = t("shared") if entry.shared or (entry.people and whose) else named
    plain = (t(KINDS[s.kind]), literal(s.model, 60), when, source, whose, seen)
    return [_status(entry), found, f":gray[{' · '.join(part for part in plain if part)}]"]


def _part(words: str, kind: OutcomeKind | None) -> str:
    """A few words on an answer, with how it ended where that could be judged."""
    shown = f":gray[{literal(words, 200)}]"
    return f"{shown} :{kind.color}[{kind.icon} {literal(t(kind.label))}]" if kind else shown


def _status(entry: Entry) -> str:
    s = entry.summary
    if s.status == "done":
        return ""
    color, icon = _LOOK[s.status]
    running = s.status == "running" and runner().get(s.id) is None
    words = t("Running in another program") if running else t(STATUS[s.status])
    return f":{color}[{icon} {literal(words)}]"


def _pick(session_id: str, title: str, key: str) -> None:
    mine = _chosen()
    if st.session_state[key]:
        mine[session_id] = title
    else:
        mine.pop(session_id, None)


def _choose_none() -> None:
    _chosen().clear()


def _compare() -> None:
    left, right = _chosen()
    st.query_params.from_dict(state.address(a=left, b=right))


def _not_shared(session_id: str, why: str) -> None:
    st.session_state.setdefault("hist_refused", []).append((_chosen().get(session_id, session_id), why))


def _delete() -> None:
    """Delete the chosen sessions for now; what could not be deleted stays chosen, and the page says why."""
    mine = _chosen()
    try:
        done, refused = Trash(state.store()).delete(mine)
    except StoreError as e:
        st.session_state["hist_error"] = str(e)
        return
    for one in done:
        mine.pop(one.session_id, None)
    state.deletions().extend(one.session_id for one in done)
    st.session_state["hist_refused"] = [(mine.get(one.session_id, one.session_id), one.why) for one in refused]
