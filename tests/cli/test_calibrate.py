"""`models calibrate` on the command line: one document, exit codes, what is remembered."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tale_core.calibration.run import default_questions, template_for
from tale_core.cli import calibrate as command
from tale_core.cli.main import main
from tale_core.settings import get_settings
from tale_core.types import Client
from tests.support.bad_endpoint import BadEndpoint
from tests.support.template_models import model, obeys

ROOT = Path(__file__).resolve().parents[2]
LEVEL_KEYS = {
    "n", "right", "accuracy", "accuracy_low", "accuracy_high", "tokens_mean", "tokens_low", "tokens_high",
    "all_in_tokens", "within", "outcomes",
}  # fmt: skip
TEMPLATE_KEYS = LEVEL_KEYS | {
    "name", "version", "curve", "difference", "difference_low", "difference_high", "worse_p", "qualifies",
    "dropped_after", "vanilla", "levels",
}  # fmt: skip
KEYS = {
    "model", "endpoint", "wording", "version", "fallback", "reason", "finding", "reference", "questions", "budgets",
    "tolerance", "sampling", "wordings", "spent", "stopped", "error", "source", "created_at", "saved",
}  # fmt: skip
SAVED = ("data", "wordings.json")


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded default is a simulated model that obeys words only."""

    async def open_simulated(choice: object) -> Client:
        return model(obeys("words"), default_questions(6), budgets=(25, 60))

    monkeypatch.setattr(command, "open_with_progress", open_simulated)


def run(*more: str) -> int:
    return main(["models", "calibrate", "--questions", "6", *more])


def at(bad: BadEndpoint, name: str, *more: str) -> int:
    return run("--base-url", bad.base_url, "--model", name, *more)


def test_it_prints_exactly_one_document_with_the_agreed_keys(obedient, capsys, tmp_path):
    assert run("--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found.keys() == KEYS
    assert (found["wording"], found["version"], found["fallback"], found["stopped"]) == ("words", 1, False, None)
    assert found["questions"] == [q.id for q in default_questions(6)] and found["budgets"] == [25, 60]
    assert len(found["wordings"]) == 8
    for template in found["wordings"]:
        assert template.keys() == TEMPLATE_KEYS and template["vanilla"].keys() == LEVEL_KEYS
        assert [level.keys() - LEVEL_KEYS for level in template["levels"]] == [{"budget"}, {"budget"}]
    assert found["spent"].keys() >= {"calls", "prompt_tokens", "completion_tokens", "cost_usd", "reused"}
    assert found["spent"]["cost_usd"] is None and found["source"] == "simulated"
    assert found["saved"] == str(tmp_path.joinpath(*SAVED))
    assert "* words" in err and "dropped after 2 questions: paper" in err


def test_without_json_one_sentence_tells_the_choice(obedient, capsys):
    assert run("--templates", "paper, words") == 0
    out, err = capsys.readouterr()
    assert out.startswith("Use the template 'words' with scripted. Under a budget 12 of 12 answers are right")
    assert out.count("\n") == 1 and "follows" in err


def test_the_choice_is_remembered_unless_told_otherwise(obedient, tmp_path):
    assert run("--no-save") == 0
    assert not tmp_path.joinpath(*SAVED).exists()
    assert run() == 0
    found = template_for("scripted", get_settings())
    assert found is not None and (found.template, found.found) == ("words", "yours")


def test_a_file_that_cannot_be_added_to_is_told_before_anything_is_spent(bad, capsys, tmp_path):
    path = tmp_path.joinpath(*SAVED)
    path.parent.mkdir()
    path.write_text("[]", encoding="utf-8")
    seen = len(bad.requests)
    assert at(bad, "ok") == 2
    assert str(path) in capsys.readouterr().err.replace("\n", "") and len(bad.requests) == seen
    assert at(bad, "ok", "--no-save") == 0


def test_a_model_that_is_never_right_keeps_the_papers_template_and_says_why(bad, capsys):
    assert at(bad, "obeys", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wording"], found["fallback"]) == ("paper", True) and "even without a budget" in found["finding"]
    assert found["source"] == "live"


@pytest.mark.parametrize(("name", "more", "stopped"), [("ok", ["--max-calls", "7"], "calls"), ("401", [], "error")])
def test_a_run_that_does_not_end_exits_1_and_remembers_nothing(bad, capsys, tmp_path, name, more, stopped):
    assert at(bad, name, "--json", *more) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["stopped"], found["wording"], found["saved"]) == (stopped, None, None)
    assert "No template was chosen" in err and "Traceback" not in err
    assert not tmp_path.joinpath(*SAVED).exists()


def test_a_result_that_cannot_be_saved_is_shown_all_the_same(obedient, capsys, tmp_path):
    tmp_path.joinpath("data").write_text("", encoding="utf-8")
    assert run("--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["saved"] is None and "not saved: " in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--wordings", "words,nope"], "nope"),
        (["--questions", "0"], "from 1"),
        (["--questions", "3"], "4 or more"),
        (["--budgets", "25"], "two or more"),
        (["--budgets", "25,x"], "'x'"),
        (["--languages", "fr"], "en,zh"),
        (["--tolerance", "-5"], "0 to 1"),
        (["--max-calls", "0"], "above 0"),
        (["--concurrency", "0"], "from 1"),
        (["--max-cost", "1"], "price"),
    ],
)
def test_wrong_input_exits_2_and_says_what_is_allowed(bad, capsys, more, words):
    seen = len(bad.requests)
    assert at(bad, "ok", *more) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and len([r for r in bad.requests[seen:] if r.method == "POST"]) == 0


def test_an_interrupt_exits_130_and_tells_what_was_spent(bad, tmp_path):
    arguments = ["models", "calibrate", "--base-url", bad.base_url, "--model", "hang-mid-stream", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tale_core", *arguments],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert bad.wait_for(lambda: bad.open_streams >= 4, timeout=60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == ""
    assert re.search(r"Spent so far: nothing yet, and the answers in flight\.", err) and "Traceback" not in err
    assert bad.wait_for(lambda: bad.open_streams == 0)
