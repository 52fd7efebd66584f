"""Marks: the sentence at which a person finds an answer settled: a label like the others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tale_core.errors import InputError, NotFoundError
from tale_core.labels import Labeling
from tale_core.labels.gold_files import plan_import, write_import
from tale_core.labels.label_files import read_labels
from tale_core.labels.marks import Markable, in_sentences, markable, markable_target
from tale_core.labels.training_files import as_csv, data_file, label_rows
from tale_core.store import Archive, QueueFilter, Store, export_archive, import_archive, mark_target, open_store
from tale_core.types import CallRecord, Question
from tests.labels import samples

CATS = Question("How many legs have 3 cats?", answer="12", kind="number")
TEXT = "Three cats. Each has four legs. That is twelve. Let me check. The answer is [[12]]."
SETTLE = QueueFilter(kind="settle")


def call_of(store: Store, session_id: str) -> CallRecord:
    return store.get_session(session_id).calls[0]


@pytest.fixture
def trace(store: Store) -> Markable:
    found = markable(call_of(store, samples.asked(store, CATS, TEXT)), CATS)
    assert found is not None
    return found


def said(labeling: Labeling, trace: Markable) -> dict[str, str]:
    return labeling.queue.marks_said([trace.key]).get(trace.key, {})


def test_a_mark_is_moved_undone_and_stands_beside_the_verdict(labeling: Labeling, trace: Markable) -> None:
    ada = labeling.sit_down("Ada")
    assert "".join(trace.sentences) == TEXT and len(trace.sentences) == 5
    assert labeling.mark(ada, trace, 3).events == 1 and labeling.mark(ada, trace, 3).events == 0
    target = labeling.next(ada, QueueFilter(which="all", overlap=0))
    assert target is not None and target.mark_key == trace.key  # Marked is not judged: it is in the queue still.
    labeling.judge(ada, target, "right")
    labeling.mark(ada, trace, 2)
    assert said(labeling, trace) == {"ada": "2"} and labeling.queue.marks() == {"ada": {trace.key: "2"}}
    (counts,) = labeling.queue.annotators()
    assert (counts.right, counts.marks) == (1, 1)
    labeling.undo(ada)
    assert said(labeling, trace) == {"ada": "3"}
    labeling.undo(ada)
    labeling.undo(ada)
    assert said(labeling, trace) == {} and labeling.queue.verdicts() == {}


def test_only_a_sentence_of_a_stored_answer_in_prose_can_be_marked(labeling: Labeling, trace: Markable) -> None:
    ada = labeling.sit_down("Ada")
    for sentence in (0, -1, 6):
        with pytest.raises(InputError, match="no sentence"):
            labeling.mark(ada, trace, sentence)
    with pytest.raises(NotFoundError):
        labeling.mark(ada, replace(trace, key=mark_target("0" * 40)), 1)
    whole = samples.answer("s", CATS, TEXT)
    for changed in (
        {"text": "It is 12."}, {"status": "running"}, {"adjustments": ("the answer was stopped and forced out",)},
        {"prompt_template": "assignments"},
    ):  # fmt: skip
        assert markable(replace(whole, **changed), CATS) is None, changed


def test_a_trace_is_told_in_sentences_that_together_are_the_trace() -> None:
    for parts in (
        ["三只猫。", "每只四条腿！", "一共12条？\n", "答案：[[12]]。"],
        ["So.\n\n", "1. Six legs.\n", "2. Add 3.5 more."],
        ["Four each, e.g. this one. ", "That is 12.\n", "Yes"],
        ["Four each. ", "12.\n", "Yes, 12. ", "Done."],
        [],
    ):
        assert list(in_sentences("".join(parts))) == parts


def test_two_thoughts_before_the_same_words_are_two_targets(store: Store, labeling: Labeling, trace: Markable) -> None:
    ada = labeling.sit_down("Ada")
    thought = "四条腿。三只猫。一共十二条。再检查一遍。"
    other = markable(call_of(store, samples.asked(store, CATS, TEXT, reasoning_text=thought)), CATS)
    assert other is not None and other.key != trace.key and len(other.sentences) == 4 + 5
    labeling.mark(ada, other, 3)
    assert said(labeling, trace) == {} and said(labeling, other) == {"ada": "3"}
    (row,) = label_rows(store)
    assert (row["kind"], row["value"], row["target"]) == ("mark", "3", other.key) and row["sentence"] == "一共十二条。"


def test_people_who_mark_differently_disagree_until_it_is_settled(labeling: Labeling, trace: Markable) -> None:
    ada, bob, eve = (labeling.sit_down(name) for name in ("Ada", "Bob", "Eve"))
    labeling.mark(ada, trace, 2)
    assert labeling.next(eve, SETTLE) is None
    labeling.mark(bob, trace, 3)
    target = labeling.next(eve, SETTLE)
    assert target is not None and target.of_mark and [tuple(s) for s in target.labels] == [("Ada", "2"), ("Bob", "3")]
    settling = markable_target(target)
    assert settling is not None and settling.settles and settling.key == trace.key
    labeling.mark(eve, settling, 3)
    assert labeling.next(eve, SETTLE) is None and said(labeling, trace)[""] == "3"
    labeling.undo(eve)
    assert labeling.next(eve, SETTLE) is not None


def test_exported_marks_come_back_and_conflicts_are_shown(
    store: Store, labeling: Labeling, trace: Markable, tmp_path: Path
) -> None:
    ada = labeling.sit_down("Ada")
    labeling.mark(ada, trace, 3)
    (row,) = label_rows(store)
    assert row["sentence"] == "That is twelve." and row["answer"] == TEXT
    file = data_file(store, "labels")
    for name, text in (("labels.jsonl", file.text), ("labels.csv", as_csv(label_rows(store)))):
        fresh = open_store(f"sqlite:///{tmp_path / name}.db")
        samples.asked(fresh, CATS, TEXT)
        there = Labeling(fresh)
        given = read_labels(name, text.encode())
        plan = plan_import(there, "bob", given.questions, verdicts=given.verdicts)
        assert [(r.status, r.mark, r.answer) for r in plan.rows] == [("new", True, "3")] and plan.writable == 1
        bob = there.sit_down("Bob")
        write_import(there, bob, plan)
        assert said(there, trace) == {"bob": "3"}
        there.mark(there.sit_down("Ada"), trace, 2)
        again = plan_import(there, "eve", (), verdicts=given.verdicts)
        assert [(r.status, r.before) for r in again.rows] == [("conflict", "2")]
    bad = json.loads(file.text) | {"value": "third"}
    with pytest.raises(InputError, match="no sentence"):
        read_labels("labels.jsonl", json.dumps(bad).encode())


def test_an_archive_brings_marks_along(store: Store, labeling: Labeling, trace: Markable, tmp_path: Path) -> None:
    labeling.mark(labeling.sit_down("Ada"), trace, 3)
    export_archive(store, tmp_path / "all.tale")
    fresh = open_store(f"sqlite:///{tmp_path / 'fresh.db'}")
    import_archive(fresh, Archive(tmp_path / "all.tale"))
    assert said(Labeling(fresh), trace) == {"ada": "3"}
