"""A sweep measures what a model really spends, and says no more than its numbers do."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tale_core import stats
from tale_core.calls.budget_ledger import Limits, Spent
from tale_core.calls.cache import RecentAnswers
from tale_core.calls.events import CallFinished, CallStarted
from tale_core.elasticity.engine import (
    Profile,
    SweepDone,
    SweepEvent,
    SweepPlan,
    SweepPoint,
    SweepProgress,
    SweepResult,
    profile,
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


@settings(deadline=None)
@given(values=st.lists(st.integers(1, 3000), min_size=1, max_size=50))
def test_a_bootstrap_interval_contains_the_mean_and_stays_within_the_values(values: list[int]) -> None:
    found = stats.mean_interval(tuple(values))
    assert found is not None
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert min(values) <= found.low <= found.mean <= found.high <= max(values)
    if len(set(values)) == 1:
        assert found.low == found.high == values[0]


def test_a_bootstrap_interval_is_the_same_every_time_and_near_the_textbook() -> None:
    values = tuple(range(80, 120))
    first = stats.mean_interval(values)
    stats.mean_interval.cache_clear()
    assert first == stats.mean_interval(values) and first is not None
    half = 1.96 * math.sqrt(sum((v - 99.5) ** 2 for v in values) / 40 / 40)
    assert (first.low, first.high) == (pytest.approx(99.5 - half, abs=0.4), pytest.approx(99.5 + half, abs=0.4))
    assert stats.mean_interval(()) is None


@settings(deadline=None)
@given(n=st.integers(1, 200), data=st.data())
def test_the_wilson_interval_is_scipys_and_contains_the_share(n: int, data: st.DataObject) -> None:
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, n))
    found = stats.wilson(right, n)
    assert found is not None and 0 <= found.low <= found.mean <= found.high <= 1
    truth = binomtest(right, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(truth.low, abs=1e-9), pytest.approx(truth.high, abs=1e-9))


groups = st.lists(st.integers(1, 300), min_size=1, max_size=5).map(tuple)


@settings(deadline=None, max_examples=40)
@given(more=groups, less=groups)
def test_a_small_permutation_test_is_exact(more: tuple[int, ...], less: tuple[int, ...]) -> None:
    from scipy.stats import permutation_test

    assume(len(more) > 1 and len(less) > 1)  # scipy wants two in each.
    truth = permutation_test(
        (more, less), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), vectorized=True, alternative="greater"
    )
    assert stats.permutation_p(more, less) == pytest.approx(truth.pvalue)


def test_a_large_permutation_test_is_sampled_the_same_every_time() -> None:
    more, less = tuple(range(100, 130)), tuple(range(95, 125))
    p = stats.permutation_p(more, less)
    stats.permutation_p.cache_clear()
    assert stats.permutation_p(more, less) == p
    assert 0.005 < p < 0.03  # The t-test says 0.015.
    with pytest.raises(ValueError, match="two groups"):
        stats.permutation_p((), (1,))


def test_under_a_model_that_does_not_care_every_p_is_about_as_likely_as_any_other() -> None:
    import numpy as np

    rng = np.random.default_rng(7)
    drawn = [rng.integers(50, 1000, size=10) for _ in range(400)]
    ps = [stats.permutation_p(tuple(d[:5].tolist()), tuple(d[5:].tolist())) for d in drawn]
    for share in (0.1, 0.25, 0.5, 0.75):
        assert abs(sum(p <= share for p in ps) / len(ps) - share) < 0.07


def _rises(means: list[int], *, repeats: int, rounds: int) -> list[stats.Rise | None]:
    import numpy as np

    rng = np.random.default_rng(11)
    budgets = [10, 16, 25, 40, 63, 100, 160, 258]
    noisy = [np.maximum(1, rng.normal(means, [0.2 * m for m in means], (repeats, 8)).round()) for _ in range(rounds)]
    return [stats.rise_below({b: tuple(map(int, n[:, i])) for i, b in enumerate(budgets)}) for n in noisy]


@pytest.mark.parametrize("means", [[100] * 8, [30, 30, 30, 40, 63, 100, 160, 258]])
def test_a_rebound_is_seldom_seen_where_there_is_none(means: list[int]) -> None:
    found = _rises(means, repeats=3, rounds=100)
    false = sum(r is not None and r.p is not None and r.p < 0.05 for r in found)
    assert false <= 12  # 5 are expected; more than 12 has a chance below 0.1 %.


def test_the_papers_rebound_is_nearly_always_seen_with_three_repeats() -> None:
    found = _rises([157, 90, 41, 41, 63, 100, 160, 258], repeats=3, rounds=50)
    assert sum(r is not None and r.p is not None and r.p < 0.05 for r in found) >= 45


levels = st.dictionaries(st.integers(1, 500), st.lists(st.integers(1, 300), max_size=3).map(tuple), max_size=6)


@settings(deadline=None, max_examples=40)
@given(tokens=levels)
def test_a_rebound_is_a_smaller_budget_that_really_cost_more(tokens: dict[int, tuple[int, ...]]) -> None:
    found = stats.rise_below(tokens)
    means = {b: sum(t) / len(t) for b, t in tokens.items() if t}
    if found is None:
        assert not means or min(means, key=lambda b: (means[b], b)) == min(means)
        return
    assert found.budget < found.turning and found.extra > 0
    assert means[found.turning] == min(means.values())
    assert means[found.budget] == max(mean for b, mean in means.items() if b < found.turning)
    assert found.extra == pytest.approx(means[found.budget] - means[found.turning])
    assert found.p is None or 0 < found.p <= 1
    assert stats.rise_below(tokens, judge=False) == found._replace(p=None)


def test_one_repeat_or_repeats_that_never_vary_are_not_judged() -> None:
    for tokens in ({10: (90,), 20: (40,)}, {10: (90, 90), 20: (40, 40)}):
        found = stats.rise_below(tokens)
        assert found is not None and found.p is None
    assert stats.rise_below({}) is None


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


async def test_a_profile_puts_questions_of_any_length_on_one_scale() -> None:
    found = profile(
        [await result(SimulatedModel.monotone(vanilla=v, right_from=v // 4), lowest=4) for v in (64, 256, 512)]
    )
    assert (found.questions, found.left_out, found.rebounds, found.judged) == (3, 0, 0, 3)
    assert [p.relative for p in found.points] == sorted((p.relative for p in found.points), reverse=True)
    top = found.points[0]
    assert (top.relative, top.questions, top.answers, top.graded) == (1.0, 3, 9, 9)
    assert top.share == pytest.approx(0.9, abs=0.01) and top.share_low <= top.share <= top.share_high
    assert top.accuracy == 1.0 and top.accuracy_low is not None and top.accuracy_low < 1.0
    assert found.points[-1].accuracy == 0.0
    assert all(p.relative_low < p.relative < p.relative_high for p in found.points)
    assert sum(p.answers for p in found.points) == sum(p.graded for p in found.points)


async def test_a_profile_counts_each_question_once_and_rebounds_that_were_judged() -> None:
    often = await result(SimulatedModel.rebounding().noisy(), budgets=(250,), repeats=9)
    seldom = await result(SimulatedModel.flat(), budgets=(250,), repeats=1)
    (point,) = profile([often, seldom]).points
    shares = [often.points[2].tokens_mean / often.points[0].tokens_mean, 1.0]  # type: ignore[operator]
    assert point.share == pytest.approx(sum(shares) / 2)
    rebounding = await result(SimulatedModel.rebounding().noisy())
    unjudged = await result(SimulatedModel.rebounding(), repeats=1)
    found = profile([rebounding, unjudged])
    assert (found.rebounds, found.judged, found.questions) == (1, 1, 2)


async def test_a_profile_of_nothing_is_empty_and_unfinished_sweeps_are_counted_apart() -> None:
    assert profile([]) == Profile(0, 0, (), None, 0, 0)
    unfinished = await result(SimulatedModel.monotone(), limits=Limits(max_calls=2))
    assert profile([unfinished]) == Profile(0, 1, (), None, 0, 0)
    empty = SweepResult((), None, None, None, "", False, "running", Spent())
    assert profile([empty]).left_out == 1
