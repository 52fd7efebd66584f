"""Training: compare the candidates on questions they have not seen, keep the best that beats the constant beyond noise.

`regression.train` and `calibrated.train` are its two uses. Imports scikit-learn; everything runs on one thread, so the
same rows and seed give the same numbers, and nothing else on the machine is slowed down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tale_core.errors import TrainingError
from tale_core.estimators import evaluation, insight
from tale_core.estimators.candidates import CANDIDATES, CONSTANT, UPPER, Candidate, Data
from tale_core.estimators.evaluation import HeldOut, by_loss, held_out, score, tuned
from tale_core.estimators.predictor import Kind, Metadata, TrainedEstimator, libraries, probe_values, version_of
from tale_core.estimators.report import Aim, CandidateScore, LearningCurve, TrainingReport
from tale_core.estimators.rows import MIN_ROWS, TrainingRow, fingerprint, middle_budget


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is compared, and who may be kept.

    Attributes:
        shown: Compared only.
        eligible: May be kept; the constant always may.
    """

    kind: Kind
    eligible: tuple[Candidate, ...]
    shown: tuple[Candidate, ...] = ()


def run(
    contest: Contest,
    rows: Sequence[TrainingRow],
    *,
    model: str,
    template: str,
    trained_on: str,
    aim: Aim,
    seed: int,
    notes: Sequence[str] = (),
) -> TrainedEstimator:
    """Train on rows of one model and wording.

    Raises:
        TrainingError: The optima or the questions are all the same.
    """
    require_variety(rows)
    with threadpool_limits(limits=1):
        data = Data.of(rows)
        report, chosen, curve = _compared(contest, rows, data, aim=aim, seed=seed)
        setting, radius = tuned(chosen, data, aim, seed=seed)
        state = chosen.fit(data, setting)
    report = replace(report, model=model, template=template, learning_curve=curve, notes=(*notes, *report.notes))
    metadata = Metadata(
        kind=contest.kind,
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
            f"All {len(rows)} searched optima are {budget} tokens: there is nothing to learn.",
            f"Use fixed:{budget}, or search questions of different difficulty.",
        )
    first = Data.of(rows).x
    if (first != first[0][np.zeros(len(rows), dtype=int)]).nnz == 0:
        raise TrainingError(
            f"All {len(rows)} questions look the same to the estimator: there is nothing to tell them apart by.",
            f"Use fixed:{budget}, the middle of their optima, or search other questions.",
        )


def _compared(
    contest: Contest, rows: Sequence[TrainingRow], data: Data, *, aim: Aim, seed: int
) -> tuple[TrainingReport, Candidate, LearningCurve | None]:
    estimates = int((~np.isnan(data.zero)).sum())
    wanted = (CONSTANT, *contest.eligible, *contest.shown)
    there = [c for c in wanted if not c.needs_estimate or estimates >= MIN_ROWS]
    held = {c.name: held_out(c, data, aim, seed=seed) for c in there}
    settings = {c.name: tuned(c, data.take(~np.isnan(held[c.name].median)), aim, seed=seed).setting for c in there}
    scores = [score(h, held["constant"], data, aim, settings[name]) for name, h in held.items()]
    best = by_loss([s for s in scores if s.name in {c.name for c in contest.eligible}])[0]
    chosen = CANDIDATES[best.name] if best.gain is not None and best.gain.low > 0 else CONSTANT
    report = _report(contest, rows, scores, held, data, aim=aim, chosen=chosen, seed=seed)
    report = replace(report, reason=_reason(chosen, best, rows, aim), notes=_notes(wanted, there, estimates, rows))
    curve = None
    if not CANDIDATES[best.name].needs_estimate:
        curve = insight.learning_curve(CANDIDATES[best.name], settings[best.name], data, seed=seed)
    return report, chosen, curve


def _report(
    contest: Contest,
    rows: Sequence[TrainingRow],
    scores: Sequence[CandidateScore],
    held: dict[str, HeldOut],
    data: Data,
    *,
    aim: Aim,
    chosen: Candidate,
    seed: int,
) -> TrainingReport:
    budgets = [row.optimal_budget for row in rows]
    reads_text = chosen is not CONSTANT and not chosen.needs_estimate
    return TrainingReport(
        kind=contest.kind,
        model="",
        template="",
        rows=len(rows),
        aim=aim,
        chosen=chosen.name,
        reason="",
        smallest=min(budgets),
        middle=float(np.median(budgets)),
        largest=max(budgets),
        candidates=tuple(by_loss(scores)),
        importances=insight.importances(held[chosen.name], data, seed=seed) if reads_text else (),
        residuals=insight.residuals(held[chosen.name], data, rows),
        predictions=insight.predictions(held[chosen.name], rows),
    )


def _reason(chosen: Candidate, best: CandidateScore, rows: Sequence[TrainingRow], aim: Aim) -> str:
    gain = best.gain
    span = "" if gain is None else f"{gain.value:.0%} (95 % interval {gain.low:.0%} to {gain.high:.0%})"
    if chosen is not CONSTANT:
        better = f"the loss is lower than the constant's by {span}"
        if best.asks_model:
            return f"Calibrating the model's own estimate helps: {better}."
        return f"Of what costs no call, {best.title} predicts optima best: {better}."
    used = f"every question gets {_constant_words(rows, aim)}"
    same = _same_estimate(rows)
    if best.asks_model and same is not None:
        budget, count = same
        return f"The model names {budget} tokens for {count} of {len(rows)} questions, which tells nothing; so {used}."
    beaten = f" ({best.title}: {span})" if span else ""
    return f"Nothing that was learnt beats a constant beyond noise{beaten}; so {used}."


def _constant_words(rows: Sequence[TrainingRow], aim: Aim) -> str:
    if aim == "median":
        return f"{middle_budget(rows)} tokens, the middle of {len(rows)} searched optima"
    enough = round(float(np.exp(np.quantile(np.log([row.optimal_budget for row in rows]), UPPER))))
    return f"{enough} tokens, enough for {UPPER:.0%} of {len(rows)} searched optima"


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
        have = f"{estimates} of {len(rows)} questions have the model's own estimate, {MIN_ROWS} are needed"
        notes.append(f"Not compared: {', '.join(left)} ({have}).")
    if len(modes := {row.mode for row in rows if row.mode}) > 1:
        notes.append(f"The optima come from different search modes ({', '.join(sorted(modes))}).")
    notes.append(
        "The best of several candidates looks a little better than it is. Whether answers under these budgets are "
        "right, and what they cost in all, an experiment has to measure."
    )
    return tuple(notes)


SEED = evaluation.SEED
