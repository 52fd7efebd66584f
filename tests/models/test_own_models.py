"""Models of one's own: a GGUF file by its path, and a models.toml in the data folder."""

from __future__ import annotations

import hashlib
import os
import struct
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from tale_core.cli.main import main, take_files
from tale_core.errors import InputError, NoSourceError, SettingsError, WeightsMismatchError
from tale_core.models.choice import choice_from_flags, efforts, embedded_choice
from tale_core.models.embedded import own
from tale_core.models.embedded.catalog import FILE, embedded_model, embedded_models, knobs_of
from tale_core.models.weights.fetch import ensure_weights
from tale_core.settings import get_settings
from tests.models.conftest import CONTENT, Hub
from tests.tuning.samples import gguf, lora, string, value

SMALL = {"token_embd.weight": np.zeros((2, 2))}
QWEN3 = "{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think></think>' }}{%- endif %}"
HASH = "0" * 64
ENTRY = f'sha256 = "{HASH}"\nsize = 9\nlicence = "MIT"\nsource = "who/what-GGUF/what.gguf"\n'


def model_file(path: Path, *values: bytes, template: str = QWEN3, tensors: dict[str, np.ndarray] = SMALL) -> Path:
    head = [string("general.architecture", "llama"), value("llama.context_length", 4, struct.pack("<I", 2048))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf([*head, string("tokenizer.chat_template", template), *values], tensors))
    return path


