"""Killed twenty times at any moment, an experiment ends with every answer once and asks for no finished call again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tale_core.experiments import ExperimentPlan, create_experiment, results
from tale_core.store import ExperimentStore, Store, open_store
from tale_core.types import Question
from tests.support.counting_endpoint import CountingEndpoint, Reply

pytestmark = pytest.mark.program

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
PLAN = ExperimentPlan(
    questions=tuple(Question(f"What is 6 times 7, asked for the time {i}?", answer="42") for i in range(120)),
    strategies=("vanilla", "fixed:30", "tale-zero-shot"),
    concurrency=6,
)


def reply(prompt: str) -> Reply:
    text = "Budget: [[25]]" if "estimate the minimum number" in prompt else "6 times 7 is [[42]]"
    return Reply(text, delay_s=random.uniform(0.02, 0.08))  # A fast machine must not end before the last kill.


def finished_calls(store: Store, experiment_id: str) -> set[tuple[str, int | None]]:
    """(prompt, seed) of every call that is stored as done and was really made."""
    calls = store.get_session(experiment_id).calls
    return {(c.messages[-1].content, c.sampling.seed) for c in calls if c.status == "done" and c.source == "live"}


def test_twenty_kills_double_no_answer_and_repeat_no_finished_call():
    store = open_store()
    rng = random.Random(2041)
    with CountingEndpoint(reply) as endpoint:
        plan = create_experiment(PLAN.checked(), store, model="counted", endpoint=endpoint.base_url)
        assert plan.resume_of is not None
        store.finish_session(plan.resume_of, "failed")  # This process does not run it.
        forks = subprocess.Popen(
            [sys.executable, "-m", "tests.support.experiment_forks", plan.resume_of, endpoint.base_url],
            cwd=ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert forks.stdin is not None and forks.stdout is not None

        def child(order: str) -> int:
            forks.stdin.write(f"{order}\n")  # type: ignore[union-attr]
            forks.stdin.flush()  # type: ignore[union-attr]
            return int(forks.stdout.readline())  # type: ignore[union-attr]

        asked: dict[tuple[str, int | None], int] = {}
        progress: list[int] = []
        span = 0.3  # Seconds within which a kill falls; a busy machine needs more of them to finish a call at all.
        try:
            assert forks.stdout.readline() == "ready\n"
            for at in range(KILLS):
                # Most moments are counted from when it goes on: how long a busy machine takes until then says nothing.
                since = "" if at % 5 == 0 else "begun "
                assert child(f"{since}{rng.uniform(0.0, span):.3f}") == -signal.SIGKILL
                for call in finished_calls(store, plan.resume_of):
                    asked.setdefault(call, endpoint.counts[call])
                more = len(asked) - (progress[-1] if progress else 0)
                span = min(2.0, span * (2 if more == 0 else 0.5 if more > 4 * PLAN.concurrency else 1))
                progress.append(len(asked))
            assert child("end") == 0
        finally:
            forks.kill()
            forks.communicate()
        again = {call: endpoint.counts[call] for call, before in asked.items() if endpoint.counts[call] != before}
    assert again == {}
    assert len(set(progress)) > KILLS // 3, f"the kills came before any progress: {progress}"
    assert progress[-1] < 4 * len(PLAN.questions), "nothing was left to be killed"
    _every_answer_is_there_once(store, plan.resume_of)
    # A call in flight at a kill may be asked for again, and no other.
    assert endpoint.requests <= 4 * len(PLAN.questions) + (KILLS + 1) * PLAN.concurrency


def _every_answer_is_there_once(store: Store, experiment_id: str) -> None:
    figures = ExperimentStore(store).figures(experiment_id)
    keys = [(f.position, f.repeat_index, f.strategy) for f in figures]
    assert len(keys) == len(set(keys)) == PLAN.planned
    assert {f.status for f in figures} == {"done"}
    session = store.get_session(experiment_id)
    done = [(c.unit, c.step) for c in session.calls if c.status == "done"]
    assert len(done) == len(set(done)) == 4 * len(PLAN.questions)
    found = results(store, experiment_id)
    assert found.complete and session.status == "done"
    assert [row.right for row in found.rows] == [len(PLAN.questions)] * 3
    assert json.dumps(session.result)
