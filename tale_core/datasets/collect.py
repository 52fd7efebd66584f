"""Rows -> `Loaded`: repetitions, caps, limit and offset."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice

from tale_core.datasets.answers import Meaning, meaning_of, whole
from tale_core.datasets.columns import Columns, find_columns
from tale_core.datasets.results import Loaded, Row, RowProblem, fingerprint
from tale_core.datasets.rows import (
    GPQA_COLUMNS,
    BadRow,
    Layout,
    is_label_export,
    options_of,
    same_answer,
    to_gpqa_question,
    to_labelled_question,
    to_question,
    worked_solution,
)
from tale_core.datasets.tables import Item
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.types import AnswerKind, Language, Question

MAX_ROWS = 200_000
LOOKED_AT = 200
"""Rows that decide what columns a file has (JSON rows need not all have the same) and how it writes its answers."""

_NAMED = {"question": "question", "answer": "answer"}
"""Columns of every named set that is a table: what else it holds (a worked solution, say) is no answer."""

Convert = Callable[[dict[str, object]], tuple[Question, str | None]]
"""A row's values -> the question, and its worked solution where it has one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of one file become questions.

    Attributes:
        source: Name of the set, noted with each question.
        mapping: See `columns.find_columns`.
        named: The set's layout is known: its columns are never listed in a message.
    """

    source: str
    mapping: Mapping[str, str | Sequence[str]] | None = None
    layout: Layout = "table"
    kind: AnswerKind | None = None
    language: Language | None = None
    named: bool = False


@dataclass(slots=True)
class Collector:
    """Takes the rows of one file after another until there are enough.

    Attributes:
        limit: Questions to take; None takes all.
        offset: Good questions to pass over first.
        max_rows: Rows that may be read before there are enough.
    """

    limit: int | None = None
    offset: int = 0
    max_rows: int = MAX_ROWS
    questions: list[Question] = field(default_factory=list)
    solutions: dict[str, str] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    good: int = 0
    _rows: int = 0
    _texts: dict[tuple[str, ...], tuple[str, str | None]] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether there are as many questions as were asked for."""
        return self.limit is not None and len(self.questions) >= self.limit

    def feed(self, items: Iterator[Item], reading: Reading, *, where: str = "") -> None:
        """Read rows until their end or until full.

        Args:
            items: Of one file.
            reading: How to read them.
            where: Put before each reason, to tell one file from another.

        Raises:
            InputError: Columns that are not there, or too many rows.
        """
        convert: Convert | None = None
        # Closed at once: a reader that is left in the middle holds on to the file.
        with closing(_generator(items)) as rows:
            head = [] if self.full else list(islice(rows, LOOKED_AT))
            for item in chain(head, rows):
                if self.full:
                    return
                self._rows += 1
                if self._rows > self.max_rows:
                    raise InputError(
                        t("There are more than {most:,} rows.", most=self.max_rows),
                        t("Give a limit or split the file."),
                    )
                if isinstance(item, RowProblem):
                    self._note(item.line, where, item.reason)
                    continue
                convert = convert or _converter(head, reading)
                self._take(item, convert, where)

    def _take(self, row: Row, convert: Convert, where: str) -> None:
        try:
            question, solution = convert(row.values)
        except BadRow as e:
            return self._note(row.line, where, str(e))
        here = where + t("line {line}", line=row.line)
        key = (" ".join(question.text.split()), *question.options)
        if key in self._texts:
            there, answer = self._texts[key]
            if answer == question.answer or (
                answer is not None
                and question.answer is not None
                and same_answer(answer, question.answer, question.options)
            ):
                return self._note(row.line, where, t("repeats the question of {place}", place=there))
            return self._note(row.line, where, t("repeats the question of {place}, with another answer", place=there))
        if question.id in self._ids:
            return self._note(row.line, where, t("has the id of {place}", place=self._ids[question.id]))
        self._texts[key] = (here, question.answer)
        self._ids[str(question.id)] = here
        self.good += 1
        if self.good > self.offset:
            self.questions.append(question)
            if solution:
                self.solutions[str(question.id)] = solution

    def _note(self, line: int, where: str, reason: str) -> None:
        self.problems.append(RowProblem(line, where + reason))

    def loaded(self, name: str, source: str) -> Loaded:
        """What was read.

        Raises:
            InputError: No question at all, or none behind the offset.
        """
        if not self.good:
            lines = [t("line {line}: {reason}", line=p.line, reason=p.reason) for p in self.problems[:3]]
            first = "; ".join(lines) or t("it has no rows")
            message = t("No question could be read from {source}.", source=source)
            raise InputError(message, f"{first[:1].upper()}{first[1:]}.")
        if not self.questions:
            raise InputError(behind_the_last(self.offset), t("There are {n:,}.", n=self.good))
        questions = tuple(self.questions)
        return Loaded(name, questions, tuple(self.problems), source, fingerprint(questions), self.solutions)


def behind_the_last(offset: int) -> str:
    """That an offset is too large."""
    return t("The offset {offset:,} is behind the last question.", offset=offset)


def _generator(items: Iterator[Item]) -> Generator[Item, None, None]:
    yield from items


def _converter(head: Sequence[Item], reading: Reading) -> Convert:
    there = list(dict.fromkeys(column for item in head if isinstance(item, Row) for column in item.values))
    if reading.layout == "gpqa":
        missing = [c for c in GPQA_COLUMNS if c not in there]
        if missing:
            message = t("{source} has no column {column!r}.", source=reading.source, column=missing[0])
            raise InputError(message, t("Take the publishers' file unchanged."))
        return lambda values: (to_gpqa_question(values, source=reading.source), None)
    if is_label_export(there) and not reading.mapping:
        return lambda values: (to_labelled_question(values, source=reading.source), None)
    if reading.named and not {"question", "answer"} <= set(there):
        raise InputError(
            t("{source} has no columns question and answer.", source=reading.source),
            t("Take the publishers' file unchanged."),
        )
    rows = [item for item in head if isinstance(item, Row)]
    given = _NAMED if reading.named else reading.mapping
    columns = find_columns(there, given, sample=[row.values for row in rows])
    meaning = file_meaning(rows, columns, given)
    return lambda values: (
        to_question(
            values, columns, source=reading.source, kind=reading.kind, language=reading.language, meaning=meaning
        ),
        worked_solution(values, columns),
    )


def file_meaning(rows: Sequence[Row], columns: Columns, given: Mapping[str, object] | None) -> Meaning:
    """How a file writes its known answers, by its first rows.

    Raises:
        InputError: They leave several readings.
    """
    cells: list[tuple[object, tuple[str, ...]]] = []
    for row in rows if columns.answer and not columns.wrong else ():
        try:
            options, labels = options_of([row.values.get(c) for c in columns.options])
        except BadRow:
            continue
        cell = row.values.get(columns.answer or "")
        if not labels:
            cells.append((cell, options))
    there = {column.casefold() for row in rows for column in row.values}
    # MMLU's own columns; elsewhere a file that counts from 0 has to show it.
    mmlu = {"question", "choices", "answer", "subject"} <= there and len(columns.options) == 1
    places = all(whole(cell) is not None for cell, _ in cells if cell not in (None, ""))
    semicolons = any(row.semicolons for row in rows)
    return meaning_of(cells, answer=columns.answer or "", given=given, semicolons=semicolons, from_zero=mmlu and places)
