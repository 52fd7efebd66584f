"""Fetching a model is stopped, killed and done by several at once."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tale_core.errors import StoppedError
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.models.weights import hub as weights_hub
from tale_core.models.weights import wheels as weights_wheels
from tale_core.models.weights.fetch import FetchProgress, ensure_weights, find_local
from tale_core.models.weights.part_file import PartFile
from tale_core.settings import REPO_ROOT
from tests.models.conftest import CONTENT, PART, Hub, Index
from tests.models.test_weights import folder_of, without_hub
from tests.support.waiting import until


def run(command: list[str]) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(REPO_ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_a_kill_in_the_middle_leaves_nothing_that_looks_whole_and_the_next_start_resumes(
    model: EmbeddedModel, index: Index, driver: list[str]
) -> None:
    index.hold("tiny-part3")
    index.hold("tiny-part4")
    process = run(driver)
    until(lambda: PartFile.peek(folder_of(model), model) == 2 * PART and len(index.calls()) == 4)
    process.kill()
    process.communicate()

    assert not (folder_of(model) / model.filename).exists()
    assert find_local(model) is None
    for held in index.store.glob("*.hold"):
        held.unlink()
    (index.store / "calls.log").unlink()
    assert ensure_weights(without_hub(model)).read_bytes() == CONTENT
    assert sorted(index.calls()) == ["tiny-part3", "tiny-part4"]


def test_a_kill_during_a_hub_download_resumes_inside_a_part(
    model: EmbeddedModel, hub: Hub, index: Index, driver: list[str]
) -> None:
    hub.mode, hub.limit = "hold-midway", 500_000
    process = run(driver)
    until(lambda: PartFile.peek(folder_of(model), model) > 400_000)
    process.kill()
    process.communicate()
    hub.mode, hub.limit = "ranges", 10**9
    hub.held.set()

    assert not (folder_of(model) / model.filename).exists()
    assert ensure_weights(model).read_bytes() == CONTENT
    assert int(hub.asked[-1].removeprefix("bytes=").split("-")[0]) > 400_000
    assert index.calls() == []


def test_of_two_processes_only_one_downloads(model: EmbeddedModel, index: Index, driver: list[str]) -> None:
    held = index.hold("tiny-part4")
    first = run(driver)
    until(lambda: PartFile.peek(folder_of(model), model) == 3 * PART)
    second_phases: list[str] = []
    path: list[Path] = []
    second = threading.Thread(
        target=lambda: path.append(ensure_weights(model, progress=lambda p: second_phases.append(p.phase)))
    )
    second.start()
    until(lambda: "waiting" in second_phases)
    held.unlink()
    out, err = first.communicate(timeout=60)
    second.join()

    assert first.returncode == 0, err
    assert Path(json.loads(out)["path"]) == path[0]
    assert path[0].read_bytes() == CONTENT
    assert "downloading" not in second_phases
    assert sorted(index.calls()) == [w.project for w in model.wheels]


def test_cancel_stops_at_once_and_keeps_what_arrived(model: EmbeddedModel, index: Index) -> None:
    held = index.hold("tiny-part4")
    cancel = threading.Event()

    def stop_after_three(p: FetchProgress) -> None:
        if PartFile.peek(folder_of(model), model) == 3 * PART:
            cancel.set()

    with pytest.raises(StoppedError):
        ensure_weights(without_hub(model), progress=stop_after_three, cancel=cancel)
    held.unlink()
    assert not list(folder_of(model).glob(f"{weights_wheels.FOLDER}*"))
    (index.store / "calls.log").unlink()
    assert ensure_weights(without_hub(model)).read_bytes() == CONTENT
    assert index.calls() == ["tiny-part4"]


def test_cancel_does_not_wait_for_a_hub_that_hangs(model: EmbeddedModel, hub: Hub, index: Index) -> None:
    hub.mode = "hang"
    cancel = threading.Event()
    stopped: list[float] = []

    def fetch() -> None:
        with pytest.raises(StoppedError):
            ensure_weights(model, cancel=cancel)
        stopped.append(time.monotonic())

    thread = threading.Thread(target=fetch)
    thread.start()
    until(lambda: bool(hub.asked))
    asked = time.monotonic()
    cancel.set()
    thread.join(timeout=30)
    assert stopped and stopped[0] - asked < weights_hub.ANSWER_S / 2
    assert index.calls() == []


def test_a_stop_while_waiting_for_another_process_is_heard(
    model: EmbeddedModel, index: Index, driver: list[str]
) -> None:
    held = index.hold("tiny-part1")
    other = run(driver)
    until(lambda: "tiny-part1" in index.calls())
    cancel = threading.Event()
    try:
        with pytest.raises(StoppedError):
            ensure_weights(model, progress=lambda p: cancel.set() if p.phase == "waiting" else None, cancel=cancel)
    finally:
        held.unlink()
        other.kill()
        other.communicate()
