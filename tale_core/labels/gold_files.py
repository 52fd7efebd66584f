"""Known answers from a file, matched with stored questions by their text; shown first, written only then.

Reading, checking and its caps are those of data sets (`tale_core.datasets`); a question is matched whatever its
spacing, and by its options where the file gives them. Knows the desk; knows no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tale_core.datasets import RowProblem, read_upload
from tale_core.datasets.rows import BadRow, right_letter
from tale_core.errors import InputError
from tale_core.grading import equivalent, infer_kind, known_answer
from tale_core.i18n import t
from tale_core.labels.desk import Desk
from tale_core.store import SETTLED, Change, Moved, normalised, question_key
from tale_core.types import Question

GoldStatus = Literal["new", "changed", "same", "conflict", "unknown", "ambiguous", "unusable"]


@dataclass(frozen=True, slots=True)
class GoldRow:
    """What one row of the file would do.

    Attributes:
        status: "new": nobody knew the answer. "changed": it replaces the answer that came with the question, or this
            person's own. "same": nothing to do. "conflict": another person gave a different one. "unknown": no such
            question is stored. "ambiguous": several stored questions differ in their options alone. "unusable": the
            answer is none of the stored question's options.
        question: Of the file.
        answer: As it would be stored.
        before: The answer that counts now; None when nobody knows it.
        by: Who gave that one; None when it came with the question.
        key: The stored question; "" without one.
    """

    status: GoldStatus
    question: str
    answer: str
    before: str | None = None
    by: str | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class GoldImport:
    """A dry run.

    Attributes:
        rows: In the order of the file.
        problems: Rows that could not be read.
        moved: What writing would move; nothing has been written.
        replacing: Rows in conflict would be written as well, settling them.
    """

    rows: tuple[GoldRow, ...]
    problems: tuple[RowProblem, ...]
    moved: Moved
    replacing: bool

    def count(self, status: GoldStatus) -> int:
        """Rows of this status."""
        return sum(row.status == status for row in self.rows)

    @property
    def writable(self) -> int:
        """Rows that would be written."""
        return len(_written(self.rows, replacing=self.replacing))


def read_golds(
    name: str, data: bytes, *, mapping: Mapping[str, str | Sequence[str]] | None = None
) -> tuple[tuple[Question, ...], tuple[RowProblem, ...]]:
    """The questions of a file that have an answer, and the rows that were passed over.

    Raises:
        InputError: The file as a whole cannot be read, is too large, or has no good row.
    """
    loaded = read_upload(name, data, mapping=mapping)
    known = tuple(q for q in loaded.questions if known_answer(q) is not None)
    if not known:
        raise InputError(t("No row of the file has an answer."), t("Give columns question and answer."))
    return known, loaded.problems


def plan_import(
    desk: Desk,
    annotator: str,
    questions: Iterable[Question],
    *,
    problems: Sequence[RowProblem] = (),
    replacing: bool = False,
) -> GoldImport:
    """Say what importing these known answers would do; nothing is written.

    Args:
        desk: Where they would go.
        annotator: Who imports: each answer is this person's.
        questions: With their answers.
        problems: Rows of the file that could not be read, to be told with the rest.
        replacing: Where others gave a different answer, this one would settle it.
    """
    desk.sync()
    given = list(questions)
    stored = desk.queue.by_text(_text_key(q) for q in given)
    said = desk.queue.golds_said(key for found in stored.values() for key, _, _ in found)
    names = {one.annotator: one.name for one in desk.queue.standings()}
    rows = tuple(_row(q, stored.get(_text_key(q), []), said, annotator, names) for q in given)
    moved = desk.commit(_changes(annotator, rows, replacing=replacing), batch=True, dry=True)
    return GoldImport(rows, tuple(problems), moved, replacing)


def write_import(desk: Desk, annotator: str, plan: GoldImport) -> Moved:
    """Write a dry run; one undo takes all of it back."""
    return desk.commit(_changes(annotator, plan.rows, replacing=plan.replacing), batch=True)


def _text_key(question: Question) -> str:
    return question_key(normalised(question.text))


def _row(
    given: Question,
    stored: Sequence[tuple[str, Question, str | None]],
    said: Mapping[str, Mapping[str, str]],
    annotator: str,
    names: Mapping[str, str],
) -> GoldRow:
    answer = known_answer(given) or ""
    text = given.text
    options = tuple(map(normalised, given.options))
    fitting = [one for one in stored if not options or tuple(map(normalised, one[1].options)) == options]
    if len(fitting) != 1:
        return GoldRow("ambiguous" if fitting else "unknown", text, answer)
    key, question, gold = fitting[0]
    if question.options and not options:
        try:
            answer = right_letter(answer, question.options)
        except BadRow:
            return GoldRow("unusable", text, answer, key=key)
    before = gold or known_answer(question)
    others = {holder: value for holder, value in said.get(key, {}).items() if holder != annotator}
    against = next((h for h, value in others.items() if not _same(value, answer, question)), None)
    if against is not None:
        by = names.get(against) if against != SETTLED else None
        return GoldRow("conflict", text, answer, others[against], by, key)
    if before is not None and _same(before, answer, question):
        return GoldRow("same", text, answer, before, key=key)
    own = names.get(annotator) if gold is not None else None
    return GoldRow("new" if before is None else "changed", text, answer, before, own, key)


def _same(one: str, other: str, question: Question) -> bool:
    if one.strip() == other.strip():
        return True
    kind = infer_kind(replace(question, answer=one))
    return equivalent(other, one, kind, question.options) is True


def _written(rows: Sequence[GoldRow], *, replacing: bool) -> list[GoldRow]:
    wanted = ("new", "changed", "conflict") if replacing else ("new", "changed")
    return list({row.key: row for row in rows if row.status in wanted}.values())


def _changes(annotator: str, rows: Sequence[GoldRow], *, replacing: bool) -> list[Change]:
    return [
        Change(annotator, "gold", row.key, row.key, row.answer, settle=row.status == "conflict", replace=True)
        for row in _written(rows, replacing=replacing)
    ]
