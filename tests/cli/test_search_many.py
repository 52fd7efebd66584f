"""`search --dataset`: many searches, each a session, against a real endpoint on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tale_core.cli import search_many
from tale_core.cli.main import main
from tale_core.store import open_store
from tests.support.bad_endpoint import BadEndpoint


@pytest.fixture
def file(tmp_path: Path) -> str:
    rows = [{"question": f"What is 6 times 7, said in way {i}?", "answer": "42"} for i in range(4)]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


def search(bad: BadEndpoint, file: str, *more: str, model: str = "obeys") -> int:
    return main(["search", "--dataset", file, "--base-url", bad.base_url, "--model", model, "--json", *more])


@pytest.mark.parametrize("at_once", ["1", "3"])
def test_every_question_becomes_a_search_of_its_own_and_is_searched_once(bad, file, at_once, capsys):
    assert search(bad, file, "--limit", "3", "--at-once", at_once) == 0
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
    assert search(bad, file, "--temperature", "0.8", "--limit", "2") == 0
    warmer = json.loads(capsys.readouterr().out)
    assert (warmer["questions"], warmer["known"], warmer["searched"]) == (2, 0, 2), "another search than the first"


@pytest.mark.parametrize("at_once", ["1", "4"])
def test_the_limit_on_tokens_holds_for_all_searches_together(bad, file, at_once, capsys):
    assert search(bad, file, "--max-total-tokens", "700", "--at-once", at_once) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["stopped"] and found["spent"]["prompt_tokens"] + found["spent"]["completion_tokens"] <= 700
    assert found["searched"] < 4 or at_once == "4"


def test_searches_at_the_same_time_are_asked_at_the_same_time(bad, file, capsys, monkeypatch):
    most = 0
    inner = search_many.Searches.search

    async def counted(self, question):
        nonlocal most
        self.now = getattr(self, "now", 0) + 1
        most = max(most, self.now)
        try:
            return await inner(self, question)
        finally:
            self.now -= 1

    monkeypatch.setattr(search_many.Searches, "search", counted)
    assert search(bad, file, "--at-once", "2") == 0
    assert json.loads(capsys.readouterr().out)["found"] == 4 and most == 2


def test_a_stop_ends_every_search_and_the_same_command_goes_on(bad, file, capsys, monkeypatch):
    began = asyncio.Event()
    inner = search_many.Searches.run

    async def stopped(self, at_once):
        running = asyncio.create_task(inner(self, at_once))
        while bad.open_streams < 2:
            await asyncio.sleep(0.01)
        running.cancel()
        began.set()
        return await running

    with monkeypatch.context() as patched:
        patched.setattr(search_many.Searches, "run", stopped)
        assert search(bad, file, "--at-once", "2", model="hang-mid-stream") == 130
    found = json.loads(capsys.readouterr().out)
    assert began.is_set() and found["stopped"] == "interrupted" and (found["searched"], found["failed"]) == (2, 0)
    assert {open_store().get_session(session).status for session in found["sessions"]} == {"cancelled"}
    assert bad.wait_for(lambda: bad.open_streams == 0)


@pytest.mark.parametrize("at_once", ["0", "257"])
def test_how_many_at_once_is_checked_before_anything_is_spent(bad, file, at_once, capsys):
    asked = len(bad.requests)
    assert search(bad, file, "--at-once", at_once) == 2
    assert len(bad.requests) == asked and "1 to 256" in capsys.readouterr().err


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
