"""Nested cross-validation of candidates: every number comes from questions that the predictor had not seen.

The outer folds score, the inner folds choose settings and measure how wide an interval must be. All candidates get the
same folds. Intervals are conformal: the residuals of inner, held-out predictions say by which factor nine out of ten
optima are missed at most (Vovk 2015, cross-conformal prediction; Lei et al. 2018, split conformal regression).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata  # type: ignore[import-untyped]

from tale_core.estimators.candidates import (
    CANDIDATES,
    CONSTANT,
    UPPER,
    Candidate,
    Data,
    Numbers,
    Quantiles,
    Setting,
    State,
)
from tale_core.estimators.report import Aim, CandidateScore, Figure
from tale_core.stats import wilson

LEVEL = 0.9
"""Share of optima that an interval shall hold."""

FOLDS = 5
INNER_FOLDS = 3
SEED = 20_241_218
RESAMPLES = 1_000
_CELLS = 2_000_000
"""Numbers resampled in one bootstrap at most, to bound its time and memory."""


class Fold(NamedTuple):
    """Row numbers."""

    train: np.ndarray[tuple[int], np.dtype[np.int64]]
    test: np.ndarray[tuple[int], np.dtype[np.int64]]


class Tuned(NamedTuple):
    """A chosen setting, and the half-width of its 90 % interval in logarithms (None: too few residuals)."""

    setting: Setting
    radius: float | None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions of one candidate for rows it was not fitted on; nan for rows it cannot predict.

    Attributes:
        radius: Half-widths of the 90 % intervals; nan without one.
        fitted: The fitted states with their test rows.
    """

    candidate: Candidate
    median: Numbers
    upper: Numbers
    radius: Numbers
    fitted: tuple[tuple[State, Fold], ...]

    def at(self, aim: Aim) -> Numbers:
        """The prediction that is handed out."""
        return self.median if aim == "median" else self.upper


def folds(rows: int, count: int = FOLDS, *, seed: int = SEED) -> Iterator[Fold]:
    """`count` shuffled folds, the same for the same number of rows and seed."""
    parts = np.array_split(np.random.default_rng(seed).permutation(rows), count)
    for i, test in enumerate(parts):
        yield Fold(np.concatenate([p for j, p in enumerate(parts) if j != i]), np.sort(test))


def pinball(y: Numbers, predicted: Numbers, aim: Aim) -> Numbers:
    """Pinball loss of each prediction at the aimed quantile."""
    q = 0.5 if aim == "median" else UPPER
    return np.maximum(q * (y - predicted), (q - 1) * (y - predicted))


def conformal_radius(residuals: Numbers) -> float | None:
    """The residual that LEVEL of new ones will not pass; None when there are too few to say."""
    rank = math.ceil((len(residuals) + 1) * LEVEL)
    return float(np.sort(np.abs(residuals))[rank - 1]) if rank <= len(residuals) else None


def tuned(candidate: Candidate, data: Data, aim: Aim, *, seed: int = SEED) -> Tuned:
    """Choose the setting with the lowest held-out loss, and measure its interval on the same held-out predictions."""
    best, best_loss, best_residuals = candidate.settings[0], math.inf, np.empty(0)
    parts = _inner_parts(data, seed)
    for setting in candidate.settings:
        predicted = Quantiles(np.empty(len(data.y)), np.empty(len(data.y)))
        for known, unknown, test in parts:
            found = candidate.predict(candidate.fit(known, setting), unknown)
            predicted.median[test], predicted.upper[test] = found
        handed_out = predicted.median if aim == "median" else predicted.upper
        loss = float(pinball(data.y, handed_out, aim).mean())
        if loss < best_loss:
            best, best_loss, best_residuals = setting, loss, data.y - predicted.median
    return Tuned(best, conformal_radius(best_residuals))


def _inner_parts(data: Data, seed: int) -> list[tuple[Data, Data, Any]]:
    # Cut once for all candidates: what one computes from a part, the next finds there.
    if ("parts", seed) not in data.memo:
        cut = folds(len(data.y), INNER_FOLDS, seed=seed)
        data.memo["parts", seed] = [(data.take(train), data.take(test), test) for train, test in cut]
    parts: list[tuple[Data, Data, Any]] = data.memo["parts", seed]
    return parts


def held_out(candidate: Candidate, data: Data, aim: Aim, *, seed: int = SEED) -> HeldOut:
    """Predict every row by a model that has not seen it, its setting chosen without it as well."""
    return held_out_by_each([candidate], data, aim, seed=seed)[candidate.name]


def held_out_by_each(candidates: Sequence[Candidate], data: Data, aim: Aim, *, seed: int = SEED) -> dict[str, HeldOut]:
    """`held_out` of several candidates, by name: fold by fold, so that they share what a fold's questions cost."""
    rows = len(data.y)
    empty = np.full((len(candidates), 3, rows), np.nan)
    fitted: dict[str, list[tuple[State, Fold]]] = {c.name: [] for c in candidates}
    for fold in folds(rows, seed=seed):
        for needs_estimate in (False, True):
            cut = Fold(*(part[_usable(data, needs_estimate)[part]] for part in fold))
            known, unknown = data.take(cut.train), data.take(cut.test)
            for candidate, (median, upper, radius) in zip(candidates, empty, strict=True):
                if candidate.needs_estimate != needs_estimate or not len(cut.test):
                    continue
                setting, wide = tuned(candidate, known, aim, seed=seed)
                state = candidate.fit(known, setting)
                median[cut.test], upper[cut.test] = candidate.predict(state, unknown)
                radius[cut.test] = np.nan if wide is None else wide
                fitted[candidate.name].append((state, cut))
    return {
        candidate.name: HeldOut(candidate, median, upper, radius, tuple(fitted[candidate.name]))
        for candidate, (median, upper, radius) in zip(candidates, empty, strict=True)
    }


