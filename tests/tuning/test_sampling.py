"""What a sampling gives to learn: the shortest right answers of each question, and solutions for what was missed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tale_core.datasets import load
from tale_core.errors import InputError
from tale_core.experiments import ExperimentPlan
from tale_core.experiments.create import create_experiment
from tale_core.store import CallStore, UnitRecord, open_store
from tale_core.tuning import sampling
from tale_core.tuning.examples import Selection, pairs
from tale_core.tuning.sampling import examples_from_sampling, target
from tale_core.types import Outcome, Question, Sampling
from tests.tuning import samples

ALL = Selection(held_out=0.0, per_question=2)
CASES = json.loads((Path(__file__).parents[1] / "cases" / "sampled_targets.json").read_text(encoding="utf-8"))
RIGHT, WRONG = Outcome.CORRECT, Outcome.WRONG


def said(i: int, text: str, tokens: int, outcome: Outcome = RIGHT) -> samples.SampledAnswer:
    return f"{text} [[{i + 5}]]", tokens, outcome


def solved(folder: Path, numbers: range) -> Path:
    rows = [
        {"question": samples.question(i).text, "answer": f"{i} + 5 = <<{i}+5={i + 5}>>{i + 5}\n#### {i + 5}"}
        for i in numbers
    ]
    (folder / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "set.jsonl"


def test_the_shortest_right_answers_of_each_question_are_learnt_each_once():
    name = samples.sampled({
        2: [said(2, "so it is", 9), said(2, "so", 5), said(2, "\nso", 5), said(2, "thus", 7)],
        3: [said(3, "so", 4, WRONG), said(3, "three and five", 12)],
    })  # fmt: skip
    found = examples_from_sampling(open_store(), name, ALL)
    by_question = {q.text: [e.target for e in found.examples.train if e.question.text == q.text]
                   for q in (samples.question(2), samples.question(3))}  # fmt: skip
    assert list(by_question.values()) == [["so [[7]]", "thus [[7]]"], ["three and five [[8]]"]]
    assert (found.solved, found.never_solved, found.solutions) == (2, 0, 0)
    assert [p.rejected.text for p in pairs(found.examples.train, ("wrong",))] == ["so [[8]]"]


def test_what_is_not_right_is_never_learnt_however_short():
    bad = [WRONG, Outcome.TRUNCATED, Outcome.UNPARSED, Outcome.ERROR, Outcome.UNGRADED]
    lost = {10 + n: [said(10 + n, "so", 1, outcome)] * 4 for n, outcome in enumerate(bad)}
    mixed = {20 + n: [said(20 + n, "so", 1, outcome), said(20 + n, "all in all", 20)] for n, outcome in enumerate(bad)}
    found = examples_from_sampling(open_store(), samples.sampled(lost | mixed), ALL)
    assert sorted(e.target for e in found.examples.train) == [f"all in all [[{i}]]" for i in range(25, 30)]
    assert (found.solved, found.never_solved, found.examples.passed.without_right) == (5, 5, 5)


def test_worked_solutions_fill_in_for_what_was_never_right_and_never_beyond_their_share(tmp_path):
    right = {i: [said(i, "so", 5)] * 4 for i in range(2, 9)}
    missed = {i: [said(i, "so", 5, WRONG)] * 4 for i in range(20, 30)}
    name = samples.sampled(right | missed | {40: [said(40, "so", 5, WRONG)]})
    loaded = load(str(solved(tmp_path, range(2, 50))))
    found = examples_from_sampling(open_store(), name, ALL, solved=loaded, share=0.3)
    human = [e for e in found.examples.train if e.template == "solution"]
    assert (len(found.examples.train), len(human), found.solutions, found.never_solved) == (10, 3, 3, 10)
    texts = {samples.question(i).text for i in missed}
    assert {e.question.text for e in human} <= texts, "40 has samples left that may yet be right"
    assert all(e.target.endswith("]]") and "<<" not in e.target for e in human)
    again = examples_from_sampling(open_store(), name, ALL, solved=loaded, share=0.3)
    assert again.examples.fingerprint == found.examples.fingerprint
    kept = frozenset(e.key for e in human)
    other = examples_from_sampling(open_store(), name, ALL, solved=loaded, share=0.3, exclude=kept)
    assert not kept & set(other.examples.train_keys) and other.solutions == 3
    with pytest.raises(InputError, match="no worked solutions"):
        examples_from_sampling(open_store(), name, ALL, solved=load("shipped", limit=3), share=0.3)
    with pytest.raises(InputError, match="from 0 to"):
        examples_from_sampling(open_store(), name, ALL, solved=loaded, share=1.0)


def test_of_an_experiment_with_several_strategies_the_brief_ones_are_learnt():
    name = samples.sampled({2: [said(2, "so", 5)]}, strategies=("vanilla", "concise"))
    assert examples_from_sampling(open_store(), name, ALL).examples.train == ()
    name = samples.sampled({2: [said(2, "so", 5)]}, strategies=("fixed:25", "direct"))
    assert len(examples_from_sampling(open_store(), name, ALL).examples.train) == 1


@pytest.mark.parametrize(
    ("strategies", "temperature", "words"),
    [(("vanilla",), 0.8, "no brief reasoning"), (("concise", "direct"), 0.8, "no brief reasoning"),
     (("effort:low",), 0.8, "no brief reasoning"), (("concise",), 0.0, "one answer 4 times"),
     (("lines", "concise"), 0.8, "some are worked out by a tool"), (("lines-vote:3",), 0.8, "are prose"),
     (("concise@assignments",), 0.8, "are prose")],
)  # fmt: skip
def test_samples_that_could_teach_nothing_are_refused_before_they_are_paid_for(strategies, temperature, words):
    plan = ExperimentPlan(
        questions=(samples.question(2),), strategies=strategies, repeats=4, sampling=Sampling(temperature=temperature)
    )
    with pytest.raises(InputError, match=words):
        sampling.check(plan, share=0.2)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["claim"])
def test_a_target_is_freed_of_what_stands_around_it(case):
    question = Question("How many?", answer=case["answer"], kind="number")
    assert target(case["said"].strip(), question, case.get("template", "paper")) == case["target"]


def test_lines_are_learnt_as_they_stand_and_a_fall_back_to_vanilla_is_not():
    store = open_store()
    plan = ExperimentPlan(questions=(samples.question(2), samples.question(3)), strategies=("lines-vote:3",))
    name = create_experiment(plan, store, model=samples.BASE, endpoint="embedded").resume_of or ""
    told = [("budgeted", "pens = 2\nanswer = pens + 5", 12, "assignments"), ("vanilla", "so [[8]]", 5, "paper")]
    for position, (role, text, tokens, template) in enumerate(told):
        unit = f"{position}/0/lines-vote:3"
        call = samples.call(name, role, text, tokens, unit=unit, step=0, prompt_template=template)
        ids = CallStore(store).write([call])
        record = UnitRecord(name, unit, position, "lines-vote:3", 0, "done", True, answer_call_id=ids[0])
        CallStore(store).write([record])
    found = examples_from_sampling(store, name, ALL)
    assert [(e.target, e.template) for e in found.examples.train] == [("pens = 2\nanswer = pens + 5", "assignments")]
    assert (found.solved, found.never_solved) == (1, 1)
