"""What is exported to learn from, by one definition with `tune`: fine-tuning rows, finished searches, labels."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

from tale_core.estimators.rows_file import rows_from_jsonl
from tale_core.labels import Labeling
from tale_core.labels.training_files import as_csv, data_file, label_rows
from tale_core.store import QueueFilter, Store
from tale_core.tuning.data import examples_from_store, training_file, training_table
from tale_core.tuning.examples import Selection
from tale_core.tuning.examples_file import from_jsonl, to_jsonl
from tale_core.types import Question
from tests.labels import samples
from tests.labels.test_studies import searched

ALL = QueueFilter(which="all", overlap=0)
CATS = Question("How many legs have 3 cats?", answer="12", kind="number")


def learnt(store: Store) -> list[str]:
    file = training_file(store)
    found = from_jsonl(file.text)
    examples = (*found.train, *found.held_out)
    assert len(examples) == file.rows
    return sorted(example.target for example in examples)


def asked_short(store: Store, question: Question, text: str, *, tokens: int = 7, **fields: Any) -> None:
    """An answer under a budget, without a vanilla one beside it."""
    samples.asked(store, question, text, role="budgeted", tokens=tokens, **fields)


def test_what_is_exported_for_fine_tuning_is_what_tune_exports_and_reads(store: Store, labeling: Labeling) -> None:
    for question in samples.numbered(12):
        known = replace(question, answer="5")
        samples.asked(store, known, "Step by step we see that it is [[5]]", tokens=40)
        asked_short(store, known, f"So [[5]] {question.text[-8:]}")
    labeling.sync()
    file = training_file(store, model=samples.MODEL)
    tuned = examples_from_store(store, model=samples.MODEL, selection=Selection())
    assert file.text == to_jsonl(tuned) and file.fingerprint == tuned.fingerprint
    read = from_jsonl(file.text)
    assert (read.train, read.held_out, read.questions) == (tuned.train, tuned.held_out, tuned.questions)
    assert read.fingerprint == file.fingerprint and file.rows == 12
    assert training_file(store) == file and training_file(store, model="another").rows == 0


def test_neither_simulated_nor_reused_nor_adapters_answers_are_learnt(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "Step by step it is [[12]]")
    for fields in ({"source": "simulated"}, {"source": "cached"}, {"prompt_template": "tuned:x"}, {"finish": "length"}):
        asked_short(store, CATS, f"So [[12]] {fields}", **fields)
    asked_short(store, CATS, "It is [[13]]", tokens=5)
    labeling.sync()
    assert learnt(store) == []
    asked_short(store, CATS, "So [[12]]")
    labeling.sync()
    assert learnt(store) == ["So [[12]]"]


def test_a_label_adds_and_takes_away_examples(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "Step by step it is [[12]]")
    asked_short(store, CATS, "So [[12]]")
    asked_short(store, CATS, "So [[13]]", tokens=6)
    ada = labeling.sit_down("Ada")
    labeling.sync()
    assert learnt(store) == ["So [[12]]"] and training_file(store).labelled == 0
    for target in labeling.queue.ahead(ada, ALL, limit=9):
        assert target.call is not None
        if target.call.text.startswith("So"):
            labeling.judge(ada, target, "right" if "13" in target.call.text else "wrong")
    assert learnt(store) == ["So [[13]]"] and training_file(store).labelled == 1


def test_a_known_answer_that_people_gave_goes_with_the_example(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "Step by step it is [[13]]")
    asked_short(store, CATS, "So [[13]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    labeling.give_answer(ada, labeling.queue.ahead(ada, ALL, limit=1)[0], "13")
    found = from_jsonl(training_file(store).text)
    assert [e.question.answer for e in (*found.train, *found.held_out)] == ["13"]
    assert [row["known_answer"] for row in training_table(store)] == ["13"]


def test_a_fingerprint_names_the_data_and_changes_with_it(store: Store, labeling: Labeling) -> None:
    asked_short(store, CATS, "So [[12]]", tokens=9)
    labeling.sync()
    one = training_file(store)
    assert training_file(store) == one and one.rows == 1 and len(one.fingerprint) == 64
    assert one.fingerprint[:12] in one.name
    asked_short(store, CATS, "[[12]]")
    labeling.sync()
    assert training_file(store).fingerprint != one.fingerprint


def test_rows_for_estimators_are_searches_with_an_optimum_and_can_be_trained_from(
    store: Store, labeling: Labeling
) -> None:
    searched(store, {None: "12", 50: "12", 25: "13"})
    searched(store, {None: "13"})
    labeling.sync()
    file = data_file(store, "estimators")
    (row,) = rows_from_jsonl(file.text)
    assert file.rows == 1 and row.optimal_budget == 50


def test_labels_are_exported_with_who_when_and_what(store: Store, labeling: Labeling) -> None:
    samples.asked(store, replace(CATS, answer=None), "So [[12]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    (target,) = labeling.queue.ahead(ada, ALL, limit=2)
    labeling.judge(ada, target, "wrong")
    labeling.give_answer(ada, target, "12")
    rows = label_rows(store)
    assert [(r["kind"], r["value"], r["annotator"], r["settled"]) for r in rows] == [
        ("verdict", "wrong", "Ada", False), ("gold", "12", "Ada", False),
    ]  # fmt: skip
    assert rows[0]["answer"] == "So [[12]]" and rows[1]["answer"] is None


def test_no_spreadsheet_takes_a_cell_for_a_formula(store: Store, labeling: Labeling) -> None:
    asked_short(store, replace(CATS, text='=HYPERLINK("http://x")'), "+1 [[12]]")
    labeling.sync()
    (row,) = csv.DictReader(io.StringIO(as_csv(training_table(store))))
    assert row["question"].startswith("'=") and row["answer"].startswith("'+")
    assert as_csv([]) == ""
