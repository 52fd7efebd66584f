"""Training: compare the candidates on questions they have not seen, keep the best that beats the constant beyond noise.

`regression.train` and `calibrated.train` are its two uses. A report's sentences are English, since it is stored (see
`words`); errors are in the reader's language. Imports scikit-learn; everything runs on one thread, so the
same rows and seed give the same numbers, and nothing else on the machine is slowed down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tale_core.errors import TrainingError
from tale_core.estimators import evaluation, insight, words
from tale_core.estimators.candidates import CANDIDATES, CONSTANT, UPPER, Candidate, Data
from tale_core.estimators.evaluation import HeldOut, by_loss, held_out, score, tuned
from tale_core.estimators.predictor import Kind, Metadata, TrainedEstimator, libraries, probe_values, version_of
from tale_core.estimators.report import Aim, CandidateScore, LearningCurve, TrainingReport
from tale_core.estimators.rows import MIN_ROWS, TrainingRow, fingerprint, middle_budget
from tale_core.i18n import t


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
    span = {name: "" if gain is None else f"{getattr(gain, name):.0%}" for name in ("value", "low", "high")}
    facts = {"title": best.title, "gain": span["value"], "low": span["low"], "high": span["high"]}
    if chosen is not CONSTANT:
        return (words.CALIBRATING_HELPS if best.asks_model else words.LEARNING_HELPS).format(**facts)
    used = _constant_words(rows, aim)
    same = _same_estimate(rows)
    if best.asks_model and same is not None:
        budget, count = same
        return words.TELLS_NOTHING.format(budget=budget, count=count, n=len(rows), used=used)
    return (words.NOTHING_COMPARED if gain is None else words.NOTHING_HELPS).format(**facts, used=used)


def _constant_words(rows: Sequence[TrainingRow], aim: Aim) -> str:
    if aim == "median":
        return words.GETS_THE_MIDDLE.format(budget=middle_budget(rows), n=len(rows))
    enough = round(float(np.exp(np.quantile(np.log([row.optimal_budget for row in rows]), UPPER))))
    return words.GETS_ENOUGH.format(budget=enough, share=f"{UPPER:.0%}", n=len(rows))


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
        titles = " and ".join(left)
        notes.append(words.NOT_COMPARED.format(titles=titles, estimates=estimates, n=len(rows), least=MIN_ROWS))
    if len(modes := {row.mode for row in rows if row.mode}) > 1:
        notes.append(words.OTHER_MODES.format(modes=", ".join(sorted(modes))))
    notes.append(words.LOOKS_BETTER)
    return tuple(notes)


SEED = evaluation.SEED
