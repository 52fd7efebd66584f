"""Engines, transactions, and database errors in words.

Knows SQLite's habits (WAL, busy timeout, how a transaction begins) and what its error codes mean; knows no tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy import exc as sa_exc

from tale_core.errors import StoreError, StoreLockedError
from tale_core.i18n import t

_BEGIN = "sqlite_begin"


def sqlite_file(url: URL) -> Path | None:
    """The absolute path of an SQLite database, or None for another kind of database."""
    if url.get_backend_name() != "sqlite":
        return None
    return Path(str(url.database)).absolute()


def make_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    """An engine for the store's reads and writes."""
    if (path := sqlite_file(url)) is None:
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(url.set(database=str(path)), connect_args={"timeout": lock_timeout_s}, hide_parameters=True)
    _set_up_sqlite(engine, foreign_keys=True)
    return engine


def migration_engine(url: URL, *, lock_timeout_s: float) -> Engine:
    """An engine for schema changes, without a pool.

    On SQLite foreign keys are off: a batch migration rebuilds a table by dropping it, which would delete every row that
    refers to it.
    """
    if (path := sqlite_file(url)) is None:
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
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


def for_writing(engine: Engine) -> Engine:
    """The same engine and pool with transactions that take SQLite's write lock at their start.

    A transaction that reads first and writes later fails at once when another writer came between; one that takes the
    lock at its start waits.
    """
    return engine.execution_options(**{_BEGIN: "IMMEDIATE"})


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
        StoreError: Anything else, said in words.
    """
    try:
        yield
    except sa_exc.TimeoutError as e:
        raise _locked(where) from e
    except sa_exc.DBAPIError as e:
        raise _worded(e.orig, where) from e
    except sqlite3.Error as e:
        raise _worded(e, where) from e
    except (OverflowError, sa_exc.StatementError) as e:
        raise StoreError(
            t("A value cannot be stored: {problem}.", problem=str(getattr(e, "orig", None) or e)),
            t("Nothing was written."),
        ) from e


def _locked(where: str) -> StoreLockedError:
    return StoreLockedError(
        t("The database {where} is held by another process.", where=where),
        t("Try again in a moment, or close the other program."),
    )


def _worded(error: BaseException | None, where: str) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    sqlstate = getattr(error, "sqlstate", None)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or sqlstate == "55P03":
        return _locked(where)
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
