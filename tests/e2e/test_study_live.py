"""Searches and sweeps of the real small model in a real browser: watched, stopped, left and found again, killed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tale_core.elasticity.view import SweepView
from tale_core.runs.views import view_of
from tale_core.search.text import finding
from tale_core.search.view import SearchView
from tests.e2e.app_process import App, Viewer, until
from tests.e2e.test_ask_live import LONG, busy_slots

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(240)]

SUM = "What is 2 + 2?"


def opened(viewer: Viewer, path: str) -> Viewer:
    """The page as a person comes to it: the first screen, then its name in the sidebar."""
    viewer.open().limit_tokens(1500)
    viewer.go(path.strip("/"))
    expect(viewer.main_button(path)).to_be_visible()
    return viewer


def test_a_search_is_watched_to_its_end_and_says_what_it_found(viewer: Viewer, app: App) -> None:
    opened(viewer, "/Search")
    session = viewer.start("/Search", SUM, answer="4")
    until(lambda: app.has_ended(session), "the end of the search")
    view = view_of(app.store.get_session(session))
    assert isinstance(view, SearchView) and view.status == "done" and view.result is not None
    expect(viewer.page.get_by_text(finding(view)).first).to_be_visible()
    assert view.spent.calls == len(view.calls) and view.spent.completion_tokens > 0
    expect(viewer.page.locator(".js-plotly-plot").first).to_be_visible()
    assert "Traceback" not in viewer.words()


def test_a_search_is_left_found_again_by_its_link_and_stopped(viewer: Viewer, browser: Browser, app: App) -> None:
    opened(viewer, "/Search")
    session = viewer.start("/Search", LONG, answer="7")
    until(lambda: busy_slots(app) == 1, "the answer")
    viewer.page.goto("about:blank")
    assert app.store.get_session(session).status == "running" and busy_slots(app) == 1
    with Viewer(browser, app) as other:
        other.open(session, path="/Search")
        expect(other.stop_button).to_be_visible()
        expect(other.page.get_by_label("Question", exact=True)).to_have_value(LONG)
        other.stop_button.click()
        until(lambda: busy_slots(app) == 0, "the server to stop writing", seconds=5)
        expect(other.page.get_by_role("button", name="Resume")).to_be_visible()
        other.check()
    stored = app.store.get_session(session)
    assert stored.status == "cancelled" and [c.status for c in stored.calls] == ["cancelled"]
    assert (stored.calls[0].completion_tokens or 0) > 0 and stored.calls[0].usage_estimated


def test_a_search_whose_server_is_killed_goes_on_with_a_new_one(viewer: Viewer, app: App) -> None:
    opened(viewer, "/Search")
    session = viewer.start("/Search", LONG, answer="7")
    until(lambda: busy_slots(app) == 1, "the answer")
    [killed] = app.servers()
    app.kill_server()
    until(lambda: app.servers() not in ([], [killed]) and busy_slots(app) == 1, "the answer of a new server")
    assert "Traceback" not in viewer.words()
    viewer.stop_button.click()
    until(lambda: app.has_ended(session), "the end")
    assert app.store.get_session(session).status == "cancelled"


def test_a_sweep_is_measured_to_its_end_and_its_files_are_offered(viewer: Viewer, app: App) -> None:
    opened(viewer, "/Elasticity")
    viewer.page.get_by_text("Grid, cost and hard caps").click()
    viewer.page.get_by_text("My own list").click()
    box = viewer.page.get_by_label("Tokens, with commas between")
    box.fill("40, 15")
    box.press("Tab")
    expect(viewer.main_button("/Elasticity")).to_be_enabled()
    session = viewer.start("/Elasticity", SUM, answer="4")
    until(lambda: app.has_ended(session), "the end of the sweep")
    view = view_of(app.store.get_session(session))
    assert isinstance(view, SweepView) and view.status == "done" and view.result is not None
    assert [p.budget for p in view.result.points if p.kind == "budget"] == [40, 15]
    expect(viewer.page.get_by_text(view.result.finding.split(". ")[0]).first).to_be_visible()
    with viewer.page.expect_download() as download:
        viewer.page.get_by_role("button", name="Save as CSV").click()
    assert "budget" in download.value.path().read_text(encoding="utf-8").splitlines()[0]
