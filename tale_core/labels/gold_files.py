"""Known answers and labels from a file, matched with what is stored; shown first, written only then.

A question is matched whatever its spacing, and by its options where the file gives them; a verdict counts for the very
answer that it was given on, if that is stored here. `label_files` reads the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tale_core.datasets import RowProblem
from tale_core.datasets.rows import BadRow, right_letter, same_answer
from tale_core.grading import known_answer
from tale_core.labels.label_files import GivenVerdict
from tale_core.labels.labeling import Labeling
from tale_core.store import SETTLED, Change, LabelKind, Moved, answer_key, mark_target, normalised, question_key
from tale_core.types import Question

GoldStatus = Literal["new", "changed", "same", "conflict", "unknown", "ambiguous", "unusable", "no-answer"]


@dataclass(frozen=True, slots=True)
class GoldRow:
    """What one row of the file would do.

    Attributes:
        status: "new": nobody knew the answer. "changed": it replaces the answer that came with the question, or this
            person's own. "same": nothing to do. "conflict": another person gave a different one. "unknown": no such
            question is stored. "ambiguous": several stored questions differ in their options alone. "unusable": the
            answer is none of the stored question's options. "no-answer": the answer that was judged is not stored.
        question: Of the file.
        answer: As it would be stored.
        before: The answer that counts now; None when nobody knows it.
        by: Who gave that one; None when it came with the question.
        key: The stored question; "" without one.
        verdict: It is a verdict: `answer` is right, wrong or unsure, and `target` the stored answer that it judges.
        mark: It is a mark: `answer` is the number of a sentence, and `target` what it is about.
    """

    status: GoldStatus
    question: str
    answer: str
    before: str | None = None
    by: str | None = None
    key: str = ""
    verdict: bool = False
    target: str = ""
    mark: bool = False


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

    @property
    def verdicts(self) -> int:
        """Those of them that are verdicts or marks."""
        return sum(row.verdict or row.mark for row in _written(self.rows, replacing=self.replacing))


def plan_import(
    labeling: Labeling,
    annotator: str,
    questions: Iterable[Question],
    *,
    problems: Sequence[RowProblem] = (),
    replacing: bool = False,
    verdicts: Sequence[GivenVerdict] = (),
) -> GoldImport:
    """Say what importing these known answers and verdicts would do; nothing is written.

    Args:
        labeling: Where they would go.
        annotator: Who imports: each answer is this person's.
        questions: With their answers.
        problems: Rows of the file that could not be read, to be told with the rest.
        replacing: Where others gave a different answer, this one would settle it.
        verdicts: On answers that may be stored here.
    """
    labeling.sync()
    given = list(questions)
    stored = labeling.queue.by_text(_text_key(q) for q in given)
    said = labeling.queue.golds_said(key for found in stored.values() for key, _, _ in found)
    names = {one.annotator: one.name for one in labeling.queue.annotators()}
    rows = tuple(_row(q, stored.get(_text_key(q), []), said, annotator, names) for q in given)
    rows += _judged(labeling, annotator, verdicts, names)
    moved = labeling.commit(_changes(annotator, rows, replacing=replacing), batch=True, dry=True)
    return GoldImport(rows, tuple(problems), moved, replacing)


def write_import(labeling: Labeling, annotator: str, plan: GoldImport) -> Moved:
    """Write a dry run; one undo takes all of it back."""
    return labeling.commit(_changes(annotator, plan.rows, replacing=plan.replacing), batch=True)


def _text_key(question: Question) -> str:
    return question_key(normalised(question.text))


def _judged(
    labeling: Labeling, annotator: str, verdicts: Sequence[GivenVerdict], names: Mapping[str, str]
) -> tuple[GoldRow, ...]:
    """What each verdict would do: it counts for the very answer that it was given on, and for no other."""
    by_text = labeling.queue.by_text(question_key(normalised(one.question)) for one in verdicts)
    wanted = [_answer_keys(one, by_text.get(question_key(normalised(one.question)), [])) for one in verdicts]
    stored = labeling.queue.stored_keys(key for keys in wanted for key in keys)
    said = labeling.queue.verdicts_said(stored) | labeling.queue.marks_said(stored)
    rows = []
    for one, keys in zip(verdicts, wanted, strict=True):
        target = next((key for key in keys if key in stored), "")
        row = GoldRow("no-answer", one.question, one.value, verdict=not one.mark, mark=one.mark)
        rows.append(_verdict_row(row, target, stored, said.get(target, {}), annotator, names) if target else row)
    return tuple(rows)


def _answer_keys(one: GivenVerdict, stored: Sequence[tuple[str, Question, str | None]]) -> list[str]:
    """The keys under which the answer of a verdict may be stored: as exported, or by its words."""
    options = tuple(map(normalised, one.options))
    fitting = [key for key, question, _ in stored if not options or tuple(map(normalised, question.options)) == options]
    words = [answer_key(key, one.answer, cut=cut) for key in fitting for cut in (False, True) if one.answer]
    if one.mark:  # Of a trace that was thought before its answer, the file's own key alone tells the thought.
        words = [mark_target(key) for key in words]
    # Words that may be an answer to several stored questions name none of them.
    return [*filter(None, [one.target]), *(words if len(fitting) == 1 else ())]


def _verdict_row(
    row: GoldRow,
    target: str,
    stored: Mapping[str, str],
    said: Mapping[str, str],
    annotator: str,
    names: Mapping[str, str],
) -> GoldRow:
    row = replace(row, key=stored[target], target=target)
    own = said.get(annotator)
    against = next(((h, v) for h, v in said.items() if h != annotator and v not in (row.answer, "unsure")), None)
    if own == row.answer or said.get(SETTLED) == row.answer:
        return replace(row, status="same", before=own or row.answer)
    if against is not None:
        holder, value = against
        return replace(row, status="conflict", before=value, by=names.get(holder) if holder != SETTLED else None)
    return replace(
        row, status="new" if own is None else "changed", before=own, by=names.get(annotator) if own else None
    )


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
    against = next((h for h, value in others.items() if not same_answer(answer, value, question.options)), None)
    if against is not None:
        by = names.get(against) if against != SETTLED else None
        return GoldRow("conflict", text, answer, others[against], by, key)
    if before is not None and same_answer(answer, before, question.options):
        return GoldRow("same", text, answer, before, key=key)
    own = names.get(annotator) if gold is not None else None
    return GoldRow("new" if before is None else "changed", text, answer, before, own, key)


def _written(rows: Sequence[GoldRow], *, replacing: bool) -> list[GoldRow]:
    wanted = ("new", "changed", "conflict") if replacing else ("new", "changed")
    return list({(row.key, row.target): row for row in rows if row.status in wanted}.values())


def _kind(row: GoldRow) -> LabelKind:
    return "verdict" if row.verdict else "mark" if row.mark else "gold"


def _changes(annotator: str, rows: Sequence[GoldRow], *, replacing: bool) -> list[Change]:
    return [
        Change(
            annotator, _kind(row), row.target or row.key, row.key, row.answer, settle=row.status == "conflict",
            replace=True,
        )
        for row in _written(rows, replacing=replacing)
    ]  # fmt: skip
