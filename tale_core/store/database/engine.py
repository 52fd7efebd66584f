"""Engines, transactions, and database errors in words.

The habits of SQLite (WAL, busy timeout, how a transaction begins) and of PostgreSQL (time limits, what may be written
at the same time), and what their error codes mean.

The rest of the store was written for one writer at a time, which is all that SQLite has. On PostgreSQL an advisory lock
gives the same: a transaction that writes runs alone, or, where it asks no question whose answer another writer could
change (`concurrent`), together with others of its kind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy import exc as sa_exc

from tale_core.errors import StoreError, StoreLockedError, StoreUnreachableError
from tale_core.i18n import t
from tale_core.store.records import scrub_credentials

_BEGIN = "sqlite_begin"
_ALONE = "tale_alone"
POSTGRESQL_LOCK = 0x7A1D
"""The advisory lock for writing."""
CONNECT_S = 10
STATEMENT_S = 120
"""Seconds that one statement on PostgreSQL may take: nobody waits for ever."""
_GONE = ("57P01", "57P02", "57P03", "57P05")
"""PostgreSQL is shutting down, crashed, or is starting."""
_KEEPALIVE = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}


def sqlite_file(url: URL) -> Path | None:
    """The absolute path of an SQLite database, or None for another kind of database."""
    if url.get_backend_name() != "sqlite":
        return None
    return Path(str(url.database)).absolute()


def make_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    """An engine for the store's reads and writes."""
    if (path := sqlite_file(url)) is None:
        return _postgresql(url, lock_timeout_s)
    engine = create_engine(url.set(database=str(path)), connect_args={"timeout": lock_timeout_s}, hide_parameters=True)
    _set_up_sqlite(engine, foreign_keys=True)
    return engine


def _postgresql(url: URL, lock_timeout_s: float) -> Engine:
    limits = {"lock_timeout": int(lock_timeout_s * 1000), "statement_timeout": STATEMENT_S * 1000}
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        pool_timeout=lock_timeout_s,
        hide_parameters=True,
        connect_args=_connect_args(url, limits),
    )

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        alone = connection.get_execution_options().get(_ALONE)
        if alone is not None:
            lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
            connection.exec_driver_sql(f"SELECT {lock}({POSTGRESQL_LOCK})")

    return engine


def _connect_args(url: URL, limits: dict[str, int]) -> dict[str, Any]:
    """What psycopg is told; the address's own parameters win."""
    if url.get_driver_name() != "psycopg":
        return {}
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    ours = {"connect_timeout": CONNECT_S, "application_name": "tale", **_KEEPALIVE, "options": options}
    return {name: value for name, value in ours.items() if name not in url.query}


def migration_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    """An engine for schema changes, without a pool.

    On SQLite foreign keys are off: a batch migration rebuilds a table by dropping it, which would delete every row that
    refers to it.
    """
    if (path := sqlite_file(url)) is None:
        limits = {"lock_timeout": int(lock_timeout_s * 1000)}
        return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=_connect_args(url, limits))
    engine = create_engine(
        url.set(database=str(path)),
        connect_args={"timeout": lock_timeout_s},
        poolclass=NullPool,
        hide_parameters=True,
    )
    _set_up_sqlite(engine, foreign_keys=False)
    return engine


def read_only_engine(path: Path, *, lock_timeout_s: float) -> Engine:
    """An engine that cannot change an SQLite file; not even its journal mode, as opening for writing would."""
    address = f"{path.as_uri()}?mode=ro"
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, timeout=lock_timeout_s, check_same_thread=False),
        poolclass=NullPool,
        hide_parameters=True,
    )


