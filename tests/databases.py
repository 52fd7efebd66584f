"""A PostgreSQL server for the tests, and the fixture that runs a test on SQLite and on PostgreSQL.

    from tests.databases import *  # in a conftest.py: every test of that folder runs on both

The server is Debian's `postgresql`, started once for the run of the tests on loopback in a folder of its own, as a user
that is not root, and stopped at the end. Each test gets a database of its own. Where there is no PostgreSQL the tests
of it are skipped; with CI set, that is a failure.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.pool import NullPool

from tale_core.settings import get_settings
from tale_core.store import open_store, opening
from tale_core.store.engine import POSTGRESQL_LOCK

__all__ = ["Server", "backend", "new_database", "other_program", "postgresql", "pytest_generate_tests"]

BACKENDS = ("sqlite", "postgresql")
_FAST = {
    "fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB",
    "max_connections": "200", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_wal_size": "2GB",
}  # fmt: skip
_START_S = 60.0


class MissingError(Exception):
    """This machine has no PostgreSQL, or no driver for it."""


@dataclass
class Server:
    """A running server.

    Attributes:
        made: Numbers the databases.
    """

    folder: Path
    programs: Path
    port: int
    password: str
    made: int = 0
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def url(self, database: str) -> str:
        """The address of a database as TALE_DATABASE_URL wants it."""
        url = URL.create("postgresql+psycopg", "tale", self.password, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = [word for name, value in _FAST.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options],
                stdout=log, stderr=log, cwd=self.folder, **_unprivileged(),
            )  # fmt: skip
        until = time.monotonic() + _START_S
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False, timeout=10).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, *, crash: bool = False) -> None:
        """Stop it; connections break. With `crash` as a power cut would."""
        if self.process is not None:
            # SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one.
            self.process.send_signal(3 if crash else 2)
            self.process.wait(timeout=30)
            self.process = None

    def run(self, statement: str) -> None:
        """Run a statement outside a transaction."""
        engine = create_engine(self.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))

    def new_database(self, *, template: str = "template0") -> str:
        """Make a database; its address."""
        self.made += 1
        name = f"test_{os.getpid()}_{self.made}"
        self.run(f'CREATE DATABASE {name} TEMPLATE {template} STRATEGY = "wal_log"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Throw a database away, whoever is connected."""
        self.run(f"DROP DATABASE IF EXISTS {url.rsplit('/', 1)[1]} WITH (FORCE)")


def _unprivileged() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres" if _exists("postgres") else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _programs() -> Path:
    found = shutil.which("postgres")
    folders = (
        [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    )
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "pg_isready").exists():
            return folder
    raise MissingError("there is no PostgreSQL on this machine (Debian: apt-get install postgresql)")


def make_server() -> Server:
    """Make a server in a new folder under the temporary folder, and start it."""
    programs = _programs()
    try:
        import psycopg  # noqa: F401
    except ImportError as e:
        raise MissingError("psycopg is not installed (pip install -r requirements-postgres.txt)") from e
    folder = Path(tempfile.mkdtemp(prefix="tale-postgres-"))
    who = _unprivileged()
    password = secrets.token_hex(8)
    (folder / "password").write_text(password)
    if who:
        for path in (folder, folder / "password"):
            os.chown(path, int(str(who["user"])), int(str(who["group"])))
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "tale", "--auth=scram-sha-256", "--no-sync",
         f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--locale=C.UTF-8"],
        check=True, capture_output=True, cwd=folder, timeout=120, **_unprivileged(),
    )  # fmt: skip
    for attempt in range(3):
        server = Server(folder, programs, _free_port(), password)
        try:
            server.start()
            return server
        except RuntimeError:  # Somebody else took the port in between.
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def remove(server: Server) -> None:
    """Stop a server and throw its folder away."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.stop(crash=True)
    shutil.rmtree(server.folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


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
    empty = request.node.get_closest_marker("empty_database") is not None
    url = server.new_database(template="template0" if empty else _template(server))
    monkeypatch.setenv("TALE_DATABASE_URL", url)
    get_settings.cache_clear()
    yield kind
    _close_all()
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


def _template(server: Server) -> str:
    """The name of a database with the newest schema and no rows: copying it is faster than migrating."""
    if "template" not in server.settings:
        url = server.new_database()
        open_store(url).close()
        server.settings["template"] = url.rsplit("/", 1)[1]
    return server.settings["template"]


def _close_all() -> None:
    for store, _ in opening._open.values():
        if store._engine.dialect.name == "postgresql":
            store.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs on both, but for those of one kind of database alone, which say why."""
    if "backend" not in metafunc.fixturenames:
        return
    alone = metafunc.definition.get_closest_marker("sqlite_only")
    assert alone is None or alone.args, "say why this is about SQLite alone"
    metafunc.parametrize("backend", BACKENDS[:1] if alone else BACKENDS, indirect=True)
