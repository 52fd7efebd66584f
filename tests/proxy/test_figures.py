"""The intervals of saving and agreement on traffic whose truth is known, and the choice that is made of them."""

from __future__ import annotations

import numpy as np

from tale_core.proxy.figures import best, findings
from tale_core.store import Pair
from tale_core.store.traffic import Verdict

AGREEMENT = 0.94


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Plain and changed tokens: a few long answers carry most; one in eight breaks and is asked for twice."""
    plain = np.exp(rng.normal(5.3, 0.8, n))
    changed = np.minimum(plain * 1.2, 20 + plain * rng.beta(2, 1.5, n))
    return plain.round(), np.where(rng.random(n) < 0.125, changed + plain, changed).round()


def pairs(rng: np.random.Generator, n: int, *, strategy: str = "concise", agreement: float = AGREEMENT) -> list[Pair]:
    verdicts: list[Verdict] = ["agree" if rng.random() < agreement else "differ" for _ in range(n)]
    return [
        Pair(str(i), "u", "m", strategy, "observed", plain_tokens=int(a), changed_tokens=int(b), verdict=v)
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


def test_a_change_is_chosen_only_when_it_surely_saves_and_surely_agrees_often_enough() -> None:
    rng = np.random.default_rng(3)
    good, bad = pairs(rng, 200, agreement=0.99), pairs(rng, 200, strategy="fixed:1", agreement=0.5)
    found = findings([*good, *bad])
    assert {one.strategy: one.next(0.9) for one in found} == {"concise": "chosen", "fixed:1": "worse"}
    chosen = best(found, 0.9)
    assert chosen is not None
    assert chosen.strategy == "concise"
    assert "of output tokens saved, answers agree in" in chosen.sentence
    (few,) = findings(good[:20])
    assert (few.next(0.9), best([few], 0.9)) == ("more", None)
    assert findings(good[:2])[0].sentence == "2 questions were asked both ways: too few for a figure."
