"""The teacher's room, and the screen that the class sees. What moves is in fragments; buttons and boxes stand still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from urllib.parse import quote, urlsplit

import streamlit as st

from tale_core.errors import InputError, StoreError
from tale_core.i18n import joined, language, t, tn
from tale_core.lessons import lesson
from tale_core.lessons.board import strike_labels
from tale_core.lessons.queue import Caps
from tale_core.lessons.recorded import Recording, available
from tale_core.lessons.room import LiveRoom, RoomView, SeatView
from tale_core.lessons.rooms import check_caps
from tale_core.store import UNDO_FOR, RoomChanges
from ui import access
from ui.common import state
from ui.common.text import literal
from ui.lesson import charts as lesson_figures
from ui.lesson import player as lesson_player
from ui.lesson import stage
from ui.lesson import steps as lesson_steps

BEAT_S = 2.0
"""Seconds between two looks at the room."""
STOPS = (None, *lesson.STOPS)
"""Where a room may be: before the lesson, or at one of its stops."""


def teacher(live: LiveRoom, secret: str) -> None:
    """The lesson's remote, who is here, what they guess and ask, and what it costs; pause, reveal, close."""
    record = live.record
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(t("Room {code}", code=live.code), anchor=False)
        _switches(live)
    st.warning(
        t("The address of this page is the key to the room: show the class the class screen, not this page."),
        icon=":material/key:",
    )
    _links(live, secret)
    if record.status == "closed":
        st.info(t("The room is closed. What was guessed and spent is kept."), icon=":material/door_front:")
        st.button(
            t("Delete the room"), key="room_delete", icon=":material/delete:", on_click=_delete, args=(live,),
            help=t("It stays in the trash of the History page for {days} days.", days=UNDO_FOR.days),
        )  # fmt: skip
    left, right = st.columns([3, 2], gap="large")
    with left:
        _remote(live)
        if not record.step:
            _guessing(live)
    with right:
        _spending(live)
    lesson_steps.beating(_class, BEAT_S)(live, record.step)


def _switches(live: LiveRoom) -> None:
    status = live.record.status
    with st.container(horizontal=True, width="content"):
        if live.record.locked:
            _button(
                live, t("Let others join"), "room_unlock", ":material/lock_open:", off=status == "closed", locked=False
            )
        else:
            _button(live, t("Lock the room"), "room_lock", ":material/lock:", off=status == "closed", locked=True)
        if status == "paused":
            _button(live, t("Go on"), "room_resume", ":material/play_arrow:", main=True, status="open")
        else:
            _button(live, t("Pause asking"), "room_pause", ":material/pause:", off=status == "closed", status="paused")
        with st.popover(t("Close the room"), icon=":material/door_front:", disabled=status == "closed"):
            st.markdown(t("Nobody can join, guess or ask any more. This cannot be undone."))
            _button(live, t("Yes, close it"), "room_close", ":material/door_front:", main=True, status="closed")


def _button(
    live: LiveRoom, label: str, key: str, icon: str, *, main: bool = False, off: bool = False, **changes: object
) -> None:
    st.button(
        label, key=key, icon=icon, type="primary" if main else "secondary", disabled=off, on_click=_change,
        args=(live,), kwargs=changes,
    )  # fmt: skip


def _change(live: LiveRoom, **changes: object) -> None:
    try:
        live.change(**RoomChanges(**changes))  # type: ignore[typeddict-item]
    except StoreError as e:
        st.session_state["room_error"] = str(e)


def _delete(live: LiveRoom) -> None:
    try:
        live.rooms.delete(live.id)
    except StoreError as e:
        st.session_state["room_error"] = str(e)


def address(live: LiveRoom, **more: str) -> str:
    """The room's address as a person would type it; in a class as students reach it, wherever this page was opened."""
    here = urlsplit(str(st.context.url or ""))
    base = f"{here.scheme}://{here.netloc}{here.path}" if here.netloc else "/Class"
    if not more and (reached := access.class_base()) is not None:
        base = f"{reached}/Class"
    rest = "".join(f"&{name}={quote(value)}" for name, value in more.items())
    return f"{base}?room={quote(live.code)}{rest}"


