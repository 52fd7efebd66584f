"""An experiment to disturb, and what must be true of it however it was disturbed."""

from __future__ import annotations

from collections import Counter

from tale_core.experiments import ExperimentPlan, results
from tale_core.store import ExperimentStore, Store
from tale_core.types import Question

STRATEGIES = ("vanilla", "fixed:30")


def plan(questions: int = 40, *, concurrency: int = 6) -> ExperimentPlan:
    """Two calls for each question, none like another."""
    asked = tuple(Question(f"What is 6 times 7, asked for the time {i}?", answer="42") for i in range(questions))
    return ExperimentPlan(questions=asked, strategies=STRATEGIES, concurrency=concurrency)


def check_whole(store: Store, experiment_id: str, of: ExperimentPlan) -> None:
    """Nothing is lost and nothing is doubled."""
    units = Counter((f.position, f.repeat_index, f.strategy) for f in ExperimentStore(store).figures(experiment_id))
    assert len(units) == of.planned and set(units.values()) == {1}
    session = store.get_session(experiment_id)
    done = Counter((call.unit, call.step) for call in session.calls if call.status == "done")
    assert len(done) == of.planned and set(done.values()) == {1}
    found = results(store, experiment_id)
    assert found.complete and session.status == "done"
    assert [row.right for row in found.rows] == [len(of.questions)] * len(of.strategies)