def _set_up_sqlite(engine: Engine, *, foreign_keys: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # pysqlite opens no transaction for a SELECT; with isolation_level None ours is the only BEGIN there is.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(_BEGIN, 'DEFERRED')}")


def for_reading(engine: Engine) -> Engine:
    """The same engine and pool with transactions that see one state of the database and change nothing."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def for_writing(engine: Engine, *, concurrent: bool = False) -> Engine:
    """The same engine and pool with transactions that take the write lock at their start.

    A transaction that reads first and writes later fails at once on SQLite, and loses what came between on PostgreSQL,
    when another writer came between; one that takes the lock at its start waits.

    Args:
        engine: The store's.
        concurrent: On PostgreSQL, together with others of this kind: for statements that are right whatever else is
            written.
    """
    return engine.execution_options(**{_BEGIN: "IMMEDIATE", _ALONE: not concurrent})


@contextmanager
def transaction(engine: Engine, where: str) -> Iterator[Connection]:
    """One short transaction; database errors leave it as `StoreError`s that name `where`."""
    with errors_in_words(where), engine.begin() as connection:
        yield connection


@contextmanager
def errors_in_words(where: str) -> Iterator[None]:
    """Convert database and file errors.

    Raises:
        StoreLockedError: Another process or thread held the database past the time limit.
        StoreUnreachableError: A database server does not answer, or went away.
        StoreError: Anything else, said in words.
    """
    try:
        yield
    except sa_exc.TimeoutError as e:
        raise _locked(where) from e
    except sa_exc.DBAPIError as e:
        raise (_unreachable(where, e.orig) if _went_away(e) else _worded(e.orig, where)) from e
    except sqlite3.Error as e:
        raise _worded(e, where) from e
    except (OverflowError, sa_exc.StatementError) as e:
        raise _unstorable(str(getattr(e, "orig", None) or e)) from e


def _unstorable(problem: str) -> StoreError:
    return StoreError(t("A value cannot be stored: {problem}.", problem=problem), t("Nothing was written."))


def _locked(where: str) -> StoreLockedError:
    return StoreLockedError(
        t("The database {where} is held by another process.", where=where),
        t("Try again in a moment, or close the other program."),
    )


def _went_away(error: sa_exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith("08") or state in _GONE
    # libpq's own errors carry no code: what cannot be connected, and what breaks, is an OperationalError of psycopg.
    postgresql = type(error.orig).__module__.partition(".")[0] == "psycopg"
    return postgresql and (error.connection_invalidated or isinstance(error, sa_exc.OperationalError))


def _unreachable(where: str, error: BaseException | None) -> StoreUnreachableError:
    first = str(error).strip().partition("\n")[0]
    return StoreUnreachableError(
        t("The database {where} does not answer: {problem}.", where=where, problem=scrub_credentials(first)),
        t("Check that it runs and that TALE_DATABASE_URL is right."),
    )


def _worded(error: BaseException | None, where: str) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    sqlstate = getattr(error, "sqlstate", None)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or sqlstate == "55P03":
        return _locked(where)
    if str(sqlstate).startswith("22"):
        return _unstorable(str(error).strip().partition("\n")[0])
    if primary == sqlite3.SQLITE_FULL or sqlstate == "53100":
        return StoreError(
            t("The disk that holds {where} is full; nothing was written.", where=where),
            t("Free some room and try again."),
        )
    if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return damaged(where)
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return unusable_place(where, str(error))
    return StoreError(
        t("The database {where} failed: {problem}.", where=where, problem=str(error).strip()),
        t("Check that it can be reached."),
    )


def damaged(where: str) -> StoreError:
    """The file cannot be read as a database."""
    return StoreError(
        t("{where} is damaged or is not a database; it was not changed.", where=where),
        t("Move it away (a new one is made), or set TALE_DATABASE_URL to another."),
    )


def unusable_place(where: str | Path, reason: str) -> StoreError:
    """The place cannot be read and written; `reason` ends a sentence, in the reader's language."""
    return StoreError(
        t("The database {where} cannot be read and written: {reason}.", where=where, reason=reason),
        t("Make the place writable, or set TALE_DATA_DIR to another folder or TALE_DATABASE_URL to another database."),
    )
