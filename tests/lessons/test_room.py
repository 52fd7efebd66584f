"""Rooms: who may do what, what a restart keeps, and a class of thirty on a scripted model."""

from __future__ import annotations

import json
import threading

import pytest

from tale_core.access.who import Asker, asking_as, unnamed
from tale_core.ask.plan import AskPlan
from tale_core.errors import InputError, NotFoundError, ShareUsedError
from tale_core.lessons.arc import lesson_arc
from tale_core.lessons.board import board, strike, strike_labels, struck
from tale_core.lessons.joining import LETTERS, tidy_code, tidy_nickname
from tale_core.lessons.queue import Caps
from tale_core.lessons.room import FRESH_S, GONE_S, HERE_S, LiveRoom
from tale_core.lessons.rooms import Rooms, check_caps, class_store
from tale_core.models.choice import ModelChoice, embedded_choice
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.store import UNDO_FOR, RoomStore, open_store, queries
from tale_core.types import Question, Sampling
from tests.store import samples
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("runner")
CHOICE = ModelChoice("endpoint", "scripted", "Scripted", base_url="scripted")
NO_CAPS = Caps()
PLAN = AskPlan(Question("What is 6 times 7?", answer="42"), estimator="fixed:9", sampling=Sampling(max_tokens=40))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(reply="so so so [[42]]", *, delay_s=0.0005, caps=NO_CAPS, **options):
    client = ScriptedClient(lambda _: Reply(reply, delay_s=delay_s))

    async def model(choice, **given):
        return client

    room = Rooms().open(CHOICE, caps=caps, open_model=model, **options)
    return room.room, room.secret, client


def test_only_the_teachers_secret_opens_the_teachers_page_and_no_secret_is_stored():
    room, secret, _ = opened()
    seated = room.join("Noor")
    assert room.is_teacher(secret)
    for other in ("", "x", secret[:-1], secret + "x", seated.secret, room.code, "\ud800"):
        assert not room.is_teacher(other)
    assert room.seat_of(seated.secret).nickname == "Noor" and room.seat_of(secret) is None
    whole = (class_store().engine.url.database,)
    with open(whole[0], "rb") as file:
        data = file.read()
    assert secret.encode() not in data and seated.secret.encode() not in data


def test_what_students_ask_is_in_a_database_that_no_other_page_reads():
    room, _, _ = opened()
    seat = room.join("Noor").seat
    job = room.ask(seat, PLAN)
    assert job.wait(20).status == "done"
    assert class_store().get_session(job.id).status == "done"
    assert open_store().count_sessions() == 0


@pytest.mark.parametrize("typed", ["  ", "", "x" * 25, "\u202e\u200b"])
def test_a_nickname_that_cannot_be_shown_is_refused(typed):
    with pytest.raises(InputError):
        tidy_nickname(typed)


def test_names_are_tidied_and_each_is_there_once():
    room, _, _ = opened()
    assert room.join("  No\tor  B \u202e").seat.nickname == "Noor B"
    with pytest.raises(InputError, match="has that nickname"):
        room.join("noor b")
    room.leave(room.view().seats[0].seat.id)
    assert room.join("noor b").seat.nickname == "noor b"


def test_codes_are_typed_as_people_do_and_unknown_ones_are_told():
    room, _, _ = opened()
    typed = f" {room.code[:3].lower()}-{room.code[3:]} "
    assert tidy_code(typed) == room.code and set(room.code) <= set(LETTERS)
    assert Rooms().find(typed).id == room.id
    with pytest.raises(NotFoundError):
        Rooms().find("ZZZZZZ")


def test_guesses_count_until_the_reveal_and_a_later_one_replaces_an_earlier():
    room, _, _ = opened()
    a, b = room.join("a").seat, room.join("b").seat
    assert not room.guess(a, 50)
    room.change(recording="ask-en", revealed=False)
    assert room.guess(a, 50) and room.guess(a, 60) and room.guess(b, 10)
    assert room.view().guesses == (10, 60) and room.my_guess(a) == 60
    for wrong in (0, -1, 10**9):
        with pytest.raises(InputError):
            room.guess(a, wrong)
    room.change(revealed=True)
    assert not room.guess(b, 99) and room.view().guesses == (10, 60)
    room.change(recording="ask-zh", revealed=False)
    assert room.view().guesses == () and [s.guessed for s in room.view().seats] == [False, False]


