"""The results of an experiment in sentences: finding, headline, figures of a strategy."""

from __future__ import annotations

from typing import Literal

from tale_core.calls.comparison import role_name
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.table import Change, StrategyRow
from tale_core.i18n import listed, percent, t
from tale_core.strategies import title_of

Measure = Literal["output", "all_in"]
SURE = 0.05
"""Adjusted p below which a difference is called one."""


def finding(found: ExperimentResults) -> str:
    """What the experiment says, in one sentence: the strategy that saves most without being surely less accurate.

    By all-in tokens, or by output tokens of answers whose prompts nobody counted (predictions that others published).
    """
    if not found.finished:
        return t("No answer is there yet.")
    measure: Measure = "output" if all(row.all_in_tokens is None for row in found.rows) else "all_in"
    compared = [row for row in found.rows if row.against_vanilla is not None and row.n]
    if not compared:
        if measure == "output":
            return t("Without {baseline} nothing can be compared.", baseline=role_name("vanilla"))
        return t(
            "{finished} of {planned} answers are there; without vanilla nothing can be compared.",
            finished=found.finished,
            planned=found.planned,
        )
    saving = [row for row in compared if _surely_less(row, f"{measure}_tokens")]
    kept = [row for row in saving if not _surely_less(row, "accuracy")]
    if kept:
        return _best_words(max(kept, key=lambda row: _saved(row, measure)), measure, kept=True)
    if saving:
        most = max(saving, key=lambda row: (_mean_accuracy(row), _saved(row, measure)))
        return _best_words(most, measure, kept=False)
    if measure == "output":
        return t("No strategy writes fewer tokens than {baseline} beyond chance.", baseline=role_name("vanilla"))
    if any((change := _change(row, "all_in_tokens")) and change.mean < 0 for row in compared):
        return t("No strategy uses fewer all-in tokens than vanilla beyond chance: more questions would tell.")
    return t("No strategy uses fewer tokens than vanilla here, prompts and estimates counted.")


def _best_words(best: StrategyRow, measure: Measure, *, kept: bool) -> str:
    """The strategy that a finding names; `kept`: without being surely less accurate."""
    facts = {"name": title_of(best.strategy), "figures": _output_words(best)}
    if measure == "output" and kept:
        return t("{name} writes least without being surely less accurate: {figures}", **facts)
    if measure == "output":
        return t(
            "What saves output tokens is less accurate here; the most accurate of it is {name}: {figures}", **facts
        )
    facts = {"strategy": title_of(best.strategy), "figures": row_words(best)}
    if kept:
        return t("{strategy} spends least without being surely less accurate: {figures}", **facts)
    return t("What saves tokens is less accurate here; the most accurate of it is {strategy}: {figures}", **facts)


def _output_words(row: StrategyRow) -> str:
    change = _change(row, "accuracy")
    facts = {"tokens": row.output_tokens.mean if row.output_tokens else 0.0, "saved": _saved(row, "output") * 100}
    if change is None:
        return t("{tokens:.0f} output tokens, {saved:.0f} % fewer.", **facts)
    return t(
        "{tokens:.0f} output tokens, {saved:.0f} % fewer ({points:+.1f} points right).",
        points=change.mean * 100, **facts,
    )  # fmt: skip


def _change(row: StrategyRow, measure: str) -> Change | None:
    change: Change | None = getattr(row.against_vanilla, measure, None)
    return change


def _surely_less(row: StrategyRow, measure: str) -> bool:
    change = _change(row, measure)
    return change is not None and change.mean < 0 and change.p_holm is not None and change.p_holm < SURE


def _mean_accuracy(row: StrategyRow) -> float:
    return row.accuracy.mean if row.accuracy else 0.0


def _saved(row: StrategyRow, measure: Measure) -> float:
    """The share of vanilla's tokens."""
    return getattr(row.against_vanilla, f"{measure}_saving", None) or 0.0


def headline(found: ExperimentResults, of: str = "") -> str:
    """The chart's title: what it shows, in the paper's measure; of the strategy `of` where that saved tokens."""
    points = [row for row in found.rows if row.output_tokens and row.accuracy]
    if not points:
        return t("Output tokens of each strategy; no answer is graded")
    compared = [row for row in points if row.against_vanilla and row.against_vanilla.output_saving is not None]
    if not compared:
        front = [title_of(row.strategy) for row in points if row.pareto_output]
        return t("No other gives more for less: {strategies}", strategies=listed(front))
    saving = [row for row in compared if _saved(row, "output") > 0]
    if not saving:
        return t("Nothing uses fewer output tokens than {baseline} here", baseline=role_name("vanilla"))
    saving = [row for row in saving if row.strategy == of] or saving
    kept = [row for row in saving if not _surely_less(row, "accuracy")]
    best = max(kept or saving, key=lambda row: _saved(row, "output") if kept else _mean_accuracy(row))
    change = _change(best, "accuracy")
    facts: dict[str, object] = {"strategy": title_of(best.strategy), "share": _saved(best, "output") * 100}
    if change is None:
        return t("{strategy}: {share:.0f} % fewer output tokens", **facts)
    facts["points"] = change.mean * 100
    return t("{strategy}: {share:.0f} % fewer output tokens, {points:+.1f} points right", **facts)


def row_words(row: StrategyRow) -> str:
    """One strategy in a sentence, against vanilla where there is one."""
    difference = row.against_vanilla
    tokens = t("no answers") if row.all_in_tokens is None else all_in_words(row.all_in_tokens.mean)
    accuracy = accuracy_words(row)
    if difference is None or difference.all_in_saving is None:
        return t("{tokens}, {accuracy}.", tokens=tokens, accuracy=accuracy)
    saving = difference.all_in_saving
    share = percent(abs(saving))
    more = t("{share} fewer than {baseline}", share=share, baseline=role_name("vanilla"))
    if saving < 0:
        more = t("{share} more than {baseline}", share=share, baseline=role_name("vanilla"))
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
    mean, low, high = (percent(share, 1) for share in row.accuracy)
    return t("{share} of {n} right (95 %: {low} to {high})", share=mean, n=row.graded, low=low, high=high)
