"""The Fine-tune page: what there is to learn from, a training in every state, adapters and comparisons."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.i18n import use_language
from tale_core.models.adapters import registry as adapters
from tale_core.models.choice import embedded_choice
from tale_core.process import current_owner
from tale_core.runs import runner as jobs
from tale_core.settings import get_settings
from tale_core.tuning import install, job, runs
from tale_core.tuning.plan import TunePlan
from tale_core.tuning.run_state import Estimate, Loss
from tale_core.tuning.runs import TuneRun
from tale_core.types import Outcome
from tests.pages.app_page import opened, sent, words
from tests.tuning import samples

PAGE = "pages/Fine-tune.py"
HOSTILE = "<img src=x onerror=alert(1)> $x^2$ [a](javascript:alert(1)) :red[x] \u202eevil"
ESTIMATE = Estimate(1260.0, 5_500_000_000, 20.0, 63, 3, "float32", "cpu")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything is installed, and no process is started."""
    monkeypatch.setattr(install, "find_spec", lambda name: object())
    monkeypatch.setattr(job, "command", lambda run, processes: [sys.executable, "-c", "import time; time.sleep(60)"])
    yield
    for run in runs.listing():
        pid = int((run.state().owner or "x:0:0").rsplit(":", 2)[1])
        if run.state().running and pid not in (0, os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def page(**address: str) -> AppTest:
    return opened(PAGE, address=address, use=embedded_choice(samples.BASE))


def learnt(count: int = 22) -> None:
    for i in range(2, 2 + count):
        samples.searched(i)


def charts(at: AppTest) -> list[dict[str, Any]]:
    return [json.loads(node.proto.spec) for node in at.main if node.type == "plotly_chart"]


def training(**state: object) -> TuneRun:
    run = runs.create(TunePlan(name="mine", base=samples.BASE), samples.examples())
    run.write(replace(run.state(), owner=current_owner(), **state))
    return run


def test_with_nothing_to_learn_from_it_says_where_examples_come_from():
    at = page()
    text = words(at.main)
    assert not at.exception
    assert "There is nothing to learn from yet." in text and "its own short right answers" in text
    assert at.button(key="tune_measure").disabled and "There is none yet." in text


def test_what_there_is_is_told_with_the_lengths_before_and_after():
    learnt()
    at = page()
    text = words(at.main)
    assert not at.exception
    left = 22 - len(_aside())
    assert f"{left} examples: 12 tokens on average where vanilla took 40, 70 % fewer." in text
    (chart,) = charts(at)
    assert {trace["name"] for trace in chart["data"]} == {"Vanilla answers", "Answers to learn"}
    assert not at.button(key="tune_measure").disabled
    learnt_from = set(at.dataframe[0].value["Answer to learn"])
    assert learnt_from == {samples.short(i) for i in range(2, 24) if samples.question(i) not in _aside()}


def _aside() -> tuple[Any, ...]:
    from tale_core.store import open_store
    from tale_core.tuning.data import examples_from_store
    from tale_core.tuning.examples import Selection

    return examples_from_store(open_store(), model=samples.BASE, selection=Selection()).questions


def gsm8k(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 20) -> None:
    """A local GSM8K with worked solutions."""
    rows = [{"question": samples.question(i).text, "answer": f"{i} + 5 = <<{i}+5={i + 5}>>{i + 5}\n#### {i + 5}"}
            for i in range(2, 2 + count)]  # fmt: skip
    (folder / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("TALE_DATASETS_DIR", str(folder))
    get_settings.cache_clear()


def test_worked_solutions_of_a_data_set_can_be_learnt_instead(tmp_path, monkeypatch):
    gsm8k(tmp_path, monkeypatch)
    at = page()
    at.radio(key="tune_from").set_value("solutions").run()
    assert at.selectbox(key="tune_from_dataset").value == "gsm8k", "a set with solutions is offered first"
    at.selectbox(key="tune_from_dataset").set_value("shipped").run()
    assert any("answers of shipped have no worked solutions" in i.value for i in at.info)
    at.selectbox(key="tune_from_dataset").set_value("gsm8k").run()
    at.slider(key="tune_held_out").set_value(0).run()
    assert not at.exception and "20 examples, " in words(at.main) and not at.button(key="tune_measure").disabled
    at.number_input(key="tune_from_limit").set_value(9)
    at.number_input(key="tune_from_offset").set_value(4).run()
    assert "9 examples, " in words(at.main)
    assert at.dataframe[0].value["Answer to learn"].str.endswith("]]").all()
    at.button(key="tune_measure").click().run()
    (run,) = runs.listing()
    learnt = {e.question.text for e in run.examples().train}
    assert learnt == {samples.question(i).text for i in range(6, 15)}


def test_the_shortest_right_answers_of_one_experiment_can_be_learnt():
    learnt()
    at = page()
    at.radio(key="tune_from").set_value("experiment").run()
    assert "answered no experiment yet" in words(at.main) and not at.exception
    right, wrong = Outcome.CORRECT, Outcome.WRONG
    name = samples.sampled(
        {i: [(f"so {i + 5}", 4, right), (f"thus so {i + 5}", 5, right), ("9", 1, wrong)] for i in range(40, 50)}
    )
    at = page()
    at.radio(key="tune_from").set_value("experiment").run()
    at.slider(key="tune_held_out").set_value(0)
    at.number_input(key="tune_per_question").set_value(2).run()
    assert not at.exception and at.selectbox(key="tune_experiment").value == name
    assert "20 examples, " in words(at.main)
    at.button(key="tune_measure").click().run()
    (run,) = runs.listing()
    assert {e.target_tokens for e in run.examples().train} == {4, 5}
    assert run.examples().source == f"tune examples --from {name} --per-question 2 --least-tokens 1 --held-out 0.0"


def test_an_offset_behind_the_last_solution_is_told(tmp_path, monkeypatch):
    gsm8k(tmp_path, monkeypatch)
    at = page()
    at.radio(key="tune_from").set_value("solutions").run()
    at.selectbox(key="tune_from_dataset").set_value("gsm8k").run()
    at.number_input(key="tune_from_offset").set_value(40).run()
    assert not at.exception and "behind the last question" in words(at.main)


def test_too_few_examples_say_what_is_missing():
    learnt(3)
    at = page()
    assert "at least 8 are needed" in words(at.main) and at.button(key="tune_measure").disabled


def test_without_torch_the_command_is_shown_and_the_adapters_stay_usable(monkeypatch, tmp_path):
    monkeypatch.setattr(install, "find_spec", lambda name: None if name in ("torch", "trl") else object())
    samples.adapter(tmp_path)
    learnt()
    at = page()
    text = words(at.main)
    assert "not installed: `torch`, `trl`" in text
    assert at.code[0].value == "pip install torch==2.13.0\npip install -r requirements-tune.txt"
    assert not [b for b in at.button if b.key == "tune_measure"] and "brief" in text


def test_a_wrong_name_is_told():
    learnt()
    at = page()
    at.text_input(key="tune_name").input("Not A Name").run()
    assert "cannot be an adapter's name" in words(at.main) and at.button(key="tune_measure").disabled


def test_measuring_starts_a_process_and_the_address_names_it():
    learnt()
    at = page()
    at.number_input(key="tune_epochs").set_value(2)
    at.button(key="tune_measure").click().run()
    assert not at.exception
    (run,) = runs.listing()
    assert at.query_params["training"] in (run.id, [run.id])
    assert run.state().measure_only and run.plan.settings.epochs == 2 and run.plan.name == "brief-1"
    assert at.button(key="tune_stop") and "Starting" in words(at.main)
    other = page()
    assert "Training brief-1" in words(other.main), "another browser finds what runs"


def test_what_it_takes_is_shown_before_anything_is_trained(monkeypatch):
    run = training(status="done", phase="ended", measure_only=True, estimate=ESTIMATE)
    at = page(training=run.id)
    text = words(at.main)
    assert "This takes about" in text and "63 steps" in text and "5" in text and "3 of your examples" in text
    at.button(key="tune_train").click().run()
    assert not at.exception
    state = run.state()
    assert state.running and not state.measure_only and state.estimate == ESTIMATE


def test_a_running_training_is_followed_with_its_loss():
    run = training(phase="training", step=12, steps=63, loss=0.8, eta_s=900.0, estimate=ESTIMATE)
    for step in range(1, 13):
        run.append(Loss(step, step / 20, 2.0 - step / 10))
    run.append(Loss(12, 0.6, 1.1, held_out=True))
    at = page()
    text = words(at.main)
    assert "Step 12 of 63" in text and "loss 0.800" in text and "left" in text
    (chart,) = charts(at)
    assert [trace["name"] for trace in chart["data"]] == ["Training", "Questions kept aside"]
    assert "The loss has fallen from 1.90 to 0.80." in text
    at.button(key="tune_stop").click().run()
    assert run.stop_file.exists() and at.button(key="tune_end").label == "Stop at once"
    assert "Stopping after this step" in words(at.main)


def test_a_training_that_can_go_on_is_found_without_its_link():
    measured = training(status="done", phase="ended", measure_only=True, estimate=ESTIMATE)
    failed = training(status="failed", phase="ended", step=12, steps=63, error="The disk is full.")
    training(status="done", phase="ended", adapter="brief")
    at = page()
    text = words(at.main)
    assert "failed · Step 12 of 63" in text and "measured, not trained yet" in text
    assert len([b for b in at.button if str(b.key).startswith("tune_open_")]) == 2
    at.button(key=f"tune_open_{failed.id}").click().run()
    assert "The disk is full." in words(at.main) and at.query_params["training"] in (failed.id, [failed.id])
    assert at.button(key="tune_resume") and measured.state().measure_only


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"status": "cancelled"}, "was stopped"),
        ({"status": "interrupted"}, "was interrupted"),
        ({"status": "failed", "error": f"The disk is full. {HOSTILE}"}, "The disk is full."),
    ],
)
def test_a_training_that_ended_early_can_be_resumed_or_discarded(state, said):
    run = training(phase="ended", step=20, steps=63, **state)
    folder = run.checkpoints / "checkpoint-20"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}")
    at = page(training=run.id)
    text = words(at.main)
    assert said in text and "from its last checkpoint, step 20" in text
    assert "<img" not in sent(at.main).replace("\\<", "")
    at.button(key="tune_resume").click().run()
    assert run.state().running and not at.exception
    run.write(replace(run.state(), status="failed", error="again"))
    page(training=run.id).button(key="tune_discard").click().run()
    assert runs.listing() == []


