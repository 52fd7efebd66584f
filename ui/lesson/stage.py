"""The stage: the lesson's slides on a projector, alone or with a room; keys turn them and never leave the lesson.

The drawing is a script of our own (stage.js) over the slides that the core writes; it fills the window.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from tale_core.access.opening import qr_png
from tale_core.errors import InputError, StoreError
from tale_core.i18n import language, t, tn
from tale_core.lessons.arc import Arc, lesson_arc
from tale_core.lessons.board import board
from tale_core.lessons.document import asset, slides_html
from tale_core.lessons.lesson import STOPS
from tale_core.lessons.recorded import available
from tale_core.lessons.room import LiveRoom
from ui.common.text import literal

BEAT_S = 1.0
"""Seconds between two looks at the room."""
JOIN = "join"
"""The stop before the lesson's first: how to come into the room."""
_HERE = Path(__file__).parent
_stage = st.components.v2.component(
    "tale_stage",
    css=f"{asset('lesson.css')}\n{(_HERE / 'stage.css').read_text(encoding='utf-8')}",
    js="\n".join(
        (
            (_HERE.parent / "common" / "mathml.js").read_text(encoding="utf-8"),
            asset("lesson.js"),
            (_HERE / "stage.js").read_text(encoding="utf-8"),
        )
    ),
)
Go = Callable[..., None]


def alone(stop: str, go: Go) -> None:
    """The lesson without a room.

    Args:
        stop: One of `STOPS`.
        go: Shows another address.
    """
    try:
        arc = lesson_arc()
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    words = {"room": "", "leave": t("Leave")}
    _draw(arc, stop, words=words, mine=True, moved=lambda to: go(step=to), left=go)


def with_room(live: LiveRoom, address: str, *, mine: bool, go: Go) -> None:
    """The class screen: where the room's teacher moves the lesson to, with what the class guesses and strikes.

    Args:
        live: The room.
        address: Where students join.
        mine: Whether the keys of this screen move the room.
        go: Shows another address.
    """
    try:
        arc = arc_of(live)
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    _beat(live, address, arc, mine, go)


def arc_of(live: LiveRoom) -> Arc:
    """The lesson that a room follows, in the language it was begun in; the reader's while it was not begun.

    Raises:
        InputError: A bundled recording cannot be read.
    """
    recording = available()[0].get(live.record.recording or "")
    spoken = recording.session.question.language if live.record.step and recording else language()
    return lesson_arc(spoken)


@st.fragment(run_every=BEAT_S)
def _beat(live: LiveRoom, address: str, arc: Arc, mine: bool, go: Go) -> None:
    try:
        shown, seats = board(live, arc), len(live.seats())
    except StoreError:
        return  # The next look may reach it; what is drawn stays.
    here = tn("{n} student is here", "{n} students are here", seats)
    join = {
        "words": t("Open {address} and type", address=address.partition("?")[0]),
        "code": live.code,
        "address": t("or read the code with a phone"),
        "here": t("The room is closed.") if live.record.status == "closed" else here,
        "alt": t("The address as a code for phones"),
        "qr": picture(address),
    }
    words = {"room": live.code, "leave": ""}

    def moved(stop: str) -> None:
        if mine:
            live.go(None if stop == JOIN else stop, recording=arc.closed.name)

    _draw(arc, live.record.step or JOIN, words=words, mine=mine, moved=moved, left=go, live=shown, join=join)


@st.cache_data(show_spinner=False, max_entries=32)
def picture(address: str) -> str:
    """An address as a QR code, inside of the page: nothing more is fetched for it when the page is drawn again."""
    return f"data:image/png;base64,{b64encode(qr_png(address)).decode()}"


@st.cache_data(show_spinner=False, max_entries=4)
def _slides(name: str, spoken: str, _arc: Arc) -> str:
    return slides_html(_arc)


def _draw(
    arc: Arc, stop: str, *, words: dict[str, str], mine: bool, moved: Callable[[str], None], left: Callable[[], None],
    live: dict[str, str] | None = None, join: dict[str, str] | None = None,
) -> None:  # fmt: skip
    def on_moved() -> None:
        told: Any = st.session_state["lesson_stage"].get("moved")
        if told and told["stop"] in stops:
            st.session_state["stage_n"] = int(told["n"])
            moved(told["stop"])

    stops = ([JOIN] if join else []) + list(STOPS)
    data = {
        "id": f"{arc.ladder.name} {language()} {bool(join)}",
        "slides": _slides(arc.ladder.name, language(), arc),
        "stops": stops,
        "stop": stop if stop in stops else stops[0],
        "n": st.session_state.get("stage_n", 0),
        "mine": mine,
        "live": live or {},
        "join": join,
        "words": {"back": t("Back"), "next": t("Next"), "stage": t("The lesson"), **words},
    }
    with st.container(key="stage"):
        _stage(data=data, key="lesson_stage", on_moved_change=on_moved, on_leave_change=left)
