"""The intervals of saving and agreement on traffic whose truth is known, and the choice that is made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tale_core.proxy.figures import best, findings
from tale_core.proxy.plan import ERROR, LEAST_PAIRS
from tale_core.stats import ratio_evidence, share_evidence
from tale_core.store import Pair
from tale_core.store.traffic import Verdict

AGREEMENT = 0.94


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Plain and changed tokens: a few long answers carry most; one in eight breaks and is asked for twice."""
    plain = np.exp(rng.normal(5.3, 0.8, n))
    changed = np.minimum(plain * 1.2, 20 + plain * rng.beta(2, 1.5, n))
    return plain.round(), np.where(rng.random(n) < 0.125, changed + plain, changed).round()


def pairs(
    rng: np.random.Generator, n: int, *, strategy: str = "concise", agreement: float = AGREEMENT, dearer: float = 1.0
) -> list[Pair]:
    verdicts: list[Verdict] = ["agree" if rng.random() < agreement else "differ" for _ in range(n)]
    return [
        Pair(str(i), "u", "m", strategy, "observed", plain_tokens=int(a), changed_tokens=int(dearer * b), verdict=v)
        for i, (a, b, v) in enumerate(zip(*drawn(rng, n), verdicts, strict=True))
    ]  # fmt: skip


def test_the_intervals_cover_the_truth_in_at_least_93_of_100_draws() -> None:
    rng = np.random.default_rng(19)
    plain, changed = drawn(rng, 2_000_000)
    saving = 1 - changed.sum() / plain.sum()
    draws, covered, agreed = 400, 0, 0
    for _ in range(draws):
        (found,) = findings(pairs(rng, 120))
        assert found.saving is not None
        assert found.agreement is not None
        covered += found.saving.low <= saving <= found.saving.high
        agreed += found.agreement.low <= AGREEMENT <= found.agreement.high
    assert covered >= 0.93 * draws, covered
    assert agreed >= 0.93 * draws, agreed


def test_looked_at_after_every_question_a_change_that_does_not_do_is_as_seldom_chosen_as_is_said() -> None:
    """One change agrees in just too few answers, another saves just nothing; the intervals alone would choose often."""
    rng = np.random.default_rng(7)
    plain, changed = drawn(rng, 500_000)
    nothing = plain.sum() / changed.sum()
    draws, wrong, by_intervals = 50, 0, 0
    for _ in range(draws):
        seldom = pairs(rng, 100, agreement=0.9)
        dear = pairs(rng, 100, strategy="fixed:60", agreement=1.0, dearer=nothing)
        chosen, naive = False, False
        for n in range(LEAST_PAIRS, 101, 2):
            found = findings([*seldom[:n], *dear[:n]])
            chosen = chosen or best(found, 0.9) is not None
            naive = naive or any(
                f.saving and f.saving.low > 0 and f.agreement and f.agreement.low >= 0.9 for f in found
            )
        wrong += chosen
        by_intervals += naive
    assert wrong <= ERROR * draws < by_intervals, (wrong, by_intervals)


def test_evidence_for_a_share_keeps_its_error_through_hundreds_of_looks() -> None:
    rng = np.random.default_rng(11)
    draws = 300
    right = (rng.random((draws, 300)) < 0.9).cumsum(axis=1)
    ever = sum(any(share_evidence(int(r), n, 0.9) >= math.log(20) for n, r in enumerate(row, 1)) for row in right)
    assert ever <= 0.05 * draws, ever
    assert share_evidence(100, 100, 0.9) > math.log(20) > share_evidence(95, 100, 0.9)
    assert (share_evidence(9, 9, 0.0), share_evidence(9, 9, 1.0)) == (math.inf, -math.inf)


@pytest.mark.parametrize(("one_in", "times", "else_"), [(8, 2, 6 / 7), (50, 10, 40 / 49)])
def test_evidence_for_a_saving_keeps_its_error_where_a_few_answers_run_on(
    one_in: int, times: int, else_: float
) -> None:
    """What most answers save, a few lose again: until one of those comes, every interval is on the wrong side."""
    rng = np.random.default_rng(13)
    draws, ever = 200, 0
    for _ in range(draws):
        plain = np.exp(rng.normal(5.3, 0.8, 200))
        changed = plain * np.where(rng.random(200) < 1 / one_in, times, else_)
        ever += any(ratio_evidence(changed[:n], plain[:n]) >= math.log(20) for n in range(LEAST_PAIRS, 201, 4))
    assert ever <= 0.05 * draws, ever
    assert ratio_evidence([60] * 150, [100] * 150) > math.log(20)


def test_a_change_is_chosen_only_when_it_surely_saves_and_surely_agrees_often_enough() -> None:
    rng = np.random.default_rng(3)
    good, bad = pairs(rng, 400, agreement=0.99), pairs(rng, 200, strategy="fixed:1", agreement=0.5)
    found = findings([*good, *bad])
    assert {one.strategy: one.next(0.9) for one in found} == {"concise": "chosen", "fixed:1": "worse"}
    chosen = best(found, 0.9)
    assert chosen is not None
    assert chosen.strategy == "concise"
    assert "of output tokens saved, answers agree in" in chosen.sentence
    assert chosen.saving is not None and chosen.sentence.startswith(f"{100 * chosen.saving.mean:.0f} % ± ")
    (few,) = findings(good[:20])
    assert (few.next(0.9), best([few], 0.9)) == ("more", None)
    assert findings(good[:2])[0].sentence == "2 questions were asked both ways: too few for a figure."
