"""`open_store`: find the place, make it private, bring the schema up to date, and hand out one store per database."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy import exc as sa_exc

from tale_core.errors import NotFoundError, StoreError
from tale_core.i18n import t
from tale_core.settings import Settings, get_settings, install_command
from tale_core.store.archive.importing import undo_dead_imports
from tale_core.store.archive.trash import Trash
from tale_core.store.database.engine import make_engine, sqlite_file, unusable_place
from tale_core.store.database.migrate import is_current, upgrade
from tale_core.store.repository import Store

LOCK_TIMEOUT_S = 10.0

open_stores: dict[tuple[str, float], tuple[Store, tuple[int, int] | None]] = {}
_guard = threading.Lock()
_SECRET = ("password", "sslpassword", "passfile")


def _close_all() -> None:
    for store, _ in open_stores.values():
        store.close()


atexit.register(_close_all)  # A server is told that we go; it need not find out.


def open_store(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    create: bool = True,
) -> Store:
    """Open the database, making it and its folder (for the user alone) when they do not exist.

    Opening the same database again in the same process gives the same store. Sessions whose process is gone become
    "interrupted"; unfinished imports whose process is gone are undone.

    Args:
        url: SQLAlchemy URL; None takes it from the settings (`TALE_DATABASE_URL`, else tale.db in `TALE_DATA_DIR`).
        settings: Used instead of the environment's.
        lock_timeout_s: Seconds to wait for another process that holds the database.
        create: Make an SQLite file that does not exist.

    Raises:
        NotFoundError: There is no such file, and none is to be made.
        StoreLockedError: Another process held it past the time limit.
        StoreVersionError: Written by a newer version, or not ours; it was not changed.
        StoreError: The URL, the place or the file is unusable; the message says why.
    """
    parsed = _parse(url or (settings or get_settings()).resolved_database_url)
    path = sqlite_file(parsed)
    if path is not None and not create and not path.is_file():
        raise NotFoundError(t("There is no database {where}.", where=path), t("Check the address."))
    address = parsed.render_as_string(hide_password=False) if path is None else f"sqlite:///{path}"
    key = (address, lock_timeout_s)
    with _guard:
        if key in open_stores:
            store, identity = open_stores[key]
            # A database that was deleted or replaced since is another file: while the pool holds the old one open, its
            # inode number is not given away.
            if not store.closed and identity == _identity(path):
                return store
            del open_stores[key]
            store.close()
        store = _opened(parsed, path, lock_timeout_s)
        open_stores[key] = (store, _identity(path))
    store.reconcile_interrupted()
    tidy(store)
    return store


def tidy(store: Store) -> None:
    """Take out what dead imports have brought, and throw away what can no longer be undeleted. Cheap when idle."""
    undo_dead_imports(store)
    Trash(store).expire()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except (sa_exc.ArgumentError, ValueError) as e:
        # The URL itself is not repeated: it may hold a password.
        raise StoreError(
            t("The database URL is not one that SQLAlchemy understands."),
            t(
                "Set TALE_DATABASE_URL to something like sqlite:////folder/tale.db or "
                "postgresql+psycopg://user@host/name."
            ),
        ) from e
    except ImportError as e:
        # Where the driver is there and libpq is not, the error names nothing.
        by_us = parsed.get_backend_name() == "postgresql"
        command = install_command("postgres") if by_us else f"pip install {e.name}"
        raise StoreError(
            t(
                "The database URL asks for the driver {driver}, which is not installed.",
                driver=e.name or parsed.drivername,
            ),
            t("Run: {command}", command=command),
        ) from e
    if parsed.get_backend_name() == "sqlite" and (parsed.query or parsed.database in (None, "", ":memory:")):
        raise StoreError(
            t("The database URL {url!r} does not name a file.", url=url),
            t("Give sqlite:////folder/tale.db, without parameters."),
        )
    return parsed


def _opened(url: URL, path: Path | None, lock_timeout_s: float) -> Store:
    where = shown_address(url) if path is None else str(path)
    if path is not None:
        _prepare(path)
    if not is_current(url, where, lock_timeout_s=lock_timeout_s):
        upgrade(url, where, lock_timeout_s=lock_timeout_s)
    return Store(make_engine(url, lock_timeout_s=lock_timeout_s), where)


def shown_address(url: URL) -> str:
    """The address for people: without a password, which libpq takes from the query as well."""
    return url.difference_update_query(_SECRET).render_as_string(hide_password=True)


def _prepare(path: Path) -> None:
    """Make folder and file readable by the user alone; SQLite gives -wal and -shm the mode of the file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_dir():
            raise unusable_place(path, t("it is a folder"))
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            os.close(os.open(path, os.O_RDWR))
    except OSError as e:
        raise unusable_place(path, e.strerror or str(e)) from e
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise unusable_place(path, t("SQLite has to write beside it, and the folder is read-only"))


def _identity(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
