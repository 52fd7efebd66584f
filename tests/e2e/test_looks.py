"""Every state of the pages on a desk and on a phone: nothing wider than the screen, nothing that shuts people out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.app_process import App, Viewer, until
from tests.e2e.looks import LOOKS, SIZES, Looks
from tests.support.bad_endpoint import BadEndpoint

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
QUESTION = "A train covers 180 km in 2.5 hours, and a ticket costs $12.50. How many kilometres an hour does it go?"


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_no_state_is_wider_than_the_screen_or_shuts_people_out(
    browser: Browser, app: App, bad: BadEndpoint, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    with Viewer(
        browser, app, viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=size == "phone"
    ) as viewer:
        shot = Looks(viewer, size, scheme)
        viewer.open()
        expect(viewer.page.locator("button kbd").first).to_be_visible(visible=size == "desk")  # Glass has no Ctrl.
        shot("empty")
        add_models(viewer, bad)
        settings(viewer)
        shot("settings")
        home(viewer)
        viewer.choose("Model", "ok ·")
        viewer.finish(viewer.ask(QUESTION, answer="42"))
        expect(viewer.page.get_by_role("table").first).to_be_visible()  # The last of the page to be drawn.
        shot("finished")
        viewer.choose("Model", "cut ·")
        viewer.finish(viewer.ask(QUESTION, answer="42", budget=20))
        shot("failed")
        viewer.choose("Model", "slow ·")
        viewer.ask(QUESTION, answer="42", budget=20)
        expect(viewer.page.get_by_text("word5").nth(1)).to_be_visible()
        expect(viewer.page.locator(".st-key-answer_vanilla")).to_have_count(1)  # Nothing is left of the Ask before.
        shot("busy")
        viewer.stop_button.click()
        expect(viewer.page.get_by_text("Both answers were stopped")).to_be_visible()
        shot("stopped")
        studies(viewer, shot)
        experiments(viewer, shot)
        shot.check()


def test_an_open_list_stays_open_and_the_page_keeps_its_place_when_an_ask_ends(
    browser: Browser, bad: BadEndpoint, tmp_path: Path
) -> None:
    with (
        App(tmp_path, cache=tmp_path / "cache", TALE_OFFLINE="1") as app,
        Viewer(browser, app, viewport={"width": 1280, "height": 1000}) as viewer,
        Viewer(browser, app) as other,
    ):
        viewer.open()
        viewer.use_endpoint(bad.base_url, "slow")
        session = viewer.ask(QUESTION, answer="42", budget=20)
        expect(viewer.page.get_by_text("word5").nth(1)).to_be_visible()
        main = viewer.page.get_by_test_id("stMain")
        main.evaluate("e => { e.scrollTop = 60; window.least = e.scrollTop; }")
        main.evaluate(
            "e => e.addEventListener('scroll', () => { window.least = Math.min(window.least, e.scrollTop); })"
        )
        viewer.page.get_by_role("combobox", name=re.compile("Budget")).first.click()
        expect(viewer.page.get_by_role("listbox")).to_be_visible()
        other.open(session)
        other.stop_button.click()  # By somebody else: a click here would close the list itself.
        until(lambda: app.has_ended(session), "the end of the session")
        expect(viewer.page.get_by_text("Try another budget")).to_be_visible()
        expect(viewer.page.get_by_role("listbox")).to_be_visible()
        assert viewer.page.evaluate("window.least") > 0  # At no moment was the page too short for its place.
        viewer.check()


def studies(viewer: Viewer, shot: Callable[[str], None]) -> None:
    """A search and a sweep, before, meanwhile and afterwards."""
    viewer.go("Search")
    expect(viewer.main_button("/Search")).to_be_visible()
    shot("search-empty")
    viewer.choose("Model", "obeys ·")
    viewer.finish_study(viewer.start("/Search", QUESTION, answer="42"))
    expect(viewer.page.locator(".js-plotly-plot").first).to_be_visible()
    shot("search-finished")
    viewer.choose("Model", "slow ·")
    viewer.start("/Search", QUESTION, answer="42")
    expect(viewer.stop_button).to_be_visible()
    shot("search-busy")
    viewer.stop_button.click()
    expect(viewer.page.get_by_role("button", name="Resume")).to_be_visible()
    viewer.go("Elasticity")
    expect(viewer.main_button("/Elasticity")).to_be_visible()
    shot("sweep-empty")
    viewer.choose("Model", "obeys ·")
    viewer.finish_study(viewer.start("/Elasticity", QUESTION, answer="42"))
    expect(viewer.page.locator(".js-plotly-plot").first).to_be_visible()
    shot("sweep-finished")


def experiments(viewer: Viewer, shot: Callable[[str], None]) -> None:
    """An experiment, before and afterwards; estimators and fine-tuning with nothing to learn from."""
    viewer.go("Experiments")
    example = viewer.page.get_by_text("Recorded:")
    expect(example.or_(viewer.page.get_by_text("Earlier experiments")).first).to_be_visible()
    if example.count():  # Another look's experiment is there otherwise, and the page has no need of an example.
        shot("experiment-example")
        viewer.page.get_by_role("button", name="Do it with mine").click()
    expect(viewer.main_button("/Experiments")).to_be_visible()
    viewer.choose("Data set", "own questions")
    box = viewer.page.get_by_label("First questions", exact=True)
    box.fill("6")
    box.press("Tab")
    shot("experiment-empty")
    viewer.main_button("/Experiments").click()
    expect(viewer.page.locator(".js-plotly-plot").first).to_be_visible()
    grid = viewer.page.locator(".st-key-matrix [role=grid]")
    grid.locator("[role=gridcell][tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        viewer.page.keyboard.press(key)
    expect(viewer.page.locator(".st-key-cell_answer_1")).to_be_visible()
    expect(grid.locator("td.opened")).to_have_count(1)
    shot("experiment-finished")
    viewer.go("Estimators")
    expect(viewer.page.get_by_role("heading", name="How well can a budget be predicted?")).to_be_visible()
    shot("estimators")
    viewer.go("Fine-tune")
    expect(viewer.page.get_by_role("heading", name="Can the model learn to be brief by itself?")).to_be_visible()
    shot("fine-tune")


def add_models(viewer: Viewer, bad: BadEndpoint) -> None:
    for model in ("ok", "cut", "slow", "obeys"):
        viewer.use_endpoint(bad.base_url, model)


def settings(viewer: Viewer) -> None:
    viewer.go("Settings")
    expect(viewer.page.get_by_text("Prompt template", exact=True)).to_be_visible()


def home(viewer: Viewer) -> None:
    viewer.go("Ask")
    expect(viewer.ask_button).to_be_visible()
