"""The part `class`: 60 students in one room, each with a websocket, who ask a scripted endpoint as fast as it answers.

The teacher opens the room by the owner's link, pauses it once in the middle, and near the end allows so many calls more
and no other. What was asked is counted by the endpoint itself. Students come with cookies of their own, as browsers do.
The goals are about the time in which all of them are in; `--seconds 60` is a shorter round, `--processes 2` has two
processes behind HAProxy, where the students of the teacher's one can ask.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval
from benchmarks.fixed_endpoint import asked_of, fixed_endpoint
from benchmarks.load import MOST_P95_MS, Seen, app, faults, p95_of, rows_of
from benchmarks.load_viewer import LONGEST_S, Viewer
from benchmarks.machine import load as busy
from benchmarks.parts import Options, PartResult, Table
from tale_core.access.keys import load_keys
from tale_core.store import RoomStore, Store, open_store
from tale_core.store.tables import room_calls

STUDENTS, SECONDS, LATENCY_S = 60, 300, 0.5
COME, PAUSE, CAP = 0.3, 0.5, 0.75
"""Shares of the time: until all are in, until the teacher pauses, until what may be asked is limited."""
ASK = "FormSubmitter:seat_ask-Ask"
PAUSED_S, WITHIN_S = 4.0, 1.0
MORE_CALLS = 24
"""That the room may make after the limit was set."""
PACE_S = (1.0, 3.0)
MOST_APART = 4
"""Calls between the student with the most and the one with the fewest: each asks for two answers at a time."""


@dataclass
class Room:
    """The room while it is watched from outside, in the database.

    Attributes:
        began: Calls by seat.
        ended: Those that have ended.
        able: Seats that can ask: those of the teacher's process.
        fair: Calls by seat from when all were in until the limit.
        cap: Calls that it may make; None until the limit is set.
        late: Requests that came later than `WITHIN_S` after the pause.
    """

    code: str
    store: Store
    id: str = ""
    began: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    able: set[str] = field(default_factory=set)
    fair: dict[str, int] = field(default_factory=dict)
    students: int = STUDENTS
    cap: int | None = None
    late: int | None = None
    over: bool = False

    def look(self) -> None:
        """Count."""
        c = room_calls.c
        mine = select(c.seat_id, func.count(), func.count().filter(c.ended)).where(c.room_id == self.id)
        with self.store.reading() as connection:
            rows = connection.execute(mine.group_by(c.seat_id)).all()
        self.began = {seat: n for seat, n, _ in rows}
        self.ended = {seat: n for seat, _, n in rows}


def run(options: Options) -> PartResult:
    """Measure."""
    seconds, students, before = float(options.seconds or SECONDS), options.limit or STUDENTS, busy()
    with tempfile.TemporaryDirectory(prefix="tale-bench-class-", ignore_cleanup_errors=True) as folder:
        log, data = Path(folder) / "app.log", Path(folder) / "data"
        more = {"TALE_ACCESS": "class", "TALE_CLASS_URL": "http://127.0.0.1"}
        with fixed_endpoint(LATENCY_S) as url, app(Path(folder), url, log, options.processes, **more) as (port, _):
            options.say(f"{students} students for {seconds:.0f} s, {options.processes} process(es) of the app")
            lesson = _lesson(port, url, data, seconds, chance=random.Random(options.seed), students=students)
            try:
                seen, room = asyncio.run(lesson)
            except TimeoutError as e:
                raise MeasurementError(f"a click of the teacher was not answered within {LONGEST_S:.0f} s") from e
            asked = asked_of(url)
        told = log.read_text(encoding="utf-8", errors="replace")
    seen.problems += faults(told)
    return result_of(seen, room, asked, seconds, (before, busy()), options.processes)


async def _lesson(
    port: int, url: str, data: Path, seconds: float, *, chance: random.Random, students: int
) -> tuple[Seen, Room]:
    seen = Seen()
    async with Viewer(port, load_keys(data).token) as teacher:
        await teacher.open("Settings")
        await teacher.press("use_group_scripted")
        await teacher.open("Lesson")
        await teacher.press("lesson_open", until=lambda: teacher.has("room_pause"))
        teacher.problems.clear()  # Until now the embedded model was chosen, whose weights are not there.
        room = Room(teacher.part("room"), open_store(f"sqlite:///{data / 'class.db'}"), students=students)
        rooms = RoomStore(room.store)
        room.id = rooms.by_code(room.code).id
        rooms.update(room.id, student_calls=None, student_tokens=None, room_calls=None, room_tokens=None)
        began = time.monotonic()
        seen.all_there = began + COME * seconds
        people = [
            asyncio.create_task(_student(port, n, random.Random(chance.random()), seconds, began, room, seen))
            for n in range(students)
        ]
        watching = asyncio.create_task(_watch(room))
        await _until(seen.all_there)
        there = dict(room.began)
        await _until(began + PAUSE * seconds)
        await _pause(teacher, url, room)
        await _until(began + CAP * seconds)
        room.fair = {seat: n - there.get(seat, 0) for seat, n in room.began.items()}
        # Paused, so that nothing is on its way while what may still be asked is counted.
        await teacher.press("room_pause", until=lambda: teacher.has("room_resume"))
        await asyncio.sleep(WITHIN_S + 2 * LATENCY_S)
        await asyncio.to_thread(room.look)
        room.cap = sum(room.began.values()) + MORE_CALLS
        rooms.update(room.id, room_calls=room.cap)
        await teacher.press("room_resume", until=lambda: teacher.has("room_pause"))
        await _until(began + seconds)
        room.over = True
        await asyncio.gather(*people)
        watching.cancel()
        seen.problems += teacher.problems
    return seen, room


async def _pause(teacher: Viewer, url: str, room: Room) -> None:
    """The teacher's click, and what the endpoint is asked afterwards."""
    clicked = time.monotonic()
    await teacher.press("room_pause", until=lambda: teacher.has("room_resume"))
    await _until(clicked + WITHIN_S)
    then = await asyncio.to_thread(asked_of, url)
    await _until(clicked + PAUSED_S)
    room.late = await asyncio.to_thread(asked_of, url) - then
    await teacher.press("room_resume", until=lambda: teacher.has("room_pause"))


