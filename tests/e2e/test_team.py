"""A team in real browsers: by OpenID Connect, by a password, and what neither lets anybody do to the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tale_core.access.accounts import Accounts
from tale_core.access.who import Asker, asking_as
from tale_core.types import Question
from tests.e2e.app_process import App
from tests.store import samples
from tests.support.oidc_provider import OidcProvider

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
ADA, PASSWORD, SECRET = "ada@example.org", "correct horse battery", "What only Ada asked"
PEOPLE = {
    "Ada": {"email": ADA, "email_verified": True},
    "Eve": {"email": ADA, "email_verified": False},
    "Mallory": {"email": "mallory@example.org", "email_verified": True},
}


def by_provider(browser: Browser, app: App, name: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(f"{app.url}/History")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name=name).click()
    return page


def test_a_team_signs_in_by_its_provider_or_a_password_and_each_sees_their_own(
    browser: Browser, tmp_path: Path
) -> None:
    app = App(tmp_path, cache=tmp_path / "cache", TALE_ACCESS="team", TALE_OFFLINE="1", HOME=str(tmp_path))
    accounts = Accounts(app.data)
    accounts.put(ADA, "member", None)
    accounts.put("Ben", "member", PASSWORD)
    with OidcProvider(PEOPLE) as provider:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "secrets.toml").write_text(provider.secrets_toml(app.url))
        with app, asking_as(Asker("member", ADA)):
            session = app.store.create_session(samples.session(question=Question(SECRET), status="done")).id

            ada = by_provider(browser, app, "Ada")
            expect(ada.get_by_test_id("stSidebar").get_by_text(re.compile("ada.*example"))).to_be_visible()
            ada.goto(f"{app.url}/History")
            expect(ada.get_by_role("link", name=SECRET)).to_be_visible()

            for name in ("Eve", "Mallory"):  # An address that nobody verified, and one without an account.
                stranger = by_provider(browser, app, name)
                expect(stranger.get_by_text("have no account here")).to_be_visible()
                stranger.goto(f"{app.url}/?session={session}")
                expect(stranger.get_by_text("have no account here")).to_be_visible()
                assert SECRET not in stranger.locator("body").inner_text()

            ben = browser.new_context().new_page()
            ben.goto(app.url)
            ben.get_by_role("link", name="With a name and password").click()
            ben.get_by_role("link", name="\u4e2d\u6587").click()
            expect(ben.get_by_role("button", name="\u767b\u5f55")).to_be_visible()
            ben.get_by_role("link", name="English").click()
            for password in ("a wrong password", PASSWORD):
                ben.get_by_label("Name").fill("Ben")
                ben.get_by_label("Password").fill(password)
                ben.get_by_role("button", name="Sign in").click()
            expect(ben.get_by_test_id("stSidebar").get_by_text("Ben")).to_be_visible()
            for path in (f"/?session={session}", "/History", f"/Label?annotator={ADA}"):
                ben.goto(app.url + path)
                expect(ben.get_by_test_id("stSidebar").get_by_text("Ben")).to_be_visible()
                assert SECRET not in ben.locator("body").inner_text()
            ada.get_by_role("checkbox").first.check(force=True)
            ada.get_by_role("button", name="Who sees it").click()
            ada.locator(".st-key-hist_share_people button", has_text="Ben").click()
            ada.get_by_role("button", name="Share with them").click()
            expect(ada.get_by_text("shared with Ben")).to_be_visible()
            ben.goto(f"{app.url}/?session={session}")
            expect(ben.get_by_text(SECRET).first).to_be_visible()
            ben.get_by_role("link", name="Sign out").click()
            ben.goto(f"{app.url}/?session={session}")
            expect(ben.get_by_role("button", name="Sign in")).to_be_visible()
            assert SECRET not in ben.locator("body").inner_text()
        assert provider.refused == []
