"""Who else of a team sees a session: everybody who signs in, or single people by name."""

from __future__ import annotations

from collections.abc import Callable, Collection

import streamlit as st

from tale_core.access.accounts import colleagues
from tale_core.access.who import asking
from tale_core.errors import StoreError, TaleError
from tale_core.i18n import t
from tale_core.settings import get_settings
from tale_core.store import Belonging
from ui.common import state
from ui.common.text import literal


def of_session(session_id: str) -> None:
    """Under a result: who sees it, and changing that; nothing for whoever may not change it, or without a team."""
    if get_settings().access != "team":
        return
    try:
        whose = state.store().belongs_to(session_id)
    except StoreError:
        return  # It is not stored.
    if not whose.mine:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="sharing"):
        box([session_id], key="sharing")
        st.caption(seen_by(whose), width="content")


def seen_by(whose: Belonging) -> str:
    """Who sees it, in words."""
    if whose.shared:
        return t("Everybody who signs in sees this.")
    if whose.people:
        return t("Seen by: {names}", names=literal(", ".join(whose.people), 400))
    return t("Only you and owners see this.")


def box(
    session_ids: Collection[str], *, key: str, off: bool = False, failed: Callable[[str, str], None] | None = None
) -> None:
    """A button that unfolds with whom to share.

    Args:
        session_ids: What is shared.
        key: Of the widgets.
        off: There is nothing to share.
        failed: Told what could not be changed, and why.
    """
    with st.popover(t("Who sees it"), icon=":material/group:", disabled=off, key=f"{key}_box"):
        try:
            there = colleagues(get_settings().data_dir, asking().account)
        except TaleError as e:
            st.error(literal(str(e), 400), icon=":material/error:")
            return
        # All in sight: a list that unfolds would cover the buttons below.
        people = st.pills(t("People"), there, key=f"{key}_people", selection_mode="multi")
        st.caption(t("Who sees something reads it and starts from it. Only its owner changes it."))
        ways = (
            ("with", t("Share with them"), "person_add", not people),
            ("all", t("Share with the team"), "group", False),
            ("none", t("Share no longer"), "lock", False),
        )
        for way, label, icon, unusable in ways:
            st.button(
                label, key=f"{key}_{way}", icon=f":material/{icon}:", disabled=unusable, width="stretch",
                on_click=_share, args=(session_ids, way, people, failed),
            )  # fmt: skip


def _share(
    session_ids: Collection[str], way: str, people: list[str], failed: Callable[[str, str], None] | None
) -> None:
    for session_id in session_ids:
        try:
            state.store().share(session_id, way != "none", people=people if way == "with" else ())
        except StoreError as e:
            if failed is not None:
                failed(session_id, str(e))
