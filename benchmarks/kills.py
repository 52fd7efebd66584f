"""The part `kills`: SIGKILL at any moment, in the middle of runs, searches, sweeps, labelling and imports.

A counting endpoint says what was asked and when it was answered in full; after each kill the database is read as
anybody would read it. Lost is an answer that was there longer than `MOMENT_S` before the kill and is not stored, a
verdict that was said to be stored and is not, an import that is neither whole nor gone. Paid twice is an answer that
was stored and is asked for again. What is in flight or of the last moment may be asked for again: it is counted. The
time in which the job was ready and the processor was with others does not count: a busy machine loses nothing.

Each kind of job has a database and an endpoint of its own, and all kinds go on at once: most of a job is waiting.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval
from benchmarks.kept import Kept
from benchmarks.parts import Options, PartResult, Table
from tale_core.errors import NotFoundError
from tale_core.labels import Labeling
from tale_core.settings import get_settings
from tale_core.store import Store, export_archive, open_store
from tests.labels import samples
from tests.support.counting_endpoint import CountingEndpoint, Reply

KILLS = 20
MOMENT_S = 1.0
LABELS, IMPORTED = 400, 60
KINDS = ("ask", "search", "sweep", "experiment", "labels", "import")
MOST_SPAN_S = {"ask": 4.0, "search": 6.0, "sweep": 6.0, "experiment": 9.0, "labels": 6.0, "import": 6.0}
"""Within which seconds from its beginning a job is killed, at most."""
HIT, MISSED = 1.1, 0.75
"""How the span in which a job is killed grows with every kill and shrinks with every job that ended before its own:
about three in four are met, late ones too, however fast the machine is."""
LONG = 20
"""Verdicts after which a job that labels is one that need not be longer."""
MOST_BROKEN = 5
"""Jobs one after the other that ended neither well nor by a kill: then nothing is measured."""
Key = tuple[str, int | None]
Order = Callable[..., dict[str, Any]]
Say = Callable[[str], None]


@dataclass
class Found:
    """What the kills of one kind of job did.

    Attributes:
        kills: Those that met a living job.
        stored: Answers, verdicts or sessions that were stored at the kills, all together.
        in_flight: Answers that were asked for and not stored yet at the kills: what may be asked for again.
        unwritten_s: How old the oldest answer was that a kill kept from being stored.
        waited_s: The longest that a job's threads, all together, waited for a processor.
    """

    kills: int = 0
    stored: int = 0
    lost: int = 0
    twice: int = 0
    in_flight: int = 0
    unwritten_s: float = 0.0
    waited_s: float = 0.0
    ended: int = 0
    broken: list[str] = field(default_factory=list)


def run(options: Options) -> PartResult:
    """Measure, all kinds at once; after a stop what had been found is gone on with."""
    most = options.limit or KILLS
    kept = Kept(options.keep, f"kills-{most}-{options.seed}")
    before = kept.read()
    found = {kind: Found(**before.get(kind, {})) for kind in KINDS}
    progress = _Progress(found, most, kept, options.say)
    began = time.monotonic()
    options.say(f"{progress.there:,} of {most:,} kills are there; the next ones begin")
    with workers(len(KINDS)) as orders, ThreadPoolExecutor(len(KINDS)) as pool:
        lanes = [
            pool.submit(_lane, kind, order, found[kind], share, options.seed, progress)
            for order, (kind, share) in zip(orders, _shares(most).items(), strict=True)
        ]
        try:
            wait(lanes, return_when=FIRST_EXCEPTION)
        finally:
            progress.stop.set()
    for one in lanes:
        one.result()
    kept.done()
    return _result(found, progress.done, time.monotonic() - began)


def _result(found: dict[str, Found], new: int, seconds: float) -> PartResult:
    speed = f"{seconds:.0f} s for {new} kills, {seconds / max(new, 1):.2f} s each"
    return PartResult(
        name="kills",
        tables=(_table(found),),
        goals=tuple(
            Goal(f"kills: {words}", "at most", 0, _sum(found, name))
            for name, words in (("lost", "answers, verdicts or imports lost"), ("twice", "stored answers paid twice"))
        ),
        data={"seconds": seconds, **{kind: asdict(one) for kind, one in found.items()}},
        notes=(
            f"In flight: asked for and not stored, perhaps asked for again; lost if answered {MOMENT_S:g} s before, "
            f"waiting for a processor not counted. {speed}.",
            *(words for one in found.values() for words in one.broken[:3]),
        ),
    )


class _Progress:
    """What all lanes have found so far: told, kept, and where one fails an end for all.

    Attributes:
        done: Kills since this process began.
        there: All, those of before a stop too.
    """

    def __init__(self, found: dict[str, Found], most: int, kept: Kept, say: Say) -> None:
        self._found, self._most, self._kept, self._say = found, most, kept, say
        self._guard, self._began = threading.Lock(), time.monotonic()
        self.stop, self.done = threading.Event(), 0
        self.there = sum(one.kills for one in found.values())

    def tell(self, killed: bool) -> None:
        """A job of a lane has been looked at."""
        with self._guard:
            self._kept.write({kind: asdict(one) for kind, one in self._found.items()})
            self.done, self.there = self.done + killed, self.there + killed
            if killed and self.there % max(1, self._most // 100) == 0:
                each = (time.monotonic() - self._began) / self.done
                left = each * (self._most - self.there) / 60
                self._say(f"kill {self.there:,} of {self._most:,}, {each:.2f} s each, {left:.1f} min left")


class Span:
    """When to kill: within a span that follows how long the jobs take."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        self._most, self._rng = MOST_SPAN_S[kind], rng
        self._seconds, self._broken = self._most / 2, 0

    def draw(self) -> float:
        return self._rng.uniform(0, self._seconds)

    def learn(self, kind: str, end: dict[str, Any], found: Found, *, long: bool = False) -> None:
        """From how a job ended, or that it was long enough; one that ended in no good way is noted."""
        good = end["code"] in (0, -9)
        if not good:
            found.broken.append(f"{kind}: a job ended with {end['code']}")
            found.lost += 1
        self._broken = 0 if good else self._broken + 1
        if self._broken == MOST_BROKEN:
            raise MeasurementError(f"{MOST_BROKEN} jobs after each other failed: {found.broken[-1]}")
        found.waited_s = max(found.waited_s, end["waited"])
        self._seconds = min(self._most, self._seconds * (HIT if end["code"] == -9 and not long else MISSED))