def _usable(data: Data, needs_estimate: bool) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return ~np.isnan(data.zero) if needs_estimate else np.ones(len(data.zero), dtype=bool)


def score(held: HeldOut, constant: HeldOut, data: Data, aim: Aim, setting: Setting) -> CandidateScore:
    """The figures of one candidate, compared with the constant on the same rows."""
    there = ~np.isnan(held.median)
    y, median, handed_out = data.y[there], held.median[there], held.at(aim)[there]
    loss, base = pinball(y, handed_out, aim), pinball(y, constant.at(aim)[there], aim)
    radius = held.radius[there]
    bounded = not np.isnan(radius).any()
    # An optimum exactly at the end of its interval is inside, whatever the last digit says.
    inside = np.abs(y - median) <= radius + 1e-9
    return CandidateScore(
        name=held.candidate.name,
        title=held.candidate.title,
        asks_model=held.candidate.needs_estimate,
        n=len(y),
        folds=FOLDS,
        mae_tokens=mean(np.abs(np.exp(y) - np.exp(median))),
        error_factor=float(np.exp(np.abs(y - median).mean())),
        pinball=mean(loss),
        pinball_tokens=float(pinball(np.exp(y), np.exp(handed_out), aim).mean()),
        coverage=_share(inside) if bounded else None,
        interval_factor=float(np.exp(np.median(radius))) if bounded else None,
        spearman=_spearman(median, y),
        gain=None if held is constant else _gain(base, loss),
        enough=_share(np.round(np.exp(handed_out)) >= np.round(np.exp(y))),
        mean_budget=float(np.exp(handed_out).mean()),
        setting=dict(setting),
    )


def bootstrap(values: Callable[[Any], Numbers], rows: int) -> tuple[float, float] | None:
    """The 95 % interval (percentiles) of a statistic of row numbers; None when nearly no resample has one.

    Args:
        values: The statistic of each line of a matrix of row numbers.
        rows: How many there are.
    """
    rng = np.random.default_rng(SEED)
    count = max(200, min(RESAMPLES, _CELLS // max(1, rows)))
    found = values(rng.integers(0, rows, (count, rows)))
    found = found[np.isfinite(found)]
    if len(found) < count // 2:
        return None
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def mean(values: Numbers) -> Figure:
    """The mean of at least one number."""
    middle = float(values.mean())
    low, high = bootstrap(lambda rows: values[rows].mean(axis=-1), len(values)) or (middle, middle)
    return Figure(middle, low, high)


def _share(which: np.ndarray[Any, np.dtype[np.bool_]]) -> Figure:
    share = wilson(int(which.sum()), len(which))
    assert share is not None, "a candidate is scored on at least one row"
    return Figure(share.mean, share.low, share.high)


def _gain(base: Numbers, loss: Numbers) -> Figure | None:
    """How much lower the loss is, as a share of the constant's; rows are resampled in pairs."""
    if base.mean() <= 0:
        return None

    def gain(rows: Any) -> Numbers:
        with np.errstate(all="ignore"):  # Where the constant is never off, there is no gain: nan.
            return np.asarray(1 - loss[rows].mean(axis=-1) / base[rows].mean(axis=-1), dtype=float)

    ends = bootstrap(gain, len(base))
    return None if ends is None else Figure(float(gain(np.arange(len(base)))), *ends)


def _spearman(predicted: Numbers, y: Numbers) -> Figure | None:
    # Predictions of the constant differ from fold to fold; that is no ranking.
    if len(np.unique(predicted)) <= FOLDS or np.ptp(y) == 0:
        return None

    def correlation(rows: Any) -> Numbers:
        a, b = (rankdata(of[rows], axis=-1) for of in (predicted, y))
        a, b = (of - of.mean(axis=-1, keepdims=True) for of in (a, b))
        with np.errstate(all="ignore"):  # No ranking without two different values: nan.
            return np.asarray((a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1)), dtype=float)

    ends = bootstrap(correlation, len(y))
    return None if ends is None else Figure(float(correlation(np.arange(len(y)))), *ends)


class Comparison(NamedTuple):
    """Candidates on the same folds.

    Attributes:
        scores: The best first.
        best: The best of those that may be kept.
        chosen: The same, if it beats the constant beyond noise; else the constant.
    """

    held: dict[str, HeldOut]
    settings: dict[str, Setting]
    scores: tuple[CandidateScore, ...]
    best: CandidateScore
    chosen: Candidate


def compare(there: Sequence[Candidate], eligible: Sequence[str], data: Data, aim: Aim, *, seed: int) -> Comparison:
    """Predict every row by every candidate from other rows; the constant is one of them."""
    held = held_out_by_each(there, data, aim, seed=seed)
    whole = {False: data, True: data.take(_usable(data, True))}
    settings = {c.name: tuned(c, whole[c.needs_estimate], aim, seed=seed).setting for c in there}
    scores = [score(h, held[CONSTANT.name], data, aim, settings[name]) for name, h in held.items()]
    scores.sort(key=lambda s: s.pinball.value)
    best = next(s for s in scores if s.name in eligible)
    chosen = CANDIDATES[best.name] if best.gain is not None and best.gain.low > 0 else CONSTANT
    return Comparison(held, settings, tuple(scores), best, chosen)
