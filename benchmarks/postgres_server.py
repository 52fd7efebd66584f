"""A PostgreSQL server for tests and benchmarks: Debian's `postgresql`, in a folder of its own, on loopback.

It runs as a user that is not root, and is fast rather than safe: what it holds is gone with it.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

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


def _unprivileged() -> dict[str, Any]:
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
