"""An archive that is damaged or hostile is refused in words, and nothing of it comes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tale_core.errors import ArchiveError
from tale_core.store import (
    Archive,
    Store,
    export_archive,
    look,
)
from tests.pages import experiment_samples
from tests.store.test_archive import contents
from tests.store.test_history import kept
from tests.store.test_trash import rows_of_everything


def remade(path: Path, files: dict[str, bytes], **changes: Any) -> Path:
    """An archive of these files whose manifest fits them, but for `changes`."""
    manifest = json.loads(files["manifest.json"])
    for table in manifest["tables"]:
        text = files[table["file"]]
        table |= {"bytes": len(text), "rows": text.count(b"\n"), "sha256": hashlib.sha256(text).hexdigest()}
    manifest |= changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            zipped.writestr(name, json.dumps(manifest) if name == "manifest.json" else text)
    return path


def refused(store: Store, path: Path | io.BytesIO, match: str) -> None:
    with pytest.raises(ArchiveError, match=match) as caught, Archive(path) as opened:
        look(store, opened)
    assert caught.value.hint and "Nothing was imported" in str(caught.value)
    assert set(rows_of_everything(store).values()) == {0}


@pytest.fixture
def files(store: Store, archive: Path) -> dict[str, bytes]:
    kept(store, "question", "answer", "another")
    experiment_samples.kept(experiment_samples.plan(2))
    export_archive(store, archive)
    return contents(archive)


a_file = pytest.mark.sqlite_only("the file is refused before a database is asked, and the other machine's is SQLite")


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04 nearly", bytes(1000)])
@a_file
def test_a_file_that_is_no_archive_is_refused(other: Store, data: bytes) -> None:
    refused(other, io.BytesIO(data), "no archive of this program")


@a_file
def test_another_zip_file_is_refused(other: Store) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped:
        zipped.writestr("word/document.xml", "<x/>")
    refused(other, data, "no archive of this program")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": "other"}, "no archive of this program"), ({"version": 2}, "format version 2"),
        ({"version": "1"}, "format version"), ({"schema": "tale_9999"}, "newer version"), ({"schema": "x"}, "manifest"),
        ({"schema": "tale_\u0661\u0662\u0663\u0664"}, "manifest|newer"), ({"tables": 5}, "manifest"),
        ({"tables": [{"name": "session"}]}, "manifest"), ({"created_at": "yesterday"}, "manifest"),
        ({"tables": []}, "does not name"),
    ],
)  # fmt: skip
@a_file
def test_a_manifest_of_another_version_or_shape_is_refused(
    other: Store, archive: Path, files: dict[str, bytes], changes: dict[str, Any], match: str
) -> None:
    refused(other, remade(archive, files, **changes), match)


def rewritten(files: dict[str, bytes], table: str, change: Callable[[list[dict[str, Any]]], Any]) -> dict[str, bytes]:
    """The files with the rows of one table changed."""
    name = f"tables/{table}.jsonl"
    rows = [json.loads(line) for line in files[name].splitlines()]
    rows = change(rows) or rows
    return files | {name: b"".join(json.dumps(row).encode() + b"\n" for row in rows)}


def setting(**values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0].update(values)


def dropping(name: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0].pop(name) and None


HOSTILE: list[tuple[str, Callable[[list[dict[str, Any]]], Any], str]] = [
    ("session", setting(kind="virus"), "kind cannot be 'virus'"),
    ("session", setting(status="gone"), "status cannot be"),
    ("session", setting(created_at="2026-01-01T00:00:00"), "created_at cannot be"),
    ("session", setting(created_at="0001-01-01T00:00:00+14:00"), "created_at cannot be"),
    ("session", setting(together=1), "together cannot be 1"),
    ("session", setting(budget=2**63), "budget cannot be"),
    ("session", setting(budget=True), "budget cannot be True"),
    ("session", setting(plan=[1]), "plan cannot be"),
    ("session", setting(question_options=[1]), "cannot be read as a row"),
    ("session", setting(id=None), "id cannot be None"),
    ("session", setting(evil="'); DROP TABLE session; --"), "column evil"),
    ("session", dropping("model"), "lacks model"),
    ("session", lambda rows: [*rows, rows[0]], "stands in it twice"),
    ("session", lambda rows: rows[1:], "belongs to no session|that is not there"),
    ("session", lambda rows: rows[::-1], "belongs to no session|that is not there"),
    ("call", setting(session_id="ask-nobody"), "belongs to no session|that is not there"),
    ("call", setting(outcome="fine"), "outcome cannot be"),
    ("call", setting(messages=[{"role": "user"}]), "cannot be read as a row"),
    ("call", setting(messages=[{"role": "user", "content": 5}]), "cannot be read as a row"),
    ("call", setting(latency_s="1"), "latency_s cannot be"),
    ("call", setting(id="1"), "id cannot be '1'"),
    ("call", setting(price_as_of="2026-01-01", price_input_per_mtok=None), ""),
    ("call", lambda rows: [*rows[:1], *rows], "stands in it twice"),
    ("experiment_unit", setting(answer_call_id=1), "that is not there"),
    ("experiment_unit", setting(status="running"), "status cannot be"),
    ("experiment_question", setting(question="?"), "question cannot be"),
]


@pytest.mark.parametrize(("table", "change", "match"), HOSTILE, ids=range(len(HOSTILE)))
@a_file
def test_a_row_that_fits_no_table_is_named_and_nothing_comes(
    other: Store, archive: Path, files: dict[str, bytes], table: str, change: Any, match: str
) -> None:
    path = remade(archive, rewritten(files, table, change))
    if match:
        refused(other, path, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"{", "no JSON"), (b"[" * 100_000, "no JSON"), (b"5", "no object"), (b'{"id": NaN}', "no JSON"),
        (b'{"a": "\xff"}', "no JSON"), (b"", "no JSON"), (b"\xef\xbb\xbf{}", "no JSON|lacks"),
    ],
)  # fmt: skip
@a_file
def test_a_line_that_is_no_row_is_refused(
    other: Store, archive: Path, files: dict[str, bytes], text: bytes, match: str
) -> None:
    refused(other, remade(archive, files | {"tables/session.jsonl": text + b"\n"}), match)


@a_file
def test_a_row_without_an_end_is_cut_off(other: Store, archive: Path, files: dict[str, bytes]) -> None:
    session = files["tables/session.jsonl"]
    refused(
        other, remade(archive, files | {"tables/session.jsonl": session + session.splitlines()[0]}), "manifest says"
    )


@a_file
def test_what_is_not_what_the_manifest_says_is_refused(other: Store, archive: Path, files: dict[str, bytes]) -> None:
    manifest = json.loads(files["manifest.json"])
    for change in (
        {"rows": 7},
        {"sha256": "0" * 64},
        {"bytes": 3},
        {"name": "nothing", "file": "tables/nothing.jsonl"},
    ):
        tables = [table | (change if table["name"] == "call" else {}) for table in manifest["tables"]]
        refused(other, remade(archive, files, tables=tables), "damaged")
    for name in ("../../etc/passwd", "tables/../x.jsonl", "/abs", "tables/evil.jsonl", "C:\\x"):
        refused(other, remade(archive, files | {name: b"x"}), "does not name")
    without = {name: text for name, text in files.items() if name != "tables/call.jsonl"}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped:
        for name, text in without.items():
            zipped.writestr(name, text)
    refused(other, data, "call is missing")


@a_file
def test_a_file_that_stands_twice_is_refused(other: Store, files: dict[str, bytes]) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped, pytest.warns(UserWarning, match="Duplicate"):
        for name, text in [*files.items(), ("tables/call.jsonl", files["tables/call.jsonl"])]:
            zipped.writestr(name, text)
    refused(other, data, "twice")


@a_file
def test_a_bomb_is_refused_before_it_is_unpacked(other: Store, archive: Path, files: dict[str, bytes]) -> None:
    bomb = files | {"tables/call.jsonl": b" " * 60_000_000 + b"\n"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile.ZipExtFile, "readline", lambda *_: pytest.fail("it was unpacked"))
        refused(other, remade(archive, bomb), "unpack to")


@a_file
def test_any_damage_is_noticed(other: Store, archive: Path, files: dict[str, bytes]) -> None:
    whole_file = archive.read_bytes()
    step = max(1, len(whole_file) // 150)
    for at in range(0, len(whole_file), step):
        damaged = bytearray(whole_file)
        damaged[at] ^= 0xFF
        try:
            with Archive(io.BytesIO(bytes(damaged))) as opened:
                look(other, opened)
        except ArchiveError:
            pass  # Or it is a byte that says nothing: a date, an attribute.
        if at:
            refused(other, io.BytesIO(whole_file[:at]), "no archive|damaged")
    assert set(rows_of_everything(other).values()) == {0}


@a_file
def test_a_zip_whose_own_places_and_names_are_wrong_is_damaged(
    other: Store, archive: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    del files
    whole_file = archive.read_bytes()
    end = whole_file.rfind(b"PK\x05\x06")
    first = whole_file.find(b"PK\x01\x02")
    entry = whole_file.find(b"PK\x01\x02", first + 4)
    changes = [
        (end + 16, b"\xff"), (end + 12, b"\xff"), (end + 19, b"\x7f"),
        (entry + 42, b"\xff\xff\xff\x7f"), (entry + 46, b"\xff"), (entry + 9, b"\x08\x00\xff"),
        (entry + 28, b"\xff\xff"), (entry + 30, b"\x04\x00"),
    ]  # fmt: skip
    for at, new in changes:
        damaged = whole_file[:at] + new + whole_file[at + len(new) :]
        (tmp_path / "damaged.zip").write_bytes(damaged)
        for file in (io.BytesIO(damaged), tmp_path / "damaged.zip"):
            refused(other, file, "no archive|damaged")
