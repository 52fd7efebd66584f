"""Which endpoint of a group is asked next, and which are left alone for a while.

An endpoint that fails is left alone: a second, then twice as long each time. When that is over it is looked at (its
list of models is asked for) before it gets calls again; while no endpoint is well, the one whose time is up next is
tried.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tale_core.models.groups.config import Group, Member

FIRST_S, LONGEST_S = 1.0, 30.0
"""How long an endpoint that failed is left alone, at first and at most."""
MINUTE_S = 60.0
POLL_S = 0.02
"""Seconds until a place that was taken is asked for again."""


@dataclass(slots=True)
class Health:
    """How one endpoint is doing.

    Attributes:
        calls: Calls sent to it and not ended.
        served: Calls sent to it.
        failures: Failures in a row; 0 while it is well.
        until: When it may be looked at again, on the monotonic clock.
        looking: Somebody looks at it.
        problem: Why it is left alone, in words.
    """

    calls: int = 0
    served: float = 0.0
    failures: int = 0
    until: float = 0.0
    looking: bool = False
    problem: str = ""

    @property
    def well(self) -> bool:
        """It gets calls."""
        return self.failures == 0


class Gates(Protocol):
    """Keeps the limits of endpoints, for one process or for a cluster."""

    async def enter(self, member: Member) -> float:
        """Take a place: 0 when it was given, else seconds after which asking again may help."""
        ...

    async def leave(self, member: Member) -> None:
        """Give a place back."""
        ...


@dataclass(slots=True)
class _Door:
    inside: int = 0
    begun: deque[float] = field(default_factory=deque)


class Doors:
    """The limits of endpoints, by address; see `Gates.enter`. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._doors: dict[str, _Door] = {}

    def enter(self, member: Member) -> float:
        """Take a place at once, or say how long to wait."""
        if member.most is None and member.per_minute is None:
            return 0.0
        with self._lock:
            door = self._doors.setdefault(member.base_url, _Door())
            now = self._clock()
            while door.begun and door.begun[0] <= now - MINUTE_S:
                door.begun.popleft()
            if member.most is not None and door.inside >= member.most:
                return POLL_S
            if member.per_minute is not None:
                if len(door.begun) >= member.per_minute:
                    return max(POLL_S, door.begun[0] + MINUTE_S - now)
                door.begun.append(now)
            door.inside += 1
            return 0.0

    def leave(self, member: Member) -> None:
        """Give a place back."""
        with self._lock:
            door = self._doors.get(member.base_url)
            if door is not None and (member.most is not None or member.per_minute is not None):
                door.inside -= 1


class LocalGates:
    """The limits held for this process."""

    def __init__(self, doors: Doors | None = None) -> None:
        self._doors = doors or Doors()

    async def enter(self, member: Member) -> float:
        """See `Gates`."""
        return self._doors.enter(member)

    async def leave(self, member: Member) -> None:
        """See `Gates`."""
        self._doors.leave(member)


class GroupState:
    """The health of a group's endpoints, shared by everybody in this process who asks the group.

    Args:
        group: The endpoints.
        clock: Seconds that only grow.
    """

    def __init__(self, group: Group, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.group = group
        self.gates: Gates = LocalGates()
        self._clock = clock
        self._lock = threading.Lock()
        self._health = [Health() for _ in group.endpoints]

    def order(self, without: Sequence[int] = ()) -> list[int]:
        """Who may be asked now, best first, by number; those left alone only while nobody is well."""
        with self._lock:
            able = [i for i in range(len(self._health)) if i not in without]
            well = [i for i in able if self._health[i].well]
            if not well:
                return sorted(able, key=lambda i: self._health[i].until)
            return sorted(well, key=self._share)

    def _share(self, at: int) -> tuple[float, float, int]:
        one, weight = self._health[at], self.group.endpoints[at].weight
        return one.calls / weight, one.served / weight, at

    def begin(self, at: int) -> None:
        """A call is sent."""
        with self._lock:
            self._health[at].calls += 1
            self._health[at].served += 1

    def end(self, at: int) -> None:
        """A call has ended, in whatever way."""
        with self._lock:
            self._health[at].calls -= 1

    def works(self, at: int) -> None:
        """It answered."""
        with self._lock:
            one = self._health[at]
            if not one.well:
                # As if it had had its share meanwhile: it shall not get all calls at once now.
                shares = [
                    h.served / m.weight for h, m in zip(self._health, self.group.endpoints, strict=True) if h.well
                ]
                if shares:
                    one.served = max(one.served, min(shares) * self.group.endpoints[at].weight)
            one.failures, one.problem = 0, ""

    def fails(self, at: int, problem: str, *, wait_s: float | None = None) -> None:
        """It failed; leave it alone for a while, or as long as it asked."""
        with self._lock:
            one = self._health[at]
            now = self._clock()
            if not one.well and now < one.until:
                return  # One of many calls that failed together.
            one.failures += 1
            one.problem = problem
            one.until = now + (min(LONGEST_S, FIRST_S * 2 ** (one.failures - 1)) if wait_s is None else wait_s)

    def to_look_at(self) -> list[int]:
        """Those whose time is up; the caller looks at them and says `works` or `fails`, then `looked`."""
        with self._lock:
            now = self._clock()
            due = [i for i, one in enumerate(self._health) if not one.well and not one.looking and now >= one.until]
            for i in due:
                self._health[i].looking = True
            return due

    def looked(self, at: int) -> None:
        """Nobody looks at it any more."""
        with self._lock:
            self._health[at].looking = False

    def picture(self) -> list[Health]:
        """How every endpoint is doing."""
        with self._lock:
            return [Health(h.calls, h.served, h.failures, h.until, h.looking, h.problem) for h in self._health]


_states: dict[Group, GroupState] = {}
_guard = threading.Lock()


def state_of(group: Group) -> GroupState:
    """This process's state of a group; a group whose file was changed begins anew."""
    with _guard:
        if group not in _states:
            _states[group] = GroupState(group)
        return _states[group]
