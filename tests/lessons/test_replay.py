"""A replay at any moment: nothing of what came later, everything in the end, and a deck that keeps time."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.ask.run import AskView
from tale_core.elasticity.view import SweepView
from tale_core.lessons.recorded import Recording, bundled
from tale_core.lessons.replay import SPEEDS, Player, at, whole
from tale_core.search.view import SearchView
from tale_core.types import Outcome
from tests.lessons.samples import recorded

pytestmark = pytest.mark.sqlite_only("rooms alone ask the database anything of their own")

KINDS = ["ask", "search", "sweep"]
moments = st.floats(0, 200_000, allow_nan=False)


@cache
def sample(kind: str) -> Recording:
    return asyncio.run(recorded(kind, **({"estimator": "zero-shot"} if kind == "ask" else {})))


@pytest.fixture(autouse=True)
def samples():
    for kind in KINDS:
        sample(kind)


def calls_of(view):
    return list(view.calls.values() if isinstance(view, AskView) else view.calls)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1.2))
def test_what_is_shown_is_a_beginning_of_what_was_recorded_and_tells_nothing_that_came_later(kind, share):
    one = sample(kind)
    view = at(one, share * one.duration_ms)
    ended = {(c.role, c.requested_budget, c.repeat_index): c for c in one.session.calls}
    for call in calls_of(view):
        record = call.record
        final = ended[record.role, record.requested_budget, record.repeat_index]
        assert final.text.startswith(call.text) and record.source == "recorded"
        if record.status == "running":
            assert record.completion_tokens is None and record.latency_s is None and record.extracted is None
            assert record.outcome is Outcome.UNGRADED and record.finish_reason is None
        else:
            assert record == final
    assert view.running == (share * one.duration_ms < one.duration_ms)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_nothing_that_was_shown_is_ever_taken_back(kind, first, second):
    one = sample(kind)
    early, late = (at(one, share * one.duration_ms) for share in sorted((first, second)))
    before, after = calls_of(early), calls_of(late)
    assert len(before) <= len(after)
    assert all(b.text == a.text[: len(b.text)] for b, a in zip(before, after, strict=False))
    if isinstance(early, SearchView):
        assert late.steps[: len(early.steps)] == early.steps
    if isinstance(early, SweepView):
        assert early.finished <= late.finished


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_is_the_stored_session_and_the_start_shows_no_text(kind):
    one = sample(kind)
    assert at(one, one.duration_ms) == at(one, 1e12) == whole(one) and not whole(one).running
    assert calls_of(at(one, -1)) == []


def test_a_replayed_sweep_measures_what_the_run_had_measured():
    one = sample("sweep")
    just_before = at(one, one.duration_ms - 1)
    assert 6 <= just_before.finished < 12 and just_before.planned == 12
    known = {(p.kind, p.budget): p for p in just_before.result.points if p.repeats == 2}
    for point in whole(one).result.points:
        if (point.kind, point.budget) in known:
            assert known[point.kind, point.budget] == point
    assert just_before.result.rebound is None or just_before.result.rebound.p_value is None  # Judged at the end only.


def test_an_asks_budget_is_unknown_until_the_estimate_has_ended():
    one = sample("ask")
    pairs = zip(one.session.calls, one.tapes, strict=True)
    end = next(tape.end_ms for call, tape in pairs if call.role == "estimate")
    assert at(one, end - 1).budget is None and at(one, end - 1).phase == "estimating"
    assert at(one, one.duration_ms - 1).budget == 20


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_bundled_recording_can_be_shown_at_every_moment(name):
    one = bundled()[name]
    for moment in (*one.moments[:: max(1, len(one.moments) // 12)], one.duration_ms):
        for ms in (moment, moment + 1):
            at(one, ms)
    assert at(one, one.duration_ms) == whole(one)


@given(duration=st.integers(0, 100_000), speed=st.sampled_from(SPEEDS), seconds=st.lists(st.floats(0, 50), max_size=8))
def test_a_deck_plays_at_its_speed_and_stops_at_the_end(duration, speed, seconds):
    deck, now = Player(duration, speed=speed).play(100.0), 100.0
    before = 0.0
    for step in seconds:
        now += step
        here = deck.position(now)
        assert before <= here <= duration
        assert here == pytest.approx(min(duration, (now - 100.0) * 1000 * speed))
        before = here
    assert deck.playing(now) == (before < duration)


Action = st.tuples(st.sampled_from(["play", "pause", "speed", "step", "end"]), st.floats(0, 20))


@given(actions=st.lists(Action, max_size=15), marks=st.lists(st.integers(0, 50_000), max_size=6))
def test_whatever_is_pressed_the_place_stays_on_the_tape_and_only_time_or_a_press_moves_it(actions, marks):
    deck, now = Player(50_000), 0.0
    for action, wait in actions:
        now += wait
        here = deck.position(now)
        match action:
            case "play":
                deck = deck.play(now)
                assert deck.position(now) == (0 if here >= 50_000 else here)
            case "pause":
                deck = deck.pause(now)
                assert deck.position(now) == deck.position(now + 99) == here
            case "speed":
                deck = deck.at_speed(4.0 if deck.speed == 1.0 else 1.0, now)
                assert deck.position(now) == here
            case "step":
                deck = deck.step(tuple(sorted(marks)), now)
                ahead = [m for m in marks if m > here]
                assert deck.position(now + 9) == (min(ahead) if ahead else 50_000)
            case "end":
                deck = deck.to_end()
        assert 0 <= deck.position(now) <= 50_000


def test_a_clock_that_goes_backwards_does_not_rewind():
    assert Player(1000).play(10.0).position(5.0) == 0
