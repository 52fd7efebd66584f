"""The app in several processes behind HAProxy: Python draws one page at a time in each.

HAProxy keeps a reader on one process by a cookie, because that process holds the reader's session, and passes over one
that does not answer. It is a program of its own (GPL, maintained since 2001, at home with websockets): one in Python
would cost a processor more for every message.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tale_core.errors import InputError, TaleError
from tale_core.i18n import t
from tale_core.serving.health import look_at_page
from tale_core.settings import APP_ROOT

MOST_PROCESSES = 64
COOKIE = "tale_process"
"""Says which process holds a reader's session; it carries a number and nothing else."""
START_S = 90.0
STOP_S = 30.0
"""Running jobs get this long to write what they have."""
BACKOFF_S = (1.0, 30.0)
"""Between the starts of a process that keeps ending: at first, and at most."""
MOST_CONNECTIONS = 8_192
_PDEATHSIG = 1

log = logging.getLogger(__name__)


def command(port: int, *, address: str = "127.0.0.1", seen_at: int | None = None) -> list[str]:
    """How one process of the app is started.

    Args:
        port: Where it listens.
        address: On which address.
        seen_at: The port in a browser's address, if it is another one.
    """
    # Streamlit reads the configuration beside app.py, from wherever it is started; -P: no module is found there.
    found = [sys.executable, "-P", "-m", "streamlit", "run", str(APP_ROOT / "app.py")]
    found += [f"--server.port={port}", f"--server.address={address}"]
    return found + ([f"--browser.serverPort={seen_at}", "--logger.hideWelcomeMessage=true"] if seen_at else [])


def haproxy_config(ports: Sequence[int], *, port: int, address: str, most: int = MOST_CONNECTIONS) -> str:
    """HAProxy's configuration for app processes on loopback.

    Args:
        ports: Where they listen.
        port: Where HAProxy listens.
        address: On which address.
        most: Connections at the same time. Each takes two descriptors; HAProxy does not start without them.
    """
    where = f"[{address}]" if ":" in address else address
    servers = "\n".join(f"    server p{n} 127.0.0.1:{one} cookie p{n}" for n, one in enumerate(ports, start=1))
    return f"""global
    maxconn {most}
defaults
    mode http
    option redispatch 1
    option forwardfor
    retries 3
    retry-on conn-failure empty-response
    timeout connect 5s
    timeout http-request 15s
    timeout http-keep-alive 60s
    timeout client 120s
    timeout server 120s
    # A websocket may say nothing for a while; Streamlit itself pings it.
    timeout tunnel 1h
frontend people
    bind {where}:{port}
    # What is only read is asked again elsewhere when a process ends over it; an upload is not sent twice.
    http-request disable-l7-retry unless METH_GET
    default_backend app
backend app
    balance leastconn
    cookie {COOKIE} insert indirect nocache httponly attr "SameSite=Lax"
    option httpchk GET /_stcore/health
    http-check expect status 200
    default-server check inter 2s fall 2 rise 1
{servers}
"""


@dataclass
class _Process:
    port: int
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    again_at: float = 0.0
    began: float = 0.0


