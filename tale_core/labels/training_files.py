"""What estimators and models learn from, as files that name their data by a fingerprint.

Rows for estimators are searches that found an optimum (`tale_core.estimators.rows`); rows for fine-tuning are answers
that are right and whole. Searches that failed are rows of neither. Knows the store; trains nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tale_core.estimators.rows import fingerprint, rows_from_store
from tale_core.estimators.rows_file import rows_to_jsonl
from tale_core.store import RightAnswer, Store, exported_labels, right_answers
from tale_core.study_documents import safe_cell

Kind = Literal["fine-tuning", "estimators", "labels"]


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


def fine_tuning_rows(store: Store, *, model: str | None = None) -> list[dict[str, Any]]:
    """Right, whole answers as examples: question, answer, tokens, and where each came from.

    Args:
        store: With the labels brought up to date (`Desk.sync`).
        model: Only answers of this model.
    """
    return [_example(one) for one in right_answers(store, model=model)]


def _example(one: RightAnswer) -> dict[str, Any]:
    question = one.question
    return {
        "question": question.text,
        "options": list(question.options),
        "known_answer": question.answer,
        "answer": one.text,
        "tokens": one.tokens,
        "budget": one.budget,
        "strategy": one.strategy,
        "model": one.model,
        "template": one.template,
        "language": question.language,
        "topic": question.topic,
        "labelled": one.labelled,
    }


def label_rows(store: Store) -> list[dict[str, Any]]:
    """Every label that stands, with its question and answer."""
    return [
        {
            "question": one.question,
            "answer": one.answer,
            "model": one.model,
            "strategy": one.strategy,
            "kind": one.kind,
            "value": one.value,
            "annotator": one.annotator,
            "settled": one.settled,
            "created_at": one.created_at.isoformat(),
        }
        for one in exported_labels(store)
    ]


def data_file(store: Store, kind: Kind, *, model: str | None = None) -> DataFile:
    """The rows as JSON Lines."""
    if kind == "estimators":
        searched = rows_from_store(store, model=model)
        mark = fingerprint(searched)
        return DataFile(_name(kind, mark), rows_to_jsonl(searched), len(searched), mark)
    rows = rows_of(store, kind, model=model)
    mark = fingerprint_of(rows)
    labelled = sum(row["labelled"] is not None for row in rows) if kind == "fine-tuning" else len(rows)
    return DataFile(_name(kind, mark), _lines(rows), len(rows), mark, labelled)


def rows_of(store: Store, kind: Kind, *, model: str | None = None) -> list[dict[str, Any]]:
    """The rows of a kind that has a table's shape."""
    return fine_tuning_rows(store, model=model) if kind == "fine-tuning" else label_rows(store)


def _name(kind: Kind, mark: str) -> str:
    return f"tale-{kind}-{mark[:12]}.jsonl"


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def fingerprint_of(rows: Iterable[dict[str, Any]]) -> str:
    """sha256 over every value of every row, whatever their order."""
    lines = sorted(json.dumps(row, ensure_ascii=True, sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table that no spreadsheet takes formulas from; lists are JSON in a cell."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: safe_cell(json.dumps(v) if isinstance(v, list) else v) for k, v in row.items()})
    return text.getvalue()