def test_a_closed_room_stays_closed_and_takes_nobody():
    room, _, _ = opened()
    seat = room.join("a").seat
    room.change(recording="x", revealed=False)
    room.change(status="closed")
    assert room.change(status="open").status == "closed"
    with pytest.raises(InputError, match="closed"):
        room.join("b")
    with pytest.raises(InputError, match="closed"):
        room.ask(seat, PLAN)
    assert not room.guess(seat, 5)


def test_closing_stops_what_runs_and_what_waits():
    room, _, client = opened("so " * 4000, delay_s=0.002)
    asked = [room.ask(room.join(f"s{i}").seat, PLAN_LONG) for i in range(6)]
    until(lambda: client.open_streams == 4)
    room.change(status="closed")
    assert all(not job.wait(20).running for job in asked)
    assert client.open_streams == 0 and room.queue.waiting() == {}


PLAN_LONG = AskPlan(Question("Write."), estimator="fixed:9", sampling=Sampling(max_tokens=None))


def test_a_restart_keeps_the_room_the_seats_the_guesses_and_everything_that_was_paid():
    room, secret, client = opened(caps=Caps(student_calls=3))
    seated = room.join("Noor")
    room.change(recording="ask-en", revealed=False)
    room.guess(seated.seat, 77)
    room.ask(seated.seat, PLAN).wait(20)
    spent = room.view().spent
    assert spent.calls == 2 and spent.tokens > 0
    again = Rooms().find(room.code)  # Another process: nothing in memory.
    assert again is not room and again.is_teacher(secret)
    seat = again.seat_of(seated.secret)
    assert seat.nickname == "Noor" and again.my_guess(seat) == 77 and again.view().spent == spent
    assert again.queue.spent()[seat.id].calls == 2 and again.choice is None
    with pytest.raises(InputError, match="no model"):
        again.ask(seat, PLAN)

    async def model(choice, **given):
        return client

    again._open_model = model
    again.use(CHOICE)
    view = again.ask(seat, PLAN).wait(20)
    assert view.status == "failed" and "share" in view.error and len(client.requests) == 3


def test_a_call_whose_end_nobody_saw_counts_at_the_most_it_could_have_cost():
    room, _, _ = opened()
    seat = room.join("a").seat
    RoomStore(room.store).begin_call("c1", room.id, seat.id, prompt_tokens=40, completion_tokens=600)
    assert Rooms().find(room.code).queue.spent()[seat.id].tokens == 640


def test_a_room_of_the_embedded_model_can_be_asked_after_a_restart():
    room = Rooms().open(embedded_choice("smollm2-135m")).room
    assert Rooms().find(room.code).choice == embedded_choice("smollm2-135m")


def test_a_student_has_one_question_at_a_time_and_cancel_frees_the_place():
    room, _, client = opened("so " * 4000, delay_s=0.002)
    seat = room.join("a").seat
    job = room.ask(seat, PLAN_LONG)
    with pytest.raises(InputError, match="still being answered"):
        room.ask(seat, PLAN)
    until(lambda: client.open_streams == 2 and all(call.text for call in job.view().calls.values()))
    job.cancel()
    assert job.wait(20).status == "cancelled"
    until(lambda: room.queue.busy() == {})
    spent = room.view().seats[0].spent
    assert spent.calls == 2 and 0 < spent.completion_tokens < 4000
    assert room.ask(seat, PLAN_LONG).id != job.id


def test_a_pause_holds_everybody_back_and_going_on_serves_them():
    room, _, client = opened()
    room.change(status="paused")
    jobs_ = [room.ask(room.join(f"s{i}").seat, PLAN) for i in range(5)]
    until(lambda: len(room.queue.waiting()) == 5)
    assert client.requests == [] and [s.place for s in room.view().seats] == [1, 2, 3, 4, 5]
    room.change(status="open")
    assert {job.wait(20).status for job in jobs_} == {"done"}


