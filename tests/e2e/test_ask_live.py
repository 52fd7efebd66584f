"""Asking the real small model in a real browser."""

from __future__ import annotations

import json
import re
import time
import urllib.request

import pytest
from playwright.sync_api import Browser, expect

from tale_core.types import ANSWERS, Outcome
from tests.e2e.app_process import App, Viewer, until

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(240)]

LONG = "Write a very long story about a dog and a cat who travel around the world. Do not stop early."
PENS = "A box holds 6 rows of 8 pens. How many pens?"


def busy_slots(app: App) -> int:
    (server,) = app.servers()
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/slots")
    request.add_header("Authorization", f"Bearer {server.api_key}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return sum(slot["is_processing"] for slot in json.load(answer))


def lengths(viewer: Viewer) -> list[int]:
    return [len(viewer.answer(role)) for role in ANSWERS]


def wait_until_both_grow(viewer: Viewer) -> None:
    """Both columns hold text, and both hold more a moment later, with neither answer ended."""
    until(lambda: min(lengths(viewer)) > 5, "both answers")
    first = lengths(viewer)
    until(lambda: all(now > then for now, then in zip(lengths(viewer), first, strict=True)), "growing answers")
    expect(viewer.stop_button).to_be_visible()
    assert viewer.app.store.get_session(viewer.session).status == "running"


def test_both_answers_grow_at_the_same_time_and_stop_at_once(viewer: Viewer, browser: Browser, app: App) -> None:
    session = viewer.open().ask(LONG, budget=900)
    wait_until_both_grow(viewer)
    assert busy_slots(app) == 2
    clicked = time.monotonic()
    viewer.stop_button.click()
    until(lambda: busy_slots(app) == 0, "the server to stop writing", seconds=5)
    stopped_s = time.monotonic() - clicked
    expect(viewer.page.get_by_text("Both answers were stopped")).to_be_visible()
    assert stopped_s < 3, f"the server wrote on for {stopped_s:.1f} s"
    expect(viewer.page.get_by_text(re.compile("Stopped$"))).to_have_count(2)
    stored = app.store.get_session(session)
    assert stored.status == "cancelled" and {c.role for c in stored.calls} == set(ANSWERS)
    for call in stored.calls:
        assert (call.status, call.outcome) == ("cancelled", Outcome.UNGRADED)
        assert (call.completion_tokens or 0) > 0 and (call.prompt_tokens or 0) > 0 and call.usage_estimated
    with Viewer(browser, app) as other:
        other.open(session)
        expect(other.page.get_by_text("Both answers were stopped")).to_be_visible()
        assert [other.answer(role) for role in ANSWERS] == [viewer.answer(role) for role in ANSWERS]
        other.check()
    assert busy_slots(app) == 0


def test_a_refresh_in_the_middle_finds_the_ask_again_and_it_ends_with_a_verdict(viewer: Viewer, app: App) -> None:
    before = app.store.count_sessions()
    viewer.open().limit_tokens(120)
    session = viewer.ask(PENS, answer="48")
    until(lambda: any(lengths(viewer)), "an answer")
    viewer.page.reload()
    expect(viewer.page.get_by_label("Question", exact=True)).to_be_visible()
    viewer.finish(session)
    stored = app.store.get_session(session)
    assert app.store.count_sessions() == before + 1
    assert stored.status == "done" and {c.role for c in stored.calls} == {"estimate", *ANSWERS}
    words = viewer.words()
    assert f"Budget: {stored.budget} tokens" in words and "output tokens" in words
    assert viewer.page.get_by_label("Question", exact=True).input_value() == PENS
    for call in stored.calls:
        if call.role != "estimate":
            # A list's numbers are set beside its words, not among them.
            assert call.text.strip().removeprefix("1. ")[:18] in viewer.answer(call.role) and not call.usage_estimated


@pytest.mark.parametrize("gap_s", [0.02, 0.15, 0.3])
def test_a_double_click_asks_once(viewer: Viewer, app: App, gap_s: float) -> None:
    before = app.store.count_sessions()
    viewer.open().type_question(LONG, budget=900)
    place = viewer.ask_button.bounding_box()
    assert place is not None
    viewer.page.mouse.click(place["x"] + 20, place["y"] + 15)
    time.sleep(gap_s)
    viewer.page.mouse.click(place["x"] + 20, place["y"] + 15)
    until(lambda: app.store.count_sessions() > before, "the session")
    until(lambda: busy_slots(app) > 0, "the answers")
    viewer.stop_button.click()
    until(lambda: busy_slots(app) == 0, "the end")
    assert app.store.count_sessions() == before + 1


def test_two_people_ask_at_the_same_time_and_know_nothing_of_each_other(
    viewer: Viewer, browser: Browser, app: App
) -> None:
    with Viewer(browser, app) as other:
        viewer.open().limit_tokens(100)
        other.open().use_endpoint("http://127.0.0.1:9/v1", "secret-model", "canary-key-of-the-other")
        other.choose("Model", "SmolLM2")
        mine = viewer.ask(LONG, budget=30)
        theirs = other.ask(PENS, budget=30)
        until(lambda: min(lengths(viewer)) > 5 and min(lengths(other)) > 5, "all four answers")
        assert mine != theirs
        viewer.page.get_by_role("combobox", name="Model").first.click()
        assert "secret-model" not in viewer.words() and "canary" not in viewer.page.content()
        viewer.page.keyboard.press("Escape")
        other.stop_button.click()
        expect(other.page.get_by_text(re.compile("Stopped$")).first).to_be_visible()
        other.go("Settings")
        expect(other.page.get_by_label("max_tokens", exact=True)).to_have_value("2048")
        viewer.finish(mine)
        other.check()
    assert {c.sampling.max_tokens for c in app.store.get_session(mine).calls} == {100}
    assert app.store.get_session(theirs).status == "cancelled"
