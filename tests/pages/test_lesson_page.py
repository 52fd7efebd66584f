"""The Class page as a test sees it: the lesson's steps, the deck, a room's teacher and its students."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from tale_core.lessons import lesson, room, rooms
from tale_core.lessons.arc import lesson_arc
from tale_core.lessons.board import struck
from tale_core.lessons.lesson import STEPS, STOPS
from tale_core.lessons.recorded import bundled
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tests.lessons.test_room import CHOICE
from tests.pages.app_page import opened as drawn
from tests.pages.app_page import sent, words
from ui.common.answer import set_text

pytestmark = pytest.mark.usefixtures("own_rooms")


def opened(**address: str) -> AppTest:
    return drawn("pages/Class.py", address=address)


def a_room(known: rooms.Rooms, reply: str = "so so [[42]]") -> tuple[room.LiveRoom, str]:
    async def model(choice: Any, **given: Any) -> ScriptedClient:
        return ScriptedClient(lambda _: Reply(reply))

    live, secret = known.open(CHOICE, open_model=model)
    return live, secret


def test_the_first_screen_offers_the_lesson_a_room_and_every_recording():
    at = opened()
    assert not at.exception
    said = words(at.main)
    assert "How much thinking" in said
    for recording in bundled().values():
        assert lesson.mark(recording) in said
    at.button(key="lesson_start").click().run()
    assert at.query_params["step"] in ("thought", ["thought"])


def staged(at: AppTest) -> dict[str, Any]:
    """What the stage's script is given."""
    (found,) = (e for e in at.main if e.type == "bidi_component")
    return json.loads(found.proto.json)


def test_the_stage_is_given_the_stop_of_the_address_and_all_slides():
    for stop in STOPS:
        at = opened(step=stop)
        assert not at.exception and not at.error
        shown = staged(at)
        assert shown["stop"] == stop and shown["stops"] == list(STOPS) and shown["mine"] and shown["join"] is None
    assert all(escape(step.title) in shown["slides"] for step in STEPS)


def test_the_deck_steps_shows_everything_and_starts_again():
    name = "ask-en"
    recording = bundled()[name]
    whole = lesson.answer_of(recording, "vanilla").text
    end = (set_text(whole) or whole).rstrip()[-30:]
    at = opened(play=name)
    assert end not in sent(at.main)
    at.button(key=f"deck_step_{name}").click().run()
    at.button(key=f"deck_end_{name}").click().run()
    assert lesson.finding(recording) in words(at.main) and end in sent(at.main)
    assert "is recorded: it was not generated now" in words(at.main)


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_recording_is_drawn_whole(name):
    at = opened(play=name)
    at.button(key=f"deck_end_{name}").click().run()
    assert not at.exception and not at.error and lesson.mark(bundled()[name]) in words(at.main)


def test_an_address_that_names_nothing_is_told():
    assert "no recording of this name" in words(opened(play="nothing").main)
    assert "There is no room" in words(opened(room="ZZZZZZ").main)


def test_a_wrong_teachers_address_shows_nothing_of_the_room(own_rooms):
    live, secret = a_room(own_rooms)
    live.join("Noor")
    at = opened(room=live.code, teacher=secret + "x")
    assert "not the teacher" in words(at.main) and "Noor" not in words(at.main)
    assert "Noor" in words(opened(room=live.code, teacher=secret).main)


def test_a_room_is_opened_from_the_page_and_its_teacher_asks_reveals_pauses_and_closes(own_rooms):
    at = opened()
    at.button(key="lesson_open").click().run()
    (live,) = own_rooms._live.values()
    assert live.code in words(at.main) and not at.exception
    at.button(key="room_guess").click().run()
    assert live.record.recording == "ask-en" and not live.record.revealed
    at.button(key="room_reveal").click().run()
    assert live.record.revealed
    at.button(key="room_pause").click().run()
    assert live.record.status == "paused" and live.queue.paused
    at.button(key="room_resume").click().run()
    assert live.record.status == "open"
    at.number_input(key="room_student_calls").set_value(3)
    next(b for b in at.button if b.label == "Set").click().run()
    assert live.record.student_calls == 3
    at.button(key="room_close").click().run()
    assert live.record.status == "closed" and "The room is closed" in words(at.main)


