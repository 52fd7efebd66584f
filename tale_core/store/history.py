"""`History`: the list of all sessions, filtered, searched and paged by key, fast with a hundred thousand of them.

A page is read in one query whose cost depends on the page, not on the store: newest first along an index, at most so
many rows, and the answers of those rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, literal, or_, select, true

from tale_core.access.who import asking
from tale_core.store import queries, records
from tale_core.store.records import SessionSummary
from tale_core.store.repository import Store
from tale_core.store.tables import calls, experiment_questions, experiment_units, sessions
from tale_core.store.text_search import FEW, holding_all, time_limit
from tale_core.types import Outcome, Role, SessionKind, Source, Status

COUNTED = 500
"""Sessions that a filter leaves are counted up to here: beyond, the number helps nobody and costs time."""
_ANSWERS = tuple(role for role in get_args(Role) if role != "estimate")


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are wanted; everything given must hold.

    Attributes:
        outcome: An answer of it (an estimate is none) ended so.
        since: Created at this moment or later (aware).
        until: Created before this moment (aware).
        text: Words that its questions, answers or model hold; see `tale_core.store.text_search`.
    """

    kind: SessionKind | None = None
    model: str | None = None
    status: Status | None = None
    outcome: Outcome | None = None
    source: Source | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    @property
    def all(self) -> bool:
        """Nothing is asked for: every session is wanted."""
        return self == SessionFilter()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list, between two sessions: the key of the one before it."""

    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One session in the list.

    Attributes:
        result: What a search, sweep or experiment found so far (`SessionRecord.result`).
        asked: Questions of an experiment; 0 for other kinds.
        answered: Its answers so far.
        account: Whose it is; "" for whoever set the program up.
        shared: Everybody who signs in sees it.
        people: Who sees it by name.
    """

    summary: SessionSummary
    template: str
    source: Source
    result: Mapping[str, Any] | None
    error: str | None
    asked: int = 0
    answered: int = 0
    account: str = ""
    shared: bool = False
    people: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """Its place in the list."""
        return Place(self.summary.created_at, self.summary.id)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list, newest first.

    Attributes:
        count: Sessions that are wanted in all; `COUNTED` + 1 when there are more than are counted.
        older: Where the next page begins; None at the end.
        newer: Where the page before it ends; None at the beginning.
    """

    entries: tuple[Entry, ...]
    count: int
    older: Place | None
    newer: Place | None


class History:
    """The sessions of a store as a list; the same errors as `Store`, whose connections it uses."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def listing(
        self,
        wanted: SessionFilter | None = None,
        *,
        limit: int = 20,
        after: Place | None = None,
        before: Place | None = None,
    ) -> Listing:
        """A page of the list.

        Args:
            wanted: Which sessions; None for all.
            limit: At most so many.
            after: Only sessions older than this place.
            before: Only sessions newer than this place, the nearest ones.

        Raises:
            StoreError: A search for a text took too long.
        """
        self.store._reconcile_if_free()
        with self.store.reading() as connection, time_limit(connection):
            condition = conditions(connection, wanted or SessionFilter())
            rows = connection.execute(_page(condition, limit + 1, after=after, before=before)).mappings()
            found = sorted((_entry(dict(row)) for row in rows), key=_newest_first, reverse=True)
            every = asking().sees_all and (wanted is None or wanted.all)
            count = int(connection.execute(_count(condition, every=every)).scalar_one())
        more = len(found) > limit
        shown = (found[1:] if before is not None else found[:limit]) if more else found
        further_on = more if before is None else bool(shown)
        further_back = bool(after is not None and shown) if before is None else more
        return Listing(
            entries=tuple(shown),
            count=count,
            older=shown[-1].place if shown and further_on else None,
            newer=shown[0].place if shown and further_back else None,
        )

    def models(self) -> list[str]:
        """The names of all models that sessions were run on, in order."""
        if not asking().sees_all:
            statement = select(sessions.c.model).where(queries.seen()).distinct().order_by(sessions.c.model)
            with self.store.reading() as connection:
                return list(connection.execute(statement).scalars())
        # DISTINCT would read the whole index; this jumps from name to name.
        first = select(func.min(sessions.c.model).label("name")).cte("names", recursive=True)
        following = select(func.min(sessions.c.model)).where(sessions.c.model > first.c.name).scalar_subquery()
        names = first.union_all(select(following).where(first.c.name.is_not(None)))
        with self.store.reading() as connection:
            return [name for name in connection.execute(select(names.c.name)).scalars() if name is not None]

    def ids(self, wanted: SessionFilter, *, limit: int) -> list[str]:
        """The ids of the wanted sessions, newest first, at most so many."""
        with self.store.reading() as connection, time_limit(connection):
            statement = _newest(select(sessions.c.id).where(conditions(connection, wanted))).limit(limit)
            return list(connection.execute(statement).scalars())


