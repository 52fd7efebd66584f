"""The part `drawn`: tokens a second of an Ask's two answers while Chromium draws them, and with the page left.

Both are measured of the very same answers, one after the other, in random order: the server says how many tokens it has
written. What the browser, the app and everybody else used of the cores meanwhile is nobody's fault; the rest is the
server's fair share.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.busy import LEAST_FAIR
from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval, median_interval
from benchmarks.parts import Options, PartResult, Table
from tale_core.models.embedded.run_folder import ServerState, threads
from tale_core.models.embedded.waits import CALM_LOOKS, Used, cores, others, used
from tale_core.models.embedded.worker import TICK_S, get_json
from tale_core.settings import get_settings
from tests.e2e.app_process import App, Viewer, until
from tests.e2e.conftest import ARGS, CHROMIUM

MOST_ROUNDS = 5
QUESTION, BUDGET = "List 200 English animals, one in each line, numbered.", 2000
"""The embedded default writes on for more than a thousand tokens, under a budget and without one."""
WINDOW_S, SETTLED_S = 12.0, (CALM_LOOKS + 2) * TICK_S
WATCHED, LEFT = "watched", "page left"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two windows of the same answers: tokens a second of both of them together, and cores that others used."""

    watched: float
    left: float
    watched_others: float
    left_others: float

    def fair(self, threads: int, cores: int) -> float:
        """What the server would have with what others leave of the cores, over what it had with the page left."""

        def share(others: float) -> float:
            return min(1.0, max(0.0, cores - others) / threads)

        return share(self.watched_others) / share(self.left_others)


def run(options: Options) -> PartResult:
    """Measure."""
    if CHROMIUM is None:
        return PartResult.not_measured("drawn", "Chromium is not installed (apt-get install chromium)")
    server_threads = threads(get_settings())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        found = {model: _model(model, browser, options) for model in options.models}
        browser.close()
    judged = {model: (pairs, server_threads, len(cores())) for model, pairs in found.items()}
    return PartResult(
        name="drawn",
        tables=tuple(table(model, *of) for model, of in judged.items()),
        goals=tuple(goal(model, *of) for model, of in judged.items()),
        data={"threads": server_threads, "cores": len(cores())}
        | {model: [asdict(pair) for pair in pairs] for model, pairs in found.items()},
        notes=(
            "Tokens a second of both answers together. In brackets: the speed watched over the fair share of the speed "
            "with the page left, which is what the scheduler has when all others got what they used of the cores.",
        ),
    )


def _model(model: str, browser: Browser, options: Options) -> list[Pair]:
    rng, found, rounds = random.Random(options.seed), [], min(options.rounds, MOST_ROUNDS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        env = {"TALE_MODEL": model, "TALE_SERVER_IDLE_S": "600", "TALE_SERVER_THREADS": ""}
        with App(Path(folder), cache=get_settings().cache_dir, **env) as app:
            for number in range(rounds):
                options.say(f"{model}, round {number + 1} of {rounds}")
                with Viewer(browser, app) as viewer:
                    found.append(_pair(viewer, rng.sample((WATCHED, LEFT), 2)))
    return found


def _pair(viewer: Viewer, order: list[str]) -> Pair:
    session = viewer.open().ask(QUESTION, budget=BUDGET)
    until(lambda: len(viewer.app.servers()) == 1, "the server", seconds=120)
    (server,) = viewer.app.servers()
    until(lambda: min(_written(server), default=0) > 1, "both answers", seconds=120)
    at = {}
    for page in order:
        if page == LEFT:
            viewer.page.goto("about:blank")
        elif viewer.session != session:
            viewer.open(session)
        viewer.page.wait_for_timeout(1000 * SETTLED_S)
        at[page] = _window(server, lambda: viewer.page.wait_for_timeout(1000 * WINDOW_S))
    viewer.open(session).stop_button.click()
    until(lambda: not _written(server), "the server to stop writing")
    return Pair(at[WATCHED][0], at[LEFT][0], at[WATCHED][1], at[LEFT][1])


def _window(server: ServerState, passes: Callable[[], None]) -> tuple[float, float]:
    """Tokens a second, and cores that others had."""

    def now() -> tuple[Used, int]:
        written = _written(server)
        if len(written) != 2:
            raise MeasurementError(f"{len(written)} answers are being written instead of two: ask for longer ones")
        return used(server.pid), sum(written)

    (before, first), _, (after, last) = now(), passes(), now()
    return (last - first) / (after.at - before.at), others(before, after)


def _written(server: ServerState) -> list[int]:
    """Tokens of each answer that is being written."""
    try:
        slots = get_json(server.port, "/slots", server.api_key, timeout=10)
    except OSError as e:
        raise MeasurementError("the server has gone, or another one took its place") from e
    return [slot["next_token"][0]["n_decoded"] for slot in slots if slot["is_processing"]]


def _ratio(pairs: list[Pair], threads: int, cores: int) -> Interval:
    return median_interval([pair.watched / (pair.left * pair.fair(threads, cores)) for pair in pairs])


def goal(model: str, pairs: list[Pair], threads: int, cores: int) -> Goal:
    """Drawing takes what it uses of the cores and little more; each round is compared with itself."""
    words = f"drawn: {model}, watched over its fair share of the speed with the page left"
    return Goal(words, "at least", LEAST_FAIR, _ratio(pairs, threads, cores))


def table(model: str, pairs: list[Pair], threads: int, cores: int) -> Table:
    """The medians of all rounds."""

    def middle(values: list[float]) -> float:
        return median_interval(values).value

    left, watched = middle([pair.left for pair in pairs]), middle([pair.watched for pair in pairs])
    fair = f"{watched:.1f} ({_ratio(pairs, threads, cores).value:.2f})"
    rows = (
        (LEFT, f"{left:.1f}", f"{middle([pair.left_others for pair in pairs]):.2f}"),
        (WATCHED, fair, f"{middle([pair.watched_others for pair in pairs]):.2f}"),
    )
    return Table(f"{model}: an Ask that Chromium draws", ("page", "tokens a second", "cores that others used"), rows)
