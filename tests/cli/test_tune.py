"""`tune` on the command line: exit codes, JSON documents, and what is refused before anything starts."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tale_core.cli.main import main
from tale_core.models.adapters import registry as adapters
from tale_core.tuning import install, job, runs
from tale_core.tuning import worker as worker_process
from tale_core.tuning.base import Base
from tale_core.tuning.examples import Examples
from tale_core.tuning.examples_file import from_jsonl, to_jsonl
from tale_core.tuning.plan import TunePlan
from tale_core.tuning.run_state import Estimate
from tests.support.counting_endpoint import CountingEndpoint, Reply
from tests.tuning import samples


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find_spec", lambda name: object())


def worker(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    head = "import sys; from pathlib import Path; from dataclasses import replace; from tale_core.tuning import runs\n"
    head += "run = runs.find(Path(sys.argv[1]).name); state = run.state()\n"
    monkeypatch.setattr(job, "command", lambda run, n: [sys.executable, "-c", head + code, str(run.path)])


def test_examples_are_counted_exported_and_kept_from_an_evaluation(tmp_path, capsys):
    for i in range(2, 12):
        samples.searched(i)
    file = tmp_path / "evaluate.jsonl"
    asked = [samples.question(i) for i in (2, 3, 4)]
    file.write_text("".join(json.dumps({"question": q.text, "answer": q.answer}) + "\n" for q in asked))
    out = tmp_path / "examples.jsonl"
    flags = ["--model", samples.BASE, "--held-out", "0", "--exclude", f"{file}:1:2", "--export", str(out), "--json"]
    assert main(["tune", "examples", *flags]) == 0
    told = document(capsys)
    assert (told["train"], told["held_out"], told["passed_over"]["excluded"], told["pairs"]) == (8, 0, 2, 8)
    assert (told["target_tokens_mean"], told["vanilla_tokens_mean"]) == (12, 40)
    kept = {e.question.text for e in from_jsonl(out.read_text()).train}
    assert kept & {q.text for q in asked} == {asked[0].text}


def test_worked_solutions_become_examples(tmp_path, capsys):
    file = tmp_path / "set.jsonl"
    rows = [{"question": samples.question(i).text, "answer": f"{i} + 5 = {i + 5}\n#### {i + 5}"} for i in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--model", samples.BASE, "--held-out", "0", "--json"]
    assert main(["tune", "examples", "--solutions", f"{file}:2:9", "--exclude", f"{file}:0:3", *flags]) == 0
    told = document(capsys)
    assert (told["train"], told["passed_over"]["excluded"], told["pairs"]) == (8, 1, 0)
    assert main(["tune", "examples", "--solutions", str(file), "--from", str(file), *flags]) != 0
    assert "--from and --solutions were both given" in capsys.readouterr().err
    assert main(["tune", "examples", "--solutions", "shipped", *flags]) != 0
    assert "no worked solutions" in capsys.readouterr().err


def sums(folder: Path, count: int = 8) -> Path:
    """Sums of which the last is never answered right; the rows have worked solutions."""
    rows = [{"question": samples.question(i).text, "answer": f"{i} + 5 = {i + 5}\n#### {i + 5}"} for i in range(count)]
    rows[-1]["answer"] = "Nobody knows.\n#### 999"
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "sums.jsonl"


def added(prompt: str) -> Reply:
    """The right sum, in more words when the prompt asks for no brevity."""
    found = re.search(r"(\d+) pens and (\d+) more", prompt)
    assert found is not None
    return Reply(f"so {int(found[1]) + int(found[2])} #### {int(found[1]) + int(found[2])}")


def test_samples_are_asked_once_resumed_selected_and_trained_on(tmp_path, capsys):
    file = tmp_path / "own.jsonl"
    with CountingEndpoint(added) as endpoint:
        ask = ["tune", "sample", str(file)[:-6], str(sums(tmp_path)), "--strategy", "chain-of-draft", "--samples", "2"]
        ask += ["--held-out", "0", "--solutions-share", "0.2", "--json"]
        ask += ["--base-url", endpoint.base_url, "--model", samples.BASE]
        assert main([*ask, "--max-calls", "3", "--concurrency", "1"]) == 1
        out, err = capsys.readouterr()
        first = json.loads(out)
        assert (first["answers"], first["planned"], endpoint.requests) == (3, 16, 3)
        assert f"Go on with --resume {first['experiment']}" in err
        assert main([*ask, "--resume", first["experiment"], "--max-calls", "100"]) == 0
        told = document(capsys)
        assert (told["answers"], told["status"], endpoint.requests) == (16, "done", 16)
        assert max(endpoint.counts.values()) == 1, "each sample has a seed of its own, and is paid for once"
        assert main(ask) == 0 and endpoint.requests == 16, "the same command again pays nothing"
        capsys.readouterr()
    assert (told["solved"], told["never_solved"], told["solutions"], told["train"]) == (7, 1, 1, 8)
    found = from_jsonl(file.read_text())
    assert {e.target for e in found.train if e.template != "solution"} == {f"so {i} [[{i}]]" for i in range(5, 12)}
    assert "--strategy chain-of-draft --samples 2 --temperature 0.8 --seed 1024" in found.source
    assert about_of(found)["data"]["source"] == found.source
    same = ["tune", "examples", "--held-out", "0", "--model", samples.BASE, "--json", "--from"]
    assert main([*same, str(file)]) == 0 and document(capsys)["train"] == 8
    assert main([*same, told["experiment"]]) == 0 and document(capsys)["train"] == 7
    assert main([*same, told["experiment"], "--model", "another"]) == 2
    assert "not of 'another'" in capsys.readouterr().err


def about_of(found: Examples) -> dict[str, Any]:
    run = runs.create(TunePlan(name="brief", base=samples.BASE), found)
    assert run.examples().source == found.source
    return worker_process.about(run, Base(samples.BASE, "", Path("base"), ""), run.examples(), {})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--strategy", "vanilla"], "no brief reasoning"),
        (["--strategy", "nonsense"], "no strategy 'nonsense'"),
        (["--temperature", "0"], "one answer 4 times"),
        (["--solutions-share", "2"], "from 0 to 0.9"),
        (["--per-question", "0"], "0 answers a question"),
        (["--exclude", "DATASET"], "No question of 'sums' is left"),
        (["--resume", "experiment-none"], "no"),
    ],
)
def test_a_sampling_that_is_wrong_is_refused_before_anything_is_asked(flags, words, tmp_path, capsys):
    data = str(sums(tmp_path))
    given = [data if flag == "DATASET" else flag for flag in flags]
    with CountingEndpoint(added) as endpoint:
        whom = ["--base-url", endpoint.base_url, "--model", "counted"]
        assert main(["tune", "sample", str(tmp_path / "own"), data, *given, *whom]) in (1, 2)
        assert words in capsys.readouterr().err and endpoint.requests == 0
    assert not (tmp_path / "own.jsonl").exists()
    assert main(["tune", "sample", str(tmp_path / "nowhere" / "own"), data]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_without_torch_training_is_refused_with_the_command(monkeypatch, capsys):
    monkeypatch.setattr(install, "find_spec", lambda name: None if name == "torch" else object())
    assert main(["tune", "train", "brief"]) == 2
    assert "pip install torch==2.13.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "has no name"),
        (["Bad Name"], "cannot be an adapter's name"),
        (["x", "--epochs", "0"], "epochs"),
        (["x", "--targets", "lm_head"], "cannot be trained"),
        (["x", "--base-folder", "/nowhere", "--parent", "nobody"], "no adapter"),
        (["x", "--from", "/nowhere.jsonl"], "cannot be read"),
        (["x"], "at least 8 are needed"),
        (["--resume", "tune-000000000000"], "no training"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_starts(installed, flags, words, capsys):
    code = main(["tune", "train", *flags])
    assert code in (1, 2) and words in capsys.readouterr().err
    assert runs.listing() == []


def test_a_training_is_followed_and_told_in_one_document(installed, monkeypatch, tmp_path, capsys):
    worker(monkeypatch, "run.write(replace(state, status='done', phase='ended', adapter='brief', step=4, owner=''))")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(to_jsonl(samples.examples()))
    flags = ["--model", samples.BASE, "--from", str(rows), "--epochs", "2", "--json"]
    assert main(["tune", "train", "brief", *flags]) == 0
    told = document(capsys)
    assert (told["name"], told["status"], told["adapter"], told["settings"]["epochs"]) == ("brief", "done", "brief", 2)
    assert main(["tune", "runs", "--json"]) == 0
    assert [r["run"] for r in document(capsys)["trainings"]] == [told["run"]]


def test_a_failed_training_exits_one_with_the_way_on(installed, monkeypatch, tmp_path, capsys):
    worker(
        monkeypatch, "run.write(replace(state, status='failed', phase='ended', error='The disk is full.', owner=''))"
    )
    rows = tmp_path / "rows.jsonl"
    rows.write_text(to_jsonl(samples.examples()))
    assert main(["tune", "train", "brief", "--model", samples.BASE, "--from", str(rows)]) == 1
    (run,) = runs.listing()
    assert f"The disk is full. Go on with `tune train --resume {run.id}`" in capsys.readouterr().err


def test_an_estimate_trains_nothing(installed, monkeypatch, tmp_path, capsys):
    worker(monkeypatch, "run.write(replace(state, status='done', phase='ended', owner=''))")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(to_jsonl(samples.examples()))
    assert main(["tune", "train", "brief", "--estimate", "--model", samples.BASE, "--from", str(rows)]) == 0
    (run,) = runs.listing()
    assert run.state().measure_only
    run.write(replace(run.state(), estimate=Estimate(1260.0, 5_500_000_000, 20.0, 63, 3, "float32", "cpu")))
    assert main(["tune", "train", "--resume", run.id, "--json"]) == 0
    assert document(capsys)["measure_only"] is False


def test_adapters_are_listed_shown_exported_and_deleted(tmp_path: Path, capsys):
    one = samples.adapter(tmp_path, data={"questions": ["a", "b"]})
    assert main(["tune", "list", "--json"]) == 0
    assert [a["key"] for a in document(capsys)["adapters"]] == [one.key]
    assert main(["tune", "show", "brief"]) == 0
    assert document(capsys)["data"]["questions_count"] == 2
    assert main(["tune", "export", "brief", str(tmp_path / "x.gguf"), "--json"]) == 0
    assert Path(document(capsys)["file"]).read_bytes() == one.gguf.read_bytes()
    assert main(["tune", "delete", "brief", "--json"]) == 0 and adapters.listing().adapters == ()
    capsys.readouterr()
    assert main(["tune", "show", "brief"]) == 2
    assert "no adapter 'brief'" in capsys.readouterr().err


def test_an_evaluation_of_what_was_trained_on_is_refused(tmp_path, capsys):
    from tale_core.tuning.examples import leak_key

    q = samples.question(3)
    samples.adapter(tmp_path, data={"questions": [leak_key(q)]})
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps({"question": q.text, "answer": q.answer}) + "\n")
    assert main(["tune", "evaluate", "brief", str(file)]) == 2
    assert "that brief was trained on" in capsys.readouterr().err


def test_an_adapter_of_another_model_is_refused_before_anything_is_asked(tmp_path, capsys):
    samples.adapter(tmp_path)
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps({"question": "What is 1 + 1?", "answer": "2"}) + "\n")
    flags = ["--strategies", "tuned:brief", "--model", "qwen2.5-coder-1.5b"]
    assert main(["run", str(file), *flags]) == 2
    assert f"is for {samples.BASE}, not for qwen" in capsys.readouterr().err
    assert main(["ask", "What is 1 + 1?", "--estimator", "tuned:brief", "--model", "qwen2.5-coder-1.5b"]) == 2
