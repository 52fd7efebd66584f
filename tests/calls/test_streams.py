"""Streams one after the other and at the same time: nothing is lost, nothing is left open, nothing fills the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tale_core.calls.streams import WAITING, merge


async def test_streams_that_nobody_reads_wait_and_lose_nothing_and_close_with_their_reader() -> None:
    made, closed = [0, 0], []

    async def numbers(which: int, until: int) -> AsyncGenerator[int, None]:
        try:
            for n in range(until):
                made[which] += 1
                yield n
        finally:
            closed.append(which)

    async with aclosing(merge(numbers(0, 10**9), numbers(1, 10**9))) as events:
        assert await anext(events) == 0
        for _ in range(10):
            await asyncio.sleep(0)  # Every turn of the loop could make more.
        assert WAITING <= sum(made) <= WAITING + 3
    assert sorted(closed) == [0, 1]
    found = [n async for n in merge(numbers(0, 3 * WAITING), numbers(1, 2 * WAITING))]
    assert sorted(found) == sorted([*range(3 * WAITING), *range(2 * WAITING)])


async def test_a_stream_that_fails_closes_the_one_that_waits_for_a_reader() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    async def failing() -> AsyncGenerator[int, None]:
        raise ValueError("no")
        yield 0

    with pytest.raises(ValueError, match="no"):
        async for _ in merge(endless(), failing()):
            pass
    assert closed == [True]
