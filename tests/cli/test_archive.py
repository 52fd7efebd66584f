"""`export` and `import` on the command line: documents, words, exit codes; what is asked for and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tale_core.cli.main import main
from tale_core.store import open_store
from tests.store.test_history import found, kept


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "sessions.zip"


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'elsewhere' / 'tale.db'}"


def document(capsys: pytest.CaptureFixture[str], *command: object) -> dict[str, Any]:
    assert main([*map(str, command), "--json"]) == 0
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


def test_what_is_exported_here_is_imported_there(
    archive: Path, elsewhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [kept(open_store(), f"question {i}", "answer") for i in range(3)]
    made = document(capsys, "export", archive)
    assert (made["sessions"], made["whole"], made["tables"]["call"]) == (3, True, 3)
    assert made["bytes"] == archive.stat().st_size
    looked = document(capsys, "import", archive, "--dry-run", "--db", elsewhere)
    assert (looked["new"], looked["here"], looked["total"], looked["imported"]) == (3, 0, 3, None)
    assert found(open_store(elsewhere)) == []
    done = document(capsys, "import", archive, "--db", elsewhere)
    assert done["imported"] == {"new": 3, "skipped": 0, "replaced": 0}
    assert sorted(found(open_store(elsewhere), "answer")) == sorted(ids)
    again = document(capsys, "import", archive, "--db", elsewhere, "--existing", "replace")
    assert again["imported"] == {"new": 0, "skipped": 0, "replaced": 3}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--kind", "search"], 1), (["--model", "phi-3"], 1), (["--status", "failed"], 1), (["--outcome", "wrong"], 1),
        (["--source", "recorded"], 1), (["--text", "pumpkin"], 1), (["--since", "2026-05-03"], 4),
        (["--until", "2026-05-02"], 2), (["--since", "2026-05-02", "--until", "2026-05-03"], 2), ([], 6),
    ],
    ids=str,
)  # fmt: skip
def test_a_part_is_exported_by_what_it_is(
    archive: Path, capsys: pytest.CaptureFixture[str], flags: list[str], expected: int
) -> None:
    noon = datetime(2026, 5, 1, 12).astimezone(UTC)
    fields: list[dict[str, Any]] = [
        {"kind": "search"}, {"model": "phi-3"}, {"status": "failed"}, {"outcome": "wrong"}, {"source": "recorded"}, {},
    ]  # fmt: skip
    for i, own in enumerate(fields):
        kept(open_store(), "pumpkin" if i == 5 else "q", "a", created_at=noon + timedelta(days=i), **own)
    assert document(capsys, "export", archive, *flags)["sessions"] == expected


def test_single_sessions_are_exported_by_their_ids(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [kept(open_store(), f"question {i}") for i in range(3)]
    made = document(capsys, "export", archive, "--session", ids[0], "--session", ids[2])
    assert made["sessions"] == 2 and not made["whole"]


def test_words_say_what_would_come_and_what_came(
    archive: Path, elsewhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(open_store(), id="ask-both")
    kept(open_store(), kind="search")
    kept(open_store(elsewhere), id="ask-both")
    assert main(["export", str(archive)]) == 0
    assert "2 sessions in" in capsys.readouterr().out
    assert main(["import", str(archive), "--dry-run", "--db", elsewhere]) == 0
    said = capsys.readouterr().out
    assert "1 are new. 1 are here already" in said and "would be left as they are" in said
    assert "1 ask, 1 search" in said and "Nothing was imported" in said
    assert main(["import", str(archive), "--db", elsewhere]) == 0
    assert "1 new sessions, 0 replaced, 1 left as they were." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["import", "{tmp}/nothing.zip"], "cannot be read"), (["import", __file__], "no archive of this program"),
        (["import", "{tmp}"], "cannot be read"), (["export", "{tmp}/x.zip", "--since", "yesterday"], "is no day"),
        (["export", "{tmp}/x.zip", "--session", "ask-nothing"], "No session is left"),
        (["export", "{tmp}/x.zip", "--kind", "virus"], "invalid choice"), (["export"], "required"),
        (["export", "{tmp}/there.zip"], "already"), (["import", "{tmp}/x.zip", "--existing", "x"], "invalid choice"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], said: str
) -> None:
    (tmp_path / "there.zip").write_bytes(b"something")
    kept(open_store())
    try:
        code = main([part.replace("{tmp}", str(tmp_path)) for part in command])
    except SystemExit as e:
        code = int(str(e.code))
    assert code == 2 and said in capsys.readouterr().err
    assert (tmp_path / "there.zip").read_bytes() == b"something"


def test_a_place_that_cannot_be_written_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(open_store())
    assert main(["export", str(tmp_path / "no" / "folder" / "x.zip")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_force_replaces_a_file(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive.write_bytes(b"old")
    kept(open_store())
    assert document(capsys, "export", archive, "--force")["sessions"] == 1