def _lane(kind: str, order: Order, found: Found, kills: int, seed: int, progress: _Progress) -> None:
    """All kills of a kind."""
    rng = random.Random(f"{seed} {kind} {found.kills}")
    folder = get_settings().data_dir / "kills" / kind
    folder.mkdir(parents=True, exist_ok=True)
    if found.kills >= kills:
        return
    for killed in _MEASURES.get(kind, _calls)(Lane(kind, order, rng, folder, found, kills)):
        progress.tell(killed)
        if progress.stop.is_set():
            return


@dataclass(frozen=True)
class Lane:
    """What the jobs of a kind share."""

    kind: str
    order: Order
    rng: random.Random
    folder: Path
    found: Found
    kills: int

    @property
    def url(self) -> str:
        """Of the database of this kind."""
        return f"sqlite:///{self.folder / 'tale.db'}"


def _sum(found: dict[str, Found], name: str) -> Interval:
    total = float(sum(getattr(one, name) for one in found.values()))
    return Interval(sum(one.kills for one in found.values()), total, total, total)


def _shares(most: int) -> dict[str, int]:
    """As many kills for each kind, one more for the first where it does not come out even."""
    return {kind: most // len(KINDS) + (at < most % len(KINDS)) for at, kind in enumerate(KINDS)}


@contextmanager
def workers(count: int) -> Iterator[list[Order]]:
    """The processes that fork the jobs, all from one that has imported everything; one function for each, which orders
    a job and waits for its end."""
    ours = [(os.pipe(), os.pipe()) for _ in range(count)]
    theirs = [(order[0], answer[1]) for order, answer in ours]
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kills_worker", *(f"{take},{tell}" for take, tell in theirs)],
            pass_fds=[one for pair in theirs for one in pair], env=dict(os.environ),
        )  # fmt: skip
    finally:
        for pair in theirs:
            for one in pair:
                os.close(one)
    with ExitStack() as files:
        files.callback(process.wait)
        files.callback(process.kill)
        for order, _ in ours:
            files.callback(os.close, order[1])
        answers = [files.enter_context(open(answer[0])) for _, answer in ours]
        yield [partial(_order, order[1], take) for (order, _), take in zip(ours, answers, strict=True)]


def _order(give: int, take: TextIO, **what: Any) -> dict[str, Any]:
    with suppress(BrokenPipeError):
        os.write(give, json.dumps(what).encode() + b"\n")
    if not (line := take.readline()):
        raise MeasurementError("the process that is to be killed could not be started")
    found: dict[str, Any] = json.loads(line)
    return found


def _calls(lane: Lane) -> Iterator[bool]:
    answer, rng, found = "6 times 7 is [[42]]", lane.rng, lane.found
    span = Span(lane.kind, rng)
    with CountingEndpoint(lambda prompt: Reply(answer, delay_s=rng.uniform(0.02, 0.15))) as endpoint:
        subject = _Subject(lane, endpoint)
        while found.kills < lane.kills:
            end = subject.go(span.draw())
            span.learn(lane.kind, end, found)
            yield end["code"] == -9
        if lane.kind != "ask":
            span.learn(lane.kind, subject.go(None), found)
            yield False


