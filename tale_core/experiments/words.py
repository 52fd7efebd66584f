"""The results of an experiment in sentences. Knows results alone."""

from __future__ import annotations

from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.rows import BASELINE, StrategyRow

SURE = 0.05
"""Adjusted p below which a difference is called one."""


def finding(found: ExperimentResults) -> str:
    """What the experiment says, in one sentence: the strategy that saves most without being surely less accurate."""
    if not found.finished:
        return "No answer is there yet."
    compared = [row for row in found.rows if row.against_vanilla is not None and row.n]
    if not compared:
        return f"{found.finished} of {found.planned} answers are there; without vanilla nothing can be compared."
    saving = [row for row in compared if _saves(row) and not _less_accurate(row)]
    if saving:
        best = max(saving, key=lambda row: _saved(row) or 0.0)
        return f"{best.strategy} spends least without being surely less accurate: {row_words(best)}"
    cheaper = [row for row in compared if _saves(row)]
    if cheaper:
        best = max(cheaper, key=lambda row: (row.accuracy.mean if row.accuracy else 0.0, _saved(row) or 0.0))
        return f"What saves tokens is less accurate here; the most accurate of it is {best.strategy}: {row_words(best)}"
    if any(_fewer(row) for row in compared):
        return "No strategy uses fewer all-in tokens than vanilla beyond chance: more questions would tell."
    return "No strategy uses fewer tokens than vanilla here, prompts and estimates counted."


def row_words(row: StrategyRow) -> str:
    """One strategy in a sentence, against vanilla where there is one."""
    difference = row.against_vanilla
    tokens = "no answers" if row.all_in_tokens is None else f"{row.all_in_tokens.mean:.0f} all-in tokens"
    if difference is None or difference.all_in_saving is None:
        return f"{tokens}, {accuracy_words(row)}."
    saving = difference.all_in_saving
    more = "fewer" if saving >= 0 else "more"
    words = f"{tokens}, {percent(abs(saving), 0)} {more} than {BASELINE}, {accuracy_words(row)}"
    if difference.accuracy is not None:
        points = difference.accuracy.mean * 100
        p = difference.accuracy.p_holm
        sure = "" if p is None else f", p = {p:.2g}"
        words += f" ({points:+.1f} points{sure})"
    return words + "."


def accuracy_words(row: StrategyRow) -> str:
    """The accuracy with its n and interval, or why there is none."""
    if row.accuracy is None:
        return "not graded"
    mean, low, high = row.accuracy
    return f"{percent(mean)} of {row.graded} right (95 %: {percent(low)} to {percent(high)})"


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
