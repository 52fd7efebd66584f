"""Known answers from files: shown first, matched by text, conflicts named, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tale_core.errors import InputError
from tale_core.labels import Labeling
from tale_core.labels.gold_files import GoldImport, plan_import, write_import
from tale_core.labels.label_files import read_labels
from tale_core.labels.training_files import as_csv, label_rows
from tale_core.store import QueueFilter, Store
from tale_core.types import Outcome, Question
from tests.labels import samples

ALL = QueueFilter(which="all", overlap=0)
CATS = Question("How many legs have 3 cats?", kind="number")
SKY = Question("Which colour has the sky?", answer="A", kind="choice", options=("blue", "green"))


def csv(*rows: str) -> bytes:
    return "\n".join(("question,answer", *rows)).encode()


def planned(
    labeling: Labeling, data: bytes, *, name: str = "gold.csv", who: str = "Ada", replacing: bool = False
) -> GoldImport:
    given = read_labels(name, data)
    return plan_import(
        labeling,
        labeling.sit_down(who),
        given.questions,
        problems=given.problems,
        replacing=replacing,
        verdicts=given.verdicts,
    )


def test_a_dry_run_says_exactly_what_writing_then_moves_and_writes_nothing(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, CATS, "[[12]]", "[[13]]")
    plan = planned(labeling, csv('"How many  legs have\u3000 3 cats?",12', "Who?,me"))
    assert [row.status for row in plan.rows] == ["new", "unknown"]
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)] * 2
    assert not labeling.queue.any_labels() and labeling.queue.counts("ada", ALL).undoable == 0
    moved = write_import(labeling, "ada", plan)
    assert moved == plan.moved and (moved.answers, moved.right, moved.examples) == (2, 1, 1)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]


def test_one_undo_takes_back_a_whole_import(store: Store, labeling: Labeling) -> None:
    questions = samples.numbered(4)
    sessions = [samples.asked(store, q, "[[5]]") for q in questions]
    plan = planned(labeling, csv(*(f"{q.text},5" for q in questions)))
    assert write_import(labeling, "ada", plan).events == 4
    assert {o for s in sessions for o in samples.outcomes(store, s)} == {(Outcome.CORRECT, "gold")}
    assert labeling.undo("ada").events == 4
    assert {o for s in sessions for o in samples.outcomes(store, s)} == {(Outcome.UNGRADED, None)}


def test_what_is_known_what_changes_and_what_conflicts_is_told_apart(store: Store, labeling: Labeling) -> None:
    same, other, own, theirs, fresh = samples.numbered(5)
    samples.asked(store, replace(same, answer="1,000"), "[[5]]")
    samples.asked(store, replace(other, answer="7"), "[[5]]")
    for q in (own, theirs, fresh):
        samples.asked(store, q, "[[5]]")
    ada, ben = labeling.sit_down("Ada"), labeling.sit_down("Ben")
    labeling.sync()
    for who, question, answer in ((ada, own, "3"), (ben, theirs, "4")):
        target = next(t for t in labeling.queue.ahead(who, ALL, limit=9) if t.question.text == question.text)
        labeling.give_answer(who, target, answer)
    answers = {same: "1000", other: "8", own: "5", theirs: "5", fresh: "5"}
    data = csv(*(f'"{q.text}",{a}' for q, a in answers.items()))
    plan = planned(labeling, data)
    assert [row.status for row in plan.rows] == ["same", "changed", "changed", "conflict", "new"]
    assert [(row.before, row.by) for row in plan.rows] == [
        ("1,000", None), ("7", None), ("3", "Ada"), ("4", "Ben"), (None, None),
    ]  # fmt: skip
    assert plan.writable == 3 and planned(labeling, data, replacing=True).writable == 4
    assert write_import(labeling, ada, plan).events == 3
    assert labeling.queue.golds_said(t.question_key for t in labeling.queue.ahead(ada, ALL, limit=9)) != {}
    again = planned(labeling, data)
    assert [row.status for row in again.rows] == ["same", "same", "same", "conflict", "same"]
    settled = planned(labeling, data, replacing=True)
    write_import(labeling, ada, settled)
    assert labeling.next(ben, QueueFilter(kind="settle")) is None
    assert [row.status for row in planned(labeling, data, who="Ben").rows][3] in ("same", "conflict")


def test_a_choice_is_matched_by_letter_or_text_of_an_option_and_nothing_else(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, SKY, "[[B]]")
    assert planned(labeling, csv(f"{SKY.text},purple")).rows[0].status == "unusable"
    plan = planned(labeling, csv(f"{SKY.text},green"))
    assert (plan.rows[0].status, plan.rows[0].answer) == ("changed", "B")
    write_import(labeling, "ada", plan)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]


def test_questions_that_differ_in_their_options_alone_are_named_until_the_file_gives_them(
    store: Store, labeling: Labeling
) -> None:
    samples.asked(store, SKY, "[[B]]")
    samples.asked(store, replace(SKY, options=("red", "green")), "[[B]]")
    assert planned(labeling, csv(f"{SKY.text},B")).rows[0].status == "ambiguous"
    line = json.dumps({"question": SKY.text, "options": ["red", "green"], "answer": "B"})
    (row,) = planned(labeling, line.encode(), name="gold.jsonl").rows
    assert (row.status, row.answer) == ("changed", "B")


def test_bad_rows_are_named_and_a_bad_file_is_refused(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "[[12]]")
    plan = planned(labeling, csv(f'"{CATS.text}",12', ",3", f'"{CATS.text}",13'))
    assert [p.line for p in plan.problems] == [3, 4] and "another answer" in plan.problems[1].reason
    for name, data in (
        ("gold.exe", b"x"), ("gold.csv", b""), ("gold.csv", b"a,b\n1,2\n"), ("gold.csv", b"x" * 10_000_001),
        ("gold.csv", csv(*(f"q {i},1" for i in range(5_001)))),
    ):  # fmt: skip
        with pytest.raises(InputError):
            read_labels(name, data)


def exported(store: Store, **only: str) -> bytes:
    rows = [row for row in label_rows(store) if all(row[name] == value for name, value in only.items())]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def labelled(store: Store, labeling: Labeling) -> str:
    """Two answers that Ada judged, of a question whose known answer she gave."""
    session = samples.asked(store, replace(CATS, answer="11"), "So [[12]]", "It is [[13]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    for target in labeling.queue.ahead(ada, ALL, limit=9):
        assert target.call is not None
        labeling.judge(ada, target, "right" if "12" in target.call.text else "wrong")
    labeling.give_answer(ada, labeling.queue.ahead("ben", ALL, limit=1)[0], "12")
    return session


def test_an_answer_that_was_judged_wrong_never_comes_back_as_the_known_answer(store: Store, labeling: Labeling) -> None:
    labelled(store, labeling)
    plan = planned(labeling, exported(store, kind="verdict"), name="labels.jsonl", who="Ben")
    assert sorted((row.verdict, row.answer, row.status) for row in plan.rows) == [
        (True, "right", "new"), (True, "wrong", "new"),
    ]  # fmt: skip
    write_import(labeling, "ben", plan)
    assert labeling.queue.golds_said([row.key for row in plan.rows])[plan.rows[0].key] == {"ada": "12"}


def test_what_label_exports_label_imports_with_the_same_meaning(store: Store, labeling: Labeling) -> None:
    labelled(store, labeling)
    data, before = exported(store), samples_said(labeling, "Ada")
    assert [row.status for row in planned(labeling, data, name="labels.jsonl", who="Ada").rows] == ["same"] * 3
    plan = planned(labeling, data, name="labels.jsonl", who="Ben")
    assert sorted(row.status for row in plan.rows) == ["new", "new", "same"] and plan.verdicts == 2
    assert write_import(labeling, "ben", plan).events == 2
    assert samples_said(labeling, "Ben") == before
    assert labeling.undo("ben").events == 2


def samples_said(labeling: Labeling, who: str) -> dict[str, str]:
    return labeling.queue.verdicts()[labeling.sit_down(who)]


def test_a_table_of_exported_labels_is_read_like_its_lines(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "=[[12]]", "-[[13]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    for target in labeling.queue.ahead(ada, ALL, limit=9):
        labeling.judge(ada, target, "wrong")
    table = as_csv([{**row, "target": ""} for row in label_rows(store)]).encode()
    assert [row.status for row in planned(labeling, table, name="labels.csv", who="Ben").rows] == ["new", "new"]


def test_a_verdict_on_an_answer_that_is_not_here_is_refused_with_the_reason(store: Store, labeling: Labeling) -> None:
    labelled(store, labeling)
    rows = [
        {**row, "target": "", "answer": f"{row['answer']} elsewhere"}
        for row in label_rows(store)
        if row["kind"] == "verdict"
    ]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    plan = planned(labeling, data, name="labels.jsonl", who="Ben")
    assert [row.status for row in plan.rows] == ["no-answer"] * 2 and plan.writable == 0


def test_a_verdict_is_found_by_the_words_of_the_answer_too(store: Store, labeling: Labeling) -> None:
    """An export of before the key was in it, as in the issue that told of this."""
    samples.asked(store, CATS, "[[7]]")
    row = {"question": CATS.text, "answer": "[[7]]", "model": "m1", "strategy": "bare", "kind": "verdict",
           "value": "wrong", "annotator": "Ada", "settled": False, "created_at": "2026-11-29T02:15:27"}  # fmt: skip
    plan = planned(labeling, json.dumps(row).encode(), name="labels.jsonl", who="Ben")
    assert [(r.status, r.answer, r.verdict) for r in plan.rows] == [("new", "wrong", True)]
    other = json.dumps({**row, "value": "7"}).encode()
    with pytest.raises(InputError, match="neither a known answer nor right, wrong or unsure"):
        read_labels("labels.jsonl", other)


def test_people_of_a_file_who_disagree_are_named_unless_one_of_them_settled_it(
    store: Store, labeling: Labeling
) -> None:
    samples.asked(store, CATS, "[[7]]")
    row = {"question": CATS.text, "answer": "[[7]]", "kind": "verdict", "value": "wrong", "annotator": "Ada",
           "settled": False}  # fmt: skip
    other = {**row, "annotator": "Ben", "value": "right"}
    data = "".join(json.dumps(one) + "\n" for one in (row, other)).encode()
    plan = planned(labeling, data + json.dumps({**row, "answer": "[[8]]"}).encode(), name="l.jsonl", who="Cy")
    assert [p.line for p in plan.problems] == [1, 2] and "settle it there" in plan.problems[0].reason
    settled = data + json.dumps({**other, "settled": True}).encode()
    (found,) = planned(labeling, settled, name="l.jsonl", who="Cy").rows
    assert (found.answer, found.status) == ("right", "new")


def test_a_different_verdict_of_somebody_else_is_a_conflict_until_it_is_settled(
    store: Store, labeling: Labeling
) -> None:
    session = labelled(store, labeling)
    rows = [{**row, "value": "wrong"} for row in label_rows(store) if row["value"] == "right"]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (row,) = planned(labeling, data, name="labels.jsonl", who="Ben").rows
    assert (row.status, row.before, row.by) == ("conflict", "right", "Ada")
    write_import(labeling, "ben", planned(labeling, data, name="labels.jsonl", who="Ben", replacing=True))
    assert samples.outcomes(store, session) == [(Outcome.WRONG, "verdict")] * 2


def test_columns_that_leave_a_choice_are_mapped(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "[[12]]")
    data = f"question,label,target\n{CATS.text},12,13\n".encode()
    with pytest.raises(InputError, match="--map answer=label or --map answer=target"):
        read_labels("gold.csv", data)
    found = read_labels("gold.csv", data, mapping={"answer": "label"})
    assert [q.answer for q in found.questions] == ["12"]
