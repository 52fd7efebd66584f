"""Pages without a browser: nothing is fetched, and no thread of a test outlives it."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import local_script_runner

from tale_core.lessons import rooms
from tale_core.models.client import params as client_params
from tale_core.models.embedded import prepare
from tale_core.runs import runner as jobs
from tests.support import bad_endpoint
from tests.support.bad_endpoint import ANSWER, BadEndpoint

# Every AppTest looks through all installed packages for components, which takes longer than most pages.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
# AppTest asks a thousand times a second whether the page is drawn, and takes the processor from the thread that draws.
local_script_runner.require_widgets_deltas = lambda runner, timeout: runner.join()


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The embedded model cannot be had here: each page starts its preparation, and it fails at once."""
    monkeypatch.setenv("TALE_OFFLINE", "1")
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)  # Waits between retries are drawn from it.
    runner = jobs.Runner()
    monkeypatch.setattr(jobs, "the_runner", runner)
    client_params.forget_all()
    yield
    runner.close(30)  # The end of a stopped call counts its tokens, for which an encoding is loaded first.
    prepare.forget_all()
    for thread in threading.enumerate():
        if thread.name.startswith(("tale-prepare", "tale-writer")):
            thread.join(20)
            assert not thread.is_alive(), f"{thread.name} did not end"


@pytest.fixture
def bad() -> Iterator[BadEndpoint]:
    with BadEndpoint() as server:
        yield server


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[threading.Event]:
    """The model "gated" writes a file's `BEFORE_THE_GATE` at once, and its answer when the gate opens."""
    gate, first = threading.Event(), getattr(request.module, "BEFORE_THE_GATE", ["word "])

    def gated(h: Any, body: dict[str, Any]) -> None:
        with h.stream() as s:
            s.text(first)
            while not gate.wait(0.02) and not h.bad.stopping.is_set():
                s.raw(b": still there\n\n")
            s.text(ANSWER)
            s.chunk(finish="stop")
            s.usage()
            s.done()

    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "gated", gated)
    yield gate
    gate.set()


@pytest.fixture
def own_rooms(monkeypatch: pytest.MonkeyPatch) -> rooms.Rooms:
    made = rooms.Rooms()
    monkeypatch.setattr(rooms, "the_rooms", made)
    return made