def test_a_file_gets_a_name_by_its_content_and_is_used_where_it_lies(tmp_path: Path) -> None:
    path = model_file(tmp_path / "My Model.v1.gguf", string("general.license", "mit"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    choice = choice_from_flags(model=str(path), base_url=None, api_key_env=None)
    assert (choice.kind, choice.model) == ("embedded", f"my-model.v1-{sha256[:8]}")
    model = embedded_model(choice.model)
    assert (model.sha256, model.context_length, model.licence, model.thinking) == (
        sha256, 2048, "mit", "enable_thinking",
    )  # fmt: skip
    assert ensure_weights(model) == path and choice.model in {m.name for m in embedded_models()}
    assert embedded_choice(choice.model) == choice == embedded_choice(str(path))


def test_a_file_is_hashed_once_and_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path, read = model_file(tmp_path / "x.gguf"), []
    first = own.take(str(path), each=lambda done, size: read.append((done, size)))
    assert read == [(first.size, first.size)]
    assert own.take(str(path), each=lambda done, size: pytest.fail("hashed again")) == first
    model_file(path, template="")
    os.utime(path, (1, 1))
    with pytest.raises(WeightsMismatchError, match=r"has \d[\d,]* bytes and not .*Nothing was loaded"):
        ensure_weights(first)
    assert first.name not in {m.name for m in embedded_models()}
    second = own.take(str(path))
    assert second.name != first.name and second.thinking == "" and second.note == own.NO_TEMPLATE
    path.unlink()
    with pytest.raises(WeightsMismatchError, match="cannot be read"):
        ensure_weights(second)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04" + b"x" * 40, "does not begin with GGUF"),
        (gguf([], {}, version=1), "version is 1"),
        (gguf([], {}, counts=(10**9, 0)), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"x" * 64, "claims a text"),
        (lora(), "says 'adapter'"),
        (gguf([string("general.type", "mmproj"), string("general.architecture", "clip")], SMALL), "says 'mmproj'"),
        (gguf([string("general.architecture", "llama")], {}), "no weights"),
        (gguf([string("general.architecture", "llama")], {"blk.0.attn_q.weight": np.zeros((2, 2))}), "no weights"),
        (
            gguf([string("general.architecture", "llama"), value("split.count", 2, struct.pack("<H", 3))], SMALL),
            "one of 3 parts",
        ),
    ],
)
def test_a_file_that_is_no_whole_language_model_is_refused_in_words(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        choice_from_flags(model=str(path), base_url=None, api_key_env=None)
    assert caught.value.hint and not (get_settings().data_dir / own.FILE).exists()


@pytest.mark.parametrize("name", ["nothing.gguf", "~/nothing.GGUF", "/no/such/file.gguf"])
def test_a_file_that_is_not_there_is_said_and_never_another_model_taken(name: str, capsys) -> None:
    assert main(["ask", "What is 6 times 7?", "--model", name]) == 2
    told = capsys.readouterr()
    assert "cannot be read" in told.err and "GGUF" in told.err and not told.out


def test_a_path_without_the_ending_is_a_file_too_and_an_endpoints_model_is_none(tmp_path: Path) -> None:
    path = model_file(tmp_path / "blobs" / "sha256-abc")
    assert choice_from_flags(model=str(path), base_url=None, api_key_env=None).kind == "embedded"
    at = choice_from_flags(model="x.gguf", base_url="http://127.0.0.1:1234/v1", api_key_env=None)
    assert (at.kind, at.model) == ("endpoint", "x.gguf")
    assert not own.is_file_name("openai/gpt-oss-120b")


def test_every_command_knows_a_file_by_its_name(tmp_path: Path, capsys) -> None:
    path = model_file(tmp_path / "x.gguf")
    name = own.take(str(path)).name
    for given, taken in ((str(path), name), (["gpt-4o", str(path)], ["gpt-4o", name]), ("no.gguf", "no.gguf")):
        args = Namespace(model=given)
        take_files(args)
        assert args.model == taken
    assert main(["models", "pull", str(path)]) == 0
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("template", "switch"),
    [
        (QWEN3, "enable_thinking"),
        ("{% if not thinking is defined %}{% set thinking = false %}{% endif %}", "thinking"),
        ('{%- if reasoning_effort is not defined %}{%- set reasoning_effort = "medium" %}{%- endif %}',
         "reasoning_effort"),
        ("{%- if enable_thinking %}on{%- endif %}", "enable_thinking"),
        ("{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}", "always"),
        ("{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}", ""),
        ("{%- for m in messages %}{{ m.thinking }}{{ m['enable_thinking'] }}{%- endfor %}", ""),
        ("{% set thinking = messages[0].x %}{% if thinking %}a{% endif %}", ""),
        ("Set enable_thinking to what you like. {{ 'enable_thinking' }}", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_switch_is_the_variable_that_the_template_asks_its_caller_for(template: str, switch: str) -> None:
    assert own.switch_of(template) == switch


# --- models.toml in the data folder


def added(text: str) -> Path:
    path = get_settings().data_dir / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(0, abs(hash(text)) % 10**15))
    return path


def test_an_entry_adds_to_the_catalogue() -> None:
    added(f'[embedded."mine"]\n{ENTRY}thinking = "always"\n')
    model = embedded_model("mine")
    assert (model.hub_repo, model.hub_file, model.filename, model.thinking, model.title) == (
        "who/what-GGUF", "what.gguf", "what.gguf", "always", "mine",
    )  # fmt: skip
    assert embedded_models()[0].name == get_settings().model


@pytest.mark.parametrize(
    "source",
    ["https://huggingface.co/a/b/resolve/main/q/x.gguf", "a/b/q/x.gguf", "https://huggingface.co/a/b/q/x.gguf"],
)
def test_a_hubs_file_may_be_named_by_its_address(source: str) -> None:
    added("[embedded.mine]\n" + ENTRY.replace("who/what-GGUF/what.gguf", source))
    assert (embedded_model("mine").hub_repo, embedded_model("mine").hub_file) == ("a/b", "q/x.gguf")


def test_an_entry_may_name_a_file_here_and_another_content_is_not_loaded(tmp_path: Path) -> None:
    path = model_file(tmp_path / "x.gguf")
    found = own.take(str(path))
    text = f'[embedded.mine]\nsha256 = "{found.sha256}"\nsize = {found.size}\nlicence = "MIT"\nsource = "{path}"\n'
    added(text)
    assert ensure_weights(embedded_model("mine")) == path
    added(text.replace(found.sha256, HASH))
    with pytest.raises(WeightsMismatchError, match=r"another sha256 than 0000.*Nothing was loaded"):
        ensure_weights(embedded_model("mine"))


def test_a_wrong_hash_from_the_hub_is_said_and_nothing_is_kept(hub: Hub) -> None:
    added("[embedded.mine]\n" + ENTRY.replace("size = 9", f"size = {len(CONTENT)}"))
    with pytest.raises(NoSourceError, match="differs from the catalog's"):
        ensure_weights(embedded_model("mine"))
    assert not list((get_settings().cache_dir / "models").glob("*/*.gguf"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[embedded.mine", "at end of document"),
        ("[mine]\n" + ENTRY, r'mine: a model begins with \[embedded."NAME"\]'),
        ("[embedded.mine]\n" + ENTRY.replace(HASH, "abc"), "mine.sha256"),
        ("[embedded.mine]\n" + ENTRY.replace("size = 9", "size = 0"), "mine.size"),
        ("[embedded.mine]\n" + ENTRY.replace("size = 9\n", ""), "mine.size"),
        ("[embedded.mine]\n" + ENTRY.replace('licence = "MIT"\n', ""), "mine.licence"),
        ("[embedded.mine]\n" + ENTRY + 'colour = "red"\n', "mine.colour"),
        ("[embedded.mine]\n" + ENTRY + 'thinking = "sometimes"\n', "mine.thinking"),
        ("[embedded.mine]\n" + ENTRY.replace("who/what-GGUF/what.gguf", "https://example.org/x.gguf"), "mine.source"),
        ("[embedded.mine]\n" + ENTRY.replace("who/what-GGUF/what.gguf", "what.gguf"), "mine.source"),
        ("[embedded.mine]\n" + ENTRY.replace('source = "who/what-GGUF/what.gguf"\n', ""), "mine.source"),
        ('[embedded."a b"]\n' + ENTRY, "is no name"),
        ('[embedded."smollm2-135m"]\n' + ENTRY, "comes with the program"),
        ("embedded = 3\n", "a model begins"),
    ],
)
def test_a_wrong_entry_is_told_by_its_place(text: str, says: str) -> None:
    path = added(text)
    with pytest.raises(SettingsError, match=says) as caught:
        embedded_models()
    assert str(path) in str(caught.value) and "docs/models.md" in str(caught.value)


def test_a_taken_port_or_an_empty_key_is_refused_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert f"Port {port} cannot be served" in capsys.readouterr().err
    for key in ("", "short", "has a space in it"):
        monkeypatch.setenv("MY_KEY", key)
        assert main(["serve", "--api-key-env", "MY_KEY"]) == 2
        assert "'MY_KEY'" in capsys.readouterr().err
    assert main(["serve", "--port", "70000"]) == 2


@pytest.mark.parametrize(
    ("thinking", "off", "tokens"),
    [
        ("enable_thinking", {"chat_template_kwargs": {"enable_thinking": False}}, {"thinking_budget_tokens": 9}),
        ("thinking", {"chat_template_kwargs": {"thinking": False}}, {"thinking_budget_tokens": 9}),
        ("always", None, {"thinking_budget_tokens": 9}),
        ("reasoning_effort", None, None),
        ("", None, None),
    ],
)
def test_the_switch_that_was_read_is_the_one_that_is_sent(
    thinking: str, off: dict[str, object] | None, tokens: dict[str, object] | None
) -> None:
    added(f'[embedded.mine]\n{ENTRY}thinking = "{thinking}"\n')
    knobs = {one.knob: one for one in knobs_of("mine")}
    told = efforts(embedded_choice("mine"))
    if off is not None:
        assert knobs["effort"].parts("none") == knobs["thinking"].parts(0) == off and told == ("none", "default")
        assert knobs["effort"].parts("default") == {"chat_template_kwargs": {thinking: True}}
    if tokens is not None:
        assert knobs["thinking"].parts(9).items() >= tokens.items()
        assert knobs["thinking"].takes(0) == (off is not None)
    if thinking == "reasoning_effort":
        assert knobs["effort"].parts("low") == {"chat_template_kwargs": {"reasoning_effort": "low"}}
        assert told == ("low", "medium", "high") and "thinking" not in knobs
    assert bool(knobs) == bool(thinking)
