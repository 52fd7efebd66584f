"""This process and others: who runs a session, being told to end, event loops, and commands that outlive it.

What is stopped after SIGTERM was interrupted and not cancelled by anybody, so that the next process can resume it
(`begin`, `stopped_status`). `run` is `asyncio.run` in uvloop's event loop where that is installed; `start` starts a
command that stays when this process ends. `current_owner` names this process so that another can tell, long after,
whether it still exists (`owner_is_gone`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import IO, Any, TypeVar

import psutil

from tale_core.types import Status

PATIENCE_S = 5.0
"""Seconds that a process which has been told to end waits for anybody; it is killed after ten in a container."""

told_to_end_at: float | None = None
"""When it was told to end, on the monotonic clock."""
T = TypeVar("T")
_KEYS = ("_API_KEY", "_TOKEN")
HEARTBEAT_LIMIT = timedelta(seconds=60)
"""A session run by another host counts as interrupted when its last heartbeat is older than this."""

# psutil adds the boot time to the kernel's start time, and the boot time moves a little when the clock is corrected.
_CLOCK_TOLERANCE_S = 2.0


def begin() -> None:
    """The process ends: whatever is stopped from now on can be resumed by the next one."""
    global told_to_end_at
    told_to_end_at = time.monotonic() if told_to_end_at is None else told_to_end_at


def hurried() -> bool:
    """Whether the process was told to end so long ago that nothing may be waited for any more."""
    return told_to_end_at is not None and time.monotonic() - told_to_end_at > PATIENCE_S


def stopped_status() -> Status:
    """How a session ends that is stopped now."""
    return "cancelled" if told_to_end_at is None else "interrupted"


def at_exit(work: Callable[[], None]) -> None:
    """Do something when the interpreter ends, while threads can still be used.

    `atexit` comes too late: pools of threads take no more work then. What this uses is not documented (it is how
    `concurrent.futures` does the same), so that without it `atexit` has to do.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is None:
        import atexit

        atexit.register(work)
        return
    import concurrent.futures.thread  # noqa: F401  (registers itself first, and so is called after us)

    register(work)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, and what is stopped by it be interrupted. For the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ends(_number: int, _frame: FrameType | None) -> None:
        begin()
        # asyncio has a handler of its own for SIGINT, which ends the main task in order.
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)
        else:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ends)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _forget()


def _forget() -> None:
    global told_to_end_at
    told_to_end_at = None


def new_loop() -> asyncio.AbstractEventLoop:
    """A new event loop, not yet running."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in such a loop: an interrupt cancels the work, and whatever it returns then is returned."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def start(
    command: Sequence[str],
    *,
    cwd: Path,
    log: int | IO[bytes],
    stdin: int = subprocess.DEVNULL,
    paths: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own: it outlives this process and its terminal.

    It has no use for anybody's keys, so the environment that it is given holds none.

    Args:
        command: The program and its arguments.
        cwd: The folder that it runs in.
        log: Takes what it prints.
        stdin: What it reads; nothing by default.
        paths: Folders that Python looks in first for what it imports.

    Raises:
        OSError: It cannot be started.
    """
    kept = {name: value for name, value in os.environ.items() if not name.endswith(_KEYS)}
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [kept.get("PYTHONPATH")])])
    new_group = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=log,
        stderr=log,
        cwd=cwd,
        env=kept,
        start_new_session=sys.platform != "win32",
        creationflags=new_group,
    )


def current_owner() -> str:
    """This process as "host:pid:started"; see `owner_of`."""
    return _owner_of(os.getpid())


def owner_of(pid: int) -> str:
    """Another process of this host, in the same words: `started` is "ticks@boot", which no clock changes.

    Where the system tells no ticks, and in older databases, it is the creation time in seconds since the epoch.

    Raises:
        psutil.Error: There is none of this id.
    """
    created = psutil.Process(pid).create_time()
    return f"{socket.gethostname()}:{pid}:{_ticks(pid) or format(created, '.2f')}"


@lru_cache(maxsize=8)
def _owner_of(pid: int) -> str:
    # Keyed by pid, so that a forked child does not pass for its parent.
    return owner_of(pid)


def owner_is_gone(owner: str, *, heartbeat_at: datetime, now: datetime) -> bool:
    """True when the process named by `owner` does not run any more.

    On this host the process table answers. Another host's process (and an owner that cannot be read) is judged by its
    heartbeat.
    """
    if owner == current_owner():
        return False
    try:
        host, pid_text, started_text = owner.rsplit(":", 2)
        pid, started = int(pid_text), None if "@" in started_text else float(started_text)
    except ValueError:
        return now - heartbeat_at > HEARTBEAT_LIMIT
    if host != socket.gethostname():
        return now - heartbeat_at > HEARTBEAT_LIMIT
    return not _runs(pid, started_text if started is None else started)


def _ticks(pid: int) -> str | None:
    """When a process started, in the kernel's ticks since the boot, and which boot that was; None where unknown."""
    try:
        # The name in parentheses may hold anything; the start is the 22nd field of the line.
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError, IndexError):
        return None
    return f"{started}@{boot}"


def _runs(pid: int, started: str | float) -> bool:
    try:
        process = psutil.Process(pid)
        if isinstance(started, str):
            if _ticks(pid) not in (None, started):
                return False
        elif abs(process.create_time() - started) > _CLOCK_TOLERANCE_S:
            return False
        # A killed child stays in the process table until its parent has read its exit code.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
