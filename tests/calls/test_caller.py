"""The prober never pays twice, never breaks a limit, and books every token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.calls.budget_ledger import Ledger, Limits, Spent
from tale_core.calls.cache import RecentAnswers
from tale_core.calls.events import CallAnswered, CallDelta, CallEvent, CallFinished, CallStarted
from tale_core.calls.probing import Probe, ProbeKey, Prober
from tale_core.calls.retry import LOST_WORKERS
from tale_core.errors import InputError, LimitReachedError, ModelTimeoutError, ServerDiedError, WorkerLostError
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.types import CallRecord, Client, Completion, Delta, Outcome, Price, Question, Request, Sampling, Usage

QUESTION = Question("How many legs have 3 cats?", answer="42", kind="number")
VANILLA = Probe(ProbeKey("vanilla"), "vanilla")
PRICE = Price(1.0, 3.0, "2026-01-01")


def at(budget: int, repeat: int = 0, cap: int | None = None) -> Probe:
    return Probe(ProbeKey("probe", budget, repeat), "sweep", cap)


def prober(client: Client, *, sampling: Sampling | None = None, **options: object) -> Prober:
    return Prober(QUESTION, client, sampling=sampling or Sampling(), **options)  # type: ignore[arg-type]


async def ask(prober: Prober, *probes: Probe) -> list[CallEvent]:
    return [e async for e in prober.answers(*probes)]


async def ended(prober: Prober, *probes: Probe) -> list[CallRecord]:
    return [e.call for e in await ask(prober, *probes) if isinstance(e, CallFinished)]


async def test_an_answer_tells_its_start_its_text_and_its_end_in_order() -> None:
    events = await ask(prober(SimulatedClient(SimulatedModel.monotone())), at(20))
    first, *deltas, answered, last = events
    assert isinstance(answered, CallAnswered)
    assert isinstance(first, CallStarted) and first.call.status == "running" and first.call.requested_budget == 20
    assert isinstance(last, CallFinished) and last.call.status == "done"
    assert "".join(d.text for d in deltas if isinstance(d, CallDelta)) == last.call.text
    assert (last.call.role, last.call.phase, last.call.completion_tokens) == ("probe", "sweep", 18)
    assert last.call.source == "simulated"
    assert {e.key for e in events} == {at(20).key}


async def test_every_role_is_asked_with_its_own_prompt_and_graded() -> None:
    client = SimulatedClient(SimulatedModel.monotone(right_from=40))
    calls = await ended(prober(client), VANILLA, Probe(ProbeKey("direct"), "sweep"), at(20))
    assert [(c.role, c.completion_tokens, c.outcome) for c in calls] == [
        ("vanilla", 258, Outcome.CORRECT),
        ("direct", 5, Outcome.WRONG),
        ("probe", 18, Outcome.WRONG),
    ]
    assert [c.prompt_template for c in calls] == ["paper", "direct", "paper"]


async def test_the_same_answer_is_never_paid_twice() -> None:
    client = SimulatedClient(SimulatedModel.monotone())
    asking = prober(client)
    first = await ended(asking, at(50), at(50), VANILLA, at(50))
    again = await ended(asking, at(50), VANILLA)
    assert len(first) == 2 and len(client.requests) == 2
    assert [c.source for c in again] == ["cached", "cached"]
    assert [c.completion_tokens for c in again] == [c.completion_tokens for c in first]
    assert (asking.spent.calls, asking.spent.reused) == (2, 2)


async def test_what_earlier_sessions_know_costs_nothing_and_is_marked_and_graded_anew() -> None:
    client = SimulatedClient(SimulatedModel.monotone())
    (known,) = await ended(prober(client), at(50))
    known = replace(known, id=7, session_id="old", role="budgeted", outcome=Outcome.WRONG)
    asking = prober(client, cache=RecentAnswers(known), session_id="new")
    started, finished = await ask(asking, at(50))
    assert isinstance(started, CallStarted) and isinstance(finished, CallFinished)
    call = finished.call
    assert (call.source, call.session_id, call.role, call.id, call.status) == ("cached", "new", "probe", 0, "done")
    assert call.outcome is Outcome.CORRECT and call.latency_s == known.latency_s
    assert len(client.requests) == 1
    assert asking.spent == Spent(cost_usd=None, reused=1)


async def test_another_repeat_budget_temperature_or_model_is_another_answer() -> None:
    client = SimulatedClient(SimulatedModel.monotone())
    memory = RecentAnswers(*await ended(prober(client), at(50)))
    await ended(prober(client, cache=memory), at(50, repeat=1), at(51))
    await ended(prober(client, cache=memory, sampling=Sampling(temperature=0.5)), at(50))
    other = SimulatedClient(SimulatedModel.monotone(), model="another")
    await ended(prober(other, cache=memory), at(50))
    assert (len(client.requests), len(other.requests)) == (4, 1)


async def test_repeats_sample_with_the_seed_plus_their_index() -> None:
    client = SimulatedClient(SimulatedModel.monotone())
    await ended(prober(client, sampling=Sampling(seed=10)), *(at(50, repeat=i) for i in range(3)))
    assert [r.sampling.seed for r in client.requests] == [10, 11, 12]
    await ended(prober(client, sampling=Sampling(seed=None)), at(50, repeat=3))
    assert client.requests[-1].sampling.seed is None


async def test_an_answer_that_cannot_win_is_cut_and_nobody_says_whether_it_was_right() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=200))
    (call,) = await ended(prober(client), at(50, cap=30))
    assert (call.cut, call.outcome, call.completion_tokens, call.usage_estimated) == (
        True,
        Outcome.UNGRADED,
        30,
        False,
    )
    assert client.requests[0].sampling.max_tokens == 30


async def test_an_answer_that_ends_just_at_its_cap_is_whole() -> None:
    client = SimulatedClient(SimulatedModel.monotone(right_from=40))
    (call,) = await ended(prober(client), at(50, cap=45))
    assert (call.cut, call.outcome, call.completion_tokens) == (False, Outcome.CORRECT, 45)


async def test_an_answer_that_reaches_max_tokens_is_truncated_and_not_cut() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=200))
    asking = prober(client, sampling=Sampling(max_tokens=100))
    for call in await ended(asking, VANILLA, at(50, cap=150), at(60, cap=100)):
        assert (call.cut, call.outcome, call.completion_tokens) == (False, Outcome.TRUNCATED, 100)


@pytest.mark.parametrize("chunk", [1, 7, 40])
async def test_an_endpoint_that_ignores_the_cap_is_closed_and_its_tokens_are_booked_as_our_count(chunk: int) -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=5000), chunk=chunk, ignores_max_tokens=True)
    asking = prober(client)
    (call,) = await ended(asking, at(50, cap=100))
    assert (call.cut, call.outcome, call.status, call.usage_estimated) == (True, Outcome.UNGRADED, "done", True)
    assert (client.open_streams, client.closed_early) == (0, 1)
    assert 100 < (call.completion_tokens or 0) <= 100 * 5 // 4 + 16 + 2 * chunk
    assert (asking.spent.completion_tokens, asking.spent.estimated) == (call.completion_tokens, True)


async def test_an_endpoint_that_ignores_the_plans_own_limit_gives_a_truncated_answer() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=500), ignores_max_tokens=True)
    (call,) = await ended(prober(client, sampling=Sampling(max_tokens=100)), VANILLA)
    assert (call.cut, call.outcome, call.completion_tokens, client.closed_early) == (False, Outcome.TRUNCATED, 101, 1)


async def test_pieces_smaller_than_a_token_do_not_cut_an_answer_below_its_cap() -> None:
    words = "thinking " * 30 + "[[42]]"
    client = ScriptedClient([Reply(words, chunks=tuple(words))])

    class Honest(ScriptedClient):
        async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
            whole = replace(request, sampling=replace(request.sampling, max_tokens=None))
            async with aclosing(client.stream(whole)) as events:
                async for event in events:
                    yield event

    (call,) = await ended(prober(Honest([])), at(50, cap=40))
    assert (call.cut, call.text, call.outcome) == (False, words, Outcome.CORRECT)


async def test_a_cut_answer_is_known_under_smaller_caps_and_asked_again_under_larger_ones() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=200))
    asking = prober(client)
    await ended(asking, at(50, cap=30))
    (smaller,) = await ended(asking, at(50, cap=20))
    assert (smaller.source, smaller.cut, smaller.completion_tokens) == ("cached", True, 30)
    (larger,) = await ended(asking, at(50, cap=60))
    assert (larger.source, larger.completion_tokens, len(client.requests)) == ("simulated", 60, 2)
    (whole,) = await ended(asking, at(50))
    assert (whole.cut, whole.completion_tokens) == (False, 200)
    (known,) = await ended(asking, at(50, cap=10))
    assert (known.source, known.cut, known.completion_tokens) == ("cached", False, 200)


async def test_a_truncated_answer_tells_the_same_plan_and_any_smaller_cap_but_not_a_larger_plan() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=200))
    memory = RecentAnswers(*await ended(prober(client, sampling=Sampling(max_tokens=100)), at(50)))
    same = prober(client, sampling=Sampling(max_tokens=100), cache=memory)
    more = prober(client, sampling=Sampling(max_tokens=300), cache=memory)
    assert [c.source for c in await ended(same, at(50))] == ["cached"]
    assert [c.source for c in await ended(more, at(50, cap=80))] == ["cached"]
    assert [c.completion_tokens for c in await ended(more, at(50))] == [200]


async def test_a_whole_answer_longer_than_this_plan_allows_is_asked_for_again() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=200))
    memory = RecentAnswers(*await ended(prober(client), at(50)))
    (call,) = await ended(prober(client, sampling=Sampling(max_tokens=100), cache=memory), at(50))
    assert (call.source, call.outcome) == ("simulated", Outcome.TRUNCATED)


async def test_an_error_books_the_tokens_that_had_arrived_and_is_told_before_it_is_raised() -> None:
    late = ModelTimeoutError("silent")
    client = ScriptedClient([Reply("one two three", error=late, error_after=2)], price=PRICE)
    asking = prober(client)
    seen: list[CallEvent] = []
    with pytest.raises(ModelTimeoutError):
        async for event in asking.answers(at(50)):
            seen.append(event)
    last = seen[-1]
    assert isinstance(last, CallFinished)
    assert (last.call.status, last.call.outcome, last.call.completion_tokens) == ("failed", Outcome.ERROR, 2)
    assert (asking.spent.calls, asking.spent.completion_tokens) == (1, 2)
    assert asking.spent.cost_usd == pytest.approx((last.call.prompt_tokens or 0) * 1e-6 + 2 * 3e-6)


async def test_a_failed_answer_is_asked_for_again() -> None:
    client = ScriptedClient([Reply("one two", error=ModelTimeoutError("silent"), error_after=2), "[[42]]"])
    asking = prober(client)
    with pytest.raises(ModelTimeoutError):
        await ask(asking, at(50))
    (call,) = await ended(asking, at(50))
    assert (call.outcome, asking.spent.calls) == (Outcome.CORRECT, 2)


LOST = Reply("one two three", error=WorkerLostError("gone"), error_after=2)


async def test_an_answer_whose_worker_went_away_is_booked_and_asked_for_again() -> None:
    client = ScriptedClient([LOST, "[[42]]"], price=PRICE)
    asking = prober(client)
    seen = await ask(asking, at(50))
    told = [e for e in seen if not isinstance(e, CallDelta | CallAnswered)]
    assert [type(e) for e in told] == [CallStarted, CallFinished] * 2 and {e.key for e in told} == {at(50).key}
    lost, found = (e.call for e in told if isinstance(e, CallFinished))
    assert (lost.status, lost.completion_tokens, found.outcome) == ("failed", 2, Outcome.CORRECT)
    assert (asking.spent.calls, asking.spent.completion_tokens) == (2, 2 + (found.completion_tokens or 0))


async def test_workers_that_keep_going_away_end_the_asking() -> None:
    client = ScriptedClient([LOST] * 9)
    with pytest.raises(WorkerLostError):
        await ask(prober(client), at(50))
    assert len(client.requests) == LOST_WORKERS.tries


async def test_a_kill_of_the_model_server_does_not_end_a_run_and_one_that_keeps_dying_does() -> None:
    killed = Reply("some words", error=ServerDiedError("killed"), error_after=1)
    client = ScriptedClient(["[[42]]", killed, "[[42]]", *[killed] * 9])
    asking = prober(client)
    await ask(asking, at(50))
    await ask(asking, at(40))
    assert len(client.requests) == 3
    with pytest.raises(ServerDiedError):
        await ask(asking, at(30))
    assert len(client.requests) == 3 + LOST_WORKERS.tries


async def test_a_failure_closes_the_answers_beside_it() -> None:
    def script(request: Request) -> Reply:
        if "less than 1 tokens" in request.messages[0].content:
            return Reply("a b", error=ModelTimeoutError("silent"), error_after=1)
        return Reply("word " * 10_000)

    client = ScriptedClient(script)
    with pytest.raises(ModelTimeoutError):
        await ask(prober(client, slots=4), at(9), at(8), at(1))
    assert client.open_streams == 0


async def test_no_more_answers_run_at_once_than_there_are_slots_and_they_do_run_at_once() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=50))
    await ended(prober(client, slots=3), *(at(b) for b in range(1, 11)))
    assert (client.most_open, len(client.requests)) == (3, 10)


async def test_closing_the_iterator_closes_the_streams() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=10_000))
    events = prober(client, slots=3).answers(*(at(b) for b in range(1, 6)))
    while client.open_streams < 3:
        await anext(events)
    await events.aclose()
    assert (client.open_streams, client.closed_early) == (0, 3)


async def test_cancelling_the_task_closes_the_streams() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=1_000_000))
    task = asyncio.create_task(ask(prober(client, slots=2), at(1), at(2), at(3)))
    async with asyncio.timeout(60):
        while client.open_streams < 2:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.open_streams == 0


async def test_a_limit_on_calls_sends_exactly_that_many_and_then_says_so() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=50))
    asking = prober(client, limits=Limits(max_calls=5), slots=3)
    with pytest.raises(LimitReachedError) as caught:
        await ask(asking, *(at(b) for b in range(1, 10)))
    assert (caught.value.which, len(client.requests), asking.spent.calls) == ("calls", 5, 5)
    assert len(await ended(asking, at(1), at(2))) == 2, "what is known may still be shown"
    assert len(client.requests) == 5


async def test_known_answers_do_not_count_against_a_limit() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=50))
    memory = RecentAnswers(*await ended(prober(client), *(at(b) for b in range(1, 6))))
    asking = prober(client, limits=Limits(max_calls=1), cache=memory, slots=2)
    assert len(await ended(asking, *(at(b) for b in range(1, 7)))) == 6
    assert asking.spent.calls == 1


async def test_an_answer_cut_by_a_limit_is_kept_ungraded_and_nothing_is_sent_after_it() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=500), chunk=10)
    asking = prober(client, limits=Limits(max_tokens=400), slots=4)
    seen: list[CallEvent] = []
    with pytest.raises(LimitReachedError) as caught:
        async for event in asking.answers(*(at(b) for b in range(1, 9))):
            seen.append(event)
    calls = [e.call for e in seen if isinstance(e, CallFinished)]
    assert caught.value.which == "tokens"
    assert [(c.cut, c.outcome) for c in calls] == [(True, Outcome.UNGRADED)]
    assert len(client.requests) == 1
    with pytest.raises(LimitReachedError):
        await ask(asking, at(20))
    assert len(client.requests) == 1


@pytest.mark.parametrize("limits", [Limits(max_tokens=1000), Limits(max_cost_usd=0.002)])
async def test_answers_at_the_same_time_do_not_break_a_limit_together(limits: Limits) -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=600), price=PRICE, chunk=20)
    asking = prober(client, limits=limits, slots=6, sampling=Sampling(max_tokens=200))
    with pytest.raises(LimitReachedError):
        await ask(asking, *(at(b) for b in range(1, 9)))
    assert client.most_open > 1
    assert asking.spent.tokens <= (limits.max_tokens or 10**9)
    assert asking.spent.cost_usd is not None and asking.spent.cost_usd <= (limits.max_cost_usd or 1.0)


async def test_an_answer_that_the_endpoints_own_limit_ends_is_truncated_and_not_cut() -> None:
    client = ScriptedClient([Reply("a b c d", finish_reason="length"), Reply("a b c d", finish_reason="length")])
    asking = prober(client, limits=Limits(max_tokens=1500))
    for call in await ended(asking, at(50, cap=100), at(60)):
        assert (call.cut, call.outcome) == (False, Outcome.TRUNCATED)


async def test_where_only_our_own_count_is_known_an_answer_that_ended_at_its_cap_is_cut() -> None:
    client = ScriptedClient([Reply("a b c d", finish_reason="length", usage=Usage(40, 45, estimated=True))])
    (call,) = await ended(prober(client), at(50, cap=50))
    assert (call.cut, call.outcome) == (True, Outcome.UNGRADED)


async def test_a_limit_on_money_needs_a_price() -> None:
    with pytest.raises(InputError, match="unknown"):
        prober(SimulatedClient(SimulatedModel.flat()), limits=Limits(max_cost_usd=1.0))


@pytest.mark.parametrize("limits", [{"max_calls": 0}, {"max_tokens": -1}, {"max_cost_usd": 0.0}])
def test_a_limit_that_is_not_positive_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match="above 0"):
        Limits(**limits)  # type: ignore[arg-type]


async def test_an_unknown_price_is_never_a_cost_of_zero() -> None:
    asking = prober(SimulatedClient(SimulatedModel.flat()))
    await ask(asking, at(5))
    assert asking.spent.cost_usd is None


async def test_a_chat_template_larger_than_expected_is_learnt_from_the_first_report() -> None:
    def script(request: Request) -> Reply:
        return Reply("a b c [[42]]", usage=Usage(600, 8))

    client = ScriptedClient(script)
    asking = prober(client, limits=Limits(max_tokens=2000), sampling=Sampling(max_tokens=50))
    with pytest.raises(LimitReachedError):
        await ask(asking, *(at(b) for b in range(1, 9)))
    assert (len(client.requests), asking.spent.tokens) == (3, 3 * 608)


LIMITS = st.builds(
    Limits,
    max_calls=st.none() | st.integers(1, 12),
    max_tokens=st.none() | st.integers(1, 4000),
    max_cost_usd=st.none() | st.floats(1e-6, 0.01),
)


@settings(deadline=None, max_examples=60)
@given(
    limits=LIMITS,
    slots=st.integers(1, 6),
    vanilla=st.integers(1, 600),
    max_tokens=st.none() | st.integers(1, 700),
    caps=st.lists(st.none() | st.integers(1, 400), min_size=1, max_size=10),
    price=st.sampled_from([PRICE, Price(2.0, 0.0, "2026-01-01"), Price(0.0, 0.0, "2026-01-01")]),
)
async def test_no_limit_is_ever_exceeded_and_spent_is_the_sum_of_the_finished_calls(
    limits: Limits, slots: int, vanilla: int, max_tokens: int | None, caps: list[int | None], price: Price
) -> None:
    curve = SimulatedModel.flat(vanilla=vanilla).noisy(spread=0.4)
    client = SimulatedClient(curve, price=price, chunk=50)
    asking = prober(client, limits=limits, slots=slots, sampling=Sampling(max_tokens=max_tokens))
    calls: list[CallRecord] = []
    try:
        async for event in asking.answers(*(at(i + 1, cap=cap) for i, cap in enumerate(caps))):
            if isinstance(event, CallFinished):
                calls.append(event.call)
        assert len(calls) == len(caps)
    except LimitReachedError:
        assert limits != Limits()
    spent = asking.spent
    assert len(client.requests) == spent.calls == len(calls) <= (limits.max_calls or 99)
    assert spent.tokens == sum((c.prompt_tokens or 0) + (c.completion_tokens or 0) for c in calls)
    assert spent.cost_usd == pytest.approx(sum(c.cost_usd or 0.0 for c in calls))
    assert spent.tokens <= (limits.max_tokens or spent.tokens)
    assert spent.cost_usd is not None and spent.cost_usd <= (limits.max_cost_usd or 1.0) + 1e-12
    assert client.open_streams == client.closed_early == 0
    assert client.most_open <= slots


@settings(deadline=None, max_examples=40)
@given(
    shared=LIMITS,
    own=st.lists(LIMITS, min_size=2, max_size=4),
    slots=st.integers(1, 3),
    vanilla=st.integers(1, 600),
    max_tokens=st.none() | st.integers(1, 700),
)
async def test_runs_that_share_a_ledger_keep_its_limits_and_their_own_and_count_for_themselves(
    shared: Limits, own: list[Limits], slots: int, vanilla: int, max_tokens: int | None
) -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=vanilla).noisy(spread=0.4), price=PRICE, chunk=50)
    above = Ledger(shared, PRICE, max_tokens)
    runs = [
        prober(
            client,
            limits=limits,
            ledger=Ledger(limits, PRICE, max_tokens, above=above),
            slots=slots,
            sampling=Sampling(max_tokens=max_tokens),
        )
        for limits in own
    ]

    async def whole(asking: Prober, first: int) -> bool:
        try:
            await ask(asking, *(at(first + i) for i in range(4)))
        except LimitReachedError:
            return False
        return True

    ends = await asyncio.gather(*(whole(asking, 10 * (i + 1)) for i, asking in enumerate(runs)))
    assert all(ends) or shared != Limits() or any(limits != Limits() for limits in own)
    for limits, asking in zip([*own, shared], [*runs, above], strict=True):
        assert asking.spent.calls <= (limits.max_calls or 99)
        assert asking.spent.tokens <= (limits.max_tokens or 10**9)
        assert (asking.spent.cost_usd or 0.0) <= (limits.max_cost_usd or 1.0) + 1e-12
    assert above.spent.calls == sum(asking.spent.calls for asking in runs) == len(client.requests)
    assert above.spent.tokens == sum(asking.spent.tokens for asking in runs)
    assert client.open_streams == 0 and not above._in_flight
