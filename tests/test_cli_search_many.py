"""`search --dataset`: many searches, each a session, against a real endpoint on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tale_core.cli import main
from tale_core.store import open_store
from tests.bad_endpoint import BadEndpoint


@pytest.fixture(scope="module")
def bad():
    with BadEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def file(tmp_path: Path) -> str:
    rows = [{"question": f"What is 6 times 7, said in way {i}?", "answer": "42"} for i in range(4)]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def search(bad: BadEndpoint, file: str, *more: str, model: str = "obeys") -> int:
    return main(["search", "--dataset", file, "--base-url", bad.base_url, "--model", model, "--json", *more])


def test_every_question_becomes_a_search_of_its_own_and_is_searched_once(bad, file, capsys):
    assert search(bad, file, "--limit", "3") == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["questions"], first["known"], first["searched"], first["found"]) == (3, 0, 3, 3)
    stored = [open_store().get_session(session) for session in first["sessions"]]
    assert all(s.kind == "search" and s.status == "done" for s in stored)
    assert first["spent"]["calls"] == sum(c.source == "live" for s in stored for c in s.calls)
    asked = bad.count("obeys")
    assert search(bad, file) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["questions"], again["known"], again["searched"]) == (4, 3, 1)
    assert bad.count("obeys") - asked == again["spent"]["calls"]


def test_the_limit_on_tokens_holds_for_all_searches_together(bad, file, capsys):
    assert search(bad, file, "--max-total-tokens", "700") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["stopped"] and found["spent"]["prompt_tokens"] + found["spent"]["completion_tokens"] <= 700
    assert found["searched"] < 4


def test_an_endpoint_that_is_down_is_not_asked_for_every_question(bad, file, capsys):
    assert search(bad, file, model="401") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == found["searched"] == 3 and "in a row" in found["stopped"]


def test_a_file_without_a_known_answer_is_refused_before_anything_is_spent(bad, tmp_path, capsys):
    path = tmp_path / "open.jsonl"
    path.write_text('{"question": "Why?"}\n', encoding="utf-8")
    asked = len(bad.requests)
    assert search(bad, str(path)) == 2
    assert len(bad.requests) == asked
    assert "answer" in capsys.readouterr().err
