"""The event loop that long work runs in: uvloop's where there is one, else asyncio's own.

Many answers at a time are many small pieces; asyncio's own loop gives Python's lock away for each, and waits for it
behind every other thread. Windows has no uvloop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


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