def join_code(live: LiveRoom, *, width: int, to_copy: bool = False) -> None:
    """The room's address as a picture that phones read, and in words."""
    with st.container(key="join-code", gap="small", width="content"):
        st.image(stage.picture(address(live)), width=width, alt=t("The address as a code for phones"))
        if to_copy:
            st.code(address(live), language=None, width="content")
        else:
            st.markdown(f"##### {literal(address(live), 200)}", anchors=False, width="content")


def _links(live: LiveRoom, secret: str) -> None:
    if error := st.session_state.pop("room_error", None):
        st.error(literal(str(error), 800), icon=":material/error:")
    if live.record.locked:
        st.info(t("The room is locked: nobody new may join."), icon=":material/lock:")
    join_code(live, width=160, to_copy=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.link_button(
            t("Open the class screen"), address(live, screen="1", teacher=secret), icon=":material/present_to_all:",
            key="room_screen", help=t("Its keys move the lesson and the room; its address keeps nothing secret."),
        )  # fmt: skip
        st.caption(t("Students open the Class page and type the code, or use the address on the class screen."))


# The lesson


def _remote(live: LiveRoom) -> None:
    """Where the class is in the lesson: these buttons move the board and the students' pages together."""
    lesson_steps.heading(t("The lesson on the board"))
    record = live.record
    at = STOPS.index(record.step) if record.step in STOPS else 0
    with st.container(horizontal=True, vertical_alignment="center", key="remote"):
        if at:
            _go(live, t("Back"), f"remote_back_{at}", "Left", -1)
        if at + 1 < len(STOPS):
            _go(live, t("Next") if at else t("Start the lesson"), f"remote_next_{at}", "Right", 1)
        st.caption(t("The arrow keys do the same."))
    if (stop := STOPS[at]) is None:
        return
    step = lesson.step_of(stop)
    shown = t("its answer is shown") if stop != step.id else ""
    place = t("Step {n} of {all}", n=[s.id for s in lesson.STEPS].index(step.id) + 1, all=len(lesson.STEPS))
    st.markdown(joined(f"**{place}: {t(step.title)}**", f"({shown})" if shown else ""))
    st.markdown(t(step.say))
    st.caption(t("To talk about: {question}", question=t(step.talk)))
    arc = stage.arc_of(live)
    st.download_button(
        t("Save what the class struck out"), partial(strike_labels, live, arc), file_name=f"strikes-{live.code}.jsonl",
        mime="application/jsonl", on_click="ignore", icon=":material/format_strikethrough:", key="room_strikes",
        help=t("A line for each sentence: how many students found that the answer did not need it. No name is in it."),
    )  # fmt: skip


def _go(live: LiveRoom, label: str, key: str, shortcut: str, way: int) -> None:
    st.button(
        label, key=key, shortcut=shortcut, type="primary" if way > 0 else "secondary",
        disabled=live.record.status == "closed", on_click=_moved, args=(live, live.record.step, way),
    )  # fmt: skip


def _moved(live: LiveRoom, drawn: str | None, way: int) -> None:
    """From where the room is: this page may not have seen yet that the class screen's keys moved it.

    Streamlit gives a click of a run that was broken off to the next one as well. So each step's buttons have keys of
    their own (a click that comes after the page was drawn anew names a button that is gone), and where the room is
    already where the click leads, it stays.
    """
    before, now = (STOPS.index(step) if step in STOPS else 0 for step in (drawn, live.record.step))
    at = now if now == before + way else now + way
    if at != now and at in range(len(STOPS)):
        try:
            live.go(STOPS[at], recording=stage.arc_of(live).closed.name)
        except (InputError, StoreError) as e:
            st.session_state["room_error"] = str(e)


# Guessing


def guessable() -> dict[str, Recording]:
    """The recordings whose tokens can be guessed, those in the reader's language first."""
    found, _ = available()
    fitting = [one for one in found.values() if lesson.can_be_guessed(one)]
    return {one.name: one for one in sorted(fitting, key=lambda one: one.session.question.language != language())}


def _guessing(live: LiveRoom) -> None:
    record, there = live.record, guessable()
    closed = record.status == "closed"
    lesson_steps.heading(t("Guess together"))
    names = list(there)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            t("What is guessed"), names, key="room_recording", format_func=lambda name: _named(there[name]),
            index=names.index(record.recording) if record.recording in names else 0,
        )  # fmt: skip
        asking = record.recording is not None and not record.revealed
        _button(
            live, t("Ask the class"), "room_guess", ":material/campaign:", main=not asking,
            off=closed or not chosen or (asking and record.recording == chosen), recording=chosen, revealed=False,
        )  # fmt: skip
        _button(
            live, t("Reveal"), "room_reveal", ":material/visibility:", main=asking, off=closed or not asking,
            revealed=True,
        )  # fmt: skip
    if record.recording in there:
        lesson_steps.beating(_guesses, BEAT_S)(live, there[record.recording])


