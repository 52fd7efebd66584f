"""A student's page: join, guess, ask, and see one's own place in the queue and one's own answers; nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from tale_core.access.who import asking
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskView, view_of
from tale_core.calibration.saved import usual_template
from tale_core.calls.comparison import guess_score
from tale_core.datasets import language_of
from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.i18n import joined, t
from tale_core.lessons import board, lesson
from tale_core.lessons.arc import Arc, answer_sentences, needed_words
from tale_core.lessons.joining import NICKNAME_LETTERS
from tale_core.lessons.recorded import Recording, available
from tale_core.lessons.room import LiveRoom
from tale_core.runs.runner import AskJob
from tale_core.settings import get_settings
from tale_core.store import SeatRecord
from tale_core.types import Question, Sampling
from ui.ask import result as ask_result
from ui.ask.live import phase_line, still
from ui.common.text import literal
from ui.lesson import charts as lesson_figures
from ui.lesson import player as lesson_player
from ui.lesson import stage
from ui.lesson import steps as lesson_steps

BEAT_S = 2.0
ANSWER_BEAT_S = 0.7
"""Seconds between two pictures of an answer that is being written."""
MAX_TOKENS = 600
"""Of an answer in a room."""
Go = Callable[..., None]


def draw(live: LiveRoom, secret: str, go: Go) -> None:
    """The page of a student who came with a code.

    Args:
        live: The room.
        secret: The seat's, from the address; "" for somebody who has none yet.
        go: Shows another address.
    """
    seat = live.seat_of(secret, browser=asking().browser)
    if seat is None:
        _join(live, go)
        return
    drawn, job = _stands(live, seat), live.job_of(seat.id)
    running = job is not None and job.view().running
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        room = t("room {code}", code=live.code)
        lesson_steps.heading(f"{literal(seat.nickname, 40)} · {room}", 3)
        st.button(
            t("Leave"), key="seat_leave", icon=":material/logout:", type="tertiary", on_click=_leave,
            args=(live, seat, go),
        )  # fmt: skip
    _task(live, seat)
    st.divider()
    _asking(live, seat, running=running)
    lesson_steps.beating(_moving, ANSWER_BEAT_S if running else BEAT_S)(live, seat, secret, drawn)
    if not running:
        _answer(live, job)


def _join(live: LiveRoom, go: Go) -> None:
    st.title(t("Join room {code}", code=live.code), anchor=False)
    if live.record.status == "closed":
        st.info(t("The room is closed."), icon=":material/door_front:")
        return
    asker = asking()
    if live.is_removed(asker.browser):
        st.info(t("Your teacher has taken your seat away."), icon=":material/person_remove:")
        return
    if asker.role == "student" and asker.browser is None:
        st.info(t("Your browser has not kept our cookie, which holds your seat. Allow it, and load the page again."))
        return
    with st.form("seat_join", border=False):
        nickname = st.text_input(t("Your nickname"), key="seat_nickname", max_chars=NICKNAME_LETTERS, width=320)
        pressed = st.form_submit_button(t("Join"), type="primary", icon=":material/login:")
    st.caption(
        t(
            "Your teacher sees the nickname and what you spend, and the board names the nearest guess. "
            "Nobody else sees what you ask."
        )
    )
    if pressed:
        try:
            seated = live.join(nickname, browser=asker.browser, address=asker.address)
        except (InputError, StoreError) as e:
            st.error(literal(str(e), 400), icon=":material/error:")
            return
        go(room=live.code, seat=seated.secret)
        st.rerun()


def _leave(live: LiveRoom, seat: SeatRecord, go: Go) -> None:
    live.leave(seat.id)
    go()


def _stands(live: LiveRoom, seat: SeatRecord) -> tuple[object, ...]:
    """What the page depends on; when it changes the page is drawn again."""
    record, job = live.record, live.job_of(seat.id)
    ended = job is not None and not job.view().running
    asked = (record.recording, record.revealed, record.step, record.status)
    return (*asked, live.choice is None, job.id if job else "", ended)


def _moving(live: LiveRoom, seat: SeatRecord, secret: str, drawn: tuple[object, ...]) -> None:
    """All of the page that moves by itself, in one place: several timers on one page get in each other's way.

    A sign of life, the place in the queue and the share in one line that always stands at the same place; below it the
    answer that is being written.

    Args:
        live: The room.
        seat: The student's.
        secret: The seat's.
        drawn: What the page was drawn for; it is drawn again when that has changed.
    """
    live.seen(seat.id)
    if live.seat_of(secret, browser=asking().browser) is None or _stands(live, seat) != drawn:
        st.rerun()  # The teacher has taken the seat away or moved the room, or an answer has ended.
    record, spent = live.record, live.queue.spent().get(seat.id)
    calls, tokens = (spent.calls, spent.tokens) if spent else (0, 0)
    parts = [_share(calls, record.student_calls, tokens, record.student_tokens)]
    place = live.queue.place(seat.id)
    if record.status == "paused":
        parts.insert(0, t("Your teacher has paused asking."))
    if place is not None:
        parts.insert(0, t("**You are number {n} in the queue.**", n=place))
    st.markdown(joined(*parts))
    job = live.job_of(seat.id)
    if job is not None and (view := job.view()).running:
        st.button(t("Stop"), key="seat_stop", icon=":material/stop_circle:", on_click=job.stop)
        phase_line(view).draw()
        still(view)


def _share(calls: int, most_calls: int | None, tokens: int, most_tokens: int | None) -> str:
    used = f"{calls:,}" if most_calls is None else t("{n} of {most}", n=f"{calls:,}", most=f"{most_calls:,}")
    paid = f"{tokens:,}" if most_tokens is None else t("{n} of {most}", n=f"{tokens:,}", most=f"{most_tokens:,}")
    return t("You have used {calls} calls and {tokens} tokens.", calls=used, tokens=paid)


def _task(live: LiveRoom, seat: SeatRecord) -> None:
    """What the class does now: guess, strike out, or look at the board."""
    step = lesson.step_of(live.record.step) if live.record.step else None
    if step is None or step.id == "guess":
        _guessing(live, seat)
    elif step.id == "needed":
        _striking(live, seat)
    else:
        lesson_steps.heading(t(step.title), 3)
        st.caption(t("Look at the board."))


def _striking(live: LiveRoom, seat: SeatRecord) -> None:
    """The long answer's sentences, each with a box; what is ticked is struck out at once."""
    arc = stage.arc_of(live)
    lesson_steps.question(arc.closed)
    lesson_player.mark(arc.closed)
    lesson_steps.heading(t("Strike out the sentences that the answer did not need."))
    mine = board.struck(live, seat, arc)
    with st.container(key="strikes", gap="small"):
        for at, one in enumerate(answer_sentences(arc)):
            key = f"strike_{arc.closed.name}_{at}"
            st.session_state.setdefault(key, at in mine)
            words = literal(" ".join(one.text.split()), 300)
            st.checkbox(f"~~{words}~~" if st.session_state[key] else words, key=key, on_change=_struck,
                        args=(live, seat, arc))  # fmt: skip
    if error := st.session_state.pop("strike_error", None):
        st.error(literal(str(error), 400), icon=":material/error:")
    if (live.record.step or "").endswith("-shown"):
        st.info(literal(needed_words(arc), 600))


