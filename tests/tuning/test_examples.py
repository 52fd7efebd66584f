"""Which stored answers become examples, and that no question is ever on both sides."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.errors import InputError
from tale_core.experiments.create import create_experiment
from tale_core.store import CallStore, ExperimentStore, StoredAnswer, open_store, stored_answers
from tale_core.tuning.data import examples_from_store
from tale_core.tuning.examples import (
    Examples,
    Selection,
    build,
    is_held_out,
    leak_key,
    pairs,
)
from tale_core.tuning.examples_file import from_jsonl, to_jsonl
from tale_core.types import Outcome, Question, SessionRecord
from tests.tuning import samples

ALL = Selection(held_out=0.0)


def answer(i: int, text: str, tokens: int, **more: object) -> StoredAnswer:
    plain = StoredAnswer(
        samples.question(i), text, tokens, Outcome.CORRECT, whole=True, vanilla=False, template="words", budget=25,
        optimum=None, temperature=0.7, session_id="experiment-1", kind="experiment",
    )  # fmt: skip
    return replace(plain, **more)


def vanilla(i: int, tokens: int = 40, **more: object) -> StoredAnswer:
    return answer(i, samples.long(i), tokens, vanilla=True, budget=None, **more)


def test_a_search_teaches_the_answer_under_its_optimum_and_no_other():
    for i in range(2, 6):
        samples.searched(i)
    found = examples_from_store(open_store(), model=samples.BASE, selection=ALL)
    assert sorted(e.target for e in found.train) == sorted(samples.short(i) for i in range(2, 6))
    assert all(e.budget == 25 and e.target_tokens == 12 and e.vanilla.tokens == 40 for e in found.train)
    other = replace(ALL, sessions=(samples.searched(9),))
    assert [e.target for e in examples_from_store(open_store(), model=samples.BASE, selection=other).train] == [
        samples.short(9)
    ]


def test_a_probe_under_another_budget_than_the_optimum_teaches_nothing_even_if_it_is_right_and_shorter():
    name = "search-shorter"
    samples.searched(
        3, calls=(samples.call(name, "probe", "8! [[8]]", 5, requested_budget=11),
                  samples.call(name, "probe", samples.short(3), 12, requested_budget=25)),
    )  # fmt: skip
    (found,) = examples_from_store(open_store(), model=samples.BASE, selection=ALL).train
    assert found.target == samples.short(3)


def test_an_experiment_teaches_the_shortest_right_answer_of_each_question():
    questions = (samples.question(2), samples.question(3))
    store, name = open_store(), "experiment-1"
    record = SessionRecord(name, Question("set"), samples.BASE, "embedded", "", kind="experiment", status="done")
    ExperimentStore(store).create(record, questions)
    made = [
        samples.call(name, "budgeted", "2 + 5 = 7 [[7]]", 14, unit="0/0/fixed:25", step=0),
        samples.call(name, "budgeted", "7 [[7]]", 6, unit="0/0/fixed:10", step=0),
        samples.call(name, "budgeted", "9", 2, unit="0/0/direct", step=0, outcome=Outcome.WRONG),
        samples.call(name, "budgeted", "3 + 5 = 8 [[8]]", 14, unit="1/0/fixed:25", step=0, source="cached"),
        samples.call(name, "budgeted", "8 [[8]]", 6, unit="1/0/tuned:x", step=0, prompt_template="tuned:x@1"),
        samples.call(name, "budgeted", "3+5= 8 [[8]]", 11, unit="1/0/fixed:20", step=0, model="another"),
    ]
    CallStore(store).write(made)
    answers = stored_answers(store, model=samples.BASE)
    assert [(a.question.text, a.text) for a in answers] == [
        (questions[0].text, "2 + 5 = 7 [[7]]"), (questions[0].text, "7 [[7]]"), (questions[0].text, "9"),
    ]  # fmt: skip
    (example,) = build(answers, ALL).train
    assert example.target == "7 [[7]]" and example.wrong.text == "9"
    assert build(answers, replace(ALL, least_tokens=7)).train[0].target == "2 + 5 = 7 [[7]]"
    assert create_experiment  # The runner writes units in the same words: "position/repeat/strategy".


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        ({"outcome": Outcome.WRONG}, "without_right"),
        ({"outcome": Outcome.UNPARSED}, "without_right"),
        ({"outcome": Outcome.TRUNCATED, "whole": False}, "without_right"),
        ({"whole": False}, "without_right"),
        ({"optimum": False}, "without_right"),
        ({"tokens": 40}, "not_shorter"),
        ({"tokens": 41}, "not_shorter"),
    ],
)
def test_what_is_wrong_cut_or_no_shorter_than_vanilla_is_never_learnt(spoilt, why):
    found = build([vanilla(2), replace(answer(2, "2 + 5 = 7", 12), **spoilt)], ALL)
    assert found.train == () and getattr(found.passed, why) == 1


def test_a_vanilla_answer_that_was_cut_is_no_rejected_answer():
    (example,) = build([vanilla(2, whole=False), answer(2, "[[7]]", 12)], ALL).train
    assert example.vanilla is None and pairs([example]) == []


def test_several_answers_of_one_question_are_the_shortest_different_ones():
    made = [
        answer(2, "a [[7]]", 9),
        answer(2, "a  [[7]]\n", 9),
        answer(2, "b b [[7]]", 11),
        answer(2, "c c c [[7]]", 13),
    ]
    found = build(made, replace(ALL, per_question=2))
    assert [e.target_tokens for e in found.train] == [9, 11]


def test_a_preference_pair_rejects_the_vanilla_answer_and_if_asked_a_brief_wrong_one():
    (example,) = build([vanilla(2), answer(2, "7 [[7]]", 6), answer(2, "8 [[8]]", 6, outcome=Outcome.WRONG)], ALL).train
    assert [p.rejected.text for p in pairs([example])] == [samples.long(2)]
    assert [p.against for p in pairs([example], ("vanilla", "wrong"))] == ["vanilla", "wrong"]


@pytest.mark.parametrize(
    ("template", "rejected"), [("tuned:brief@0123456789ab", "2 and 2 and 2 and"), ("words", "8 [[8]]")]
)
def test_an_answer_that_never_ended_is_rejected_if_an_adapter_gave_it(template, rejected):
    cut = answer(2, "2 and 2 and 2 and", 300, outcome=Outcome.TRUNCATED, whole=False, template=template)
    (example,) = build([answer(2, "7 [[7]]", 6), answer(2, "8 [[8]]", 6, outcome=Outcome.WRONG), cut], ALL).train
    assert [p.rejected.text for p in pairs([example], ("wrong",))] == [rejected]


def test_what_is_kept_for_an_evaluation_is_left_out_whatever_its_spacing_and_case():
    spaced = Question("  " + samples.question(2).text.upper().replace(" ", "  ") + " ")
    found = build([answer(2, "7 [[7]]", 6), answer(3, "8 [[8]]", 6)], ALL, exclude={leak_key(spaced)})
    assert [e.question for e in found.train] == [samples.question(3)] and found.passed.excluded == 1


@given(st.lists(st.integers(0, 60), max_size=40), st.floats(0, 0.5), st.integers(1, 4))
def test_no_question_is_ever_on_both_sides(numbers, share, per_question):
    made = [answer(i, f"{n} [[{i + 5}]]", 5 + n) for n, i in enumerate(numbers)]
    found = build(made, Selection(held_out=share, per_question=per_question))
    train, aside = {e.key for e in found.train}, {e.key for e in found.held_out}
    asked = {leak_key(q) for q in found.questions}
    assert not train & (aside | asked) and aside <= asked
    assert train | aside == {leak_key(samples.question(i)) for i in numbers}


def test_a_question_stays_on_its_side_when_others_come():
    keys = [leak_key(samples.question(i)) for i in range(400)]
    held = [k for k in keys if is_held_out(k, 0.15)]
    assert 30 < len(held) < 90
    assert all(is_held_out(k, 0.3) for k in held)


def test_the_held_out_questions_are_all_of_that_side_also_those_nobody_answered_right():
    made = [answer(i, "9", 5, outcome=Outcome.WRONG) for i in range(200)]
    found = build(made, Selection(held_out=0.2))
    assert found.held_out == () and len(found.questions) > 20


def test_examples_survive_the_file_and_the_fingerprint_tells_them_apart():
    found = samples.examples()
    again = from_jsonl(to_jsonl(found))
    assert again == found and again.fingerprint == found.fingerprint
    assert replace(found, train=found.train[1:]).fingerprint != found.fingerprint


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "null", '{"split": "train"}', '{"split": "other"}', json.dumps({"split": "train", "question": 3})],
)
def test_a_file_that_holds_something_else_is_refused_with_the_line(line):
    good = to_jsonl(samples.examples()).splitlines()[0]
    with pytest.raises(InputError, match="Line 2 of rows"):
        from_jsonl(f"{good}\n{line}\n", where="rows")


def test_a_file_with_a_question_on_both_sides_is_refused():
    row = json.loads(to_jsonl(samples.examples()).splitlines()[0])
    with pytest.raises(InputError, match="both sides"):
        from_jsonl("\n".join(json.dumps({**row, "split": side}) for side in ("train", "held-out")))


def test_too_few_say_what_to_do():
    with pytest.raises(InputError, match=r"at least 8 are needed.*Search more"):
        Examples((), ()).require()
    lonely = Examples(tuple(replace(e, vanilla=None) for e in samples.examples().train), ())
    lonely.require()
    with pytest.raises(InputError, match="0 pairs"):
        lonely.require(pairs=True)


@pytest.mark.parametrize("wrong", [{"per_question": 0}, {"held_out": 0.6}, {"least_tokens": 0}, {"most_tokens": 0}])
def test_a_selection_out_of_range_is_refused(wrong):
    with pytest.raises(InputError):
        build([], Selection(**wrong))
