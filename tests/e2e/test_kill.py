"""The embedded server, and the whole app, killed in the middle of an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tale_core.types import ANSWERS
from tests.e2e.app_process import App, Viewer, until
from tests.e2e.test_ask_live import LONG, PENS, wait_until_both_grow

pytestmark = [pytest.mark.browser, pytest.mark.model, pytest.mark.timeout(240)]


def test_a_killed_server_is_told_in_words_and_the_next_question_works(viewer: Viewer, app: App) -> None:
    viewer.open().limit_tokens(1500)
    session = viewer.ask(LONG, budget=900)
    wait_until_both_grow(viewer)
    app.kill_server()
    viewer.finish(session)
    words = viewer.words()
    assert "The local model server went away" in words or "model server" in words
    assert "Traceback" not in words and "Both answers failed" in words
    stored = app.store.get_session(session)
    assert stored.status == "failed" and all(c.status == "failed" and c.text for c in stored.calls)
    viewer.limit_tokens(40)
    again = viewer.ask(PENS, answer="48", budget=30)
    viewer.finish(again)
    assert app.store.get_session(again).status == "done"


def test_a_killed_app_leaves_an_interrupted_session_with_its_partial_text(
    browser: Browser, smollm_cache: Path, tmp_path: Path
) -> None:
    with App(tmp_path, cache=smollm_cache) as app:
        with Viewer(browser, app) as before:
            before.open().limit_tokens(1500)
            session = before.ask(LONG, budget=900)
            wait_until_both_grow(before)
            until(lambda: all(len(c.text) > 20 for c in app.store.get_session(session).calls), "stored text")
            app.kill()
        app.start()
        with Viewer(browser, app) as after:
            after.open(session)
            expect(after.page.get_by_text("This session was interrupted")).to_be_visible()
            stored = app.store.get_session(session)
            assert stored.status == "interrupted"
            for call in stored.calls:
                assert call.status == "interrupted" and len(call.text) > 20 and (call.completion_tokens or 0) > 0
                assert call.text.split()[0] in after.answer(call.role)
            assert {c.role for c in stored.calls} == set(ANSWERS)
            after.check()