def conditions(connection: Connection, wanted: SessionFilter) -> ColumnElement[bool]:
    """What is wanted, as a condition on `session`."""
    s = sessions.c
    parts: list[ColumnElement[bool]] = [queries.seen()]
    parts += [
        column == value
        for column, value in ((s.kind, wanted.kind), (s.model, wanted.model), (s.status, wanted.status))
        if value is not None
    ]
    if wanted.source is not None:
        parts.append(s.source == wanted.source)
    if wanted.since is not None:
        parts.append(s.created_at >= wanted.since)
    if wanted.until is not None:
        parts.append(s.created_at < wanted.until)
    if wanted.outcome is not None:
        parts.append(_ended_so(connection, wanted.outcome))
    if (texts := holding_all(connection, wanted.text)) is not None:
        parts.append(texts)
    return and_(true(), *parts)


def _ended_so(connection: Connection, outcome: Outcome) -> ColumnElement[bool]:
    """An answer of the session ended so. A rare outcome is looked up, a common one met soon by walking."""
    so = (calls.c.outcome == str(outcome), calls.c.role.in_(_ANSWERS))
    some = select(literal(1)).select_from(calls).where(*so).limit(FEW + 1).subquery("page")
    if connection.execute(select(func.count()).select_from(some)).scalar_one() > FEW:
        return exists().where(calls.c.session_id == sessions.c.id, *so)
    return sessions.c.id.in_(select(calls.c.session_id).where(*so).correlate(None))


def _newest(statement: Select[Any]) -> Select[Any]:
    return statement.order_by(sessions.c.created_at.desc(), sessions.c.id.desc())


def _page(condition: ColumnElement[bool], limit: int, *, after: Place | None, before: Place | None) -> Any:
    s = sessions.c
    page = select(*(s[name] for name in (*queries.SUMMARY, *_MORE))).where(condition).limit(limit)
    if before is not None:
        newer = or_(s.created_at > before.created_at, s.id > before.id)
        page = page.where(s.created_at >= before.created_at, newer).order_by(s.created_at, s.id)
    else:
        page = _newest(page)
    if after is not None:
        page = page.where(s.created_at <= after.created_at, or_(s.created_at < after.created_at, s.id < after.id))
    here = page.subquery("page")
    return queries.with_answers(here, *_MORE).add_columns(
        *(_of_experiment(table, here).label(name) for name, table in _COUNTS.items())
    )


_MORE = ("template", "source", "result", "error", "account", "shared", "shared_with")
_COUNTS = {"asked": experiment_questions, "answered": experiment_units}


def _of_experiment(table: Any, page: Any) -> Any:
    mine = (table.c.session_id == page.c.id, page.c.kind == "experiment")
    return select(func.count()).select_from(table).where(*mine).scalar_subquery()


def _count(condition: ColumnElement[bool], *, every: bool) -> Select[Any]:
    if every:
        return select(func.count()).select_from(sessions)
    some = select(literal(1)).select_from(sessions).where(condition).limit(COUNTED + 1)
    return select(func.count()).select_from(some.subquery("page"))


def _newest_first(entry: Entry) -> tuple[datetime, str]:
    return entry.summary.created_at, entry.summary.id


def _entry(row: dict[str, Any]) -> Entry:
    own = {name: row[name] for name in (*_MORE, *_COUNTS)}
    return Entry(summary=records.summary(row), people=records.names_of(own.pop("shared_with")), **own)
