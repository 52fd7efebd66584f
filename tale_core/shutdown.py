"""Whether this process has been told to end: what is stopped then was interrupted and not cancelled by anybody.

Knows signals and a flag; knows no job.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tale_core.types import Status

PATIENCE_S = 5.0
"""Seconds that a process which has been told to end waits for anybody; it is killed after ten in a container."""

_told: float | None = None
"""When it was told to end, on the monotonic clock."""


def begin() -> None:
    """The process ends: whatever is stopped from now on can be resumed by the next one."""
    global _told
    _told = time.monotonic() if _told is None else _told


def hurried() -> bool:
    """Whether the process was told to end so long ago that nothing may be waited for any more."""
    return _told is not None and time.monotonic() - _told > PATIENCE_S


def stopped_status() -> Status:
    """How a session ends that is stopped now."""
    return "cancelled" if _told is None else "interrupted"


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
    global _told
    _told = None