def _named(recording: Recording) -> str:
    return f"{recording.session.question.text[:44].rstrip()}… · {lesson.mark(recording)}"


def _guesses(live: LiveRoom, recording: Recording) -> None:
    view = live.view()
    actual = lesson.guessed_tokens(recording) if view.record.revealed else None
    lesson_figures.guesses(view.guesses, actual=actual, key="room_histogram")


# Spending


def _spending(live: LiveRoom) -> None:
    lesson_steps.heading(t("Asking"))
    choice = live.choice
    current = state.current_choice()
    if choice is None:
        st.warning(t("No model can be asked: this room was opened before the server was started again."))
    else:
        st.markdown(t("Students ask **{model}**.", model=literal(choice.title)))
    if choice is None or choice.key != current.key:
        st.button(
            t("Let them ask {model}", model=literal(current.title, 60)), key="room_model", icon=":material/swap_horiz:",
            on_click=_use, args=(live,),
        )  # fmt: skip
    with st.expander(t("What may be spent"), icon=":material/savings:"):
        _caps(live)


def _use(live: LiveRoom) -> None:
    choice = state.current_choice()
    live.use(choice, keys=state.secrets(), key=state.session_keys().get(choice.key))
    _change(live, model=choice.model, endpoint=choice.endpoint)


def _totals(view: RoomView) -> None:
    waiting, running = sum(s.waiting for s in view.seats), sum(s.running for s in view.seats)
    record = view.record
    st.markdown(
        t(
            "**{calls}** of {most_calls} calls and **{tokens}** of {most_tokens} tokens are spent.",
            calls=f"{view.spent.calls:,}",
            most_calls=_most(record.room_calls),
            tokens=f"{view.spent.tokens:,}",
            most_tokens=_most(record.room_tokens),
        )
    )
    message = tn("{n} call is being answered", "{n} calls are being answered", running)
    paused = t("Asking is paused.") if record.status == "paused" else ""
    st.caption(joined(t("{running}, {waiting} wait for a turn.", running=message, waiting=waiting), paused))


def _most(value: int | None) -> str:
    return t("any number of") if value is None else f"{value:,}"


def _caps(live: LiveRoom) -> None:
    labels = {
        "student_calls": t("Calls of one student"),
        "student_tokens": t("Tokens of one student"),
        "room_calls": t("Calls of the room"),
        "room_tokens": t("Tokens of the room"),
        "seats_per_address": t("Seats of one network address"),
    }
    record = live.record
    with st.form("room_caps", border=False):
        for name, label in labels.items():
            st.number_input(
                label, 1, 1_000_000_000, getattr(record, name), key=f"room_{name}", placeholder=t("no limit")
            )
        st.caption(t("An empty box means no limit. Answers that would pass a limit are not started."))
        # A callback runs before the page is drawn: no run that is broken off meanwhile takes the click with it.
        st.form_submit_button(
            t("Set"), icon=":material/check:", disabled=record.status == "closed", on_click=_set_caps,
            args=(live, tuple(labels)),
        )  # fmt: skip


def _set_caps(live: LiveRoom, names: Sequence[str]) -> None:
    given = {name: st.session_state[f"room_{name}"] for name in names}
    seats = given.pop("seats_per_address")
    caps = Caps(**{name: None if value is None else int(value) for name, value in given.items()})
    try:
        check_caps(caps)
    except InputError as e:
        st.session_state["room_error"] = str(e)
        return
    _change(live, seats_per_address=None if seats is None else int(seats), **asdict(caps))


