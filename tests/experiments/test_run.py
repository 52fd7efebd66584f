"""An experiment in the background: watched, stopped, failed before it began, interrupted, opened again by its id."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tale_core.errors import InputError, NoSourceError, NotFoundError
from tale_core.experiments import ExperimentPlan
from tale_core.experiments.run import ExperimentRun, view_of
from tale_core.models.choice import endpoint_choice
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.runs import runner as jobs
from tale_core.runs.runner import Runner
from tale_core.types import Question
from tests.support.counting_endpoint import CountingEndpoint, Reply
from tests.support.waiting import until

PLAN = ExperimentPlan(
    questions=tuple(Question(f"What is six times seven, number {i}?", answer="42") for i in range(8)),
    strategies=("vanilla", "fixed:50"),
)


def start(runner, store, client, plan=PLAN, *, open_client=None, model=None):
    async def ready():
        return client

    return runner.start(
        lambda changed: ExperimentRun(
            plan.checked(), store=store, open_client=open_client or ready, model=model or client.model, endpoint="here",
            on_change=changed,
        )
    )  # fmt: skip


def test_a_finished_experiment_is_stored_as_it_was_shown(runner, store):
    client = SimulatedClient(SimulatedModel.rebounding(), chunk=50)
    shown = start(runner, store, client).wait(60)
    assert (shown.status, shown.phase, shown.error) == ("done", "ended", None)
    assert (shown.finished, shown.failed, shown.planned) == (16, 0, 16) and client.closed
    stored = view_of(store, shown.experiment_id)
    assert stored.results == shown.results and stored.spent == shown.spent
    assert replace(stored.plan, resume_of=None) == PLAN


def test_a_running_experiment_shows_how_far_it_is_and_its_table_so_far(runner, store):
    job = start(runner, store, SimulatedClient(SimulatedModel.rebounding(), delay_s=0.002, chunk=10))
    until(lambda: job.view().finished >= 3)
    view = job.view()
    assert view.running and view.phase == "running" and view.spent.calls >= 3 and view.concurrency == 4
    until(lambda: job.view().results is not None)
    assert runner.get(job.id) is job
    assert job.wait(60).results.complete
    until(lambda: runner.get(job.id) is None)


def test_cancelling_stops_at_once_and_the_same_experiment_goes_on_later(runner, store):
    client = SimulatedClient(SimulatedModel.rebounding(), delay_s=0.005, chunk=5)
    job = start(runner, store, client)
    until(lambda: len(client.completions) >= 2)
    job.cancel()
    view = job.wait(30)
    assert view.status == "cancelled" and client.open_streams == 0 and client.closed
    assert view.spent.calls == len(client.requests)
    resumed = view_of(store, job.id)
    assert resumed.status == "cancelled" and resumed.plan.resume_of == job.id
    again = start(runner, store, SimulatedClient(SimulatedModel.rebounding(), chunk=50), resumed.plan).wait(60)
    assert again.status == "done" and again.experiment_id == job.id and again.results.complete


def test_weights_that_cannot_be_had_end_as_a_failed_experiment_in_words(runner, store):
    async def none():
        raise NoSourceError("No source answered.", "Check the network.")

    view = start(runner, store, ScriptedClient([]), open_client=none).wait(30)
    assert (view.status, view.error) == ("failed", "No source answered. Check the network.")
    assert view_of(store, view.experiment_id).status == "failed"


def test_cancelling_before_the_client_is_there_leaves_no_experiment_running(runner, store):
    import asyncio

    job = start(runner, store, ScriptedClient([]), open_client=lambda: asyncio.sleep(60))
    until(lambda: store.list_sessions(kind="experiment"))
    job.cancel()
    assert job.wait(30).status == "cancelled"
    assert view_of(store, job.id).status == "cancelled"


def test_a_wrong_plan_is_refused_before_anything_is_started(runner, store):
    with pytest.raises(InputError):
        start(runner, store, ScriptedClient([]), replace(PLAN, repeats=0))
    assert store.count_sessions() == 0
    with pytest.raises(NotFoundError):
        view_of(store, "experiment-nowhere")


def test_taking_over_a_running_experiment_fails_and_leaves_it_running(runner, store):
    client = SimulatedClient(SimulatedModel.rebounding(), delay_s=0.005, chunk=5)
    first = start(runner, store, client)
    until(lambda: first.view().finished >= 1)
    elsewhere = Runner()
    second = start(elsewhere, store, ScriptedClient([], model="simulated"), view_of(store, first.id).plan).wait(30)
    elsewhere.close()
    assert second.status == "failed" and "is running" in second.error
    assert first.wait(60).status == "done"


def test_the_page_starts_an_experiment_with_a_choice_and_finds_it_again_by_its_id(store):
    with CountingEndpoint(lambda prompt: Reply("[[42]]", delay_s=0.01)) as endpoint:
        choice = endpoint_choice(model="counted", base_url=endpoint.base_url)
        job = jobs.start_experiment(PLAN, choice, store=store)
        assert jobs.runner().get(job.id) is job
        with pytest.raises(InputError, match="is running"):
            jobs.start_experiment(replace(PLAN, resume_of=job.id), choice, store=store)
        view = job.wait(60)
    assert view.status == "done" and endpoint.requests == 16
    assert view_of(store, job.id).results.complete
