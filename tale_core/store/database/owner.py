"""Which process runs a session, and whether it still exists."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import psutil

HEARTBEAT_LIMIT = timedelta(seconds=60)
"""A session run by another host counts as interrupted when its last heartbeat is older than this."""

# psutil adds the boot time to the kernel's start time, and the boot time moves a little when the clock is corrected.
_CLOCK_TOLERANCE_S = 2.0


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
