"""Tuned against base on questions that were never trained on, and what came out, kept with the adapter.

The measuring is an experiment like any other; this module chooses its questions and writes down its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tale_core.errors import InputError
from tale_core.experiments.export import row_document
from tale_core.experiments.results import ExperimentResults
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.tuning.examples import leak_key
from tale_core.types import TUNED, Question

BASELINES = ("direct", "vanilla")
MOST_RESULTS = 20
_KEPT = (
    "strategy", "n", "graded", "right", "accuracy", "accuracy_low", "accuracy_high", "output_tokens",
    "output_tokens_low", "output_tokens_high", "visible_tokens", "thinking_tokens", "all_in_tokens",
    "outcomes", "refused", "against_vanilla",
)  # fmt: skip


class Unseen(NamedTuple):
    """Questions that none of the adapters was trained on."""

    questions: tuple[Question, ...]
    seen: int


def unseen(questions: Sequence[Question], of: Sequence[Adapter]) -> Unseen:
    """Leave out what an adapter was trained on, or an ancestor of it.

    Raises:
        InputError: Nothing is left.
    """
    trained_on = {key for one in of for a in lineage(one) for key in a.about.data.get("questions", ())}
    left = tuple(q for q in questions if leak_key(q) not in trained_on)
    if not left:
        names = ", ".join(a.name for a in of)
        raise InputError(
            t(
                "All {count} questions are among those that {names} was trained on.",
                count=len(questions),
                names=names,
            ),
            t("Take other questions."),
        )
    return Unseen(left, len(questions) - len(left))


def held_out_questions(adapter: Adapter) -> tuple[Question, ...]:
    """The questions that were kept aside when it was trained; empty for an imported adapter."""
    found = []
    for stored in adapter.about.data.get("held_out_questions", ()):
        try:
            found.append(Question(**{**stored, "options": tuple(stored.get("options", ()))}))
        except TypeError:
            continue
    return tuple(found)


def lineage(adapter: Adapter) -> list[Adapter]:
    """The adapter and those it went on from, as far as they are still there."""
    found = [adapter]
    while found[-1].about.parent and len(found) < 20:
        try:
            found.append(adapters.find(found[-1].about.parent))
        except InputError:
            break
    return found


def strategies_for(names: Sequence[str], more: Sequence[str] = ()) -> tuple[str, ...]:
    """The strategies of an evaluation: the baselines, others, and each adapter."""
    return tuple(dict.fromkeys([*BASELINES, *more, *(f"{TUNED}{name}" for name in names)]))


def record(adapter: Adapter, found: ExperimentResults) -> Adapter:
    """Keep an experiment's rows with the adapter; those of the same experiment are replaced.

    Raises:
        AdapterFileError: The description cannot be written.
    """
    if adapter.shipped or not any(row.strategy == f"{TUNED}{adapter.name}" and row.n for row in found.rows):
        return adapter
    kept = [r for r in adapter.about.results if r.get("experiment") != found.experiment_id]
    new = result_document(found)
    return adapters.change(adapter, results=[*kept, new][-MOST_RESULTS:])


def result_document(found: ExperimentResults) -> dict[str, Any]:
    """The rows of an experiment, JSON-safe."""
    rows = [row_document(row) for row in found.rows]
    return {
        "experiment": found.experiment_id,
        "dataset": found.dataset,
        "questions": found.questions,
        "complete": found.complete,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [{name: row.get(name) for name in _KEPT} for row in rows],
    }
