"""How many calls run at the same time: fewer when the endpoint asks for fewer, one more after each good round.

Additive increase, multiplicative decrease (Chiu and Jain 1989), as TCP does it.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Throttle:
    """Lets calls in.

    Args:
        start: Calls at the same time at first.
        most: Calls at the same time at most.

    Attributes:
        limit: Calls at the same time now.
        lowest: The lowest that the limit has been.
    """

    def __init__(self, *, start: int, most: int) -> None:
        self.limit = self.lowest = start
        self._most = most
        self._busy = 0
        self._good = 0
        self._round = 0
        self._closed_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Wait for a place; `leave` gives it back.

        Returns:
            The round in which the call begins, for `overloaded`.
        """
        loop = asyncio.get_running_loop()
        while True:
            if (closed_s := self._closed_until - loop.time()) > 0:
                await asyncio.sleep(closed_s)
            elif self._busy < self.limit:
                self._busy += 1
                return self._round
            else:
                await self._queue(loop.create_future())

    def leave(self) -> None:
        """Give a place back."""
        self._busy -= 1
        self._wake()

    def good(self) -> None:
        """A call went well: after as many of them as there are places, one place more."""
        self._good += 1
        if self._good >= self.limit:
            self._good = 0
            self.limit = min(self._most, self.limit + 1)
            self._wake()

    def overloaded(self, begun: int, *, wait_s: float | None = None) -> None:
        """The endpoint asked for fewer: half the places, once for all calls of a round.

        Args:
            begun: What `enter` returned: calls that began before the last halving say nothing about it.
            wait_s: Seconds that the endpoint asked to wait; nobody is let in before.
        """
        if begun == self._round:
            self._round += 1
            self._good = 0
            self.limit = max(1, self.limit // 2)
            self.lowest = min(self.lowest, self.limit)
        if wait_s is not None:
            self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + wait_s)

    async def _queue(self, place: asyncio.Future[None]) -> None:
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._wake()  # Somebody else may have the turn that was given to this one.
            raise
        finally:
            if place in self._waiting:
                self._waiting.remove(place)

    def _wake(self) -> None:
        free = self.limit - self._busy
        while free > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1
