"""A class joined from another machine, which here is another network namespace: by what its QR code carries."""

from __future__ import annotations

import base64
import io
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tale_core.access.keys import load_keys
from tale_core.access.opening import qr_png
from tests.e2e.app_process import App, Viewer
from tests.e2e.conftest import ARGS, CHROMIUM

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A network namespace with a cable to this one, through which it reaches what this one listens on."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making a network namespace takes root and iproute2")
    name, net = f"tale-{secrets.token_hex(3)}", f"10.213.{secrets.randbelow(250)}"
    here, there = f"{name[-6:]}a", f"{name[-6:]}b"
    try:
        ip("netns", "add", name)
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
    except subprocess.CalledProcessError as e:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20, check=False)
        pytest.skip(f"no network namespace can be made here: {e.stderr.decode()[:200]}")
    try:
        ip("addr", "add", f"{net}.1/24", "dev", here)
        ip("link", "set", here, "up")
        cable = (
            ("addr", "add", f"{net}.2/24", "dev", there),
            ("link", "set", there, "up"),
            ("link", "set", "lo", "up"),
        )
        for words in (*cable, ("route", "add", "default", "via", f"{net}.1")):
            ip("-n", name, *words)
        yield name
    finally:
        ip("netns", "del", name)  # The cable goes with it.


def room_opened(page: Page, app: App) -> str:
    """The address that the room's QR code carries."""
    page.goto(f"{app.url}/Class?token={load_keys(app.data).token}")
    page.get_by_role("button", name="Open a room").click()
    address = page.locator(".st-key-join-code code").inner_text().strip()
    shown = page.locator(".st-key-join-code img").get_attribute("src") or ""
    assert_same_picture(base64.b64decode(shown.removeprefix("data:image/png;base64,")), qr_png(address))
    return address


def assert_same_picture(shown: bytes, wanted: bytes) -> None:
    """Streamlit shrinks and packs a picture anew: point by point, whether it is the same black and white."""
    one = Image.open(io.BytesIO(shown)).convert("L")
    other = Image.open(io.BytesIO(wanted)).convert("L").resize(one.size)
    points = list(zip(one.tobytes(), other.tobytes(), strict=True))
    assert sum((a < 128) != (b < 128) for a, b in points) < 0.05 * len(points)


def test_a_class_is_joined_from_another_machine_by_the_address_that_its_qr_code_carries(
    browser: Browser, tmp_path: Path, elsewhere: str
) -> None:
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\nexec ip netns exec {elsewhere} {CHROMIUM} "$@"\n')
    script.chmod(0o755)
    app = App(
        tmp_path, cache=tmp_path / "cache", TALE_ACCESS="class", TALE_OFFLINE="1", STREAMLIT_SERVER_ADDRESS="0.0.0.0"
    )
    with app, Viewer(browser, app) as teacher:
        address = room_opened(teacher.page, app)
        assert "127.0.0.1" not in address and "localhost" not in address
        there = browser.browser_type.launch(executable_path=script, args=ARGS)
        try:
            page = there.new_page()
            page.goto(address)
            page.get_by_label("Your nickname").fill("Noor")
            page.get_by_role("button", name="Join").click()
            expect(page.get_by_text("Wait for your teacher")).to_be_visible()
            expect(teacher.page.get_by_role("cell", name="Noor")).to_be_visible()
            page.goto(address.replace("/Class", "/History"))
            expect(page.get_by_text("Join your class")).to_be_visible()
        finally:
            there.close()
