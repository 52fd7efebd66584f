"""The first ten seconds, on a fresh machine without weights: something true moves, its verdict comes, nothing jumps."""

from __future__ import annotations

import re
from itertools import cycle
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tale_core.lessons import ladder
from tests.e2e.app_process import App, Viewer, until
from tests.e2e.looks import SIZES, violations
from ui.common.nav import PAGES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) window.shifts += e.value;
}).observe({ type: "layout-shift", buffered: true });
"""
NOWHERE = {"PIP_NO_INDEX": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}


def test_the_first_page_races_by_itself_and_its_slider_goes_down_to_the_rebound(
    browser: Browser, tmp_path: Path
) -> None:
    shown = ladder.document(ladder.ladder_recording("en"))
    nowhere = {**NOWHERE, "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    with App(tmp_path, cache=tmp_path / "empty", **nowhere) as app:
        for size, scheme in (("desk", "light"), ("phone", "dark")):
            width, height = SIZES[size]
            with Viewer(browser, app, viewport={"width": width, "height": height}, color_scheme=scheme) as viewer:
                viewer.context.add_init_script(SHIFTS)
                page = viewer.page
                page.goto(app.url)
                counts = page.locator(".st-key-opening .count")
                expect(counts.first).to_be_visible()
                until(lambda counts=counts: re.search(r"\d", " ".join(counts.all_inner_texts())), "a count", seconds=3)
                verdict = page.locator(".st-key-opening .verdict")
                expect(verdict).to_have_text(shown["rungs"][shown["best"]]["verdict"], timeout=15_000)
                assert page.evaluate("window.shifts") < 0.05
                expect(page.get_by_text("Recorded: qwen2.5-coder-1.5b")).to_be_visible()
                slider = page.locator(".st-key-opening input[type=range]")
                for at in range(len(shown["rungs"])):
                    slider.fill(str(at))
                    rung = shown["rungs"][at]
                    expect(verdict).to_have_text(rung["verdict"])
                    expect(counts.nth(1)).to_have_text(f"{rung['sign']} {rung['count']}")
                    text = page.locator(".st-key-opening .text").nth(1 if at else 0)
                    formulas = len(re.findall(r"\\[(\[]", rung["text"]))
                    assert text.locator("math").count() == formulas  # Set, and nothing of it is left raw.
                    shown_text = text.inner_text()
                    assert "\\(" not in shown_text if formulas else shown_text == rung["text"]
                assert "rebound" in verdict.inner_text()
                assert violations(viewer) == []
                # One click fills the form, the next asks.
                page.locator(".st-key-to_try button:visible").first.click()
                expect(page.get_by_label("Question", exact=True)).to_have_value(shown["question"])
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                viewer.check()


@pytest.mark.timeout(480)
def test_no_page_moves_while_it_is_drawn(browser: Browser, tmp_path: Path) -> None:
    nowhere = {**NOWHERE, "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    shifts: dict[str, float] = {}
    with App(tmp_path, cache=tmp_path / "empty", **nowhere) as app:
        for (path, _, _), (width, height) in zip(PAGES, cycle(SIZES.values()), strict=False):
            # A context of its own: no script of the page is in the browser yet.
            with Viewer(browser, app, viewport={"width": width, "height": height}) as viewer:
                viewer.context.add_init_script(SHIFTS)
                page, at = viewer.page, "/" if path == "app.py" else f"/{Path(path).stem}"
                page.goto(app.url + at)
                expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible()
                expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
                expect(page.get_by_test_id("stSkeleton")).to_have_count(0)  # What stands below one is not shown.
                shifts[f"{at} at {width} px"] = page.evaluate("window.shifts")
    assert {at: moved for at, moved in shifts.items() if moved >= 0.05} == {}


def test_a_page_whose_script_has_died_loads_itself_again_but_not_for_ever(browser: Browser, app: App) -> None:
    """As Streamlit leaves it then: nothing is drawn any more."""
    die = "document.getElementById('root').replaceChildren()"
    with Viewer(browser, app) as viewer:
        page = viewer.open(path="/Search").page
        page.evaluate(f"window.before = 1; {die}")
        expect(viewer.main_button("/Search")).to_be_visible()
        assert page.evaluate("window.before") is None
        page.evaluate("sessionStorage.setItem('tale-loaded-again', Date.now() + 60000)")  # It has just done so.
        page.evaluate(f"window.before = 1; {die}")
        page.wait_for_timeout(500)
        assert page.evaluate("window.before") == 1
