"""Searches and sweeps as jobs: written as they happen, stopped, killed, reopened and resumed without paying twice."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tale_core.elasticity.engine import SweepPlan
from tale_core.errors import NoSourceError, ServerFailedError, StoreError
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.runs.study import StudyRun
from tale_core.runs.views import resumed, view_of
from tale_core.search.engine import SearchPlan
from tale_core.types import Question
from tests.support.waiting import killed, until

ROOT = Path(__file__).resolve().parents[2]
QUESTION = Question("What is six times seven?", answer="42")
SEARCH = SearchPlan(QUESTION)
SWEEP = SweepPlan(QUESTION, points=4, repeats=2)
PLANS = [SEARCH, SWEEP]


def simulated(**options):
    return SimulatedClient(SimulatedModel.rebounding(), answer="42", **options)


def start(runner, store, client, plan=SEARCH, *, open_client=None):
    async def ready():
        return client

    return runner.start(
        lambda changed: StudyRun(
            plan,
            store=store,
            open_client=open_client or ready,
            model="simulated",
            endpoint="simulated",
            on_change=changed,
        )
    )


@pytest.mark.parametrize("plan", PLANS, ids=["search", "sweep"])
def test_a_finished_study_is_stored_as_it_was_shown(runner, store, plan):
    job = start(runner, store, simulated(), plan)
    shown = job.wait(60)
    assert (shown.status, shown.error, shown.not_saved) == ("done", None, None)
    stored = view_of(store.get_session(job.id))
    assert replace(stored, calls=()) == replace(shown, calls=())
    assert [c.record for c in stored.calls] == [c.record for c in shown.calls]
    assert [c.text for c in stored.calls] == [c.text for c in shown.calls]


@pytest.mark.parametrize("plan", PLANS, ids=["search", "sweep"])
def test_the_same_study_again_pays_for_nothing(runner, store, plan):
    first = start(runner, store, simulated(), plan).wait(60)
    client = simulated()
    again = start(runner, store, client, plan).wait(60)
    assert client.requests == []
    assert again.spent.calls == again.spent.tokens == 0 and again.spent.reused == first.spent.calls
    assert {c.record.source for c in again.calls} == {"cached"}
    if plan is SEARCH:
        assert (again.result.optimal_budget, again.result.optimal_tokens) == (
            first.result.optimal_budget,
            first.result.optimal_tokens,
        )
    fresh = simulated()
    start(runner, store, fresh, replace(plan, reuse=False)).wait(60)
    assert len(fresh.requests) == first.spent.calls


def test_a_search_takes_the_vanilla_answer_that_an_ask_has_paid_for(runner, store):
    from tale_core.ask.plan import AskPlan
    from tests.runs.test_runner import start as start_ask

    asked = start_ask(runner, store, simulated(), AskPlan(QUESTION, estimator="fixed:60")).wait(60)
    assert asked.status == "done"
    client = simulated()
    view = start(runner, store, client).wait(60)
    assert view.steps[0].reused and all("less than" in r.messages[0].content for r in client.requests)


@pytest.mark.parametrize("plan", PLANS, ids=["search", "sweep"])
def test_a_failed_study_keeps_what_it_found_and_is_resumed_without_paying_again(runner, store, plan):
    calls = 0

    class Breaks(SimulatedClient):
        def stream(self, request):
            nonlocal calls
            calls += 1
            if calls < 4:
                return super().stream(request)
            return ScriptedClient([Reply(error=ServerFailedError("The server is on fire."))]).stream(request)

    job = start(runner, store, Breaks(SimulatedModel.rebounding(), answer="42"), replace(plan, slots=1))
    failed = job.wait(60)
    assert failed.status == "failed" and "on fire" in failed.error
    stored = view_of(store.get_session(job.id))
    done = [c.record for c in stored.calls if c.record.status == "done"]
    assert len(done) == 3
    client = simulated()
    view = start(runner, store, client, resumed(stored)).wait(60)
    assert view.status == "done" and view.parent_id == job.id
    whole = start(runner, store, simulated(), replace(plan, reuse=False)).wait(60)
    assert view.spent.reused == 3 and view.spent.calls == whole.spent.calls - 3 == len(client.requests)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.integers(0, 400), sweeping=st.booleans())
def test_a_cancel_at_any_moment_leaves_a_consistent_store(runner, store, after, sweeping):
    client = simulated(chunk=8)
    changes, started = 0, threading.Event()

    def make(changed):
        def note():
            nonlocal changes
            changes += 1
            changed()
            if changes == after and started.wait(30):  # a change can come before `start` has returned
                job.cancel()

        async def ready():
            return client

        plan = replace(SWEEP if sweeping else SEARCH, reuse=False)
        return StudyRun(plan, store=store, open_client=ready, model="s", endpoint="s", on_change=note)

    job = runner.start(make)
    started.set()
    if after == 0:
        job.cancel()
    view = job.wait(60)
    assert view.status in ("cancelled", "done") and client.open_streams == 0
    session = store.get_session(job.id)
    stored = view_of(session)
    assert session.status == view.status
    assert all(c.status in ("done", "cancelled") for c in session.calls)
    assert all(c.completion_tokens is not None and c.prompt_tokens is not None for c in session.calls)
    json.dumps(store.export_session(job.id))
    if not sweeping:
        assert stored.steps == view.steps
        tried = {c.requested_budget for c in session.calls if c.status == "done"}
        assert {s.budget for s in stored.steps} <= tried


def test_a_kill_in_the_middle_is_called_interrupted_and_resumed_without_paying_again(runner, store):
    session_id = killed(
        """
        import time
        from tale_core.runs.runner import runner
        from tale_core.store import open_store
        from tests.runs.test_study import simulated, start
        job = start(runner(), open_store(), simulated(delay_s=0.01, chunk=4))
        while len(job.view().steps) < 3:
            time.sleep(0.01)
        print(job.id, flush=True)
        time.sleep(60)
        """
    )
    assert session_id.startswith("search-")
    view = view_of(store.get_session(session_id))
    assert view.status == "interrupted" and len(view.steps) >= 2
    finished = sum(c.record.status == "done" for c in view.calls)
    client = simulated()
    done = start(runner, store, client, resumed(view)).wait(60)
    assert done.status == "done" and done.spent.reused == finished >= 3


def test_stopping_a_search_closes_its_stream_and_whoever_comes_back_finds_it(runner, store):
    client = simulated(delay_s=0.02)
    job = start(runner, store, client)
    until(lambda: client.open_streams == 1 and job.view().calls and job.view().calls[0].pieces > 3)
    assert runner.get(job.id) is job
    assert store.get_session(job.id).status == "running"
    job.cancel()
    view = job.wait(20)
    assert view.status == "cancelled" and client.open_streams == 0
    (call,) = store.get_session(job.id).calls
    assert call.status == "cancelled" and call.completion_tokens > 3 and call.usage_estimated


def test_a_model_that_cannot_be_had_fails_the_search_in_words(runner, store):
    async def nothing():
        raise NoSourceError("No weights.", "Use an endpoint.")

    view = start(runner, store, None, open_client=nothing).wait(20)
    assert (view.status, view.error) == ("failed", "No weights. Use an endpoint.")


def test_an_ask_is_no_search(runner, store):
    from tests.runs.test_runner import start as start_ask

    job = start_ask(runner, store, ScriptedClient(["Budget: [[20]]", "[[42]]", "[[42]]"]))
    job.wait(20)
    with pytest.raises(StoreError, match="no search and no sweep"):
        view_of(store.get_session(job.id))


def test_a_stored_search_that_cannot_be_read_is_told_in_words(runner, store):
    job = start(runner, store, simulated())
    job.wait(60)
    store.update_session(job.id, result={"steps": [{"strange": 1}], "done": None})
    with pytest.raises(StoreError, match="another version"):
        view_of(store.get_session(job.id))
