"""However an experiment is stopped: nothing is lost, nothing is paid twice, and it goes on as it was begun."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tale_core.calls import caller
from tale_core.calls.budget_ledger import Limits
from tale_core.errors import (
    InputError,
    StoreError,
)
from tale_core.experiments import (
    ExperimentDone,
    UnitFinished,
    run_experiment,
    stored_plan,
)
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.store import CallStore
from tale_core.types import Outcome, Question, Sampling
from tests.experiments.test_runner import QUICK, calls_of, events_of, plan, questions, run, says


async def test_closing_the_events_stops_the_spending_at_once_and_books_what_was_written(store):
    client = ScriptedClient(
        lambda r: "[[42]]" if "number 0" in r.messages[-1].content else "word " * 5000, delay_s=0.001
    )
    events = run_experiment(plan(50, "vanilla", concurrency=4).checked(), client, store)
    async for event in events:
        if isinstance(event, UnitFinished):
            break
    await asyncio.sleep(0.1)
    assert client.open_streams == 4
    await events.aclose()
    assert client.open_streams == 0 and client.closed_early == 4
    (summary,) = store.list_sessions(kind="experiment")
    session = store.get_session(summary.id)
    assert session.status == "cancelled"
    assert [c.status for c in session.calls] == ["done"] + ["cancelled"] * 4
    assert all(c.text and c.completion_tokens > 5 and c.usage_estimated for c in session.calls[1:])
    await asyncio.sleep(0.05)
    assert len(client.requests) == 5


async def test_a_long_answer_is_on_the_disk_while_it_grows_and_ends_in_the_same_row(store):
    client = ScriptedClient(lambda r: "word " * 40 + "[[42]]", delay_s=0.03)
    task = asyncio.create_task(run(plan(1, "vanilla", limits=Limits(max_tokens=10_000)), client, store))
    deadline = time.monotonic() + 10
    while not (found := [c for s in store.list_sessions() for c in calls_of(store, s.id)]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    (growing,) = found
    # What a kill in this moment would leave: the prompt's tokens and those written, counted by us.
    assert growing.status == "running" and growing.text.startswith("word word")
    assert growing.prompt_tokens and growing.completion_tokens and growing.usage_estimated
    done = await task
    (ended,) = calls_of(store, done.results.experiment_id)
    assert (ended.id, ended.status, ended.outcome) == (growing.id, "done", Outcome.CORRECT)
    assert ended.completion_tokens > growing.completion_tokens and not ended.usage_estimated


async def test_cancelling_the_task_does_the_same_and_a_resume_finishes_the_rest(store):
    client = SimulatedClient(SimulatedModel.rebounding(), delay_s=0.001, chunk=10)
    task = asyncio.create_task(events_of(plan(12, concurrency=3), client, store))
    while len(client.completions) < 6:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.open_streams == 0
    (summary,) = store.list_sessions(kind="experiment")
    assert summary.status == "cancelled"
    before = {c.cache_key for c in calls_of(store, summary.id) if c.status == "done"}
    rest = SimulatedClient(SimulatedModel.rebounding(), chunk=100)
    done = await run(stored_plan(store, summary.id), rest, store)
    assert done.results.complete and len(rest.requests) == 24 - len(before)
    assert done.results.spent.calls == len(client.requests) + len(rest.requests)


async def test_an_answer_that_was_whole_when_it_was_stopped_is_graded_stored_and_not_paid_again(store, monkeypatch):
    graded, inner = asyncio.Event(), caller.graded_call

    async def slow(call, question):
        graded.set()
        await asyncio.sleep(60)
        return await inner(call, question)

    client = says()
    with monkeypatch.context() as patched:
        patched.setattr(caller, "graded_call", slow)
        events = run_experiment(plan(4, "vanilla", concurrency=2).checked(), client, store, retry=QUICK)
        started = await anext(events)
        running = asyncio.ensure_future(anext(events))
        await graded.wait()
        patched.setattr(caller, "graded_call", inner)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await events.aclose()
    ended = Counter((c.status, c.outcome) for c in calls_of(store, started.experiment_id))
    assert ended.pop(("done", Outcome.CORRECT)) >= 1 and ended.keys() <= {("cancelled", Outcome.UNGRADED)}
    done = await run(stored_plan(store, started.experiment_id), client, store)
    assert done.results.complete and len(client.requests) == 4 + ended.total()


@given(st.integers(0, 140))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_wherever_it_is_cancelled_every_unit_ends_once(store, after):
    # Its own questions each time, so that nothing is known from an earlier example.
    asked = tuple(Question(f"What is six times seven, {time.monotonic_ns()} {i}?", answer="42") for i in range(6))
    a_plan = replace(plan(6, "oracle", "vanilla", "tale-zero-shot", concurrency=4), questions=asked)
    client = SimulatedClient(SimulatedModel.rebounding(), chunk=60)
    events = run_experiment(a_plan.checked(), client, store, retry=QUICK)
    started = await anext(events)
    for _ in range(after):
        if isinstance(await anext(events), ExperimentDone):
            break
    await events.aclose()
    done = await run(stored_plan(store, started.experiment_id), client, store)
    assert done.results.complete
    made = [c for c in calls_of(store, started.experiment_id) if c.status == "done"]
    assert len({(c.unit, c.step) for c in made}) == len(made)
    assert len({c.cache_key for c in made}) == sum(c.source != "cached" for c in made)
    assert all(row.n == 6 and row.accuracy.mean == 1.0 for row in done.results.rows)


async def test_a_resume_with_another_model_or_another_plan_is_refused(store):
    done = await run(plan(2), says(), store)
    again = stored_plan(store, done.results.experiment_id)
    with pytest.raises(InputError, match="begun with the model 'scripted'"):
        await run(again, ScriptedClient([], model="other"), store)
    for changed in (
        replace(again, strategies=("vanilla",)), replace(again, template="plain"), replace(again, repeats=2),
        replace(again, sampling=Sampling(temperature=1.0)), replace(again, questions=questions(3)),
    ):  # fmt: skip
        with pytest.raises(InputError, match="Resume it as it was"):
            await run(changed, says(), store)


async def test_a_resume_with_an_estimator_trained_anew_is_refused(store):
    from tests.strategies.test_strategies import Halves

    first = {"regression": Halves("regression", "v1", needs_zero_shot=False, answers=(25, None))}
    client = says()
    done = await run(plan(2, "tale-regression", estimators=first), client, store)
    assert all("less than 25 tokens" in r.messages[0].content for r in client.requests) and done.results.complete
    again = stored_plan(store, done.results.experiment_id)
    await run(replace(again, estimators=first), says(), store)
    with pytest.raises(InputError, match="begun with estimators"):
        await run(replace(again, estimators={"regression": replace(first["regression"], version="v2")}), says(), store)
    with pytest.raises(InputError, match="trained"):
        await run(again, says(), store)


async def test_an_experiment_that_is_running_cannot_be_taken_over(store):
    async with aclosing(run_experiment(plan(3).checked(), says(), store)) as events:
        started = await anext(events)
        # Another living process of this machine.
        import psutil

        parent = psutil.Process().parent()
        owner = f"{__import__('socket').gethostname()}:{parent.pid}:{parent.create_time():.2f}"
        _set_owner(store, started.experiment_id, owner)
        with pytest.raises(StoreError, match="is running"):
            await run(stored_plan(store, started.experiment_id), says(), store)


def _set_owner(store, experiment_id, owner):
    from sqlalchemy import update

    from tale_core.store.tables import sessions

    with store.writing() as connection:
        connection.execute(update(sessions).where(sessions.c.id == experiment_id).values(owner=owner))


async def test_a_store_that_fails_stops_the_spending(store, monkeypatch):
    client = says()
    real, writes = CallStore.write, itertools.count()

    def fails(self, batch, **again):
        if next(writes) >= 3:
            raise StoreError("The disk is full.")
        return real(self, batch, **again)

    monkeypatch.setattr(CallStore, "write", fails)
    with pytest.raises(StoreError, match="disk is full"):
        await run(plan(100, concurrency=2), client, store)
    assert len(client.requests) < 12
