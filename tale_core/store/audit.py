"""The audit list: who did what and when, and what it cost.

Each deed is written in the transaction in which it is done, by `tale_core.store.queries.note`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select

from tale_core.access.who import CAP_DAYS, asking
from tale_core.store import queries
from tale_core.store.repository import Store
from tale_core.store.tables import audit, calls, sessions


class Deed(NamedTuple):
    """Something that somebody did.

    Attributes:
        account: Whose deed; "" for whoever set the program up.
        action: `began`, `deleted`, `brought back`, `shared`, `shared with NAMES`, `took back` or `imported`.
        about: The session's id, or how many an import brought.
        tokens: Of a session that was begun: what it has cost by now.
        usd: Likewise, where it is known.
    """

    at: datetime
    account: str
    action: str
    about: str
    tokens: int
    usd: float


class Spent(NamedTuple):
    """Tokens of prompts and answers, and the dollars that are known of them."""

    tokens: int
    usd: float


def deeds(store: Store, *, limit: int = 100) -> list[Deed]:
    """The newest deeds first; those of everybody for an owner, else one's own."""
    statement = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    if not asking().sees_all:
        statement = statement.where(audit.c.account == asking().account)
    with store.reading() as connection:
        rows = connection.execute(statement).all()
        begun = [row.about for row in rows if row.action == "began"]
        cost = {row.session_id: row for row in connection.execute(queries.costs(calls.c.session_id.in_(begun)))}
    found = []
    for row in rows:
        known = cost.get(row.about) if row.action == "began" else None
        tokens, usd = (known.tokens, known.usd) if known is not None else (abs(row.tokens), abs(row.usd))
        found.append(Deed(row.at, row.account, row.action, row.about, int(tokens), float(usd)))
    return found


def spent(store: Store, account: str) -> Spent:
    """What an account has spent in the last `CAP_DAYS` days; deleting a session makes nothing undone."""
    since = queries.now() - timedelta(days=CAP_DAYS)
    mine = select(sessions.c.id).where(sessions.c.account == account, sessions.c.created_at >= since)
    there = queries.costs(calls.c.session_id.in_(mine)).subquery()
    gone = (audit.c.account == account, audit.c.at >= since)
    with store.reading() as connection:
        kept = connection.execute(select(func.sum(there.c.tokens), func.sum(there.c.usd))).one()
        lost = connection.execute(select(func.sum(audit.c.tokens), func.sum(audit.c.usd)).where(*gone)).one()
    return Spent(int((kept[0] or 0) + (lost[0] or 0)), float((kept[1] or 0) + (lost[1] or 0)))
