"""What marks teach: a right answer up to the sentence that a person marked, closed by nothing that is made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tale_core.calls.settling import closed_at
from tale_core.cli.tune_examples import examples_document, examples_words
from tale_core.labels import Labeling
from tale_core.labels.marks import markable, sentences
from tale_core.store import new_session_id, open_store
from tale_core.tuning.data import examples_from_store, training_file
from tale_core.tuning.examples import Examples, Selection
from tale_core.types import Outcome
from tests.tuning import samples

ALL = Selection(held_out=0.0)
TEXT = "At first 3 pens. Then 5 more. That makes 8. Let me check it again. Yes, it is right. The answer is [[8]]."
KNOWN = {"extracted": "8", "extracted_by": "brackets"}


def asked(*, mark: int | None = 3, text: str = TEXT, probe: str | None = None, by: str = "Ada", **told: Any) -> None:
    """An Ask with one long answer, marked; `probe` is what the model said when it was closed at the mark."""
    question = told.pop("question", samples.question(3))
    call = samples.call("x", "vanilla", text, 40, **{**KNOWN, **told})
    calls = [call]
    if probe is not None and mark is not None:
        request = closed_at(call, len("".join(sentences(call)[:mark])))
        calls.append(samples.call("x", "forced", probe, 3, messages=request.messages))
    name = samples.asked(question, calls)
    if mark is not None:
        stored = next(c for c in open_store().get_session(name).calls if c.role == "vanilla")
        labeling = Labeling(open_store())
        found = markable(stored, question)
        assert found is not None
        labeling.mark(labeling.sit_down(by), found, mark)


def learnt(**more: Any) -> Examples:
    return examples_from_store(open_store(), model=samples.BASE, selection=replace(ALL, **more))


def test_a_right_answer_is_learnt_up_to_the_mark_and_closed_by_the_models_own_answer_from_there():
    asked(probe="8]]")
    (example,) = learnt().train
    assert example.target == "At first 3 pens. Then 5 more. That makes 8.\n\nFinal answer: [[8]]"
    assert 0 < example.target_tokens < 40 and (example.template, example.budget, example.writes) == (
        "mark",
        None,
        "words",
    )
    assert example.vanilla is not None and example.vanilla.text == TEXT  # What DPO rejects.
    assert training_file(open_store()).labelled == 1


def test_without_such_a_probe_it_is_closed_by_the_value_that_the_whole_answer_came_to():
    asked()
    asked(question=samples.question(3, 4), text=TEXT.replace("8", "7"), extracted="7")
    closed = {e.question.answer: e.target.partition("\n\n")[2] for e in learnt().train}
    assert closed == {"8": "Final answer: [[8]]", "7": "Final answer: [[7]]"}


@pytest.mark.parametrize(
    "why",
    [
        {"probe": "9]]"},  # Closed there, the model says something else: the mark is contradicted.
        {"outcome": Outcome.WRONG},
        {"mark": 6},  # All of it was needed: nothing is shorter.
        {"mark": None},
        {"extracted_by": "last-number"},  # No line says which value the answer comes to.
        {"extracted": "9"},  # A right verdict of a person, and a value that the known answer contradicts.
        {"finish_reason": "length"},
        {"source": "simulated"},
    ],
)
def test_nothing_is_learnt_that_is_not_right_shorter_and_the_models_own(why: dict[str, Any]):
    asked(**why)
    assert learnt().train == () and learnt().marked == 0


def test_a_thought_is_closed_where_it_was_marked_also_in_chinese():
    thought = "先有三支笔。再加五支。一共是8支。再检查一遍。没错。"
    asked(text="答案是 [[8]]。", reasoning_text=thought, mark=3)
    (example,) = learnt().train
    assert example.target.startswith("<think>\n先有三支笔。再加五支。一共是8支。\n</think>")
    assert example.target.endswith("[[8]]") and "检查" not in example.target


def test_a_mark_counts_beside_what_the_model_found_itself_and_is_told_apart():
    samples.searched(3)
    assert learnt().marked == 0
    asked(probe="8]]")
    found = learnt()
    assert {e.template for e in found.train} == {"words", "mark"} and found.marked == 1
    assert examples_document(found, samples.BASE)["marked"] == 1
    assert "1 of them up to a marked sentence" in examples_words(found)
    assert learnt(sessions=(new_session_id(),)).train == ()


def test_where_people_mark_differently_nothing_is_learnt_until_they_agree():
    asked(by="Ada", mark=3)
    assert learnt().marked == 1
    asked(by="Bob", mark=2)  # The same answer, asked again.
    assert learnt().marked == 0
