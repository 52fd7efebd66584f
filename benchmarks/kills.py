"""The part `kills`: SIGKILL at any moment, in the middle of runs, searches, sweeps, labelling and imports.

A counting endpoint says what was asked and when it was answered in full; after each kill the database is read as
anybody would read it. Lost is an answer that was there longer than `MOMENT_S` before the kill and is not stored, a
verdict that was said to be stored and is not, an import that is neither whole nor gone. Paid twice is an answer that
was stored and is asked for again. What is in flight or of the last moment may be asked for again: it is counted.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval
from benchmarks.parts import Options, PartResult, Table
from tale_core.errors import NotFoundError
from tale_core.labels import Labeling
from tale_core.settings import get_settings
from tale_core.store import Store, export_archive, open_store
from tests.labels import samples
from tests.support.counting_endpoint import CountingEndpoint, Reply

KILLS = 20
MOMENT_S = 1.0
LABELS, IMPORTED = 400, 150
KINDS = ("ask", "search", "sweep", "experiment", "labels", "import")
SPAN_S = {"ask": 0.5, "search": 1.0, "sweep": 1.0, "experiment": 1.5, "labels": 1.0, "import": 0.6}
"""Within which seconds from its beginning a job is killed."""
Key = tuple[str, int | None]


@dataclass
class Found:
    """What the kills of one kind of job did.

    Attributes:
        kills: Those that met a living job.
        stored: Answers, verdicts or sessions that were stored at the kills, all together.
        in_flight: Answers that were asked for and not stored yet at the kills: what may be asked for again.
        unwritten_s: How old the oldest answer was that a kill kept from being stored.
    """

    kills: int = 0
    stored: int = 0
    lost: int = 0
    twice: int = 0
    in_flight: int = 0
    unwritten_s: float = 0.0
    ended: int = 0
    broken: list[str] = field(default_factory=list)


def run(options: Options) -> PartResult:
    """Measure."""
    most = options.limit or KILLS
    rng = random.Random(options.seed)
    with worker() as order:
        found = {kind: _MEASURES[kind](order, rng, share, options.say) for kind, share in _shares(most).items()}
    return PartResult(
        name="kills",
        tables=(_table(found),),
        goals=tuple(
            Goal(f"kills: {words}", "at most", 0, _sum(found, name))
            for name, words in (("lost", "answers, verdicts or imports lost"), ("twice", "stored answers paid twice"))
        ),
        data={kind: asdict(one) for kind, one in found.items()},
        notes=(
            f"In flight: asked for and not stored, perhaps asked for again; lost if answered {MOMENT_S:g} s before.",
            *(words for one in found.values() for words in one.broken[:3]),
        ),
    )


def _sum(found: dict[str, Found], name: str) -> Interval:
    total = float(sum(getattr(one, name) for one in found.values()))
    return Interval(sum(one.kills for one in found.values()), total, total, total)


def _shares(most: int) -> dict[str, int]:
    """As many kills for each kind, one more for the first where it does not come out even."""
    return {kind: most // len(KINDS) + (at < most % len(KINDS)) for at, kind in enumerate(KINDS)}


Order = Callable[..., dict[str, Any]]
Say = Callable[[str], None]


@contextmanager
def worker() -> Iterator[Order]:
    """The process that forks the jobs; gives a function that orders one and waits for its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.kills_worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None

    def order(**what: Any) -> dict[str, Any]:
        stdin.write(json.dumps(what) + "\n")
        stdin.flush()
        found: dict[str, Any] = json.loads(stdout.readline() or '{"code": null}')
        if found["code"] is None:
            raise MeasurementError("the process that is to be killed could not be started")
        return found

    try:
        if stdout.readline() != "ready\n":
            raise MeasurementError("the process that is to be killed could not be started")
        yield order
    finally:
        process.kill()
        process.communicate()


def _calls(kind: str) -> Callable[[Order, random.Random, int, Say], Found]:
    def measure(order: Order, rng: random.Random, kills: int, say: Say) -> Found:
        found = Found()
        with CountingEndpoint(lambda prompt: Reply("6 times 7 is [[42]]", delay_s=rng.uniform(0.02, 0.15))) as endpoint:
            subject = _Subject(kind, endpoint, found)
            while found.kills < kills:
                say(f"{kind}: kill {found.kills + 1} of {kills}")
                subject.go(order, rng.uniform(0, SPAN_S[kind]))
            if kind != "ask":
                subject.go(order, None)
        return found

    return measure


