"""What a hostile endpoint sends is text: nothing runs, nothing is fetched, the page stays alive."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tale_core.types import ANSWERS
from tests.e2e.app_process import App, Viewer, until
from tests.support.bad_endpoint import BadEndpoint

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
CANARY = "canary-91d4e7a0c35f4b28-ZzTtRrWw"


def test_hostile_output_is_shown_as_plain_text(viewer: Viewer, bad: BadEndpoint, app: App) -> None:
    viewer.open().use_endpoint(bad.base_url, "hostile")
    viewer.finish(viewer.ask("What is six times seven? $5 and $6", answer="42", budget=20))
    for role in ANSWERS:
        shown = viewer.answer(role)
        for piece in ("<script>alert(1)</script>", "![pixel](http://127.0.0.1:9/pixel.png)", "costs $5 and $x^2$"):
            assert piece in shown
        assert "⟨U+202E⟩" in shown and "\u202e" not in shown and len(shown) < 25_000
        box = viewer.page.locator(f".st-key-answer_{role}")
        assert box.locator("script, img, a, .katex").count() == 0
    # It still answers to a person.
    viewer.page.get_by_label("Known answer", exact=True).fill("43")
    viewer.page.get_by_label("Known answer", exact=True).press("Tab")
    viewer.page.get_by_text("How it runs").click()
    expect(viewer.page.get_by_text("Guess first")).to_be_visible()


def test_a_typed_key_is_nowhere_afterwards(viewer: Viewer, bad: BadEndpoint, app: App) -> None:
    pages = []
    for model in ("ok", "401"):
        viewer.open().use_endpoint(bad.base_url, model, CANARY)
        session = viewer.ask("What is six times seven?", answer="42", budget=20)
        viewer.finish(session)
        pages += [viewer.page.content(), viewer.words(), viewer.page.url]
        pages.append(str(app.store.export_session(session)))
    assert sum(CANARY in r.headers.get("authorization", "") for r in bad.requests) >= 4
    for page in pages:
        assert CANARY not in page and CANARY[:14] not in page
    assert_nowhere(app.data, CANARY)
    assert CANARY not in app.log.read_text() and CANARY[:14] not in app.log.read_text()
    storage = viewer.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert CANARY not in storage


def test_no_page_frames_the_app_and_no_script_of_elsewhere_runs_in_it(browser: Browser, app: App) -> None:
    with Viewer(browser, app) as viewer:
        viewer.page.set_content(f"<iframe src='{app.url}'></iframe>")
        until(lambda: any("frame-ancestors" in one or "X-Frame" in one for one in viewer.complaints), "the refusal")
        viewer.page.goto(app.url)
        viewer.page.evaluate(
            "() => { for (const how of [s => s.textContent = 'window.ran = 1', s => s.src = 'http://127.0.0.1:9/x.js'])"
            " { const s = document.createElement('script'); how(s); document.body.append(s) } }"
        )
        until(lambda: sum("script-src" in one for one in viewer.complaints) >= 2, "both scripts to be refused")
        assert viewer.page.evaluate("window.ran") is None and viewer.elsewhere == []


def assert_nowhere(folder: Path, secret: str) -> None:
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert any(p.name == "tale.db" for p in files)
    for path in files:
        assert secret[:14].encode() not in path.read_bytes(), path
