"""`RoomStore`: what a class room asks the database. Rooms, seats, guesses, and every token that was paid for.

What a call may cost at most is written before it is sent, and what it did cost when it has ended, so that a restart in
between loses nothing that was paid.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, Update, and_, delete, func, insert, select, update

from tale_core.access.who import unnamed
from tale_core.errors import InputError, NotFoundError, ShareUsedError
from tale_core.i18n import t
from tale_core.store import queries
from tale_core.store.archive.trash import UNDO_FOR
from tale_core.store.repository import Store
from tale_core.store.tables import room_calls, room_guesses, room_seats, room_strikes, rooms, sessions

RoomStatus = Literal["open", "paused", "closed"]
MOST_SEATS = 60
MOST_GUESS = 100_000


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room.

    Attributes:
        code: What students type to join.
        teacher_hash: SHA-256 of the teacher's secret; the secret itself is stored nowhere.
        student_calls: Calls that one student may make; None means no limit. Likewise the three after it.
        recording: The recording whose tokens are guessed now; None when none is.
        revealed: Its tokens are shown, and guesses no longer count.
        locked: Nobody new may join.
        seats_per_address: Seats that browsers of one network address may hold; None means no limit.
        deleted_at: Since when it is in the trash; None when it is not.
        step: Where the lesson is that the room follows; None while it follows none.
    """

    id: str
    code: str
    teacher_hash: str
    model: str
    endpoint: str
    status: RoomStatus = "open"
    created_at: datetime | None = None
    student_calls: int | None = None
    student_tokens: int | None = None
    room_calls: int | None = None
    room_tokens: int | None = None
    recording: str | None = None
    revealed: bool = False
    locked: bool = False
    seats_per_address: int | None = None
    step: str | None = None
    deleted_at: datetime | None = None

    @property
    def final_at(self) -> datetime:
        """When its deletion becomes final, counted from now while it is not deleted."""
        return (self.deleted_at or queries.now()) + UNDO_FOR


class RoomChanges(TypedDict, total=False):
    """What `update` may change."""

    status: RoomStatus
    model: str
    endpoint: str
    student_calls: int | None
    student_tokens: int | None
    room_calls: int | None
    room_tokens: int | None
    recording: str | None
    revealed: bool
    locked: bool
    seats_per_address: int | None
    step: str | None


@dataclass(frozen=True, slots=True)
class SeatRecord:
    """A student in a room.

    Attributes:
        token_hash: SHA-256 of the student's secret, which finds the seat again after a refresh.
        left_at: When the student left; None while there.
        browser_hash: SHA-256 of what tells the student's browser from others; None where that is not known.
        address_hash: SHA-256 of the network address it came from, for this room alone; None likewise.
        removed: The teacher took the seat away: this browser gets no other one in the room.
    """

    id: str
    room_id: str
    nickname: str
    token_hash: str
    joined_at: datetime | None = None
    left_at: datetime | None = None
    browser_hash: str | None = None
    address_hash: str | None = None
    removed: bool = False


