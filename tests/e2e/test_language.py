"""The switch of languages in a real browser: what it changes, and what it must not."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.app_process import App, Viewer

pytestmark = pytest.mark.browser


def test_a_switch_keeps_what_was_typed_and_chosen_and_the_address_tells_the_language(
    browser: Browser, app: App
) -> None:
    with Viewer(browser, app, locale="zh-CN") as viewer:
        page = viewer.page
        page.goto(f"{app.url}/Search")
        expect(page.get_by_text("仍然可用的最小预算是多少？")).to_be_visible()  # The browser's own language.
        page.get_by_label("已知答案", exact=True).fill("42")
        page.get_by_label("已知答案", exact=True).press("Tab")
        viewer.choose("模式", "论文：二分")
        page.get_by_text("English", exact=True).click()
        expect(page.get_by_text("What is the smallest budget that still works?")).to_be_visible()
        mode = page.get_by_role("combobox", name="Mode", exact=True)
        expect(mode).to_have_value("Paper: bisection")
        expect(page.get_by_label("Known answer", exact=True)).to_have_value("42")
        viewer.go("Elasticity")
        expect(page.get_by_text("What happens when it is asked for less?")).to_be_visible()
        expect(viewer.main_button("/Elasticity")).to_be_visible()  # Drawn last: the page is whole.
        assert page.url.endswith("/Elasticity?lang=en")
        viewer.go("Search")
        expect(mode).to_have_value("Paper: bisection")
        page.reload()
        expect(page.get_by_text("What is the smallest budget that still works?")).to_be_visible()
        viewer.check()
