"""The part `history`: the History page over 100,000 sessions against an empty store, and thirty users at once.

Both stores are opened in turn in one run, each by a process of its own that has the page loaded already.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval, median_interval, spread
from benchmarks.history_data import fill
from benchmarks.history_users import Seen, run_users
from benchmarks.machine import load
from benchmarks.parts import Options, PartResult, Table
from tale_core.settings import REPO_ROOT
from tale_core.store import open_store

SESSIONS = 100_000
USERS = 30
SECONDS = 60.0
MORE_MS = 300.0
"""The goal: so much longer may the page take than on an empty store."""
ADDRESSES: dict[str, dict[str, str]] = {
    "the newest page": {},
    "one kind": {"kind": "search"},
    "a rare outcome": {"outcome": "error"},
    "a text (rare)": {"q": "[[421]]"},
    "a text (common)": {"q": "minutes"},
    "a text (Chinese, two characters)": {"q": "千米"},
}


def run(options: Options) -> PartResult:
    """Fill a store, measure the page, then let the users in."""
    before = load()
    with tempfile.TemporaryDirectory(prefix="tale-bench-") as folder, ExitStack() as stack:
        full, empty = Path(folder) / "full", Path(folder) / "empty"
        began = time.perf_counter()
        _store(full, options)
        open_store(_url(empty)).close()
        filled_s = time.perf_counter() - began
        workers = {name: stack.enter_context(_Worker(at)) for name, at in (("full", full), ("empty", empty))}
        times = _measured(workers, options)
        options.say(f"{USERS} users for {SECONDS:.0f} s")
        store = open_store(_url(full))
        seen = run_users(store, users=USERS, seconds=SECONDS, say=options.say)
        store.close()
        size = (full / "tale.db").stat().st_size
    return _result(times, seen, {"filled_s": filled_s, "database_bytes": size, "load": [before, load()]})


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'tale.db'}"


def _store(folder: Path, options: Options) -> None:
    store = open_store(_url(folder))
    fill(store, SESSIONS, seed=options.seed, say=options.say)
    store.close()


class Opening(NamedTuple):
    """One opening of the page, in milliseconds: until it was there, run once more, and the processor's share of it."""

    wall: float
    again: float
    processor: float


class _Worker:
    """A process that opens the page when it is told to."""

    def __init__(self, folder: Path) -> None:
        env = os.environ | {"TALE_DATA_DIR": str(folder), "TALE_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.history_worker"],
            cwd=REPO_ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()

    def open(self, address: dict[str, str]) -> Opening:
        """Open the page there and run it again."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(address) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise MeasurementError("the History page failed in its process")
        return Opening(*(seconds * 1000 for seconds in json.loads(answer)))


Times = dict[str, dict[str, list[Opening]]]


def _measured(workers: dict[str, _Worker], options: Options) -> Times:
    """By address and store, the times of every round; which store goes first changes from round to round."""
    for worker in workers.values():
        worker.open({})  # Imports, and the disk's cache.
    found: Times = {name: {which: [] for which in workers} for name in ADDRESSES}
    for number in range(options.rounds):
        options.say(f"opening the page, round {number + 1} of {options.rounds}")
        for name, address in ADDRESSES.items():
            for which in sorted(workers, reverse=bool(number % 2)):
                found[name][which].append(workers[which].open(address))
    return found


def _result(times: Times, seen: Seen, facts: dict[str, Any]) -> PartResult:
    rows = []
    differences: dict[str, list[float]] = {}
    for name, by_store in times.items():
        pairs = list(zip(by_store["full"], by_store["empty"], strict=True))
        differences[name] = [full.wall - empty.wall for full, empty in pairs]
        medians = [statistics.median(one.wall for one in by_store[which]) for which in ("empty", "full")]
        more = [
            statistics.median(getattr(full, what) - getattr(empty, what) for full, empty in pairs)
            for what in ("wall", "again", "processor")
        ]
        rows.append((name, *(f"{value:.0f}" for value in (*medians, *more))))
    goals = (
        Goal(f"opening History with {SESSIONS:,} sessions, longer than on an empty store", "at most", MORE_MS,
             median_interval(differences["the newest page"]), "ms"),
        Goal(f"errors of {USERS} users in {SECONDS:.0f} s", "at most", 0, _exactly(len(seen.errors))),
        Goal("rows that are not as a user was told", "at most", 0, _exactly(len(seen.lost))),
    )  # fmt: skip
    acts = tuple(
        (name, f"{len(values):,}", f"{spread(values).median * 1000:.0f}", f"{_p95(values) * 1000:.0f}",
         f"{max(values) * 1000:.0f}")
        for name, values in sorted(seen.seconds.items())
    )  # fmt: skip
    columns = (
        "page", "empty store, ms", f"{SESSIONS:,} sessions, ms", "opening, ms more", "run again, ms more",
        "processor, ms more",
    )  # fmt: skip
    return PartResult(
        name="history",
        tables=(
            Table("The History page, medians", columns, tuple(rows)),
            Table(f"{USERS} users at once", ("action", "times", "median ms", "95 % ms", "longest ms"), acts),
        ),
        goals=goals,
        data={"times_ms": times, "errors": seen.errors, "lost": seen.lost,
              "users_s": {name: values for name, values in seen.seconds.items()}, **facts},
        notes=(
            f"A database of {facts['database_bytes'] / 1e6:,.0f} MB. The page is run by Streamlit's AppTest: what the "
            "server does, without the browser. On a machine with other work the processor's time says more than the "
            "clock. An ask is a session with three answers that grow, its pauses included.",
            *seen.errors[:5],
            *seen.lost[:5],
        ),
    )  # fmt: skip


def _exactly(count: int) -> Interval:
    return Interval(1, count, count, count)


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]
