"""Keys that a person of a team keeps: what is kept, and forgetting it."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import TaleError
from tale_core.i18n import t
from tale_core.runs import kept_keys
from tale_core.runs.kept_keys import Kept
from tale_core.store import KeptKeys
from ui.common import state
from ui.common.text import literal


def draw() -> None:
    """What is kept, a line each; nothing where nothing is."""
    try:
        if error := st.session_state.pop("kept_error", ""):
            st.error(literal(str(error), 600), icon=":material/error:")
        found = kept_keys.kept(state.store())
    except TaleError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return
    if not found:
        return
    st.caption(t("Kept for your next sign-in, encrypted. Nobody but you can use them."))
    for one in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            unreadable = t("A key that cannot be read any more: type it again.")
            st.markdown(
                f":material/key: {literal(one.choice.title, 120) if one.choice else unreadable}", width="content"
            )
            st.button(
                t("Forget"), key=f"forget_{one.name}", icon=":material/delete:", type="tertiary", on_click=_forget,
                args=(one,),
            )  # fmt: skip


def _forget(one: Kept) -> None:
    try:
        KeptKeys(state.store()).forget(one.name)
    except TaleError as e:
        st.session_state["kept_error"] = str(e)
        return
    if one.choice is not None:
        state.session_keys().pop(one.choice.key, None)
