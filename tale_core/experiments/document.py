"""An experiment as documents: the JSON of `run`, and its units as CSV, JSON Lines and Parquet.

Keys stay; more may be added; an unknown value is null. Knows results and light rows; holds no text of an answer.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tale_core.elasticity_stats import Interval
from tale_core.errors import InputError
from tale_core.experiments.paper import paper_rows_of
from tale_core.experiments.results import ExperimentResults, results
from tale_core.experiments.rows import StrategyRow
from tale_core.i18n import t
from tale_core.store import ExperimentStore, Store, UnitFigures
from tale_core.study_documents import safe_cell
from tale_core.types import Outcome, Question

COLUMNS = (
    "experiment", "dataset", "model", "endpoint", "strategy", "position", "repeat", "question_id", "question",
    "known_answer", "status", "outcome", "labelled", "extracted", "finish_reason", "budget", "output_tokens",
    "prompt_tokens", "completion_tokens", "all_in_tokens", "cost_usd", "latency_s", "calls", "reused_calls",
    "estimated_counts", "problem", "error",
)  # fmt: skip
"""Of every export of units."""


def experiment_document(found: ExperimentResults, *, error: str | None = None) -> dict[str, Any]:
    """The document of `run`, for a finished experiment or one that has stopped."""
    return {
        "experiment": found.experiment_id,
        "status": found.status,
        "dataset": found.dataset,
        "model": found.model,
        "endpoint": found.endpoint,
        "questions": found.questions,
        "repeats": found.repeats,
        "planned": found.planned,
        "finished": found.finished,
        "failed": found.failed,
        "complete": found.complete,
        "calls": found.spent.calls,
        "spent": asdict(found.spent),
        "rows": [row_document(row) for row in found.rows],
        "paper": [asdict(row) for row in paper_rows_of(found.dataset)],
        "imported": found.imported.document() if found.imported else None,
        "error": error,
    }


def row_document(row: StrategyRow) -> dict[str, Any]:
    """One strategy; means are of a question."""
    difference = row.against_vanilla
    return {
        "strategy": row.strategy,
        "n": row.n,
        "planned": row.planned,
        "failed": row.failed,
        "graded": row.graded,
        "right": row.right,
        **_interval("accuracy", row.accuracy),
        **_interval("accuracy_decided", row.accuracy_decided),
        **_interval("output_tokens", row.output_tokens),
        **_interval("all_in_tokens", row.all_in_tokens),
        "prompt_tokens": row.prompt_tokens,
        "cost_usd": row.cost_usd,
        "latency_s": row.latency_s,
        "calls": row.calls,
        "reused_calls": row.reused,
        "estimated_counts": row.estimated,
        "default_budgets": row.defaults,
        "labelled": row.labelled,
        "outcomes": {outcome.value: row.outcomes.get(outcome, 0) for outcome in Outcome},
        "pareto": row.pareto,
        "pareto_output": row.pareto_output,
        "against_vanilla": asdict(difference) if difference is not None else None,
    }


def _interval(name: str, interval: Interval | None) -> dict[str, float | None]:
    mean, low, high = interval or (None, None, None)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def unit_rows(store: Store, experiment_id: str) -> Iterator[dict[str, Any]]:
    """One row for each ended unit, in the order of the questions, with the keys of COLUMNS."""
    experiments = ExperimentStore(store)
    head, questions = experiments.head(experiment_id), experiments.questions(experiment_id)
    named = {
        "experiment": experiment_id,
        "dataset": str(head.plan.get("dataset", "")),
        "model": head.model,
        "endpoint": head.endpoint,
    }
    for unit in experiments.figures(experiment_id):
        yield {**named, **_unit_row(unit, questions[unit.position])}


def _unit_row(unit: UnitFigures, question: Question) -> dict[str, Any]:
    return {
        "strategy": unit.strategy,
        "position": unit.position,
        "repeat": unit.repeat_index,
        "question_id": question.id,
        "question": question.text,
        "known_answer": question.answer,
        "status": unit.status,
        "outcome": unit.outcome.value if unit.outcome is not None else None,
        "labelled": unit.labelled,
        "extracted": unit.extracted,
        "finish_reason": unit.finish_reason,
        "budget": unit.budget,
        "output_tokens": unit.output_tokens,
        "prompt_tokens": unit.prompt_tokens,
        "completion_tokens": unit.completion_tokens,
        "all_in_tokens": unit.all_in_tokens,
        "cost_usd": unit.cost_usd,
        "latency_s": unit.latency_s,
        "calls": unit.calls,
        "reused_calls": unit.reused,
        "estimated_counts": unit.estimated,
        "problem": unit.problem,
        "error": unit.error,
    }


def export_experiment(store: Store, experiment_id: str, path: Path) -> None:
    """Write an experiment into a file: units as .csv, .jsonl or .parquet, or the report as .html, by the name's end.

    The file appears when it is whole; one of that name is replaced.

    Raises:
        InputError: Another kind of file, or a place that cannot be written.
        NotFoundError: No such experiment.
    """
    kind = check_export(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            _WRITERS[kind](store, experiment_id, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as e:
        raise InputError(
            t("{path!r} cannot be written: {why}.", path=str(path), why=e.strerror or str(e)),
            t("Name a file in a folder of yours."),
        ) from e


def check_export(path: Path) -> str:
    """The kind of file that a name asks for.

    Raises:
        InputError: None that we write.
    """
    kind = path.suffix.lower()
    if kind not in _WRITERS:
        raise InputError(
            t("{file!r} names no kind of export.", file=path.name),
            t("End it in one of: {suffixes}.", suffixes=", ".join(_WRITERS)),
        )
    return kind


def _write_csv(store: Store, experiment_id: str, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS, lineterminator="\r\n")
        writer.writeheader()
        for row in unit_rows(store, experiment_id):
            writer.writerow({name: safe_cell(value) for name, value in row.items()})


def _write_jsonl(store: Store, experiment_id: str, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in unit_rows(store, experiment_id):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_parquet(store: Store, experiment_id: str, path: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    whole = {"position", "repeat", "budget", "output_tokens", "prompt_tokens", "completion_tokens", "all_in_tokens"}
    whole |= {"calls", "reused_calls", "estimated_counts"}
    kinds = {name: pa.int64() for name in whole} | {
        "cost_usd": pa.float64(),
        "latency_s": pa.float64(),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist(list(unit_rows(store, experiment_id)), schema=schema), path)


def _write_html(store: Store, experiment_id: str, path: Path) -> None:
    from tale_core.experiments.report import report_html

    path.write_text(report_html(results(store, experiment_id)), encoding="utf-8")


_WRITERS: dict[str, Callable[[Store, str, Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".html": _write_html,
}
