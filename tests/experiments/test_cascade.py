"""Where the threshold of a cascade comes from: labelled answers to other questions, never to those of the run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.runner import run_experiment
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.store import CallStore, ExperimentStore, open_store
from tale_core.types import Completion, Delta, Outcome, Question, Request
from tests.store.samples import call as a_call
from tests.store.samples import session as a_session

ASKED = Question("How many legs have 3 cats?", answer="12")


class Sure(ScriptedClient):
    """It tells how sure it is, where it is asked."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        async for item in super().stream(request):
            told = isinstance(item, Completion) and request.logprobs
            yield replace(item, confidence=0.8) if told else item  # type: ignore[arg-type]


async def test_rows_of_the_run_itself_teach_nothing_and_those_of_other_questions_do():
    store = open_store()
    for i in range(36):
        # Right from 0.7 on; what was answered to the run's own question says otherwise.
        own = i >= 30
        session = a_session(question=ASKED if own else Question(f"What is {i} + 1?", answer="1"), status="running")
        store.create_session(session)
        right = i >= 15 and not own
        made = a_call(
            session.id, "budgeted", prompt_template="paper-concise", status="done", text="[[1]]", completion_tokens=3,
            finish_reason="stop", outcome=Outcome.CORRECT if right else Outcome.WRONG,
            confidence=0.95 if own else 0.55 + i / 100,
        )  # fmt: skip
        CallStore(store).write([made])
        store.finish_session(session.id, "done")
    plan = ExperimentPlan(questions=(ASKED,), strategies=("cascade",), reuse=False)
    client = Sure(["[[12]]"])
    events = [event async for event in run_experiment(plan.checked(), client, store)]
    experiment = events[0].experiment_id  # type: ignore[union-attr]
    told = ExperimentStore(store).head(experiment).result["thresholds"]["paper-concise"]  # type: ignore[index]
    assert (told["rows"], told["right"], told["default"]) == (30, 15, False)
    assert abs(told["confidence"] - 0.7) < 1e-9
    assert len(client.requests) == 1  # 0.8 is sure enough.
