"""A file of known answers, or an export of labels -> what it says; nothing is matched with the store here.

In an export of labels the column `answer` is what a model wrote: a row of kind "gold" gives its question's known answer
in `value`, one of kind "verdict" judges that very answer, one of kind "mark" names the sentence that settles it.
Reading, checking and its caps are those of data sets.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath

from tale_core.datasets import RowProblem, read_upload
from tale_core.datasets.loading import SUFFIXES, UPLOAD_BYTES, UPLOAD_ROWS
from tale_core.datasets.results import Row
from tale_core.datasets.rows import BadRow, is_label_export, options_of, same_answer, to_labelled_question
from tale_core.datasets.tables import read_table
from tale_core.errors import InputError
from tale_core.grading import known_answer
from tale_core.i18n import t
from tale_core.store import normalised
from tale_core.text import safe_cell
from tale_core.types import Question


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict of a file, or a mark.

    Attributes:
        line: Where it stands.
        answer: The model's text that was judged.
        target: The key of that answer where it was exported, if the file names it.
        settled: It decided a disagreement.
        mark: `value` is the number of the sentence at which the answer is settled.
    """

    line: int
    question: str
    options: tuple[str, ...]
    answer: str
    value: str
    target: str = ""
    settled: bool = False
    mark: bool = False


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What a file of known answers, or an export of labels, holds."""

    questions: tuple[Question, ...]
    verdicts: tuple[GivenVerdict, ...]
    problems: tuple[RowProblem, ...]


def read_labels(name: str, data: bytes, *, mapping: Mapping[str, str | Sequence[str]] | None = None) -> LabelFile:
    """The known answers of a file, the verdicts of an export of labels, and the rows that were passed over.

    Raises:
        InputError: The file as a whole cannot be read, is too large, or has no good row.
    """
    rows = [] if mapping else _exported(name, data)
    if not rows:
        loaded = read_upload(name, data, mapping=mapping)
        known = tuple(q for q in loaded.questions if known_answer(q) is not None)
        if not known:
            raise InputError(t("No row of the file has an answer."), t("Give columns question and answer."))
        return LabelFile(known, (), loaded.problems)
    questions: dict[tuple[str, ...], Question] = {}
    verdicts: list[GivenVerdict] = []
    problems: list[RowProblem] = []
    for row in rows:
        try:
            if row.values.get("kind") == "gold":
                _take_gold(questions, row)
            else:
                verdicts.append(_verdict(row))
        except BadRow as e:
            problems.append(RowProblem(row.line, str(e)))
    if not questions and not verdicts:
        first = "; ".join(t("line {line}: {reason}", line=p.line, reason=p.reason) for p in problems[:3])
        raise InputError(t("No row of the file has an answer."), f"{first[:1].upper()}{first[1:]}.")
    agreed, doubts = _agreed(verdicts)
    return LabelFile(tuple(questions.values()), agreed, (*problems, *doubts))


def _exported(name: str, data: bytes) -> list[Row]:
    """The rows of an export of labels; none when the file is something else, or too large."""
    suffix = PurePath(name).suffix.casefold()
    if suffix not in SUFFIXES or len(data) > UPLOAD_BYTES:
        return []
    items = list(islice(read_table(io.BytesIO(data), suffix), UPLOAD_ROWS + 1))
    rows = [item for item in items if isinstance(item, Row)]
    if not rows or len(items) > UPLOAD_ROWS or not is_label_export(rows[0].values):
        return []
    if suffix not in (".csv", ".tsv"):
        return rows
    return [Row(row.line, {field: _unguarded(cell) for field, cell in row.values.items()}) for row in rows]


def _unguarded(cell: object) -> object:
    """A cell without the quote that keeps a spreadsheet from running it (see `safe_cell`)."""
    bare = cell[1:] if isinstance(cell, str) and cell.startswith("'") else None
    return bare if bare is not None and safe_cell(bare) == cell else cell


def _take_gold(questions: dict[tuple[str, ...], Question], row: Row) -> None:
    """A known answer; of several to one question the settled one, or all the same.

    Raises:
        BadRow: It cannot be used, or another one stands before it.
    """
    question = to_labelled_question(row.values, source="labels")
    key = (normalised(question.text), *map(normalised, question.options))
    before = questions.get(key)
    if before is not None and not _is_true(row.values.get("settled")):
        if not same_answer(before.answer or "", question.answer or "", question.options):
            raise BadRow(t("the people of the file give this question different answers: settle it there"))
        return
    questions[key] = question


def _verdict(row: Row) -> GivenVerdict:
    values = row.values
    value, answer, target = (str(values.get(name) or "") for name in ("value", "answer", "target"))
    mark = values.get("kind") == "mark"
    if not mark and (values.get("kind") != "verdict" or value not in ("right", "wrong", "unsure")):
        raise BadRow(t("the label is neither a known answer nor right, wrong or unsure"))
    if mark and not (value.isascii() and value.isdecimal() and int(value)):
        raise BadRow(t("the mark names no sentence by its number"))
    text = values.get("question")
    if not isinstance(text, str) or not text.strip() or not (answer or target):
        raise BadRow(t("it does not say which answer was judged"))
    options, _ = options_of([values.get("options")])
    return GivenVerdict(row.line, text, options, answer, value, target, _is_true(values.get("settled")), mark)


def _is_true(cell: object) -> bool:
    return cell is True or str(cell).casefold() == "true"


def _agreed(verdicts: Sequence[GivenVerdict]) -> tuple[tuple[GivenVerdict, ...], list[RowProblem]]:
    """One verdict for each answer: the settled one, or what all who judged it say."""
    by_answer: dict[tuple[str, ...], list[GivenVerdict]] = {}
    for one in verdicts:
        # A mark is about a trace, which its target tells apart where two thoughts led to the same words.
        about = (one.target or one.answer,) if one.mark else ("", one.answer)
        by_answer.setdefault((normalised(one.question), *one.options, *about), []).append(one)
    agreed: list[GivenVerdict] = []
    doubts: list[RowProblem] = []
    for said in by_answer.values():
        settled = [one for one in said if one.settled]
        decided = settled[-1:] or [one for one in said if one.value != "unsure"] or said
        if len({one.value for one in decided}) == 1:
            agreed.append(decided[0])
            continue
        why = t("the people of the file judge this answer differently: settle it there")
        doubts += [RowProblem(one.line, why) for one in said]
    return tuple(agreed), doubts
