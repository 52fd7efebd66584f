"""The experiment runner: every unit once, caps never exceeded, stopped at once, resumed without paying twice."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.calls.budget_ledger import Limits
from tale_core.calls.concurrency import Throttle
from tale_core.calls.retry import RetryPolicy
from tale_core.errors import (
    AuthenticationFailedError,
    IncompleteAnswerError,
    InputError,
    RateLimitedError,
    ServerFailedError,
)
from tale_core.experiments import (
    CallFinished,
    ExperimentDone,
    ExperimentPlan,
    ExperimentStarted,
    Progress,
    RateLimited,
    UnitFinished,
    run_experiment,
    stored_plan,
)
from tale_core.experiments.results import results
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.store import ExperimentStore
from tale_core.types import Outcome, Price, Question, Sampling, Usage
from tests.support.counting_endpoint import CountingEndpoint
from tests.support.counting_endpoint import Reply as HttpReply

QUICK = RetryPolicy(base_s=0.005, total_s=20)


def questions(n):
    return tuple(Question(f"What is six times seven, asked as number {i}?", answer="42") for i in range(n))


def plan(n=4, *names, **options):
    return ExperimentPlan(questions=questions(n), strategies=names or ("vanilla", "fixed:30"), **options)


def says(text="six sevens are [[42]]"):
    return ScriptedClient(lambda request: text)


async def events_of(a_plan, client, store, retry=QUICK):
    return [e async for e in run_experiment(a_plan.checked(), client, store, retry=retry)]


async def run(a_plan, client, store, retry=QUICK):
    done = (await events_of(a_plan, client, store, retry))[-1]
    assert isinstance(done, ExperimentDone)
    return done


def calls_of(store, experiment_id):
    return store.get_session(experiment_id).calls


# --- the run


def test_with_an_adapter_each_side_has_its_turn_and_no_unit_is_lost_or_doubled():
    asked = tuple(Question(f"Q{i}?", answer="1") for i in range(11))
    made = ExperimentPlan(
        questions=asked, strategies=("vanilla", "tuned:a", "direct", "tuned-vote:b"), repeats=2, concurrency=2
    )
    units = list(made.units())
    assert len(units) == len(set(units)) == made.planned
    turns = [(u.position // 8, {"tuned:a": 1, "tuned-vote:b": 2}.get(u.strategy, 0)) for u in units]
    assert turns == sorted(turns) and len(set(turns)) == 6
    alone = replace(made, strategies=("vanilla", "direct"))
    assert [u.position for u in alone.units()] == [i for i in range(11) for _ in range(4)]


async def test_every_question_is_answered_once_by_every_strategy_as_often_as_it_is_repeated(store):
    a_plan = plan(5, "vanilla", "direct", "tale-zero-shot", repeats=2, concurrency=3)
    client = says("Budget: [[42]]")
    done = await run(a_plan, client, store)
    figures = ExperimentStore(store).figures(done.results.experiment_id)
    assert sorted((f.position, f.repeat_index, f.strategy) for f in figures) == sorted(tuple(u) for u in a_plan.units())
    assert len(client.requests) == 5 * 2 * (1 + 1 + 2) == done.results.spent.calls
    assert {f.calls for f in figures if f.strategy == "tale-zero-shot"} == {2}
    assert done.stop is None and done.results.complete
    assert store.get_session(done.results.experiment_id).status == "done"


@pytest.mark.parametrize(
    ("answers", "name", "counted"),
    [(["1", "42", "42"], "vote:3", 3), (["1", "2", "3"], "vote:3", 4), ([], "vanilla", 1)],
)
async def test_output_tokens_are_those_of_every_answer_and_of_no_estimate(store, answers, name, counted):
    left = iter(answers)
    client = ScriptedClient(
        lambda request: f"[[{next(left, '42')}]]" if "be concise" in request.messages[0].content else "Budget: [[42]]"
    )
    done = await run(plan(1, name, "tale-zero-shot", reuse=False), client, store)
    unit, estimated = sorted(
        ExperimentStore(store).figures(done.results.experiment_id), key=lambda u: u.strategy == "tale-zero-shot"
    )
    mine = [call for call in calls_of(store, done.results.experiment_id) if call.unit == f"0/0/{name}"]
    assert len(mine) == counted and unit.output_tokens == sum(call.completion_tokens for call in mine)
    assert 0 < estimated.output_tokens < estimated.completion_tokens
    row = next(row for row in done.results.rows if row.strategy == name)
    assert row.output_tokens.mean == unit.output_tokens and row.accuracy.mean == 1


async def test_repeats_sample_with_their_own_seed_and_are_separate_measurements(store):
    client = says()
    done = await run(plan(2, "vanilla", repeats=3, sampling=Sampling(temperature=1.0, seed=7)), client, store)
    assert Counter(r.sampling.seed for r in client.requests) == {7: 2, 8: 2, 9: 2}
    assert done.results.spent.reused == 0


async def test_events_tell_the_beginning_each_call_each_unit_and_the_end(store):
    events = await events_of(plan(3, "vanilla", "tale-zero-shot"), says("[[12]]"), store)
    kinds = Counter(type(e) for e in events)
    assert isinstance(events[0], ExperimentStarted) and isinstance(events[-1], ExperimentDone)
    assert kinds[CallFinished] == 9 and kinds[UnitFinished] == 6
    progress = [e for e in events if isinstance(e, Progress)]
    assert [p.finished for p in progress] == sorted(p.finished for p in progress)
    last = progress[-1]
    assert (last.finished, last.planned, last.eta_s) == (6, 6, 0.0) and last.spent == events[-1].results.spent


async def test_no_more_calls_run_at_the_same_time_than_the_plan_allows(store):
    client = SimulatedClient(SimulatedModel.rebounding(), delay_s=0.002, chunk=100)
    await run(plan(12, "vanilla", "fixed:50", concurrency=3), client, store)
    assert client.most_open == 3


async def test_the_same_call_wanted_by_two_strategies_is_paid_once_and_counted_for_both(store):
    client = SimulatedClient(SimulatedModel.rebounding(), chunk=100)
    done = await run(plan(3, "oracle", "vanilla", concurrency=8), client, store)
    prompts = Counter(r.messages[-1].content for r in client.requests)
    assert set(prompts.values()) == {1}
    by_name = {row.strategy: row for row in done.results.rows}
    assert by_name["oracle"].reused + by_name["vanilla"].reused == 3 == done.results.spent.reused
    vanilla = [c for c in calls_of(store, done.results.experiment_id) if c.role == "vanilla"]
    assert Counter(c.source for c in vanilla) == {"simulated": 3, "cached": 3}
    # All-in is what each strategy takes by itself; the run has paid for the vanilla answer once.
    assert by_name["vanilla"].all_in_tokens.mean == vanilla[0].prompt_tokens + vanilla[0].completion_tokens
    all_in = sum(row.all_in_tokens.mean * row.n for row in by_name.values())
    shared = 3 * by_name["vanilla"].all_in_tokens.mean
    assert done.results.spent.tokens == pytest.approx(all_in - shared)


async def test_a_second_experiment_pays_for_nothing_that_the_first_has_paid_for_unless_it_is_asked_to(store):
    first = await run(plan(3), says(), store)
    client, fresh = says(), says()
    again = await run(plan(3), client, store)
    assert client.requests == [] and again.results.spent.reused == 6 and again.results.spent.calls == 0
    assert [r.output_tokens for r in again.results.rows] == [r.output_tokens for r in first.results.rows]
    await run(plan(3, reuse=False), fresh, store)
    assert len(fresh.requests) == 6


async def test_a_truncated_an_unparsed_and_a_refused_answer_are_kept_apart_and_none_is_wrong(store):
    replies = {
        "number 0": Reply("[[42]]"), "number 1": Reply("[[41]]"), "number 2": Reply("I cannot say."),
        "number 3": Reply("six sev", finish_reason="length"), "number 4": Reply("No.", finish_reason="content_filter"),
    }  # fmt: skip
    client = ScriptedClient(lambda r: next(v for k, v in replies.items() if k in r.messages[-1].content))
    row = (await run(plan(5, "vanilla"), client, store)).results.rows[0]
    assert {o.value: n for o, n in row.outcomes.items() if n} == dict.fromkeys(
        ("correct", "wrong", "unparsed", "truncated", "error"), 1
    )
    assert (row.n, row.graded, row.accuracy.mean, row.accuracy_decided.mean) == (5, 5, 0.2, 0.5)


async def test_without_known_answers_nothing_is_graded_and_no_accuracy_is_claimed(store):
    open_questions = tuple(replace(q, answer=None) for q in questions(3))
    row = (await run(replace(plan(3), questions=open_questions), says(), store)).results.rows[0]
    assert (row.n, row.graded, row.accuracy, row.outcomes[Outcome.UNGRADED]) == (3, 0, None, 3)


# --- failures


async def test_a_failure_that_passes_is_tried_again_and_counted_as_an_attempt(store):
    failures = itertools.chain(
        [ServerFailedError("On fire."), IncompleteAnswerError("It broke off.")], itertools.cycle(["[[42]]"])
    )
    client = ScriptedClient(lambda r: next(failures))
    done = await run(plan(2, "vanilla", concurrency=1), client, store)
    calls = calls_of(store, done.results.experiment_id)
    assert done.results.complete and [c.attempts for c in calls] == [3, 1]
    assert len(client.requests) == 4


async def test_what_a_broken_answer_has_cost_is_booked_and_belongs_to_no_strategy(store):
    broken = Reply("six sevens are", error=IncompleteAnswerError("It broke off."), error_after=2)
    replies = itertools.chain([broken], itertools.cycle(["[[42]]"]))
    done = await run(plan(1, "vanilla"), ScriptedClient(lambda r: next(replies)), store)
    calls = calls_of(store, done.results.experiment_id)
    assert [(c.status, c.completion_tokens) for c in calls] == [("failed", 2), ("done", 5)]
    row = done.results.rows[0]
    assert done.results.spent.completion_tokens == 7 and row.output_tokens.mean == 5
    assert row.all_in_tokens.mean == calls[1].prompt_tokens + 5


@pytest.mark.parametrize("priced", [True, False])
async def test_what_failed_counts_the_same_while_it_runs_and_when_it_is_read_again(store, priced):
    def breaks(request):
        prompt = request.messages[-1].content
        return ServerFailedError("On fire.") if "number 2" in prompt else Reply("[[42]]", usage=Usage(20, 5))

    client = ScriptedClient(breaks, price=Price(1.0, 2.0, "2026-11") if priced else None)
    told = [e.spent for e in await events_of(plan(4), client, store) if isinstance(e, Progress)]
    (experiment,) = store.list_sessions()
    kept = results(store, experiment.id).spent
    assert told[-1] == kept and kept.calls == 6 and not kept.estimated
    assert (kept.cost_usd is not None) is priced


async def test_only_what_failed_is_tried_again_by_a_resume(store):
    def breaks(request):
        prompt = request.messages[-1].content
        return ServerFailedError("On fire.") if "number 2" in prompt and "less than" in prompt else "[[42]]"

    first = await run(plan(4), ScriptedClient(breaks), store)
    assert not first.results.complete and "1 of 8 answers failed" in first.stop
    assert (first.results.finished, first.results.failed) == (7, 1)
    assert first.results.rows[1].n == 3 and first.results.rows[1].failed == 1
    client = says()
    second = await run(stored_plan(store, first.results.experiment_id), client, store)
    assert len(client.requests) == 1 and "number 2" in client.requests[0].messages[-1].content
    assert second.results.complete and second.results.failed == 0
    assert second.results.experiment_id == first.results.experiment_id
    assert second.results.spent.calls == 8  # The failed one brought nothing, and counts for no limit.


async def test_a_unit_that_fails_half_way_does_not_ask_for_its_estimate_again(store):
    def breaks(request):
        return "[[30]]" if "estimate" in request.messages[-1].content else ServerFailedError("On fire.")

    first = await run(plan(1, "tale-zero-shot"), ScriptedClient(breaks), store, replace(QUICK, tries=1))
    client = says()
    second = await run(stored_plan(store, first.results.experiment_id), client, store)
    assert len(client.requests) == 1 and "less than 30 tokens" in client.requests[0].messages[-1].content
    assert second.results.rows[0].calls == 2 and second.results.rows[0].reused == 0


@pytest.mark.parametrize("error", [AuthenticationFailedError("The key was refused."), ServerFailedError("Down.")])
async def test_an_endpoint_that_can_only_fail_is_not_asked_for_every_question(store, error):
    client = ScriptedClient(lambda r: error)
    done = await run(plan(200, "vanilla", concurrency=4), client, store, replace(QUICK, tries=2))
    assert str(error) in done.stop and not done.results.complete
    assert len(client.requests) < 50
    session = store.get_session(done.results.experiment_id)
    assert session.status == "failed" and session.error == done.stop


# --- rate limits


def limited(allowed, *, retry_after_s=0.01, storm=0):
    client = ScriptedClient([])

    def reply(request):
        if len(client.requests) <= storm or client.open_streams >= allowed:
            return RateLimitedError("Too many requests.", retry_after_s=retry_after_s)
        return Reply("[[42]]", delay_s=0.002)

    client.script = reply
    return client


async def test_a_storm_of_429_ends_with_every_unit_done_and_fewer_calls_at_a_time(store):
    client = limited(2, storm=40)
    events = await events_of(plan(20, concurrency=16), client, store)
    done, waits = events[-1], [e for e in events if isinstance(e, RateLimited)]
    assert done.results.complete and done.results.failed == 0
    assert len(waits) >= 40 and min(e.concurrency for e in waits) <= 2
    assert [p for p in events if isinstance(p, Progress)][-1].concurrency < 16
    calls = calls_of(store, done.results.experiment_id)
    assert len(calls) == 40 and sum(c.attempts for c in calls) == len(client.requests)


async def test_a_storm_over_http_is_waited_out_as_the_endpoint_asks(store):
    from tale_core.models.client.openai_compatible import OpenAIClient
    from tale_core.models.client.retry import NO_RETRY
    from tale_core.models.endpoints import resolve

    def reply(prompt):
        if endpoint.open > 3 or endpoint.requests < 10:
            return HttpReply(status=429, headers=(("Retry-After", "0.05"),))
        return HttpReply(delay_s=0.005)

    with CountingEndpoint(reply) as endpoint:
        client = OpenAIClient(resolve("counted", base_url=endpoint.base_url), retry=NO_RETRY)
        done = await run(plan(15, concurrency=12), client, store)
        await client.aclose()
    assert done.results.complete and endpoint.requests > 30


async def test_nobody_is_let_in_before_the_time_that_the_endpoint_asked_for(store):
    times = []

    def reply(request):
        times.append(time.monotonic())
        return RateLimitedError("Wait.", retry_after_s=0.3) if len(times) == 1 else "[[42]]"

    await run(plan(6, "vanilla", concurrency=1), ScriptedClient(reply), store)
    assert times[1] - times[0] >= 0.3 and times[-1] - times[1] < 0.3


async def test_an_endpoint_that_asks_to_wait_longer_than_our_patience_ends_as_a_failure_in_words(store):
    client = ScriptedClient(lambda r: RateLimitedError("Come back tomorrow.", retry_after_s=90_000))
    done = await run(plan(1, "vanilla"), client, store)
    assert "1 of 1 answers failed" in done.stop
    assert "tomorrow" in ExperimentStore(store).figures(done.results.experiment_id)[0].error


async def test_the_throttle_halves_once_a_round_and_grows_by_one_a_round():
    throttle = Throttle(start=8, most=10)
    begun = [await throttle.enter() for _ in range(8)]
    for one in begun:
        throttle.overloaded(one)
        throttle.leave()
    assert (throttle.limit, throttle.lowest) == (4, 4)
    for _ in range(4):
        throttle.good()
    assert throttle.limit == 5
    for _ in range(100):
        throttle.good()
    assert throttle.limit == 10
    for _ in range(10):
        throttle.overloaded(await throttle.enter())
        throttle.leave()
    assert throttle.limit == 1


@given(st.lists(st.sampled_from(["good", "overload", "cancel"]), min_size=20, max_size=80), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
async def test_the_throttle_never_lets_in_more_than_its_limit_and_never_forgets_a_waiter(outcomes, start):
    throttle, busy, most = Throttle(start=start, most=6), 0, 0

    async def one(outcome):
        nonlocal busy, most
        begun = await throttle.enter()
        busy += 1
        most = max(most, busy)
        try:
            await asyncio.sleep(0)
        finally:
            busy -= 1
            throttle.leave()
        if outcome == "good":
            throttle.good()
        elif outcome == "overload":
            throttle.overloaded(begun)

    tasks = [asyncio.create_task(one(outcome)) for outcome in outcomes]
    await asyncio.sleep(0)
    for task, outcome in zip(tasks, outcomes, strict=True):
        if outcome == "cancel":
            task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert busy == 0 and most <= 6 and 1 <= throttle.limit <= 6


# --- caps


@pytest.mark.parametrize("seed", range(6))
async def test_caps_on_calls_tokens_and_money_are_never_exceeded_also_over_resumes(store, seed):
    price = Price(1.0, 2.0, "2026-11-24")
    limits = [
        Limits(max_calls=7 + seed), Limits(max_tokens=900 + 217 * seed), Limits(max_cost_usd=0.0011 + 0.0003 * seed),
    ][seed % 3]  # fmt: skip
    client = SimulatedClient(SimulatedModel.rebounding(), price=price, chunk=20)
    a_plan = plan(10, "vanilla", "tale-zero-shot", concurrency=5, limits=limits, sampling=Sampling(max_tokens=400))
    done = await run(a_plan, client, store)
    assert "cap on" in done.stop and not done.results.complete
    for _ in range(2):
        _within(done.results.spent, limits)
        done = await run(stored_plan(store, done.results.experiment_id), client, store)
    _within(done.results.spent, limits)
    if limits.max_calls:
        assert len(client.requests) == limits.max_calls
    whole = await run(replace(stored_plan(store, done.results.experiment_id), limits=Limits()), client, store)
    assert whole.results.complete
    assert all(row.outcomes[Outcome.UNGRADED] == 0 for row in whole.results.rows)


def _within(spent, limits):
    assert limits.max_calls is None or spent.calls <= limits.max_calls
    assert limits.max_tokens is None or spent.tokens <= limits.max_tokens
    assert limits.max_cost_usd is None or spent.cost_usd <= limits.max_cost_usd


async def test_an_estimate_is_capped_by_its_own_sampling_and_that_is_no_limit_of_the_run(store):
    client = ScriptedClient(lambda r: "word " * 2000 if "estimate" in r.messages[-1].content else "[[42]]")
    done = await run(plan(1, "tale-zero-shot", limits=Limits(max_tokens=10_000)), client, store)
    assert done.results.complete and done.results.rows[0].defaults == 1
    assert "still writing" in ExperimentStore(store).figures(done.results.experiment_id)[0].problem


async def test_a_limit_on_money_needs_a_price(store):
    with pytest.raises(InputError, match="price of 'scripted' is unknown"):
        await run(plan(limits=Limits(max_cost_usd=1.0)), says(), store)
    assert store.count_sessions() == 0


# --- rubbish


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"questions": ()}, "no questions"),
        ({"questions": (Question("  "),)}, "is empty"),
        ({"strategies": ()}, "Strategies"),
        ({"strategies": ("vanilla", "vanilla")}, "named twice"),
        ({"strategies": ("magic",)}, "Choose from"),
        ({"strategies": ("fixed:007",)}, "fixed:7"),
        ({"strategies": ("tale-regression",)}, "trained"),
        ({"strategies": ("oracle",), "questions": (Question("What?"),)}, "needs the known answer"),
        ({"repeats": 0}, "from 1 to 100"),
        ({"concurrency": 0}, "from 1 to 256"),
        ({"concurrency": 10_000}, "from 1 to 256"),
        ({"start": 9}, "Give 1 to the most"),
        ({"template": "rude"}, "no prompt template"),
        ({"sampling": Sampling(max_tokens=0)}, "max_tokens"),
    ],
)
async def test_a_wrong_plan_says_what_is_allowed_and_stores_nothing(store, changes, words):
    with pytest.raises(InputError, match=words):
        await run(replace(plan(2), **changes), says(), store)
    assert store.count_sessions() == 0


async def test_hostile_questions_and_answers_go_through(store):
    hostile = "\x00\ud800 <script>alert(1)</script> =cmd|' /C calc'!A0 {budget} {question} \u202e" + "9" * 3000
    asked = (Question(hostile, answer=hostile), Question("{0}{x!r}%s", answer="{}"))
    client = ScriptedClient(lambda r: hostile)
    done = await run(replace(plan(2), questions=asked), client, store)
    assert done.results.complete
    assert "\x00" not in stored_plan(store, done.results.experiment_id).questions[0].text
