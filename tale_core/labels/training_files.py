"""What labelling gives to others, as files that name their data by a fingerprint: the labels, and rows for estimators.

Rows for estimators are searches that found an optimum (`tale_core.estimators.rows`); rows for fine-tuning are
`tale_core.tuning.data`'s. It trains nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tale_core.estimators.rows import fingerprint, rows_from_store
from tale_core.estimators.rows_file import rows_to_jsonl
from tale_core.files import rows_sha256
from tale_core.labels.marks import in_sentences
from tale_core.store import ExportedLabel, Store, exported_labels
from tale_core.text import csv_text, json_lines

Kind = Literal["estimators", "labels"]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of rows.

    Attributes:
        fingerprint: sha256 (64 hex digits) over everything in the rows, whatever their order.
        labelled: Rows that are there, or as they are, because people labelled; None where that is not known.
    """

    name: str
    text: str
    rows: int
    fingerprint: str
    labelled: int | None = None


def label_rows(store: Store) -> list[dict[str, Any]]:
    """Every label that stands, with its question and answer."""
    return [
        {
            "question": one.question,
            "options": list(one.options),
            "answer": one.answer,
            "model": one.model,
            "strategy": one.strategy,
            "kind": one.kind,
            "value": one.value,
            "annotator": one.annotator,
            "settled": one.settled,
            "sentence": _sentence(one),
            "created_at": one.created_at.isoformat(),
            "target": one.target,
        }
        for one in exported_labels(store)
    ]


def _sentence(label: ExportedLabel) -> str | None:
    """The sentence that was marked, for whoever reads the file; None of other labels."""
    if label.kind != "mark":
        return None
    parts = in_sentences(label.thought + (label.answer or ""))
    at = int(label.value) - 1
    return parts[at].strip() if at < len(parts) else None


def data_file(store: Store, kind: Kind, *, model: str | None = None) -> DataFile:
    """The rows as JSON Lines."""
    if kind == "estimators":
        searched = rows_from_store(store, model=model)
        mark = fingerprint(searched)
        return DataFile(file_name(kind, mark), rows_to_jsonl(searched), len(searched), mark)
    rows = label_rows(store)
    mark = rows_sha256(rows)
    return DataFile(file_name(kind, mark), json_lines(rows), len(rows), mark, len(rows))


def file_name(kind: str, mark: str) -> str:
    """What a file of this data is called."""
    return f"tale-{kind}-{mark[:12]}.jsonl"


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table that no spreadsheet takes formulas from; lists are JSON in a cell."""
    flat = ({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)
    return csv_text(list(rows[0]), flat) if rows else ""
