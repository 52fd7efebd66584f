"""The part `db_copy`: 100,000 sessions from SQLite to PostgreSQL and back, with the checksums of all three databases.

The server is Debian's `postgresql`, started for this in a folder of its own on loopback (see `postgres_server`). It
does not have to survive a power cut, so its writes are faster than those of one that must.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Goal, Interval
from benchmarks.history_data import fill
from benchmarks.machine import load
from benchmarks.parts import Options, PartResult, Table
from benchmarks.postgres_server import MissingError, make_server, remove
from tale_core.store import Store, TableSum, copy_database, open_store, table_sums

SESSIONS = 100_000
MOST_MIB = 200.0
"""The goal: so much may this process grow while everything passes through it."""


def run(options: Options, *, sessions: int = SESSIONS) -> PartResult:
    """Measure."""
    before = load()
    try:
        server = make_server()
    except MissingError as e:
        return PartResult.not_measured("db_copy", str(e))
    try:
        with tempfile.TemporaryDirectory(prefix="tale-bench-copy-") as folder:
            first = open_store(f"sqlite:///{Path(folder) / 'first.db'}")
            fill(first, sessions, seed=options.seed, say=options.say)
            there, back = open_store(server.new_database()), open_store(f"sqlite:///{Path(folder) / 'back.db'}")
            process, rss = psutil.Process(), psutil.Process().memory_info().rss
            options.say("to PostgreSQL")
            to_s, sent = _timed(first, there)
            options.say("and back")
            back_s, returned = _timed(there, back)
            grown = (process.memory_info().rss - rss) / 2**20
            options.say("reading all three once more")
            same = sent == returned == table_sums(first) == table_sums(there) == table_sums(back)
            for store in (first, there, back):
                store.close()
            size = (Path(folder) / "first.db").stat().st_size
    finally:
        remove(server)
    rows = sum(one.rows for one in sent.values())
    equal = 1.0 if same else 0.0
    return PartResult(
        name="db_copy",
        tables=(
            Table(
                f"{sessions:,} sessions, {rows:,} rows, {size / 2**20:.0f} MiB of SQLite",
                ("direction", "seconds", "rows a second"),
                (
                    ("SQLite to PostgreSQL", f"{to_s:.1f}", f"{rows / to_s:,.0f}"),
                    ("PostgreSQL to SQLite", f"{back_s:.1f}", f"{rows / back_s:,.0f}"),
                ),
            ),
        ),
        goals=(
            Goal("db_copy: all checksums equal", "at least", 1.0, Interval(1, equal, equal, equal)),
            Goal("db_copy: memory grown, MiB", "at most", MOST_MIB, Interval(1, grown, grown, grown)),
        ),
        data={
            "sessions": sessions, "rows": rows, "to_s": to_s, "back_s": back_s, "grown_mib": grown,
            "checksums": {name: one.checksum for name, one in sent.items()}, "load": [before, load()],
        },
        notes=("Each direction counts from an open, empty target to its commit: copying, reading back, comparing. Back "
               "on SQLite the full-text index is made on the way.",),
    )  # fmt: skip


def _timed(source: Store, target: Store) -> tuple[float, dict[str, TableSum]]:
    began = time.perf_counter()
    found = copy_database(source, target)
    return time.perf_counter() - began, found
