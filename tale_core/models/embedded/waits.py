"""How many threads the embedded server has while others want the processor too, and how they wait for each other.

llama.cpp's threads meet after every operation of every layer, hundreds of times a token. OpenMP lets the one that is
first spin for some milliseconds: the quickest where nothing else runs, or little, such as a browser that draws the
answer. Beside a busy neighbour it spins for a thread that has lost its core to that neighbour, and two threads become
slower than one. Sleeping at once mends that, and costs a third where nobody else wants the core, so the worker looks
every second and has what fits.

Where a neighbour stays, one thread less is quicker still: nobody waits for a thread that has no core. llama.cpp takes
that number when it starts, so the worker has another one take its place (`Waits.fitting`).

GNU's OpenMP spins hardly at all in a process that has more OpenMP threads than processors (its manual says so under
GOMP_SPINCOUNT). `ShortWaits` keeps as many threads, asleep, for as long as waits shall be short: that can be changed
while answers are generated. Knows processors, their load and OpenMP; knows neither llama.cpp nor the run folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import psutil

CROWDED = 0.5
"""Cores that others use beyond what the server leaves free, from which on waits are short: long ones are quicker beside
0.3 of one, and hardly move beside a whole one (`python -m benchmarks busy`)."""
CALM = 0.35
"""Below this they are long again, once it has lasted for `CALM_LOOKS` looks."""
CALM_LOOKS = 5
FEWER_LOOKS, MORE_LOOKS = 10, 60
"""Looks at all of which neighbours were there, or at most of which they were not, before the number of threads follows:
a change costs the seconds of a start, and the cached prompts. A browser that opens a page takes a core for a while, and
whoever uses one opens another within a minute: neither is a neighbour that stays."""
SHORTEST_LOOK_S = 0.5
"""The system counts a busy process's time in steps of some milliseconds: less time says little."""
OWN_WORDS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Who has set one of these knows better."""
_BUSY = ("user", "nice", "system", "irq", "softirq", "steal", "interrupt", "dpc")
"""What is a neighbour's unless it is our own; "steal" is what a hypervisor took."""


@dataclass(frozen=True, slots=True)
class Used:
    """Processor time until a moment, in seconds.

    Attributes:
        at: The moment, on the monotonic clock.
        all: Of everybody, on the processors that this process may use.
        own: Of one process.
    """

    at: float
    all: float
    own: float


def used(pid: int | None = None) -> Used:
    """Until now, by the process `pid`, or by this one."""
    own = psutil.Process(pid).cpu_times()
    mine = cores()
    everybody = [times for core, times in enumerate(psutil.cpu_times(percpu=True)) if core in mine]
    busy = sum(getattr(times, kind, 0.0) for times in everybody for kind in _BUSY)
    return Used(time.monotonic(), busy, own.user + own.system)


def cores() -> frozenset[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def others(before: Used, after: Used) -> float:
    """Cores that others had between two moments, on average."""
    spent = (after.all - before.all) - (after.own - before.own)
    return max(0.0, spent / (after.at - before.at))


def fitting(most: int, wanted: float) -> int:
    """Threads that fit beside neighbours: one less for each of them, and half of them at least.

    Beside more neighbours than that everybody has to share.

    Args:
        most: Threads that the server has alone.
        wanted: Cores that others have of those that these threads run on.
    """
    return max((most + 1) // 2, most - max(0, round(wanted)))


@dataclass(frozen=True, slots=True)
class Crowd:
    """Whether others want the cores that the server's threads run on.

    Attributes:
        calm: Looks in a row at which they hardly did.
    """

    crowded: bool = False
    calm: int = CALM_LOOKS

    def then(self, others: float, spare: int) -> Crowd:
        """After one more look.

        Args:
            others: Cores that others had since the last one.
            spare: Cores that the server has no thread for.
        """
        wanted = others - spare
        calm = self.calm + 1 if wanted < CALM else 0
        if self.crowded:
            return Crowd(calm < CALM_LOOKS, calm)
        return Crowd(wanted > CROWDED, calm)


class ShortWaits:
    """Threads of GNU's OpenMP that are there and asleep, while they are kept.

    Args:
        processors: As many as OpenMP may know of.
    """

    def __init__(self, processors: int) -> None:
        self._processors = processors
        self._leave: threading.Event | None = None

    def keep(self) -> None:
        """Have them from now on; nothing happens where OpenMP is another one, or none."""
        if self._leave is not None or (library := gnu_openmp()) is None:
            return
        self._leave = leave = threading.Event()
        threading.Thread(target=self._hold, args=(library, leave), name="tale-short-waits", daemon=True).start()

    def release(self) -> None:
        """Let them end."""
        if self._leave is not None:
            self._leave.set()
            self._leave = None

    def _hold(self, library: ctypes.CDLL, leave: threading.Event) -> None:
        # Every thread of this team has nothing to do: free(NULL). The team lives as long as the thread that made it.
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
        library.GOMP_parallel(nothing, None, ctypes.c_uint(self._processors + 1), ctypes.c_uint(0))
        leave.wait()


def gnu_openmp() -> ctypes.CDLL | None:
    """The one that is loaded into this process."""
    with contextlib.suppress(OSError, IndexError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            if "libgomp" in line:
                return ctypes.CDLL(line.split(maxsplit=5)[5])
    return None


class Waits:
    """What the worker calls now and then.

    Args:
        threads: Of the server.
        most: Threads that it has alone.
        look: Tells what has been used until now.
        short: Makes waits short.
    """

    def __init__(
        self, threads: int, most: int, *, look: Callable[[], Used] = used, short: ShortWaits | None = None
    ) -> None:
        self._threads, self._most = threads, most
        self._spare = max(0, len(cores()) - most)
        self._look, self._short = look, short or ShortWaits(len(cores()))
        self._crowd = Crowd()
        self._last = look()
        self._wanted: deque[float] = deque(maxlen=MORE_LOOKS)
        # One thread waits for nobody.
        self._fixed = threads == 1 or any(name in os.environ for name in OWN_WORDS)

    def adapt(self) -> None:
        """Look at the neighbours, and have the waits that fit."""
        if (now := self._look()).at - self._last.at < SHORTEST_LOOK_S:
            return
        there = others(self._last, now)
        self._last = now
        self._wanted.append(there - self._spare)
        self._crowd = self._crowd.then(there, self._spare)
        if self._crowd.crowded and not self._fixed:
            self._short.keep()
        else:
            self._short.release()

    def fitting(self) -> int:
        """The threads that the server should have: other ones once its neighbours have come to stay, or left."""
        looks = list(self._wanted)
        if len(looks) >= FEWER_LOOKS and (fewer := fitting(self._most, min(looks[-FEWER_LOOKS:]))) < self._threads:
            return fewer
        return max(self._threads, fitting(self._most, fmean(looks))) if len(looks) == MORE_LOOKS else self._threads
