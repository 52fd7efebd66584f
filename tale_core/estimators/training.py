"""Training: compare the candidates on questions they have not seen, keep the best that beats the constant beyond noise.

The sentences of a report are in `text`. Imports scikit-learn; everything runs on one thread, so the same rows and
seed give the same numbers, and nothing else on the machine is slowed down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn import config_context  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tale_core.errors import TrainingError
from tale_core.estimators import evaluation, insight, text
from tale_core.estimators.candidates import CANDIDATES, CONSTANT, UPPER, Candidate, Data
from tale_core.estimators.evaluation import Comparison, compare, tuned
from tale_core.estimators.kinds import Training, trainings
from tale_core.estimators.predictor import LENGTH, Metadata, TrainedEstimator, libraries, probe_values, version_of
from tale_core.estimators.report import Aim, CandidateScore, Chance, Figure, LearningCurve, TrainingReport
from tale_core.estimators.rows import MIN_ROWS, TrainingRow, fingerprint, middle_budget, require_rows, select_rows
from tale_core.i18n import t

TELL_LENGTHS = ("ridge", "neighbours")
"""What may tell a vanilla answer's length: the quick ones; boosting takes most of a training's time."""


def train(
    kind: str,
    rows: Sequence[TrainingRow],
    *,
    model: str,
    template: str,
    trained_on: str = "",
    aim: Aim = "median",
    seed: int = evaluation.SEED,
) -> TrainedEstimator:
    """Train on the searches of one model and prompt template.

    Args:
        kind: A name of `trainings()`.
        rows: Of any models and prompt templates; those of others are left out.
        model: The model whose optima are predicted.
        template: The template they were searched with.
        trained_on: When, in ISO 8601; stored, and part of the version.
        aim: Hand out the middle prediction, or one that is enough for nine questions out of ten.
        seed: The same rows and seed give the same estimator.

    Raises:
        TooFewRowsError: Fewer than MIN_ROWS rows that it can learn from.
        TrainingError: Too many rows, or all optima or all questions the same.
    """
    how = trainings()[kind]
    mine = select_rows(rows, model=model, template=template)
    rows = require_rows(mine, model=model, template=template, needs_estimate=how.needs_estimate)
    require_variety(rows)
    # The numbers are our own: looking through them at every step takes a seventh of the time.
    with threadpool_limits(limits=1), config_context(assume_finite=True, skip_parameter_validation=True):
        data = Data.of(rows)
        report, chosen, curve = _compared(how, rows, data, aim=aim, seed=seed)
        setting, radius = tuned(chosen, data, aim, seed=seed)
        state = chosen.fit(data, setting)
        lengths = None if how.needs_estimate else _lengths(rows, data, seed=seed)
        if lengths is not None and lengths.chosen is not CONSTANT:
            state[LENGTH] = lengths.chosen.fit(_of_length(rows, data), lengths.settings[lengths.chosen.name])
    left = len(mine) - len(rows)
    notes = (t(text.NEVER_ASKED, n=left), *report.notes) if left else report.notes
    report = replace(
        report, kind=kind, model=model, template=template, learning_curve=curve, notes=notes,
        chance=(found := insight.chance(rows)), lengths=lengths.scores if lengths else (),
        findings=(*_chance_words(found), *_length_words(lengths)),
    )  # fmt: skip
    metadata = Metadata(
        kind=kind,
        model=model,
        template=template,
        candidate=chosen.name,
        reads_estimate=chosen.needs_estimate and state.get("shape") != "constant",
        aim=aim,
        trained_on=trained_on,
        rows=len(rows),
        fingerprint=fingerprint(rows),
        seed=seed,
        fallback=middle_budget(rows),
        radius=radius,
        length=lengths.chosen.name if lengths and LENGTH in state else None,
        libraries=libraries(),
        report=report,
    )
    metadata = replace(metadata, version=version_of(metadata), probes=probe_values(metadata, state))
    return TrainedEstimator(metadata, state)


def require_variety(rows: Sequence[TrainingRow]) -> None:
    """Check that there is something to tell apart.

    Raises:
        TrainingError: With what to use instead.
    """
    budget = middle_budget(rows)
    if len({row.optimal_budget for row in rows}) == 1:
        raise TrainingError(
            t("All {n} searched optima are {budget} tokens: there is nothing to learn.", n=len(rows), budget=budget),
            t("Use fixed:{budget}, or search questions of different difficulty.", budget=budget),
        )
    first = Data.of(rows).x
    if (first != first[0][np.zeros(len(rows), dtype=int)]).nnz == 0:
        raise TrainingError(
            t(
                "All {n} questions look the same to the estimator: there is nothing to tell them apart by.",
                n=len(rows),
            ),
            t("Use fixed:{budget}, the middle of their optima, or search other questions.", budget=budget),
        )


def _compared(
    how: Training, rows: Sequence[TrainingRow], data: Data, *, aim: Aim, seed: int
) -> tuple[TrainingReport, Candidate, LearningCurve | None]:
    estimates = int((~np.isnan(data.zero)).sum())
    wanted = [CANDIDATES[name] for name in ("constant", *how.eligible, *how.shown)]
    there = [c for c in wanted if not c.needs_estimate or estimates >= MIN_ROWS]
    found = compare(there, how.eligible, data, aim, seed=seed)
    best, chosen = found.best, found.chosen
    report = _report(rows, found, data, aim=aim, seed=seed)
    report = replace(report, reason=_reason(chosen, best, rows, aim), notes=_notes(wanted, there, estimates, rows))
    curve = None
    if not CANDIDATES[best.name].needs_estimate:
        curve = insight.learning_curve(CANDIDATES[best.name], found.settings[best.name], data, seed=seed)
    return report, chosen, curve


def _of_length(rows: Sequence[TrainingRow], data: Data) -> Data:
    """The same questions, with the vanilla answer's tokens to be told."""
    return Data(data.x, data.zero, np.log([row.vanilla_tokens for row in rows]))


