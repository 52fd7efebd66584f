"""Kappa against published worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.labels.agreement import cohen, everyone, fleiss, pairs, strength

pytestmark = pytest.mark.sqlite_only("no database is opened")

# Fleiss 1971 as worked in full in Wikipedia's "Fleiss' kappa": 10 subjects, 14 raters, 5 categories; kappa = 0.210.
WORKED = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip


def test_fleiss_gives_the_published_worked_example() -> None:
    assert fleiss(np.array(WORKED)) == pytest.approx(0.20993, abs=5e-6)


@pytest.mark.parametrize(
    ("table", "kappa"),
    # The proposals of Wikipedia's "Cohen's kappa" (20/5/10/15), and its two tables of the same agreement (60 %).
    [((20, 5, 10, 15), 0.4), ((45, 15, 25, 15), 0.1304), ((25, 35, 5, 35), 0.2593)],
)
def test_cohen_gives_the_published_worked_examples(table: tuple[int, ...], kappa: float) -> None:
    both, only_first, only_second, neither = table
    first = ["right"] * (both + only_first) + ["wrong"] * (only_second + neither)
    second = ["right"] * both + ["wrong"] * only_first + ["right"] * only_second + ["wrong"] * neither
    assert cohen(first, second) == pytest.approx(kappa, abs=5e-5)
    said = {"a": dict(enumerate(first)), "b": dict(enumerate(second))}
    (pair,) = pairs({k: {str(t): v for t, v in of.items()} for k, of in said.items()}, {})
    assert pair.n == len(first) and pair.same == pytest.approx((both + neither) / len(first))
    assert pair.kappa is not None and pair.kappa.mean == pytest.approx(kappa, abs=5e-5)
    assert pair.kappa.low < pair.kappa.mean < pair.kappa.high


def test_items_that_one_person_saw_say_nothing_about_agreement() -> None:
    said = {"a": {"x": "right", "y": "wrong", "z": "right"}, "b": {"x": "right", "y": "wrong"}}
    found = everyone(said, {})
    assert found.n == 2 and found.kappa is not None and found.kappa.mean == pytest.approx(1.0)
    assert everyone({"a": {"x": "right"}}, {}).kappa is None


def test_verdicts_that_are_all_the_same_have_no_kappa() -> None:
    assert cohen(["right"] * 5, ["right"] * 5) is None
    said = {"a": {"x": "right"}, "b": {"x": "right"}}
    assert everyone(said, {}).kappa is None and everyone(said, {}).same == 1.0


def test_unsure_is_no_verdict() -> None:
    said = {"a": {"x": "right", "y": "unsure", "z": "wrong"}, "b": {"x": "right", "y": "wrong", "z": "wrong"}}
    (pair,) = pairs(said, {"a": "Ada", "b": "Ben"})
    assert pair.names == ("Ada", "Ben") and pair.n == 2 and pair.same == 1.0
    assert everyone(said, {}).n == 2


def test_answers_that_more_people_saw_weigh_more() -> None:
    # Fleiss, Levin and Paik 2003, ch. 18, by hand: of 2, 3 and 5 raters 1, 3 and 1 say right, so that 5 of 10 are.
    # kappa = 1 - sum(x (m - x) / m) / (n (m_mean - 1) p q) = 1 - (1/2 + 0 + 4/5) / ((10 - 3) / 4).
    uneven = np.array([(1, 1), (0, 3), (4, 1)])
    assert fleiss(uneven) == pytest.approx(1 - 1.3 / 1.75)
    # Two who never agree beyond chance, seen again and again by a crowd that always does: it is nearly agreement.
    assert fleiss(np.array([(1, 1), (0, 50), (50, 0)])) == pytest.approx(1 - 0.5 / (99 / 4))


def test_an_answer_that_one_person_saw_has_no_weight() -> None:
    table = [(1, 1), (0, 3), (4, 1)]
    assert fleiss(np.array([*table, (1, 0), (0, 0)])) == fleiss(np.array(table))
    assert fleiss(np.array([(1, 0), (0, 1)])) is None and fleiss(np.empty((0, 2))) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_fleiss_for_two_is_scotts_pi_and_both_stay_in_their_range(pairs_: list[tuple[bool, bool]]) -> None:
    table = [[int(not a) + int(not b), int(a) + int(b)] for a, b in pairs_]
    share = sum(row[1] for row in table) / (2 * len(table))
    chance = share**2 + (1 - share) ** 2
    found = fleiss(np.array(table))
    if chance == 1:
        assert found is None
        return
    same = sum(a == b for a, b in pairs_) / len(pairs_)
    assert found == pytest.approx((same - chance) / (1 - chance))
    assert found is not None and -1.0001 <= found <= 1.0001


def test_kappas_are_named_after_landis_and_koch() -> None:
    assert [strength(k) for k in (0.95, 0.7, 0.41, 0.2, 0.0, -0.1)] == [
        "almost perfect", "substantial", "moderate", "fair", "slight", "worse than chance",
    ]  # fmt: skip
