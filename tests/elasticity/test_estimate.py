"""The cost estimate: arithmetic on a plan, and the words people type and read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tale_core.calls.budget_ledger import Limits
from tale_core.elasticity.engine import SweepPlan
from tale_core.elasticity.estimate import ASSUMED_VANILLA, cost_estimate, seen
from tale_core.elasticity.plan import parse_grid
from tale_core.errors import InputError
from tale_core.text import duration, seconds_left
from tale_core.types import CallRecord, Price, Question, Sampling, SessionRecord
from tests.store.samples import call as a_call

PLAN = SweepPlan(Question("How many legs have 3 cats?", answer="12"), budgets=(100, 50, 10), repeats=2)
SAMPLING = Sampling(max_tokens=1000)
PRICE = Price(1.0, 10.0, "2026-11-01")


def words(text: str) -> int:
    return len(text.split())


def sheet(plan: SweepPlan = PLAN, *, price: Price | None = PRICE, **seen_before: float):
    return cost_estimate(replace(plan, sampling=SAMPLING), count=words, price=price, **seen_before)


def test_every_budget_and_both_references_are_asked_as_often_as_the_plan_repeats() -> None:
    assert sheet().answers == (3 + 2) * 2
    assert sheet(replace(PLAN, budgets=(), points=8, repeats=3)).answers == 30


def test_tokens_are_those_of_the_levels_up_to_max_tokens_for_every_answer() -> None:
    found = sheet(vanilla_tokens=200)
    assert found.tokens_kept == found.prompt_tokens + 2 * (200 + 100 + 50 + 10 + 10)
    assert found.tokens_worst == found.prompt_tokens + 10 * 1000


def test_each_prompt_is_counted_as_it_is_sent() -> None:
    sent: list[str] = []
    cost_estimate(PLAN, count=lambda text: sent.append(text) or 1, price=None)
    assert len(sent) == 5 and all("3 cats" in text for text in sent)
    assert sum("less than 50 tokens" in text for text in sent) == 1
    assert sheet(replace(PLAN, repeats=4)).prompt_tokens == 2 * sheet().prompt_tokens


def test_a_vanilla_answer_nobody_has_seen_is_assumed_and_says_so() -> None:
    assert (sheet().vanilla_tokens, sheet().vanilla_assumed) == (ASSUMED_VANILLA, True)
    assert (sheet(vanilla_tokens=80).vanilla_tokens, sheet(vanilla_tokens=80).vanilla_assumed) == (80, False)


def test_the_worst_price_is_that_of_the_worst_tokens_and_unknown_is_not_nothing() -> None:
    found = sheet()
    assert found.cost_worst == pytest.approx((found.prompt_tokens * 1.0 + 10_000 * 10.0) / 1e6)
    assert sheet(price=None).cost_worst is None
    assert sheet(price=Price(0, 0, "")).cost_worst == 0


def test_hard_caps_bound_the_worst_case() -> None:
    assert sheet(replace(PLAN, limits=Limits(max_calls=4))).tokens_worst == sheet().prompt_tokens + 4 * 1000
    assert sheet(replace(PLAN, limits=Limits(max_tokens=700))).tokens_worst == 700
    assert sheet(replace(PLAN, limits=Limits(max_cost_usd=0.01))).cost_worst == 0.01
    assert sheet(replace(PLAN, limits=Limits(max_tokens=50))).tokens_kept <= 50


def test_without_any_cap_nothing_bounds_the_worst_case() -> None:
    plan = replace(PLAN, sampling=replace(SAMPLING, max_tokens=None))
    found = cost_estimate(plan, count=words, price=PRICE)
    assert found.tokens_worst is None and found.cost_worst is None
    assert cost_estimate(replace(plan, limits=Limits(max_tokens=900)), count=words, price=PRICE).tokens_worst == 900


def test_time_is_unknown_until_a_speed_was_seen() -> None:
    assert sheet().seconds_kept is None and sheet().seconds_worst is None
    found = sheet(vanilla_tokens=200, tokens_per_s=37.0)
    assert found.seconds_kept == pytest.approx(2 * 370 / 37)
    assert found.seconds_worst == pytest.approx(10_000 / 37)


@pytest.mark.parametrize(
    ("typed", "budgets"),
    [("200, 100,50", (200, 100, 50)), (" 10 20\n30 ", (30, 20, 10)), ("50；50，7", (50, 7)), ("5", (5,))],
)
def test_a_list_is_read_as_people_type_it(typed: str, budgets: tuple[int, ...]) -> None:
    assert parse_grid(typed) == budgets


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "is empty"),
        (" , ; ", "is empty"),
        ("50, ten", "'ten' is not a whole number"),
        ("50, 2.5", "'2.5' is not a whole number"),
        ("-5", "'-5' is not a whole number"),
        ("٣", "is not a whole number"),
        ("50, 0", "A budget of 0 tokens is out of range"),
        ("20001", "A budget of 20001 tokens is out of range"),
        ("9" * 5000, "is out of range"),
        (",".join(map(str, range(1, 43))), "42 budgets were given"),
    ],
)
def test_a_bad_list_is_refused_in_words_that_say_what_is_allowed(typed: str, words: str) -> None:
    with pytest.raises(InputError) as told:
        parse_grid(typed)
    assert words in str(told.value) and "Give" in str(told.value) and len(str(told.value)) < 300


def test_time_left_follows_the_pace_of_answers_that_were_generated_now() -> None:
    assert seconds_left(finished=10, planned=30, timed=10, elapsed_s=40) == 80
    # Half of the ten were known already and took no time.
    assert seconds_left(finished=10, planned=30, timed=5, elapsed_s=40) == 160
    assert seconds_left(finished=30, planned=30, timed=10, elapsed_s=40) == 0
    assert seconds_left(finished=4, planned=30, timed=0, elapsed_s=40) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (150, "2 min"), (4200, "70 min"), (5520, "1 h 32 min"), (90000, "25 h")],
)
def test_a_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def answer(**changes: object) -> CallRecord:
    plain = {"status": "done", "sampling": SAMPLING, "completion_tokens": 101, "ttft_s": 1.0, "latency_s": 6.0}
    return a_call("s", **{**plain, **changes})


def session(*calls: CallRecord, text: str = PLAN.question.text) -> SessionRecord:
    return SessionRecord("s", Question(text), "m", "embedded", "", calls=calls)


def test_speed_and_vanilla_tokens_come_from_earlier_answers() -> None:
    found = seen([session(answer(), answer(completion_tokens=201))], PLAN.question)
    assert found.tokens_per_s == pytest.approx(30) and found.vanilla_tokens == 151


def test_cut_cached_and_other_answers_tell_nothing() -> None:
    calls = (answer(cut=True), answer(status="failed"), answer(role="probe", source="cached"))
    assert seen([session(*calls)], PLAN.question) == (None, None)
    assert seen([session(answer(), text="Another question?")], PLAN.question).vanilla_tokens is None
