"""A stranger, a rebinding name and another site's pages, each in a real browser whose owner is signed in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tale_core.access.keys import load_keys
from tale_core.types import Question
from tests.e2e.app_process import App
from tests.e2e.conftest import ARGS, CHROMIUM
from tests.store import samples

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SECRET = "What only the owner asked"
ATTACK = """async ([app, session]) => {
  const refused = (promise) => promise.then(() => "done", () => "refused");
  const socket = new Promise((done, refuse) => {
    const one = new WebSocket(app.replace("http", "ws") + "/_stcore/stream", ["streamlit"]);
    one.onopen = done; one.onerror = refuse;
  });
  const frame = document.createElement("iframe");
  frame.name = "framed"; frame.src = app + "/?session=" + session;
  document.body.append(frame);
  const loaded = new Promise((done) => { frame.onload = done; frame.onerror = done; });
  const read = fetch(app + "/_stcore/host-config", {credentials: "include"}).then((r) => r.text());
  const put = fetch(app + "/_stcore/upload_file/x", {method: "PUT", body: "x", credentials: "include"});
  const found = await Promise.all([refused(socket), refused(read), refused(put)]);
  await loaded;
  return found;
}"""


class _Page(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>Another site</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def other_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_strangers_a_rebinding_name_and_other_sites_get_nothing_of_a_signed_in_owner(
    browser: Browser, tmp_path: Path, other_port: int
) -> None:
    with App(tmp_path, cache=tmp_path / "cache", TALE_OWNER_TOKEN="on", TALE_OFFLINE="1") as app:
        session = app.store.create_session(samples.session(question=Question(SECRET), status="done")).id
        evil = f"evil.example:{urlsplit(app.url).port}"
        rules = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP other.example 127.0.0.1"
        real = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGS, rules])
        try:
            owner = real.new_context().new_page()
            owner.goto(f"{app.url}/?token={load_keys(app.data).token}&session={session}")
            expect(owner.get_by_text(SECRET).first).to_be_visible()

            stranger = real.new_context().new_page()
            for path in (f"/?session={session}", "/History", "/?token=a-guess"):
                answer = stranger.goto(app.url + path)
                assert answer is not None and answer.status in (401, 403)
                expect(stranger.get_by_text("printed at its start")).to_be_visible()
                assert SECRET not in stranger.content()

            answer = owner.goto(f"http://{evil}/?token={load_keys(app.data).token}&session={session}")
            assert answer is not None and answer.status == 421 and SECRET not in owner.content()

            for site in (f"http://127.0.0.1:{other_port}", f"http://other.example:{other_port}"):
                owner.goto(site)
                assert owner.evaluate(ATTACK, [app.url, session]) == ["refused"] * 3, site
                framed = owner.frame("framed")
                assert framed is None or SECRET not in framed.content(), site
                assert "streamlit" not in (framed.content().lower() if framed else ""), site
            owner.goto(f"{app.url}/?session={session}")
            expect(owner.get_by_text(SECRET).first).to_be_visible()
        finally:
            real.close()
