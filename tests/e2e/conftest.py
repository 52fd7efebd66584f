"""The app as a process and a real Chromium in front of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.app_process import App, Viewer
from tests.support.bad_endpoint import BadEndpoint
from tests.support.fixtures_model import smollm_cache

__all__ = ["smollm_cache"]

CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(p).exists()), None)
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        message = "These tests drive Chromium, which is not installed: apt-get install chromium"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGS, NOWHERE])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def app(smollm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app with the small model, shared by all tests that do not kill it."""
    with App(tmp_path_factory.mktemp("app"), cache=smollm_cache) as app:
        yield app


@pytest.fixture(scope="session")
def bad() -> Iterator[BadEndpoint]:
    with BadEndpoint() as server:
        yield server


@pytest.fixture
def viewer(browser: Browser, app: App) -> Iterator[Viewer]:
    """A person with a browser of their own, in front of the shared app."""
    with Viewer(browser, app) as viewer:
        yield viewer
        viewer.check()
