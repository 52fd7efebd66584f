"""Whether this process has been told to end: what is stopped then was interrupted and not cancelled by anybody.

Knows signals and a flag; knows no job.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tale_core.types import Status

_ending = threading.Event()


def begin() -> None:
    """The process ends: whatever is stopped from now on can be resumed by the next one."""
    _ending.set()


def stopped_status() -> Status:
    """How a session ends that is stopped now."""
    return "interrupted" if _ending.is_set() else "cancelled"


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
        _ending.clear()
