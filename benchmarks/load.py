"""The part `load`: 50 people on one app for five minutes, each with a websocket, against a scripted endpoint.

Each of them opens pages, types questions, asks them and waits for both answers, and looks into the history, with a few
seconds between one thing and the next as people have. A rerun is timed from the message that a browser would send to
the end of the script; for Ask itself until the page shows that it runs. The goals are about the time in which all of
them are there; how they came in is told apart. `--seconds 60` is a shorter round; `--processes 2` has
two processes of the app behind HAProxy.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval
from benchmarks.fixed_endpoint import fixed_endpoint
from benchmarks.load_viewer import Viewer
from benchmarks.machine import load as busy
from benchmarks.parts import Options, PartResult, Table
from tale_core.serving.haproxy import AppProcesses, answers, command
from tale_core.settings import REPO_ROOT

VIEWERS, SECONDS, LATENCY_S = 50, 300, 0.5
RAMP_S = 30.0
"""In which they come in, one after the other, at most a fifth of the time."""
PAUSE_S = (4.0, 12.0)
"""Between two deeds of one person."""
MOST_P95_MS, MOST_GROWTH = 500.0, 1.1
START_S = 90.0
TRACEBACK_LINES = 24


@dataclass
class Seen:
    """What all viewers have seen.

    Attributes:
        times: Milliseconds of each rerun after all had come in, by what was done.
        coming: The same while they came in.
        rss: Seconds since the start, and MiB of the app.
        cpu: Seconds since the start, and processor seconds of the app.
    """

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    coming: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    all_there: float = 0.0
    answered: int = 0
    rss: list[tuple[float, float]] = field(default_factory=list)
    cpu: list[tuple[float, float]] = field(default_factory=list)

    async def rerun(self, what: str, done: Awaitable[float]) -> None:
        """Wait for a rerun and book its seconds."""
        in_time = time.monotonic() >= self.all_there
        (self.times if in_time else self.coming)[what].append(await done * 1000)


def run(options: Options) -> PartResult:
    """Measure."""
    seconds, before = float(options.seconds or SECONDS), busy()
    with tempfile.TemporaryDirectory(prefix="tale-bench-load-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "app.log"
        with fixed_endpoint(LATENCY_S) as url, app(Path(folder), url, log, options.processes) as (port, processes):
            options.say(f"{VIEWERS} people for {seconds:.0f} s, {options.processes} process(es) of the app")
            seen = asyncio.run(_crowd(port, processes, seconds, random.Random(options.seed)))
        told = log.read_text(encoding="utf-8", errors="replace")
    seen.problems += faults(told)
    return result_of(seen, seconds, (before, busy()), options.processes)


def faults(log: str) -> list[str]:
    """Errors in a program's log: a line, or a traceback with the way there, which says where to look."""
    found, lines = [], log.splitlines()
    for at, line in enumerate(lines):
        if "Traceback" in line:
            end = next((n for n in range(at + 1, len(lines)) if not lines[n].startswith((" ", "\t"))), len(lines) - 1)
            found.append("\n".join(lines[at : end + 1][-TRACEBACK_LINES:]))
        elif " ERROR " in line:
            found.append(line)
    return found


@contextmanager
def app(folder: Path, endpoint: str, log: Path, count: int, **more: str) -> Iterator[tuple[int, list[psutil.Process]]]:
    """The app on a port of its own, with the endpoint as the group "scripted"; the port and its processes."""
    groups = folder / "groups.toml"
    groups.write_text(f'[scripted]\n[[scripted.endpoints]]\nbase_url = "{endpoint}"\n', encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("TALE_")}
    env |= {"TALE_DATA_DIR": str(folder / "data"), "TALE_CACHE_DIR": str(folder / "cache"), "TALE_OFFLINE": "1"}
    env |= {"TALE_ENDPOINT_GROUPS": str(groups), **more}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with log.open("ab") as out:
        if count > 1:
            with AppProcesses(count, port, env=env, out=out) as apps:
                yield port, [psutil.Process(pid) for pid in apps.pids]
            return
        process = subprocess.Popen(command(port), cwd=REPO_ROOT, env=env, stdout=out, stderr=out)
    try:
        until = time.monotonic() + START_S
        while not answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise MeasurementError(f"the app did not start: {log.read_text()[-500:]}")
            time.sleep(0.1)
        yield port, [psutil.Process(process.pid)]
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


async def _crowd(port: int, processes: list[psutil.Process], seconds: float, chance: random.Random) -> Seen:
    for _ in processes:  # The first one imports what the app needs; everybody after it finds it there.
        async with Viewer(port) as first:
            for page in ("Settings", "History", "Search", "Elasticity"):
                await first.open(page)
    seen, began = Seen(), time.monotonic()
    ramp = min(RAMP_S, seconds / 5)
    seen.all_there = began + ramp
    watching = asyncio.create_task(_watch(processes, seen, began))
    people = [
        _person(port, number, random.Random(chance.random()), ramp * number / VIEWERS, began + seconds, seen)
        for number in range(VIEWERS)
    ]
    await asyncio.gather(*people)
    watching.cancel()
    return seen


