"""An experiment as documents: the JSON of `run`, and its units as CSV, JSON Lines and Parquet.

Keys stay; more may be added; an unknown value is null. It holds no text of an answer.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tale_core.errors import InputError
from tale_core.experiments.columns import COLUMNS, UNIT_COLUMNS, Ended, document
from tale_core.experiments.paper import paper_rows_of
from tale_core.experiments.results import ExperimentResults, results
from tale_core.experiments.table import StrategyRow
from tale_core.files import replacing
from tale_core.i18n import in_english, t
from tale_core.store import ExperimentStore, Store
from tale_core.text import safe_cell

UNIT_KEYS = tuple(column.key for column in UNIT_COLUMNS)


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
        "error": in_english(error),
    }


def row_document(row: StrategyRow) -> dict[str, Any]:
    """One strategy; means are of a question."""
    return document(COLUMNS, row)


def unit_rows(store: Store, experiment_id: str) -> Iterator[dict[str, Any]]:
    """One row for each ended unit, in the order of the questions, with the keys of UNIT_COLUMNS."""
    experiments = ExperimentStore(store)
    head, questions = experiments.head(experiment_id), experiments.questions(experiment_id)
    for unit in experiments.figures(experiment_id):
        yield document(UNIT_COLUMNS, Ended(head, unit, questions[unit.position]))


def export_experiment(store: Store, experiment_id: str, path: Path) -> None:
    """Write an experiment into a file: units as .csv, .jsonl or .parquet, or the report as .html, by the name's end.

    The file appears when it is whole; one of that name is replaced.

    Raises:
        InputError: Another kind of file, or a place that cannot be written.
        NotFoundError: No such experiment.
    """
    kind = check_export(path)
    try:
        with replacing(path, private=True) as draft:
            _WRITERS[kind](store, experiment_id, draft)
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
        writer = csv.DictWriter(file, fieldnames=UNIT_KEYS, lineterminator="\r\n")
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

    kinds = {"whole": pa.int64(), "real": pa.float64(), "text": pa.string()}
    schema = pa.schema([(column.key, kinds[column.kind]) for column in UNIT_COLUMNS])
    pq.write_table(pa.Table.from_pylist(list(unit_rows(store, experiment_id)), schema=schema), path)


def _write_html(store: Store, experiment_id: str, path: Path) -> None:
    from tale_core.experiments.html_report import report_html

    path.write_text(report_html(results(store, experiment_id)), encoding="utf-8")


_WRITERS: dict[str, Callable[[Store, str, Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".html": _write_html,
}
