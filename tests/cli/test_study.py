"""`search` and `sweep` on the command line, against a real endpoint on loopback."""

import json

import pytest

from tale_core.cli.main import main
from tale_core.store import open_store
from tests.cli.test_main import ANSWER_KEYS
from tests.support.counting_endpoint import CountingEndpoint, Reply

QUESTION = "What is 6 times 7?"


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


EFFORTS = {"none": 0, "low": 200, "medium": 205, "high": 700}


def thinks(body):
    """A model that thinks by its effort, or as many tokens as it may, a little more or less by the seed."""
    thought = EFFORTS.get(body.get("reasoning_effort"), body.get("thinking_token_budget", 400))
    thought = min(thought, 800) + (body.get("seed") or 0) % 7
    return Reply("So it is [[42]]", completion_tokens=thought + 12, reasoning_tokens=thought)


@pytest.fixture(scope="module")
def thinker():
    with CountingEndpoint(of_body=thinks) as endpoint:
        yield endpoint


def knob(thinker, command, *more):
    return run(thinker, command, "--answer", "42", "--temperature", "1", *more, model="thinker")


def test_a_sweep_over_efforts_says_which_levels_are_real(thinker, capsys):
    words = ["--knob", "effort", "--levels", "high, none,low,medium", "--repeats", "6", "--json"]
    assert knob(thinker, "sweep", *words) == 0
    found = document(capsys)
    points = {p["level"]: p for p in found["points"] if p["kind"] == "budget"}
    assert list(points) == ["high", "medium", "low", "none"]
    assert all(p["budget"] is None and p["visible_tokens_mean"] == 12 for p in points.values())
    assert 200 <= points["low"]["thinking_tokens_mean"] <= 206
    told = found["knob"]
    assert (told["name"], told["real"], told["dropped"], told["n"]) == ("effort", True, False, 6)
    assert told["alike"] == [["low", "medium"]]
    assert "none and low differ" in told["sentence"] and "low and medium do not, n = 6" in told["sentence"]
    assert knob(thinker, "sweep", "--json", "--resume", found["session"]) == 0
    assert document(capsys)["spent"]["calls"] == 0


def test_a_sweep_over_limits_on_thinking_has_a_grid_of_numbers(thinker, capsys):
    assert knob(thinker, "sweep", "--knob", "thinking", "--grid", "50,100,200", "--repeats", "2", "--json") == 0
    found = document(capsys)
    assert [p["level"] for p in found["points"] if p["kind"] == "budget"] == [200, 100, 50]
    assert [p["budget"] for p in found["points"] if p["kind"] == "budget"] == [200, 100, 50]
    assert found["knob"]["name"] == "thinking" and found["knob"]["real"] is True
    assert [round(one["elasticity"], 1) for one in found["elasticity"]] == [0.8, 0.9]


def test_a_search_over_efforts_names_the_cheapest_level_that_is_right(thinker, capsys):
    assert knob(thinker, "search", "--knob", "effort", "--levels", "none,low,medium,high", "--json") == 0
    found = document(capsys)
    assert (found["optimal_level"], found["optimal_budget"], found["knob"]) == ("none", None, "effort")
    assert {p["level"] for p in found["probes"]} == {"none", "low"} and found["probes"][0]["samples"] == 3
    assert knob(thinker, "search", "--knob", "thinking", "--lowest", "64", "--json") == 0
    found = document(capsys)
    assert found["optimal_level"] == found["optimal_budget"] == 64


def test_an_ask_sets_its_budget_in_any_way(thinker, capsys):
    assert knob(thinker, "ask", "--knob", "effort", "--level", "low", "--json") == 0
    found = document(capsys)
    assert (found["knob"], found["level"], found["estimate"]["budget"]) == ("effort", "low", None)
    assert found["answers"]["budgeted"]["thinking_tokens"] < 210 < found["answers"]["vanilla"]["thinking_tokens"]
    assert knob(thinker, "ask", "--knob", "thinking", "--budget", "90", "--json") == 0
    found = document(capsys)
    assert (found["knob"], found["level"]) == ("thinking", 90)
    assert found["answers"]["budgeted"]["budget"] is None and found["answers"]["budgeted"]["thinking_tokens"] < 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "--knob", "effort", "--levels", "low,extreme"], "Choose from: none"),
        (["sweep", "--knob", "effort", "--grid", "10,20"], "--levels low,high"),
        (["sweep", "--knob", "thinking", "--levels", "low"], "numbers of tokens"),
        (["sweep", "--knob", "thinking", "--grid", "10,many"], "not a whole number"),
        (["search", "--knob", "effort", "--mode", "paper"], "always bisected"),
        (["search", "--knob", "effort", "--levels", "low"], "at least two levels"),
        (["ask", "--knob", "effort"], "No level of effort"),
        (["ask", "--level", "low"], "are numbers"),
    ],
)
def test_a_knob_that_cannot_be_set_exits_2_and_says_what_is_allowed(thinker, capsys, arguments, words):
    command, *more = arguments
    assert knob(thinker, command, *more) == 2
    assert words in capsys.readouterr().err