def _lengths(rows: Sequence[TrainingRow], data: Data, *, seed: int) -> Comparison:
    there = [CONSTANT, *(CANDIDATES[name] for name in TELL_LENGTHS)]
    return compare(there, TELL_LENGTHS, _of_length(rows, data), "median", seed=seed)


def _report(rows: Sequence[TrainingRow], found: Comparison, data: Data, *, aim: Aim, seed: int) -> TrainingReport:
    budgets, chosen, held = [row.optimal_budget for row in rows], found.chosen, found.held[found.chosen.name]
    reads_text = chosen is not CONSTANT and not chosen.needs_estimate
    return TrainingReport(
        kind="",
        model="",
        template="",
        rows=len(rows),
        aim=aim,
        chosen=chosen.name,
        reason="",
        smallest=min(budgets),
        middle=float(np.median(budgets)),
        largest=max(budgets),
        candidates=found.scores,
        importances=insight.importances(held, data, seed=seed) if reads_text else (),
        residuals=insight.residuals(held, data, rows),
        predictions=insight.predictions(held, rows),
    )


def _reason(chosen: Candidate, best: CandidateScore, rows: Sequence[TrainingRow], aim: Aim) -> str:
    gain = best.gain
    span = _span(gain)
    facts = {"title": t(best.title), "gain": span["value"], "low": span["low"], "high": span["high"]}
    if chosen is not CONSTANT:
        return t(text.CALIBRATING_HELPS if best.asks_model else text.LEARNING_HELPS, **facts)
    used = _constant_words(rows, aim)
    same = _same_estimate(rows)
    if best.asks_model and same is not None:
        budget, count = same
        return t(text.TELLS_NOTHING, budget=budget, count=count, n=len(rows), used=used)
    return t(text.NOTHING_COMPARED if gain is None else text.NOTHING_HELPS, **facts, used=used)


def _chance_words(found: Chance | None) -> list[str]:
    if found is None:
        return []
    return [t(text.CHANCE, n=found.questions, factor=f"{found.factor:.2f}", **_span(found.share))]


def _length_words(found: Comparison | None) -> list[str]:
    if found is None or found.best.gain is None:
        return []
    message = text.LENGTH_CANNOT if found.chosen is CONSTANT else text.LENGTH_CAN
    return [t(message, title=t(found.best.title), **_span(found.best.gain))]


def _span(figure: Figure | None) -> dict[str, str]:
    """The value and its ends as shares, under the names that sentences have for them."""
    return {name: "" if figure is None else f"{getattr(figure, name):.0%}" for name in ("value", "low", "high")}


def _constant_words(rows: Sequence[TrainingRow], aim: Aim) -> str:
    if aim == "median":
        return t(text.GETS_THE_MIDDLE, budget=middle_budget(rows), n=len(rows))
    enough = round(float(np.exp(np.quantile(np.log([row.optimal_budget for row in rows]), UPPER))))
    return t(text.GETS_ENOUGH, budget=enough, share=f"{UPPER:.0%}", n=len(rows))


def _same_estimate(rows: Sequence[TrainingRow]) -> tuple[int, int] | None:
    """The estimate that nine of ten questions get, with how many do."""
    named = Counter(row.zero_shot for row in rows if row.zero_shot is not None)
    if not named:
        return None
    budget, count = named.most_common(1)[0]
    return (budget, count) if count >= 0.9 * named.total() else None


def _notes(
    wanted: Sequence[Candidate], there: Sequence[Candidate], estimates: int, rows: Sequence[TrainingRow]
) -> tuple[str, ...]:
    notes = []
    if left := [c.title for c in wanted if c not in there]:
        titles = t(" and ".join(left))
        notes.append(t(text.NOT_COMPARED, titles=titles, estimates=estimates, n=len(rows), least=MIN_ROWS))
    if len(modes := {row.mode for row in rows if row.mode}) > 1:
        notes.append(t(text.OTHER_MODES, modes=", ".join(sorted(modes))))
    notes.append(t(text.LOOKS_BETTER))
    return tuple(notes)
