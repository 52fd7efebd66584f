import itertools
from contextlib import aclosing
from dataclasses import replace

import pytest

from tale_core.ask.plan import AskPlan, EstimateReady, ask
from tale_core.calls.events import CallDelta, CallFinished, CallStarted
from tale_core.errors import InputError, ModelTimeoutError, ServerFailedError
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.types import Outcome, Question, Request, Sampling

PENS = Question(text="A box holds 6 rows of 8 pens. How many pens?", answer="48")


def is_estimate(request: Request) -> bool:
    return request.messages[0].content.startswith("Task: Analyze")


def model(*, estimate="Budget: [[20]]", vanilla="six times eight is [[48]]", budgeted="[[48]]", **options):
    """A scripted model that tells the three prompts apart."""

    def script(request: Request):
        if is_estimate(request):
            return estimate
        return budgeted if "use less than" in request.messages[0].content else vanilla

    return ScriptedClient(script, **options)


async def collect(plan, client):
    async with aclosing(ask(plan.checked(), client)) as events:
        return [event async for event in events]


def finished(events):
    return {e.call.role: e.call for e in events if isinstance(e, CallFinished)}


async def test_a_question_is_estimated_then_answered_twice_and_graded():
    client = model()
    events = await collect(AskPlan(PENS), client)
    calls = finished(events)
    assert [e.estimate.budget for e in events if isinstance(e, EstimateReady)] == [20]
    assert calls["vanilla"].outcome == calls["budgeted"].outcome == Outcome.CORRECT
    assert calls["budgeted"].requested_budget == 20 and calls["vanilla"].requested_budget is None
    assert calls["estimate"].completion_tokens > 0 and len(client.requests) == 3


async def test_both_answers_share_sampling_and_differ_in_the_budget_sentence_alone():
    client = model()
    await collect(AskPlan(PENS, sampling=Sampling(temperature=0.3, max_tokens=99)), client)
    vanilla, budgeted = (request for request in client.requests if not is_estimate(request))
    if "use less than" in vanilla.messages[0].content:
        vanilla, budgeted = budgeted, vanilla
    assert vanilla.sampling == budgeted.sampling == Sampling(temperature=0.3, max_tokens=99)
    assert budgeted.messages[0].content.replace(" and use less than 20 tokens", "") == vanilla.messages[0].content


async def test_a_fixed_budget_asks_nobody():
    client = model()
    calls = finished(await collect(AskPlan(PENS, estimator="fixed:33"), client))
    assert "estimate" not in calls and calls["budgeted"].requested_budget == 33 and len(client.requests) == 2


async def test_an_unusable_estimate_is_reported_and_replaced_by_the_stated_default():
    events = await collect(AskPlan(PENS), model(estimate="Budget: [[0]]"))
    (ready,) = [e for e in events if isinstance(e, EstimateReady)]
    assert ready.estimate.budget == 100 and "not positive; using 100 tokens instead" in ready.estimate.problem


async def test_together_the_two_answers_interleave_and_apart_they_do_not():
    long = "word " * 30
    for together in (True, False):
        client = model(vanilla=long, budgeted=long, delay_s=0.001)
        events = await collect(AskPlan(PENS, together=together), client)
        roles = [e.key for e in events if isinstance(e, CallDelta) and e.key != "estimate"]
        switches = sum(a != b for a, b in itertools.pairwise(roles))
        assert (switches > 1) is together, roles


async def test_one_failing_answer_leaves_the_other_alone():
    calls = finished(await collect(AskPlan(PENS), model(vanilla=ServerFailedError("down"))))
    assert calls["vanilla"].status == "failed" and calls["vanilla"].outcome == Outcome.ERROR
    assert calls["vanilla"].error == "down"
    assert calls["budgeted"].status == "done" and calls["budgeted"].outcome == Outcome.CORRECT


async def test_tokens_that_arrived_before_a_failure_are_booked():
    broken = Reply(text="one two three four", error=ModelTimeoutError("too slow"), error_after=3)
    call = finished(await collect(AskPlan(PENS), model(vanilla=broken)))["vanilla"]
    assert call.status == "failed" and call.completion_tokens == 3 and call.text == "one two three"


@pytest.mark.parametrize("together", [True, False])
async def test_a_failing_estimator_ends_the_ask_and_leaves_a_vanilla_answer_that_has_begun_alone(together):
    seen = []
    with pytest.raises(ServerFailedError):
        async with aclosing(ask(AskPlan(PENS, together=together), model(estimate=ServerFailedError("down")))) as events:
            async for event in events:
                seen.append(event)
    ended = {role: call.status for role, call in finished(seen).items()}
    assert isinstance(seen[0], CallStarted)
    assert ended == {"estimate": "failed"} | ({"vanilla": "done"} if together else {})


async def test_together_vanilla_does_not_wait_for_the_estimate_and_apart_it_does():
    for together in (True, False):
        events = await collect(
            AskPlan(PENS, together=together), model(vanilla="word " * 5, estimate="Budget: [[9]] " * 40)
        )
        roles = [e.key for e in events if isinstance(e, CallDelta)]
        assert (roles.index("vanilla") < len(roles) - 1 - roles[::-1].index("estimate")) is together, roles
        assert roles.index("budgeted") > roles.index("estimate")


async def test_a_cut_answer_is_truncated_and_not_wrong():
    calls = finished(await collect(AskPlan(PENS, sampling=Sampling(max_tokens=3)), model(vanilla="a b c d e [[7]]")))
    assert calls["vanilla"].finish_reason == "length" and calls["vanilla"].outcome == Outcome.TRUNCATED


async def test_a_reused_vanilla_answer_is_cached_keeps_its_latency_and_costs_no_call():
    first = finished(await collect(AskPlan(PENS), model()))["vanilla"]
    first = replace(first, latency_s=12.5)
    client = model()
    calls = finished(await collect(AskPlan(PENS, estimator="fixed:5", reuse_vanilla=first), client))
    assert calls["vanilla"].source == "cached" and calls["vanilla"].latency_s == 12.5
    assert calls["vanilla"].outcome == Outcome.CORRECT and len(client.requests) == 1


async def test_a_reused_answer_is_graded_against_the_answer_known_now():
    first = finished(await collect(AskPlan(replace(PENS, answer=None)), model()))["vanilla"]
    assert first.outcome == Outcome.UNGRADED
    again = finished(await collect(AskPlan(PENS, estimator="fixed:5", reuse_vanilla=first), model()))["vanilla"]
    assert again.outcome == Outcome.CORRECT


async def test_closing_the_iterator_closes_every_stream_in_flight():
    client = model(vanilla="word " * 10_000, budgeted="word " * 10_000)
    async with aclosing(ask(AskPlan(PENS, estimator="fixed:9").checked(), client)) as events:
        async for event in events:
            if isinstance(event, CallDelta) and client.open_streams == 2:
                break
    assert client.open_streams == 0 and client.closed_early == 2


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (AskPlan(Question(text="  ")), "empty"),
        (AskPlan(Question(text="x" * 20_001)), "20,001 characters"),
        (AskPlan(PENS, sampling=Sampling(max_tokens=0)), "max_tokens"),
        (AskPlan(PENS, sampling=Sampling(temperature=3)), "temperature"),
        (AskPlan(PENS, template="nope"), "template"),
        (AskPlan(PENS, estimator="fixed:0"), "fixed"),
    ],
)
async def test_a_wrong_plan_spends_nothing(plan, words):
    client = model()
    with pytest.raises(InputError, match=words):
        await collect(plan, client)
    assert client.requests == []
