"""One denominator: what counts for an accuracy is the same in experiments, sweeps, calibration and labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tale_core.calibration.rule import Answer, figures
from tale_core.elasticity.engine import SweepDone, SweepPlan, sweep
from tale_core.experiments import results, rows_of
from tale_core.experiments.plan import Unit
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.store import UnitFigures, open_store
from tale_core.store.labels.transaction import LabelWork
from tale_core.types import CallRecord, Outcome, Question, Sampling, judged
from tests.pages import experiment_samples
from tests.store.samples import call as a_call

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "cases" / "outcomes.json").read_text(encoding="utf-8")
)
KNOWN = [case for case in CASES if case["judged"] is not None]
REPLIES = {
    "correct": Reply("[[48]]"), "wrong": Reply("[[47]]"), "truncated": Reply("word " * 99),
    "unparsed": Reply("nobody knows"), "error": Reply("I cannot", finish_reason="content_filter"),
}  # fmt: skip
MIX = ("correct", "error", "wrong", "correct", "unparsed", "truncated", "error", "correct")
"""Answers of one model: three of eight are right, two were refused."""


def call(case: dict[str, Any]) -> CallRecord:
    found = {"outcome": Outcome(case["outcome"]), "finish_reason": case["finish_reason"]}
    return a_call("s", status=case["status"], **found)


def unit(case: dict[str, Any], position: int, *, graded: bool = True) -> UnitFigures:
    answered = case["status"] == "done"
    return UnitFigures(
        position, 0, "vanilla", "done" if answered else "failed", graded,
        Outcome(case["outcome"]) if answered else None, None, case["finish_reason"], None, 9, 1, 9, None, 1.0, 1, 0, 0,
        None, None,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['outcome']}-{c['finish_reason']}-{c['status']}")
def test_an_answer_counts_in_the_same_way_wherever_it_stands(case: dict[str, Any]) -> None:
    refused = case.get("refused", False)
    assert (call(case).judged, call(case).refused) == (case["judged"], refused)
    assert judged(Outcome(case["outcome"]), refused=refused) is case["judged"]
    if case["status"] == "done":
        assert (unit(case, 0).judged, unit(case, 0).refused) == (case["judged"], refused)
        assert Answer(0, None, Outcome(case["outcome"]), 9, 9, refused=refused).judged is case["judged"]


def test_no_answer_is_no_answer() -> None:
    assert judged(None) is None and judged(None, refused=True) is None


def test_an_answer_to_a_question_without_a_known_answer_counts_only_when_a_person_judged_it() -> None:
    for case in KNOWN:
        assert unit(case, 0, graded=False).judged is None
        assert unit(case, 0, graded=False)._replace(labelled="verdict").judged is case["judged"]


async def test_experiments_sweeps_and_calibration_find_the_same_accuracy_in_the_same_answers() -> None:
    plan = SweepPlan(
        Question("6 rows of 8 pens?", answer="48"), budgets=(20,), repeats=len(MIX), slots=1, reuse=False,
        sampling=Sampling(1.0, max_tokens=30),
    )  # fmt: skip
    client = ScriptedClient([REPLIES[name] for name in (*MIX, *MIX, *MIX)])
    events = [event async for event in sweep(plan, client)]
    done = events[-1]
    assert isinstance(done, SweepDone)
    cases = [{"outcome": name, "finish_reason": REPLIES[name].finish_reason, "status": "done"} for name in MIX]
    (row,) = rows_of([unit(case, i) for i, case in enumerate(cases)], ["vanilla"], planned=len(MIX))
    answers = [
        Answer(i, budget, Outcome(name), 9, 9, refused=name == "error")
        for i, name in enumerate(MIX)
        for budget in (None, 20)
    ]
    (template,) = figures({"paper": answers}, budgets=[20], tolerance=0.1)
    assert row.accuracy is not None
    found = {(p.accuracy, p.accuracy_low, p.accuracy_high, p.graded, p.refused) for p in done.result.points}
    found |= {(*row.accuracy, row.graded, row.refused)}
    found |= {
        (*level.accuracy, level.n, level.refused) for level in (template.vanilla, *template.levels) if level.accuracy
    }
    assert len(found) == 1, found
    ((share, _, _, n, refused),) = found
    assert (share, n, refused) == (3 / 8, 8, 2)


def test_the_accuracies_that_a_label_moves_have_that_denominator_too(monkeypatch: pytest.MonkeyPatch) -> None:
    done = [case for case in CASES if case["status"] == "done"]
    plain = experiment_samples.call

    def answered(session_id: str, unit: Unit, budget: int | None, outcome: Outcome) -> CallRecord:
        case = done[unit.position]
        record = plain(session_id, unit, budget, Outcome(case["outcome"]))
        return replace(record, finish_reason=case["finish_reason"])

    monkeypatch.setattr(experiment_samples, "call", answered)
    session_id = experiment_samples.kept(experiment_samples.plan(len(done), names=("vanilla",)))
    store = open_store()
    with store.reading() as connection:
        found = LabelWork(connection, grades={}, rederive=None)._accuracies([session_id])
    (row,) = results(store, session_id).rows
    (share,) = found.values()
    assert (share.right, share.n) == (row.right, row.graded) == (sum(c["judged"] for c in KNOWN), len(KNOWN))
