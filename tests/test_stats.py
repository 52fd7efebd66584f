"""Intervals, tests and rebounds against textbooks, scipy and brute force."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tale_core import stats


@settings(deadline=None)
@given(values=st.lists(st.integers(1, 3000), min_size=1, max_size=50))
def test_an_interval_contains_the_mean_is_not_below_0_and_with_many_values_stays_within_them(values: list[int]) -> None:
    found = stats.mean_interval(tuple(values))
    assert found is not None
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert 0 <= found.low <= found.mean <= found.high
    if len(values) >= 30:
        assert min(values) <= found.low and found.high <= max(values)
    if len(set(values)) == 1:
        assert found.low == found.high == values[0]


@pytest.mark.parametrize("n", [2, 3, 5, 12, 29, 40])
def test_an_interval_holds_the_mean_as_often_as_it_says_however_few_values_there_are(n: int) -> None:
    rng = random.Random(n)
    found = [stats.mean_interval(tuple(rng.gauss(200, 40) for _ in range(n))) for _ in range(600)]
    held = sum(one is not None and one.low <= 200 <= one.high for one in found)
    assert 0.92 <= held / 600 <= 0.98


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