def test_a_training_that_is_gone_is_told():
    at = page(training="tune-000000000000")
    assert "There is no training" in words(at.main) and "training" not in at.query_params


def result(name: str) -> dict[str, Any]:
    rows = [
        {"strategy": strategy, "n": 200, "accuracy": right, "accuracy_low": right - 0.07, "accuracy_high": right + 0.07,
         "output_tokens": tokens, "output_tokens_low": tokens - 5, "output_tokens_high": tokens + 5}
        for strategy, right, tokens in (("direct", 0.05, 5.4), ("vanilla", 0.52, 303.0), (f"tuned:{name}", 0.5, 71.0))
    ]  # fmt: skip
    return {"experiment": "experiment-x", "dataset": HOSTILE, "questions": 200, "at": "2026-11-24", "rows": rows}


def test_a_finished_training_shows_its_adapter_and_what_it_is_made_of(tmp_path):
    run = training(status="done", phase="ended", adapter="mine")
    samples.adapter(tmp_path, "mine", data={"examples": 12, "questions": ["a"], "fingerprint": "f" * 64})
    at = page(training=run.id)
    text = words(at.main)
    assert "The adapter mine is ready" in text and "Nobody has compared it" in text and "12 examples" in text
    assert "questions_count" in sent(at.main) and "f" * 64 in sent(at.main)


