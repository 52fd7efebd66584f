"""A whole search over the client protocol: grading, repeats, cutting, limits, bookkeeping, and stopping anywhere."""

from __future__ import annotations

import json
import random
from contextlib import aclosing, suppress
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.calls import caller as caller_module
from tale_core.calls.budget_ledger import Ledger, Limits
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallFinished, CallStarted
from tale_core.calls.record import Step, answer_step
from tale_core.errors import (
    InputError,
    LimitReachedError,
    ModelError,
    RequestRejectedError,
    ServerFailedError,
    WorkerLostError,
)
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.search.engine import SearchDone, SearchPlan, SearchResult, SearchStep, search
from tale_core.types import Outcome, Question, Sampling

QUESTION = Question("What is six times seven?", answer="42")
PLAN = SearchPlan(QUESTION)


def simulated(model: SimulatedModel, **options: object) -> SimulatedClient:
    return SimulatedClient(model, answer="42", **options)


async def run(plan, client, **options):
    events = [e async for e in search(plan, client, **options)]
    assert isinstance(events[-1], SearchDone)
    return events, events[-1].result


def steps(events):
    return [e for e in events if isinstance(e, SearchStep)]


def finished(events):
    return [e.call for e in events if isinstance(e, CallFinished)]


@pytest.mark.parametrize("mode", ["tale", "paper", "reference"])
async def test_a_search_finds_a_budget_that_keeps_the_answer_right_and_books_every_token(mode):
    model = SimulatedModel.monotone(vanilla=258, right_from=40)
    events, result = await run(replace(PLAN, mode=mode), simulated(model))
    assert result.optimal_budget is not None and model.right(result.optimal_budget)
    assert result.optimal_tokens == model.cost(result.optimal_budget) < result.vanilla_tokens == 258
    calls = finished(events)
    assert result.spent.calls == len(calls)
    assert result.spent.prompt_tokens == sum(c.prompt_tokens for c in calls)
    assert result.spent.completion_tokens == sum(c.completion_tokens for c in calls)
    assert [s.index for s in steps(events)] == list(range(len(calls)))
    assert {c.source for c in calls} == {"simulated"}


async def test_an_answer_that_was_lost_with_its_worker_changes_what_was_spent_and_nothing_else():
    def client(lose):
        model, answered = SimulatedModel.monotone(vanilla=258, right_from=40), 0

        class Losing(SimulatedClient):
            async def stream(self, request):
                nonlocal answered
                answered += 1
                async for item in super().stream(request):
                    yield item
                    if answered in lose:
                        raise WorkerLostError("gone")

        return Losing(model, answer="42")

    whole, expected = await run(PLAN, client(lose=()))
    events, found = await run(PLAN, client(lose=(1, 3, 4)))
    assert steps(events) == steps(whole)
    assert replace(found, spent=expected.spent) == expected
    assert found.spent.calls == expected.spent.calls + 3


async def test_a_cut_answer_is_unknown_not_wrong_and_its_tokens_are_counted():
    model = SimulatedModel.rebounding(vanilla=258, right_from=20, turning=32)
    events, result = await run(PLAN, simulated(model))
    (cut, *_) = [s for s in steps(events) if s.cut]
    assert cut.outcome == Outcome.UNGRADED and cut.elastic
    record = next(c for c in finished(events) if c.cut)
    assert record.requested_budget == cut.budget
    assert record.completion_tokens == record.sampling.max_tokens < model.cost(cut.budget)
    assert result.elastic is not None and result.elastic[0] <= cut.budget <= result.elastic[1]
    assert result.spent.completion_tokens == sum(c.completion_tokens for c in finished(events))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["It is [[41]]."], "vanilla-wrong"),
        ([Reply("It is [[42]] " + "and so on " * 50)], "vanilla-truncated"),
        (["I would rather not say."], "vanilla-unparsed"),
        ([Reply("It is [[42]].", finish_reason="content_filter")], "vanilla-refused"),
    ],
)
async def test_a_vanilla_answer_that_is_not_right_ends_the_search_with_its_reason_and_no_further_spend(answers, reason):
    client = ScriptedClient(answers)
    events, result = await run(replace(PLAN, sampling=Sampling(max_tokens=60)), client)
    assert (result.stop_reason, result.optimal_budget, result.optimal_tokens) == (reason, None, None)
    assert len(client.requests) == result.spent.calls == 1
    assert [s.budget for s in steps(events)] == [None]


