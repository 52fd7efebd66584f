"""The app as a process that a test can start, read and kill, and a person in front of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import psutil
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tale_core.errors import NotFoundError
from tale_core.models.embedded.run_folder import ServerState
from tale_core.settings import REPO_ROOT, Settings
from tale_core.store import Store, open_store
from tests.support.fixtures_model import TEST_MODEL, THREADS

PATIENCE_S = 60.0
expect.set_options(timeout=PATIENCE_S * 1000)
CUSTOM = "Another address"


def until(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.03)


def steady(locator: Locator, *, seconds: float = PATIENCE_S) -> Locator:
    """The locator, once it has stood still in view for a third of a second: a box that unfolds swallows a click."""
    locator.scroll_into_view_if_needed()
    boxes: list[Any] = []

    def still() -> bool:
        boxes.append(locator.bounding_box())
        return len(boxes) > 10 and all(box == boxes[-1] for box in boxes[-10:])

    until(still, "it to stand still", seconds=seconds)
    return locator


class App:
    """`streamlit run app.py` on a free port with folders of its own."""

    def __init__(self, folder: Path, *, cache: Path, **env: str) -> None:
        self.data = folder / "data"
        self.log = folder / "app.log"
        self._cache = cache
        self._env = env
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def store(self) -> Store:
        return open_store(settings=Settings(data_dir=self.data))

    def has_ended(self, session: str) -> bool:
        try:
            return self.store.get_session(session).status != "running"
        except NotFoundError:  # It is written a moment after its address is shown.
            return False

    def start(self) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("TALE_") and not k.endswith("_API_KEY")}
        env |= {"TALE_DATA_DIR": str(self.data), "TALE_CACHE_DIR": str(self._cache), "TALE_MODEL": TEST_MODEL}
        env |= {"TALE_SERVER_IDLE_S": "1", "TALE_SERVER_THREADS": THREADS, **self._env}
        env = {name: value for name, value in env.items() if value}  # An empty one takes a default away.
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self._port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=REPO_ROOT, env=env, stdout=log, stderr=log)
        until(self._answers, "the app")

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """As the system does when memory is short: no clean-up at all."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def servers(self) -> list[ServerState]:
        """The embedded servers of this app that run."""
        found = []
        for path in (self.data / "run").glob("*/state.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.append(ServerState(**json.loads(path.read_text())))
        return [s for s in found if s.is_alive()]

    def kill_server(self) -> None:
        (state,) = self.servers()
        os.kill(state.pid, signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for state in self.servers():
            with contextlib.suppress(psutil.Error):
                psutil.Process(state.pid).kill()
        with contextlib.suppress(Exception):
            self.store.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# Opened by a deep link, Streamlit first looks for its own server below the page's path, is told 404, and goes one up.
_PROBE = re.compile(r"/[A-Z][a-z]+/_stcore/(health|host-config)$")
READY = {
    "/": "^Ask( |$|\\W)", "/Search": "^Search", "/Elasticity": "^Measure", "/Experiments": "^Run",
    "/History": "^Delete",
}  # fmt: skip
"""What a page's main button is called."""


class Viewer:
    """One browser context: its page, and everything that went wrong or went elsewhere in it."""

    def __init__(self, browser: Browser, app: App, **context: Any) -> None:
        self.app = app
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda e: self._complain(f"page error: {e}"))
        self.page.on("dialog", lambda d: (self._complain(f"dialog: {d.message}"), d.dismiss()))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)
        self.context.on("request", self._asked)

    def _complain(self, words: str, bad: bool = True) -> None:
        if bad:
            self.complaints.append(words)

    def _said(self, message: ConsoleMessage) -> None:
        own = _PROBE.search(message.location.get("url", ""))
        self._complain(f"console {message.type}: {message.text}", message.type in ("error", "warning") and not own)

    def _failed(self, request: Request) -> None:
        if request.failure == "csp" and request.url in self.elsewhere:
            self.elsewhere.remove(request.url)  # The page's own policy refused it: nobody was asked.
        # A page that is left takes its requests with it.
        self._complain(f"failed: {request.url} {request.failure}", request.failure != "net::ERR_ABORTED")

    def _answered(self, response: Response) -> None:
        self._complain(f"{response.status}: {response.url}", response.status >= 400 and not _PROBE.search(response.url))

    def _asked(self, request: Request) -> None:
        """Watched, not routed: a routed page is never cached, and opening the next took twice the processor."""
        if not request.url.startswith((self.app.url + "/", "data:", "blob:")):
            self.elsewhere.append(request.url)

    def check(self) -> None:
        """Nothing was complained about, and nobody but the app was asked for anything."""
        assert not self.elsewhere, self.elsewhere
        assert not self.complaints, self.complaints

    def open(self, session: str = "", *, path: str = "/") -> Self:
        self.page.goto(self.app.url + path + (f"?session={session}" if session else ""))
        if path in READY:
            expect(self.main_button(path)).to_be_visible()
        else:
            expect(self.page.get_by_text("Sampling").first).to_be_visible()
        return self

    def main_button(self, path: str) -> Locator:
        return self.page.get_by_role("button", name=re.compile(READY[path])).first

    @property
    def ask_button(self) -> Locator:
        return self.main_button("/")

    @property
    def stop_button(self) -> Locator:
        return self.page.get_by_role("button", name=re.compile("^Stop"))

    @property
    def session(self) -> str:
        return parse_qs(urlsplit(self.page.url).query).get("session", [""])[0]

    def answer(self, role: str) -> str:
        return self.page.locator(f".st-key-answer_{role}").inner_text()

    def words(self) -> str:
        return self.page.locator("body").inner_text()

    def type_question(self, question: str, *, answer: str = "", budget: int | None = None) -> None:
        self.page.get_by_label("Question", exact=True).fill(question)
        self.page.get_by_label("Known answer", exact=True).fill(answer)
        self.page.get_by_label("Known answer", exact=True).press("Tab")
        if budget is not None:
            self.choose("Budget", "I set it")
            self.page.get_by_label("Tokens", exact=True).fill(str(budget))
            self.page.get_by_label("Tokens", exact=True).press("Tab")

    def choose(self, label: str, option: str) -> None:
        box = self.page.get_by_role("combobox", name=re.compile(label)).first
        found = self.page.get_by_role("option", name=option).first
        for _ in range(4):  # A page that is drawn anew closes the list; a person opens it again.
            box.click()
            with contextlib.suppress(PlaywrightTimeoutError):
                found.click(timeout=5_000)
                return
            self.page.keyboard.press("Escape")
        found.click()

    def ask(self, question: str, *, answer: str = "", budget: int | None = None) -> str:
        """Ask, and return the session's id once it runs."""
        self.type_question(question, answer=answer, budget=budget)
        return self.started_by(self.ask_button)

    def start(self, path: str, question: str, *, answer: str = "") -> str:
        """Start the job of another page, and return the session's id once it runs."""
        self.type_question(question, answer=answer)
        return self.started_by(self.main_button(path))

    def started_by(self, button: Locator) -> str:
        """Click what starts a job, and return the session's id once the address has it."""
        before = self.session
        button.click()
        self.page.wait_for_function(
            "before => (new URL(location).searchParams.get('session') ?? '') != before", arg=before
        )
        return self.session

    def use_endpoint(self, url: str, model: str, key: str = "") -> None:
        """Through the Settings page, as a person does."""
        self.go("Settings")
        expect(self.page.get_by_text("Prompt template", exact=True)).to_be_visible()
        self.choose("Endpoint", CUSTOM)
        # The preset's own field lingers for a moment; what is typed into it is lost.
        expect(self.page.locator("input[aria-label=Address][value*='api.openai.com']")).to_have_count(0)
        self.page.get_by_label("Address", exact=True).fill(url)
        self.page.get_by_label("Address", exact=True).press("Tab")
        box = self.page.get_by_role("combobox", name=re.compile("Model")).first
        box.fill(model)
        box.press("Enter")
        if key:
            self.page.get_by_label("API key", exact=True).fill(key)
            self.page.get_by_label("API key", exact=True).press("Tab")
        self.page.get_by_role("button", name="Use this endpoint").click()
        expect(self.ask_button).to_be_visible()

    def go(self, page: str) -> None:
        """Click a page's name in the sidebar, which a phone hides until it is asked for."""
        sidebar = self.page.get_by_test_id("stSidebar")
        if sidebar.get_attribute("data-collapsed") == "true":
            self.page.get_by_test_id("stExpandSidebarButton").click()
        sidebar.get_by_role("link", name=page, exact=True).click()
        if (self.page.viewport_size or {"width": 0})["width"] < 768 and sidebar.get_attribute(
            "data-collapsed"
        ) != "true":
            self.page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()

    def limit_tokens(self, max_tokens: int) -> None:
        """Set max_tokens in Settings, and come back."""
        self.go("Settings")
        box = self.page.get_by_label("max_tokens", exact=True)
        box.fill(str(max_tokens))
        box.press("Tab")
        self.go("Ask")
        expect(self.ask_button).to_be_visible()

    def finish(self, session: str, *, seconds: float = 90) -> None:
        """Wait until the session has ended and the page shows it."""
        until(lambda: self.app.has_ended(session), "the end of the session", seconds=seconds)
        expect(self.page.get_by_role("button", name="Ask again with this budget")).to_be_visible()

    def finish_study(self, session: str, *, seconds: float = 90) -> None:
        """Wait until a search or sweep has ended and the page shows it."""
        until(lambda: self.app.has_ended(session), "the end of the session", seconds=seconds)
        expect(self.page.get_by_role("button", name="Save as JSON")).to_be_visible()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.context.close()
