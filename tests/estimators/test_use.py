"""Trained estimators in an Ask, in experiments' strategies and on the command line."""

import json
from contextlib import aclosing

import pytest

from tale_core.ask import run as ask_run
from tale_core.ask.plan import AskPlan, EstimateReady, ask
from tale_core.ask.run import AskRun
from tale_core.calls.events import CallFinished
from tale_core.cli.main import main
from tale_core.errors import EstimatorFileError, InputError
from tale_core.estimators import estimator, saved, trained
from tale_core.estimators.rows_file import rows_from_jsonl, rows_to_jsonl
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.store import open_store
from tale_core.strategies import strategy
from tale_core.types import Question
from tests.estimators.simulated import MODEL, TEMPLATE, question, rows

NAMED = {"model": MODEL, "template": TEMPLATE}


async def asked(name, *, says="Budget: [[20]]", text=None):
    client = ScriptedClient(lambda r: says if r.messages[0].content.startswith("Task: Analyze") else "[[1]]", MODEL)
    async with aclosing(ask(AskPlan(text or question(4), name, TEMPLATE).checked(model=MODEL), client)) as events:
        found = [event async for event in events]
    estimate = next(e.estimate for e in found if isinstance(e, EstimateReady))
    return estimate, {e.call.role: e.call for e in found if isinstance(e, CallFinished)}


async def test_an_ask_uses_a_regression_without_a_call(regressed):
    saved.save(regressed)
    estimate, calls = await asked("regression")
    assert estimate.budget == regressed.budget(question(4))[0] == calls["budgeted"].requested_budget
    assert set(calls) == {"vanilla", "budgeted"} and estimate.completion is None
    assert estimate.estimator == f"regression:{regressed.version}"


async def test_an_ask_with_a_calibrated_estimate_counts_the_models_call(mapped):
    saved.save(mapped)
    estimate, calls = await asked("calibrated")
    assert estimate.budget == mapped.budget(question(4), 20)[0] and estimate.raw == "Budget: [[20]]"
    assert calls["estimate"].completion_tokens > 0 and estimate.problem is None


async def test_an_ask_says_why_a_calibrated_estimate_could_not_be_used(mapped):
    saved.save(mapped)
    estimate, _ = await asked("calibrated", says="Budget: [[0]]")
    assert estimate.budget == mapped.metadata.fallback
    assert estimate.problem.startswith("the model's estimate of 0 tokens is not positive; using ")


async def test_an_ask_expects_the_vanilla_length_that_an_estimator_tells(regressed, monkeypatch):
    monkeypatch.setattr(ask_run, "EXPECTATION_S", 60.0)
    saved.load(saved.save(regressed).path)  # The first to read one waits for what reads it.
    asked_for = AskPlan(question(4), "fixed:40", TEMPLATE).checked(model=MODEL)

    async def ready():
        return ScriptedClient(lambda _: Reply("[[1]]", delay_s=0.2), MODEL)

    run = AskRun(asked_for, store=open_store(), open_client=ready, model=MODEL, endpoint="scripted")
    await run.run()
    assert run.view().expected == regressed.vanilla_tokens(question(4)) > 0 and run.view().foretold


async def test_an_estimate_that_tells_nothing_costs_no_call(same_estimate):
    saved.save(same_estimate)
    _, calls = await asked("calibrated")
    assert "estimate" not in calls


def test_a_version_and_a_file_name_one_estimator(regressed):
    kept = saved.save(regressed)
    assert estimator(f"regression:{regressed.version}", **NAMED).path == kept.path
    assert estimator(f"regression:{kept.path}", **NAMED).name == f"regression:{regressed.version}"
    with pytest.raises(InputError, match="version 'nope' of the regression estimator"):
        estimator("regression:nope", **NAMED)


def test_an_estimator_is_not_used_for_another_model_or_template(regressed):
    kept = saved.save(regressed)
    with pytest.raises(InputError, match="no regression estimator for other"):
        estimator("regression", model="other", template=TEMPLATE)
    with pytest.raises(InputError, match=r"is regression for simulated .* not regression for simulated .*'words'"):
        estimator(f"regression:{kept.path}", model=MODEL, template="words")
    with pytest.raises(InputError, match="one model and prompt template"):
        estimator("regression")


def test_a_file_that_is_not_there_says_so():
    with pytest.raises(EstimatorFileError, match="cannot be read"):
        estimator("regression:/nowhere/x.skops", **NAMED)


def test_trained_are_what_strategies_take(regressed, mapped):
    assert trained(**NAMED) == {}
    saved.save(regressed)
    saved.save(mapped)
    found = trained(**NAMED)
    assert set(found) == {"regression", "calibrated"}
    assert strategy("tale-regression", found).calls == (1, 1) and strategy("tale-calibrated", found).calls == (2, 2)
    assert found["regression"].budget(Question("How many?"), None)[0] >= 1


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(rows_to_jsonl(rows(40)), encoding="utf-8")
    return str(path)


def command(*args):
    return main(["train-estimator", "--model", MODEL, "--kind", "calibrated", *args])


def test_the_command_prints_one_document_and_the_comparison_beside_it(file, capsys):
    assert command("--from", file, "--json", "--set-default") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["estimator"]["in_use"] and document["report"]["rows"] == 40
    assert document["estimator"]["name"] == estimator("calibrated", **NAMED).name
    assert "calibrated *" in err and "zero-shot" in err and document["report"]["reason"][:40] in err
    assert saved.default_version(saved.Use("calibrated", MODEL, TEMPLATE)) == document["estimator"]["version"]


def test_too_few_searches_end_with_1_and_words(capsys):
    assert command("--json") == 1
    out, err = capsys.readouterr()
    assert out == "" and "simulated has 0 finished searches" in err and "Until then use the estimator zero-shot" in err


def test_a_file_for_another_model_says_what_it_holds(file, capsys):
    assert main(["train-estimator", "--model", "other", "--from", file]) == 2
    assert "There are rows for simulated with paper: 40" in capsys.readouterr().err


def test_rows_can_be_exported(file, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    assert command("--from", file, "--export", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 40
    assert rows_from_jsonl(out.read_text(encoding="utf-8")) == rows(40)
