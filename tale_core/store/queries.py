"""Statements that more than one method of `Store` needs. Knows tables and records; opens no transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, insert, select, update

from tale_core.errors import NotFoundError
from tale_core.i18n import t
from tale_core.store import records
from tale_core.store.tables import calls, sessions
from tale_core.types import CallRecord, SessionRecord

_INSERT_CALL = insert(calls)
SUMMARY = ("id", "kind", "created_at", "status", "question_text", "model", "budget")
"""Columns of a session that its summary shows."""
# Made once: an alias copies every column of its table, which takes longer than the query.
_VANILLA, _BUDGETED = calls.alias("vanilla"), calls.alias("budgeted")
_LATEST = {role: calls.alias(f"latest_{role}") for role in ("vanilla", "budgeted")}


def now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


def no_session(session_id: str) -> NotFoundError:
    """The error for a session that is not there."""
    return NotFoundError(
        t("There is no session {id!r}.", id=session_id[:60]), t("It may have been deleted, or the link is wrong.")
    )


def exists(connection: Connection, table: Table, row_id: str) -> bool:
    """True when the table has a row of this id."""
    return connection.execute(select(table.c.id).where(table.c.id == row_id)).first() is not None


def insert_call(connection: Connection, record: CallRecord) -> int:
    """Insert a call, with the time if it has none; return its id."""
    values = records.call_columns(replace(record, created_at=record.created_at or now()))
    key = connection.execute(_INSERT_CALL, values).inserted_primary_key
    assert key is not None
    return int(key[0])


def same_call(connection: Connection, record: CallRecord) -> int | None:
    """The id of this very call if it is stored already: the moment at which it was begun tells it from every other."""
    names = ("session_id", "role", "created_at", "repeat_index", "unit", "step", "cache_key")
    same = (
        calls.c[name].is_(None) if (value := getattr(record, name)) is None else calls.c[name] == value
        for name in names
    )  # fmt: skip
    return connection.execute(select(calls.c.id).where(*same).limit(1)).scalar()


def read_session(connection: Connection, session_id: str) -> SessionRecord:
    """A session with its calls in the order they were started.

    Raises:
        NotFoundError: No such session.
    """
    row = connection.execute(select(sessions).where(sessions.c.id == session_id)).mappings().first()
    if row is None:
        raise no_session(session_id)
    found = connection.execute(select(calls).where(calls.c.session_id == session_id).order_by(calls.c.id)).mappings()
    return records.session_record(dict(row), tuple(records.call_record(dict(call)) for call in found))


def interrupt_calls(connection: Connection, which: ColumnElement[bool]) -> None:
    """Mark the running ones among these calls as interrupted."""
    connection.execute(update(calls).where(which, calls.c.status == "running").values(status="interrupted"))


def with_answers(page: Any, *more: str) -> Any:
    """SELECT of `SessionSummary`'s fields, and `more` of the session's, for the sessions of a subquery.

    The subquery needs no column but these (`SUMMARY`) and no more: each is copied for every statement. It has its limit
    already, so that answers are looked up for the rows of a page alone; of several answers of one role the latest
    counts.
    """
    vanilla, budgeted = _VANILLA, _BUDGETED
    return select(
        *(page.c[name] for name in (*SUMMARY, *more)),
        vanilla.c.completion_tokens.label("vanilla_tokens"),
        vanilla.c.outcome.label("vanilla_outcome"),
        budgeted.c.completion_tokens.label("budgeted_tokens"),
        budgeted.c.outcome.label("budgeted_outcome"),
    ).select_from(
        page.outerjoin(vanilla, vanilla.c.id == _latest("vanilla", page)).outerjoin(
            budgeted, budgeted.c.id == _latest("budgeted", page)
        )
    )


def _latest(role: str, page: Any) -> Any:
    inner = _LATEST[role]
    of_session = (inner.c.session_id == page.c.id, inner.c.role == role)
    return select(func.max(inner.c.id)).where(*of_session).correlate(page).scalar_subquery()
