"""Bring a database's schema to the newest revision. Alembic is imported only when there is something to do.

Revisions are named tale_0001, tale_0002, …: the prefix tells our databases from those of other programs that use
Alembic, the number tells older from newer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, inspect, text

from tale_core.errors import StoreLockedError, StoreVersionError
from tale_core.i18n import N_, t
from tale_core.store.database.engine import (
    damaged,
    errors_in_words,
    for_writing,
    migration_engine,
    read_only_engine,
    sqlite_file,
    transaction,
)

HEAD = "tale_0015"
"""The newest revision in migrations/versions; a test compares them."""

_MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
_SQLITE_MAGIC = b"SQLite format 3\x00"
POSTGRESQL_LOCK = 0x7A1E
_ELSEWHERE = N_("Set TALE_DATABASE_URL or TALE_DATA_DIR to another place, or move this database away.")


def is_current(url: URL, where: str, *, lock_timeout_s: float) -> bool:
    """True when the schema is the newest one, False when it has to be made or brought up.

    An SQLite file is opened read-only for this, so that one that is not ours stays as it is.

    Raises:
        StoreVersionError: Written by a newer version, or not one of our databases.
        StoreError: Damaged or unreachable.
    """
    path = sqlite_file(url)
    if path is None:
        engine = migration_engine(url, lock_timeout_s=lock_timeout_s)
    elif not _has_content(path, where):
        return False
    else:
        engine = read_only_engine(path, lock_timeout_s=lock_timeout_s)
    with errors_in_words(where), engine.connect() as connection:
        return _revision(connection, where) == HEAD


def _has_content(path: Path, where: str) -> bool:
    with path.open("rb") as file:
        start = file.read(len(_SQLITE_MAGIC))
    # SQLite takes a file of a few bytes for an empty database and overwrites it.
    if start not in (b"", _SQLITE_MAGIC):
        raise damaged(where)
    return bool(start)


def _revision(connection: Connection, where: str) -> str | None:
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreVersionError(
            t("{where} is not a database of this program; it was not changed.", where=where), t(_ELSEWHERE)
        )
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    number = re.fullmatch(r"tale_(\d{4})", str(found))
    if number is None:
        raise StoreVersionError(
            t(
                "{where} is not a database of this program (its revision is {found!r}); it was not changed.",
                where=where,
                found=found,
            ),
            t(_ELSEWHERE),
        )
    if str(found) > HEAD:
        raise StoreVersionError(
            t(
                "{where} was written by a newer version of this program (revision {found}, this one knows {head}); "
                "it was not changed.",
                where=where,
                found=found,
                head=HEAD,
            ),
            t("Update this program. Or: {elsewhere}", elsewhere=t(_ELSEWHERE)),
        )
    return str(found)


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether Alembic is to compare this: the search indexes are of one kind of database and not in the code."""
    return not (kind in ("table", "index") and (name or "").startswith(("fts_", "trgm_")))


def upgrade(url: URL, where: str, *, lock_timeout_s: float) -> None:
    """Run the missing migrations in one transaction: all of them or none. Safe when two processes come at once.

    Raises:
        StoreLockedError: Another process was at it past the time limit.
        StoreVersionError: The database is not ours to change.
        StoreError: It cannot be written.
    """
    engine = migration_engine(url, lock_timeout_s=lock_timeout_s)
    with _only_one(sqlite_file(url), where, lock_timeout_s):
        if is_current(url, where, lock_timeout_s=lock_timeout_s):
            return
        with transaction(for_writing(engine), where) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": POSTGRESQL_LOCK})
                if _revision(connection, where) == HEAD:
                    return
            run_alembic(connection)


def run_alembic(connection: Connection, revision: str = "head") -> None:
    """Upgrade inside the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    # The option is interpolated like an ini file: a per cent sign in the path has to be doubled.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@contextmanager
def _only_one(path: Path | None, where: str, timeout_s: float) -> Iterator[None]:
    if path is None:
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.migrate.lock", timeout=timeout_s, mode=0o600)
    try:
        lock.acquire()
    except Timeout as e:
        raise StoreLockedError(
            t("Another process is preparing the database {where}.", where=where), t("Try again in a moment.")
        ) from e
    try:
        yield
    finally:
        lock.release()