@dataclass
class AppProcesses:
    """Several processes of the app and the HAProxy before them; a context that ends them all.

    Args:
        count: Processes, from 2.
        port: Where people come.
        address: On which address; the processes themselves listen on loopback alone.
        start: How a process is started, for tests: takes its port.
        env: The processes' environment; None passes on this one's.
        out: Where they write; None writes to this one's.

    Raises:
        InputError: A number out of range, HAProxy is not installed, or the port is taken.
    """

    count: int
    port: int
    address: str = "127.0.0.1"
    start: Callable[[int], list[str]] | None = None
    env: dict[str, str] | None = None
    out: IO[bytes] | None = None
    _apps: list[_Process] = field(default_factory=list)
    _balancer: subprocess.Popen[bytes] | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.count <= MOST_PROCESSES:
            raise InputError(
                t("{count} processes were asked for.", count=self.count),
                t("Give a number from 2 to {most}; a process for each processor is usual.", most=MOST_PROCESSES),
            )
        self._haproxy = _haproxy()
        check_free(self.address, self.port)

    def __enter__(self) -> Self:
        try:
            self._apps = [_Process(one) for one in _free_ports(self.count)]
            for app in self._apps:
                self._launch(app)
            self._wait_until_all_answer()
            self._balance()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    @property
    def pids(self) -> list[int]:
        """Of the app's processes that run."""
        return [app.process.pid for app in self._apps if app.process is not None and app.process.poll() is None]

    def tend(self) -> None:
        """Start again what has ended. To be called every second or so.

        Raises:
            TaleError: HAProxy has ended: nobody can come any more.
        """
        assert self._balancer is not None
        if (code := self._balancer.poll()) is not None:
            raise TaleError(t("HAProxy has ended with code {code}.", code=code), t("Start the app again."))
        now = time.monotonic()
        for app in self._apps:
            if app.process is not None and app.process.poll() is not None:
                app.failures = app.failures + 1 if now - app.began < 10 * BACKOFF_S[1] else 1
                wait = min(BACKOFF_S[1], BACKOFF_S[0] * 2 ** (app.failures - 1))
                log.warning("app process on port %d ended with %d; again in %.0f s", app.port, app.process.poll(), wait)
                app.process, app.again_at = None, now + wait
            elif app.process is None and now >= app.again_at:
                self._launch(app)

    def _launch(self, app: _Process) -> None:
        line = self.start(app.port) if self.start else command(app.port, seen_at=self.port)
        # A group of its own: Ctrl-C reaches this process alone, which then ends the others in order.
        app.process = subprocess.Popen(
            line, env=self.env, stdout=self.out, stderr=self.out, start_new_session=True,
            preexec_fn=die_with(os.getpid()),
        )  # fmt: skip
        app.began = time.monotonic()

    def _wait_until_all_answer(self) -> None:
        until = time.monotonic() + START_S
        for app in self._apps:
            while not answers(app.port):
                assert app.process is not None
                if (code := app.process.poll()) is not None:
                    raise TaleError(
                        t("A process of the app ended with code {code} before it answered.", code=code),
                        t("What it said stands above."),
                    )
                if time.monotonic() > until:
                    raise TaleError(t("The app did not answer within {s:.0f} s.", s=START_S), t("Look at its log."))
                time.sleep(0.1)

    def _balance(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tale-haproxy-")
        file = Path(self._folder.name) / "haproxy.cfg"
        ports, most = [a.port for a in self._apps], _connections()
        file.write_text(haproxy_config(ports, port=self.port, address=self.address, most=most), encoding="utf-8")
        self._balancer = subprocess.Popen(
            [self._haproxy, "-db", "-f", str(file)], start_new_session=True, preexec_fn=die_with(os.getpid())
        )
        until = time.monotonic() + 10
        while not answers(self.port, self.address):
            if self._balancer.poll() is not None or time.monotonic() > until:
                raise TaleError(t("HAProxy did not start."), t("What it said stands above."))
            time.sleep(0.05)

    def _end(self) -> None:
        """HAProxy first: nobody new comes while the processes write what they have."""
        _terminate([self._balancer], 5)
        _terminate([app.process for app in self._apps], STOP_S)
        if self._folder is not None:
            self._folder.cleanup()


def _haproxy() -> str:
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise InputError(
            t("Several processes need HAProxy before them, and it is not installed."),
            t("Install it (apt install haproxy, brew install haproxy), or start one process."),
        )
    return found


def _connections() -> int:
    """As many as this process may have descriptors for."""
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MOST_CONNECTIONS if allowed == resource.RLIM_INFINITY else max(16, min(MOST_CONNECTIONS, allowed // 2 - 128))


def check_free(address: str, port: int) -> None:
    """Raises: InputError: Nothing can listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
    except (OSError, OverflowError, TypeError, ValueError) as e:  # Python's words for what is no name at all.
        raise InputError(
            t("The app cannot listen on {address}, port {port}: {why}.", address=address, port=port, why=e),
            t("End what runs there, or give another --port."),
        ) from e


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all held until all are known."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def answers(port: int, address: str = "127.0.0.1") -> bool:
    """Whether the app answers there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
    with suppress(OSError):
        return bool(look_at_page(f"http://{host}:{port}"))
    return False


def die_with(parent: int) -> Callable[[], None] | None:
    """What a child runs first: the kernel ends it when this process is killed, so that none is left over (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)

    def first() -> None:
        library.prctl(_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return first


def _terminate(processes: Sequence[subprocess.Popen[bytes] | None], seconds: float) -> None:
    running = [p for p in processes if p is not None and p.poll() is None]
    for one in running:
        one.terminate()
    until = time.monotonic() + seconds
    for one in running:
        try:
            one.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait(5)
