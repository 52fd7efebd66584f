"""A room: a teacher and a class on one server, who guess together and, with a model, ask in a fair queue.

What must outlast a restart (the room, seats, guesses, spending) is in the store; who is here right now and who waits
for a turn is in this process's memory. The teacher's key to a model is in memory alone, and students' answers are in
the rooms' own database, which no other page reads.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar, Unpack, cast

from tale_core.access.who import OWNER, asking_as
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun, AskView
from tale_core.errors import InputError, StoreError
from tale_core.i18n import t
from tale_core.lessons.joining import hashed, is_secret, network_of, tidy_nickname
from tale_core.lessons.lesson import STOPS
from tale_core.lessons.queue import Caps, Cost, FairQueue, GatedClient
from tale_core.models.choice import EMBEDDED, ModelChoice, open_client
from tale_core.runs import runner as jobs
from tale_core.settings import get_settings
from tale_core.store import RoomChanges, RoomRecord, RoomStore, SeatRecord, SeatSpent, Store
from tale_core.types import Client

HERE_S = 15.0
"""Seconds after which a student whose page was not seen counts as away."""
GONE_S = 60.0
"""Seconds after which what an absent student has waiting is given up, and the seat for who comes back under its name;
answers being written go on to their end."""
FRESH_S = 0.5
"""Seconds after which the room is read again: another process may have changed it."""
ENDPOINT_SLOTS = 4
"""Calls at the same time to a model at an endpoint."""
K = TypeVar("K")
T = TypeVar("T")


class Seated(NamedTuple):
    """A student's seat and its secret, which is told this once."""

    seat: SeatRecord
    secret: str


@dataclass(frozen=True, slots=True)
class SeatView:
    """A student as the teacher sees them.

    Attributes:
        here: Their page was seen a moment ago.
        running: Calls that are being answered.
        waiting: Calls that wait.
        place: Of their next call in the queue; None when none waits.
        guessed: They guessed what is asked now.
    """

    seat: SeatRecord
    here: bool
    running: int
    waiting: int
    place: int | None
    spent: SeatSpent
    guessed: bool


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as the teacher sees it.

    Attributes:
        spent: By all, students who have left among them.
        guesses: Tokens, in no order that tells whose they are.
    """

    record: RoomRecord
    seats: tuple[SeatView, ...]
    spent: SeatSpent
    guesses: tuple[int, ...]


class _Known(Generic[K, T]):
    """What was read of the store: read again after `FRESH_S`, and at once when this process has changed it.

    A page of every student and several places of the teacher's ask for the same rows, every second or two.
    """

    def __init__(self, read: Callable[[K], T], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._changes = 0
        self._held: tuple[K, float, int, T] | None = None

    def get(self, key: K) -> T:
        """What the store says of this; whatever changes while it is read is not held."""
        changes, now, held = self._changes, self._clock(), self._held
        if held is not None and held[0] == key and held[2] == changes and now - held[1] < FRESH_S:
            return held[3]
        value = self._read(key)
        self._held = (key, now, changes, value)
        return value

    def changed(self) -> None:
        """It was written to."""
        self._changes += 1


class _Ledger:
    """Writes what the room's calls cost into the store; implements `tale_core.lessons.queue.Book`."""

    def __init__(self, store: RoomStore, room_id: str, changed: Callable[[], None]) -> None:
        self._store, self._room_id, self._changed = store, room_id, changed

    async def begin(self, call_id: str, who: str, *, prompt: int, completion: int) -> None:
        """Before it is sent: the most it can come to.

        Raises:
            ShareUsedError: Other processes have spent what there was; nothing is sent.
        """
        await asyncio.to_thread(
            self._store.begin_call, call_id, self._room_id, who, prompt_tokens=prompt, completion_tokens=completion
        )
        self._changed()

    async def end(self, call_id: str, *, prompt: int, completion: int) -> None:
        """What it cost."""
        await asyncio.to_thread(self._store.end_call, call_id, prompt_tokens=prompt, completion_tokens=completion)
        self._changed()


