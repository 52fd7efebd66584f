"""The search modes on models of which everything is known: worked by hand, and on whatever hypothesis can think of."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.models.testing.simulated import SimulatedModel
from tale_core.search.expected_value import Belief, worthwhile
from tale_core.search.modes import MODES, Bounds, Options, Seen, Want

Answer = Callable[[int], tuple[int, bool]]
MODE_NAMES = sorted(MODES)


@dataclass
class Played:
    bounds: Bounds
    wants: list[Want]
    widths: list[int]
    brackets: list[tuple[int, int]]
    ending: str
    spent: int


def play(mode: str, vanilla: int, answer: Answer, options: Options | None = None) -> Played:
    """Run a mode to its end; an answer is cut as a real one is: at the cap, with nothing known of its correctness."""
    bounds = Bounds(vanilla)
    planner = MODES[mode](bounds, options or Options())
    played = Played(bounds, [], [bounds.high - bounds.low], [(bounds.low, bounds.high)], "", vanilla)
    seen = None
    while True:
        try:
            want = next(planner) if seen is None else planner.send(seen)
        except StopIteration as end:
            played.ending = end.value
            want = None
        if seen is not None:
            played.widths.append(bounds.high - bounds.low)
            played.brackets.append((bounds.low, bounds.high))
        if want is None:
            return played
        played.wants.append(want)
        tokens, right = answer(want.budget)
        cut = want.cap is not None and tokens >= want.cap
        tokens = min(tokens, want.cap) if want.cap is not None else tokens
        played.spent += tokens
        seen = Seen(right and not cut, tokens, cut)


def table(rows: dict[int, tuple[int, bool]]) -> Answer:
    return rows.__getitem__


def test_no_estimate_is_tried_where_the_endpoint_takes_no_budget_as_small():
    planner = MODES["tale"](Bounds(200, floor=31), Options(belief=Belief(estimate=8.0)))
    assert next(planner).budget == 32


def test_the_seeds_procedure_worked_by_hand():
    """Vanilla takes 258 tokens, so left = 0 and right = 258.

    1. (0 + 258) // 2 = 129: right with 116 tokens, fewer than 258: right = 129.
    2. (0 + 129) // 2 = 64: right with 90, fewer than 116: right = 64.
    3. (0 + 64) // 2 = 32: right, but with 110 tokens, more than 90: a smaller budget costs more. Left = 32.
    4. (32 + 64) // 2 = 48: right with 84, fewer than 90: right = 48.
    5. (32 + 48) // 2 = 40: wrong with 60: left = 40.
    6. (40 + 48) // 2 = 44: right with 80: right = 44.
    7. (40 + 44) // 2 = 42: wrong with 75: left = 42.
    8. (42 + 44) // 2 = 43: right with 79: right = 43, and nothing is left between 42 and 43.
    Greedy: the answer under 43 took 79 tokens, so the next lower budget is 42, which has failed: the end.
    """
    answers = table(
        {129: (116, True), 64: (90, True), 32: (110, True), 48: (84, True)}
        | {40: (60, False), 44: (80, True), 42: (75, False), 43: (79, True)}
    )
    played = play("paper", 258, answers)
    assert [w.budget for w in played.wants] == [129, 64, 32, 48, 40, 44, 42, 43]
    assert played.brackets == [
        *((0, 258), (0, 129), (0, 64), (32, 64), (32, 48), (40, 48), (40, 44), (42, 44), (42, 43))
    ]
    assert {w.phase for w in played.wants} == {"bisect"} and {w.cap for w in played.wants} == {None}
    assert (played.bounds.best, played.bounds.best_tokens) == (43, 79)
    assert played.bounds.elastic == (32, 32)
    assert (played.ending, played.spent) == ("converged", 258 + 116 + 90 + 110 + 84 + 60 + 80 + 75 + 79)


def test_the_greedy_descent_worked_by_hand():
    """Vanilla takes 10 tokens; the model uses far less than it is allowed.

    Bisection: 5 is right with 4; 2 is wrong; 3 is wrong; 4 is right with 4, no more than before: right = 4 and closed.
    On another model 5 is right with 4, 2 wrong, 3 right with 1: then greedy tries min(3 - 1, 1) = 1, right with 0... no
    model answers with 0 tokens, so it is wrong here, and the best budget stays 3.
    """
    first = play("paper", 10, table({5: (4, True), 2: (2, False), 3: (3, False), 4: (4, True)}))
    assert ([w.budget for w in first.wants], first.bounds.best) == ([5, 2, 3, 4], 4)
    second = play("paper", 10, table({5: (4, True), 2: (2, False), 3: (1, True), 1: (1, False)}))
    assert [(w.budget, w.phase) for w in second.wants][-2:] == [(3, "bisect"), (1, "greedy")]
    assert (second.bounds.best, second.bounds.best_tokens) == (3, 1)


def test_the_reference_halves_one_way_and_stops_at_the_first_failure():
    played = play("reference", 258, table({129: (116, True), 64: (90, True), 32: (110, True)}))
    assert [w.budget for w in played.wants] == [129, 64, 32]
    assert (played.bounds.best, played.ending) == (64, "first-failure")


def test_tale_cuts_what_cannot_win_and_goes_on_above_the_elastic_region():
    model = SimulatedModel.rebounding(vanilla=258, right_from=20, turning=32)
    played = play("tale", 258, lambda b: (model.cost(b), model.right(b)))
    assert played.bounds.elastic is not None and played.bounds.elastic[1] < 32
    assert all(w.cap is not None for w in played.wants)
    assert played.bounds.best is not None and 32 <= played.bounds.best < 64


@pytest.mark.parametrize("right", [True, False])
def test_a_model_that_ignores_budgets_is_not_asked_a_third_time(right):
    played = play("tale", 258, lambda b: (258, right))
    assert (played.ending, len(played.wants), played.bounds.best) == ("no-response", 2, None)


def test_an_estimate_saves_probes_when_it_is_good_and_does_no_harm_when_it_is_bad():
    model = SimulatedModel.monotone(vanilla=800, right_from=70)
    answer = lambda b: (model.cost(b), model.right(b))  # noqa: E731
    plain = play("tale", 800, answer)
    told = play("tale", 800, answer, Options(belief=Belief(estimate=75, spread=0.2)))
    misled = play("tale", 800, answer, Options(belief=Belief(estimate=700, spread=0.2)))
    assert told.spent < plain.spent
    assert told.wants[0].budget == 75
    for played in (plain, told, misled):
        assert played.bounds.best is not None and played.bounds.best_tokens <= 1.35 * model.cost(70)


def test_earlier_searches_move_the_probes_to_where_the_optima_were():
    answers = SimulatedModel.monotone(vanilla=800, right_from=310)
    answer = lambda b: (answers.cost(b), answers.right(b))  # noqa: E731
    learnt = play("tale", 800, answer, Options(belief=Belief(ratios=(0.39,) * 30)))
    assert learnt.wants[2].budget < play("tale", 800, answer).wants[2].budget + 40
    assert learnt.bounds.best is not None and learnt.bounds.best >= 310


# Any model that there could be: every budget has a cost and a correctness of its own, drawn from a seed.
def arbitrary(seed: int, vanilla: int, kind: str) -> Answer:
    rng = random.Random(seed)
    threshold, turning = rng.randint(1, vanilla), rng.randint(1, max(1, vanilla // 3))

    def noiseless(budget: int) -> tuple[int, bool]:
        own = random.Random(f"{seed}:{budget}")
        if kind == "monotone":
            return max(1, math.ceil(0.9 * budget)), budget >= threshold
        if kind == "rebounding":
            cost = max(1, math.ceil(0.9 * budget))
            return (cost if budget >= turning else cost + 4 * (turning - budget)), budget >= threshold
        if kind == "islands":  # Right here and there: correctness is not monotone.
            return max(1, budget - own.randint(0, budget // 2)), (budget // max(1, vanilla // 7)) % 2 == 0
        return own.randint(1, 2 * vanilla), own.random() < 0.5

    return noiseless


MODELS = st.tuples(
    st.integers(0, 10**6), st.integers(1, 3000), st.sampled_from(["monotone", "rebounding", "islands", "anything"])
)


@settings(max_examples=250, deadline=None)
@given(MODELS, st.sampled_from(MODE_NAMES), st.none() | st.integers(1, 4000))
def test_the_result_was_tried_and_right_and_cheaper_than_vanilla(model, mode, estimate):
    seed, vanilla, kind = model
    answer = arbitrary(seed, vanilla, kind)
    played = play(mode, vanilla, answer, Options(belief=Belief(estimate=estimate)))
    budgets = [w.budget for w in played.wants]
    assert all(1 <= b < max(vanilla, 2) for b in budgets), "0, negative and pointless budgets are never tried"
    assert len(set(budgets)) == len(budgets), "nothing is asked twice"
    if (best := played.bounds.best) is None:
        assert played.bounds.best_tokens == vanilla
    else:
        assert best in budgets
        assert answer(best) == (played.bounds.best_tokens, True)
        assert played.bounds.best_tokens < vanilla or mode == "paper"


@settings(max_examples=250, deadline=None)
@given(MODELS, st.sampled_from(MODE_NAMES), st.none() | st.integers(1, 4000))
def test_calls_stay_logarithmic(model, mode, estimate):
    seed, vanilla, kind = model
    played = play(mode, vanilla, arbitrary(seed, vanilla, kind), Options(belief=Belief(estimate=estimate)))
    assert 1 + len(played.wants) <= 2 * math.log2(vanilla) + 5


@settings(max_examples=250, deadline=None)
@given(MODELS, st.sampled_from(["tale", "paper"]), st.none() | st.integers(1, 4000))
def test_the_bracket_always_shrinks(model, mode, estimate):
    seed, vanilla, kind = model
    played = play(mode, vanilla, arbitrary(seed, vanilla, kind), Options(belief=Belief(estimate=estimate)))
    bisecting = played.widths[: 1 + sum(want.phase == "bisect" for want in played.wants)]
    assert all(after < before for before, after in pairwise(bisecting))


@settings(max_examples=400, deadline=None)
@given(MODELS)
def test_tale_never_ends_dearer_than_the_reference_on_the_same_noiseless_model(model):
    seed, vanilla, kind = model
    answer = arbitrary(seed, vanilla, kind)
    ours, theirs = play("tale", vanilla, answer), play("reference", vanilla, answer)
    assert ours.bounds.best_tokens <= theirs.bounds.best_tokens


def test_tale_spends_far_less_than_bisection_on_the_stated_population_and_ends_nearly_as_low():
    ours, full = [], []
    for seed in range(80):
        model = SimulatedModel.stated(random.Random(seed))
        for mode, found in (("tale", ours), ("paper", full)):
            played = play(mode, model.vanilla, lambda b, m=model: (m.cost(b), m.right(b)))
            found.append((played.bounds.best_tokens / model.optimum().cost, played.spent / model.vanilla))
    (ratio, spent), (_, bisected) = (
        tuple(sum(x) / len(rows) for x in zip(*rows, strict=True)) for rows in (ours, full)
    )
    assert ratio < 1.08 and spent < 0.75 * bisected


def test_a_probe_is_worth_it_when_much_can_be_won_and_not_when_little_can():
    much = worthwhile(100, 400, cost=lambda b: b, best=400, vanilla=800, belief=Belief(), worth=20)
    little = worthwhile(395, 400, cost=lambda b: b, best=400, vanilla=800, belief=Belief(), worth=20)
    assert much is not None and 100 < much < 400 and little is None
    assert worthwhile(395, 400, cost=lambda b: b, best=400, vanilla=800, belief=Belief(), worth=1000) is not None
    assert worthwhile(399, 400, cost=lambda b: b, best=400, vanilla=800, belief=Belief(), worth=1000) is None
