"""What a label moved, in sentences."""

from __future__ import annotations

from tale_core.i18n import joined, t, tn
from tale_core.store import AccuracyMoved, Moved

SHOWN = 3
"""Accuracies told one by one; more are counted."""


def moved_words(moved: Moved) -> str:
    """What changed, the accuracies first; a label that changed no number says so."""
    sentences = [accuracy_words(one) for one in moved.accuracies[:SHOWN]]
    if (more := len(moved.accuracies) - SHOWN) > 0:
        sentences.append(tn("{n} more accuracy moved.", "{n} more accuracies moved.", more))
    if moved.answers:
        sentences.append(
            tn("{n} stored answer has another outcome now.", "{n} stored answers have another outcome now.",
               moved.answers)
        )  # fmt: skip
    elif moved.regraded:
        sentences.append(tn("{n} answer graded again: as before.", "{n} answers graded again: all as before.",
                       moved.regraded))  # fmt: skip
    sentences += _rows(moved)
    return joined(*sentences) or t("No number moved.")


def accuracy_words(one: AccuracyMoved) -> str:
    """Like "Accuracy of vanilla in gsm8k: 41 → 43 % (n = 60)."."""
    if not one.before.n:
        return t(
            "Accuracy of {strategy} in {dataset}: unknown → {after} % (n = {n}).",
            strategy=one.strategy, dataset=one.dataset, after=_percent(one.after.right, one.after.n), n=one.after.n,
        )  # fmt: skip
    if not one.after.n:
        return t("Accuracy of {strategy} in {dataset}: unknown again.", strategy=one.strategy, dataset=one.dataset)
    return t(
        "Accuracy of {strategy} in {dataset}: {before} → {after} % (n = {n}).",
        strategy=one.strategy, dataset=one.dataset, before=_percent(one.before.right, one.before.n),
        after=_percent(one.after.right, one.after.n), n=one.after.n,
    )  # fmt: skip


def _percent(right: int, n: int) -> str:
    """Whole per cents, or one decimal where a whole one would hide a single answer."""
    return f"{100 * right / n:.0f}" if n <= 100 else f"{100 * right / n:.1f}"


def _rows(moved: Moved) -> list[str]:
    sentences = []
    if moved.examples > 0:
        sentences.append(
            tn(
                "{n} right, whole answer more to learn from.",
                "{n} right, whole answers more to learn from.",
                moved.examples,
            )
        )
    elif moved.examples < 0:
        sentences.append(
            tn("{n} right, whole answer less to learn from.", "{n} right, whole answers less to learn from.",
               -moved.examples)
        )  # fmt: skip
    if moved.rows > 0:
        sentences.append(
            tn("{n} row added to the estimator's training data.", "{n} rows added to the estimator's training data.",
               moved.rows)
        )  # fmt: skip
    elif moved.rows < 0:
        sentences.append(
            tn("{n} row left the estimator's training data.", "{n} rows left the estimator's training data.",
               -moved.rows)
        )  # fmt: skip
    return sentences
