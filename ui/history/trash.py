"""What was deleted: a line above the list for what just was, and the trash for the rest, until its time is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import streamlit as st

from tale_core.errors import NotFoundError, StoreError
from tale_core.i18n import t, tn
from tale_core.labels import rederive
from tale_core.lessons import room_trash
from tale_core.store import UNDO_FOR, Deleted, RoomRecord, Trash
from ui.common import state
from ui.common.text import literal

LISTED = 20


def draw() -> None:
    """Say what can be undone and until when, and what could not be deleted and why."""
    if error := st.session_state.pop("hist_error", ""):
        st.error(literal(error, 800), icon=":material/error:")
    for title, why in st.session_state.pop("hist_refused", ()):
        st.warning(f"**{literal(title, 80)}**: {literal(why, 300)}", icon=":material/block:")
    try:
        pending, rooms = Trash(state.store()).pending(), room_trash.deleted_rooms()
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return
    here = [one for one in pending if one.session_id in state.deletions()]
    elsewhere = [one for one in pending if one.session_id not in state.deletions()]
    if here:
        _mine(here)
    if elsewhere or rooms:
        # The same words however many there are: a title that changes would close the box after each undo.
        with st.expander(t("Trash"), icon=":material/restore_from_trash:"):
            st.caption(t("What was deleted stays here for {days} days. No export holds it.", days=UNDO_FOR.days))
            for one in elsewhere[:LISTED]:
                _line(one.session_id, literal(one.title, 80), one.final_at, _undo, [one.session_id])
            for room in rooms[:LISTED]:
                title = t("Room {code}", code=room.code)
                _line(room.id, title, room.final_at, _undo_room, room.id)
            _rest(elsewhere, rooms)


def _mine(here: list[Deleted]) -> None:
    until = min(one.final_at for one in here).astimezone()
    if len(here) == 1:
        said = t("Deleted: {title}", title=literal(here[0].title, 80))
    else:
        said = tn("{n} session deleted.", "{n} sessions deleted.", len(here))
    with st.container(horizontal=True, vertical_alignment="center", border=True, key="hist_undo_bar"):
        st.markdown(f":material/delete: {said}", width="content")
        st.button(
            t("Undo"), key="hist_undo", icon=":material/undo:", on_click=_undo,
            args=([one.session_id for one in here],),
        )  # fmt: skip
        st.caption(t("In the trash until {day}.", day=f"{until:%Y-%m-%d}"), width="content")


def _line(key: str, title: str, final_at: datetime, undo: Callable[[Any], None], what: object) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            t("Undo"), key=f"hist_undo_{key}", icon=":material/undo:", type="tertiary", on_click=undo, args=(what,)
        )
        until = t("until {day}", day=f"{final_at.astimezone():%Y-%m-%d}")
        st.markdown(f"{title} · {until}", width="content")


def _rest(listed: list[Deleted], rooms: list[RoomRecord]) -> None:
    if older := max(0, len(listed) - LISTED) + max(0, len(rooms) - LISTED):
        st.caption(tn("… and {n} older one.", "… and {n} older ones.", older))
    with st.popover(t("Delete for good"), icon=":material/delete_forever:"):
        st.write(t("What is in the trash is then gone and cannot be brought back."))
        st.button(t("Yes, empty the trash"), key="hist_empty", type="primary", on_click=_empty, args=(listed, rooms))


def _empty(listed: list[Deleted], rooms: list[RoomRecord]) -> None:
    """What was there when the button was drawn; what somebody deleted since stays."""
    try:
        Trash(state.store()).finish([one.session_id for one in listed])
        room_trash.finish([one.id for one in rooms])
    except StoreError as e:
        st.session_state["hist_error"] = str(e)


def _undo(session_ids: list[str]) -> None:
    mine = state.deletions()
    for session_id in session_ids:
        try:
            Trash(state.store(), rederive).undo(session_id)
        except NotFoundError:
            pass  # Undone or final meanwhile, in another tab.
        except StoreError as e:
            st.session_state["hist_error"] = str(e)
            continue
        if session_id in mine:
            mine.remove(session_id)


def _undo_room(room_id: str) -> None:
    try:
        room_trash.bring_back(room_id)
    except NotFoundError:
        pass  # Undone or final meanwhile, in another tab.
    except StoreError as e:
        st.session_state["hist_error"] = str(e)
