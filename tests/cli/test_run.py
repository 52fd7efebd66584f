"""`run` on the command line, against a real endpoint on loopback."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tale_core.cli.main import main
from tale_core.store import ExperimentStore, open_store
from tests.support.counting_endpoint import CountingEndpoint, Reply

ROOT = Path(__file__).resolve().parents[2]
ROW_KEYS = {
    "strategy", "n", "accuracy", "accuracy_low", "accuracy_high", "output_tokens", "all_in_tokens", "cost_usd",
    "latency_s", "outcomes",
}  # fmt: skip


def answer(prompt):
    if "number 666" in prompt:
        return Reply(status=400)
    if "estimate the minimum" in prompt:
        return Reply("Budget: [[20]]")
    return Reply("6 times 7 is [[42]]", delay_s=0.5 if "slowly" in prompt else 0.0)


@pytest.fixture(scope="module")
def endpoint():
    with CountingEndpoint(answer) as started:
        yield started


@pytest.fixture
def dataset(tmp_path):
    def make(n=3, *more):
        path = tmp_path / "sums.jsonl"
        texts = [f"What is 6 times 7, number {i}?" for i in range(n)] + list(more)
        path.write_text("".join(json.dumps({"question": t, "answer": "42"}) + "\n" for t in texts), encoding="utf-8")
        return str(path)

    return make


def run(endpoint, *arguments):
    return main(["run", *arguments, "--base-url", endpoint.base_url, "--model", "counted"])


def document(capsys):
    return json.loads(capsys.readouterr().out)


def test_run_prints_exactly_one_document_with_the_agreed_keys(endpoint, dataset, capsys):
    code = run(endpoint, dataset(), "--strategies", "vanilla,tale-zero-shot,fixed:30", "--json")
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert code == 0 and {"experiment", "calls", "rows"} <= found.keys()
    assert found["experiment"].startswith("experiment-") and found["calls"] == 12 and found["complete"]
    assert [row["strategy"] for row in found["rows"]] == ["vanilla", "tale-zero-shot", "fixed:30"]
    for row in found["rows"]:
        assert row.keys() >= ROW_KEYS
        assert (row["n"], row["accuracy"], row["cost_usd"], row["outcomes"]["correct"]) == (3, 1.0, None, 3)
    # What it will take is told before, on standard error; the price of this endpoint is unknown.
    assert "9 answers in 12 calls" in err and "cost is unknown" in err
    assert open_store().get_session(found["experiment"]).status == "done"


def test_without_json_the_table_and_its_finding_are_readable(endpoint, dataset, capsys):
    assert run(endpoint, dataset(), "--strategies", "vanilla,fixed:30@words") == 0
    out = capsys.readouterr().out
    assert (
        "Fixed budget of 30 tokens, template words" in " ".join(out.split())
        and "100.0 %" in out
        and "Spent: 6 calls" in out
        and "unknown price" in out
    )


def test_limit_offset_and_repeats_choose_what_is_asked(endpoint, dataset, capsys):
    arguments = ["--strategies", "vanilla", "--limit", "2", "--offset", "3", "--repeats", "2", "--json", "--fresh"]
    assert run(endpoint, dataset(9), *arguments) == 0
    found = document(capsys)
    asked = ExperimentStore(open_store()).questions(found["experiment"])
    assert [q.text[-2:] for q in asked] == ["3?", "4?"] and found["rows"][0]["n"] == 4


def test_a_file_with_columns_of_other_names_is_mapped(endpoint, tmp_path, capsys):
    path = tmp_path / "sums.csv"
    path.write_text("frage,a,b,richtig\nWhat is 6 times 7 in b?,41,42,b\n", encoding="utf-8")
    columns = "question=frage,options=a|b,answer=richtig"
    assert run(endpoint, str(path), "--map", columns, "--strategies", "vanilla", "--json") == 0
    (asked,) = ExperimentStore(open_store()).questions(document(capsys)["experiment"])
    assert (asked.text, asked.options, asked.answer) == ("What is 6 times 7 in b?", ("41", "42"), "B")


def test_the_sheet_shows_the_first_questions_with_their_known_answers_as_they_were_understood(
    endpoint, tmp_path, capsys
):
    rows = [{"question": f"Which is {i}?\nLook.", "choices": ["7", "8"], "answer": i % 2} for i in range(5)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(endpoint, str(path), "--strategies", "vanilla", "--json") == 0
    err = capsys.readouterr().err
    assert "  Which is 0? Look. -> A) 7\n  Which is 1? Look. -> B) 8\n  Which is 2? Look. -> A) 7\n" in err
    assert "Which is 3?" not in err


def test_numbers_that_may_mean_two_options_are_asked_about_with_the_flag_that_answers(endpoint, tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text("question,A,B,C,answer\nWhich?,x,y,z,1\n", encoding="utf-8")
    assert run(endpoint, str(path), "--strategies", "vanilla", "--json") == 2
    err = capsys.readouterr().err
    assert "--map answer_is=0 or --map answer_is=1" in err
    assert run(endpoint, str(path), "--map", "answer_is=1", "--strategies", "vanilla", "--json") == 0
    assert "Which? -> A) x" in capsys.readouterr().err


def test_a_negative_known_answer_leaves_the_table_as_a_number(endpoint, tmp_path, capsys):
    path, table = tmp_path / "mine.csv", tmp_path / "out.csv"
    path.write_text("question,answer\nWhat is 3 - 4?,-1\nWhat is 2+2?,=4\n", encoding="utf-8")
    assert run(endpoint, str(path), "--strategies", "vanilla", "--export", str(table), "--json") == 0
    with table.open(encoding="utf-8", newline="") as file:
        known = [row["known_answer"] for row in csv.DictReader(file)]
    assert known == ["-1", "'=4"]
    assert float(known[0]) == -1


def test_a_run_with_failures_exits_1_and_its_resume_tries_only_those(endpoint, dataset, capsys):
    assert run(endpoint, dataset(2, "What is number 666?"), "--strategies", "vanilla,fixed:30", "--json") == 1
    out, err = capsys.readouterr()
    first = json.loads(out)
    assert "2 of 6 answers failed" in err and f"--resume {first['experiment']}" in err
    assert (first["complete"], first["failed"], first["rows"][0]["n"]) == (False, 2, 2)
    before = endpoint.requests
    # Neither model nor address nor data set has to be named again.
    assert main(["run", "--resume", first["experiment"], "--json"]) == 1
    again = document(capsys)
    assert again["experiment"] == first["experiment"] and endpoint.requests - before == 2


def test_only_what_failed_is_tried_again_though_other_answers_are_missing_too(dataset, capsys):
    broken = {"number 0": True, "number 1": True}

    def flaky(prompt):
        return Reply(status=400) if any(broken.get(k) and k in prompt for k in broken) else Reply("[[42]]")

    with CountingEndpoint(flaky) as endpoint:
        arguments = ["--strategies", "vanilla,fixed:30", "--concurrency", "1", "--max-calls", "4", "--json", "--fresh"]
        assert run(endpoint, dataset(8), *arguments) == 1
        first = document(capsys)
        # Four of the first eight failed, which count for no limit; four others reached it, so eight are left.
        assert (first["failed"], first["finished"], first["planned"]) == (4, 4, 16)
        again = ["run", "--resume", first["experiment"], "--only-failed", "--max-calls", "100", "--json"]
        broken["number 0"] = False
        before = dict(endpoint.counts)
        assert main(again) == 1, "two of them fail again"
        found = document(capsys)
        asked = {prompt for (prompt, seed), n in endpoint.counts.items() if n != before.get((prompt, seed), 0)}
        assert (found["failed"], found["finished"]) == (2, 6) and endpoint.requests == 12
        assert len(asked) == 4 and all("number 0" in p or "number 1" in p for p in asked)
        broken["number 1"] = False
        assert main(again) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["failed"] == 0 and json.loads(out)["finished"] == 8 and endpoint.requests == 14
        assert f"8 answers were not asked for; go on with --resume {first['experiment']}" in err
        assert main(again) == 2, "nothing is left that failed"
        assert "No answer of experiment" in capsys.readouterr().err and endpoint.requests == 14
        assert open_store().get_session(first["experiment"]).status == "cancelled"
        assert main(["run", "--resume", first["experiment"], "--max-calls", "100", "--json"]) == 0
        assert document(capsys)["complete"] and endpoint.requests == 22


def test_a_hard_limit_stops_the_run_and_a_higher_one_goes_on(endpoint, dataset, capsys):
    arguments = ["--strategies", "vanilla", "--fresh", "--json"]
    assert run(endpoint, dataset(8), *arguments, "--max-calls", "3") == 1
    out, err = capsys.readouterr()
    first = json.loads(out)
    assert first["calls"] == 3 and "cap on calls is reached" in err
    assert main(["run", "--resume", first["experiment"], "--max-calls", "100", "--json"]) == 0
    assert document(capsys)["calls"] == 8


def test_exports_are_written_beside_the_document(endpoint, dataset, tmp_path, capsys):
    names = [str(tmp_path / f"out.{kind}") for kind in ("csv", "html")]
    assert run(endpoint, dataset(), "--strategies", "vanilla", "--export", names[0], "--export", names[1]) == 0
    assert len(list(csv.DictReader(Path(names[0]).read_text(encoding="utf-8").splitlines()))) == 3
    assert Path(names[1]).read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--resume"),
        (["no-such-set"], "no-such-set"),
        (["{file}", "--strategies", "vanilla,magic"], "no strategy 'magic'"),
        (["{file}", "--strategies", ""], "Strategies"),
        (["{file}", "--strategies", "tale-regression"], "trained"),
        (["{file}", "--repeats", "0"], "repeats"),
        (["{file}", "--concurrency", "0"], "concurrency"),
        (["{file}", "--limit", "0"], "limit"),
        (["{file}", "--max-cost", "1"], "price"),
        (["{file}", "--max-total-tokens", "-5"], "above 0"),
        (["{file}", "--engine", "ray", "--ray-workers", "0"], "from 1 to"),
        (["{file}", "--export", "out.xlsx"], ".parquet"),
        (["{file}", "--resume", "experiment-x"], "one of them"),
        (["{file}", "--only-failed"], "without --resume"),
        (["{file}", "--map", "question"], "Write field=column"),
        (["{file}", "--map", "question=a,question=b"], "once each"),
        (["{file}", "--map", "question=nowhere"], "no column 'nowhere'"),
    ],
)
def test_wrong_input_exits_2_says_what_is_allowed_and_asks_nothing(endpoint, dataset, capsys, arguments, words):
    before = endpoint.requests
    code = run(endpoint, *(a.format(file=dataset()) for a in arguments))
    out, err = capsys.readouterr()
    assert (code, out, endpoint.requests) == (2, "", before) and words in err and "Traceback" not in err
    assert open_store().count_sessions() == 0


def test_resuming_something_else_is_told_in_words(endpoint, dataset, capsys):
    assert main(["run", "--resume", "experiment-nowhere"]) == 1
    run(endpoint, dataset(1), "--strategies", "vanilla", "--json")
    found = document(capsys)
    assert main(["run", "--resume", found["experiment"], "--model", "other"]) == 2
    assert "begun with the model 'counted'" in capsys.readouterr().err


def test_an_endpoint_that_is_not_there_exits_1_with_the_reason(dataset, capsys):
    code = main(["run", dataset(1), "--strategies", "vanilla", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"])
    assert code == 1 and "Traceback" not in capsys.readouterr().err


def test_an_interrupt_exits_130_says_how_to_go_on_and_leaves_nothing_running(endpoint, dataset):
    command = [sys.executable, "-m", "tale_core", "run", dataset(0, *(f"Slowly slowly, sum {i}?" for i in range(40)))]
    command += ["--strategies", "vanilla", "--base-url", endpoint.base_url, "--model", "counted", "--concurrency", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not any("lowly" in prompt for prompt, _ in list(endpoint.counts)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "--resume experiment-" in err and "Traceback" not in err
    (summary,) = open_store().list_sessions(kind="experiment")
    assert summary.status == "cancelled"
    assert {c.status for c in open_store().get_session(summary.id).calls} <= {"done", "cancelled"}
