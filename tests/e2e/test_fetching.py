"""While weights are being fetched the page is there, says how far they are, and endpoints work."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tale_core.models.embedded.catalog import embedded_model
from tests.e2e.app_process import App, Viewer
from tests.support.bad_endpoint import BadEndpoint

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
MODEL = "qwen2.5-coder-1.5b"


@pytest.fixture
def slow_hub() -> Iterator[str]:
    """A hub that sends two hundredths of the file and then a little every moment.

    Its bytes are zeros; the test is over before a whole segment of them could be found wrong.
    """
    size, ended = embedded_model(MODEL).size, threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes 0-{size - 1}/{size}")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            piece = bytes(1 << 16)
            for number in range(size // len(piece)):
                if ended.wait(0 if number * len(piece) < size // 50 else 0.2):
                    return
                try:
                    self.wfile.write(piece)
                except OSError:
                    return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_page_is_there_while_weights_are_fetched_and_an_endpoint_can_be_asked(
    browser: Browser, tmp_path: Path, slow_hub: str, bad: BadEndpoint
) -> None:
    # Were the hub passed over, nothing else would be asked.
    nowhere = {"PIP_NO_INDEX": "1", "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    with (
        App(tmp_path, cache=tmp_path / "empty", TALE_MODEL=MODEL, HF_ENDPOINT=slow_hub, **nowhere) as app,
        Viewer(browser, app) as viewer,
    ):
        viewer.open()
        told = viewer.page.locator(".st-key-model_status")
        bar = told.get_by_role("progressbar")
        expect(bar).to_be_visible()
        expect(told).to_contain_text(re.compile(r"from the publisher's hub: [\d,.]+ MB of 1,117 MB"))
        expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d?$"))
        expect(told).to_contain_text("use an endpoint from Settings, meanwhile")
        expect(told).not_to_have_text(told.inner_text())  # It moves.
        expect(viewer.page.get_by_role("progressbar")).to_have_count(1)  # One account of one download.
        viewer.use_endpoint(bad.base_url, "ok")
        session = viewer.ask("What is six times seven?", answer="42")
        viewer.finish(session)
        assert app.store.get_session(session).status == "done"
        viewer.check()
