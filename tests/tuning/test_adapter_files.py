"""Adapters as files: whole or not at all, checked before llama.cpp sees them, never mixed up."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import struct
import zipfile
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.errors import AdapterFileError, InputError
from tale_core.models.adapters import check as adapter_check
from tale_core.models.adapters import exchange as adapter_exchange
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.gguf_file import read_header
from tale_core.models.adapters.registry import Adapter
from tests.tuning import samples
from tests.tuning.samples import gguf, lora, string, value

GOOD = lora()


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    return path


def test_a_header_tells_values_and_shapes(tmp_path):
    header = read_header(written(tmp_path, GOOD))
    assert header.text("adapter.type") == "lora" and header.values["adapter.lora.alpha"] == 32.0
    assert header.tensors["blk.0.attn_q.weight.lora_a"].shape == (2, 4)
    assert header.text("missing") == ""


HOSTILE = {
    "empty": b"",
    "text": b"hello, I am a model" * 10,
    "another version": gguf([], {}, version=99),
    "a billion tensors": gguf([], {}, counts=(10**9, 0)),
    "a billion values": gguf([], {}, counts=(0, 10**9)),
    "more tensors than there are": gguf([], {}, counts=(3, 0)),
    "a text of exabytes": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"x" * 64,
    "a list of exabytes": gguf([value("x", 9, struct.pack("<IQ", 4, 2**61))], {}),
    "a list of lists": gguf([value("x", 9, struct.pack("<IQ", 9, 1))], {}),
    "an unknown type": gguf([value("x", 77, b"")], {}),
    "a key twice": gguf([string("x", "1"), string("x", "2")], {}),
    "text that is none": gguf([value("x", 8, struct.pack("<Q", 2) + b"\xff\xfe")], {}),
    "an odd alignment": gguf([value("general.alignment", 4, struct.pack("<I", 7))], {}),
    "no alignment": gguf([value("general.alignment", 4, struct.pack("<I", 0))], {}),
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "cut at the end": GOOD[:-64],
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_a_hostile_file_is_refused_in_words(what, tmp_path):
    with pytest.raises(AdapterFileError) as e:
        adapter_check.check_lora(written(tmp_path, HOSTILE[what]))
    assert len(str(e.value)) < 400 and "file.gguf" in str(e.value)


@settings(max_examples=300)
@given(st.data())
def test_whatever_bytes_are_changed_it_is_read_or_refused(tmp_path_factory, data):
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(AdapterFileError):
        adapter_check.check_lora(path)


@pytest.mark.parametrize(
    "content",
    [
        samples.base(),
        lora(alpha=-1.0),
        lora(alpha=float("nan")),
        lora(kind=8),
        lora(kind=999),
        gguf([string("general.type", "adapter"), string("adapter.type", "control_vector")], {}),
        gguf(
            [string("general.type", "adapter"), string("adapter.type", "lora"),
             value("adapter.lora.alpha", 6, struct.pack("<f", 1.0))],
            {"blk.0.attn_q.weight.lora_a": np.ones((2, 4))},
        ),
    ],
)  # fmt: skip
def test_what_is_no_lora_adapter_is_refused(content, tmp_path):
    with pytest.raises(AdapterFileError):
        adapter_check.check_lora(written(tmp_path, content))


@pytest.mark.parametrize(
    "other",
    [samples.base("qwen2"), samples.base(rows=8), samples.base(columns=8),
     gguf([string("general.architecture", "llama")], {})],
)  # fmt: skip
def test_an_adapter_for_another_base_is_refused_before_it_is_loaded(other, tmp_path):
    one = samples.adapter(tmp_path)
    with pytest.raises(AdapterFileError, match=r"belongs to another model.*trained on"):
        adapters.verified(one, read_header(written(tmp_path, other)))
    assert adapters.verified(one, read_header(written(tmp_path, samples.base()))) == one.gguf


def test_an_adapter_is_named_described_and_found(tmp_path):
    one = samples.adapter(tmp_path, data={"fingerprint": "f", "questions": ["a"]}, settings={"rank": 2}, note="mine")
    assert adapters.find("brief") == one == adapters.find(one.key)
    assert one.about.architecture == "llama" and one.about.data["fingerprint"] == "f" and one.about.note == "mine"
    assert adapters.listing().adapters == (one,) == adapters.of_base(samples.BASE)
    assert adapters.of_base("another") == () and adapters.of_base("") == ()


@pytest.mark.parametrize("name", ["", "Brief", "../x", "a b", ".x", "x" * 41, "a/b", "ä"])
def test_a_name_that_is_no_name_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="cannot be an adapter's name"):
        samples.adapter(tmp_path, "ok") and adapters.check_name(name)
    with pytest.raises(InputError, match="There is no adapter"):
        adapters.find(name)


def test_a_taken_name_is_refused_and_the_first_stays(tmp_path):
    one = samples.adapter(tmp_path)
    with pytest.raises(InputError, match="already"):
        samples.adapter(tmp_path)
    assert adapters.find("brief") == one


def test_trained_again_under_the_same_name_it_is_another_one(tmp_path):
    first = samples.adapter(tmp_path)
    adapters.delete(first)
    second = samples.adapter(tmp_path, file=lora(alpha=16.0))
    assert first.key != second.key
    with pytest.raises(InputError, match="trained again or deleted"):
        adapters.find(first.key)


def test_a_file_that_was_changed_afterwards_is_not_loaded(tmp_path):
    one = samples.adapter(tmp_path)
    content = bytearray(one.gguf.read_bytes())
    content[-1] ^= 1
    one.gguf.write_bytes(bytes(content))
    os.utime(one.gguf, (1, 1))
    with pytest.raises(AdapterFileError, match="damaged"):
        adapters.verified(one)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "brief"}', '{"format": 1}'])
def test_a_damaged_description_is_told_and_the_others_work(text, tmp_path):
    samples.adapter(tmp_path, "good")
    bad = samples.adapter(tmp_path, "bad")
    (bad.folder / "adapter.json").write_text(text)
    found = adapters.listing()
    assert [a.name for a in found.adapters] == ["good"] and "damaged" in found.problems[0]


def test_a_full_disk_leaves_no_half_adapter(tmp_path, monkeypatch):
    copied = shutil.copyfile

    def full(source, target, **more):
        if str(target).endswith("safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return copied(source, target, **more)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(AdapterFileError, match=r"No space left.*nothing was changed"):
        samples.adapter(tmp_path)
    assert list(adapters.folder().iterdir()) == [] and adapters.listing().adapters == ()


def test_a_deleted_adapter_is_gone_and_a_shipped_one_stays(tmp_path, monkeypatch):
    one = samples.adapter(tmp_path)
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "shipped")
    shutil.copytree(one.folder, tmp_path / "shipped" / "brief")
    adapters.delete(one)
    shipped = adapters.find("brief")
    assert shipped.shipped and adapters.listing().adapters == (shipped,)
    with pytest.raises(InputError, match="came with this program"):
        adapters.delete(shipped)
    assert list(adapters.folder().iterdir()) == []


def never(_one: Adapter, _into: Path) -> None:
    raise OSError(errno.ENOSPC, "full")


def test_it_is_exported_as_gguf_and_as_a_peft_folder(tmp_path):
    one = samples.adapter(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    export = partial(adapter_exchange.export, one, out, make_peft=never)
    assert export("gguf").read_bytes() == one.gguf.read_bytes()
    assert sorted(p.name for p in export("peft").iterdir()) == sorted(adapters.PEFT_FILES)
    with pytest.raises(InputError, match="exists already"):
        export("gguf")
    with zipfile.ZipFile(BytesIO(adapter_exchange.peft_archive(one))) as archive:
        assert sorted(archive.namelist()) == sorted(f"brief/{f}" for f in adapters.PEFT_FILES)


def test_an_imported_adapter_must_fit_its_base(tmp_path):
    source, weights = written(tmp_path, GOOD), tmp_path / "base.gguf"
    weights.write_bytes(samples.base())
    one = adapter_exchange.import_gguf(source, name="theirs", base=samples.BASE, weights=weights)
    assert one.about.method == "imported" and not one.peft.is_dir()
    made = adapter_exchange.export(one, tmp_path / "x", "peft", make_peft=lambda _, into: (into / "y").touch())
    assert [p.name for p in made.iterdir()] == ["y"]
    with pytest.raises(AdapterFileError, match="full"):
        adapter_exchange.export(one, tmp_path / "z", "peft", make_peft=never)
    assert not (tmp_path / "z").exists(), "nothing half-written"
    weights.write_bytes(samples.base("qwen2"))
    os.utime(weights, (1, 1))
    with pytest.raises(AdapterFileError, match="another model"):
        adapter_exchange.import_gguf(source, name="other", base=samples.BASE, weights=weights)
    assert [a.name for a in adapters.listing().adapters] == ["theirs"]


def test_results_are_written_into_the_description_and_nothing_else_is(tmp_path):
    one = adapters.change(samples.adapter(tmp_path), results=[{"n": 1}])
    assert (
        adapters.find("brief").about.results == [{"n": 1}] and one.about.sha256 == adapters.find("brief").about.sha256
    )
    with pytest.raises(AdapterFileError):
        adapters.change(one, base="another")
    assert json.loads((one.folder / "adapter.json").read_text())["base"] == samples.BASE


@pytest.mark.parametrize(
    "wrong",
    [
        {"results": [{"rows": [{"n": 3}]}]},
        {"results": [{"rows": [{"strategy": "vanilla", "accuracy": "<b>"}]}]},
        {"results": [{"experiment": ["x"]}]},
        {"data": {"questions": 7}},
        {"data": {"held_out_questions": ["x"]}},
    ],
)
def test_a_description_that_says_nonsense_is_damaged_and_hides_no_other(wrong, tmp_path):
    one, _ = samples.adapter(tmp_path, "bad"), samples.adapter(tmp_path, "good")
    path = one.folder / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    found = adapters.listing()
    assert [a.name for a in found.adapters] == ["good"] and "is damaged" in found.problems[0]
