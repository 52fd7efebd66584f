"""A sweep measures what a model really spends, and says no more than its numbers do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core import stats
from tale_core.calls.budget_ledger import Limits
from tale_core.calls.cache import RecentAnswers
from tale_core.calls.events import CallFinished, CallStarted
from tale_core.elasticity.engine import (
    SweepDone,
    SweepEvent,
    SweepPlan,
    SweepPoint,
    SweepProgress,
    SweepResult,
    sweep,
)
from tale_core.errors import InputError, ModelTimeoutError
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel, requested_budget
from tale_core.types import Client, Outcome, Price, Question, Request, Sampling

QUESTION = Question("How many legs have 3 cats?", id="q1", answer="42", options=(), topic="counting")
WARM = Sampling(temperature=1.0)


def plan(**fields: Any) -> SweepPlan:
    return SweepPlan(**{"question": QUESTION, "sampling": WARM, **fields})


async def events(plan: SweepPlan, client: Client, **options: Any) -> list[SweepEvent]:
    return [e async for e in sweep(plan, client, **options)]


async def result(curve: SimulatedModel, **fields: Any) -> SweepResult:
    last = (await events(plan(**fields), SimulatedClient(curve, chunk=100)))[-1]
    assert isinstance(last, SweepDone)
    return last.result


def level(found: SweepResult, budget: int | None, kind: str = "budget") -> SweepPoint:
    return next(p for p in found.points if p.budget == budget and p.kind == kind)


# -- running ---------------------------------------------------------------------------------------------------------


async def test_vanilla_comes_first_then_direct_and_the_budgets_from_the_largest_down() -> None:
    seen = await events(plan(budgets=(10, 100, 30, 10), repeats=2), SimulatedClient(SimulatedModel.monotone()))
    started = [(e.call.role, e.call.requested_budget, e.call.repeat_index) for e in seen if isinstance(e, CallStarted)]
    levels = [("vanilla", None), ("direct", None), ("probe", 100), ("probe", 30), ("probe", 10)]
    assert started == [(*key, i) for key in levels for i in range(2)]
    last = seen[-1]
    assert isinstance(last, SweepDone)
    assert [(p.kind, p.budget) for p in last.result.points] == [
        ("vanilla", None),
        ("direct", None),
        ("budget", 100),
        ("budget", 30),
        ("budget", 10),
    ]
    assert [p.tokens for p in last.result.points] == [(258, 258), (5, 5), (90, 90), (27, 27), (9, 9)]
    assert last.result.complete and last.result.stop_reason == "done"


async def test_progress_follows_every_finished_answer_and_counts_up_to_the_plan() -> None:
    seen = await events(plan(points=4, repeats=2), SimulatedClient(SimulatedModel.monotone(), chunk=50))
    after = [b for a, b in pairwise(seen) if isinstance(a, CallFinished)]
    progress = [e for e in seen if isinstance(e, SweepProgress)]
    assert after == progress
    assert [p.finished for p in progress] == list(range(1, 13))
    assert progress[-1].planned == 12 and not progress[-2].result.complete
    assert {p.result.stop_reason for p in progress} == {"running"}
    assert all(p.result.finding for p in progress)


async def test_answers_run_at_the_same_time_up_to_the_slots() -> None:
    client = SimulatedClient(SimulatedModel.monotone())
    await events(plan(slots=3), client)
    assert client.most_open == 3


async def test_a_geometric_grid_ends_at_what_vanilla_wrote() -> None:
    found = await result(SimulatedModel.monotone(vanilla=200), points=5, lowest=12)
    assert [p.budget for p in found.points if p.kind == "budget"] == [200, 99, 49, 24, 12]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_calls=7), "limit-calls"),
        (Limits(max_tokens=850), "limit-tokens"),
        (Limits(max_cost_usd=0.004), "limit-cost"),
        (Limits(max_calls=1), "limit-calls"),
    ],
)
async def test_a_limit_ends_a_sweep_with_everything_found_so_far(limits: Limits, reason: str) -> None:
    client = SimulatedClient(SimulatedModel.monotone(), price=Price(1, 2, "2026-01-01"), chunk=20)
    seen = await events(plan(limits=limits, repeats=2), client)
    last = seen[-1]
    assert isinstance(last, SweepDone)
    assert (last.result.stop_reason, last.result.complete) == (reason, False)
    assert last.result.spent.calls == len(client.requests) == sum(p.repeats for p in last.result.points)
    assert last.result.spent.tokens <= (limits.max_tokens or 10**9)
    whole = [e for e in seen if isinstance(e, CallFinished) and not e.call.cut]
    assert sum(len(p.tokens) for p in last.result.points) == len(whole)
    assert (len(whole) < last.result.spent.calls) == (reason == "limit-tokens"), "one was cut half-way"
    assert f"The cap on {reason.removeprefix('limit-')} ended the sweep early." in last.result.finding
    assert SweepResult.from_document(json.loads(json.dumps(last.result.document()))) == last.result


async def test_a_failed_call_is_told_and_raised() -> None:
    seen: list[SweepEvent] = []
    with pytest.raises(ModelTimeoutError):
        async for event in sweep(plan(repeats=1), ScriptedClient([ModelTimeoutError("silent")])):
            seen.append(event)
    last = seen[-1]
    assert isinstance(last, SweepProgress)
    assert last.result.points[0].outcomes == {Outcome.ERROR: 1}
    assert (last.result.points[0].tokens, last.result.points[0].repeats) == ((), 1)


async def test_a_wrong_vanilla_answer_does_not_stop_a_sweep_but_leaves_no_ideal_range() -> None:
    curve = replace(SimulatedModel.monotone(), vanilla_right=False)
    found = await result(curve, repeats=1)
    assert found.complete and found.ideal_range is None
    assert "vanilla answer is not right" in found.finding


async def test_known_answers_are_reused_only_when_the_plan_says_so() -> None:
    memory, client = RecentAnswers(), SimulatedClient(SimulatedModel.monotone(), chunk=50)
    for event in await events(plan(), client, cache=memory):
        if isinstance(event, CallFinished):
            memory.keep(event.call)
    paid = len(client.requests)
    again = (await events(plan(), client, cache=memory))[-1]
    assert isinstance(again, SweepDone)
    assert len(client.requests) == paid
    assert (again.result.spent.calls, again.result.spent.reused, again.result.sources) == (0, paid, {"cached": paid})
    await events(plan(reuse=False), client, cache=memory)
    assert len(client.requests) == 2 * paid


@settings(deadline=None, max_examples=25)
@given(stop=st.integers(0, 200), slots=st.integers(1, 6))
async def test_stopping_at_any_event_leaves_no_stream_open(stop: int, slots: int) -> None:
    client = SimulatedClient(SimulatedModel.monotone(vanilla=60), chunk=7)
    running = sweep(plan(slots=slots, points=4, repeats=2), client)
    seen = 0
    async for _ in running:
        seen += 1
        if seen > stop:
            break
    await running.aclose()
    assert client.open_streams == 0
    sent = len(client.requests)
    assert sent == len(client.completions) + client.closed_early


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), repeats=st.integers(1, 4), slots=st.integers(1, 6))
async def test_spent_is_the_sum_of_the_calls(seed: int, repeats: int, slots: int) -> None:
    client = SimulatedClient(SimulatedModel.rebounding().noisy(), price=Price(1, 2, "2026-01-01"), chunk=100)
    seen = await events(plan(repeats=repeats, slots=slots, sampling=Sampling(temperature=1, seed=seed)), client)
    last, usages = seen[-1], [c.usage for c in client.completions]
    assert isinstance(last, SweepDone)
    spent = last.result.spent
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (
        len(usages),
        sum(u.prompt_tokens for u in usages),
        sum(u.completion_tokens for u in usages),
    )
    assert spent.cost_usd == pytest.approx((spent.prompt_tokens + 2 * spent.completion_tokens) / 1e6)


# -- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"question": Question("  ")}, "question is empty"),
        ({"budgets": (0,)}, "budget of 0"),
        ({"budgets": (20_001,)}, "budget of 20001"),
        ({"budgets": tuple(range(1, 42))}, "41 budgets"),
        ({"repeats": 0}, "repeats is 0"),
        ({"repeats": 51}, "repeats is 51"),
        ({"points": 1}, "points is 1"),
        ({"points": 41}, "points is 41"),
        ({"lowest": 0}, "lowest budget is 0"),
        ({"slots": 0}, "slots is 0"),
        ({"template": "none"}, "no prompt template"),
        ({"sampling": Sampling(max_tokens=0)}, "max_tokens is 0"),
        ({"sampling": Sampling(max_tokens=10**30)}, "max_tokens is 1000"),
        ({"sampling": Sampling(seed=2**70)}, "seed is 1180591620717411303424"),
        ({"sampling": Sampling(temperature=3.0)}, "temperature is 3.0"),
    ],
)
def test_a_bad_plan_is_refused_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(**fields).checked()


def test_the_largest_plan_is_allowed_and_equal_budgets_count_once() -> None:
    plan(budgets=(*range(1, 40), 20_000, 20_000), repeats=50).checked()


@settings(deadline=None)
@given(
    budgets=st.lists(st.integers(1, 20_000), max_size=5),
    options=st.lists(st.text(max_size=5), max_size=3),
    calls=st.none() | st.integers(1, 9),
    seed=st.none() | st.integers(0, 9),
)
def test_a_plan_survives_json(budgets: list[int], options: list[str], calls: int | None, seed: int | None) -> None:
    question = Question("几何？", answer="B", kind="choice", options=tuple(options), language="zh", difficulty=3)
    whole = SweepPlan(
        question,
        budgets=tuple(budgets),
        limits=Limits(max_calls=calls, max_cost_usd=0.5),
        sampling=Sampling(seed=seed, reasoning_effort="low"),
        template="plain",
        parent_id="p",
        reuse=False,
    )
    assert SweepPlan.from_document(json.loads(json.dumps(whole.document()))) == whole


@settings(deadline=None)
@given(lowest=st.integers(1, 500), top=st.floats(0, 5000), points=st.integers(2, 40))
def test_a_grid_is_whole_descending_within_its_ends_and_each_once(lowest: int, top: float, points: int) -> None:
    grid = SweepPlan(QUESTION, lowest=lowest, points=points).grid(top)
    assert list(grid) == sorted(set(grid), reverse=True)
    assert 1 <= len(grid) <= points and min(grid) >= 1
    assert grid[0] == max(1, round(top))
    if round(top) > lowest:
        assert grid[-1] == lowest
        ratios = [a / b for a, b in pairwise(grid) if b > 100]
        assert not ratios or max(ratios) / min(ratios) < 1.05


@settings(deadline=None)
@given(budgets=st.lists(st.integers(1, 20_000), min_size=1, max_size=40))
def test_a_given_grid_is_taken_as_it_is(budgets: list[int]) -> None:
    grid = SweepPlan(QUESTION, budgets=tuple(budgets)).grid(77)
    assert set(grid) == set(budgets) and list(grid) == sorted(grid, reverse=True)


# -- levels ----------------------------------------------------------------------------------------------------------


def scripted(tokens: dict[int | None, list[Reply]]) -> ScriptedClient:
    """Answers by budget (None: vanilla; 0: direct), repeats in the order they are asked for."""

    def script(request: Request) -> Reply:
        text = request.messages[0].content
        return tokens[0 if "Answer directly" in text else requested_budget(text)].pop(0)

    return ScriptedClient(script)


RIGHT, WRONG, LOST = Reply("so it is [[42]]"), Reply("so it is [[41]]"), Reply("well well well well well")


async def test_outcomes_stay_apart_and_only_judged_answers_enter_the_accuracy() -> None:
    client = scripted(
        {
            None: [RIGHT] * 4,
            0: [RIGHT] * 4,
            20: [RIGHT, WRONG, LOST, Reply("a " * 60)],
            5: [RIGHT, replace(RIGHT, finish_reason="content_filter"), WRONG, RIGHT],
        }
    )
    seen = await events(plan(budgets=(20, 5), repeats=4, slots=1, sampling=Sampling(1.0, max_tokens=30)), client)
    last = seen[-1]
    assert isinstance(last, SweepDone)
    found = level(last.result, 20)
    one_each = (Outcome.CORRECT, Outcome.WRONG, Outcome.UNPARSED, Outcome.TRUNCATED)
    assert found.outcomes == dict.fromkeys(one_each, 1)
    assert (found.graded, found.accuracy, found.tokens, found.within) == (4, 0.25, (8, 8, 5, 30), 0.75)
    filtered = level(last.result, 5)
    assert (filtered.graded, filtered.accuracy, filtered.repeats, len(filtered.tokens)) == (4, 0.5, 4, 4)
    assert filtered.refused == filtered.outcomes[Outcome.ERROR] == 1
    assert "1 answer was cut at max_tokens" in last.result.finding


async def test_without_a_known_answer_nothing_is_graded_and_nothing_is_ideal() -> None:
    found = await result(
        SimulatedModel.monotone(), question=Question("How many?"), sampling=Sampling(1.0, max_tokens=99)
    )
    assert all(p.graded == 0 and p.accuracy is None and p.accuracy_low is None for p in found.points)
    assert found.ideal_range is None
    assert "nothing was graded" in found.finding


async def test_compliance_is_the_share_of_answers_within_their_budget() -> None:
    found = await result(SimulatedModel.rebounding(), budgets=(100, 50, 20, 10), repeats=2)
    assert [level(found, b).within for b in (100, 50, 20, 10)] == [1.0, 1.0, 0.0, 0.0]
    assert found.compliance == 0.5
    assert level(found, None, "vanilla").within is None


async def test_an_answer_cut_short_of_its_budget_says_nothing_about_compliance() -> None:
    found = await result(SimulatedModel.monotone(), budgets=(200,), repeats=1, sampling=Sampling(1.0, max_tokens=50))
    assert (level(found, 200).within, found.compliance) == (None, None)


async def test_the_ideal_range_is_the_cheapest_third_of_the_budgets_that_stay_right() -> None:
    budgets = (200, 150, 100, 80, 60, 40, 30, 20, 10)
    found = await result(SimulatedModel.rebounding(right_from=20), budgets=budgets, repeats=1)
    assert found.ideal_range == (30, 40)  # 8 of them right: windows of 2; 36 and 39 tokens.


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), slip=st.floats(0, 0.6))
async def test_the_ideal_range_is_made_of_budgets_that_keep_the_answer_right(seed: int, slip: float) -> None:
    curve = SimulatedModel.rebounding(right_from=60).noisy(slip=slip)
    found = await result(curve, sampling=Sampling(1.0, seed=seed))
    vanilla = level(found, None, "vanilla")
    assert vanilla.accuracy is not None
    right = [p.budget for p in found.points if p.kind == "budget" and (p.accuracy or 0) > 0.5]
    if vanilla.accuracy <= 0.5 or not right:
        assert found.ideal_range is None
    else:
        assert found.ideal_range is not None and set(found.ideal_range) <= set(right)


@settings(deadline=None)
@given(costs=st.dictionaries(st.integers(1, 999), st.floats(1, 999), max_size=15))
def test_no_other_window_of_right_budgets_costs_less_than_the_ideal_range(costs: dict[int, float]) -> None:
    found = stats.ideal_range(costs)
    if not costs:
        assert found is None
        return
    assert found is not None
    budgets = sorted(costs)
    size = max(1, len(budgets) // 3)
    chosen = [b for b in budgets if found[0] <= b <= found[1]]
    assert len(chosen) == size
    windows = [sum(costs[b] for b in budgets[i : i + size]) for i in range(len(budgets) - size + 1)]
    assert sum(costs[b] for b in chosen) == pytest.approx(min(windows))


# -- statistics ------------------------------------------------------------------------------------------------------


# -- findings --------------------------------------------------------------------------------------------------------

CASES: list[tuple[str, SimulatedModel, dict[str, Any], str]] = [
    (
        "rebound",
        SimulatedModel.rebounding().noisy(spread=0.1),
        {"budgets": (100, 32, 10), "repeats": 5},
        r"^Asked for less, the model writes less down to a budget of 32 \(\d+ tokens, 8\d % fewer than vanilla\); "
        r"at 10 it rebounds to 1\d\d tokens \(p < 0\.001, n = 5\)\. Of the budgets that keep the answer right, 32 ",
    ),
    (
        "chance",
        SimulatedModel(300, lambda b: 100 + (b < 50), lambda b: True).noisy(spread=0.5),
        {"budgets": (200, 60, 20), "repeats": 3, "sampling": Sampling(1.0, seed=2)},
        r"which may be chance \(p = 0\.\d\d, n = 3\)",
    ),
    (
        "one repeat",
        SimulatedModel.rebounding(),
        {"repeats": 1},
        "one answer a budget cannot tell a rebound from chance",
    ),
    (
        "temperature 0",
        SimulatedModel.rebounding(),
        {"sampling": Sampling(0.0), "repeats": 3},
        "at temperature 0 the 3 repeats are the same measurement",
    ),
    (
        "temperature 0, no rebound",
        SimulatedModel.monotone(),
        {"sampling": Sampling(0.0), "repeats": 2},
        r"no rebound was seen\. .* At temperature 0 the repeats are one and the same measurement\.",
    ),
    ("never varies", SimulatedModel.rebounding(), {"repeats": 3}, "all repeats were the same"),
    ("no rebound", SimulatedModel.monotone(), {}, "smallest budget tried, 10 .*: no rebound was seen"),
    (
        "flat",
        SimulatedModel.flat(),
        {},
        "The model ignores the budget: it writes 258 tokens under every budget from 10 to",
    ),
    (
        "reacts once",
        SimulatedModel(200, lambda b: 7, lambda b: True),
        {},
        "reacts to having a budget but not to its size: it writes 7 tokens",
    ),
    ("never right", replace(SimulatedModel.monotone(), right=lambda b: False), {}, "No budget kept the answer right"),
    (
        "above",
        SimulatedModel.monotone(vanilla=50),
        {"budgets": (90, 60)},
        "No budget asked for less than the 50 tokens",
    ),
    (
        "truncated",
        SimulatedModel.flat(),
        {"sampling": Sampling(1.0, max_tokens=60)},
        "cut at max_tokens, so what a budget",
    ),
]


@pytest.mark.parametrize(("curve", "fields", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_the_finding_says_what_was_seen(curve: SimulatedModel, fields: dict[str, Any], words: str) -> None:
    found = await result(curve, **fields)
    assert re.search(words, found.finding), found.finding
    assert found.finding.endswith(".") and len(found.finding) < 400


async def test_truncated_vanilla_answers_are_not_called_wrong() -> None:
    found = await result(SimulatedModel.flat(), sampling=Sampling(1.0, max_tokens=60))
    assert "not right" not in found.finding and "ignores" not in found.finding


async def test_at_temperature_0_repeats_give_no_p() -> None:
    found = await result(SimulatedModel.rebounding().noisy(), sampling=Sampling(0.0), repeats=5)
    assert found.rebound is not None and found.rebound.p_value is None and not found.rebound.significant


async def test_a_running_sweep_judges_no_rebound_yet() -> None:
    client = SimulatedClient(SimulatedModel.rebounding().noisy(), chunk=50)
    seen = await events(plan(repeats=4), client)
    rebounds = [e.result.rebound for e in seen if isinstance(e, SweepProgress) and e.result.rebound]
    assert rebounds and all(r.p_value is None and not r.significant for r in rebounds)
    last = seen[-1]
    assert isinstance(last, SweepDone) and last.result.rebound is not None and last.result.rebound.significant


async def test_a_result_survives_json() -> None:
    found = await result(SimulatedModel.rebounding().noisy())
    document = json.loads(json.dumps(found.document()))
    assert SweepResult.from_document(document) == found
    assert {"points", "ideal_range", "rebound", "compliance", "finding", "spent"} <= set(document)
    assert {"budget", "repeats", "tokens_mean", "tokens_low", "accuracy", "accuracy_high"} <= set(document["points"][0])


# -- several questions -----------------------------------------------------------------------------------------------
