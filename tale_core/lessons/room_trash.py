"""Deleted rooms: for 30 days they can be brought back, then they are gone with their seats, guesses and questions."""

from __future__ import annotations

from collections.abc import Sequence

from tale_core.access.who import asking
from tale_core.lessons.rooms import class_store
from tale_core.settings import get_settings
from tale_core.store import RoomRecord, RoomStore


def _rooms() -> RoomStore | None:
    """The rooms' database; None for whoever is no owner, and where no room was ever opened."""
    settings = get_settings()
    there = settings.class_database_url is not None or (settings.data_dir / "class.db").exists()
    return RoomStore(class_store()) if there and asking().sees_all else None


def deleted_rooms() -> list[RoomRecord]:
    """Those that can be brought back, newest deletion first.

    Raises:
        StoreError: The database cannot be used.
    """
    rooms = _rooms()
    return [] if rooms is None else rooms.deleted()


def bring_back(room_id: str) -> None:
    """Take a room out of the trash.

    Raises:
        NotFoundError: It is not there.
        StoreError: The database cannot be used.
    """
    if (rooms := _rooms()) is not None:
        rooms.bring_back(room_id)


def finish(room_ids: Sequence[str]) -> None:
    """Throw these rooms away now.

    Raises:
        StoreError: The database cannot be used.
    """
    if (rooms := _rooms()) is not None:
        rooms.finish(room_ids)


def expire() -> None:
    """Throw away what has been in the trash for its time, whoever has a page open.

    Raises:
        StoreError: The database cannot be used.
    """
    if (rooms := _rooms()) is not None:
        rooms.expire()
