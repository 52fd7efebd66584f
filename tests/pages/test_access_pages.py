"""What a page shows to whom: a student sees the class and nothing else, and a stranger nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.access import who
from tale_core.access.accounts import Accounts
from tale_core.access.who import Asker
from tale_core.labels import Labeling
from tale_core.lessons import rooms
from tale_core.lessons.room import LiveRoom
from tale_core.settings import get_settings
from tale_core.types import Question
from tests.labels.samples import asked
from tests.pages.app_page import opened as drawn
from tests.pages.app_page import store, words
from tests.pages.test_lesson_page import a_room
from tests.pages.test_settings_page import fill, press
from ui import access

Opened = Callable[..., AppTest]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    def opened(asker: Asker, path: str = "pages/Class.py", **address: str) -> AppTest:
        monkeypatch.setattr(who, "asked_for_asker", [lambda: asker])
        return drawn(path, address=address)

    return opened


ADA = Asker("member", "Ada", browser="d" * 32)
STUDENT = Asker("student", browser="a" * 32, address="192.168.1.5")


def links(at: AppTest) -> list[str]:
    return [node.proto.label for node in at.sidebar if node.type == "page_link"]


@pytest.mark.parametrize("path", ["app.py", "pages/Label.py", "pages/Settings.py"])
def test_a_student_who_opens_another_page_is_in_the_class(opened: Opened, path: str) -> None:
    at = opened(STUDENT, path, session="x", annotator="Ada", token="x")
    said = words(at.main)
    assert "Join your class" in said and not at.exception
    assert "Open a room" not in said and "Start the lesson" not in said
    assert links(at) == ["Class"]


def test_a_students_address_opens_no_teachers_page_no_screen_and_no_recording(
    opened: Opened, own_rooms: rooms.Rooms
) -> None:
    live, secret = a_room(own_rooms)
    live.join("Noor")
    said = words(opened(STUDENT, room=live.code, teacher=secret, screen="1", step="cost", play="ask-en").main)
    assert "Your nickname" in said and "Noor" not in said
    assert "Join your class" in words(opened(STUDENT, step="cost", play="ask-en").main)


def test_a_stranger_sees_nothing_whatever_the_address_says(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    at = opened(Asker("stranger"), "pages/History.py", session="x")
    assert [b.label for b in at.button] == ["Sign in"] and not links(at) and not at.exception


def test_without_a_gate_nobody_is_the_owner_of_a_server_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(who, "asked_for_asker", [access.asker])
    monkeypatch.setenv("TALE_ACCESS", "team")
    get_settings.cache_clear()
    at = drawn()
    assert [b.label for b in at.button] == ["Sign in"]


def seat_at(at: AppTest, live: LiveRoom, name: str = "Ash") -> AppTest:
    at.text_input(key="seat_nickname").input(name)
    return next(b for b in at.button if b.label == "Join").click().run()


def test_a_browser_holds_one_seat_and_finds_it_again_without_its_address(
    opened: Opened, own_rooms: rooms.Rooms
) -> None:
    live, _ = a_room(own_rooms)
    at = seat_at(opened(STUDENT, room=live.code), live)
    assert "Ash" in words(at.main)
    stolen = str(at.query_params["seat"][0])
    assert "Ash" in words(opened(STUDENT, room=live.code).main), "the same browser, without the seat's address"
    other = Asker("student", browser="b" * 32, address="192.168.1.6")
    assert "Your nickname" in words(opened(other, room=live.code, seat=stolen).main), "another browser"


def test_a_teacher_takes_a_seat_away_locks_the_room_and_shows_the_address_as_a_picture(
    opened: Opened, own_rooms: rooms.Rooms
) -> None:
    live, secret = a_room(own_rooms)
    student = seat_at(opened(STUDENT, room=live.code), live)
    at = opened(who.OWNER, room=live.code, teacher=secret)
    assert not at.exception and any("Image" in type(getattr(node, "proto", None)).__name__ for node in at.main)
    at.button(key="room_remove").click().run()
    assert live.rooms.seats(live.id) == []
    monkey = opened(STUDENT, room=live.code)
    assert "taken your seat away" in words(monkey.main) and not monkey.text_input
    assert student is not None
    at = opened(who.OWNER, room=live.code, teacher=secret)
    at.button(key="room_lock").click().run()
    assert live.record.locked and "nobody new may join" in words(at.main)
    late = Asker("student", browser="c" * 32, address="192.168.1.9")
    assert "nobody new may join" in words(seat_at(opened(late, room=live.code), live, "Late").main)


def test_a_student_whose_browser_keeps_no_cookie_is_told(opened: Opened, own_rooms: rooms.Rooms) -> None:
    live, _ = a_room(own_rooms)
    assert "has not kept our cookie" in words(opened(Asker("student"), room=live.code).main)


def test_a_member_labels_as_themselves_whatever_the_address_says(opened: Opened) -> None:
    with who.asking_as(ADA):
        mine = asked(store(), Question("How many legs have 3 cats?", answer="12"), "twelve [[12]]")
    asked(store(), Question("What did the owner ask?"), "a secret answer")
    at = opened(ADA, "pages/Label.py", annotator="Ben", which="all")
    said = words(at.main)
    assert not at.exception and "Ada" in said and "Ben" not in said and "secret" not in said
    assert "3 cats" in said
    assert "Import known answers" not in said
    assert [one.name for one in Labeling(store()).queue.annotators()] == ["Ada"]
    assert "Fine-tune" not in links(at) and "History" in links(at)
    assert "3 cats" in words(at.sidebar) and "the owner" not in words(at.sidebar)
    ben = opened(Asker("member", "Ben"), "app.py", session=mine)
    assert "3 cats" not in words(ben.main) and "no session of this name" in words(ben.main)


def test_a_page_for_owners_leads_a_member_to_theirs(opened: Opened) -> None:
    at = opened(ADA, "pages/Fine-tune.py")
    assert any(box.key == "question" for box in at.text_area) and not at.exception


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    monkeypatch.setenv("TALE_ACCESS", "team")
    get_settings.cache_clear()
    accounts = Accounts(get_settings().data_dir)
    for name, role in (("Ada", "member"), ("Ben", "member"), ("Olga", "owner"), ("Sam", "student")):
        accounts.put(name, role, None)
    return accounts


def test_a_member_shares_a_result_with_one_person_by_name(opened: Opened, team: Accounts) -> None:
    with who.asking_as(ADA):
        mine = asked(store(), Question("How many legs have 3 cats?", answer="12"), "twelve [[12]]")
        store().finish_session(mine, "done")
    at = opened(ADA, "app.py", session=mine)
    assert "Only you and owners see this." in words(at.main) and not at.exception
    assert at.pills(key="sharing_people").options == ["Ben"]
    at.pills(key="sharing_people").select("Ben").run()
    at.button(key="sharing_with").click().run()
    assert "Seen by: Ben" in words(at.main)
    ben = opened(Asker("member", "Ben"), "app.py", session=mine)
    assert "3 cats" in words(ben.main) and not [b for b in ben.button if b.key and b.key.startswith("sharing")]
    assert "Only you" not in words(ben.main)
    cem = opened(Asker("member", "Cem"), "app.py", session=mine)
    assert "no session of this name" in words(cem.main)
    at = opened(ADA, "pages/History.py")
    assert "shared with Ben" in words(at.main)


def test_a_key_that_is_kept_is_there_at_the_next_sign_in_and_a_forgotten_one_is_not(
    opened: Opened, team: Accounts
) -> None:
    url, key = "https://llm.example.org/v1", "sk-kept-0123456789abcdefghij"
    at = fill(opened(ADA, "pages/Settings.py"), url, "m", key)
    at.checkbox(key="endpoint_keep").check()
    press(at, "Use this endpoint")
    ben = opened(Asker("member", "Ben"), "pages/Settings.py")
    assert "llm.example.org" not in words(ben.main)
    asks = opened(ADA, "app.py")
    assert asks.session_state["session_api_keys"] == {f"{url}|m": key}
    assert any("llm.example.org" in one for one in asks.selectbox(key="model").options)
    again = opened(ADA, "pages/Settings.py")
    assert "m · https://llm.example.org/v1" in words(again.main) and not again.exception
    next(b for b in again.button if b.label == "Forget").click().run()
    assert "llm.example.org" not in words(opened(ADA, "pages/Settings.py").main)
