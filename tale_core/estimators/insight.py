"""What else the held-out predictions tell: what more searches would bring, which features matter, where it is off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tale_core.estimators import features, text
from tale_core.estimators.candidates import Candidate, Data, Numbers, Setting
from tale_core.estimators.evaluation import SEED, HeldOut, bootstrap, folds
from tale_core.estimators.report import (
    MORE,
    Chance,
    Figure,
    Importance,
    LearningCurve,
    LearningPoint,
    Predicted,
    TopicResidual,
)
from tale_core.estimators.rows import TrainingRow
from tale_core.i18n import t

_DRAWS = 2
_SHUFFLES = 5
_SHOWN_CHARS = 300
_SMALLEST = 10
REPEATED = 10
"""Questions searched more than once from which on it is said how far searches differ."""


def learning_curve(candidate: Candidate, setting: Setting, data: Data, *, seed: int = SEED) -> LearningCurve:
    """The error of one candidate when each fold is given only so many rows; the last point has all there are."""
    most = min(len(fold.train) for fold in folds(len(data.y), seed=seed))
    sizes = sorted({size for size in (_SMALLEST, most // 4, most // 2, most) if _SMALLEST <= size <= most})
    errors = np.array([_errors(candidate, setting, data, size, seed) for size in sizes])
    points = tuple(LearningPoint(s, float(np.exp(e.mean()))) for s, e in zip(sizes, errors, strict=True))
    cut = _cut(np.array(sizes, dtype=float), errors, len(data.y)) if len(sizes) >= 3 else None
    return LearningCurve(candidate.title, points, cut, _words(cut))


def _errors(candidate: Candidate, setting: Setting, data: Data, size: int, seed: int) -> Numbers:
    """Mean absolute error of each row, in logarithms, when it is predicted from `size` other rows."""
    total = np.zeros(len(data.y))
    rng = np.random.default_rng(seed)
    for fold in folds(len(data.y), seed=seed):
        test = data.take(fold.test)
        for _ in range(_DRAWS):
            state = candidate.fit(data.take(rng.permutation(fold.train)[:size]), setting)
            total[fold.test] += np.abs(candidate.predict(state, test).median - test.y) / _DRAWS
    return total


def _cut(sizes: Numbers, errors: Numbers, rows: int) -> Figure | None:
    """What MORE further rows would cut, from error = c · rows^slope."""
    centred = np.log(sizes) - np.log(sizes).mean()

    def cut(which: Any) -> Numbers:
        with np.errstate(all="ignore"):  # Where nothing is off there is no law: nan.
            means = np.log(errors[:, which].mean(axis=-1))
            slope = np.tensordot(centred / (centred**2).sum(), means, axes=1)  # Of least squares.
        return np.asarray(1 - ((rows + MORE) / rows) ** slope, dtype=float)

    middle, ends = float(cut(np.arange(errors.shape[1]))), bootstrap(cut, errors.shape[1])
    return None if ends is None or np.isnan(middle) else Figure(middle, *ends)


def _words(cut: Figure | None) -> str:
    if cut is None:
        return t(text.TOO_FEW)
    message = text.CANNOT_TELL if cut.low <= 0 else text.WOULD_CUT
    return t(message, more=MORE, cut=f"{cut.value:.0%}", low=f"{cut.low:.0%}", high=f"{cut.high:.0%}")


def chance(rows: Sequence[TrainingRow]) -> Chance | None:
    """How far searches of the same question are apart; None where fewer than REPEATED questions were searched twice."""
    groups = [np.log([*row.earlier, row.optimal_budget]) for row in rows if row.earlier]
    if len(groups) < REPEATED:
        return None
    gaps = [abs(a - b) for group in groups for at, a in enumerate(group) for b in group[at + 1 :]]

    def shares(resamples: Any) -> Numbers:
        return np.array([_within([groups[at] for at in one]) for one in resamples])

    ends = bootstrap(shares, len(groups))
    middle = _within(groups)
    if ends is None or np.isnan(middle):
        return None
    return Chance(len(groups), sum(map(len, groups)), float(np.exp(np.mean(gaps))), Figure(middle, *ends))


def _within(groups: Sequence[Numbers]) -> float:
    """The part of the variance that lies within groups, from 0 to 1 (one-way analysis of variance, random effects)."""
    sizes = np.array([len(group) for group in groups], dtype=float)
    means = np.array([group.mean() for group in groups])
    total = sizes.sum()
    inside = sum(((group - group.mean()) ** 2).sum() for group in groups) / (total - len(groups))
    between = (sizes * (means - (sizes * means).sum() / total) ** 2).sum() / (len(groups) - 1)
    of_questions = max(0.0, (between - inside) / ((total - (sizes**2).sum() / total) / (len(groups) - 1)))
    return float(inside / (inside + of_questions)) if inside + of_questions > 0 else float("nan")


def importances(held: HeldOut, data: Data, *, seed: int = SEED) -> tuple[Importance, ...]:
    """How much worse the held-out predictions get when a group of columns is shuffled among the test rows."""
    rng = np.random.default_rng(seed)
    found = []
    for group in (features.WORDING, *features.GROUPS):
        columns, worse = features.columns(group), []
        for state, fold in held.fitted:
            part = data.take(fold.test)
            before = np.abs(held.median[fold.test] - part.y)
            for _ in range(_SHUFFLES):
                x = part.x.toarray()
                x[:, columns] = x[rng.permutation(len(x))][:, columns]
                after = held.candidate.predict(state, Data(x, part.zero, part.y)).median
                worse.append(np.abs(after - part.y) - before)
        found.append(Importance(group, float(np.exp(np.concatenate(worse).mean()))))
    return tuple(sorted(found, key=lambda i: -i.factor))


def residuals(held: HeldOut, data: Data, rows: Sequence[TrainingRow]) -> tuple[TopicResidual, ...]:
    """By topic, the most frequent first."""
    by_topic: dict[str, list[float]] = defaultdict(list)
    for row, off in zip(rows, held.median - data.y, strict=True):
        if not np.isnan(off):
            by_topic[row.question.topic or text.NO_TOPIC].append(float(off))
    found = [TopicResidual(topic, len(offs), float(np.exp(np.median(offs)))) for topic, offs in by_topic.items()]
    return tuple(sorted(found, key=lambda r: (-r.n, r.topic)))


def predictions(held: HeldOut, rows: Sequence[TrainingRow]) -> tuple[Predicted, ...]:
    """Every held-out prediction beside its optimum, in tokens."""
    found = []
    for row, median, radius in zip(rows, held.median, held.radius, strict=True):
        if np.isnan(median):
            continue
        low, high = (
            (None, None) if np.isnan(radius) else (float(np.exp(median - radius)), float(np.exp(median + radius)))
        )
        shown = row.question.text[:_SHOWN_CHARS]
        found.append(Predicted(shown, row.optimal_budget, float(np.exp(median)), low, high))
    return tuple(found)