def test_somebody_who_is_away_for_long_gives_up_their_place_and_who_is_there_keeps_it():
    clock = Clock()
    room, _, _ = opened(clock=clock)
    room.change(status="paused")
    here, gone = room.join("here").seat, room.join("gone").seat
    asked = {seat.id: room.ask(seat, PLAN) for seat in (here, gone)}
    until(lambda: len(room.queue.waiting()) == 2)
    clock.now += HERE_S + 1
    room.seen(here.id)
    assert [s.here for s in room.view().seats] == [True, False] and len(room.queue.waiting()) == 2
    clock.now += GONE_S
    room.seen(here.id)
    view = asked[gone.id].wait(20)
    assert view.status == "failed" and "given up" in view.error
    assert list(room.queue.waiting()) == [here.id]


def test_leaving_stops_what_was_asked():
    room, _, client = opened("so " * 4000, delay_s=0.002)
    seated = room.join("a")
    job = room.ask(seated.seat, PLAN_LONG)
    until(lambda: client.open_streams == 2)
    room.leave(seated.seat.id)
    assert job.wait(20).status == "cancelled" and client.open_streams == 0
    assert room.seat_of(seated.secret) is None and room.view().seats == ()


def test_caps_that_make_no_sense_are_refused():
    for wrong in (Caps(student_calls=0), Caps(room_tokens=-5)):
        with pytest.raises(InputError):
            check_caps(wrong)


def test_thirty_students_join_guess_and_ask_at_once_and_nothing_is_lost_or_exceeded():
    room, _, client = opened(caps=Caps(student_calls=2, room_tokens=100_000))
    room.change(recording="ask-en", revealed=False)
    places, failed = [], []

    def student(i: int) -> None:
        try:
            seat = room.join(f"student {i}").seat
            assert room.guess(seat, 10 + i)
            job = room.ask(seat, PLAN)
            places.append(room.queue.place(seat.id))
            view = job.wait(60)
            assert view.status == "done" and {c.record.outcome for c in view.calls.values()} == {"correct"}
            over = room.ask(seat, PLAN).wait(60)
            assert over.status == "failed" and "Your share is used up" in over.error
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=student, args=(i,)) for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert failed == []
    view = room.view()
    assert len(view.seats) == len(view.guesses) == 30 and view.guesses == tuple(range(10, 40))
    assert {s.spent.calls for s in view.seats} == {2} and view.spent.calls == len(client.requests) == 60
    assert room.store.count_sessions() == 60 and client.open_streams == 0


def test_an_address_holds_as_many_seats_as_its_teacher_allows_and_others_are_not_hurt():
    room, _, _ = opened()
    room.change(seats_per_address=2)
    seats = [room.join(f"a{n}", browser=f"b{n}", address="10.0.0.5").seat for n in range(2)]
    with pytest.raises(InputError, match="network address"):
        room.join("a2", browser="b2", address="10.0.0.5")
    with pytest.raises(InputError, match="network address"):
        room.join("a2", browser="b2", address="::ffff:10.0.0.5")
    room.join("else", browser="b3", address="10.0.0.6")
    room.join("here", browser="b4")
    room.leave(seats[0].id)
    room.join("a2", browser="b2", address="10.0.0.5")
    room.change(seats_per_address=None)
    room.join("a3", browser="b5", address="10.0.0.5")


def test_a_device_does_not_get_more_seats_by_changing_half_of_its_address():
    room, _, _ = opened()
    room.change(seats_per_address=1)
    room.join("a", browser="a", address="2001:db8:1:2::1")
    with pytest.raises(InputError):
        room.join("b", browser="b", address="2001:db8:1:2:ffff::9")
    room.join("c", browser="c", address="2001:db8:1:3::1")


