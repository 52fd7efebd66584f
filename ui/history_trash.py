"""What was deleted and can be undone: one line above the list."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import NotFoundError, StoreError
from tale_core.i18n import t, tn
from tale_core.store import Deleted, Trash
from ui import state
from ui.text import literal

LISTED = 20


def draw() -> None:
    """Say what can be undone and until when, and what could not be deleted and why."""
    if error := st.session_state.pop("hist_error", ""):
        st.error(literal(error, 800), icon=":material/error:")
    for title, why in st.session_state.pop("hist_refused", ()):
        st.warning(f"**{literal(title, 80)}**: {literal(why, 300)}", icon=":material/block:")
    try:
        pending = Trash(state.store()).pending()
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return
    here = [one for one in pending if one.session_id in state.deletions()]
    elsewhere = [one for one in pending if one.session_id not in state.deletions()]
    if here:
        _mine(here)
    if elsewhere:
        # The same words however many there are: a title that changes would close the box after each undo.
        with st.expander(t("Deletions from before can be undone"), icon=":material/restore_from_trash:"):
            st.caption(t("Deleted in another tab, by another person, or before this page was loaded again."))
            for one in elsewhere[:LISTED]:
                _line(one)


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
        st.caption(
            t("Final when you leave this page, at {time} at the latest.", time=f"{until:%H:%M}"), width="content"
        )


def _line(one: Deleted) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            t("Undo"), key=f"hist_undo_{one.session_id}", icon=":material/undo:", type="tertiary", on_click=_undo,
            args=([one.session_id],),
        )  # fmt: skip
        until = t("final at {time}", time=f"{one.final_at.astimezone():%H:%M}")
        st.markdown(f"{literal(one.title, 80)} · {until}", width="content")


def _undo(session_ids: list[str]) -> None:
    mine = state.deletions()
    for session_id in session_ids:
        try:
            Trash(state.store()).undo(session_id)
        except NotFoundError:
            pass  # Undone or final meanwhile, in another tab.
        except StoreError as e:
            st.session_state["hist_error"] = str(e)
            continue
        if session_id in mine:
            mine.remove(session_id)
