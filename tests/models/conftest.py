"""A made-up model, a hub and a pip of our own making, so that fetching is tested without any network."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tale_core.models.embedded.catalog import EmbeddedModel, WheelPart
from tale_core.models.embedded.server import ServerInfo, ensure_server, lease, stop_server
from tale_core.models.weights import wheels as weights_wheels
from tale_core.settings import get_settings
from tests.support.fixtures_model import TEST_MODEL, smollm_cache

__all__ = ["smollm_cache"]


@pytest.fixture(scope="module")
def one_server(
    smollm_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServerInfo, dict[str, str]]]:
    """The small model's server, started once for the tests of a file that only ask it, and where it is found."""
    found = {
        "TALE_DATA_DIR": str(tmp_path_factory.mktemp("server")), "TALE_CACHE_DIR": str(smollm_cache),
        "TALE_SERVER_CONTEXT": "1024", "TALE_SERVER_SLOTS": "2", "TALE_SERVER_THREADS": "1",
        "SOME_API_KEY": "a-key-of-the-user",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        for name, value in found.items():
            patched.setenv(name, value)
        get_settings.cache_clear()
        with lease(TEST_MODEL):
            yield ensure_server(TEST_MODEL), found
        get_settings.cache_clear()
        stop_server(TEST_MODEL)
    get_settings.cache_clear()


@pytest.fixture
def asked_server(one_server: tuple[ServerInfo, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> ServerInfo:
    """That server, found by this test as well."""
    info, found = one_server
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    return info


CONTENT = random.Random(7).randbytes(1_000_003)
PART = 300_000

FAKE_PIP = """
import json, os, pathlib, shutil, sys, time
project, dest, store = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
with (store / "calls.log").open("a") as log:
    log.write(project + "\\n")
wheel = store / f"{project}.whl"
if not wheel.exists():
    print("Looking in indexes: https://user:secret@index.example/simple")
    print(f"ERROR: No matching distribution found for {project} at https://user:secret@index.example/simple")
    sys.exit(1)
temp = pathlib.Path(os.environ["TMPDIR"]) / "pip-unpack-x"
temp.mkdir()
data = wheel.read_bytes()
with (temp / "it.whl").open("wb") as out:
    out.write(data[: len(data) // 2])
    out.flush()
    deadline = time.monotonic() + 30
    while (store / f"{project}.hold").exists() and time.monotonic() < deadline and temp.exists():
        time.sleep(0.02)
    out.write(data[len(data) // 2 :])
shutil.move(temp / "it.whl", dest / f"{project}-1-py3-none-any.whl")
"""

DRIVER = """
import json, pathlib, sys
from tale_core.models.weights import fetch as weights
from tale_core.models.weights import part_file as weights_part
from tale_core.models.weights import wheels as weights_wheels
from tale_core.models.embedded.catalog import EmbeddedModel, WheelPart
given = json.loads(pathlib.Path(sys.argv[1]).read_text())
entry = given["model"]
model = EmbeddedModel(**{**entry, "wheels": tuple(WheelPart(**w) for w in entry["wheels"])})
weights_part.SAVE_EVERY = 4096
weights_wheels.pip_command = lambda w, d: [sys.executable, "-S", "-E", given["pip"], w.project, str(d), given["store"]]
phases = []
path = weights.ensure_weights(model, progress=lambda p: phases.append(p.phase))
print(json.dumps({"path": str(path), "phases": sorted(set(phases))}))
"""


@dataclass
class Hub:
    """A hub on loopback; `mode` says how it behaves."""

    url: str = ""
    content: bytes = CONTENT
    mode: str = "ranges"
    limit: int = 10**9
    """Bytes sent in one answer before the connection is cut, or held while `held` is set."""
    held: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        hub = self.hub
        hub.asked.append(self.headers.get("Range", ""))
        if hub.mode == "404":
            return self.send_error(404)
        if hub.mode == "hang":
            hub.held.wait(20)
            return None
        first, last = 0, len(hub.content) - 1
        if hub.mode != "no-ranges" and (asked := self.headers.get("Range")):
            low, high = asked.removeprefix("bytes=").split("-")
            first, last = int(low), min(int(high), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(hub.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        body = hub.content[first : last + 1]
        self.wfile.write(body[: hub.limit])
        self.wfile.flush()
        if hub.mode == "hold-midway":
            hub.held.wait(20)
        return None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.held.set()
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Index:
    """A package index: wheels in a folder, and a pip that hands them out."""

    store: Path
    pip: Path

    def calls(self) -> list[str]:
        log = self.store / "calls.log"
        return log.read_text().split() if log.exists() else []

    def put(self, wheel: WheelPart, data: bytes) -> None:
        with zipfile.ZipFile(self.store / f"{wheel.project}.whl", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(wheel.member, data)
            archive.writestr("other/__init__.py", "raise RuntimeError('never imported')")

    def hold(self, project: str) -> Path:
        """Keep this wheel from finishing while the returned file exists."""
        path = self.store / f"{project}.hold"
        path.touch()
        return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: EmbeddedModel) -> Index:
    store = tmp_path / "index"
    store.mkdir()
    pip = tmp_path / "fake_pip.py"
    pip.write_text(FAKE_PIP)

    def command(wheel: WheelPart, dest: Path) -> list[str]:
        return [sys.executable, "-S", "-E", str(pip), wheel.project, str(dest), str(store)]

    monkeypatch.setattr(weights_wheels, "pip_command", command)
    made = Index(store, pip)
    for number, wheel in enumerate(model.wheels):
        made.put(wheel, CONTENT[number * PART : (number + 1) * PART])
    return made


@pytest.fixture
def model() -> EmbeddedModel:
    """A model of a megabyte in four parts, on a hub and in wheels."""
    pieces = [CONTENT[i : i + PART] for i in range(0, len(CONTENT), PART)]
    wheels = tuple(
        WheelPart(f"tiny-part{i}", "1", f"tiny_part{i}/data/part.bin", len(p), hashlib.sha256(p).hexdigest())
        for i, p in enumerate(pieces, 1)
    )
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return EmbeddedModel(
        "tiny", "Tiny", "tiny.gguf", len(CONTENT), sha256, "MIT", "somebody/tiny", "tiny.gguf", wheels, 512
    )


@pytest.fixture(autouse=True)
def nothing_of_other_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of another tool, no hub, no proxy: only what a test puts there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "OLLAMA_MODELS", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
def driver(tmp_path: Path, index: Index, model: EmbeddedModel) -> list[str]:
    """A command that fetches the model in a process of its own and prints the path and the phases it saw."""
    script, given = tmp_path / "driver.py", tmp_path / "given.json"
    script.write_text(DRIVER)
    given.write_text(json.dumps({"model": asdict(model), "pip": str(index.pip), "store": str(index.store)}))
    return [sys.executable, str(script), str(given)]
