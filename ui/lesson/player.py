"""A tape deck for recordings: play, pause, step, speeds; the pictures are those of live and stored sessions.

While it plays, only what lies inside of fixed boxes changes; nothing else moves.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.elasticity.view import SweepView
from tale_core.i18n import t, tn
from tale_core.lessons import lesson
from tale_core.lessons.recorded import Recording
from tale_core.lessons.replay import SPEEDS, Player, at
from tale_core.search.view import SearchView
from tale_core.types import ANSWERS
from ui.ask import result as ask_result
from ui.ask.live import AnswerColumns, budget_line
from ui.common.text import literal
from ui.elasticity import result as elasticity_result
from ui.search import result as search_result

FRAME_S = 0.1
"""Seconds between two pictures."""
PATIENCE_MS = 40_000
"""A recording is first offered at the lowest speed at which it takes no longer than this."""


class _Live(Protocol):
    """What draws a picture that changes."""

    def update(self, view: Any) -> None:
        """Draw it as it stands."""
        ...


def mark(recording: Recording) -> None:
    """That it is a recording, of which model and day, and what it ran on; stands beside everything shown of one."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(literal(lesson.mark(recording), 120), icon=":material/voicemail:", color="gray")
        about = t("Times are those of the machine it was recorded on: {machine}.", machine=recording.made.machine)
        st.caption(literal(about, 200), width="content")


def show(recording: Recording) -> None:
    """The deck and the picture."""
    deck = _deck(recording)
    clock = _controls(recording, deck)
    playing, whole = st.empty(), st.empty()
    if deck.position(time.monotonic()) >= deck.duration_ms:
        with whole.container():
            _whole(recording)
        return
    with playing.container():
        live = _live(recording)
        _follow(recording, deck, live, clock)


def _follow(recording: Recording, deck: Player, live: _Live, clock: Any) -> None:
    while True:
        now = time.monotonic()
        here = deck.position(now)
        clock.progress(here / deck.duration_ms, text=_time_words(here, deck))
        live.update(at(recording, here))
        if not deck.playing(now):
            break
        time.sleep(FRAME_S)
    if here >= deck.duration_ms:
        st.rerun()


def _time_words(here: float, deck: Player) -> str:
    return t("{here} of {all}", here=_minutes(here), all=_minutes(deck.duration_ms))


def _minutes(ms: float) -> str:
    return f"{int(ms // 60_000)}:{int(ms // 1000) % 60:02}"


def _key(recording: Recording) -> str:
    return f"deck_{recording.name}"


def _deck(recording: Recording) -> Player:
    known = st.session_state.get(_key(recording))
    if not isinstance(known, Player) or known.duration_ms != recording.duration_ms:
        fitting = (speed for speed in SPEEDS if recording.duration_ms / speed <= PATIENCE_MS)
        st.session_state[_key(recording)] = known = Player(recording.duration_ms, speed=next(fitting, SPEEDS[-1]))
    return known


def _controls(recording: Recording, deck: Player) -> Any:
    """The buttons; returns the place of the clock."""
    now = time.monotonic()
    at_end = deck.position(now) >= deck.duration_ms
    moving = deck.playing(now)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        label = t("Pause") if moving else t("Play again") if at_end else t("Play")
        icon = ":material/pause:" if moving else ":material/replay:" if at_end else ":material/play_arrow:"
        st.button(
            label, key=f"deck_play_{recording.name}", icon=icon, shortcut="Space", on_click=_press,
            args=(recording, "pause" if moving else "play"),
        )  # fmt: skip
        st.button(
            t("Step"), key=f"deck_step_{recording.name}", icon=":material/skip_next:", disabled=at_end,
            on_click=_press, args=(recording, "step"), help=t("To the next moment at which an answer begins or ends."),
        )  # fmt: skip
        st.button(
            t("All at once"), key=f"deck_end_{recording.name}", icon=":material/last_page:", disabled=at_end,
            on_click=_press, args=(recording, "end"),
        )  # fmt: skip
        speed_key = f"deck_speed_{recording.name}"
        st.session_state.setdefault(speed_key, deck.speed)
        st.radio(
            t("Speed"), SPEEDS, key=speed_key, format_func=lambda speed: f"{speed:g}×", label_visibility="collapsed",
            horizontal=True, on_change=_change_speed, args=(recording,),
            help=t("1× is the pace at which the model wrote."),
        )  # fmt: skip
    clock = st.empty()
    here = deck.position(now)
    clock.progress(here / deck.duration_ms if deck.duration_ms else 1.0, text=_time_words(here, deck))
    return clock


def _press(recording: Recording, action: str) -> None:
    deck, now = st.session_state[_key(recording)], time.monotonic()
    st.session_state[_key(recording)] = {
        "play": lambda: deck.play(now),
        "pause": lambda: deck.pause(now),
        "step": lambda: deck.step(recording.moments, now),
        "end": deck.to_end,
    }[action]()


def _change_speed(recording: Recording) -> None:
    deck, speed = st.session_state[_key(recording)], st.session_state[f"deck_speed_{recording.name}"]
    st.session_state[_key(recording)] = deck.at_speed(float(speed or 1.0), time.monotonic())


class _LiveAsk:
    """A recorded Ask while it plays."""

    def __init__(self) -> None:
        self._budget = st.empty()
        places = zip(ANSWERS, st.columns(len(ANSWERS), gap="medium"), strict=True)
        self._counts = {role: place.empty() for role, place in places}
        self._columns = AnswerColumns(ANSWERS, recorded=True)

    def update(self, view: AskView) -> None:
        """Draw it as it stands."""
        with self._budget.container():
            budget_line(view, interactive=False)
        for role, place in self._counts.items():
            call = view.calls.get(role)
            n = 0 if call is None else call.record.completion_tokens or call.pieces
            count = tn("{n} token", "{n} tokens", n)
            place.markdown(f"## {count}")
        self._columns.update(view)


def _live(recording: Recording) -> _Live:
    if recording.kind == "ask":
        return _LiveAsk()
    return search_result.LiveSearch() if recording.kind == "search" else elasticity_result.LiveSweep()


def _whole(recording: Recording) -> None:
    view = at(recording, recording.duration_ms)
    if isinstance(view, SearchView):
        search_result.head(view)
        search_result.replay(view)
    elif isinstance(view, SweepView):
        elasticity_result.head(view)
        elasticity_result.picture(view)
        elasticity_result.table_and_files(view)
    else:
        ask_result.whole(view)
