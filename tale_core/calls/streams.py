"""Async event streams: one after the other, or at the same time. Closing a combined stream closes every part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def chain(*streams: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Run the streams one after the other."""
    for stream in streams:
        async with aclosing(stream) as events:
            async for event in events:
                yield event


async def merge(*streams: AsyncGenerator[T, None], at_once: int | None = None) -> AsyncGenerator[T, None]:
    """Run the streams at the same time and yield their events as they come.

    Args:
        streams: They start in this order.
        at_once: At most so many run at the same time; None means all.

    Raises:
        Exception: The first that a stream raises; the others are closed.
    """
    queue: asyncio.Queue[T | Exception | _Ended] = asyncio.Queue()
    places = asyncio.Semaphore(at_once or max(1, len(streams)))

    async def drain(stream: AsyncGenerator[T, None]) -> None:
        try:
            async with places, aclosing(stream) as events:
                async for event in events:
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
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Ended:
    pass


_ENDED = _Ended()