def test_a_student_joins_guesses_and_sees_the_histogram_after_the_reveal_only(own_rooms):
    live, _ = a_room(own_rooms)
    actual = lesson.guessed_tokens(bundled()["ask-en"])
    at = opened(room=live.code)
    at.text_input(key="seat_nickname").input("Noor")
    next(b for b in at.button if b.label == "Join").click().run()
    assert "Wait for your teacher" in words(at.main)
    live.change(recording="ask-en", revealed=False)
    other = live.join("Ash").seat
    live.guess(other, 333)
    at.run()
    at.number_input(key="seat_tokens_ask-en").set_value(120)
    next(b for b in at.button if b.label == "Guess").click().run()
    assert "You guessed 120 tokens" in words(at.main)
    assert "333" not in sent(at.main) and str(actual) not in words(at.main)
    live.change(revealed=True)
    at.run()
    assert f"It wrote {actual} tokens. You guessed 120" in words(at.main) and "Ash" not in words(at.main)


def test_a_student_asks_and_sees_only_their_own_answer_also_after_a_refresh(own_rooms):
    live, secret = a_room(own_rooms, reply="secret-of-noor [[42]]")
    seated, other = live.join("Noor"), live.join("Ash")
    at = opened(room=live.code, seat=seated.secret)
    at.text_area(key="seat_question").input("What is six times seven?")
    at.text_input(key="seat_answer").input("42")
    next(b for b in at.button if b.label == "Ask").click().run()
    job = live.job_of(seated.seat.id)
    job.wait(20)
    at.run()
    assert "secret-of-noor" in sent(at.main) and "2 of 20 calls" in words(at.main)
    for elsewhere in (
        opened(room=live.code, seat=other.secret), opened(room=live.code, screen="1"),
        opened(room=live.code, teacher=secret), opened(room=live.code),
    ):  # fmt: skip
        assert "secret-of-noor" not in sent(elsewhere.main)
    again = opened(room=live.code, seat=seated.secret, session=job.id)
    assert "secret-of-noor" in sent(again.main)


def test_a_hostile_nickname_is_shown_as_text(own_rooms):
    live, secret = a_room(own_rooms)
    live.join("![x](http://e.x) $1$")
    at = opened(room=live.code, teacher=secret)
    assert "![x](http" not in sent(at.main) and not at.exception


def test_the_class_screen_shows_the_code_and_how_many_have_guessed(own_rooms):
    live, _ = a_room(own_rooms)
    seat = live.join("Noor").seat
    live.change(recording="ask-zh", revealed=False)
    live.guess(seat, 50)
    said = words(opened(room=live.code, screen="1").main)
    assert live.code in said and "1 of 1 have guessed" in said and "铅笔" in said
    live.change(revealed=True)
    said = words(opened(room=live.code, screen="1").main)
    assert "1 guess, in the middle 50 tokens; it wrote" in said


def test_one_remote_moves_the_board_and_the_students_and_the_class_screen_loses_the_teachers_secret(own_rooms):
    live, secret = a_room(own_rooms)
    arc = lesson_arc("en")
    seated = live.join("Noor")
    teacher, student = opened(room=live.code, teacher=secret), opened(room=live.code, seat=seated.secret)
    shown = opened(room=live.code, teacher=secret, screen="1")
    assert "teacher" not in shown.query_params
    assert staged(shown)["mine"] and staged(shown)["stop"] == "join" and staged(shown)["join"]["code"] == live.code
    assert not staged(opened(room=live.code, screen="1"))["mine"]
    for stop in STOPS:
        remote(teacher, "next")[0].click().run()
        assert not teacher.exception and live.record.step == stop
        assert lesson.step_of(stop).title in words(teacher.main)
        assert staged(shown.run())["stop"] == stop
        said = words(student.run().main)
        assert not student.exception
        if stop == "needed":
            student.checkbox(key=f"strike_{arc.closed.name}_1").check().run()
            assert struck(live, seated.seat, arc) == (1,) and "heat5" in staged(shown.run())["live"]["needed"]
        elif lesson.step_of(stop).id not in lesson.REVEALED:
            assert "Look at the board." in said
        assert ("You guessed" in said or "It wrote" in said) == (stop == "guess-shown"), stop
    assert not remote(teacher, "next")
    remote(teacher, "back")[0].click().run()
    assert live.record.step == "needed-shown" and "The answer was there" in words(student.run().main)
    live.go("guess-shown", recording=arc.closed.name)  # By the class screen; the teacher's page has not seen it yet.
    remote(teacher, "next")[0].click().run()
    assert live.record.step == STOPS[STOPS.index("guess-shown") + 1]


def remote(teacher: AppTest, way: str) -> list[Button]:
    """A step's buttons have keys of their own, so that a click that is handed on twice names one that is gone."""
    return [button for button in teacher.button if str(button.key).startswith(f"remote_{way}_")]


def test_the_address_of_before_leads_to_class_with_all_that_it_carries():
    at = drawn("pages/Lesson.py", address={"room": "ABC123"})
    assert not at.exception
    assert "There is no room 'ABC23'" in words(at.main), words(at.main)
