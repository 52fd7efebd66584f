"""What the Ask page opens with: a recorded pair that races by itself, and a slider through the answers to all budgets.

It needs no model and no weights: the recording ships with the program. The moving is done by a script of our own in the
browser (opening.js), which is given words and numbers alone and sets them as text.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from tale_core.errors import InputError, StoreError
from tale_core.i18n import t
from tale_core.lessons import ladder, lesson
from ui.common import state
from ui.common.text import literal

HEIGHT = 446
"""Pixels on a desk: what stands below never moves, and the form for a question of one's own is in sight."""
TALL = 612
"""Likewise on a phone, where every line is short."""
_HERE = Path(__file__).parent
COMMON = _HERE.parent / "common"
_race = st.components.v2.component(
    "tale_opening",
    css=(_HERE / "opening.css").read_text(encoding="utf-8"),
    js="".join(file.read_text(encoding="utf-8") for file in (COMMON / "mathml.js", _HERE / "opening.js")),
)


def comes_first() -> bool:
    """Nothing was asked here yet and the address names nothing: who comes sees it before the form."""
    if st.query_params.get("session"):
        return False
    try:
        return not state.store().list_sessions(limit=1)
    except StoreError:
        return False  # The page has said so already.


def draw() -> None:
    """The race and the slider, marked as recorded."""
    try:
        recording = ladder.ladder_recording()
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"### {t('The same question, without a budget and with one')}", anchors=False, width="content")
        st.badge(literal(lesson.mark(recording), 120), icon=":material/voicemail:", color="gray")
    with st.container(key="opening"):
        _race(data={**ladder.document(recording), "height": HEIGHT, "tall": TALL}, key="opening_race", height=HEIGHT)
