"""Worked solutions as answers to learn from: how they are written, and what of the model's own stands beside them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.datasets import load
from tale_core.errors import InputError
from tale_core.grading import grade
from tale_core.store import open_store
from tale_core.tuning.data import examples_from_solutions, examples_from_store
from tale_core.tuning.examples import Selection, leak_key, pairs
from tale_core.tuning.solutions import TEMPLATE, target
from tale_core.types import Outcome, Question, SessionRecord
from tests.tuning import samples

ALL = Selection(held_out=0.0)
ADAPTER = "brief@0123456789ab"


def written(folder: Path, count: int = 3, name: str = "set.jsonl") -> Path:
    """A file in GSM8K's way: the first two rows have a solution before ####, the others an answer alone."""
    rows = [
        {"question": samples.question(i).text, "answer": f"{i} + 5 = <<{i}+5={i + 5}>>{i + 5} pens.\n#### {i + 5}"}
        for i in range(2, 2 + count)
    ]
    rows.append({"question": "How many legs has a dog?", "answer": "4"})
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def answered(
    i: int,
    *,
    parent: bool = False,
    outcome: Outcome = Outcome.WRONG,
    text: str = "I say 3. [[3]]",
    tokens: int = 6,
) -> None:
    """An answer of the model, or of its adapter, in the store."""
    name = f"ask-{i}-{parent}-{outcome}-{tokens}"
    template, finish = f"tuned:{ADAPTER}" if parent else "words", "length" if outcome is Outcome.TRUNCATED else "stop"
    call = samples.call(name, "budgeted", text, tokens, prompt_template=template)
    record = SessionRecord(
        name, samples.question(i), samples.BASE, "embedded", "", status="done",
        calls=(replace(call, outcome=outcome, finish_reason=finish),),
    )  # fmt: skip
    open_store().create_session(record)


def test_a_solution_is_learnt_without_its_marks_and_ends_with_the_answer_in_brackets(tmp_path):
    loaded = load(str(written(tmp_path)))
    assert next(iter(loaded.solutions.values())) == "2 + 5 = <<2+5=7>>7 pens." and len(loaded.solutions) == 3
    found = examples_from_solutions([loaded], open_store(), model=samples.BASE, selection=ALL)
    assert sorted(e.target for e in found.train) == [f"{i} + 5 = {i + 5} pens.\n[[{i + 5}]]" for i in (2, 3, 4)]
    assert {(e.template, e.budget, e.session_id, e.vanilla, e.wrong) for e in found.train} == {
        (TEMPLATE, None, "", None, None)
    }
    assert all(5 < e.target_tokens < 20 for e in found.train)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<>#"), max_size=30), max_size=5),
    st.integers(-(10**6), 10**6),
)
def test_whatever_the_solution_says_the_answer_at_its_end_is_graded_right(lines, answer):
    text = target("\n".join(lines), str(answer))
    assert (
        grade(text, Question("How many?", answer=str(answer), kind="number"), finish_reason="stop").outcome
        is Outcome.CORRECT
    )
    assert not re.search(r"\n\n|  |<<|>>", text)


def test_a_set_without_solutions_is_refused_with_how_to_write_them(tmp_path):
    with pytest.raises(InputError, match=r"shipped have no worked solutions.*before ####"):
        examples_from_solutions([load("shipped")], open_store(), model=samples.BASE, selection=ALL)


def test_lengths_and_what_is_kept_for_an_evaluation_hold_for_solutions_too(tmp_path):
    loaded = load(str(written(tmp_path)))
    kept = {leak_key(loaded.questions[0])}
    found = examples_from_solutions([loaded], open_store(), model=samples.BASE, selection=ALL, exclude=kept)
    assert len(found.train) == 2 and found.passed.excluded == 1
    short = replace(ALL, most_tokens=3)
    found = examples_from_solutions([loaded], open_store(), model=samples.BASE, selection=short)
    assert found.train == () and found.passed.outside == 3


def test_the_models_own_right_answers_do_not_take_the_solutions_place_but_its_wrong_ones_are_rejected(tmp_path):
    answered(2, outcome=Outcome.CORRECT, text="[[7]]", tokens=2)
    answered(3)
    answered(30)  # A question that is not in the set.
    loaded = load(str(written(tmp_path)))
    found = examples_from_solutions([loaded], open_store(), model=samples.BASE, selection=ALL)
    assert len(found.train) == 3 and all(e.template == TEMPLATE for e in found.train)
    (pair,) = pairs(found.train, ("wrong",))
    assert pair.rejected.text == "I say 3. [[3]]" and pair.example.question.text == samples.question(3).text


def test_a_training_that_goes_on_from_an_adapter_rejects_that_adapters_own_mistakes_first(tmp_path):
    answered(3, text="A long way to the wrong three, which no adapter went. [[3]]", tokens=20)
    answered(3, parent=True, text="3 + 3 = 6 [[6]]", tokens=9)
    loaded = load(str(written(tmp_path)))

    def rejected(parent: str) -> list[str]:
        found = examples_from_solutions([loaded], open_store(), model=samples.BASE, selection=ALL, parent=parent)
        return [p.rejected.text for p in pairs(found.train, ("wrong",))]

    assert rejected(ADAPTER) == ["3 + 3 = 6 [[6]]"]
    assert (
        rejected("") == rejected("brief@of-another") == ["A long way to the wrong three, which no adapter went. [[3]]"]
    )


def test_an_adapters_answer_that_never_ended_is_rejected_against_the_solution(tmp_path):
    answered(3, parent=True, outcome=Outcome.TRUNCATED, text="3 more, 3 more, 3 more,", tokens=300)
    loaded = load(str(written(tmp_path)))
    found = examples_from_solutions([loaded], open_store(), model=samples.BASE, selection=ALL, parent=ADAPTER)
    (pair,) = pairs(found.train, ("wrong",))
    assert pair.rejected.text == "3 more, 3 more, 3 more," and pair.example.target.endswith("[[8]]")


def test_an_adapters_right_answers_are_learnt_from_by_what_goes_on_from_it_alone():
    answered(4, parent=True, outcome=Outcome.CORRECT, text="4 + 5 = 9 [[9]]", tokens=9)
    assert examples_from_store(open_store(), model=samples.BASE, selection=ALL).train == ()
    (found,) = examples_from_store(open_store(), model=samples.BASE, selection=ALL, parent=ADAPTER).train
    assert found.target == "4 + 5 = 9 [[9]]"
