"""The History page in a real Chromium: search, links, back, compare, delete with undo, a file out and in, its looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tale_core.store import Trash
from tests.e2e.app_process import App, Viewer, steady
from tests.e2e.looks import LOOKS, SIZES, Looks
from tests.store import samples
from tests.store.test_history import kept

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
]
START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app over a store of 45 sessions, without any model."""
    folder = tmp_path_factory.mktemp("history")
    with App(folder, cache=folder / "cache", TALE_OFFLINE="1") as app:
        for i in range(43):
            calls = tuple(
                samples.call("", role, status="done", text=f"answer {i} is 课堂 [[{i}]]", completion_tokens=n + i)
                for role, n in (("vanilla", 200), ("budgeted", 40))
            )
            text = f"How many minutes does train {i} take from here to the lake and back if it stops twice?"
            kept(app.store, text, calls=calls, created_at=START + timedelta(hours=i))
        kept(app.store, "一列火车 2.5 小时行驶 180 千米，每小时行驶多少千米？", "72", model="phi-3", status="failed")
        yield app


def titles(viewer: Viewer) -> list[str]:
    return viewer.page.get_by_test_id("stMain").get_by_test_id("stPageLink").all_inner_texts()


def settled(viewer: Viewer, count: str) -> None:
    expect(viewer.page.get_by_text(count, exact=True)).to_be_visible()


def test_a_person_finds_compares_deletes_and_undoes(browser: Browser, stocked: App) -> None:
    with Viewer(browser, stocked) as viewer:
        page = viewer.open(path="/History").page
        settled(viewer, "44 sessions")
        box = page.get_by_role("textbox", name="Search", exact=True)
        box.fill("课堂 42")
        box.press("Enter")
        settled(viewer, "1 session fits")
        assert "q=" in page.url and "train 42" in titles(viewer)[0]
        shared = page.url
        with Viewer(browser, stocked) as other:
            other.page.goto(shared)
            settled(other, "1 session fits")
            expect(other.page.get_by_role("textbox", name="Search", exact=True)).to_have_value("课堂 42")
            other.check()
        page.get_by_role("link", name=re.compile("train 42")).last.click()
        expect(page.get_by_role("button", name="Ask again with this budget")).to_be_visible()
        page.go_back()
        settled(viewer, "1 session fits")
        page.get_by_test_id("stMain").get_by_test_id("stCheckbox").first.click()
        box.fill("")
        box.press("Enter")
        settled(viewer, "44 sessions")
        page.get_by_test_id("stMain").get_by_test_id("stCheckbox").nth(3).click()
        expect(page.get_by_role("button", name="Compare")).to_be_enabled()
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_text("Two different questions.")).to_be_visible()
        expect(page.get_by_text("Marked words stand in one of the two answers alone.")).to_be_visible()
        page.get_by_test_id("stMain").get_by_role("button", name="All sessions").click()
        page.get_by_role("button", name="Delete").click()
        settled(viewer, "42 sessions")
        expect(page.get_by_text("2 sessions deleted.")).to_be_visible()
        page.reload()
        page.get_by_text("Trash", exact=True).click()
        page.get_by_role("button", name="Undo").first.click()
        settled(viewer, "43 sessions")
        page.get_by_role("button", name="Undo").first.click()
        settled(viewer, "44 sessions")
        page.get_by_test_id("stMain").get_by_test_id("stCheckbox").first.click()
        expect(page.get_by_role("button", name="Delete")).to_be_enabled()
        page.get_by_role("button", name="Delete").click()
        settled(viewer, "43 sessions")
        viewer.go("Settings")
        assert stocked.store.count_sessions() == 43 and len(Trash(stocked.store).pending()) == 1
        viewer.check()


def test_a_saved_file_brings_back_what_was_deleted(browser: Browser, stocked: App, tmp_path: Path) -> None:
    count = stocked.store.count_sessions()
    with Viewer(browser, stocked, accept_downloads=True) as viewer:
        page = viewer.open(path="/History").page
        page.get_by_text("Export and import").click()
        save = steady(page.get_by_role("button", name="Save as a file"))
        with page.expect_download() as download:
            save.click()
        path = tmp_path / "all.tale.zip"
        download.value.save_as(path)
        gone = [s.id for s in stocked.store.list_sessions(limit=3)]
        Trash(stocked.store).delete(gone)
        Trash(stocked.store).finish(gone)
        page.locator("input[type=file]").set_input_files(path)
        expect(page.get_by_text("The archive is whole:")).to_be_visible()
        page.get_by_role("button", name="Import 3 sessions").click()
        expect(page.get_by_text("Imported: 3 new")).to_be_visible()
        assert stocked.store.count_sessions() == count
        viewer.check()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_no_state_is_wider_than_the_screen_or_shuts_people_out(
    browser: Browser, stocked: App, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    with Viewer(browser, stocked, viewport={"width": width, "height": height}, color_scheme=scheme) as viewer:
        page = viewer.open(path="/History").page
        shot = Looks(viewer, size, scheme, "history-")
        expect(page.get_by_role("button", name="Older")).to_be_visible()
        shot("full")
        page.get_by_role("button", name="Filters").click()
        expect(page.get_by_role("combobox", name="Status")).to_be_visible()
        shot("filters", open_box=True)
        page.keyboard.press("Escape")
        first, second = (s.id for s in stocked.store.list_sessions(limit=2))
        page.goto(f"{stocked.url}/History?a={first}&b={second}&lang={'zh' if scheme == 'dark' else 'en'}")
        expect(page.get_by_text(re.compile("Marked words|标出的词"))).to_be_visible()
        expect(page.get_by_role("table").first).to_be_visible()
        shot("compared")
        page.goto(f"{stocked.url}/History?q=nothing&lang=en")
        expect(page.get_by_text("No session fits.")).to_be_visible()
        shot("nothing")
        shot.check()
