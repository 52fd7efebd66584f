"""Statements that more than one method of `Store` needs. It opens no transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, insert, or_, select, true, update

from tale_core.access.who import asking
from tale_core.errors import NotFoundError
from tale_core.i18n import t
from tale_core.settings import get_settings
from tale_core.store import records
from tale_core.store.tables import audit, calls, sessions
from tale_core.types import REFUSAL, Outcome, SessionRecord

SUMMARY = ("id", "kind", "created_at", "status", "question_text", "model", "budget")
"""Columns of a session that its summary shows."""
# Made once: an alias copies every column of its table, which takes longer than the query.
_VANILLA, _BUDGETED = calls.alias("vanilla"), calls.alias("budgeted")
_LATEST = {role: calls.alias(f"latest_{role}") for role in ("vanilla", "budgeted")}


def seen() -> ColumnElement[bool]:
    """Which sessions whoever asks may see: an owner all, others their own and those that are shared."""
    asker = asking()
    mine = (sessions.c.account == asker.account, sessions.c.shared, names(asker.account))
    return true() if asker.sees_all else or_(*mine)


def names(account: str) -> ColumnElement[bool]:
    """Whether a session is shared with this person by name. By REPLACE: LIKE takes no notice of case on SQLite."""
    return func.replace(sessions.c.shared_with, records.names_text((account,)), "") != sessions.c.shared_with


def in_seen(session_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the session of a row that refers to one may be seen."""
    return true() if asking().sees_all else session_id.in_(select(sessions.c.id).where(seen()))


def changeable() -> ColumnElement[bool]:
    """Which sessions whoever asks may change: an owner all, others their own."""
    asker = asking()
    return true() if asker.sees_all else sessions.c.account == asker.account


def now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


def costs(which: ColumnElement[bool]) -> Select[Any]:
    """What was paid for the calls of `which`, by session: tokens, and the dollars that are known."""
    tokens = func.coalesce(calls.c.prompt_tokens, 0) + func.coalesce(calls.c.completion_tokens, 0)
    usd = func.coalesce(func.sum(calls.c.cost_usd), 0.0)
    columns = (calls.c.session_id, func.sum(tokens).label("tokens"), usd.label("usd"))
    return select(*columns).where(which, calls.c.source == "live").group_by(calls.c.session_id)


def note(connection: Connection, action: str, about: str, *, account: str | None = None, sign: int = 0) -> None:
    """Write a deed into the audit list; see `tale_core.store.audit`. Whoever works alone needs none.

    Args:
        connection: The transaction in which it is done.
        action: What.
        about: A session's id, or what else it is about.
        account: Who bears the cost; None for whoever asks.
        sign: 1 keeps what the session has cost before it goes; -1 takes that back because it is there again.
    """
    if get_settings().access == "alone" and not asking().account and not account:
        return
    cost = connection.execute(costs(calls.c.session_id == about)).first() if sign else None
    tokens, usd = (int(cost.tokens) * sign, float(cost.usd) * sign) if cost is not None else (0, 0.0)
    who = asking().account if account is None else account
    row = {"at": now(), "account": who, "action": action, "about": about, "tokens": tokens, "usd": usd}
    connection.execute(insert(audit).values(**row))


def no_session(session_id: str) -> NotFoundError:
    """The error for a session that is not there."""
    return NotFoundError(
        t("There is no session {id!r}.", id=session_id[:60]), t("It may have been deleted, or the link is wrong.")
    )


def exists(connection: Connection, table: Table, row_id: str) -> bool:
    """True when the table has a row of this id."""
    return connection.execute(select(table.c.id).where(table.c.id == row_id)).first() is not None


def read_session(connection: Connection, session_id: str) -> SessionRecord:
    """A session with its calls in the order they were started.

    Raises:
        NotFoundError: No such session.
    """
    row = connection.execute(select(sessions).where(sessions.c.id == session_id, seen())).mappings().first()
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
        _refused(vanilla).label("vanilla_refused"),
        budgeted.c.completion_tokens.label("budgeted_tokens"),
        budgeted.c.outcome.label("budgeted_outcome"),
        _refused(budgeted).label("budgeted_refused"),
    ).select_from(
        page.outerjoin(vanilla, vanilla.c.id == _latest("vanilla", page)).outerjoin(
            budgeted, budgeted.c.id == _latest("budgeted", page)
        )
    )


def _refused(answer: Any) -> Any:
    """`CallRecord.refused` as a column."""
    return and_(answer.c.outcome == Outcome.ERROR, answer.c.finish_reason == REFUSAL)


def _latest(role: str, page: Any) -> Any:
    inner = _LATEST[role]
    of_session = (inner.c.session_id == page.c.id, inner.c.role == role)
    return select(func.max(inner.c.id)).where(*of_session).correlate(page).scalar_subquery()