class SeatSpent(NamedTuple):
    """What a student's calls have cost; of calls whose end nobody saw the most they could cost."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens


class RoomStore:
    """The rooms in a store; the same errors as `Store`, whose connections it uses."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(self, room: RoomRecord) -> bool:
        """Store a new room; False when its code is taken by another one."""
        with self.store.writing() as connection:
            if connection.execute(select(rooms.c.id).where(rooms.c.code == room.code)).first() is not None:
                return False
            connection.execute(insert(rooms).values(**_columns(room) | {"created_at": queries.now()}))
            return True

    def get(self, room_id: str) -> RoomRecord:
        """A room.

        Raises:
            NotFoundError: No such room.
        """
        return self._one(rooms.c.id == room_id, room_id)

    def by_code(self, code: str) -> RoomRecord:
        """The room of a join code.

        Raises:
            NotFoundError: No such room.
        """
        return self._one(and_(rooms.c.code == code, rooms.c.deleted_at.is_(None)), code)

    def _one(self, condition: Any, named: str) -> RoomRecord:
        with self.store.reading() as connection:
            row = connection.execute(select(rooms).where(condition)).mappings().first()
        if row is None:
            raise NotFoundError(
                t("There is no room {name}.", name=repr(named[:40])), t("Check the code on the teacher's screen.")
            )
        return RoomRecord(**row)

    def update(self, room_id: str, **changes: Unpack[RoomChanges]) -> RoomRecord:
        """Change a room; a closed one stays closed.

        Raises:
            NotFoundError: No such room.
            TypeError: A field that may not be changed.
        """
        if unknown := sorted(set(changes) - set(RoomChanges.__annotations__)):
            raise TypeError(f"update() got {', '.join(unknown)}")
        with self.store.writing() as connection:
            connection.execute(update(rooms).where(rooms.c.id == room_id, rooms.c.status != "closed").values(**changes))
        return self.get(room_id)

    # The trash

    def delete(self, room_id: str) -> None:
        """Put a closed room into the trash: nobody finds it, and within `UNDO_FOR` it can be brought back.

        Raises:
            NotFoundError: No such room that is closed and not in the trash.
        """
        which = (rooms.c.id == room_id, rooms.c.status == "closed", rooms.c.deleted_at.is_(None))
        self._mark(which, queries.now(), room_id)

    def bring_back(self, room_id: str) -> None:
        """Take a room out of the trash, as it was.

        Raises:
            NotFoundError: It is not there.
        """
        self._mark((rooms.c.id == room_id, rooms.c.deleted_at.is_not(None)), None, room_id)

    def _mark(self, which: tuple[Any, ...], when: datetime | None, room_id: str) -> None:
        with self.store.writing() as connection:
            if not connection.execute(update(rooms).where(*which).values(deleted_at=when)).rowcount:
                raise NotFoundError(t("There is no room {name}.", name=repr(room_id[:40])))

    def deleted(self) -> list[RoomRecord]:
        """The rooms in the trash, newest deletion first."""
        self.expire()
        with self.store.reading() as connection:
            there = select(rooms).where(rooms.c.deleted_at.is_not(None)).order_by(rooms.c.deleted_at.desc())
            return [RoomRecord(**row) for row in connection.execute(there).mappings()]

    def finish(self, room_ids: Sequence[str]) -> int:
        """Throw these rooms of the trash away, with all that belongs to them; how many there were."""
        return self._gone(rooms.c.id.in_(room_ids), rooms.c.deleted_at.is_not(None))

    def expire(self) -> int:
        """Throw away what has been in the trash for its time; how many there were."""
        return self._gone(rooms.c.deleted_at <= queries.now() - UNDO_FOR)

    def _gone(self, *which: ColumnElement[bool]) -> int:
        """Seats, guesses and spending go by their foreign keys; what its students asked while it was open goes too."""
        with self.store.reading() as connection:
            gone = connection.execute(select(rooms.c.id, rooms.c.created_at, rooms.c.deleted_at).where(*which)).all()
        for room in gone:
            with self.store.writing() as connection:
                held = select(room_seats.c.browser_hash).where(room_seats.c.room_id == room.id)
                names = [unnamed(one) for one in connection.execute(held).scalars() if one]
                between = sessions.c.created_at.between(room.created_at, room.deleted_at)
                connection.execute(delete(sessions).where(sessions.c.account.in_(names), between))
                connection.execute(delete(rooms).where(rooms.c.id == room.id))
        return len(gone)

    # Seats

    def join(self, seat: SeatRecord, *, gone: Collection[str] = ()) -> SeatRecord:
        """Take a seat; a browser that had one in the room gets that one back, with what it has spent.

        Args:
            seat: Who comes.
            gone: Seats that nobody looks at any more: one of the same nickname and address is given up.

        Raises:
            InputError: The room is closed, locked or full, its teacher took this browser's seat away, its address holds
                as many seats as it may, or somebody has this nickname.
        """
        with self.store.writing() as connection:
            room = connection.execute(select(rooms).where(rooms.c.id == seat.room_id)).mappings().first()
            taken = select(room_seats).where(room_seats.c.room_id == seat.room_id)
            seats = [SeatRecord(**row) for row in connection.execute(taken).mappings()]
            before = next((s for s in seats if seat.browser_hash and s.browser_hash == seat.browser_hash), None)
            there = [s for s in seats if s.left_at is None and s is not before]
            left = [s for s in there if s.id in gone and _same_student(s, seat)]
            others = [s for s in seats if s not in left]
            _check_free(None if room is None else RoomRecord(**room), seat, before, others)
            for one in left:
                connection.execute(_leaving(one.id, removed=False))
            if before is not None:
                seat = replace(seat, id=before.id, joined_at=before.joined_at)
                connection.execute(update(room_seats).where(room_seats.c.id == seat.id).values(**_columns(seat)))
            else:
                seat = replace(seat, joined_at=queries.now())
                connection.execute(insert(room_seats).values(**_columns(seat)))
            return seat

    def seats(self, room_id: str, *, there: bool = True) -> list[SeatRecord]:
        """The students in the order they came; with `there` only those who have not left."""
        statement = select(room_seats).where(room_seats.c.room_id == room_id)
        if there:
            statement = statement.where(room_seats.c.left_at.is_(None))
        with self.store.reading() as connection:
            found = connection.execute(statement.order_by(room_seats.c.joined_at, room_seats.c.id)).mappings()
            return [SeatRecord(**row) for row in found]

    def leave(self, seat_id: str, *, removed: bool = False) -> None:
        """Give a seat back, or have it taken away; its guesses and what it spent stay."""
        with self.store.writing() as connection:
            connection.execute(_leaving(seat_id, removed=removed))

    # Guesses

    def guess(self, seat: SeatRecord, recording: str, tokens: int) -> bool:
        """Guess; a later guess replaces an earlier one. False when this is not being guessed (any more).

        Raises:
            InputError: The guess is out of range.
        """
        if not 1 <= tokens <= MOST_GUESS:
            raise InputError(
                t("A guess of {n} tokens was given.", n=tokens), t("Give 1 to {most}.", most=f"{MOST_GUESS:,}")
            )
        key = {"room_id": seat.room_id, "recording": recording, "seat_id": seat.id}
        asked = (rooms.c.id == seat.room_id, rooms.c.recording == recording, rooms.c.revealed.is_(False))
        with self.store.writing() as connection:
            there = select(rooms.c.id).where(*asked, rooms.c.status != "closed")
            if connection.execute(there).first() is None:
                return False
            connection.execute(delete(room_guesses).where(*(room_guesses.c[name] == v for name, v in key.items())))
            connection.execute(insert(room_guesses).values(**key, tokens=tokens))
            return True

    def guesses(self, room_id: str, recording: str) -> dict[str, int]:
        """The guesses for a recording, by seat."""
        of = (room_guesses.c.room_id == room_id, room_guesses.c.recording == recording)
        with self.store.reading() as connection:
            found = connection.execute(select(room_guesses.c.seat_id, room_guesses.c.tokens).where(*of))
            return {row.seat_id: row.tokens for row in found}

    # Strikes

    def strike(self, seat: SeatRecord, recording: str, struck: Mapping[int, str]) -> bool:
        """Strike these sentences of a recording's answer out, and no others; False when nothing can be struck there.

        Args:
            seat: Whose strikes they are.
            recording: Its name.
            struck: The sentences by their place in the answer.
        """
        mine = {"room_id": seat.room_id, "recording": recording, "seat_id": seat.id}
        with self.store.writing() as connection:
            there = select(rooms.c.id).where(rooms.c.id == seat.room_id, rooms.c.recording == recording)
            if connection.execute(there.where(rooms.c.status != "closed", rooms.c.step.is_not(None))).first() is None:
                return False
            connection.execute(delete(room_strikes).where(*(room_strikes.c[name] == v for name, v in mine.items())))
            rows = [{**mine, "sentence": at, "text": text} for at, text in struck.items()]
            if rows:
                connection.execute(insert(room_strikes), rows)
            return True

    def strikes(self, room_id: str, recording: str) -> dict[str, tuple[int, ...]]:
        """The places of the sentences that were struck out, by seat; a seat that struck none is not there."""
        of = (room_strikes.c.room_id == room_id, room_strikes.c.recording == recording)
        wanted = select(room_strikes.c.seat_id, room_strikes.c.sentence).where(*of).order_by(room_strikes.c.sentence)
        found: dict[str, tuple[int, ...]] = {}
        with self.store.reading() as connection:
            for row in connection.execute(wanted):
                found[row.seat_id] = (*found.get(row.seat_id, ()), row.sentence)
        return found

    # Spending

    def begin_call(
        self, call_id: str, room_id: str, seat_id: str, *, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """A call is about to be sent; the tokens are the most it can come to.

        The queue of each process has looked at the limits already; here they hold for all processes together.

        Raises:
            ShareUsedError: A limit on calls or tokens would be passed; nothing was written.
        """
        row = {"id": call_id, "room_id": room_id, "seat_id": seat_id, "ended": False, "created_at": queries.now()}
        with self.store.writing() as connection:
            room = connection.execute(select(rooms).where(rooms.c.id == room_id)).mappings().one()
            spent = _spent(connection, room_id)
            everybody = SeatSpent(*(sum(column) for column in zip(*spent.values(), strict=True)))
            most = prompt_tokens + completion_tokens
            _check_caps(RoomRecord(**room), "student", spent.get(seat_id, SeatSpent()), most)
            _check_caps(RoomRecord(**room), "room", everybody, most)
            connection.execute(
                insert(room_calls).values(**row, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            )

    def end_call(self, call_id: str, *, prompt_tokens: int, completion_tokens: int) -> None:
        """A call has ended and cost this."""
        cost = {"ended": True, "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        with self.store.writing() as connection:
            connection.execute(update(room_calls).where(room_calls.c.id == call_id).values(**cost))

    def spent(self, room_id: str) -> dict[str, SeatSpent]:
        """What was spent, by seat, students who have left among them."""
        with self.store.reading() as connection:
            return _spent(connection, room_id)


def _same_student(one: SeatRecord, other: SeatRecord) -> bool:
    """As far as one can tell without a browser that remembers."""
    return one.nickname.casefold() == other.nickname.casefold() and one.address_hash == other.address_hash


def _leaving(seat_id: str, *, removed: bool) -> Update:
    there = (room_seats.c.id == seat_id, room_seats.c.left_at.is_(None))
    return update(room_seats).where(*there).values(left_at=queries.now(), removed=removed)


def _check_free(
    room: RoomRecord | None, seat: SeatRecord, before: SeatRecord | None, seats: Sequence[SeatRecord]
) -> None:
    """Raise unless this student may sit down; `before` is the seat that the browser had in the room."""
    there = [s for s in seats if s.left_at is None and s is not before]
    if room is None or room.status == "closed":
        raise InputError(t("The room is closed."), t("Ask your teacher for a new code."))
    if before is not None and before.removed:
        raise InputError(t("Your teacher has taken your seat away."), t("Speak with your teacher."))
    if room.locked and before is None:
        raise InputError(t("The room is locked: nobody new may join."), t("Ask your teacher to open it."))
    if seat.nickname.casefold() in {s.nickname.casefold() for s in there}:
        raise InputError(t("Somebody in the room has that nickname."), t("Choose another one."))
    if len(there) >= MOST_SEATS:
        raise InputError(t("The room is full."), t("At most {n} students fit in.", n=MOST_SEATS))
    most = room.seats_per_address
    # A seat that was taken away counts: else whoever loses one takes the next.
    same = [s for s in seats if s.address_hash == seat.address_hash and s is not before]
    held = [s for s in same if s.left_at is None or s.removed]
    if most is not None and seat.address_hash is not None and len(held) >= most:
        raise InputError(
            t("As many seats as one device may have are taken from your network address."),
            t("Ask your teacher to allow more."),
        )


def _spent(connection: Connection, room_id: str) -> dict[str, SeatSpent]:
    c = room_calls.c
    sums = select(c.seat_id, func.count(), func.sum(c.prompt_tokens), func.sum(c.completion_tokens))
    found = connection.execute(sums.where(c.room_id == room_id).group_by(c.seat_id))
    return {seat: SeatSpent(int(n), int(prompt), int(completion)) for seat, n, prompt, completion in found}


def _check_caps(room: RoomRecord, whose: Literal["student", "room"], spent: SeatSpent, tokens: int) -> None:
    calls, most = getattr(room, f"{whose}_calls"), getattr(room, f"{whose}_tokens")
    if calls is not None and spent.calls >= calls:
        raise ShareUsedError("calls", whose)
    if most is not None and spent.tokens + tokens > most:
        raise ShareUsedError("tokens", whose)


def _columns(record: RoomRecord | SeatRecord) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}
