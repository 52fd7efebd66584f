"""How far annotators agree beyond chance: Cohen's kappa for two, Fleiss' kappa for all, with bootstrap intervals.

Right and wrong count; who is unsure has decided nothing.
Sources: Cohen 1960, Educ. Psychol. Meas. 20; Fleiss 1971, Psychol. Bull. 76 (for unequal numbers of raters: Fleiss,
Levin and Paik 2003, Statistical Methods for Rates and Proportions, ch. 18).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from tale_core.stats import LEVEL, Interval, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 1_000
_SEED = 20_412
_WORDS = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"), (0.2, "fair"), (0.0, "slight"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree.

    Attributes:
        names: Of two annotators, or of all.
        n: Answers that they (at least two of them) decided.
        same: Share of pairs of verdicts on one answer that are the same.
        kappa: With a 95 % interval over the answers; None where chance alone explains everything (all verdicts the
            same) or nothing was decided by two.
    """

    names: tuple[str, ...]
    n: int
    same: float | None
    kappa: Interval | None


def cohen(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa of two raters' verdicts on the same items; None where it is not defined."""
    if not first or len(set(first) | set(second)) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped]

    return float(cohen_kappa_score(list(first), list(second)))


def fleiss(table: NDArray[np.float64]) -> float | None:
    """Fleiss' kappa; None where it is not defined.

    An item of m raters weighs m - 1, as in Fleiss, Levin and Paik; where all items have as many it is that of 1971.

    Args:
        table: For each item how many raters chose each category; an item that fewer than two rated is left out.
    """
    table = table[table.sum(axis=1) > 1]
    if not len(table):
        return None
    raters = table.sum(axis=1, keepdims=True)
    differ = float((table * (raters - table) / raters).sum() / (raters - 1).sum())
    chance = 1 - float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    return None if chance <= 0 else 1 - differ / chance


def pairs(verdicts: Mapping[str, Mapping[str, str]], names: Mapping[str, str]) -> list[Agreement]:
    """The agreement of every two annotators who decided the same answers.

    Args:
        verdicts: "right", "wrong" or "unsure" by answer, for each annotator.
        names: The annotators' names.
    """
    found = []
    for a, b in combinations(sorted(verdicts, key=lambda key: names.get(key, key)), 2):
        both = [t for t in verdicts[a] if _decided(verdicts[a].get(t)) and _decided(verdicts[b].get(t))]
        if not both:
            continue
        first, second = [verdicts[a][t] for t in both], [verdicts[b][t] for t in both]
        value = cohen(first, second)
        same = sum(x == y for x, y in zip(first, second, strict=True)) / len(both)
        interval = None if value is None else _pair_interval(value, first, second)
        found.append(Agreement((names.get(a, a), names.get(b, b)), len(both), same, interval))
    return found


def everyone(verdicts: Mapping[str, Mapping[str, str]], names: Mapping[str, str]) -> Agreement:
    """The agreement of all annotators, over the answers that at least two of them decided."""
    import numpy as np

    by_target: dict[str, list[int]] = {}
    for said in verdicts.values():
        for target, value in said.items():
            if _decided(value):
                by_target.setdefault(target, [0, 0])[value == "right"] += 1
    table = np.asarray([row for row in by_target.values() if sum(row) > 1], dtype=float).reshape(-1, 2)
    kappa = fleiss(table)
    people = tuple(sorted(names.get(a, a) for a, said in verdicts.items() if any(map(_decided, said.values()))))
    raters = table.sum(axis=1)
    same = float((table * (table - 1)).sum() / (raters * (raters - 1)).sum()) if len(table) else None
    interval = None if kappa is None else _interval(kappa, len(table), lambda drawn: fleiss(table[drawn]))
    return Agreement(people, len(table), same, interval)


class SameMarks(NamedTuple):
    """Answers that several people marked, and of them those with the same sentence from all (95 % Wilson interval)."""

    same: int
    n: int
    interval: Interval


def same_marks(marks: Mapping[str, Mapping[str, str]]) -> SameMarks | None:
    """How far people mark alike; None while no answer was marked by two.

    Args:
        marks: The number of the sentence by what was marked, for each annotator.
    """
    by_target: dict[str, list[str]] = {}
    for said in marks.values():
        for target, value in said.items():
            by_target.setdefault(target, []).append(value)
    several = [values for values in by_target.values() if len(values) > 1]
    same = sum(len(set(values)) == 1 for values in several)
    interval = wilson(same, len(several))
    return None if interval is None else SameMarks(same, len(several), interval)


def strength(kappa: float) -> str:
    """A kappa in a word, after Landis and Koch 1977: an index, not a test."""
    return next((word for least, word in _WORDS if kappa >= least), "worse than chance")


def _decided(value: str | None) -> bool:
    return value in ("right", "wrong")


def _pair_interval(value: float, first: Sequence[str], second: Sequence[str]) -> Interval:
    import numpy as np

    a, b = np.asarray([v == "right" for v in first]), np.asarray([v == "right" for v in second])

    def again(drawn: NDArray[np.int64]) -> float | None:
        x, y = a[drawn], b[drawn]
        chance = x.mean() * y.mean() + (1 - x.mean()) * (1 - y.mean())
        return None if chance >= 1.0 else float(((x == y).mean() - chance) / (1 - chance))

    return _interval(value, len(first), again)


def _interval(value: float, n: int, again: Callable[[NDArray[np.int64]], float | None]) -> Interval:
    """Percentiles over resampled answers; samples in which kappa is not defined are left out."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    drawn = [found for _ in range(RESAMPLES) if (found := again(random.integers(0, n, n))) is not None]
    if not drawn:
        return Interval(value, value, value)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))
