"""Which sessions hold a text: in their question, a question of their experiment, an answer, or the model's name.

One small interface, `TextSearch`, with one implementation for each kind of database: `TrigramSearch` for SQLite's FTS5
index (made and kept by migration 0005), `PostgresSearch` for PostgreSQL's pg_trgm (0007), `PlainSearch` without either.
It opens no transaction.

What is searched for is text, never a query language: words must all be there, each anywhere in the session and as part
of a longer word too; words in double quotes stand together. The case of A to Z does not count. The index only narrows
the search down, LIKE decides, so that both ways and all implementations find the same.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    TableClause,
    and_,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    table,
    union_all,
)
from sqlalchemy import exc as sa_exc

from tale_core.errors import StoreError
from tale_core.i18n import t
from tale_core.store.tables import calls, experiment_questions, sessions
from tale_core.text import safe_text

MOST_TERMS = 8
LONGEST_TERM = 200
FEW = 8_000
"""Candidates up to which the index is used. A text that stands in more rows is found sooner by looking at the newest
sessions one after the other."""
MOST_THREES = 24
LIMIT_S = 5.0
"""Seconds that a search may take on SQLite, and each of its statements on PostgreSQL."""
_CANCELLED = "57014"
STEPS = 20_000
"""Instructions of SQLite's machine between two looks at the clock: about a millisecond."""
Has = Callable[[ColumnElement[Any], str], ColumnElement[bool]]
"""A condition: the column holds the text, whatever the case."""

_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_KEYS = table("fts_key", column("id"), column("session_id"), column("position"))


class TextSearch(Protocol):
    """How one kind of database looks for texts."""

    def holding(self, connection: Connection, term: str) -> ColumnElement[bool]:
        """A condition on `session`: it holds this text somewhere."""
        ...


def terms(text: str) -> list[str]:
    """What a person typed as single texts to look for; too many or too long ones are cut."""
    found = (quoted or word for quoted, word in _TERM.findall(safe_text(text)))
    return [term[:LONGEST_TERM] for term in dict.fromkeys(" ".join(f.split()) for f in found) if term][:MOST_TERMS]


def holding_all(connection: Connection, text: str) -> ColumnElement[bool] | None:
    """A condition on `session`: it holds everything that was typed. None when nothing was."""
    search = search_of(connection)
    conditions = [search.holding(connection, term) for term in terms(text)]
    return and_(*conditions) if conditions else None


def search_of(connection: Connection) -> TextSearch:
    """The search of this database."""
    return TrigramSearch() if connection.dialect.name == "sqlite" else PostgresSearch()


def ilike(where: ColumnElement[Any], term: str) -> ColumnElement[bool]:
    """Contains, whatever the case of the letters."""
    return where.icontains(term, autoescape=True)


def like(where: ColumnElement[Any], term: str) -> ColumnElement[bool]:
    """Contains, as LIKE of the database has it."""
    # SQLite's own LIKE does not mind the case of A to Z; ILIKE would have it copy every text in lower case first.
    return where.contains(term, autoescape=True)


class PlainSearch:
    """Row by row, for databases without an index of ours."""

    def __init__(self, has: Has) -> None:
        self._has = has

    def holding(self, connection: Connection, term: str) -> ColumnElement[bool]:
        """See `TextSearch`."""
        answers = exists().where(calls.c.session_id == sessions.c.id, self.in_answer(term))
        asked = exists().where(experiment_questions.c.session_id == sessions.c.id, self.in_experiment(term))
        # What costs least comes first; an experiment alone has questions of its own.
        return or_(self.in_session(term), answers, and_(sessions.c.kind == "experiment", asked))

    def in_session(self, term: str) -> ColumnElement[bool]:
        """The session's question or its model's name holds the term."""
        return or_(self._has(sessions.c.question_text, term), self._has(sessions.c.model, term))

    def in_experiment(self, term: str) -> ColumnElement[bool]:
        """A question of an experiment holds the term."""
        return self._has(experiment_questions.c.question["text"].as_string(), term)

    def in_answer(self, term: str) -> ColumnElement[bool]:
        """An answer that has ended holds the term; what the model thought aloud belongs to it."""
        return and_(
            calls.c.status != "running", or_(self._has(calls.c.text, term), self._has(calls.c.reasoning_text, term))
        )


class PostgresSearch:
    """By the trigram indexes on PostgreSQL, which the planner uses where they help: a text of three characters or more.

    Without the extension pg_trgm the same statements read row by row.
    """

    def __init__(self) -> None:
        self._plain = PlainSearch(ilike)

    def holding(self, connection: Connection, term: str) -> ColumnElement[bool]:
        """See `TextSearch`."""
        if len(term) < 3:  # No index tells anything: newest first, until the page is full.
            return self._plain.holding(connection, term)
        # Each table by itself: joined by OR, no index could be used.
        found = union_all(
            select(sessions.c.id).where(self._plain.in_session(term)).correlate(None),
            select(calls.c.session_id).where(self._plain.in_answer(term)).correlate(None),
            select(experiment_questions.c.session_id).where(self._plain.in_experiment(term)).correlate(None),
        )
        return sessions.c.id.in_(select(found.subquery("page")))


