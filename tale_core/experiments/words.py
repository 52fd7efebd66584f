"""The results of an experiment in sentences. Knows results alone."""

from __future__ import annotations

from tale_core.experiments.output_words import output_finding
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.rows import BASELINE, Change, StrategyRow
from tale_core.i18n import t

SURE = 0.05
"""Adjusted p below which a difference is called one."""


def finding(found: ExperimentResults) -> str:
    """What the experiment says, in one sentence: the strategy that saves most without being surely less accurate."""
    if not found.finished:
        return t("No answer is there yet.")
    if all(row.all_in_tokens is None for row in found.rows):
        return output_finding(found.rows)
    compared = [row for row in found.rows if row.against_vanilla is not None and row.n]
    if not compared:
        return t(
            "{finished} of {planned} answers are there; without vanilla nothing can be compared.",
            finished=found.finished,
            planned=found.planned,
        )
    saving = [row for row in compared if _saves(row) and not _less_accurate(row)]
    if saving:
        best = max(saving, key=lambda row: _saved(row) or 0.0)
        return t(
            "{strategy} spends least without being surely less accurate: {figures}",
            strategy=best.strategy,
            figures=row_words(best),
        )
    cheaper = [row for row in compared if _saves(row)]
    if cheaper:
        best = max(cheaper, key=lambda row: (row.accuracy.mean if row.accuracy else 0.0, _saved(row) or 0.0))
        return t(
            "What saves tokens is less accurate here; the most accurate of it is {strategy}: {figures}",
            strategy=best.strategy,
            figures=row_words(best),
        )
    if any(_fewer(row) for row in compared):
        return t("No strategy uses fewer all-in tokens than vanilla beyond chance: more questions would tell.")
    return t("No strategy uses fewer tokens than vanilla here, prompts and estimates counted.")


def row_words(row: StrategyRow) -> str:
    """One strategy in a sentence, against vanilla where there is one."""
    difference = row.against_vanilla
    tokens = t("no answers") if row.all_in_tokens is None else all_in_words(row.all_in_tokens.mean)
    accuracy = accuracy_words(row)
    if difference is None or difference.all_in_saving is None:
        return t("{tokens}, {accuracy}.", tokens=tokens, accuracy=accuracy)
    saving = difference.all_in_saving
    share = percent(abs(saving), 0)
    more = t("{share} fewer than {baseline}", share=share, baseline=BASELINE)
    if saving < 0:
        more = t("{share} more than {baseline}", share=share, baseline=BASELINE)
    if difference.accuracy is not None:
        accuracy += _points_words(difference.accuracy)
    return t("{tokens}, {more}, {accuracy}.", tokens=tokens, more=more, accuracy=accuracy)


def _points_words(change: Change) -> str:
    points, p = change.mean * 100, change.p_holm
    if p is None:
        return t(" ({points:+.1f} points)", points=points)
    return t(" ({points:+.1f} points, p = {p:.2g})", points=points, p=p)


def all_in_words(tokens: float) -> str:
    """A mean of all-in tokens."""
    return t("{n:.0f} all-in tokens", n=tokens)


def accuracy_words(row: StrategyRow) -> str:
    """The accuracy with its n and interval, or why there is none."""
    if row.accuracy is None:
        return t("not graded")
    mean, low, high = map(percent, row.accuracy)
    return t("{share} of {n} right (95 %: {low} to {high})", share=mean, n=row.graded, low=low, high=high)


def percent(share: float, digits: int = 1) -> str:
    """A share in words: 0.125 as "12.5 %"."""
    return f"{share * 100:.{digits}f} %"


def _saved(row: StrategyRow) -> float | None:
    return row.against_vanilla.all_in_saving if row.against_vanilla else None


def _fewer(row: StrategyRow) -> bool:
    change = row.against_vanilla.all_in_tokens if row.against_vanilla else None
    return change is not None and change.mean < 0


def _saves(row: StrategyRow) -> bool:
    change = row.against_vanilla.all_in_tokens if row.against_vanilla else None
    return _fewer(row) and change is not None and change.p_holm is not None and change.p_holm < SURE


def _less_accurate(row: StrategyRow) -> bool:
    change = row.against_vanilla.accuracy if row.against_vanilla else None
    return change is not None and change.mean < 0 and change.p_holm is not None and change.p_holm < SURE
