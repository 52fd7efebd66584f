"""`search` and `sweep` on the command line, against a real endpoint on loopback."""

import json

import pytest

from tale_core.cli import main
from tale_core.store import open_store
from tests.bad_endpoint import BadEndpoint
from tests.test_cli import ANSWER_KEYS

QUESTION = "What is 6 times 7?"


@pytest.fixture(scope="module")
def bad():
    with BadEndpoint() as endpoint:
        yield endpoint


def run(bad, command, *more, model="ok", question=QUESTION):
    words = [] if question is None else [question]
    return main([command, *words, "--base-url", bad.base_url, "--model", model, *more])


def document(capsys):
    return json.loads(capsys.readouterr().out)


def test_search_prints_exactly_one_document_with_the_agreed_keys(bad, capsys):
    code = run(bad, "search", "--answer", "42", "--json")
    found = document(capsys)
    assert code == 0
    assert {"session", "mode", "optimal_budget", "optimal_tokens", "stop_reason", "vanilla", "probes", "spent"} <= (
        found.keys()
    )
    assert found["vanilla"].keys() >= ANSWER_KEYS and found["vanilla"]["outcome"] == "correct"
    assert found["probes"]
    for probe in found["probes"]:
        assert probe.keys() >= {"phase", "budget", "completion_tokens", "outcome", "cut"}
    assert found["spent"].keys() >= {"calls", "prompt_tokens", "completion_tokens"}
    assert found["session"].startswith("search-")
    assert open_store().get_session(found["session"]).status == "done"


def test_sweep_prints_exactly_one_document_with_the_agreed_keys(bad, capsys):
    code = run(bad, "sweep", "--answer", "42", "--budgets", "10,40", "--repeats", "2", "--json")
    found = document(capsys)
    assert code == 0
    assert {"session", "points", "ideal_range", "rebound"} <= found.keys()
    keys = {
        "budget", "repeats", "tokens_mean", "tokens_low", "tokens_high", "accuracy", "accuracy_low", "accuracy_high",
    }  # fmt: skip
    assert all(p.keys() >= keys for p in found["points"])
    assert [p["budget"] for p in found["points"] if p["budget"]] == [40, 10]
    assert len(open_store().get_session(found["session"]).calls) == 2 * 4


@pytest.mark.parametrize("command", ["search", "sweep"])
def test_without_json_the_result_is_readable(bad, capsys, command):
    assert run(bad, command, "--answer", "42") == 0
    out, _ = capsys.readouterr()
    assert "vanilla" in out and "actual tokens" in out and out.strip().endswith(".")


@pytest.mark.parametrize("command", ["search", "sweep"])
def test_resuming_a_session_pays_for_nothing_that_is_there(bad, capsys, command):
    run(bad, command, "--answer", "42", "--json")
    first = document(capsys)
    assert run(bad, command, "--json", "--resume", first["session"], question=None) == 0
    again = document(capsys)
    assert again["spent"]["calls"] == 0 and again["spent"]["reused"] == first["spent"]["calls"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", QUESTION], "known answer"),
        (["search"], "--resume"),
        (["search", QUESTION, "--answer", "42", "--samples", "0"], "1 to"),
        (["search", QUESTION, "--answer", "42", "--max-cost", "1"], "price"),
        (["search", QUESTION, "--answer", "42", "--max-calls", "-1"], "above 0"),
        (["sweep", QUESTION, "--budgets", "10,zwei"], "zwei"),
        (["sweep", QUESTION, "--budgets", "0"], "from 1"),
        (["sweep", QUESTION, "--repeats", "0"], "repeats"),
    ],
)
def test_wrong_input_exits_2_and_says_what_is_allowed(bad, capsys, arguments, words):
    code = main([*arguments, "--base-url", bad.base_url, "--model", "ok"])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and words in err


def test_resuming_something_else_is_told_in_words(bad, capsys):
    run(bad, "sweep", "--budgets", "10", "--repeats", "1", "--json")
    session = document(capsys)["session"]
    assert run(bad, "search", "--resume", session, question=None) == 2
    assert "is a sweep" in capsys.readouterr().err
    assert run(bad, "search", "--resume", "search-nowhere", question=None) == 1


def test_a_failing_endpoint_exits_1_and_names_the_session_to_resume(bad, capsys):
    assert run(bad, "search", "--answer", "42", model="401") == 1
    assert "--resume search-" in capsys.readouterr().err
