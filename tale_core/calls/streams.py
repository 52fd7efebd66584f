"""Async event streams: one after the other, or at the same time. Closing a combined stream closes every part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")
WAITING = 256
"""Events that wait for a reader at most: a stream that is faster waits, and does not fill the memory."""


async def chain(*streams: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Run the streams one after the other."""
    for stream in streams:
        async with aclosing(stream) as events:
            async for event in events:
                yield event


async def merge(*streams: AsyncGenerator[T, None], at_once: int | None = None) -> AsyncGenerator[T, None]:
    """Run the streams at the same time and yield their events as they come; see `WAITING`.

    Args:
        streams: They start in this order.
        at_once: At most so many run at the same time; None means all.

    Raises:
        Exception: The first that a stream raises; the others are closed.
    """
    queue: asyncio.Queue[T | Exception | _Ended] = asyncio.Queue()
    places = asyncio.Semaphore(at_once or max(1, len(streams)))
    # Not the queue's own bound: an end must be told by a stream that is being closed, when nobody reads any more.
    room = asyncio.Semaphore(WAITING)

    async def drain(stream: AsyncGenerator[T, None]) -> None:
        try:
            async with places, aclosing(stream) as events:
                async for event in events:
                    await room.acquire()
                    queue.put_nowait(event)
        except Exception as e:
            queue.put_nowait(e)
        finally:
            queue.put_nowait(_ENDED)

    tasks = [asyncio.create_task(drain(s)) for s in streams]
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if isinstance(item, _Ended):
                running -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                room.release()
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Ended:
    pass


_ENDED = _Ended()
