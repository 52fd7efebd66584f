"""The rooms that a process knows: one is opened, or found again by its code."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.lessons.joining import hashed, new_code, tidy_code
from tale_core.lessons.queue import Caps
from tale_core.lessons.room import LiveRoom
from tale_core.models.choice import EMBEDDED, ModelChoice, embedded_choice
from tale_core.settings import get_settings
from tale_core.store import RoomRecord, RoomStore, Store, open_store

USUAL_CAPS = Caps(student_calls=20, student_tokens=20_000, room_calls=400, room_tokens=400_000)
SEATS_PER_ADDRESS = 4
"""Of a new room. Where a whole class comes from one address (a router that hides it), its teacher allows more."""


def class_store() -> Store:
    """The database of rooms; opening it again is cheap."""
    settings = get_settings()
    if settings.class_database_url is None:
        return open_store(settings.resolved_class_database_url)
    return open_store(settings.class_database_url)


class NewRoom(NamedTuple):
    """A new room and its teacher's secret, which is told this once."""

    room: LiveRoom
    secret: str


class Rooms:
    """The rooms that this process knows. Rooms of before a restart are found again in the store."""

    def __init__(self) -> None:
        self._live: dict[str, LiveRoom] = {}
        self._lock = threading.Lock()

    def open(
        self, choice: ModelChoice, *, caps: Caps = USUAL_CAPS, keys: Mapping[str, object] | None = None,
        key: str | None = None, store: Store | None = None, **options: Any,
    ) -> NewRoom:  # fmt: skip
        """Open a room.

        Args:
            choice: The model that students ask.
            caps: What may be spent.
            keys: See `LiveRoom.use`.
            key: See `LiveRoom.use`.
            store: The rooms' database.
            options: For `LiveRoom`, in tests.

        Raises:
            InputError: A cap is not positive.
            StoreError: The database cannot be used.
        """
        check_caps(caps)
        store = store or class_store()
        secret = secrets.token_urlsafe(24)
        while True:
            record = RoomRecord(
                secrets.token_hex(8), new_code(), hashed(secret), choice.model, choice.endpoint,
                seats_per_address=SEATS_PER_ADDRESS, **asdict(caps),
            )  # fmt: skip
            if RoomStore(store).create(record):
                break
        with self._lock:
            live = LiveRoom(RoomStore(store).get(record.id), store, choice=choice, keys=keys, key=key, **options)
            self._live[record.code] = live
        return NewRoom(live, secret)

    def find(self, code: str, *, store: Store | None = None) -> LiveRoom:
        """The room of a join code.

        Raises:
            NotFoundError: No such room.
            StoreError: The database cannot be read.
        """
        code = tidy_code(code)
        store = store or class_store()
        with self._lock:
            live = self._live.get(code)
            if live is None or live.store is not store or live.record.deleted_at is not None:
                record = RoomStore(store).by_code(code)
                live = self._live[code] = LiveRoom(record, store, choice=_known_choice(record))
            return live


def _known_choice(record: RoomRecord) -> ModelChoice | None:
    """The model of a room from before a restart, where it can be asked without a key."""
    try:
        return embedded_choice(record.model) if record.endpoint == EMBEDDED else None
    except InputError:
        return None


def check_caps(caps: Caps) -> None:
    """Check the numbers.

    Raises:
        InputError: One of them is not positive.
    """
    for value in asdict(caps).values():
        if value is not None and value < 1:
            raise InputError(t("A limit of {n} was given.", n=value), t("Give a whole number from 1, or none."))


the_rooms = Rooms()


def rooms() -> Rooms:
    """The process's rooms."""
    return the_rooms