async def test_when_no_budget_works_the_vanilla_answer_stays_the_best():
    model = replace(SimulatedModel.monotone(vanilla=100, right_from=1), right=lambda budget: False)
    _, result = await run(PLAN, simulated(model))
    assert (result.optimal_budget, result.optimal_tokens) == (None, 100)


async def test_all_means_all_and_majority_means_more_than_half():
    """Every second answer under a budget is wrong: 2 of 3 are right, which is a majority and not all."""
    model = SimulatedModel.monotone(vanilla=100, right_from=1)

    class Flaky(SimulatedClient):
        def stream(self, request):
            wrong = "less than" in request.messages[0].content and request.sampling.seed == 1025
            return super().stream(request) if not wrong else ScriptedClient(["[[1]]"]).stream(request)

    plan = replace(PLAN, samples=3, limits=Limits(max_calls=200))
    _, strict = await run(replace(plan, rule="all"), Flaky(model, answer="42"))
    events, majority = await run(replace(plan, rule="majority"), Flaky(model, answer="42"))
    assert strict.optimal_budget is None and majority.optimal_budget is not None
    best = next(s for s in steps(events) if s.budget == majority.optimal_budget)
    assert (best.samples, best.right) == (3, 2)


async def test_repeats_that_can_no_longer_change_the_verdict_are_not_asked_for():
    model = replace(SimulatedModel.monotone(vanilla=100, right_from=1), right=lambda budget: False)
    events, _ = await run(replace(PLAN, samples=5, rule="all", limits=Limits(max_calls=200)), simulated(model))
    assert all(s.samples == 1 for s in steps(events) if s.budget is not None)
    assert steps(events)[0].samples == 5


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(max_calls=3), "limit-calls"), (Limits(max_tokens=500), "limit-tokens")],
)
async def test_a_limit_ends_the_search_with_the_best_so_far(limits, reason):
    model = SimulatedModel.monotone(vanilla=258, right_from=3)
    events, result = await run(replace(PLAN, mode="paper", limits=limits), simulated(model))
    assert result.stop_reason == reason
    assert result.spent.calls <= (limits.max_calls or 99) and result.spent.tokens <= (limits.max_tokens or 10**9)
    tried = {s.budget: s for s in steps(events)}
    assert result.optimal_budget in tried and tried[result.optimal_budget].outcome == Outcome.CORRECT


async def test_a_limit_on_money_needs_a_price():
    with pytest.raises(InputError, match="price"):
        await run(replace(PLAN, limits=Limits(max_cost_usd=1.0)), ScriptedClient(["[[42]]"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"question": Question("Why?")}, "known answer"),
        ({"question": Question(" ", answer="4")}, "empty"),
        ({"mode": "magic"}, "paper"),
        ({"rule": "some"}, "majority"),
        ({"samples": 0}, "1 to"),
        ({"start": 0}, "from 1"),
        ({"start": 10**30}, "from 1 to 1,000,000"),
        ({"worth": 0}, "above 0"),
        ({"template": "poem"}, "template"),
        ({"sampling": Sampling(max_tokens=0)}, "max_tokens is 0"),
        ({"sampling": Sampling(max_tokens=10**30)}, "max_tokens is 1000"),
        ({"sampling": Sampling(seed=2**70)}, "seed is 1180591620717411303424"),
    ],
)
def test_a_wrong_plan_is_refused_in_words(changes, words):
    with pytest.raises(InputError, match=words):
        replace(PLAN, **changes).checked()


