"""Every frame of the race against the truth: what a real browser drew, and what an endpoint had sent by then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tale_core.calls.comparison import race_axis
from tale_core.types import ANSWERS, AnswerRole
from tests.e2e.app_process import App, Viewer, until
from tests.support.paced_endpoint import LANES, PACED, WORD, Lane, LaneName, PacedEndpoint, Race
from ui.ask import live as drawing

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
BUDGET = 60
LAG_S = 10.0
"""Seconds within which whatever was sent has been drawn, on however slow a machine."""
_RECORD = """
() => {
    window.frames_drawn = [];
    const lane = (role) => {
        const root = document.querySelector(`.st-key-race-${role}`);
        if (!root) return null;
        const box = root.querySelector(`.st-key-answer_${role}`);
        const text = box ? box.innerText : "";
        const lines = root.innerText.replace(text, "").split("\\n").map((l) => l.trim()).filter(Boolean);
        const bar = lines.find((l) => /^[━╾─┆]+$/.test(l)) ?? "";
        const clock = lines.find((l) => /^[\\d.,]+ s( ·|$)/.test(l)) ?? "";
        return {bar, clock, text, words: lines.slice(1).filter((l) => l !== bar && l !== clock).join(" ")};
    };
    let last = "", waiting = false;
    const draw = () => {
        waiting = false;
        const race = document.querySelector(".st-key-race");
        const axis = race ? (/A full line is ([\\d,]+)/.exec(race.innerText) ?? [])[1] ?? "" : "";
        const frame = {axis, vanilla: lane("vanilla"), budgeted: lane("budgeted")};
        const now = JSON.stringify(frame);
        if (now !== last) window.frames_drawn.push({...frame, at: Date.now() / 1000});
        last = now;
    };
    new MutationObserver(() => {
        if (!waiting) requestAnimationFrame(draw);
        waiting = true;
    }).observe(document.body, {subtree: true, childList: true, characterData: true});
}
"""


@dataclass(frozen=True)
class Planted:
    """A race, and what its page must come to say.

    Attributes:
        first: The lane that ends while the other one stands still.
        ends: What each answer's lane says at its end; "" for a lane whose end is seen in the result alone.
        stop: The reader stops what still stands.
    """

    race: Race
    first: LaneName = "budgeted"
    ends: dict[str, str] = field(default_factory=dict)
    stop: bool = False


HELD = Lane(30, hold_at=12)
RACES: dict[str, Planted] = {
    "Equal speeds": Planted(
        Race(vanilla=Lane(40, hold_at=39), budgeted=Lane(40)), ends={"budgeted": "40 tokens, right"}
    ),
    "Vanilla past the end of the axis": Planted(
        Race(vanilla=Lane(330, every_s=0.004, hold_at=329), budgeted=Lane(50)), ends={"budgeted": "50 tokens, right"}
    ),
    "Vanilla first": Planted(
        Race(vanilla=Lane(10, every_s=0.01), budgeted=HELD), first="vanilla", ends={"vanilla": "10 tokens, right"}
    ),
    "One that ends at once and is wrong": Planted(
        Race(vanilla=HELD, budgeted=Lane(1, end="[[41]]")), ends={"budgeted": "1 token, wrong"}
    ),
    "One that breaks halfway": Planted(
        Race(vanilla=Lane(9, fails=True), budgeted=HELD), first="vanilla", ends={"vanilla": "about 9 tokens, failed"}
    ),
    "An estimate slower than vanilla": Planted(
        Race(vanilla=Lane(25), estimate=Lane(6, end="[[60]]", hold_at=3)), first="vanilla",
        ends={"vanilla": "25 tokens, right"},
    ),
    "One stream for all": Planted(
        Race(vanilla=Lane(30), budgeted=Lane(10, hold_at=5), one_stream=True), first="vanilla",
        ends={"vanilla": "30 tokens, right"},
    ),
    "One that stalls": Planted(
        Race(vanilla=Lane(30, hold_at=5), budgeted=Lane(20)), ends={"budgeted": "20 tokens, right"}, stop=True
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def paced() -> Iterator[PacedEndpoint]:
    with PacedEndpoint({question: planted.race for question, planted in RACES.items()}) as paced:
        yield paced


@pytest.fixture(scope="module")
def watched(browser: Browser, paced: PacedEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("race")
    with App(folder, cache=folder / "cache", TALE_OFFLINE="1") as app, Viewer(browser, app) as viewer:
        viewer.open().use_endpoint(paced.base_url, PACED)
        yield viewer
        viewer.check()


@pytest.fixture(autouse=True)
def forgotten(watched: Viewer, paced: PacedEndpoint, question: str) -> Iterator[None]:
    """A test that failed leaves nothing behind that stands still, neither at the endpoint nor on the page."""
    yield
    if watched.stop_button.is_visible():
        watched.stop_button.click()
    paced.forget(question)
    expect(watched.stop_button).to_have_count(0)


@pytest.mark.parametrize("question", RACES)
def test_every_frame_of_the_race_tells_the_truth(watched: Viewer, paced: PacedEndpoint, question: str) -> None:
    planted, page = RACES[question], watched.page
    page.evaluate(_RECORD)
    session = watched.ask(question, answer="42")
    other: LaneName = next(name for name in _held(planted.race))
    lane = page.locator(f".st-key-race-{planted.first}")
    expect(lane).to_contain_text(planted.ends[planted.first])
    until(lambda: paced.sent(question, other, 1e12) == getattr(planted.race, other).hold_at, "the other one to stand")
    expect(page.locator(".st-key-race")).to_contain_text(_so_far(planted, other))
    _the_clock_goes_on(watched, other)
    if planted.stop:
        watched.stop_button.click()
    else:
        paced.open(question, other)
    watched.finish(session)
    frames = page.evaluate("window.frames_drawn")
    axis = race_axis(_expected_before(watched.app, session))
    raced = [frame for frame in frames if (frame["vanilla"] or {}).get("bar")]
    told = [frame["axis"] for frame in raced]
    assert " ".join(told).split() == [f"{axis:,}"] * (len(told) - told.count("")), "one axis, once it is known"
    assert "" not in told[told.index(f"{axis:,}") : len(told) - told[::-1].index(f"{axis:,}")]
    for role in ANSWERS:
        lanes = [(frame["at"], frame[role]) for frame in raced if frame[role] and frame[role]["words"]]
        _check_growth(paced, question, role, lanes, axis)
        _check_end(paced, question, role, lanes, planted.ends.get(role, ""))
    _check_order(paced, question, planted.race)
    _check_result(watched, session, planted)


def _held(race: Race) -> Iterator[LaneName]:
    return (name for name in LANES if getattr(race, name).hold_at is not None)


def _so_far(planted: Planted, held: LaneName) -> str:
    n = getattr(planted.race, held).hold_at
    if held == "estimate":
        return f"Estimating the budget: about {n} tokens so far, at most 1,024"
    return (
        f"Writing: about {n} of {BUDGET} tokens so far" if held == "budgeted" else f"Writing: about {n} tokens so far"
    )


def _the_clock_goes_on(viewer: Viewer, held: LaneName) -> None:
    """While a lane stands its seconds count: nothing looks dead."""
    role = "budgeted" if held == "estimate" else held
    clock = viewer.page.locator(f".st-key-race-{role}").get_by_text(re.compile(r"^\d+ s"))
    before = _seconds(clock.inner_text())
    until(lambda: _seconds(clock.inner_text()) > before, "the clock of a lane that stands")


def _seconds(clock: str) -> float:
    return float(clock.split()[0].replace(",", ""))


def _expected_before(app: App, session: str) -> int | None:
    """The median length of the vanilla answers that were stored before this one."""
    sessions = [app.store.get_session(s.id) for s in app.store.list_sessions(limit=100)]
    calls = [c for s in sessions if s.id != session for c in s.calls if c.role == "vanilla" and c.status == "done"]
    return round(median(c.completion_tokens or 0 for c in calls)) if calls else None


def _tokens(lane: dict[str, Any]) -> int | None:
    """What a lane says it has written; None while it is about the estimate."""
    if re.match("Estimating|Waiting", lane["words"]):
        return None
    found = re.search(r"([\d,]+) (?:of \d+ )?tokens?\b", lane["words"])
    return int(found[1].replace(",", "")) if found else 0


def _check_growth(
    paced: PacedEndpoint, question: str, role: AnswerRole, lanes: list[tuple[float, dict[str, Any]]], axis: int
) -> None:
    """Never ahead of the endpoint, never back, never far behind; line and text lie between this number and the last.

    A browser may draw between the number of a tick and its text, and pass over a tick before it.
    """
    before, last, scaled = 0, 0, False
    for at, lane in lanes:
        shown = _tokens(lane)
        if shown is None:
            continue
        assert paced.sent(question, role, at - LAG_S) <= shown <= paced.sent(question, role, at), lane
        assert last <= shown, lane
        before, last = (last, shown) if shown > last else (before, last)
        assert before <= len(re.findall(rf"{WORD.strip()}\b|\[\[", lane["text"])) <= shown, lane
        budget = BUDGET if role == "budgeted" else None
        drawn = {drawing.lane(role, n, axis, budget=budget) for n in range(before, shown + 1)}
        letters = {re.sub(r":\w+\[|\]", "", line) for line in drawn}
        unknown = "─" * drawing.LANE_LETTERS
        assert lane["bar"] in (letters if scaled else {*letters, unknown}), lane
        scaled = scaled or lane["bar"] != unknown
        assert not scaled or ("more than" in lane["words"]) == (shown > axis), lane


def _check_end(
    paced: PacedEndpoint, question: str, role: AnswerRole, lanes: list[tuple[float, dict[str, Any]]], end: str
) -> None:
    """The end is said once it is there, and from then on nothing of the lane moves."""
    ended = [at for at, (_, lane) in enumerate(lanes) if re.search(r"tokens?, (right|wrong|failed)", lane["words"])]
    if not end and not ended:
        return
    sent_at = paced.ended_at(question, role)
    assert ended and sent_at is not None and lanes[ended[0]][0] >= sent_at
    still = [lane for _, lane in lanes[ended[0] :]]
    for part in still[0]:
        states = [state for state, _ in groupby(lane[part] for lane in still)]
        assert len(states) <= 1 + (part != "words"), "a lane that has ended stands still, once its last tick is drawn"
    assert end in still[0]["words"] and "so far" not in still[0]["words"]
    assert re.fullmatch(r"[\d.]+ s( · [\d.,]+ tokens/s)?", still[-1]["clock"])


def _check_order(paced: PacedEndpoint, question: str, race: Race) -> None:
    """Vanilla is asked at once, whatever the estimate does; the budgeted answer once the estimate is there."""
    estimated = paced.ended_at(question, "estimate")
    assert estimated is not None and paced.asked_at(question, "budgeted") >= estimated
    if race.estimate.hold_at is not None:
        assert paced.asked_at(question, "vanilla") < estimated


def _check_result(viewer: Viewer, session: str, planted: Planted) -> None:
    """The page's last picture and the store say what was planted."""
    calls = {c.role: c for c in viewer.app.store.get_session(session).calls}
    for role in ANSWERS:
        lane = getattr(planted.race, role)
        expected = lane.hold_at if planted.stop and lane.hold_at is not None else lane.tokens
        assert calls[role].completion_tokens == expected
        outcome = "failed" if lane.fails else "cancelled" if expected != lane.tokens else "done"
        assert calls[role].status == outcome
    assert "so far" not in viewer.words()