class _Subject:
    """Jobs of one kind, one after the other: each is gone on with until it ends, then the next one begins."""

    def __init__(self, kind: str, endpoint: CountingEndpoint, found: Found) -> None:
        self.kind, self.endpoint, self.found = kind, endpoint, found
        self.sessions: list[str] = []
        self.known: dict[Key, int] = {}
        self.number = 0
        self.marked = 0

    def go(self, order: Order, kill_after: float | None) -> None:
        """Begin or go on, be killed, and look."""
        resume = self._resume()
        if not resume:
            self.number += 1
            self.marked = len(self.endpoint.sent)
        question = f"What is 6 times 7? This is question {self.kind} {self.number}."
        end = order(kind=self.kind, url=self.endpoint.base_url, resume=resume, question=question, kill_after=kill_after)
        if end["code"] not in (0, -9):
            self.found.broken.append(f"{self.kind}: a job ended with {end['code']}")
            self.found.lost += 1
        self.sessions += [one for one in end["told"] if one != "begun"]
        self._look(end)
        if end["code"] == 0:
            self.found.ended += 1
        if end["code"] == 0 or self.kind == "ask":
            self.sessions = []

    def _resume(self) -> str:
        store = open_store()
        for one in reversed(self.sessions):
            try:
                store.get_session(one)
            except NotFoundError:
                continue  # It was killed before its row was there.
            return one
        return ""

    def _look(self, end: dict[str, Any]) -> None:
        store, killed = open_store(), end["code"] == -9
        store.reconcile_interrupted()
        done = _done(store, self.sessions)
        twice = {key for key, count in self.known.items() if self.endpoint.counts[key] > count}
        self.found.twice += len(twice)
        for key in done:
            self.known[key] = self.endpoint.counts[key]
        if not killed:
            return
        self.found.kills += 1
        self.found.stored += len(done)
        late = [end["at"] - at for key, at in self.endpoint.sent[self.marked :] if key not in done and at <= end["at"]]
        self.found.unwritten_s = max([self.found.unwritten_s, *late])
        self.found.lost += sum(age > MOMENT_S for age in late)
        self.found.in_flight += sum(key not in done for key in self.endpoint.counts if self._mine(key))
        # What was of the last moment is asked for again: from here on it counts as in flight.
        self.marked = len(self.endpoint.sent)
        running = [one for one in self.sessions if _status(store, one) == "running"]
        if running:
            self.found.broken.append(f"{self.kind}: {running[0]} still says that it runs")

    def _mine(self, key: Key) -> bool:
        return f"question {self.kind} {self.number}." in key[0]


def _done(store: Store, session_ids: list[str]) -> set[Key]:
    """(prompt, seed) of every answer that is stored whole and was really asked for."""
    found: set[Key] = set()
    for one in session_ids:
        try:
            calls = store.get_session(one).calls
        except NotFoundError:
            continue
        found |= {(c.messages[-1].content, c.sampling.seed) for c in calls if c.status == "done" and c.source == "live"}
    return found


def _status(store: Store, session_id: str) -> str:
    try:
        return store.get_session(session_id).status
    except NotFoundError:
        return ""


def _labels(order: Order, rng: random.Random, kills: int, say: Say) -> Found:
    found = Found()
    store = open_store()
    acknowledged: set[str] = set()
    number = 0
    while found.kills < kills:
        say(f"labels: kill {found.kills + 1} of {kills}")
        if not number or found.ended:
            found.ended = 0
            for question in samples.numbered(LABELS):
                number += 1
                samples.asked(store, question, f"{question.text} Label {number}: [[5]]")
            Labeling(store).sync()
        end = order(kind="labels", kill_after=rng.uniform(0, SPAN_S["labels"]))
        said = {one for one in end["told"] if one != "begun"}
        found.twice += len(said & acknowledged)  # A verdict that was stored is not asked for again.
        acknowledged |= said
        there = {key for keys in Labeling(store).queue.verdicts().values() for key in keys}
        found.lost += len(acknowledged - there)
        found.kills += end["code"] == -9
        found.ended += end["code"] == 0
        found.stored += len(there)
        acknowledged |= there
    return found


def _imports(order: Order, rng: random.Random, kills: int, say: Say) -> Found:
    found = Found()
    folder = get_settings().data_dir / "kills"
    folder.mkdir(parents=True)
    source = open_store(f"sqlite:///{folder / 'source.db'}")
    for question in samples.numbered(IMPORTED):
        samples.asked(source, question, f"{question.text} [[5]]")
    path = folder / "all.tale.zip"
    export_archive(source, path)
    at = 0
    while found.kills < kills:
        say(f"import: kill {found.kills + 1} of {kills}")
        at += 1
        url = f"sqlite:///{folder / f'{at}.db'}"
        end = order(kind="import", database=url, archive=str(path), kill_after=rng.uniform(0, SPAN_S["import"]))
        store = open_store(url)
        there = store.count_sessions()
        store.close()
        found.kills += end["code"] == -9
        found.ended += end["code"] == 0
        found.stored += there
        if there not in (0, IMPORTED) or (end["code"] == 0 and there != IMPORTED):
            found.lost += 1
            found.broken.append(f"import: {there} of {IMPORTED} sessions after a kill")
        Path(folder / f"{at}.db").unlink(missing_ok=True)
    source.close()
    return found


_MEASURES: dict[str, Callable[[Order, random.Random, int, Say], Found]] = {
    **{kind: _calls(kind) for kind in ("ask", "search", "sweep", "experiment")},
    "labels": _labels,
    "import": _imports,
}


def _table(found: dict[str, Found]) -> Table:
    columns = ("job", "kills", "ended between", "stored", "lost", "paid twice", "in flight", "oldest unwritten, s")
    rows = tuple(
        (kind, str(one.kills), str(one.ended), str(one.stored), str(one.lost), str(one.twice), str(one.in_flight),
         f"{one.unwritten_s:.2f}")
        for kind, one in found.items()
    )  # fmt: skip
    return Table("Kills (SIGKILL) of jobs at any moment", columns, rows)