class TrigramSearch:
    """By the trigram index where the text is rare, else newest first, row by row.

    The index holds every three characters that stand together. A text of one or two characters is looked up as the
    beginning of such a three (each indexed text ends in two blanks for this), so that 课堂 and 42 are found as well.
    """

    def __init__(self) -> None:
        self._plain = PlainSearch(like)

    def holding(self, connection: Connection, term: str) -> ColumnElement[bool]:
        """See `TextSearch`."""
        asked, answered = _rows("fts_question", term), _rows("fts_answer", term)
        some = union_all(*(select(rows.limit(FEW + 1).subquery("page")) for rows in (asked, answered))).subquery("page")
        if connection.execute(select(func.count()).select_from(some)).scalar_one() > FEW:
            return self._plain.holding(connection, term)
        found = union_all(self._by_question(asked, term), self._by_answer(answered, term))
        return sessions.c.id.in_(select(found.subquery("page")))

    def _by_question(self, rows: Select[tuple[int]], term: str) -> Select[tuple[str]]:
        asked = experiment_questions
        place = and_(asked.c.session_id == _KEYS.c.session_id, asked.c.position == _KEYS.c.position)
        own = and_(_KEYS.c.position.is_(None), self._plain.in_session(term))
        whole = _KEYS.join(sessions, sessions.c.id == _KEYS.c.session_id).outerjoin(asked, place)
        # Correlated to nothing: this `session` is not the one that is being looked for.
        wanted = (_KEYS.c.id.in_(rows), or_(own, self._plain.in_experiment(term)))
        return select(_KEYS.c.session_id).select_from(whole).where(*wanted).correlate(None)

    def _by_answer(self, rows: Select[tuple[int]], term: str) -> Select[tuple[str]]:
        return select(calls.c.session_id).where(calls.c.id.in_(rows), self._plain.in_answer(term)).correlate(None)


def _rows(index: str, term: str) -> Select[tuple[int]]:
    """Numbers of the rows that may hold the term."""
    if len(term) < 3:
        words: TableClause = table(f"{index}_terms", column("term", String), column("doc"))
        low, high = _folded(term), _after(_folded(term))
        return select(words.c.doc).where(words.c.term >= low, *((words.c.term < high,) if high else ()))
    # FTS5 takes its expression in a column that has the table's name.
    fts: TableClause = table(index, column("rowid"), column(index, String))
    return select(fts.c.rowid).where(fts.c[index].match(literal(_threes(term))))


def _threes(term: str) -> str:
    """The term as an FTS5 expression: each of its threes must be there. Quoted: nothing in it is an operator."""
    threes = list(dict.fromkeys(term[i : i + 3] for i in range(len(term) - 2)))
    step = -(-len(threes) // MOST_THREES)
    return " AND ".join('"{}"'.format(three.replace('"', '""')) for three in threes[::step])


def _folded(term: str) -> str:
    """In lower case as the tokenizer does it: character by character."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in term)


def _after(term: str) -> str | None:
    """The first text that does not begin with `term` any more; None when there is none."""
    last = ord(term[-1]) + 1
    last = 0xE000 if last == 0xD800 else last
    return term[:-1] + chr(last) if last <= 0x10FFFF else None


@contextmanager
def time_limit(connection: Connection, seconds: float | None = None) -> Iterator[None]:
    """Stop what the database does in this block after so many seconds.

    Raises:
        StoreError: The time was over.
    """
    limit_s = LIMIT_S if seconds is None else seconds
    if connection.dialect.name != "sqlite":
        with _statement_limit(connection, limit_s):
            yield
        return
    driver: Any = connection.connection.driver_connection
    until = time.monotonic() + limit_s
    driver.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        yield
    except sa_exc.OperationalError as e:
        if getattr(e.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
            raise
        raise _too_long() from e
    finally:
        driver.set_progress_handler(None, 0)


@contextmanager
def _statement_limit(connection: Connection, seconds: float) -> Iterator[None]:
    # Of this transaction alone; 0 would mean no limit.
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")
    try:
        yield
    except sa_exc.OperationalError as e:
        if getattr(e.orig, "sqlstate", None) != _CANCELLED:
            raise
        raise _too_long() from e


def _too_long() -> StoreError:
    return StoreError(
        t("This search took too long and was stopped."),
        t("Give more of the text, or narrow it down by a kind, a model or dates."),
    )
