"""The limits of endpoints, held for a whole cluster by one keeper that every worker asks.

A worker that goes away without giving its places back loses them when it has not been heard of for a while. Knows
doors; the keeper runs as a Ray actor, and nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tale_core.models.group_state import Doors
from tale_core.models.groups import Member

SILENT_S = 30.0
"""A worker that was not heard of for so long has gone."""
SIGN_S = 5.0


class Keeper:
    """Keeps the limits. Not safe to use from several threads: an actor runs one call at a time.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doors = Doors(clock)
        self._held: dict[str, Counter[Member]] = {}
        self._heard: dict[str, float] = {}

    def enter(self, holder: str, member: Member) -> float:
        """Take a place for this worker: 0, or seconds after which asking again may help."""
        self.sign(holder)
        wait = self._doors.enter(member)
        if not wait:
            self._held.setdefault(holder, Counter())[member] += 1
        return wait

    def leave(self, holder: str, member: Member) -> None:
        """Give a place back; one that was taken away already is not given back twice."""
        self.sign(holder)
        held = self._held.get(holder, Counter())
        if held[member] > 0:
            held[member] -= 1
            self._doors.leave(member)

    def sign(self, holder: str) -> None:
        """A sign of life; whoever has been silent for long loses its places."""
        now = self._clock()
        self._heard[holder] = now
        for other, heard in list(self._heard.items()):
            if now - heard > SILENT_S:
                del self._heard[other]
                for member, places in self._held.pop(other, Counter()).items():
                    for _ in range(places):
                        self._doors.leave(member)


class ClusterGates:
    """Implements `tale_core.models.group_state.Gates` by asking the keeper.

    Args:
        keeper: The keeper's actor.
        holder: Names this worker.
    """

    def __init__(self, keeper: Any, holder: str) -> None:
        self._keeper, self._holder = keeper, holder
        self._signs: asyncio.Task[None] | None = None

    async def enter(self, member: Member) -> float:
        """See `Gates`. Endpoints without limits cost no question."""
        if member.most is None and member.per_minute is None:
            return 0.0
        if self._signs is None:
            self._signs = asyncio.create_task(self._sign_for_ever())
        return float(await self._keeper.enter.remote(self._holder, member))

    async def leave(self, member: Member) -> None:
        """See `Gates`."""
        if member.most is not None or member.per_minute is not None:
            await self._keeper.leave.remote(self._holder, member)

    async def _sign_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SIGN_S)
            with contextlib.suppress(Exception):  # The keeper may be on its way to another node.
                await self._keeper.sign.remote(self._holder)
