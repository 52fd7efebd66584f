"""What a part of the benchmarks is given, what it hands back, and which parts there are.

To add one: a module with `run(options) -> PartResult`, and a line in `PARTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.figures import Goal


@dataclass(frozen=True, slots=True)
class Options:
    """What every part is told.

    Attributes:
        models: Catalog names of embedded models.
        rounds: Pairs of measurements for each figure.
        tokens: Length of each answer, in tokens.
        seed: Decides every order.
        limit: Questions of the parts `table` and `cluster`, kills of `kills`; None leaves it at a few.
        seconds: How long the part `load` takes; None leaves it at five minutes.
        minutes: How long the part `fuzz` takes; None leaves it at one.
        processes: Of the app, in the part `load`.
        keep: Folder where a part may keep what it goes on from after a stop.
        say: Told in words what is being measured.
    """

    models: tuple[str, ...]
    rounds: int = 12
    tokens: int = 96
    seed: int = 1024
    limit: int | None = None
    seconds: int | None = None
    minutes: float | None = None
    processes: int = 1
    keep: Path = Path("benchmarks", "results")
    say: Callable[[str], None] = lambda words: None


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PartResult:
    """What a part found.

    Attributes:
        name: The part's.
        data: Every figure, and what it was computed from, for JSON.
        notes: How to read the tables.
    """

    name: str
    tables: tuple[Table, ...]
    goals: tuple[Goal, ...]
    data: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def not_measured(cls, name: str, reason: str) -> PartResult:
        """What a part says that needs something this machine has not: the others go on."""
        words = f"Not measured: {reason}."
        return cls(name, (), (), {"missing": words}, (words,))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the benchmarks."""

    name: str
    about: str
    module: str = ""
    """Where it stands, if not in a module of its name."""

    def run(self, options: Options) -> PartResult:
        """Measure. The module is imported here: a part that is not asked for costs nothing."""
        found: PartResult = import_module(f"benchmarks.{self.module or self.name}").run(options)
        return found


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("stack", "time to first token and tokens/s: a whole Ask against a bare HTTP client on the same server"),
        Part("busy", "tokens/s of the embedded server alone and beside 0.3, 1 and 2 busy processes, before and now"),
        Part("drawn", "tokens/s of an Ask's two answers while Chromium draws them, and with the page left"),
        Part("search", "the search modes on 300 simulated questions of known optimum"),
        Part("search_live", "the search modes on 12 shipped questions, live on the embedded default model"),
        Part("experiments", "the experiment runner against a fixed latency: throughput, memory, a sequential loop"),
        Part("history", "the History page over 100,000 sessions against an empty store; 30 users of one store at once"),
        Part("db_copy", "100,000 sessions from SQLite to PostgreSQL and back, with checksums"),
        Part("cluster", "the engine ray against the local one: ms a call, equal tables though a worker is killed"),
        Part("load", "50 people on one app for five minutes (--seconds): errors, p95 of a page's rerun, memory"),
        Part(
            "class",
            "60 students on one server for five minutes (--seconds): errors, caps, places, a pause, p95 of a rerun",
            "class_room",
        ),
        Part("table", "the paper's table on the embedded default, on GSM8K questions of this machine (--limit 60)"),
        Part(
            "kills",
            "kills of runs, searches, sweeps, labelling and imports: is anything lost or paid twice (--limit)?",
        ),
        Part("fuzz", "changed files through every reader of foreign bytes (--minutes 30); crashes become tests"),
        Part("proxy", "what the drop-in endpoint adds to the first byte with 64 streams at once; its errors (--limit)"),
        Part("page", "cold starts: importing the command line and the client, opening the store"),
    )
}
