"""The part `drawn`: tokens a second of each of an Ask's two answers while Chromium draws them, and with no page open.

The app runs twice with the same model: its server as it was before (long waits, all threads) and as it is now. Each
round asks a new question of both, in random order, once watched and once with the page left as soon as the Ask runs.
Speeds are those of the stored calls, from their first token on.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.busy import BEFORE, LEAST_FAIR, MOST_ROUNDS, NOW, Side
from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, median_interval
from benchmarks.parts import Options, PartResult, Table
from benchmarks.requests import Cases
from tale_core.settings import get_settings
from tests.e2e.app_process import App, Viewer, until
from tests.e2e.conftest import ARGS, CHROMIUM

LONGEST_S = 600
WATCHED, LEFT = "watched", "page left"
BUDGET = 100


@dataclass(frozen=True, slots=True)
class Speed:
    """Of an Ask: tokens a second of each of its answers."""

    side: str
    page: str
    tokens_s: float


def run(options: Options) -> PartResult:
    """Measure."""
    if CHROMIUM is None:
        return PartResult.not_measured("drawn", "Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        found = {model: _model(model, browser, options) for model in options.models}
        browser.close()
    return PartResult(
        name="drawn",
        tables=tuple(table(model, speeds) for model, speeds in found.items()),
        goals=tuple(goal(model, speeds) for model, speeds in found.items()),
        data={model: [asdict(speed) for speed in speeds] for model, speeds in found.items()},
        notes=("Page and app draw on the same cores; nothing else ran beside them.",),
    )


def _model(model: str, browser: Browser, options: Options) -> list[Speed]:
    rng, found = random.Random(options.seed), []
    cases = Cases(tokens=options.tokens, seed=options.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        apps = {}
        for side in (BEFORE, NOW):
            env = {"TALE_MODEL": model, "TALE_SERVER_IDLE_S": str(LONGEST_S), **side.env}
            threads = {"TALE_SERVER_THREADS": ""} if side is NOW else {}
            (at := folder / str(len(apps))).mkdir()
            app = App(at, cache=get_settings().cache_dir, **env, **threads)
            apps[side.name] = stack.enter_context(app)
            _asked(browser, app, cases, LEFT)  # The first answer of a server is slower.
        for number in range(min(options.rounds, MOST_ROUNDS)):
            options.say(f"{model}, round {number + 1} of {min(options.rounds, MOST_ROUNDS)}")
            ways = [(side, page) for side in (BEFORE, NOW) for page in (WATCHED, LEFT)]
            for side, page in rng.sample(ways, len(ways)):
                found.append(Speed(side.name, page, _asked(browser, apps[side.name], cases, page)))
    return found


def _asked(browser: Browser, app: App, cases: Cases, page: str) -> float:
    case = cases.next()
    with Viewer(browser, app) as viewer:
        viewer.open().limit_tokens(case.tokens)
        session = viewer.ask(case.question.text, budget=BUDGET)
        if page == LEFT:
            viewer.page.goto("about:blank")
        until(lambda: app.has_ended(session), "the end of an Ask", seconds=LONGEST_S)
    written = [call for call in app.store.get_session(session).calls if call.status == "done"]
    if len(written) != 2:
        raise MeasurementError(f"an Ask has {len(written)} answers that ended instead of two")
    seconds = sum((call.latency_s or 0) - (call.ttft_s or 0) for call in written)
    return sum(call.completion_tokens or 0 for call in written) / seconds


def _speeds(speeds: list[Speed], side: Side, page: str) -> list[float]:
    return [one.tokens_s for one in speeds if (one.side, one.page) == (side.name, page)]


def goal(model: str, speeds: list[Speed]) -> Goal:
    """Drawing takes little of the answer's speed; each round is compared with itself."""
    pairs = zip(_speeds(speeds, NOW, WATCHED), _speeds(speeds, NOW, LEFT), strict=True)
    ratio = median_interval([watched / left for watched, left in pairs])
    return Goal(f"drawn: {model}, watched over page left", "at least", LEAST_FAIR, ratio)


def table(model: str, speeds: list[Speed]) -> Table:
    """The medians of all rounds."""
    rows = []
    for side in (BEFORE, NOW):
        watched, left = (median_interval(_speeds(speeds, side, page)).value for page in (WATCHED, LEFT))
        rows.append((side.name, f"{left:.1f}", f"{watched:.1f}", f"{watched / left:.2f}"))
    columns = ("server", LEFT, WATCHED, "watched over page left")
    return Table(f"{model}: tokens a second of each answer of an Ask", columns, tuple(rows))
