"""The Class page: what the address asks for (a step of the lesson, a recording, a room), else where to begin.

`?step=`, `?play=` and `?room=` are the only memory of what is shown: a refresh or a shared link shows the same.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from tale_core.access.who import asking
from tale_core.errors import InputError, StoreError
from tale_core.i18n import language, t, tn
from tale_core.lessons import lesson
from tale_core.lessons.document import lesson_html
from tale_core.lessons.joining import tidy_code
from tale_core.lessons.recorded import Recording, available
from tale_core.lessons.room import LiveRoom
from tale_core.lessons.rooms import rooms
from ui.common import state
from ui.common.text import literal
from ui.lesson import player as lesson_player
from ui.lesson import room as lesson_room
from ui.lesson import stage
from ui.lesson import steps as lesson_steps
from ui.lesson import student as lesson_student
from ui.shell import page

PARTS = ("step", "play", "room", "teacher", "seat", "screen", "session")


def go(**address: str) -> None:
    """Show what this address names."""
    for name in PARTS:
        if name in address:
            st.query_params[name] = address[name]
        elif name in st.query_params:
            del st.query_params[name]


def draw() -> None:
    """Draw the page."""
    page(t("Class"), alone=True)
    given = {name: str(st.query_params.get(name, "")) for name in PARTS}
    if asking().role == "student":
        _student(given)
    elif given["room"]:
        _room(given)
    elif given["step"] in lesson.STOPS:
        stage.alone(given["step"], go)
    elif given["play"]:
        _recording(given["play"])
    else:
        _home()


def _student(given: dict[str, str]) -> None:
    """A student of a class sees their seat, and where to type the code; whatever else the address names."""
    live = _found(given["room"]) if given["room"] else None
    if live is not None:
        lesson_student.draw(live, given["seat"], go)
        return
    _told()
    st.title(t("Join your class"), anchor=False)
    _join()


def _found(code: str) -> LiveRoom | None:
    try:
        return rooms().find(code)
    except StoreError as e:
        st.session_state["lesson_error"] = str(e)
        return None


def _told() -> None:
    if error := st.session_state.pop("lesson_error", None):
        st.warning(literal(str(error), 800), icon=":material/error:")


def _room(given: dict[str, str]) -> None:
    live = _found(given["room"])
    if live is None:
        _home()
    elif given["screen"]:
        lesson_room.screen(live, mine=_moves(live, given["teacher"]), go=go)
    elif given["teacher"]:
        if not live.is_teacher(given["teacher"]):
            st.error(t("This is not the teacher's address of this room."), icon=":material/lock:")
            return
        lesson_room.teacher(live, given["teacher"])
    else:
        lesson_student.draw(live, given["seat"], go)


def _moves(live: LiveRoom, secret: str) -> bool:
    """Whether this screen's keys move the room: its teacher opened it. The address then loses the teacher's secret."""
    mine = f"stage_of_{live.code}"
    if secret:
        st.session_state[mine] = live.is_teacher(secret)
        del st.query_params["teacher"]
    return bool(st.session_state.get(mine))


def _recording(name: str) -> None:
    found, _ = available()
    recording = found.get(name)
    st.button(t("Back"), key="lesson_home", icon=":material/arrow_back:", on_click=go, type="tertiary")
    if recording is None:
        st.warning(t("There is no recording of this name."), icon=":material/search_off:")
        return
    st.markdown(f"### {literal(recording.session.question.text, 600)}", anchors=False)
    lesson_player.mark(recording)
    st.caption(literal(recording.reason, 700))
    lesson_player.show(recording)


def _home() -> None:
    _told()
    st.title(t("How much thinking does an answer need?"), anchor=False)
    st.markdown(
        t(
            "A lesson in {n} steps for a projector. It replays **real answers that were recorded**, so it needs no "
            "key, no model and no network. The arrow keys turn its pages, and Space plays, tries and reveals.",
            n=len(lesson.STEPS),
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            t("Start the lesson"), key="lesson_start", type="primary", icon=":material/slideshow:", on_click=go,
            kwargs={"step": lesson.STOPS[0]},
        )  # fmt: skip
        st.download_button(
            t("Save the lesson as a file"), partial(lesson_html, language()),
            file_name=f"lesson-{language()}.html", mime="text/html",
            on_click="ignore", icon=":material/download:", key="lesson_save",
            help=t("One HTML file that opens without a network, also years from now."),
        )  # fmt: skip
    st.divider()
    left, right = st.columns(2, gap="large")
    with left:
        _join()
    with right:
        _open()
    st.divider()
    _library()


def _join() -> None:
    lesson_steps.heading(t("For students"))
    with st.form("lesson_join", border=False):
        code = st.text_input(
            t("Code on the teacher's screen"), key="lesson_code", max_chars=12, placeholder="ABC123", width=260
        )
        if st.form_submit_button(t("Join the class"), icon=":material/login:") and tidy_code(code):
            go(room=tidy_code(code))
            st.rerun()


def _open() -> None:
    lesson_steps.heading(t("For teachers"))
    choice = state.current_choice()
    st.markdown(
        t("Students join by a short code, guess, and ask **{model}** one after the other.", model=literal(choice.title))
    )
    if st.button(t("Open a room"), key="lesson_open", icon=":material/meeting_room:"):
        try:
            room = rooms().open(choice, keys=state.secrets(), key=state.session_keys().get(choice.key))
        except (InputError, StoreError) as e:
            st.error(literal(str(e), 800), icon=":material/error:")
            return
        go(room=room.room.code, teacher=room.secret)
        st.rerun()


def _library() -> None:
    lesson_steps.heading(t("Recordings"))
    found, problems = available()
    for problem in problems[:5]:
        st.warning(literal(problem, 600), icon=":material/broken_image:")
    mine = sorted(found.values(), key=lambda one: one.session.question.language != language())
    for recording in mine:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                t("Play"), key=f"lesson_play_{recording.name}", icon=":material/play_arrow:", on_click=go,
                kwargs={"play": recording.name},
            )  # fmt: skip
            with st.container(gap=None):
                st.markdown(f"**{literal(lesson.finding(recording), 400)}**")
                st.caption(literal(f"{_kind(recording)} · {lesson.mark(recording)}", 300))
                st.caption(literal(recording.session.question.text, 300))


def _kind(recording: Recording) -> str:
    n = len(recording.tapes)
    return {
        "ask": t("Two answers side by side"),
        "search": tn("A search, {n} answer", "A search, {n} answers", n),
        "sweep": tn("An elasticity curve, {n} answer", "An elasticity curve, {n} answers", n),
    }[recording.kind]
