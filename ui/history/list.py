"""The rows of the History page, which of them are chosen, and what can be done with those.

What is chosen is remembered by the browser session while pages of the list are turned and filters changed, so that any
two sessions can be compared.
"""

from __future__ import annotations

import streamlit as st

from tale_core.access.who import asking
from tale_core.calls.outcomes import BadgeColor, OutcomeKind
from tale_core.errors import StoreError
from tale_core.history.filters import Filters
from tale_core.history.text import KINDS, SOURCES, STATUS, found_parts
from tale_core.i18n import t, tn
from tale_core.runs.runner import runner
from tale_core.settings import get_settings
from tale_core.store import Entry, Listing, Trash
from ui.common import sharing, state
from ui.common.nav import OF_KIND
from ui.common.text import fitting, literal

TITLE = 110
"""Room for a question, in Latin letters; a Chinese character takes two."""
_LOOK: dict[str, tuple[BadgeColor, str]] = {
    "running": ("blue", ":material/pending:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("gray", ":material/stop_circle:"),
    "interrupted": ("gray", ":material/power_off:"),
}


def chosen() -> dict[str, str]:
    """Id -> question of the chosen sessions, in the order they were chosen."""
    found: dict[str, str] = st.session_state.setdefault("hist_chosen", {})
    return found


def actions(listing: Listing, asked: Filters, count: str) -> None:
    """How many there are, and what can be done with the chosen ones. Always there, so that no row moves."""
    mine = chosen()
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


def row(entry: Entry) -> None:
    """One session: a link to it, what it is and what it found."""
    s = entry.summary
    path, _, icon = OF_KIND[s.kind]
    key = f"hist_pick_{s.id}"
    if st.session_state.get(key) != (s.id in chosen()):
        st.session_state[key] = s.id in chosen()
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
    mine = chosen()
    if st.session_state[key]:
        mine[session_id] = title
    else:
        mine.pop(session_id, None)


def _choose_none() -> None:
    chosen().clear()


def _compare() -> None:
    left, right = chosen()
    st.query_params.from_dict(state.address(a=left, b=right))


def _not_shared(session_id: str, why: str) -> None:
    st.session_state.setdefault("hist_refused", []).append((chosen().get(session_id, session_id), why))


def _delete() -> None:
    """Delete the chosen sessions for now; what could not be deleted stays chosen, and the page says why."""
    mine = chosen()
    try:
        done, refused = Trash(state.store()).delete(mine)
    except StoreError as e:
        st.session_state["hist_error"] = str(e)
        return
    for one in done:
        mine.pop(one.session_id, None)
    state.deletions().extend(one.session_id for one in done)
    st.session_state["hist_refused"] = [(mine.get(one.session_id, one.session_id), one.why) for one in refused]