class _Subject:
    """Jobs of one kind, one after the other: each is gone on with until it ends, then the next one begins."""

    def __init__(self, lane: Lane, endpoint: CountingEndpoint) -> None:
        self.lane, self.endpoint, self.found = lane, endpoint, lane.found
        self.store = open_store(lane.url)
        self.sessions: list[str] = []
        self.known: dict[Key, int] = {}
        self.number = 0
        self.marked = 0

    def go(self, kill_after: float | None) -> dict[str, Any]:
        """Begin or go on, be killed, and look; how the job ended."""
        resume, kind = self._resume(), self.lane.kind
        if not resume:
            self.number += 1
            self.marked = len(self.endpoint.sent)
            self.known.clear()
        end = self.lane.order(
            kind=kind, url=self.endpoint.base_url, database=self.lane.url, resume=resume, kill_after=kill_after,
            question=f"What is 6 times 7? This is question {kind} {self.number}.",
        )  # fmt: skip
        self.sessions += [one for one in end["told"] if one != "begun"]
        self._look(end)
        if end["code"] == 0:
            self.found.ended += 1
        if end["code"] == 0 or kind == "ask":
            self.sessions = []
        return end

    def _resume(self) -> str:
        for one in reversed(self.sessions):
            try:
                self.store.get_session(one)
            except NotFoundError:
                continue  # It was killed before its row was there.
            return one
        return ""

    def _look(self, end: dict[str, Any]) -> None:
        store, killed = self.store, end["code"] == -9
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
        sent = self.endpoint.sent[self.marked :]
        late = [end["at"] - at for key, at in sent if key not in done and at <= end["at"]]
        self.found.unwritten_s = max([self.found.unwritten_s, *late])
        self.found.lost += sum(age > MOMENT_S + end["waited"] for age in late)
        self.found.in_flight += sum(key not in done for key in self.endpoint.counts if self._mine(key))
        # What was of the last moment is asked for again: from here on it counts as in flight.
        self.marked = len(self.endpoint.sent)
        running = [one for one in self.sessions if _status(store, one) == "running"]
        if running:
            self.found.broken.append(f"{self.lane.kind}: {running[0]} still says that it runs")

    def _mine(self, key: Key) -> bool:
        return f"question {self.lane.kind} {self.number}." in key[0]


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


def _labels(lane: Lane) -> Iterator[bool]:
    found, store, span = lane.found, open_store(lane.url), Span(lane.kind, lane.rng)
    acknowledged: set[str] = set()
    number, through = 0, True
    while found.kills < lane.kills:
        if through:
            for question in samples.numbered(LABELS):
                number += 1
                samples.asked(store, question, f"{question.text} Label {number}: [[5]]")
            Labeling(store).sync()
        end = lane.order(kind="labels", database=lane.url, kill_after=span.draw())
        said = {one for one in end["told"] if one != "begun"}
        found.twice += len(said & acknowledged)  # A verdict that was stored is not asked for again.
        acknowledged |= said
        there = {key for keys in Labeling(store).queue.verdicts().values() for key in keys}
        found.lost += len(acknowledged - there)
        found.kills += end["code"] == -9
        found.stored += len(there)
        acknowledged |= there
        through = end["code"] == 0
        found.ended += through
        span.learn(lane.kind, end, found, long=len(said) > LONG)
        yield end["code"] == -9


def _imports(lane: Lane) -> Iterator[bool]:
    found, folder, span = lane.found, lane.folder, Span(lane.kind, lane.rng)
    source = open_store(lane.url)
    for question in samples.numbered(IMPORTED):
        samples.asked(source, question, f"{question.text} [[5]]")
    path, empty, target = folder / "all.tale.zip", folder / "empty.db", folder / "target.db"
    export_archive(source, path)
    open_store(f"sqlite:///{empty}").close()
    url = f"sqlite:///{target}"
    while found.kills < lane.kills:
        for one in folder.glob(f"{target.name}*"):
            one.unlink()
        shutil.copyfile(empty, target)  # Tables that are there already: making them is not what is killed.
        end = lane.order(kind="import", database=url, archive=str(path), kill_after=span.draw())
        store = open_store(url)
        there = store.count_sessions()
        store.close()
        found.kills += end["code"] == -9
        found.ended += end["code"] == 0
        found.stored += there
        if there not in (0, IMPORTED) or (end["code"] == 0 and there != IMPORTED):
            found.lost += 1
            found.broken.append(f"import: {there} of {IMPORTED} sessions after a kill")
        span.learn(lane.kind, end, found)
        yield end["code"] == -9
    source.close()


_MEASURES: dict[str, Callable[[Lane], Iterator[bool]]] = {"labels": _labels, "import": _imports}


def _table(found: dict[str, Found]) -> Table:
    columns = ("job", "kills", "ended between", "stored", "lost", "paid twice", "in flight", "oldest unwritten, s",
               "threads waited, s")  # fmt: skip
    every = Found(
        **{name: sum(getattr(one, name) for one in found.values())
           for name in ("kills", "ended", "stored", "lost", "twice", "in_flight")},
        **{name: max(getattr(one, name) for one in found.values()) for name in ("unwritten_s", "waited_s")},
    )  # fmt: skip
    rows = tuple(
        (kind, f"{one.kills:,}", f"{one.ended:,}", f"{one.stored:,}", str(one.lost), str(one.twice),
         f"{one.in_flight:,}", f"{one.unwritten_s:.2f}", f"{one.waited_s:.2f}")
        for kind, one in {**found, "all": every}.items()
    )  # fmt: skip
    return Table(f"{every.kills:,} kills (SIGKILL) of jobs at any moment", columns, rows)
