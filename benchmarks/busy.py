"""The part `busy`: tokens a second of the embedded server alone, and beside a small, one and two busy processes.

Four servers of the same model answer the same kind of question in turn, in random order, in the same run: one whose
threads wait for each other as OpenMP has it (how it was before), one that fits its threads and their waits to its
neighbours (how it is now), and, to judge the choice, one whose waits are always short and one with a thread less. A
busy process is a Python process that counts; a small one does so in bursts, as a browser draws. Speeds are the server's
own: prompt and answer apart.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from statistics import median

import httpx2

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, median_interval
from benchmarks.parts import Options, PartResult, Table
from benchmarks.requests import Cases
from tale_core.models.embedded.run_folder import threads
from tale_core.models.embedded.server import ensure_server, lease, stop_server
from tale_core.models.embedded.waits import FEWER_LOOKS, MORE_LOOKS, OWN_WORDS, cores
from tale_core.models.embedded.worker import TICK_S
from tale_core.settings import Settings, get_settings

NEIGHBOURS = (0.0, 0.3, 1.0, 2.0)
"""Cores that they want."""
BURST_S = 0.015
"""What Chromium takes to draw a page."""
MOST_ROUNDS, MOST_TOKENS = 3, 32
LEAST_FAIR, LEAST_IDLE = 0.85, 0.97
START_S = 10.0
SETTLED_S = {
    neighbours: ((FEWER_LOOKS if neighbours else MORE_LOOKS) + 2) * TICK_S + START_S for neighbours in NEIGHBOURS
}
"""How long it takes a server to follow neighbours that come, or go: the other sides' answers are neighbours too."""
LONG = {"GOMP_SPINCOUNT": "300000"}
"""What GNU's OpenMP does when nobody says anything; saying so keeps the worker from changing it."""


@dataclass(frozen=True, slots=True)
class Side:
    """A way to start the server.

    Attributes:
        env: What its environment says about OpenMP.
        fewer: Threads less than usual.
    """

    name: str
    env: dict[str, str] = field(default_factory=dict)
    fewer: int = 0


BEFORE, NOW = Side("before: long waits", LONG), Side("now: threads and waits that fit")
SIDES = (BEFORE, NOW, Side("waits always short", {"GOMP_SPINCOUNT": "0"}), Side("one thread less", LONG, fewer=1))


@dataclass(frozen=True, slots=True)
class Speed:
    """One answer's; tokens a second.

    Attributes:
        neighbours: Cores that others want beside it.
        prompt: Of reading the prompt.
        answer: Of writing the answer.
    """

    side: str
    neighbours: float
    prompt: float
    answer: float


def run(options: Options) -> PartResult:
    """Measure."""
    found = {model: _model(model, options) for model in options.models}
    used = threads(get_settings())
    return PartResult(
        name="busy",
        tables=tuple(_table(model, speeds, used) for model, speeds in found.items()),
        goals=tuple(goal for model, speeds in found.items() for goal in goals(model, speeds, used)),
        data={"threads": used, "cores": len(cores())}
        | {model: [asdict(speed) for speed in speeds] for model, speeds in found.items()},
        notes=(
            f"The server has {used} threads on {len(cores())} cores. Beside n busy processes its fair share of the "
            "speed that it had alone before is cores / (threads + n), at most 1: what a scheduler gives that divides "
            "the cores among all who want them. In brackets: the speed over that share.",
        ),
    )


def fair_share(threads: int, neighbours: float) -> float:
    """The part of its speed alone that a server has beside neighbours when all get the same of the cores."""
    return min(1.0, len(cores()) / (threads + neighbours))


def goals(model: str, speeds: list[Speed], threads: int) -> Iterator[Goal]:
    """Nothing is lost alone, and little of the fair share beside neighbours."""
    alone = _answers(speeds, BEFORE, 0)
    for neighbours in NEIGHBOURS:
        now = _answers(speeds, NOW, neighbours)
        fair = fair_share(threads, neighbours)
        ratio = median_interval([a / (b * fair) for a, b in zip(now, alone, strict=True)])
        if neighbours == 0:
            yield Goal(f"busy: {model} alone, now over before", "at least", LEAST_IDLE, ratio)
        else:
            words = f"busy: {model} beside {neighbours:g} busy, over its fair share of the speed alone"
            yield Goal(words, "at least", LEAST_FAIR, ratio)