async def test_a_failing_call_ends_the_search_after_its_tokens_were_booked():
    client = ScriptedClient(["one two [[42]]", Reply("one two", error=ServerFailedError("Broken."), error_after=2)])
    events = []
    with pytest.raises(ModelError):
        async for event in search(PLAN, client):
            events.append(event)
    assert [c.status for c in finished(events)] == ["done", "failed"]
    assert events[-1].spent.completion_tokens == sum(c.completion_tokens for c in finished(events)) > 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), stop_at=st.integers(0, 60))
async def test_closing_the_search_at_any_event_leaves_no_stream_open(seed, stop_at):
    client = simulated(SimulatedModel.stated(random.Random(seed)), chunk=16)
    async with aclosing(search(PLAN, client)) as events:
        async for number, _ in _enumerated(events):
            if number == stop_at:
                break
    assert client.open_streams == 0


async def _enumerated(events):
    number = 0
    async for event in events:
        yield number, event
        number += 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), mode=st.sampled_from(["tale", "paper", "reference"]))
async def test_on_noisy_models_the_result_is_still_a_budget_that_was_tried_and_right(seed, mode):
    model = SimulatedModel.stated(random.Random(seed)).noisy(spread=0.2, slip=0.2)
    events, result = await run(replace(PLAN, mode=mode), simulated(model))
    tried = {s.budget: s for s in steps(events)}
    if result.optimal_budget is not None:
        best = tried[result.optimal_budget]
        assert best.outcome == Outcome.CORRECT and best.tokens == result.optimal_tokens <= result.vanilla_tokens


async def test_plan_steps_and_result_survive_their_documents():
    plan = replace(PLAN, question=replace(QUESTION, options=("a", "b")), start=40, earlier=(0.2, 0.4))
    assert SearchPlan.from_document(json.loads(json.dumps(plan.document()))) == plan
    events, result = await run(PLAN, simulated(SimulatedModel.rebounding()))
    assert SearchResult.from_document(json.loads(json.dumps(result.document()))) == result
    for step in steps(events):
        assert SearchStep.from_document(json.loads(json.dumps(step.document()))) == step


async def test_every_answer_is_announced_before_it_ends():
    events, _ = await run(PLAN, simulated(SimulatedModel.monotone()))
    announced = [e.key for e in events if isinstance(e, CallStarted)]
    assert announced == [e.key for e in events if isinstance(e, CallFinished)]


@pytest.mark.parametrize(("knob", "levels"), [("asked", ()), ("effort", ("low", "high"))])
async def test_a_vanilla_request_that_is_refused_says_why_whatever_the_kind_of_budget(knob, levels):
    client = ScriptedClient(lambda request: RequestRejectedError("The prompt is too long.", "Shorten it."))
    with pytest.raises(RequestRejectedError, match="too long"):
        await run(replace(PLAN, knob=knob, levels=levels), client)


def enforceable(words: int, right_from: int) -> ScriptedClient:
    """Writes words, then its answer; one that is forced out is right once enough of them were written."""

    def script(request):
        begun = request.messages[-1].content if request.continued else ""
        if "Final answer" in begun:
            return "42" if begun.count(" so") >= right_from else "13"
        return " so" * (words - begun.count(" so")) + " [[42]]"

    return ScriptedClient(script, continues=True)


@pytest.mark.parametrize("mode", ["tale", "paper"])
async def test_what_a_search_could_still_save_is_no_cap_on_a_budget_that_stops_by_itself(mode):
    client = enforceable(90, right_from=30)
    events, result = await run(replace(PLAN, knob="enforced", mode=mode), client)
    assert 30 <= result.optimal_budget <= 34
    for step in steps(events)[1:]:
        assert step.outcome is (Outcome.CORRECT if step.budget > 30 else Outcome.WRONG)
        assert step.tokens == step.budget + 1 and not step.cut