# The class


def _class(live: LiveRoom, drawn: str | None) -> None:
    """All of the page that moves by itself, in one place: several timers on one page get in each other's way.

    Args:
        live: The room.
        drawn: Where in the lesson this page has the room; it is drawn again when the class screen's keys have moved it.
    """
    if live.record.step != drawn:
        st.rerun()
    view = live.view()
    lesson_steps.heading(t("Who is here"))
    _totals(view)
    if not view.seats:
        st.caption(t("Nobody has joined yet. The code is {code}.", code=live.code))
        return
    cells = {
        t("Student"): [literal(s.seat.nickname, 40) for s in view.seats],
        t("Here"): [t("yes") if s.here else t("away") for s in view.seats],
        t("Guessed"): [t("yes") if s.guessed else "–" for s in view.seats],
        t("Asking"): [_asking(s) for s in view.seats],
        t("Calls"): [f"{s.spent.calls:,}" for s in view.seats],
        t("Tokens"): [f"{s.spent.tokens:,}" for s in view.seats],
    }
    st.table(cells, border="horizontal", alt=t("The students of the room"))
    with st.popover(t("Take a seat away"), icon=":material/person_remove:"):
        _remove(live, view)


def _remove(live: LiveRoom, view: RoomView) -> None:
    """Those who are in now: they come while the box is open."""
    seats = {s.seat.id: literal(s.seat.nickname, 40) for s in view.seats}
    if st.session_state.get("room_seat") not in seats:
        st.session_state.pop("room_seat", None)
    chosen = st.selectbox(t("Student"), list(seats), key="room_seat", format_func=seats.__getitem__)
    st.caption(t("What the student asks stops, and this browser gets no other seat in the room."))
    st.button(
        t("Take it away"), key="room_remove", type="primary", on_click=_take_away,
        args=(live, chosen),
    )  # fmt: skip


def _take_away(live: LiveRoom, seat_id: str) -> None:
    try:
        live.remove(seat_id)
    except StoreError as e:
        st.session_state["room_error"] = str(e)


def _asking(seat: SeatView) -> str:
    if seat.running:
        return t("being answered")
    return "–" if seat.place is None else t("number {n} in the queue", n=seat.place)


# What the class sees


def screen(live: LiveRoom, *, mine: bool, go: Callable[..., None]) -> None:
    """For the projector: the lesson and how to join; or what is guessed, with the histogram once it is revealed.

    Args:
        live: The room.
        mine: Whether its keys move the lesson.
        go: Shows another address.
    """
    record, there = live.record, guessable()
    recording = None if record.step else there.get(record.recording or "")
    lesson_steps.beating(_watch, BEAT_S)(live, (recording is None, record.recording, record.revealed, record.status))
    if recording is None:
        stage.with_room(live, address(live), mine=mine, go=go)
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title(t("Join with {code}", code=live.code), anchor=False)
        join_code(live, width=200)
    lesson_steps.question(recording)
    lesson_steps.added(recording)
    lesson_player.mark(recording)
    if not record.revealed:
        st.title(t("How many tokens will it write?"), anchor=False)
        lesson_steps.beating(_present, BEAT_S)(live)
        return
    st.title(t("It wrote {n} tokens.", n=f"{lesson.guessed_tokens(recording):,}"), anchor=False)
    lesson_figures.guesses(live.view().guesses, actual=lesson.guessed_tokens(recording), key="screen_histogram")
    lesson_player.show(recording)


def _watch(live: LiveRoom, drawn: tuple[object, ...]) -> None:
    """Draw the page again when the teacher has changed something that the stage does not follow by itself."""
    record = live.record
    on_stage = bool(record.step) or record.recording is None
    if on_stage != drawn[0] or (not on_stage and (record.recording, record.revealed, record.status) != drawn[1:]):
        st.rerun()


def _present(live: LiveRoom) -> None:
    view: RoomView = live.view()
    lesson_steps.heading(t("{n} of {all} have guessed", n=len(view.guesses), all=len(view.seats)), 3)