def test_a_browser_that_leaves_and_comes_back_has_the_seat_it_had_and_what_it_spent():
    room, _, _ = opened()
    first = room.join("Noor", browser="mine").seat
    room.leave(first.id)
    again = room.join("Nora", browser="mine")
    assert again.seat.id == first.id and again.seat.nickname == "Nora"
    assert room.seat_of(again.secret, browser="mine") == room.rooms.seats(room.id)[0]
    assert room.seat_of(again.secret, browser="other") is None and room.seat_of("", browser="mine") is not None


def test_a_seat_that_was_taken_away_stays_so_for_its_browser_and_counts_for_its_address():
    room, _, _ = opened()
    room.change(seats_per_address=1)
    seat = room.join("Noor", browser="mine", address="10.0.0.5").seat
    room.remove(seat.id)
    assert room.is_removed("mine") and not room.is_removed("other") and not room.is_removed(None)
    with pytest.raises(InputError, match="taken your seat away"):
        room.join("Noor", browser="mine", address="10.0.0.5")
    with pytest.raises(InputError, match="network address"):
        room.join("Noor", browser="new", address="10.0.0.5")


def test_who_left_gets_a_place_under_the_same_name_in_a_browser_that_knows_nothing_of_it():
    room, _, _ = opened()
    room.change(seats_per_address=1)
    for browser in ("one", "two", "three"):
        seat = room.join("Noor", browser=browser, address="10.0.0.5").seat
        assert [s.id for s in room.seats()] == [seat.id]
        room.leave(seat.id)


def test_a_seat_that_nobody_looks_at_any_more_is_given_up_for_who_comes_back_under_its_name():
    clock = Clock()
    room, _, _ = opened(clock=clock)
    room.change(seats_per_address=1)
    first = room.join("Noor", browser="before", address="10.0.0.5").seat
    clock.now += GONE_S - 1
    with pytest.raises(InputError, match="nickname"):
        room.join("noor", browser="after", address="10.0.0.5")
    clock.now += 2
    for name, address in (("Noor", "10.0.0.6"), ("Ash", "10.0.0.5")):
        with pytest.raises(InputError):
            room.join(name, browser="other", address=address)
    assert room.seats() == [first], "a place that was refused costs nobody theirs"
    second = room.join("noor", browser="after", address="10.0.0.5").seat
    assert room.seats() == [second] and second.id != first.id and room.seat_of("", browser="before") is None
    room.leave(second.id)
    assert room.join("Noor", browser="before", address="10.0.0.5").seat.id == first.id, "what was spent stays with it"


def test_a_locked_room_takes_nobody_new_and_lets_those_who_have_a_seat_come_back():
    room, _, _ = opened()
    seat = room.join("Noor", browser="mine").seat
    room.change(locked=True)
    with pytest.raises(InputError, match="locked"):
        room.join("Ash", browser="other")
    room.leave(seat.id)
    assert room.join("Noor", browser="mine").seat.id == seat.id
    room.change(locked=False)
    room.join("Ash", browser="other")


def test_no_address_and_no_browser_is_stored_as_it_is():
    room, _, _ = opened()
    room.join("Noor", browser="the-browser", address="10.20.30.40")
    class_store().close()
    with open(class_store().engine.url.database, "rb") as file:
        data = file.read()
    assert b"the-browser" not in data and b"10.20.30.40" not in data


def test_what_a_teacher_changes_holds_in_another_process_within_half_a_second_and_caps_hold_for_both():
    room, _, _ = opened(caps=Caps(room_calls=1))
    clock = Clock()
    other = LiveRoom(room.record, room.store, clock=clock)
    room.change(status="paused", locked=True)
    assert other.record.status == "open"
    clock.now += FRESH_S
    assert other.record.status == "paused" and other.record.locked
    until(lambda: other.queue.paused)
    seats = RoomStore(room.store)
    seats.begin_call("a", room.id, "one", prompt_tokens=1, completion_tokens=1)
    with pytest.raises(ShareUsedError, match="whole room"):
        seats.begin_call("b", room.id, "two", prompt_tokens=1, completion_tokens=1)
    assert seats.spent(room.id)["one"].calls == 1 and "two" not in seats.spent(room.id)


