"""Logs of others, read and asked again: what a change would have saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tale_core.cli.main import main
from tale_core.errors import InputError
from tale_core.proxy.logs import read_log
from tests.support.upstream import Answer, Upstream, serving

ASKED = [{"role": "user", "content": "How many are 6 times 7? Answer like [[50]]."}]
COMPLETION = {
    "id": "c", "object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 80},
    "choices": [{"message": {"role": "assistant", "content": "It is [[42]]."}, "finish_reason": "stop"}],
}  # fmt: skip
SAID = {"role": "assistant", "content": "It is [[42]]."}
FORMS: dict[str, Any] = {
    "request and response": {"request": {"model": "m", "messages": ASKED, "max_tokens": 200}, "response": COMPLETION},
    "batch": {"custom_id": "1", "body": {"model": "m", "messages": ASKED},
              "response": {"status_code": 200, "body": COMPLETION}},
    "stored completion": {**COMPLETION, "messages": ASKED},
    "conversation": {"model": "m", "messages": [*ASKED, SAID]},
    "Langfuse": {"type": "GENERATION", "model": "m", "input": ASKED, "output": SAID,
                 "usageDetails": {"input": 9, "output": 80}, "modelParameters": {"max_tokens": 200}},
    "Langfuse, as text": {"model": "m", "input": json.dumps({"messages": ASKED}), "output": json.dumps(SAID),
                          "usage": '{"input": 9, "output": 80}'},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole", [True, False], ids=["list", "lines"])
def test_a_log_of_each_form_gives_the_question_and_its_answer(form: str, whole: bool, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    entries = [FORMS[form], {"type": "SPAN"}]
    path.write_text(json.dumps(entries) if whole else "\n".join(map(json.dumps, entries)), encoding="utf-8")
    log = read_log(path)
    (one,) = log.entries
    assert (one.body["model"], one.body["messages"], one.answer.text) == ("m", ASKED, "It is [[42]].")
    assert one.answer.completion_tokens == (80 if form != "conversation" else one.answer.completion_tokens)
    assert one.answer.estimated == (form == "conversation")
    assert log.skipped == 1


def test_a_file_without_answers_says_what_to_give(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    for text in ("", "no JSON", "[]", '{"a": 1}', "[[[[1]]]]", json.dumps({"request": {"messages": [1]}})):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="Langfuse"):
            read_log(path)


def test_a_replay_says_what_a_change_would_have_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.jsonl"
    entries = [FORMS["request and response"]] * 12 + [
        {"request": {"model": "m", "messages": ASKED, "tools": [{}]}, "response": COMPLETION}
    ]
    path.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    assert main(["replay", str(path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["models"]
    assert told == {"model": "m", "requests": 13, "tokens": 1040, "changeable": 12, "changeable_tokens": 960}
    upstream = Upstream(lambda body: Answer("[[42]]", tokens=20))
    with serving(upstream) as url:
        assert main(["replay", str(path), "-n", "5", "--upstream", url, "--changes", "concise", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (change,) = found["changes"]
    assert (found["drawn"], len(upstream.bodies)) == (5, 5)
    assert (change["n"], change["saving"], change["agreement"]) == (5, 0.75, 1.0)
    assert {body["max_tokens"] for body in upstream.bodies} == {200}
