"""Endpoints go away in the middle of a run: nothing is lost, nothing is doubled, and what broke off is paid for."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tale_core.calls.retry import RetryPolicy
from tale_core.experiments import ExperimentPlan
from tale_core.models.choice import ModelChoice, endpoint_choice, group_choice, open_client
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.groups import state as group_state
from tale_core.settings import get_settings
from tale_core.store import open_store
from tests.faults import runs
from tests.support.counting_endpoint import CountingEndpoint, Reply

DOWN_S = float(os.environ.get("TALE_TEST_DOWN_S", "1"))
"""How long an endpoint is away; 30 seconds change nothing but the waiting."""
QUICK = RetryPolicy(base_s=0.05, outage_s=30.0 + DOWN_S)


def good(_: str) -> Reply:
    return Reply("6 times 7 is [[42]]", delay_s=0.005)


@pytest.fixture
def three() -> Iterator[list[CountingEndpoint]]:
    with ExitStack() as stack:
        yield [stack.enter_context(CountingEndpoint(good)) for _ in range(3)]


def lab(endpoints: list[CountingEndpoint]) -> ModelChoice:
    path: Path = get_settings().data_dir / "endpoint-groups.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f'[[lab.endpoints]]\nbase_url = "{e.base_url}"\n' for e in endpoints))
    return group_choice("lab")


async def run(plan: ExperimentPlan, choice: ModelChoice, at: int, disturb: Callable[[], None]) -> str:
    """Run it and call `disturb` when so many answers are there; the experiment's id."""
    client = await open_client(choice, retry=NO_RETRY)
    return (await runs.disturbed(plan, client, open_store(), at=at, disturb=disturb, retry=QUICK)).experiment_id


async def test_an_endpoint_that_is_down_for_a_while_costs_time_and_nothing_else() -> None:
    plan = runs.plan()
    with CountingEndpoint(good) as endpoint:
        loop = asyncio.get_running_loop()

        def down() -> None:
            endpoint.down()
            loop.call_soon_threadsafe(loop.call_later, DOWN_S, lambda: loop.run_in_executor(None, endpoint.up))

        began = time.monotonic()
        choice = endpoint_choice(model="counted", base_url=endpoint.base_url)
        experiment_id = await run(plan, choice, plan.planned // 3, down)
        assert time.monotonic() - began > DOWN_S
        runs.check_whole(open_store(), experiment_id, plan)
        # What was in flight when it went away was asked again, and nothing else.
        assert plan.planned <= endpoint.requests <= plan.planned + 2 * plan.concurrency


async def test_one_of_three_endpoints_dies_in_the_middle_of_a_run(three: list[CountingEndpoint]) -> None:
    plan = runs.plan(60)
    experiment_id = await run(plan, lab(three), plan.planned // 4, three[1].down)
    store = open_store()
    runs.check_whole(store, experiment_id, plan)
    by = [sum(c.endpoint.endswith(e.base_url) for c in store.get_session(experiment_id).calls) for e in three]
    assert min(by[0], by[2]) > by[1] > 0
    three[1].up()


async def test_answers_that_break_off_are_paid_for_and_asked_for_elsewhere(
    three: list[CountingEndpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_state, "FIRST_S", 0.01)
    plan = runs.plan(20)
    broken = 0

    def breaks(_: str) -> Reply:
        nonlocal broken
        broken += 1
        return Reply("6 times 7 is", breaks=True)

    three[0]._reply = breaks
    experiment_id = await run(plan, lab(three), plan.planned, lambda: None)
    store = open_store()
    runs.check_whole(store, experiment_id, plan)
    calls = store.get_session(experiment_id).calls
    failed = [c for c in calls if c.status == "failed"]
    assert len(failed) == broken > 0
    assert all(c.completion_tokens and c.endpoint.endswith(three[0].base_url) for c in failed)
    assert len([c for c in calls if c.status == "done"]) == plan.planned
