"""A class in two real browsers: the owner by the link of the start, and a student who cannot leave the class."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tale_core.access.keys import load_keys
from tale_core.types import Question
from tests.e2e.app_process import App, Viewer
from tests.store import samples

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SECRET = "What only I may ask?"


def test_a_student_sees_the_class_and_nothing_of_the_owners(browser: Browser, tmp_path: Path) -> None:
    with App(tmp_path, cache=tmp_path / "cache", TALE_ACCESS="class", TALE_OFFLINE="1") as app:
        session = app.store.create_session(samples.session(question=Question(SECRET), status="done"))
        with Viewer(browser, app) as owner, Viewer(browser, app) as student:
            page = owner.page
            page.goto(f"{app.url}/Class?token={load_keys(app.data).token}")
            page.get_by_role("button", name="Open a room").click()
            expect(page.get_by_role("heading", name=re.compile("Room "))).to_be_visible()
            assert "token" not in page.url
            code = parse_qs(urlsplit(page.url).query)["room"][0]
            expect(page.locator(".st-key-join-code img")).to_be_visible()

            theirs = student.page
            for path in (f"/?session={session.id}", "/History", "/Settings", "/Label?annotator=Ada"):
                theirs.goto(app.url + path)
                expect(theirs.get_by_text("Join your class")).to_be_visible()
                assert SECRET not in theirs.locator("body").inner_text()
            expect(theirs.get_by_test_id("stSidebar").get_by_role("link")).to_have_count(1)
            theirs.get_by_label("Code on the teacher's screen").fill(code)
            theirs.get_by_role("button", name="Join the class").click()
            theirs.get_by_label("Your nickname").fill("Noor")
            theirs.get_by_role("button", name="Join").click()
            expect(theirs.get_by_text("Wait for your teacher")).to_be_visible()
            expect(page.get_by_role("cell", name="Noor")).to_be_visible()
            theirs.goto(f"{app.url}/Class?room={code}")
            expect(theirs.get_by_text("Wait for your teacher")).to_be_visible()

            page.get_by_role("button", name="Take a seat away").click()
            page.get_by_role("button", name="Take it away").click()
            expect(theirs.get_by_text("has taken your seat away")).to_be_visible()
            page.goto(app.url)
            expect(page.get_by_text(SECRET).first).to_be_visible()
            assert student.elsewhere == owner.elsewhere == []