def test_a_comparison_is_told_in_a_sentence_and_as_a_table(tmp_path):
    adapters.change(samples.adapter(tmp_path), results=[result("brief")])
    at = page(adapter="brief")
    text = words(at.main)
    assert "On 200 unseen questions it takes 77 % fewer output tokens than vanilla" in text
    assert "with 50.0 % right instead of 52.0 % (−2.0 points)" in text
    text = text.replace("\u00a0", " ")  # No cell is broken into lines.
    assert "50.0 % (43.0 to 57.0)" in text and "Fine-tuned: brief" in text
    assert "not in this database" in text and "\u202e" not in sent(at.main)


def test_a_comparison_leaves_out_what_was_trained_on_and_is_kept_with_the_adapter(tmp_path, monkeypatch):
    aside = [{"text": samples.question(i).text, "answer": str(i + 5)} for i in range(20, 24)]
    from tale_core.tuning.examples import leak_key

    keys = [leak_key(samples.question(20))]
    samples.adapter(tmp_path, data={"questions": keys, "held_out_questions": aside})
    started: list[Any] = []

    class Started:
        id = "experiment-1"

    monkeypatch.setattr(jobs, "start_experiment", lambda plan, choice, **k: started.append((plan, choice)) or Started())
    at = page(adapter="brief")
    at.button(key="tune_compare").click().run()
    assert not at.exception
    ((plan, choice),) = started
    assert plan.strategies == ("direct", "vanilla", "tuned:brief") and choice.model == samples.BASE
    assert [q.text for q in plan.questions] == [row["text"] for row in aside[1:]]
    # It never came into the store here: it is forgotten, not followed for ever.
    assert adapters.find("brief").about.results == []


def test_an_adapter_is_deleted_only_after_it_was_asked_twice(tmp_path):
    samples.adapter(tmp_path)
    at = page()
    at.button(key="tune_delete_brief").click().run()
    assert "for good" in words(at.main) and adapters.listing().adapters
    at.button(key="tune_keep").click().run()
    at.button(key="tune_delete_brief").click().run()
    at.button(key="tune_really").click().run()
    assert adapters.listing().adapters == () and not at.exception


def test_a_damaged_adapter_is_told_and_does_not_hide_the_others(tmp_path):
    samples.adapter(tmp_path, "good")
    bad = samples.adapter(tmp_path, "bad")
    (bad.folder / "adapter.json").write_text("{")
    text = words(page().main)
    assert "Not every adapter can be used" in text and "good" in text
    assert "There is no adapter bad" in words(page(adapter="bad").main)


def test_the_page_speaks_chinese(tmp_path):
    adapters.change(samples.adapter(tmp_path), results=[result("brief")])
    with use_language("zh"):
        from ui.finetune import text as tuning_words

        assert tuning_words.finding(adapters.find("brief"), result("brief")).startswith("在 200 个未见过的问题上")


def test_the_adapter_is_offered_in_ask_and_in_experiments(tmp_path):
    samples.adapter(tmp_path)
    at = opened(use=embedded_choice(samples.BASE))
    assert (
        "tuned:brief" in at.selectbox(key="estimator").options
        or "None: the fine-tuned brief" in at.selectbox(key="estimator").options
    )
    at = at.switch_page("pages/Experiments.py").run()
    assert any("brief" in option for option in at.multiselect(key="exp_strategies").options)