def _struck(live: LiveRoom, seat: SeatRecord, arc: Arc) -> None:
    n = len(answer_sentences(arc))
    chosen = [at for at in range(n) if st.session_state.get(f"strike_{arc.closed.name}_{at}")]
    try:
        board.strike(live, seat, arc, chosen)
    except StoreError as e:
        st.session_state["strike_error"] = str(e)


def _guessing(live: LiveRoom, seat: SeatRecord) -> None:
    record = live.record
    recording = available()[0].get(record.recording or "")
    if recording is None:
        lesson_steps.heading(t("Wait for your teacher to ask for a guess."))
        return
    lesson_steps.question(recording)
    lesson_steps.added(recording)
    lesson_player.mark(recording)
    guessed = live.my_guess(seat)
    if record.revealed:
        _revealed(live, recording, guessed)
    else:
        lesson_steps.heading(t("How many tokens will it write?"))
        _guess_form(live, seat, recording, guessed)


def _guess_form(live: LiveRoom, seat: SeatRecord, recording: Recording, guessed: int | None) -> None:
    vanilla = lesson.answer_of(recording, "vanilla").completion_tokens or 0
    st.markdown(t("Without the sentence it wrote **{n}** tokens.", n=f"{vanilla:,}"))
    with (
        st.form(f"seat_guess_{recording.name}", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        tokens = st.number_input(
            t("Your guess: tokens"), 1, 100_000, guessed, key=f"seat_tokens_{recording.name}", width=200
        )
        pressed = st.form_submit_button(
            t("Change my guess") if guessed else t("Guess"), type="primary", icon=":material/target:"
        )
    if pressed and tokens is not None:
        try:
            if live.guess(seat, int(tokens)):
                st.rerun()
            st.info(t("It has been revealed: this guess no longer counts."))
        except (InputError, StoreError) as e:
            st.error(literal(str(e), 400), icon=":material/error:")
    elif guessed:
        st.success(t("You guessed {n} tokens. Wait for the reveal.", n=f"{guessed:,}"), icon=":material/check:")


def _revealed(live: LiveRoom, recording: Recording, guessed: int | None) -> None:
    actual = lesson.guessed_tokens(recording)
    message = t("It wrote {n} tokens.", n=f"{actual:,}")
    if guessed is not None:
        message = joined(
            message, t("You guessed {n}: {score} of 100.", n=f"{guessed:,}", score=guess_score(guessed, actual))
        )
    lesson_steps.heading(message, 3)
    lesson_figures.guesses(live.view().guesses, actual=actual, key="seat_histogram")


def _asking(live: LiveRoom, seat: SeatRecord, *, running: bool) -> None:
    if live.choice is None or live.record.status == "closed":
        st.caption(t("Nothing can be asked in this room now."))
        return
    lesson_steps.heading(t("Ask the model yourself"))
    with st.form("seat_ask", border=False):
        st.text_area(t("Question"), key="seat_question", height=90, max_chars=2000)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(t("Known answer"), key="seat_answer", placeholder=t("optional"), width=200)
            st.number_input(t("Budget: tokens"), 1, 2000, 40, key="seat_budget", width=160)
            st.form_submit_button(
                t("Ask"), type="primary", icon=":material/play_arrow:", disabled=running, on_click=_ask,
                args=(live, seat),
            )  # fmt: skip
    if error := st.session_state.pop("seat_error", None):
        st.error(literal(str(error), 600), icon=":material/error:")


def _ask(live: LiveRoom, seat: SeatRecord) -> None:
    """Before the page is drawn, so that it is drawn once."""
    given = st.session_state
    if live.choice is None or given["seat_budget"] is None:
        return
    question, answer = str(given["seat_question"]), str(given["seat_answer"])
    plan = AskPlan(
        question=Question(
            question.strip(), answer=answer.strip() or None, language=language_of(question), source="class"
        ),
        estimator=f"fixed:{int(given['seat_budget'])}",
        template=usual_template(live.choice.model, get_settings()),
        sampling=Sampling(max_tokens=MAX_TOKENS),
    )
    try:
        st.query_params["session"] = live.ask(seat, plan).id
    except (InputError, StoreError) as e:
        given["seat_error"] = str(e)


def _answer(live: LiveRoom, job: AskJob | None) -> None:
    """The newest whole Ask of this student."""
    view = job.view() if job is not None else _stored(live)
    if view is not None:
        ask_result.whole(view)


def _stored(live: LiveRoom) -> AskView | None:
    """What the address names, from before a restart of the server."""
    session_id = str(st.query_params.get("session", ""))
    if not session_id:
        return None
    try:
        session = live.store.get_session(session_id)
    except NotFoundError:
        return None
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return None
    return view_of(session) if session.kind == "ask" else None
