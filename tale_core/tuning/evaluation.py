"""Tuned against base on questions that were never trained on, and what came out, kept with the adapter.

The measuring is an experiment like any other; this module chooses its questions and writes down its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tale_core.calls.budget_ledger import Spent
from tale_core.errors import InputError
from tale_core.experiments.export import row_document
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.table import Change, Difference, StrategyRow, with_pareto
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.choice import EMBEDDED
from tale_core.stats import Interval
from tale_core.tuning.examples import leak_key
from tale_core.types import TUNED, Outcome, Question

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


def results_of(adapter: Adapter, result: Mapping[str, Any]) -> ExperimentResults:
    """An evaluation that was kept with an adapter, as the experiment that it was.

    Its single answers, its prices and its times are not kept.

    Raises:
        InputError: It is not as `result_document` makes it.
    """
    try:
        rows = tuple(_row(row) for row in result["rows"])
        questions = int(result["questions"])
    except (KeyError, TypeError, ValueError) as e:
        raise InputError(
            t("The comparison kept with {name} cannot be read ({error}).", name=adapter.name, error=type(e).__name__),
            t("Compare it again."),
        ) from e
    finished = sum(row.n for row in rows)
    return ExperimentResults(
        experiment_id=str(result.get("experiment", "")),
        dataset=str(result.get("dataset", "")),
        model=adapter.about.base,
        endpoint=EMBEDDED,
        status="done",
        questions=questions,
        repeats=1,
        planned=finished,
        finished=finished,
        failed=0,
        spent=Spent.of(()),
        rows=with_pareto(rows),
    )


def _row(row: Mapping[str, Any]) -> StrategyRow:
    def interval(name: str) -> Interval | None:
        values = (row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high"))
        return None if None in values else Interval(*values)  # type: ignore[arg-type]

    every, apart = row.get("all_in_tokens"), row.get("against_vanilla")
    changes = ("accuracy", "output_tokens", "all_in_tokens")
    graded = row.get("graded", row["n"])
    right = row.get("right", round(graded * (row.get("accuracy") or 0)))
    return StrategyRow(
        strategy=str(row["strategy"]), planned=row["n"], n=row["n"], failed=0, graded=graded, right=right,
        accuracy=interval("accuracy"), accuracy_decided=None, output_tokens=interval("output_tokens"),
        all_in_tokens=None if every is None else Interval(every, every, every), prompt_tokens=None, cost_usd=None,
        latency_s=None, calls=None, reused=0, estimated=0, defaults=0,
        outcomes={Outcome(name): n for name, n in row.get("outcomes", {}).items()}, refused=row.get("refused") or 0,
        visible_tokens=row.get("visible_tokens"), thinking_tokens=row.get("thinking_tokens"),
        against_vanilla=None if apart is None
        else Difference(**{**apart, **{name: Change(**apart[name]) if apart[name] else None for name in changes}}),
    )  # fmt: skip


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
