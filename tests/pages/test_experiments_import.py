"""Importing predictions on the Experiments page: upload, what is told, the experiment that comes of it, beside ours."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.errors import StoreError
from tale_core.store import ExperimentStore
from tests.pages import experiment_samples as samples
from tests.pages.app_page import sent, store, words
from tests.pages.experiment_page import HOSTILE, box, cells, experiment_id, page
from tests.support import log_files as logs
from tests.support.prediction_files import DIRECT, TALE, TEXTS, VANILLA, lines, vanilla

FILES = {
    "output_without_reasoning_new_prompt.jsonl": DIRECT,
    "output_with_reasoning.jsonl": VANILLA,
    "TALE.jsonl": TALE,
}


def upload(at: AppTest, files: dict[str, bytes] | None = None) -> AppTest:
    at.file_uploader(key="imp_files").set_value([(n, d, "text/plain") for n, d in (files or FILES).items()])
    return at.run()


def fill(at: AppTest, *, model: str = "gpt-4o-mini", dataset: str = "GSM8K-Test") -> AppTest:
    at.text_input(key="imp_model").input(model)
    at.text_input(key="imp_dataset").input(dataset)
    return at.run()


def imported(files: dict[str, bytes] | None = None, **named: str) -> AppTest:
    at = fill(upload(page(), files), **named)
    assert not at.button(key="imp_go").disabled
    return at.button(key="imp_go").click().run()


def test_the_repositorys_files_are_recognised_and_imported_as_one_experiment() -> None:
    at = upload(page())
    text = words(at.main)
    assert not at.exception and not at.main.error
    assert "output_with_reasoning.jsonl: vanilla 3" in text and "TALE.jsonl: tale-zero-shot 3" in text
    assert at.button(key="imp_go").disabled and "the files name neither" in text
    assert not [b for b in at.selectbox if b.label == "Prediction"], "known files need no mapping"
    fill(at).button(key="imp_go").click().run()
    text = words(at.main)
    assert not at.exception and not at.main.error
    head = ExperimentStore(store()).head(experiment_id(at))
    assert (head.model, head.plan["dataset"], head.source) == ("gpt-4o-mini", "gsm8k", "recorded")
    main = cells(at, 2)
    assert main["Strategy"] == ["Direct answer", "Vanilla", "TALE, zero-shot"] and set(main["Answers"]) == {"3 of 3"}
    assert set(main["All-in tokens"]) == {"–"} and set(main["Seconds a question"]) == {"–"}
    assert "Imported, not run here: output_without_reasoning_new_prompt.jsonl" in text
    assert "not the model's own tokens" in text and "1 prompt asked for a number that is no budget" in text
    assert "Spent:" not in text and "estimates: the endpoint" not in text and "default budget" not in text
    assert not [b for b in at.button if b.key in ("resume", "retry_failed")]
    assert "What was imported" in text and "What was run" not in text
    again = page(experiment=experiment_id(at))
    assert not again.exception and again.number_input(key="exp_limit").value == 20, "the form keeps its own settings"
    assert again.toggle(key="exp_reuse").value is True


@pytest.mark.parametrize(
    ("tool", "name", "data", "model"),
    [
        ("lm-evaluation-harness", "samples_gsm8k.jsonl", logs.harness(), ""),
        ("Inspect", "log.eval", logs.inspect_archive(zstandard=True), "openai/gpt-4o"),
        ("Inspect", "log.json", logs.inspect_log(), "openai/gpt-4o"),
        ("promptfoo", "results.json", logs.promptfoo(), "openai:gpt-5-mini"),
        ("OpenAI evals", "events.jsonl", logs.openai_evals(), "gpt-3.5-turbo-0613"),
    ],
)
def test_a_log_of_another_tool_is_recognised_and_says_who_answered(
    tool: str, name: str, data: bytes, model: str
) -> None:
    at = upload(page(), {name: data})
    assert not at.exception and not at.main.error
    assert f"A log of {tool}." in words(at.main) and at.text_input(key="imp_model").value == model
    assert not [b for b in at.selectbox if b.label == "Prediction"], "known files need no mapping"
    if not model:
        at.text_input(key="imp_model").input("some model")
    at.text_input(key="imp_dataset").input("jars")
    at.run().button(key="imp_go").click().run()
    text = words(at.main)
    assert not at.exception and not at.main.error
    assert f"Read from a log of {tool}: its own scores were not taken." in text
    assert ExperimentStore(store()).head(experiment_id(at)).model == (model or "some model")


def test_what_the_next_file_says_takes_the_place_of_what_the_last_one_said_but_not_of_what_was_typed() -> None:
    at = upload(page(), {"log.json": logs.inspect_log()})
    assert at.text_input(key="imp_model").value == "openai/gpt-4o"
    upload(at, {"results.json": logs.promptfoo()})
    assert at.text_input(key="imp_model").value == "openai:gpt-5-mini"
    at.text_input(key="imp_model").input("mine").run()
    upload(at, {"log.json": logs.inspect_log()})
    assert at.text_input(key="imp_model").value == "mine"


def test_a_log_that_cannot_be_read_is_told_in_words() -> None:
    at = upload(page(), {"log.eval": b"PK"})
    assert not at.exception and "not an archive of Inspect" in words(at.error)


def test_of_two_columns_of_known_answers_one_is_chosen_by_whoever_has_the_file() -> None:
    at = upload(page(), {"mine.csv": b"question,prediction,label,target\nWhat is 1+1?,2,2,3\n"})
    assert "Several columns may hold the known answers. Choose one, or none." in words(at.error)
    next(b for b in at.selectbox if b.label == "Known answer").set_value("label").run()
    assert not at.main.error and "mine.csv: bare 1" in words(at.main)


def test_numbers_that_may_name_two_options_are_asked_about() -> None:
    rows = [{"question": "Which?", "choices": ["x", "y", "z"], "answer": 1, "prediction": "A"}]
    at = upload(page(), {"mine.jsonl": lines(rows)})
    assert "can be read in several ways" in words(at.error)
    next(b for b in at.selectbox if b.label == "The numbers of the known answers are").set_value("1").run()
    fill(at, dataset="mine").button(key="imp_go").click().run()
    assert not at.exception and cells(at, 2)["Right"][0].startswith("100")


def test_bad_rows_are_listed_by_file_line_and_reason_before_and_after() -> None:
    files = {"a.jsonl": VANILLA + b"{broken\n", "b.jsonl": lines([vanilla(TEXTS[0], "13"), vanilla("New?", "1")])}
    at = upload(page(), files)
    assert "1 row was passed over" in words(at.main) and "Line 4 of a.jsonl: broken JSON" in words(at.main)
    fill(at).button(key="imp_go").click().run()
    text = words(at.main)
    assert not at.exception and "2 rows were passed over" in text
    assert "Line 1 of b.jsonl: the same question stands before with another known answer" in text


def test_any_other_table_asks_for_its_columns() -> None:
    csv = f"frage,antwort,n\n{TEXTS[0]},[[12]],7\n".encode()
    at = upload(page(), {"mine.csv": csv})
    assert not at.exception and "No column can be taken for the question" in words(at.error)
    boxes = {b.label: b for b in at.selectbox}
    boxes["Question"].set_value("frage")
    boxes["Prediction"].set_value("antwort")
    boxes["Tokens"].set_value("n")
    at.run()
    assert not at.main.error and "mine.csv: bare 1" in words(at.main)
    fill(at, dataset="mine").button(key="imp_go").click().run()
    assert not at.exception and cells(at, 2)["Output tokens"] == ["7.0"] and cells(at, 2)["Right"] == ["not graded"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"x.jsonl": b""}, "No column can be taken"),
        ({"x.jsonl": b"{broken"}, "No column can be taken"),
        ({"x.parquet": b"no parquet"}, "not Parquet"),
        ({f"{HOSTILE}.jsonl": lines([vanilla("", "1")])}, "line 1: there is no question"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_words(files: dict[str, bytes], told: str) -> None:
    at = upload(page(), files)
    assert not at.exception and told in words(at.error)
    assert not re.search(r"(?<!\\)<img|\u202e", sent(at.error))


def test_names_and_texts_of_others_are_shown_literally() -> None:
    rows = lines([vanilla(f"{HOSTILE}?", "1", f"{HOSTILE} [[1]]"), vanilla(f"{HOSTILE}??", "1", f"{HOSTILE} two")])
    at = imported({f"{HOSTILE}.jsonl": rows}, model=HOSTILE, dataset=HOSTILE)
    at.toggle(key="exp_answers").set_value(True).run()
    assert not at.exception and "\u202e" not in sent(at.main) and "⟨U+202E⟩" in sent(at.main)
    for markdown in [*(m.value for m in at.markdown), *(c.value for c in at.caption), *(s.value for s in at.subheader)]:
        assert not re.search(r"(?<!\\)(<img|\]\(javascript|:red\[)", markdown)


def test_single_answers_of_an_import_are_read_like_any_other() -> None:
    at = imported()
    at.toggle(key="exp_answers").set_value(True).run()
    text = words(at.main)
    assert not at.exception and "The answer is" in text and "all-in tokens in" not in text
    box(at, "Question").set_value(1).run()
    assert "the prompt asked for −1 tokens, which is no budget" in words(at.main)


def test_an_import_that_cannot_be_stored_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Any:
        raise StoreError("The disk is full.", "Make room.")

    monkeypatch.setattr(ExperimentStore, "create_ended", full)
    at = imported()
    assert not at.exception and "The disk is full. Make room." in words(at.error)
    assert "experiment" not in at.query_params and store().count_sessions() == 0


def test_imported_answers_stand_beside_ours_on_the_shared_questions() -> None:
    assert "Imported answers beside it" not in words(page(experiment=samples.kept()).main)
    asked = "What is six times seven, asked as number 1?"
    imported({"x.jsonl": lines([vanilla(asked, "42", "[[42]]"), vanilla("Another?", "1")])}, model="gpt-x")
    at = page(experiment=samples.kept())
    choice = box(at, "Imported answers beside it")
    choice.select_index(1).run()
    text = words(at.main)
    assert not at.exception and "On the 1 question that both hold." in text
    compare = next(c for c in (cells(at, i) for i in range(len(at.table))) if "Model" in c and "Strategy" in c)
    assert compare["Model"][-1] == "gpt-x" and compare["Right"][-1] == "100.0 %, n = 1"
    minus = next(c for c in (cells(at, i) for i in range(len(at.table))) if "Ours minus theirs" in c)
    assert minus["Ours minus theirs"] == ["Vanilla"] and minus["Right, points"][0].startswith("−100.0")
    stranger = page(experiment=samples.kept(replace(samples.plan(1), questions=samples.questions(1))))
    box(stranger, "Imported answers beside it").select_index(1).run()
    assert "They share no question with this experiment." in words(stranger.main)
