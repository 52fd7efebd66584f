"""A PostgreSQL server for the tests, and the fixture that runs a test on SQLite and on PostgreSQL.

    from tests.support.databases import *  # in a conftest.py: every test of that folder runs on both

The server is Debian's `postgresql`, started once for the run of the tests on loopback in a folder of its own, as a user
that is not root, and stopped at the end. Each test begins with an empty database: the one of the test before, emptied,
because making and dropping one takes longer than most tests. Where there is no PostgreSQL the tests
of it are skipped; with CI set, that is a failure.
"""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, delete, event, make_url, text
from sqlalchemy.pool import NullPool

from benchmarks.postgres_server import MissingError, Server, make_server, remove
from tale_core.settings import get_settings
from tale_core.store import open_store
from tale_core.store.database import migrate, opening
from tale_core.store.database.engine import POSTGRESQL_LOCK, make_engine
from tale_core.store.tables import Base

__all__ = ["Server", "backend", "new_database", "other_program", "pytest_generate_tests"]

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server of this run of the tests."""
    try:
        server = make_server()
    except MissingError as e:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"PostgreSQL is to be tested, and {e}")
        pytest.skip(str(e))
    yield server
    _leave()
    remove(server)


@pytest.fixture
def new_database(postgresql: Server) -> Iterator[Callable[[], str]]:
    """Makes empty databases, which are thrown away after the test."""
    urls: list[str] = []

    def make() -> str:
        urls.append(postgresql.new_database())
        return urls[-1]

    yield make
    _close_all()
    for url in urls:
        postgresql.drop(url)


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Iterator[str]:
    """Which database `open_store()` opens in this test: "sqlite" or "postgresql"."""
    kind = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        yield kind
        return
    server: Server = request.getfixturevalue("postgresql")
    bare = request.node.get_closest_marker("empty_database") is not None
    url = server.new_database() if bare else _with_schema(server)
    monkeypatch.setenv("TALE_DATABASE_URL", url)
    get_settings.cache_clear()
    yield kind
    _close_all()
    if bare or not _emptied(server, url):
        server.settings = {name: kept for name, kept in server.settings.items() if kept != url}
        _leave()
        server.drop(url)


@pytest.fixture
def other_program(backend: str) -> Iterator[Engine]:
    """The database of this test as another program sees it: with transactions of its own and no habits of ours."""
    url = make_url(get_settings().resolved_database_url)
    limits = {"timeout": 10} if backend == "sqlite" else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=limits)

    if backend == "sqlite":

        @event.listens_for(engine, "connect")
        def no_transactions(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def take_the_write_lock(connection: Any) -> None:
        lock = "BEGIN IMMEDIATE" if backend == "sqlite" else f"SELECT pg_advisory_xact_lock({POSTGRESQL_LOCK})"
        connection.exec_driver_sql(lock)

    yield engine


@functools.cache
def _new_file() -> bytes:
    """What the migrations make of an empty SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        path.touch()
        migrate.upgrade(make_url(f"sqlite:///{path}"), "new.db", lock_timeout_s=60)
        return path.read_bytes()


def quickly_upgraded(url: URL, where: str, *, lock_timeout_s: float) -> None:
    """Instead of `upgrade`: an empty SQLite file becomes the newest one at once, not by every migration to it.

    That takes 0.1 s, and thousands of tests begin with it; tests/store/test_migrations.py takes the steps.
    """
    path = migrate.sqlite_file(url)
    with _one_at_a_time:
        if path is not None and not path.stat().st_size:
            path.write_bytes(_new_file())
            return
    migrate.upgrade(url, where, lock_timeout_s=lock_timeout_s)


_one_at_a_time = threading.Lock()
_compiled: dict[str, Engine] = {}


def engine_with_known_statements(url: URL, *, lock_timeout_s: float) -> Engine:
    """Instead of `make_engine`: an engine that has the statements which those of other tests have compiled.

    A program compiles each statement once. Here every test has a database, thus an engine, of its own; compiling the
    same statements again was more than half of what such a test took. They belong to a dialect, which is shared too.
    """
    made = make_engine(url, lock_timeout_s=lock_timeout_s)
    if (first := _compiled.get(made.dialect.name)) is not None:
        made.dialect, made._compiled_cache = first.dialect, first._compiled_cache
    else:  # A dialect is whole once it has seen a database.
        event.listen(made, "connect", lambda *_: _compiled.setdefault(made.dialect.name, made))
    return made


def _with_schema(server: Server) -> str:
    """The address of a database with the newest schema and no rows."""
    if "shared" not in server.settings:
        url = server.new_database()
        open_store(url).close()
        with _from_outside(url).connect() as connection:
            server.settings |= {"shared": url, "shape": _shape(connection)}
    return server.settings["shared"]


_GO_AWAY = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_HERE = "relnamespace = 'public'::regnamespace"
_COUNT_AGAIN = text(f"SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S' AND {_HERE}")
_SHAPE = text(f"SELECT relname FROM pg_class WHERE {_HERE} ORDER BY relname")
_VERSION = text("SELECT version_num FROM alembic_version")


def _shape(connection: Connection) -> str:
    return str([*connection.execute(_VERSION).scalars(), *connection.execute(_SHAPE).scalars()])


def _emptied(server: Server, url: str) -> bool:
    """Take every row out; False when a test has changed more than rows."""
    tables = {table.name: table for table in reversed(Base.metadata.sorted_tables)}
    full = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in tables)
    with _from_outside(url).begin() as connection:
        connection.execute(_GO_AWAY)
        if _shape(connection) != server.settings["shape"]:
            return False
        rows = set(connection.execute(text(full)).scalars())
        for table in (table for name, table in tables.items() if name in rows):
            connection.execute(delete(table))
        connection.execute(_COUNT_AGAIN)
    return True


_outside: dict[str, Engine] = {}


def _from_outside(url: str) -> Engine:
    """A connection of the tests' own, kept from one test to the next."""
    return _outside.setdefault(url, create_engine(url, pool_pre_ping=True, pool_size=1))


def _leave() -> None:
    while _outside:
        _outside.popitem()[1].dispose()


def _close_all() -> None:
    for store, _ in opening.open_stores.values():
        if store.engine.dialect.name == "postgresql":
            store.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs on both, but for those of one kind of database alone, which say why."""
    if "backend" not in metafunc.fixturenames:
        return
    alone = metafunc.definition.get_closest_marker("sqlite_only")
    assert alone is None or alone.args, "say why this is about SQLite alone"
    metafunc.parametrize("backend", BACKENDS[:1] if alone else BACKENDS, indirect=True)