class LiveRoom:
    """A room while this process knows it.

    Args:
        record: As stored.
        store: The rooms' database.
        choice: The model that is asked; None when this process does not know how to reach it.
        open_model: Makes a client of the choice (for tests).
        clock: Seconds.
    """

    def __init__(
        self,
        record: RoomRecord,
        store: Store,
        *,
        choice: ModelChoice | None = None,
        keys: Mapping[str, object] | None = None,
        key: str | None = None,
        open_model: Callable[..., Any] = open_client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id, self.code = record.id, record.code
        self.store, self.rooms = store, RoomStore(store)
        self._record, self._read_at = record, clock()
        self._open_model, self._clock = open_model, clock
        self._all_seats: _Known[None, list[SeatRecord]] = _Known(
            lambda _: self.rooms.seats(self.id, there=False), clock
        )
        self._spent: _Known[None, dict[str, SeatSpent]] = _Known(lambda _: self.rooms.spent(self.id), clock)
        self._guesses: _Known[str, dict[str, int]] = _Known(partial(self.rooms.guesses, self.id), clock)
        self._seen: dict[str, float] = {}
        self._jobs: dict[str, jobs.AskJob] = {}
        self._lock = threading.Lock()
        self.use(choice, keys=keys, key=key)
        spent = {seat: Cost(s.calls, s.tokens) for seat, s in self.rooms.spent(record.id).items()}
        slots = get_settings().server_slots if record.endpoint == EMBEDDED else ENDPOINT_SLOTS
        self.queue = FairQueue(slots, caps=caps_of(record), spent=spent, paused=record.status != "open")

    @property
    def record(self) -> RoomRecord:
        """As stored; what its teacher changed in another process is seen within `FRESH_S`."""
        if (now := self._clock()) - self._read_at >= FRESH_S:
            self._read_at = now
            with suppress(StoreError):  # What is known of it holds meanwhile.
                self._take(self.rooms.get(self.id))
        return self._record

    def _take(self, record: RoomRecord) -> None:
        """The room is like this now: so is its queue."""
        if record == self._record:
            return
        self._record = record
        self._in_loop(lambda: self.queue.set_caps(caps_of(record)))
        self._in_loop(self.queue.resume if record.status == "open" else self.queue.pause)
        if record.status == "closed":
            self.close()

    @property
    def choice(self) -> ModelChoice | None:
        """The model that is asked; None after a restart when a key is needed that was in memory alone."""
        return self._choice

    def use(
        self, choice: ModelChoice | None, *, keys: Mapping[str, object] | None = None, key: str | None = None
    ) -> None:
        """Ask this model from now on.

        Args:
            choice: The model.
            keys: What secrets.toml holds.
            key: The teacher's key as typed for this session; it stays in memory.
        """
        self._choice, self._keys, self._key = choice, keys, key

    # The teacher

    def is_teacher(self, secret: str) -> bool:
        """Whether this is the teacher's secret."""
        return is_secret(secret, self._record.teacher_hash)

    def change(self, **changes: Unpack[RoomChanges]) -> RoomRecord:
        """Change the room, for everybody, from now on."""
        self._take(self.rooms.update(self.id, **changes))
        return self._record

    def go(self, stop: str | None, *, recording: str) -> None:
        """Move the lesson and with it the room: what students see, what they may guess and strike.

        Args:
            stop: One of `lesson.STOPS`; None before its first.
            recording: The lesson's recorded question.
        """
        revealed = stop is not None and STOPS.index(stop) >= STOPS.index("guess-shown")
        self.change(step=stop, recording=recording if stop else None, revealed=revealed)

    def close(self) -> None:
        """Stop all spending of this room."""
        self._in_loop(self.queue.close)
        for job in list(self._jobs.values()):
            job.cancel()

    def view(self) -> RoomView:
        """What the teacher sees."""
        record, now = self.record, self._clock()
        spent, waiting, busy = self._spent.get(None), self.queue.waiting(), self.queue.busy()
        guesses = self.guesses(record.recording) if record.recording else {}
        seats = tuple(
            SeatView(
                seat=seat,
                here=now - self._seen.get(seat.id, float("-inf")) < HERE_S,
                running=busy.get(seat.id, 0),
                waiting=waiting.get(seat.id, 0),
                place=self.queue.place(seat.id),
                spent=spent.get(seat.id, SeatSpent()),
                guessed=seat.id in guesses,
            )
            for seat in self.seats()
        )
        return RoomView(record, seats, _sum(spent), tuple(sorted(guesses.values())))

    def seats(self, *, there: bool = True) -> list[SeatRecord]:
        """The students in the order they came; with `there` only those who have not left."""
        return [seat for seat in self._all_seats.get(None) if not there or seat.left_at is None]

    def guesses(self, recording: str) -> dict[str, int]:
        """The guesses for a recording, by seat."""
        return self._guesses.get(recording)

    # Students

    def join(self, nickname: str, *, browser: str | None = None, address: str | None = None) -> Seated:
        """Take a seat; one of the same nickname whose page has not been seen for long is given up for it.

        Args:
            nickname: As typed.
            browser: What tells the student's browser from others; it holds one seat.
            address: Where it comes from; None on this machine, or where nobody knows.

        Raises:
            InputError: A bad nickname, or one that is taken; the room is full, locked or closed; see `RoomStore.join`.
        """
        secret, now = secrets.token_urlsafe(24), self._clock()
        # A page that only another process has seen may be there.
        gone = {who for who, at in list(self._seen.items()) if now - at > GONE_S}
        seat = self.rooms.join(
            SeatRecord(
                secrets.token_hex(8), self.id, tidy_nickname(nickname), hashed(secret),
                browser_hash=browser and hashed(browser),
                address_hash=address and hashed(f"{self.id} {network_of(address)}"),
            ),
            gone=gone,
        )  # fmt: skip
        self._all_seats.changed()
        for one in self.seats(there=False):
            if one.id in gone and one.left_at is not None:
                self._stop(one.id)
        self.seen(seat.id)
        return Seated(seat, secret)

    def seat_of(self, secret: str, *, browser: str | None = None) -> SeatRecord | None:
        """The seat of a student who comes back with this secret, or in this browser; None when there is none.

        A seat that a browser holds is found in that browser alone: an address that somebody reads from another's screen
        is worth nothing.
        """
        given, mine = hashed(secret), browser and hashed(browser)
        found = None
        for seat in self.seats():  # All of them, so that the time tells nothing.
            held = seat.browser_hash is not None
            if (held and seat.browser_hash == mine) or (not held and hmac.compare_digest(seat.token_hash, given)):
                found = seat
        return found

    def is_removed(self, browser: str | None) -> bool:
        """Whether the teacher has taken this browser's seat away."""
        mine = browser and hashed(browser)
        return bool(mine) and any(s.removed and s.browser_hash == mine for s in self.seats(there=False))

    def seen(self, seat_id: str) -> None:
        """A student's page is there; and who has been away for long gives up their place."""
        now = self._clock()
        self._seen[seat_id] = now
        for other in self.queue.waiting():
            if now - self._seen.setdefault(other, now) > GONE_S:
                self._in_loop(lambda who=other: self.queue.send_away(who))  # type: ignore[misc]

    def remove(self, seat_id: str) -> None:
        """Take a seat away; its browser gets no other one in this room."""
        self._leave(seat_id, removed=True)

    def leave(self, seat_id: str) -> None:
        """Give the seat back: what is asked stops, and what waits is given up."""
        self._leave(seat_id, removed=False)

    def _leave(self, seat_id: str, *, removed: bool) -> None:
        self.rooms.leave(seat_id, removed=removed)
        self._all_seats.changed()
        self._stop(seat_id)

    def _stop(self, seat_id: str) -> None:
        self._seen.pop(seat_id, None)
        self._in_loop(lambda: self.queue.send_away(seat_id))
        if (job := self._jobs.get(seat_id)) is not None:
            job.cancel()

    def guess(self, seat: SeatRecord, tokens: int) -> bool:
        """Guess what is asked now; False when nothing is, or it has been revealed.

        Raises:
            InputError: The guess is out of range.
        """
        recording = self.record.recording
        if recording is None or not self.rooms.guess(seat, recording, tokens):
            return False
        self._guesses.changed()
        return True

    def my_guess(self, seat: SeatRecord) -> int | None:
        """What this student guessed for what is asked now."""
        recording = self._record.recording
        return self.guesses(recording).get(seat.id) if recording else None

    def job_of(self, seat_id: str) -> jobs.AskJob | None:
        """The student's newest Ask of this process, running or ended."""
        return self._jobs.get(seat_id)

    def ask(self, seat: SeatRecord, plan: AskPlan) -> jobs.AskJob:
        """Ask the room's model; every call waits for the student's turn.

        Raises:
            InputError: The plan is wrong, the room is closed, no model can be asked, or the student's last question is
                still being answered.
        """
        choice = self._choice
        if self.record.status == "closed":
            raise InputError(t("The room is closed."))
        if choice is None:
            raise InputError(t("The room has no model to ask."), t("Your teacher has to choose one in the room again."))
        with self._lock:
            running = self._jobs.get(seat.id)
            if running is not None and running.view().running:
                raise InputError(t("Your last question is still being answered."), t("Wait for it, or stop it."))
            self._jobs[seat.id] = job = self._start(seat, plan, choice)
        return job

    def _start(self, seat: SeatRecord, plan: AskPlan, choice: ModelChoice) -> jobs.AskJob:
        def made(changed: Callable[[], None]) -> AskRun:
            async def open_client() -> Client:
                notice = run.notice
                with asking_as(OWNER):  # The room spends what its teacher gave it, through the queue and its caps.
                    client = await self._open_model(choice, secrets=self._keys, key=self._key, notice=notice)
                ledger = _Ledger(self.rooms, self.id, self._spent.changed)
                return cast(Client, GatedClient(client, self.queue, seat.id, book=ledger, on_wait=notice))

            run = AskRun(
                plan.checked(model=choice.model), store=self.store, open_client=open_client,
                model=choice.model, endpoint=choice.endpoint, on_change=changed,
            )  # fmt: skip
            return run

        return cast("jobs.Job[AskView]", jobs.runner().start(made))

    def _in_loop(self, work: Callable[[], None]) -> None:
        """The queue's methods run in the jobs' loop."""
        jobs.runner().loop().call_soon_threadsafe(work)


def caps_of(record: RoomRecord) -> Caps:
    """The caps that a room sets."""
    return Caps(**{name: getattr(record, name) for name in asdict(Caps())})


def _sum(spent: Mapping[str, SeatSpent]) -> SeatSpent:
    return SeatSpent(*(sum(column) for column in zip(*spent.values(), strict=True))) if spent else SeatSpent()