async def _watch(processes: list[psutil.Process], seen: Seen, began: float) -> None:
    while True:
        with suppress(psutil.Error):
            at, used = time.monotonic() - began, [one.cpu_times() for one in processes]
            seen.rss.append((at, sum(one.memory_info().rss for one in processes) / 2**20))
            seen.cpu.append((at, sum(one.user + one.system for one in used)))
        await asyncio.sleep(1)


async def _person(port: int, number: int, chance: random.Random, wait: float, until: float, seen: Seen) -> None:
    await asyncio.sleep(wait)
    try:
        async with Viewer(port) as viewer:
            await seen.rerun("open the app", viewer.open("Settings"))
            await seen.rerun("choose the model", viewer.press("use_group_scripted"))
            viewer.problems.clear()  # Until now the embedded model was chosen, whose weights are not there.
            at = 0
            while time.monotonic() < until:
                at += 1
                await _ask(viewer, f"What is {number} times {at}?", chance, seen)
                await _look(viewer, number, chance, seen)
            seen.problems += viewer.problems
    except Exception as e:
        seen.problems.append(f"person {number}: {type(e).__name__} {e}")


async def _ask(viewer: Viewer, question: str, chance: random.Random, seen: Seen) -> None:
    await _pause(chance)
    await seen.rerun("type a question", viewer.fill("question", question))
    await _pause(chance)
    # On a busy machine both answers may be there before the page is.
    await seen.rerun("ask", viewer.press("ask", until=lambda: viewer.has("stop") or viewer.has("rerun_budget")))
    await viewer.until(lambda: viewer.has("rerun_budget"))
    await viewer.settled()
    seen.answered += 1


async def _look(viewer: Viewer, number: int, chance: random.Random, seen: Seen) -> None:
    await _pause(chance)
    page = chance.choice(["History", "History", "Search", "Elasticity", "Settings"])
    await seen.rerun(f"open {page}", viewer.open(page))
    if page == "History":
        await _pause(chance)
        await seen.rerun("search the history", viewer.fill("hist_text", f"{number} times"))
    await _pause(chance)
    await seen.rerun("open Ask", viewer.open(""))


async def _pause(chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(*PAUSE_S))


def rows_of(named: Sequence[tuple[str, Sequence[float]]]) -> tuple[tuple[str, ...], ...]:
    """How many there were, the median, the 95th percentile and the longest: a row for each, milliseconds."""
    return tuple(
        (
            name, f"{len(times):,}", f"{statistics.median(times):.0f}", f"{p95_of(sorted(times)):.0f}",
            f"{max(times):.0f}",
        )
        for name, times in named
        if times
    )  # fmt: skip


def result_of(seen: Seen, seconds: float, loads: tuple[float, float], processes: int = 1) -> PartResult:
    every = sorted(ms for times in seen.times.values() for ms in times)
    came = sorted(ms for times in seen.coming.values() for ms in times)
    if len(every) < 20 or len(seen.rss) < 8:
        raise MeasurementError(f"nothing to measure: {seen.problems[:3]}")
    p95, growth = p95_of(every), _growth([mib for at, mib in seen.rss if at <= seconds])
    problems, busy_share = float(len(seen.problems)), _busy(seen.cpu)
    rows = rows_of([*seen.times.items(), ("all", every), ("while they came in", came)])
    each = busy_share * seconds * 1000 / (len(every) + len(came))
    columns = ("what", "n", "median", "p95", "longest")
    return PartResult(
        name="load",
        tables=(Table(f"{VIEWERS} people, {seconds:.0f} s, {processes} process(es): a rerun, ms", columns, rows),),
        goals=(
            Goal("load: errors seen", "at most", 0.0, Interval(len(every), problems, problems, problems)),
            Goal("load: p95 of a page's rerun", "at most", MOST_P95_MS, Interval(len(every), p95, p95, p95), "ms"),
            Goal("load: memory of the last quarter over the second", "at most", MOST_GROWTH,
                 Interval(1, growth, growth, growth)),
        ),
        data={"seconds": seconds, "viewers": VIEWERS, "processes": processes,
              "times_ms": dict(seen.times), "coming_ms": dict(seen.coming),
              "problems": seen.problems, "answered": seen.answered, "rss_mib": seen.rss, "cpu_s": seen.cpu,
              "load": loads},
        notes=(f"The app used {busy_share:.2f} processors, {each:.0f} ms for each rerun, answers included. "
               f"{seen.answered} questions were answered twice each, {len(every)} reruns timed. The app took "
               f"{seen.rss[len(seen.rss) // 4][1]:.0f} MiB after a quarter of the time and {seen.rss[-1][1]:.0f} at "
               f"the end. The viewers ran on the same machine; load {loads[0]} before, {loads[1]} after.",
               *sorted(set(seen.problems))[:5]),
    )  # fmt: skip


def p95_of(times: list[float]) -> float:
    return times[min(len(times) - 1, int(0.95 * len(times)))]


def _busy(cpu: list[tuple[float, float]]) -> float:
    (first, before), (last, after) = cpu[0], cpu[-1]
    return (after - before) / (last - first)


def _growth(mib: list[float]) -> float:
    quarter = len(mib) // 4
    return statistics.median(mib[3 * quarter :]) / statistics.median(mib[quarter : 2 * quarter])
