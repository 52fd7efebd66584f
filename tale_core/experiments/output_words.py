"""The finding of an experiment whose all-in tokens nobody knows, an imported one: in output tokens. Knows rows."""

from __future__ import annotations

from tale_core.experiments.rows import BASELINE, StrategyRow
from tale_core.i18n import t

SURE = 0.05
"""Adjusted p below which a difference is called one, as in `words`."""


def output_finding(rows: tuple[StrategyRow, ...]) -> str:
    """What the experiment says, in one sentence: the strategy that saves most without being surely less accurate."""
    compared = [row for row in rows if row.against_vanilla is not None and row.n]
    if not compared:
        return t("Without {baseline} nothing can be compared.", baseline=BASELINE)
    saving = [row for row in compared if _surely_fewer(row)]
    if kept := [row for row in saving if not _surely_worse(row)]:
        best = max(kept, key=_saved)
        return t(
            "{name} writes least without being surely less accurate: {figures}", name=best.strategy, figures=_said(best)
        )
    if saving:
        best = max(saving, key=lambda row: (row.accuracy.mean if row.accuracy else 0.0, _saved(row)))
        return t(
            "What saves output tokens is less accurate here; the most accurate of it is {name}: {figures}",
            name=best.strategy, figures=_said(best),
        )  # fmt: skip
    return t("No strategy writes fewer tokens than {baseline} beyond chance.", baseline=BASELINE)


def _said(row: StrategyRow) -> str:
    change = row.against_vanilla.accuracy if row.against_vanilla else None
    tokens = row.output_tokens.mean if row.output_tokens else 0.0
    if change is None:
        return t("{tokens:.0f} output tokens, {saved:.0f} % fewer.", tokens=tokens, saved=_saved(row) * 100)
    return t(
        "{tokens:.0f} output tokens, {saved:.0f} % fewer ({points:+.1f} points right).",
        tokens=tokens, saved=_saved(row) * 100, points=change.mean * 100,
    )  # fmt: skip


def _saved(row: StrategyRow) -> float:
    return (row.against_vanilla.output_saving or 0.0) if row.against_vanilla else 0.0


def _surely_fewer(row: StrategyRow) -> bool:
    change = row.against_vanilla.output_tokens if row.against_vanilla else None
    return change is not None and change.mean < 0 and change.p_holm is not None and change.p_holm < SURE


def _surely_worse(row: StrategyRow) -> bool:
    change = row.against_vanilla.accuracy if row.against_vanilla else None
    return change is not None and change.mean < 0 and change.p_holm is not None and change.p_holm < SURE
