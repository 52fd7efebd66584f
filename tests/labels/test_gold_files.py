"""Known answers from files: shown first, matched by text, conflicts named, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tale_core.errors import InputError
from tale_core.labels import Desk
from tale_core.labels.gold_files import GoldImport, plan_import, read_golds, write_import
from tale_core.store import QueueFilter, Store
from tale_core.types import Outcome, Question
from tests.labels import samples

ALL = QueueFilter(which="all", overlap=0)
CATS = Question("How many legs have 3 cats?", kind="number")
SKY = Question("Which colour has the sky?", answer="A", kind="choice", options=("blue", "green"))


def csv(*rows: str) -> bytes:
    return "\n".join(("question,answer", *rows)).encode()


def planned(
    desk: Desk, data: bytes, *, name: str = "gold.csv", who: str = "Ada", replacing: bool = False
) -> GoldImport:
    questions, problems = read_golds(name, data)
    return plan_import(desk, desk.sit_down(who), questions, problems=problems, replacing=replacing)


def test_a_dry_run_says_exactly_what_writing_then_moves_and_writes_nothing(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "[[12]]", "[[13]]")
    plan = planned(desk, csv('"How many  legs have\u3000 3 cats?",12', "Who?,me"))
    assert [row.status for row in plan.rows] == ["new", "unknown"]
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)] * 2
    assert not desk.queue.any_labels() and desk.queue.counts("ada", ALL).undoable == 0
    moved = write_import(desk, "ada", plan)
    assert moved == plan.moved and (moved.answers, moved.right, moved.examples) == (2, 1, 1)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]


def test_one_undo_takes_back_a_whole_import(store: Store, desk: Desk) -> None:
    questions = samples.numbered(4)
    sessions = [samples.asked(store, q, "[[5]]") for q in questions]
    plan = planned(desk, csv(*(f"{q.text},5" for q in questions)))
    assert write_import(desk, "ada", plan).events == 4
    assert {o for s in sessions for o in samples.outcomes(store, s)} == {(Outcome.CORRECT, "gold")}
    assert desk.undo("ada").events == 4
    assert {o for s in sessions for o in samples.outcomes(store, s)} == {(Outcome.UNGRADED, None)}


def test_what_is_known_what_changes_and_what_conflicts_is_told_apart(store: Store, desk: Desk) -> None:
    same, other, own, theirs, fresh = samples.numbered(5)
    samples.asked(store, replace(same, answer="1,000"), "[[5]]")
    samples.asked(store, replace(other, answer="7"), "[[5]]")
    for q in (own, theirs, fresh):
        samples.asked(store, q, "[[5]]")
    ada, ben = desk.sit_down("Ada"), desk.sit_down("Ben")
    desk.sync()
    for who, question, answer in ((ada, own, "3"), (ben, theirs, "4")):
        target = next(t for t in desk.queue.ahead(who, ALL, limit=9) if t.question.text == question.text)
        desk.give_answer(who, target, answer)
    answers = {same: "1000", other: "8", own: "5", theirs: "5", fresh: "5"}
    data = csv(*(f'"{q.text}",{a}' for q, a in answers.items()))
    plan = planned(desk, data)
    assert [row.status for row in plan.rows] == ["same", "changed", "changed", "conflict", "new"]
    assert [(row.before, row.by) for row in plan.rows] == [
        ("1,000", None), ("7", None), ("3", "Ada"), ("4", "Ben"), (None, None),
    ]  # fmt: skip
    assert plan.writable == 3 and planned(desk, data, replacing=True).writable == 4
    assert write_import(desk, ada, plan).events == 3
    assert desk.queue.golds_said(t.question_key for t in desk.queue.ahead(ada, ALL, limit=9)) != {}
    again = planned(desk, data)
    assert [row.status for row in again.rows] == ["same", "same", "same", "conflict", "same"]
    settled = planned(desk, data, replacing=True)
    write_import(desk, ada, settled)
    assert desk.next(ben, QueueFilter(kind="settle")) is None
    assert [row.status for row in planned(desk, data, who="Ben").rows][3] in ("same", "conflict")


def test_a_choice_is_matched_by_letter_or_text_of_an_option_and_nothing_else(store: Store, desk: Desk) -> None:
    session = samples.asked(store, SKY, "[[B]]")
    assert planned(desk, csv(f"{SKY.text},purple")).rows[0].status == "unusable"
    plan = planned(desk, csv(f"{SKY.text},green"))
    assert (plan.rows[0].status, plan.rows[0].answer) == ("changed", "B")
    write_import(desk, "ada", plan)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]


def test_questions_that_differ_in_their_options_alone_are_named_until_the_file_gives_them(
    store: Store, desk: Desk
) -> None:
    samples.asked(store, SKY, "[[B]]")
    samples.asked(store, replace(SKY, options=("red", "green")), "[[B]]")
    assert planned(desk, csv(f"{SKY.text},B")).rows[0].status == "ambiguous"
    line = json.dumps({"question": SKY.text, "options": ["red", "green"], "answer": "B"})
    (row,) = planned(desk, line.encode(), name="gold.jsonl").rows
    assert (row.status, row.answer) == ("changed", "B")


def test_bad_rows_are_named_and_a_bad_file_is_refused(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "[[12]]")
    plan = planned(desk, csv(f'"{CATS.text}",12', ",3", f'"{CATS.text}",13'))
    assert [p.line for p in plan.problems] == [3, 4] and "another answer" in plan.problems[1].reason
    for name, data in (
        ("gold.exe", b"x"), ("gold.csv", b""), ("gold.csv", b"a,b\n1,2\n"), ("gold.csv", b"x" * 10_000_001),
        ("gold.csv", csv(*(f"q {i},1" for i in range(5_001)))),
    ):  # fmt: skip
        with pytest.raises(InputError):
            read_golds(name, data)
