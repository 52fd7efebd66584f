"""One row's values -> one `Question`, or the reason why not. Reasons never quote the row.

A question is taken only if a right answer to it would be graded right: its known answer, written in the asked-for
format, must be read back by the grader. Knows the grader and columns; knows no files.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from tale_core.datasets.columns import Columns
from tale_core.datasets.ours import language_of
from tale_core.grading import equivalent, extract, infer_kind, known_answer
from tale_core.grading.clean import clean
from tale_core.grading.numbers import strict_number
from tale_core.i18n import N_, t
from tale_core.types import AnswerKind, Language, Question

MAX_TEXT = 20_000
"""Characters of a question with its options, and of an answer with its worked solution."""
MAX_OPTIONS = 26
MAX_NAME = 200
_SHUFFLE_SEED = "tale-gpqa-1"
_LETTER = re.compile(r"[(\[]{0,2}([A-Za-z])[)\]]{0,2}[.:、]?")
_LETTERED = re.compile(r"\(?([A-Z])(?:\)|[.:、])\s*(.+)", re.DOTALL)
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")

Layout = Literal["table", "gpqa"]
Cell = Literal["question", "answer", "option", "id", "topic"]
_CELLS: dict[Cell, str] = {
    "question": N_("question"), "answer": N_("answer"), "option": N_("option"), "id": N_("id"), "topic": N_("topic"),
}  # fmt: skip
GPQA_COLUMNS = ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


class BadRow(ValueError):
    """A row that makes no question; the message is the reason, for people."""


def to_question(
    values: dict[str, object],
    columns: Columns,
    *,
    source: str,
    kind: AnswerKind | None = None,
    language: Language | None = None,
) -> Question:
    """The question of a row.

    Args:
        values: The row, by column.
        columns: Which of them to read.
        source: Name of the set; with a digest of the question it is the id of a row that has none.
        kind: How the set's answers are compared; None infers it for each row.
        language: The set's; None tells it from each text.

    Raises:
        BadRow: With the reason.
    """
    text = _text(values.get(columns.question), "question")
    options = _options([values.get(c) for c in columns.options])
    if len(text) + sum(map(len, options)) > MAX_TEXT:
        raise _longer("question", MAX_TEXT)
    answer = _text(values.get(columns.answer), "answer") if columns.answer else None
    if answer is not None and len(answer) > MAX_TEXT:
        raise _longer("answer", MAX_TEXT)
    return _checked(
        Question(
            text=text,
            id=_name(values, columns.id, "id") or f"{source}-{_digest(text, *options)[:12]}",
            answer=right_letter(answer, options) if answer and options else answer,
            kind="choice" if options else kind,
            options=options,
            language=language or language_of(text),
            topic=_name(values, columns.topic, "topic"),
            source=source,
        )
    )


def to_gpqa_question(values: dict[str, object], *, source: str) -> Question:
    """The question of a row of GPQA, whose files give the right answer and three wrong ones apart.

    The options are put into the order of sha256 over a fixed seed, the question and the option, so that every run and
    every machine asks the same, and the right letter depends on the question alone.

    Raises:
        BadRow: With the reason.
    """
    text = _text(values.get(GPQA_COLUMNS[0]), "question")
    right, *wrong = (_text(values.get(c), "option") for c in GPQA_COLUMNS[1:])
    options = sorted((right, *wrong), key=lambda option: _digest(_SHUFFLE_SEED, text, option))
    row = {
        "question": text,
        "options": options,
        "answer": chr(ord("A") + options.index(right)),
        "id": values.get("Record ID"),
        "topic": values.get("High-level domain"),
    }
    return to_question(row, Columns("question", "answer", ("options",), "id", "topic"), source=source, language="en")


def worked_solution(values: dict[str, object], columns: Columns) -> str | None:
    """What stands before `####` in a row's answer (GSM8K's way of writing one); None when nothing does."""
    cell = values.get(columns.answer) if columns.answer else None
    return (cell.rpartition("####")[0].strip() or None) if isinstance(cell, str) else None


def _longer(what: Cell, most: int) -> BadRow:
    return BadRow(t("the {what} is longer than {most:,} characters", what=t(_CELLS[what]), most=most))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _text(value: object, what: Cell) -> str:
    """A cell as text; a number as people write it ("48" for 48.0)."""
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise BadRow(t("the {what} is not a finite number", what=t(_CELLS[what])))
        value = f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    elif isinstance(value, int | Decimal):
        value = _digits(value, what)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRow(t("there is no {what}", what=t(_CELLS[what])))
    if not isinstance(value, str):
        kind = type(value).__name__
        raise BadRow(t("the {what} is not text but {kind}", what=t(_CELLS[what]), kind=kind))
    if _UNUSABLE.search(value):
        told = t("the {what} holds bytes that are not UTF-8, half a character or a NUL", what=t(_CELLS[what]))
        raise BadRow(told)
    return value.strip()


def _digits(value: int | Decimal, what: Cell) -> str:
    try:
        return str(value)
    except ValueError as e:  # Python refuses to write integers of more than 4,300 digits
        raise BadRow(t("the {what} is too long a number", what=t(_CELLS[what]))) from e


def _name(values: dict[str, object], column: str | None, what: Cell) -> str | None:
    value = None if column is None else values.get(column)
    if value is None or value == "":
        return None
    name = _text(value, what)
    if len(name) > MAX_NAME:
        raise _longer(what, MAX_NAME)
    return name


def _options(cells: Sequence[object]) -> tuple[str, ...]:
    """The option texts: from a list, from JSON in a cell, from an object by letter, or from one cell each."""
    if not any(cell is not None and cell != "" for cell in cells):
        return ()
    found: object = cells[0] if len(cells) == 1 else [c for c in cells if c is not None and c != ""]
    if isinstance(found, str) and found.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(found[: 10 * MAX_TEXT])
        except (ValueError, RecursionError) as e:
            raise BadRow(t("the options are broken JSON")) from e
    if isinstance(found, dict) and tuple(found) == tuple(chr(ord("A") + i) for i in range(len(found))):
        found = list(found.values())
    if not isinstance(found, list):
        raise BadRow(t("the options are not a list"))
    if not found:
        return ()
    if not 2 <= len(found) <= MAX_OPTIONS:
        raise BadRow(t("there are {n:,} options; 2 to {most} can be asked", n=len(found), most=MAX_OPTIONS))
    return tuple(_text(option, "option") for option in found)


def right_letter(answer: str, options: tuple[str, ...]) -> str:
    """The letter of the right option, from a letter, an option's text or both ("B. 12").

    Raises:
        BadRow: It is none of the options.
    """
    letters = [chr(ord("A") + i) for i in range(len(options))]
    given = _LETTER.fullmatch(answer)
    both = _LETTERED.fullmatch(answer)
    if given and given.group(1).upper() in letters:
        letter = given.group(1).upper()
    elif answer in options:
        letter = letters[options.index(answer)]
    elif both and both.group(1) in letters and options[letters.index(both.group(1))] == both.group(2).strip():
        letter = both.group(1)
    else:
        raise BadRow(t("the answer is none of the options: give its letter or its text"))
    if options.count(options[letters.index(letter)]) > 1:
        raise BadRow(t("the right option is there twice"))
    return letter


def _checked(question: Question) -> Question:
    """The question with its kind, and with the bare answer, if the grader can recognise that answer."""
    if question.answer is None:
        return question
    gold = known_answer(question)
    if gold is None:
        raise BadRow(t("there is no answer behind ####"))
    kind = infer_kind(question)
    if question.kind == "number" and strict_number(gold) is None:
        raise BadRow(t("the answer is not a number, and this set asks for numbers"))
    if not _recognised(gold, kind, question.options):
        raise BadRow(t("the answer cannot be graded: give a short final answer"))
    return replace(question, answer=gold, kind=kind)


def _recognised(gold: str, kind: AnswerKind, options: tuple[str, ...]) -> bool:
    for written in (f"[[{gold}]]", rf"\boxed{{{gold}}}"):
        read = extract(written, kind, options).value
        # Equal strings first: comparing different expressions may start another process.
        if read is not None and (
            clean(read) == clean(gold) or (kind != "number" and equivalent(read, gold, kind, options))
        ):
            return True
    return False
