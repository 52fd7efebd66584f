"""`Trash`: sessions deleted for now, and until when that can be undone.

Deleting takes a session with everything that belongs to it out of all tables and keeps it as one document, in the same
transaction: no other query can see a deleted session, and a crash leaves it either there or in the trash. A deletion
becomes final when somebody empties the trash (`finish`), or when its time is over (`UNDO_FOR`; whoever then opens the
store, looks at the trash or has a page of the app open throws it away). No export holds what is in the trash.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, true

from tale_core.access.who import asking
from tale_core.errors import NotFoundError, StoreError
from tale_core.i18n import t
from tale_core.store import queries
from tale_core.store.archive.belonging import delete_sessions, of_sessions, rows, shared_tables
from tale_core.store.archive.rows_json import decoded, encoded, line, parsed
from tale_core.store.archive.writing_rows import Group, write_groups
from tale_core.store.labels.store import LabelStore
from tale_core.store.labels.types import Came, Rederive
from tale_core.store.repository import Store
from tale_core.store.tables import sessions, trash
from tale_core.types import SessionKind

UNDO_FOR = timedelta(days=30)
"""How long a deletion can be undone at most."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deletion that can still be undone.

    Attributes:
        title: The session's question.
        final_at: When it becomes final at the latest.
    """

    session_id: str
    kind: SessionKind
    title: str
    deleted_at: datetime
    final_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A session that was not deleted, and why, in words."""

    session_id: str
    why: str


class Trash:
    """The deleted sessions of a store; the same errors as `Store`, whose connections it uses.

    Args:
        store: The database.
        rederive: Finds anew what a search or sweep has found; see `LabelStore`.
    """

    def __init__(self, store: Store, rederive: Rederive | None = None) -> None:
        self.store, self._labels = store, LabelStore(store, rederive)

    def delete(self, session_ids: Iterable[str]) -> tuple[list[Deleted], list[Refused]]:
        """Delete sessions for now, each in a transaction of its own; running ones are refused.

        Returns:
            What was deleted, and what was not and why.
        """
        self.store.reconcile_interrupted()
        done: list[Deleted] = []
        refused: list[Refused] = []
        for session_id in dict.fromkeys(session_ids):
            with self.store.writing() as connection:
                found = put_away(connection, session_id)
            if isinstance(found, Deleted):
                done.append(found)
            else:
                refused.append(found)
        return done, refused

    def pending(self, *, limit: int = 1000) -> list[Deleted]:
        """Deletions that can still be undone, newest first."""
        self.expire()
        names = ("session_id", "kind", "title", "deleted_at", "final_at")
        statement = select(*(trash.c[name] for name in names)).where(trash.c.import_id.is_(None), _changeable())
        newest = statement.order_by(trash.c.deleted_at.desc()).limit(limit)
        with self.store.reading() as connection:
            return [Deleted(**row) for row in connection.execute(newest).mappings()]

    def undo(self, session_id: str) -> None:
        """Bring a deleted session back, with everything that belonged to it; its answers are what is said of them now.

        Raises:
            NotFoundError: The deletion is final, or was undone already.
            StoreError: There is a session of this id again.
        """

        def back(connection: Connection) -> Came:
            mine = (trash.c.session_id == session_id, _changeable())
            if connection.execute(select(trash.c.session_id).where(*mine)).first() is None:
                raise _final()
            bring_back(connection, session_id)
            account = connection.execute(select(sessions.c.account).where(sessions.c.id == session_id)).scalar()
            queries.note(connection, "brought back", session_id, account=account, sign=-1)
            return Came([session_id])

        self._labels.follow(back)
        self._labels.catch_up()

    def finish(self, session_ids: Sequence[str]) -> int:
        """Make these deletions final now; how many there were."""
        if not session_ids:
            return 0
        with self.store.writing() as connection:
            mine = (trash.c.session_id.in_(session_ids), trash.c.import_id.is_(None), _changeable())
            return connection.execute(delete(trash).where(*mine)).rowcount

    def expire(self) -> int:
        """Throw away what can no longer be undone; how many there were."""
        over = (trash.c.final_at <= queries.now(), trash.c.import_id.is_(None))
        with self.store.reading() as connection:
            if connection.execute(select(trash.c.session_id).where(*over).limit(1)).first() is None:
                return 0
        with self.store.writing() as connection:
            return connection.execute(delete(trash).where(*over)).rowcount


def put_away(connection: Connection, session_id: str, *, import_id: str | None = None) -> Deleted | Refused:
    """Move a session into the trash; for an import that replaces it, if one is named."""
    mine = (sessions.c.id == session_id, queries.changeable())
    row = connection.execute(select(sessions).where(*mine)).mappings().first()
    if row is None:
        return Refused(session_id, t("It is not there any more."))
    if row["status"] == "running":
        return Refused(session_id, t("It is still running: stop it first, or wait for its end."))
    now = queries.now()
    deleted = Deleted(session_id, row["kind"], row["question_text"], now, now + UNDO_FOR)
    document = _document(connection, session_id)
    if import_id is None:
        queries.note(connection, "deleted", session_id, account=row["account"], sign=1)
    delete_sessions(connection, [session_id])
    values = {name: getattr(deleted, name) for name in ("session_id", "kind", "title", "deleted_at", "final_at")}
    # One deleted before, imported since, and deleted again: the newer one counts.
    connection.execute(delete(trash).where(trash.c.session_id == session_id))
    values["account"] = row["account"]
    connection.execute(insert(trash).values(**values, import_id=import_id, document=document))
    return deleted


def bring_back(connection: Connection, session_id: str) -> None:
    """Move a session out of the trash; see `Trash.undo`."""
    found = connection.execute(select(trash.c.document).where(trash.c.session_id == session_id)).first()
    if found is None:
        raise _final()
    if queries.exists(connection, sessions, session_id):
        raise StoreError(t("The session is there again: it was imported since."), t("Delete that one first."))
    write_groups(connection, [_group(found.document)], _unmoved())
    connection.execute(delete(trash).where(trash.c.session_id == session_id))


def others_deleted(connection: Connection, session_ids: Sequence[str]) -> set[str]:
    """Those of these sessions whose deletion is not for whoever asks to undo."""
    theirs = select(trash.c.session_id).where(trash.c.session_id.in_(session_ids), ~_changeable())
    return set(connection.execute(theirs).scalars())


def _final() -> NotFoundError:
    return NotFoundError(t("This deletion is final, or was undone already."))


def _changeable() -> ColumnElement[bool]:
    """Which deletions whoever asks may undo or make final: an owner all, others their own."""
    return true() if asking().sees_all else trash.c.account == asking().account


def _document(connection: Connection, session_id: str) -> bytes:
    packer = zlib.compressobj(level=3)
    packed = bytearray()
    for one in of_sessions():
        for row in connection.execute(rows(one, sessions.c.id == session_id)).mappings():
            packed += packer.compress(line({one.name: encoded(one.table, dict(row), private=True)}))
    return bytes(packed + packer.flush())


def _group(document: bytes) -> Group:
    tables = {one.name: one.table for one in of_sessions()}
    group = Group()
    for text in zlib.decompress(document).splitlines():
        for name, row in parsed(text).items():
            group.rows.setdefault(name, []).append(decoded(tables[name], row))
    return group


class _Same(dict[Any, Any]):
    """Keys of rows that never left: each is its own."""

    def __missing__(self, key: Any) -> Any:
        return key


def _unmoved() -> dict[str, _Same]:
    return {one.name: _Same() for one in shared_tables()}
