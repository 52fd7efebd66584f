"""What is exported to learn from: right, whole answers and finished searches, with a fingerprint."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from tale_core.estimators.rows_file import rows_from_jsonl
from tale_core.labels import Desk
from tale_core.labels.training_files import as_csv, data_file, fine_tuning_rows, label_rows
from tale_core.store import QueueFilter, Store
from tale_core.types import Outcome, Question
from tests.labels import samples
from tests.labels.test_studies import searched

ALL = QueueFilter(which="all", overlap=0)
CATS = Question("How many legs have 3 cats?", answer="12", kind="number")


def test_examples_are_right_whole_answers_each_text_once(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "So [[12]]", "So [[13]]", tokens=7)
    samples.asked(store, CATS, "So [[12]]")
    samples.asked(store, CATS, "Cut [[12]]", finish="length")
    samples.asked(store, CATS, "", outcome=Outcome.CORRECT)
    samples.asked(store, CATS, "Stopped [[12]]", status="cancelled")
    desk.sync()
    (row,) = fine_tuning_rows(store)
    assert (row["question"], row["answer"], row["tokens"], row["labelled"]) == (CATS.text, "So [[12]]", 7, None)
    assert fine_tuning_rows(store, model="another") == []


def test_a_label_adds_and_takes_away_examples(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "So [[12]]", "So [[13]]")
    ada = desk.sit_down("Ada")
    desk.sync()
    for target in desk.queue.ahead(ada, ALL, limit=2):
        assert target.call is not None
        desk.judge(ada, target, "right" if "13" in target.call.text else "wrong")
    assert [(r["answer"], r["labelled"]) for r in fine_tuning_rows(store)] == [("So [[13]]", "verdict")]


def test_a_fingerprint_names_the_data_whatever_its_order_and_changes_with_it(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "So [[12]]")
    desk.sync()
    one = data_file(store, "fine-tuning")
    assert data_file(store, "fine-tuning") == one and one.rows == 1 and len(one.fingerprint) == 64
    assert one.fingerprint[:12] in one.name
    samples.asked(store, CATS, "Again [[12]]")
    desk.sync()
    assert data_file(store, "fine-tuning").fingerprint != one.fingerprint
    assert [json.loads(line)["answer"] for line in data_file(store, "fine-tuning").text.splitlines()] == [
        "So [[12]]", "Again [[12]]",
    ]  # fmt: skip


def test_rows_for_estimators_are_searches_with_an_optimum_and_can_be_trained_from(store: Store, desk: Desk) -> None:
    searched(store, {None: "12", 50: "12", 25: "13"})
    searched(store, {None: "13"})
    desk.sync()
    file = data_file(store, "estimators")
    (row,) = rows_from_jsonl(file.text)
    assert file.rows == 1 and row.optimal_budget == 50


def test_labels_are_exported_with_who_when_and_what(store: Store, desk: Desk) -> None:
    samples.asked(store, replace(CATS, answer=None), "So [[12]]")
    ada = desk.sit_down("Ada")
    desk.sync()
    (target,) = desk.queue.ahead(ada, ALL, limit=2)
    desk.judge(ada, target, "wrong")
    desk.give_answer(ada, target, "12")
    rows = label_rows(store)
    assert [(r["kind"], r["value"], r["annotator"], r["settled"]) for r in rows] == [
        ("verdict", "wrong", "Ada", False), ("gold", "12", "Ada", False),
    ]  # fmt: skip
    assert rows[0]["answer"] == "So [[12]]" and rows[1]["answer"] is None


def test_no_spreadsheet_takes_a_cell_for_a_formula(store: Store, desk: Desk) -> None:
    samples.asked(store, replace(CATS, text='=HYPERLINK("http://x")'), "+1 [[12]]")
    desk.sync()
    (row,) = csv.DictReader(io.StringIO(as_csv(fine_tuning_rows(store))))
    assert row["question"].startswith("'=") and row["answer"].startswith("'+")
    assert as_csv([]) == ""