def test_a_deleted_room_can_be_brought_back_for_30_days_and_is_then_gone_with_what_its_students_asked(
    monkeypatch,
):
    mine, _, _ = opened()
    store, known = mine.store, Rooms()
    seat = mine.join("Noor", browser="b" * 32).seat
    with asking_as(Asker("student", unnamed(seat.browser_hash or ""))):
        asked = store.create_session(samples.session(status="done", created_at=None)).id
    before = store.create_session(samples.session(status="done", created_at=None)).id
    assert known.find(mine.code, store=store).id == mine.id
    with pytest.raises(NotFoundError):
        mine.rooms.delete(mine.id)  # It is open.
    mine.change(status="closed")
    mine.rooms.delete(mine.id)
    for _ in range(2):
        with pytest.raises(NotFoundError):
            Rooms().find(mine.code, store=store)
        assert [one.id for one in mine.rooms.deleted()] == [mine.id], "once is enough"
    mine.rooms.bring_back(mine.id)
    assert Rooms().find(mine.code, store=store).record.deleted_at is None and mine.rooms.deleted() == []
    mine.rooms.delete(mine.id)
    moment = queries.now() + UNDO_FOR
    monkeypatch.setattr(queries, "now", lambda: moment)
    assert mine.rooms.deleted() == [] and mine.rooms.seats(mine.id, there=False) == []
    with pytest.raises(NotFoundError):
        mine.rooms.bring_back(mine.id)
    assert {one.id for one in store.list_sessions()} == {before} and asked != before


def test_the_lesson_moves_the_room_and_strikes_are_kept_as_labels_without_names():
    room, _, _ = opened()
    arc = lesson_arc("en")
    noor, ash = room.join("Noor").seat, room.join("Ash").seat
    assert not strike(room, noor, arc, [0])  # Nothing is to be struck out before the lesson.
    room.go("guess", recording=arc.closed.name)
    assert room.guess(noor, arc.best.tokens) and not room.record.revealed
    assert "Noor" not in board(room, arc)["guess"] and f"wrote {arc.best.tokens}" not in board(room, arc)["guess"]
    room.go("guess-shown", recording=arc.closed.name)
    assert room.record.revealed and not room.guess(ash, 40)
    assert "Nearest: Noor, 100 of 100" in board(room, arc)["guess"]
    room.go("needed", recording=arc.closed.name)
    assert strike(room, noor, arc, [0, 1]) and strike(room, ash, arc, [0, 2]) and strike(room, ash, arc, [0])
    assert struck(room, noor, arc) == (0, 1) and struck(room, ash, arc) == (0,)
    rows = [json.loads(line) for line in strike_labels(room, arc).splitlines()]
    assert [row["struck_by"] for row in rows][:3] == [2, 1, 0] and {row["students"] for row in rows} == {2}
    assert rows[0]["text"] == arc.vanilla.call.text.splitlines()[0] and "Noor" not in strike_labels(room, arc)
    room.leave(ash.id)
    assert next(json.loads(line)["struck_by"] for line in strike_labels(room, arc).splitlines()) == 2
    room.go(None, recording=arc.closed.name)
    assert room.record.step is None and not room.record.revealed and not strike(room, noor, arc, [])
    assert struck(room, noor, arc) == (0, 1)


def test_what_this_process_changes_is_seen_at_once_and_what_another_does_a_moment_later():
    clock = Clock()
    room = opened(clock=clock)[0]
    a = room.join("a")
    assert [s.nickname for s in room.seats()] == ["a"] and room.seat_of(a.secret) is not None
    elsewhere = LiveRoom(room.record, room.store, choice=CHOICE, clock=clock)
    b = elsewhere.join("b")
    assert [s.nickname for s in room.seats()] == ["a"]
    clock.now += FRESH_S
    assert [s.nickname for s in room.seats()] == ["a", "b"]
    room.leave(a.seat.id)
    assert room.seat_of(a.secret) is None and elsewhere.seat_of(b.secret) is not None
