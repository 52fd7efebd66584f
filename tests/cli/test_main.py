"""The command line against a real endpoint on loopback: documents, exit codes, what goes to which stream."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tale_core.cli.main import main
from tale_core.settings import get_settings
from tale_core.store import open_store

ROOT = Path(__file__).resolve().parents[2]
ANSWER_KEYS = {
    "text", "budget", "prompt_tokens", "completion_tokens", "reasoning_tokens", "outcome", "extracted",
    "finish_reason", "ttft_s", "latency_s", "cost_usd", "source",
}  # fmt: skip


def ask(bad, *more, model="ok", question="What is 6 times 7?"):
    return main(["ask", question, "--base-url", bad.base_url, "--model", model, *more])


def test_ask_prints_exactly_one_document_with_the_agreed_keys(bad, capsys):
    code = ask(bad, "--answer", "42", "--json")
    out, _ = capsys.readouterr()
    document = json.loads(out)
    assert code == 0
    assert {"session", "question", "model", "estimate", "answers"} <= document.keys()
    assert {"estimator", "budget", "raw", "prompt_tokens", "completion_tokens"} <= document["estimate"].keys()
    assert document["answers"].keys() == {"vanilla", "budgeted"}
    for answer in document["answers"].values():
        assert answer.keys() >= ANSWER_KEYS
        assert answer["outcome"] == "correct" and answer["extracted"] == "42"
        assert answer["cost_usd"] is None  # Nobody published a price for it: unknown, not 0.
    assert document["answers"]["budgeted"]["budget"] == document["estimate"]["budget"]


def test_the_document_tells_what_the_store_holds(bad, capsys):
    ask(bad, "--answer", "42", "--budget", "33", "--json")
    document = json.loads(capsys.readouterr().out)
    session = open_store().get_session(document["session"])
    calls = {c.role: c for c in session.calls}
    assert session.status == document["status"] == "done" and session.budget == 33
    for role, answer in document["answers"].items():
        stored = calls[role]
        assert (stored.text, stored.completion_tokens, stored.latency_s, stored.outcome.value) == (
            answer["text"], answer["completion_tokens"], answer["latency_s"], answer["outcome"],
        )  # fmt: skip


def test_without_json_the_answers_and_the_verdict_are_readable(bad, capsys):
    assert ask(bad, "--answer", "42", "--budget", "9") == 0
    out = capsys.readouterr().out
    assert "--- vanilla: 9 output tokens, correct" in out and "budget 9" in out and "Both right" in out


def test_the_question_can_come_from_standard_input(bad, capsys, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("How many legs has a spider?\n"))
    assert ask(bad, "--budget", "9", "--json", question="-") == 0
    assert json.loads(capsys.readouterr().out)["question"] == "How many legs has a spider?"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("401", "key"),
        ("html", "OpenAI"),
        ("429-quota", "quota"),
        ("no-such-model", "no-such-model"),
        ("cut", "ended"),
    ],
)
def test_an_unusable_endpoint_exits_1_with_the_reason_in_words(bad, capsys, model, words):
    assert ask(bad, "--budget", "9", model=model) == 1
    out, err = capsys.readouterr()
    assert words in err and "Traceback" not in out + err


def test_an_endpoint_that_is_not_there_exits_1(capsys):
    code = main(["ask", "x", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--json"])
    out, err = capsys.readouterr()
    assert code == 1 and json.loads(out)["status"] == "failed" and "127.0.0.1" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ask", ""], "empty"),
        (["ask", "x", "--model", "gpt-99"], "gpt-99"),
        (["ask", "x", "--base-url", "ftp://host/v1", "--model", "m"], "http"),
        (["ask", "x", "--base-url", "http://127.0.0.1:9/v1"], "--model"),
        (["ask", "x", "--budget", "0"], "fixed"),
        (["ask", "x", "--estimator", "psychic"], "psychic"),
        (["ask", "x", "--max-tokens", "0"], "max_tokens"),
        (["ask", "x", "--temperature", "9"], "temperature"),
        (["ask", "x", "--kind", "choice"], "--option"),
        (["ask", "x", "--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (["models", "pull", "nothing"], "nothing"),
    ],
)
def test_wrong_input_exits_2_and_says_what_is_allowed(arguments, words, capsys):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err and err.startswith("tale: ") and "Traceback" not in err


@pytest.mark.parametrize("arguments", [[], ["nope"], ["ask"], ["ask", "x", "--seed", "y"], ["models"]])
def test_wrong_arguments_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and "--help" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--base-url", "http://127.0.0.1:9/v1\udcff"], ["--base-url", "\udcc3\udc28"], ["--model", "m\udcff"],
        ["--answer", "\ud83d"], ["--option", "\udcff"], ["--db", "sqlite:///\udcff"], ["--api-key-env", "\udcff"],
        ["--template", "\udcff"], ["\udcff"], ["--max-tokens", "\udcff"], ["--temperature", "\udcff"],
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_wrong_input(arguments, capsys):
    question = ["What is 6 times 7?"] if arguments[0].startswith("--") else []
    with pytest.raises(SystemExit) as caught:
        main(["ask", *question, *arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("tale: argument") and "Traceback" not in said


def test_a_question_on_standard_input_that_is_no_text_is_wrong_input(capsys, monkeypatch):
    for errors in ("strict", "surrogateescape"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"6 \xff 7"), "utf-8", errors))
        assert main(["ask", "-", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"]) == 2
        assert "UTF-8" in capsys.readouterr().err


def test_a_wrong_environment_value_is_named(monkeypatch, capsys):

    monkeypatch.setenv("TALE_SERVER_SLOTS", "many")
    get_settings.cache_clear()
    assert main(["models", "list"]) == 2
    assert "TALE_SERVER_SLOTS='many'" in capsys.readouterr().err


def test_models_list_names_every_model_and_never_prices_the_unknown(capsys):
    assert main(["models", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    embedded = {m["name"]: m["thinking"] for m in document["embedded"]}
    assert embedded["qwen2.5-coder-1.5b"] is embedded["smollm2-135m"] is None
    for thinks in ("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "smollm3-3b"):
        assert embedded[thinks] == "enable_thinking"
    deepseek = next(p for p in document["endpoints"] if p["name"] == "deepseek")
    assert (
        deepseek["knobs"][0]["levels"] == ["none", "low", "high", "max"] and deepseek["read_on"] and deepseek["sources"]
    )
    prices = {m["name"]: m["price"] for p in document["endpoints"] for m in p["models"]}
    assert prices["yi-lightning"] is None and prices["gpt-4o-mini"]["as_of"]


def test_models_check_says_whether_an_endpoint_answers(bad, capsys):
    assert main(["models", "check", "--base-url", bad.base_url, "--model", "ok", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["models", "check", "--base-url", bad.base_url, "--model", "401"]) == 1


def test_interrupting_exits_130_and_the_stopped_session_is_stored(bad, tmp_path):
    # A group of its own, so that the signal reaches the command alone.
    command = [
        sys.executable,
        "-m",
        "tale_core",
        "ask",
        "q",
        "--base-url",
        bad.base_url,
        "--model",
        "slow",
        "--budget",
        "5",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while bad.count("slow") < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=80)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, err
    assert b"Traceback" not in out + err
    (summary,) = open_store().list_sessions()
    assert summary.status == "cancelled"


@pytest.mark.parametrize("name", ["TALE_REQUEST_TIMEOUT_S", "TALE_CONNECT_TIMEOUT_S", "TALE_SERVER_IDLE_S"])
@pytest.mark.parametrize("value", ["1e400", "inf", "nan", "-1"])
def test_a_time_limit_that_never_ends_is_refused(name, value, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    assert main(["health"]) == 2 and name in capsys.readouterr().err