async def test_a_provider_that_wants_its_thinking_below_max_tokens_gets_it_there():
    def script(request):
        level, cap = request.sampling.level, request.sampling.max_tokens
        if level is not None and cap is not None and cap <= level:
            return RequestRejectedError("max_tokens must be greater than thinking.budget_tokens", "")
        thought = 900 if level is None else min(900, int(level * 0.4))
        return Reply("[[42]]" if thought > 70 else "[[13]]", reasoning="so " * thought)

    plan = replace(PLAN, knob="thinking", sampling=Sampling(max_tokens=1600))
    _, result = await run(plan, ScriptedClient(script))
    assert result.optimal_budget is not None and result.optimal_budget < 900


def vanilla(sampling: Sampling) -> Step:
    return answer_step("vanilla", QUESTION, template="paper", sampling=sampling)


@pytest.mark.parametrize("cap", [None, 400, 2048])
@pytest.mark.parametrize("limit", [100, 400, 1782, 9000])
async def test_limits_hold_whatever_stops_an_answer_and_whether_or_not_it_has_a_cap(cap, limit):
    client = enforceable(300, right_from=10**6)
    for knob in ("enforced:60", "enforced:250", "early-exit:32"):
        sampling = Sampling(max_tokens=cap, knob=knob)
        caller = Caller(client, Ledger(Limits(max_tokens=limit), client.price, cap), session_id="s")
        with suppress(LimitReachedError):
            async for _ in caller.stream("a", vanilla(sampling), QUESTION):
                pass
        assert caller.spent.tokens <= limit


@pytest.mark.parametrize("level", [100, 200, 220])
async def test_an_enforced_level_up_to_the_plans_cap_is_given_whole_and_its_forced_answer_comes_on_top(level):
    client = enforceable(300, right_from=1)
    call = await asked(client, Sampling(max_tokens=220, knob=f"enforced:{level}"))
    assert call.outcome is Outcome.CORRECT and call.completion_tokens == level + 1
    assert client.requests[0].sampling.max_tokens == level


async def test_a_level_above_the_plans_cap_is_never_reached_and_the_cap_ends_the_answer_as_any_other():
    client = enforceable(300, right_from=1)
    call = await asked(client, Sampling(max_tokens=220, knob="enforced:221"))
    assert (call.outcome, call.finish_reason, call.completion_tokens) == (Outcome.TRUNCATED, "length", 220)
    assert not call.cut and len(client.requests) == 1
    thinking = await asked(client, Sampling(max_tokens=220, knob="thinking:1024"))
    assert (thinking.outcome, thinking.cut) == (Outcome.TRUNCATED, False), "the plan's cap is no limit of the run"


@pytest.mark.parametrize("mode", ["tale", "paper", "reference"])
async def test_a_vanilla_answer_nearly_as_long_as_the_cap_is_searched_like_any(mode):
    plan = replace(PLAN, knob="enforced", mode=mode, sampling=Sampling(max_tokens=600))
    _, result = await run(plan, enforceable(593, right_from=560))
    assert result.optimal_budget is None or 560 <= result.optimal_budget < 595


async def asked(client, sampling):
    caller = Caller(client, Ledger(Limits(), client.price, sampling.max_tokens), session_id="s")
    async for event in caller.stream("a", vanilla(sampling), QUESTION):
        last = event
    return last.call


async def test_an_early_exit_of_a_model_that_never_stops_ends_without_a_cap_too(monkeypatch):
    monkeypatch.setattr(caller_module, "MOST_ENDLESS", 600)
    place = count()
    client = ScriptedClient(
        lambda r: str(next(place)) if r.continued and "Final" in r.messages[-1].content else " so" * 500, continues=True
    )
    caller = Caller(client, Ledger(Limits(), client.price, None), session_id="s")
    async for event in caller.stream("a", vanilla(Sampling(max_tokens=None, knob="early-exit:32")), QUESTION):
        last = event
    assert last.call.status == "done" and 500 < last.call.completion_tokens <= 600
