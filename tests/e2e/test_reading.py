"""Reading a result and handing it on: every mark of a chart opens its answer, and the card, its files and its link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tale_core.calls.recorder import CallView
from tale_core.elasticity.finding import sweep_finding
from tale_core.elasticity.view import SweepView
from tale_core.history.card import HIGH, WIDE
from tale_core.lessons.recorded import bundled
from tale_core.lessons.replay import whole
from tale_core.search.view import SearchView
from tests.e2e.app_process import App, Viewer, steady
from ui.ask.beside import under_budgets

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PAGE_OF = {"ask-en": "/", "search-en": "/Search", "sweep-rebound": "/Elasticity"}
# Where a mark of the chart lies on the screen; its axes may be logarithmic.
_AT = """
(chart, [trace, at]) => {
    const {_fullLayout: {xaxis, yaxis}, _fullData: data} = chart;
    const {x, y} = chart.getBoundingClientRect(), mark = data[trace];
    return [x + xaxis._offset + xaxis.d2p(mark.x[at]), y + yaxis._offset + yaxis.d2p(mark.y[at])];
}
"""
_MARKS = "chart => chart._fullData.map(d => (d.mode ?? '').includes('markers') ? Array.from(d.x) : [])"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, dict[str, str]]]:
    """The app over three recorded results, without any model, and the id of each."""
    folder = tmp_path_factory.mktemp("recorded")
    with App(folder, cache=folder / "cache", TALE_OFFLINE="1") as app:
        yield app, {name: app.store.create_session(bundled()[name].session).id for name in PAGE_OF}


def click_mark(viewer: Viewer, x: float) -> None:
    """Click the mark over this place of the first chart's horizontal axis."""
    chart = steady(viewer.page.locator(".js-plotly-plot").first)
    marks: list[list[float]] = chart.evaluate(_MARKS)
    trace = next(at for at, places in enumerate(marks) if x in places)
    viewer.page.mouse.click(*chart.evaluate(_AT, [trace, marks[trace].index(x)]))


def expect_beside(viewer: Viewer, vanilla: CallView, other: CallView) -> None:
    """Both answers stand side by side with what they took, and both prompts below them."""
    page = viewer.page
    expect(page.get_by_text("The two prompts, what differs marked")).to_be_visible()
    for role, call in (("vanilla", vanilla), ("budgeted", other)):
        expect(page.locator(f".st-key-answer_{role}")).to_contain_text(call.text.split()[0])
        expect(page.get_by_text(f"{call.record.completion_tokens:,} output tokens").first).to_be_visible()


def test_a_click_on_a_mark_opens_its_answer_beside_the_vanilla_one_and_a_rebound_says_why(
    browser: Browser, recorded: tuple[App, dict[str, str]]
) -> None:
    app, sessions = recorded
    search, sweep = (whole(bundled()[name]) for name in ("search-en", "sweep-rebound"))
    assert isinstance(search, SearchView) and isinstance(sweep, SweepView) and sweep.result is not None
    with Viewer(browser, app) as viewer:
        page = viewer.page
        viewer.open(sessions["search-en"], path="/Search")
        probe = search.steps[2]
        click_mark(viewer, probe.index)
        opened = next(c for c in search.calls if c.record.role == "probe" and c.record.level == probe.budget)
        expect_beside(viewer, search.calls[0], opened)
        viewer.open(sessions["sweep-rebound"], path="/Elasticity")
        budget = sorted(sweep.plan.budgets)[1]
        click_mark(viewer, budget)
        found = [c for c in under_budgets(sweep) if c.record.level == budget]
        expect_beside(viewer, next(c for c in sweep.calls if c.record.role == "vanilla"), found[0])
        steady(page.get_by_text("Why did it cost more?")).click()
        box = page.get_by_test_id("stExpander").filter(has_text="Why did it cost more?")
        expect(box.locator(".stMarkdownColoredBackground").first).to_be_visible()
        rebound = sweep.result.rebound
        assert rebound is not None
        for one in (rebound.budget, rebound.turning):
            expect(box).to_contain_text(f"Budget {one}")
        viewer.check()


def test_a_card_is_saved_whole_as_png_and_svg_and_its_copied_link_opens_the_result(
    browser: Browser, recorded: tuple[App, dict[str, str]], tmp_path: Path
) -> None:
    app, sessions = recorded
    allowed = ["clipboard-read", "clipboard-write"]
    with Viewer(browser, app, accept_downloads=True, permissions=allowed) as viewer:
        card = shared(viewer, sessions, "ask-en")
        with Image.open(saved(viewer, card, "Save as PNG", tmp_path)) as image:
            assert image.size == (2 * WIDE, 2 * HIGH)
            colors = image.convert("RGB").getcolors(2**24)  # Reads it whole; an empty picture has one colour.
            assert colors is not None and len(colors) > 50
        card = shared(viewer, sessions, "search-en")
        root = ElementTree.parse(saved(viewer, card, "Save as SVG", tmp_path)).getroot()
        words = " ".join("".join(root.itertext()).split())
        assert "qwen2.5-coder-1.5b" in words and "2026" in words
        card = shared(viewer, sessions, "sweep-rebound")
        steady(card.get_by_role("button", name="Copy link")).click()
        expect(card.get_by_role("button", name="✓ Copy link")).to_be_visible()
        link = viewer.page.evaluate("navigator.clipboard.readText()")
        assert link.startswith(f"{app.url}/Elasticity?") and sessions["sweep-rebound"] in link
        viewer.check()
    with Viewer(browser, app) as other:
        other.page.goto(link)
        view = whole(bundled()["sweep-rebound"])
        assert isinstance(view, SweepView)
        expect(other.page.get_by_label("Question", exact=True)).to_have_value(view.question.text)
        expect(other.page.get_by_text(sweep_finding(view)).first).to_be_visible()
        told = other.page.locator(".st-key-provenance")
        for fact in (view.model, "on this machine", "temperature", "2026", "are not here: the form asks"):
            expect(told).to_contain_text(fact)
        other.check()


def shared(viewer: Viewer, sessions: dict[str, str], name: str) -> Locator:
    """The unfolded card of a recorded result."""
    viewer.open(sessions[name], path=PAGE_OF[name])
    card = viewer.page.locator(".st-key-card")
    steady(card.get_by_text("Share", exact=True)).click()
    return card


def saved(viewer: Viewer, card: Locator, label: str, folder: Path) -> Path:
    with viewer.page.expect_download() as download:
        steady(card.get_by_role("button", name=label)).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path
