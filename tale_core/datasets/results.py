"""What loading gives back: questions, the rows that were passed over with their reasons, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tale_core.types import Question


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was passed over.

    Attributes:
        line: Where its row begins: the line of a text file, the row of a Parquet file or of a hub's set, from 1.
        reason: Why, in words that never quote the row.
    """

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Questions that were read.

    Attributes:
        name: The set's name, or the file's without its ending.
        questions: In the order of the file, without repetitions; at least one.
        problems: The rows that were passed over. With a limit only those before reading stopped.
        source: Where they came from, in words.
        fingerprint: sha256 (hex) over text, options and answer of `questions`, in order.
        solutions: Id of a question -> its worked solution without the final answer, where the set has one.
    """

    name: str
    questions: tuple[Question, ...]
    problems: tuple[RowProblem, ...]
    source: str
    fingerprint: str
    solutions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A set that `load` knows by name.

    Attributes:
        name: What to give to `load`.
        title: For people, a few words.
        size: Published number of questions; None when it is not known here.
        licence: As its publishers state it; "not stated" when they do not.
        language: "both" for sets with English and Chinese questions.
        origin: Where it comes from: an address.
        files: What a local copy may be called, below a folder that is searched; empty for the project's own.
        note: What to know before using it; "" when there is nothing.
        part_of: The group it belongs to; None when it stands alone.
    """

    name: str
    title: str
    size: int | None
    licence: str
    language: Literal["en", "zh", "both"]
    origin: str
    files: tuple[str, ...] = ()
    note: str = ""
    part_of: str | None = None


def fingerprint(questions: Iterable[Question]) -> str:
    """Sha256 (hex) over what a model is asked and what is right: text, options and answer, in order."""
    digest = hashlib.sha256()
    for q in questions:
        digest.update(json.dumps([q.text, list(q.options), q.answer], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


MAX_LINE = 2_000_000
"""Bytes of one line of JSON Lines."""


MAX_COLUMNS = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: `values` by column. `line` counts from 1.

    `semicolons` says that they stood between cells, as spreadsheets write them where the comma is the decimal sign.
    """

    line: int
    values: dict[str, object]
    semicolons: bool = False