async def _student(
    port: int, number: int, chance: random.Random, seconds: float, began: float, room: Room, seen: Seen
) -> None:
    await _until(began + COME * seconds * number / room.students * 0.8)
    try:
        async with Viewer(port) as viewer:
            await seen.rerun("open the room", viewer.open("Lesson", f"room={room.code}"))
            viewer.write("seat_nickname", f"Student {number}")
            await seen.rerun(
                "join", viewer.press("FormSubmitter:seat_join-Join", until=lambda: bool(viewer.part("seat")))
            )
            await viewer.settled()
            seat = await asyncio.to_thread(_seat, room, f"Student {number}")
            with suppress(TimeoutError):  # In the teacher's process alone there is a model to ask.
                await viewer.until(lambda: viewer.has(ASK))
                room.able.add(seat)
            asks = 0
            while not room.over and room.cap is None and viewer.has(ASK):
                asks += 1
                await _ask(viewer, f"What is {number} times {asks}?", seat, room, seen)
                await asyncio.sleep(chance.uniform(*PACE_S))
            seen.problems += viewer.problems  # From here on the limit is told to those who ask.
            while not room.over and viewer.has(ASK):
                viewer.write("seat_question", f"Is {number} odd?")
                await viewer.press(ASK)
                await asyncio.sleep(chance.uniform(*PACE_S))
            seen.problems += [one for one in viewer.problems if "connection" in one or "Error:" in one]
    except Exception as e:
        seen.problems.append(f"student {number}: {type(e).__name__} {e}")


async def _ask(viewer: Viewer, question: str, seat: str, room: Room, seen: Seen) -> None:
    await viewer.until(lambda: viewer.can(ASK))
    before = room.ended.get(seat, 0)
    viewer.write("seat_question", question)
    await seen.rerun("ask", viewer.press(ASK))
    while room.ended.get(seat, 0) < before + 2 and room.cap is None and not room.over:
        await asyncio.sleep(0.2)
    await viewer.settled()
    seen.answered += 1


def _seat(room: Room, nickname: str) -> str:
    return next(one.id for one in RoomStore(room.store).seats(room.id) if one.nickname == nickname)


async def _watch(room: Room) -> None:
    while True:
        await asyncio.to_thread(room.look)
        await asyncio.sleep(0.3)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def result_of(
    seen: Seen, room: Room, asked: int, seconds: float, loads: tuple[float, float], processes: int
) -> PartResult:
    every = sorted(ms for times in seen.times.values() for ms in times)
    if len(every) < 20 or not room.able or room.late is None or room.cap is None:
        raise MeasurementError(f"nothing to measure: {seen.problems[:3]}")
    counts = sorted(room.fair.get(seat, 0) for seat in room.able)
    figures = {
        "errors seen": (0.0, float(len(seen.problems))),
        "calls beside the room's limit": (0.0, float(abs(asked - room.cap))),
        f"calls later than {WITHIN_S:g} s after the pause": (0.0, float(room.late)),
        "calls between the most and the fewest of a student": (float(MOST_APART), float(counts[-1] - counts[0])),
    }
    p95 = p95_of(every)
    rows = rows_of([*seen.times.items(), ("all", every)])
    title = f"{room.students} students, {seconds:.0f} s, {processes} process(es): a rerun, ms"
    return PartResult(
        name="class",
        tables=(Table(title, ("what", "n", "median", "p95", "longest"), rows),),
        goals=(
            *(Goal(f"class: {name}", "at most", most, Interval(1, n, n, n)) for name, (most, n) in figures.items()),
            Goal("class: p95 of a rerun", "at most", MOST_P95_MS, Interval(len(every), p95, p95, p95), "ms"),
        ),
        data={"seconds": seconds, "students": room.students, "processes": processes, "asked": asked, "cap": room.cap,
              "late": room.late, "calls": counts, "times_ms": dict(seen.times), "problems": seen.problems,
              "load": loads},
        notes=(f"The endpoint was asked {asked} times, the room's limit was {room.cap}. From when all were in until "
               f"that limit was set a student made {counts[0]} to {counts[-1]} calls. They ran on the same machine; "
               f"load {loads[0]} before, {loads[1]} after.", *sorted(set(seen.problems))[:5]),
    )  # fmt: skip