def _model(model: str, options: Options) -> list[Speed]:
    rounds, rng, found = min(options.rounds, MOST_ROUNDS), random.Random(options.seed), []
    cases = Cases(tokens=min(options.tokens, MOST_TOKENS), seed=options.seed)
    with _servers(model, options) as servers:
        for settings in servers.values():
            _ask(model, settings, cases)  # The first answer of a server is slower.
        for at in range(rounds):
            for neighbours in NEIGHBOURS:
                options.say(f"{model}, {neighbours:g} busy beside it, round {at + 1} of {rounds}")
                with _busy(neighbours):
                    for side in rng.sample(SIDES, len(SIDES)):
                        if side is NOW:
                            time.sleep(SETTLED_S[neighbours])
                            _ask(model, servers[side.name], cases)  # Of a server that has just started, perhaps.
                        found.append(Speed(side.name, neighbours, *_ask(model, servers[side.name], cases)))
    return found


@contextmanager
def _servers(model: str, options: Options) -> Iterator[dict[str, Settings]]:
    """One server for each side, each with a data folder of its own: they are told apart by nothing else."""
    with ExitStack() as stack, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        servers = {}
        for place, side in enumerate(SIDES):
            usual = get_settings()
            changed = {"data_dir": Path(folder, str(place)), "server_slots": 1, "server_context": 1024}
            fixed = None if side is NOW else max(1, threads(usual) - side.fewer)
            settings = usual.model_copy(update=changed | {"server_threads": fixed})
            options.say(f"{model}: starting the server «{side.name}»")
            stack.enter_context(lease(model, settings=settings))
            stack.callback(stop_server, model, settings=settings)
            _start(model, side, settings)
            servers[side.name] = settings
        yield servers


def _start(model: str, side: Side, settings: Settings) -> None:
    before = {name: os.environ.pop(name) for name in OWN_WORDS if name in os.environ}
    os.environ.update(side.env)
    try:
        ensure_server(model, settings=settings)
    finally:
        for name in side.env:
            del os.environ[name]
        os.environ.update(before)


_NEIGHBOUR = """
import sys, time
busy_s, idle_s = map(float, sys.argv[1:])
while True:
    until = time.perf_counter() + busy_s
    while time.perf_counter() < until:
        pass
    if idle_s:
        time.sleep(idle_s)
"""


@contextmanager
def _busy(wanted: float) -> Iterator[None]:
    """Processes that want so many cores, each in a session of its own as programs of a desktop are."""
    shares = [share for at in range(ceil(wanted)) if (share := min(1.0, wanted - at))]
    commands = [(sys.executable, "-c", _NEIGHBOUR, str(BURST_S), str(BURST_S / share - BURST_S)) for share in shares]
    running = [subprocess.Popen(command, start_new_session=True) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _ask(model: str, settings: Settings, cases: Cases) -> tuple[float, float]:
    """Tokens a second of prompt and answer, as the server of the moment measured them."""
    info, case = ensure_server(model, settings=settings), cases.next()
    messages = [{"role": one.role, "content": one.content} for one in case.messages()[0]]
    body = {"model": info.model, "messages": messages, "max_tokens": case.tokens, "ignore_eos": True, "temperature": 0}
    headers = {"Authorization": f"Bearer {info.api_key}"}
    try:
        with httpx2.Client(timeout=600, trust_env=False) as http:
            answer = http.post(f"{info.base_url}/chat/completions", json=body, headers=headers).raise_for_status()
    except httpx2.HTTPError as e:
        raise MeasurementError(f"the server did not answer: {type(e).__name__}") from e
    timings = answer.json()["timings"]
    if timings["predicted_n"] != case.tokens:
        raise MeasurementError(f"an answer has {timings['predicted_n']} tokens instead of {case.tokens}")
    return timings["prompt_per_second"], timings["predicted_per_second"]


def _answers(speeds: list[Speed], side: Side, neighbours: float) -> list[float]:
    return [one.answer for one in speeds if (one.side, one.neighbours) == (side.name, neighbours)]


def _table(model: str, speeds: list[Speed], threads: int) -> Table:
    beside = tuple("alone" if n == 0 else f"beside {n:g} busy" for n in NEIGHBOURS)
    columns = ("server", *(f"answer, {words}" for words in beside), *(f"prompt, {words}" for words in beside))
    rows = []
    for side in SIDES:
        cells = [_cell(speeds, side, n, threads, what) for what in ("answer", "prompt") for n in NEIGHBOURS]
        rows.append((side.name, *cells))
    return Table(f"{model}: tokens a second (over the fair share)", columns, tuple(rows))


def _cell(speeds: list[Speed], side: Side, neighbours: float, threads: int, what: str) -> str:
    def middle(side: Side, neighbours: float) -> float:
        return median(getattr(s, what) for s in speeds if (s.side, s.neighbours) == (side.name, neighbours))

    here = middle(side, neighbours)
    return f"{here:.1f} ({here / (middle(BEFORE, 0) * fair_share(threads, neighbours)):.2f})"
