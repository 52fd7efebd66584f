"""The limits of endpoints, held for a whole cluster by one keeper that every worker asks.

A worker that goes away without giving its places back loses them when it has not been heard of for a while. The keeper
runs as a Ray actor, and nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tale_core.models.groups.config import Member
from tale_core.models.groups.state import POLL_S, Doors

SILENT_S = 30.0
"""A worker that was not heard of for so long has gone."""
SIGN_S = 5.0
"""Seconds between two signs of life."""
SLOWEST_POLL_S = 0.25
"""Longest wait for a place that may be free at any moment; with many who wait the keeper is asked seldom by each."""
AWAY_S = 1.0
"""Seconds until a keeper that does not answer is asked again: nobody is let in without it."""

log = logging.getLogger(__name__)


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

    def begin(self, holder: str) -> None:
        """A worker begins: places of the one that had its name before, and went away, are free."""
        self._free(holder)
        self.sign(holder)

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
        """A sign of life; a process that has been silent for long loses its places."""
        now = self._clock()
        self._heard[holder] = now
        for other, heard in list(self._heard.items()):
            if now - heard > SILENT_S:
                del self._heard[other]
                self._free(other)

    def _free(self, holder: str) -> None:
        for member, places in self._held.pop(holder, Counter()).items():
            for _ in range(places):
                self._doors.leave(member)


class ClusterGates:
    """Implements `tale_core.models.groups.state.Gates` by asking the keeper.

    Args:
        keeper: The keeper's actor.
        holder: Names this worker.
    """

    def __init__(self, keeper: Any, holder: str) -> None:
        self._keeper, self._holder = keeper, holder
        self._signs: asyncio.Task[None] | None = None
        self._giving: set[asyncio.Task[None]] = set()
        self._begun, self._beginning = False, asyncio.Lock()
        self._refused = 0

    async def enter(self, member: Member) -> float:
        """See `Gates`. Endpoints without limits cost no question."""
        if member.most is None and member.per_minute is None:
            return 0.0
        asking = asyncio.ensure_future(self._asked(member))
        try:
            await asyncio.wait({asking}, timeout=SILENT_S)
            wait = asking.result()
        except asyncio.CancelledError:
            self._unwanted(member, asking)
            raise
        except Exception as e:
            self._unwanted(member, asking)
            log.warning("the keeper of the cluster's limits does not answer (%s); asking again", type(e).__name__)
            return AWAY_S
        self._refused = self._refused + 1 if wait else 0
        return min(SLOWEST_POLL_S, wait * self._refused) if wait == POLL_S else wait

    async def leave(self, member: Member) -> None:
        """See `Gates`."""
        if member.most is not None or member.per_minute is not None:
            with contextlib.suppress(Exception):  # A keeper that went away has forgotten the place.
                await self._keeper.leave.remote(self._holder, member)

    async def _asked(self, member: Member) -> float:
        if self._signs is None:
            self._signs = asyncio.create_task(self._sign_for_ever())
        async with self._beginning:  # Once, before anybody here has a place.
            if not self._begun:
                await self._keeper.begin.remote(self._holder)
                self._begun = True
        return float(await self._keeper.enter.remote(self._holder, member))

    def _unwanted(self, member: Member, asking: asyncio.Task[float]) -> None:
        """The answer may be on its way: a place that nobody waits for any more would be held for ever."""
        asking.add_done_callback(lambda done: self._give_back(member, done))

    def _give_back(self, member: Member, asked: asyncio.Task[float]) -> None:
        if not asked.cancelled() and asked.exception() is None and not asked.result():
            self._giving.add(leaving := asyncio.ensure_future(self.leave(member)))
            leaving.add_done_callback(self._giving.discard)

    async def _sign_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SIGN_S)
            with contextlib.suppress(Exception):  # The keeper may be on its way to another node.
                await self._keeper.sign.remote(self._holder)
