"""An experiment to disturb, and what must be true of it however it was disturbed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from tale_core.calls.retry import RetryPolicy
from tale_core.experiments import (
    ExperimentDone,
    ExperimentPlan,
    ExperimentResults,
    UnitFinished,
    results,
    run_experiment,
)
from tale_core.store import ExperimentStore, Store
from tale_core.types import Client, Question

STRATEGIES = ("vanilla", "fixed:30")


def plan(questions: int = 40, *, concurrency: int = 6) -> ExperimentPlan:
    """Two calls for each question, none like another."""
    asked = tuple(Question(f"What is 6 times 7, asked for the time {i}?", answer="42") for i in range(questions))
    return ExperimentPlan(questions=asked, strategies=STRATEGIES, concurrency=concurrency)


async def disturbed(
    of: ExperimentPlan,
    client: Client,
    store: Store,
    *,
    at: int = -1,
    disturb: Callable[[], None] = lambda: None,
    retry: RetryPolicy | None = None,
) -> ExperimentResults:
    """Run it, and call `disturb` when so many answers are there."""
    finished, found = 0, None
    async for event in run_experiment(of.checked(), client, store, retry=retry):
        if isinstance(event, UnitFinished):
            finished += 1
            if finished == at:
                await asyncio.to_thread(disturb)
        elif isinstance(event, ExperimentDone):
            assert event.stop is None
            found = event.results
    await client.aclose()
    assert found is not None
    return found


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
