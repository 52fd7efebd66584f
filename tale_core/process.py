"""This process and those it starts: being told to end, event loops, and commands that outlive it.

What is stopped after SIGTERM was interrupted and not cancelled by anybody, so that the next process can resume it
(`begin`, `stopped_status`). `run` is `asyncio.run` in uvloop's event loop where that is installed; `start` starts a
command that stays when this process ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any, TypeVar

from tale_core.types import Status

PATIENCE_S = 5.0
"""Seconds that a process which has been told to end waits for anybody; it is killed after ten in a container."""

told_to_end_at: float | None = None
"""When it was told to end, on the monotonic clock."""
T = TypeVar("T")
_KEYS = ("_API_KEY", "_TOKEN")


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
