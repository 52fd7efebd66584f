"""One row's values -> one `Question`, or the reason why not. Reasons never quote the row.

A question is taken only if a right answer to it would be graded right: its known answer, written in the asked-for
format, must be read back by the grader.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from tale_core.datasets.answers import (
    COUNTED,
    Lettered,
    Meaning,
    Unclear,
    last_box,
    letter_place,
    place,
    whole,
    with_point,
    without_box,
)
from tale_core.datasets.chats import messages, said_by
from tale_core.datasets.columns import WORKED, Columns, is_marked
from tale_core.datasets.ours import language_of
from tale_core.grading import equivalent, infer_kind, known_answer
from tale_core.grading.clean import clean
from tale_core.grading.extract import extract
from tale_core.grading.numbers import strict_number
from tale_core.i18n import N_, t
from tale_core.types import AnswerKind, Language, Question

MAX_TEXT = 20_000
"""Characters of a question with its options, and of an answer with its worked solution."""
MAX_OPTIONS = 26
MAX_NAME = 200
EMPTY_OPTION = "\u2014"
"""Stands for an empty option between others, so that those behind it keep their letters."""
_MAX_UNMARKED = 60
"""Characters of an answer in a column of worked solutions that marks none."""
_SHUFFLE_SEED = "tale-gpqa-1"
_LETTERED = re.compile(r"\(?([A-Z])(?:\)|[.:、])\s*(.+)", re.DOTALL)
_OPTION_LETTER = re.compile(r"\s*\(?([A-Za-z])\s?[).:、]\s*(?=\S)")
_LETTER_BEFORE = re.compile(r"(?:(?<=^)|(?<=[,;\n])|(?<=[,;] ))\s*\(?([A-Za-z])\s?[).:]\s+(?=\S)")
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
    meaning: Meaning | None = None,
) -> Question:
    """The question of a row.

    Args:
        values: The row, by column.
        columns: Which of them to read.
        source: Name of the set; with a digest of the question it is the id of a row that has none.
        kind: How the set's answers are compared; None infers it for each row.
        language: The set's; None tells it from each text.
        meaning: How its file writes known answers.

    Raises:
        BadRow: With the reason.
    """
    options_in = [values.get(c) for c in columns.options]
    inside = values.get(columns.question)
    if isinstance(inside, Mapping) and "stem" in inside:
        # AI2's sets put the question and its options into one object: {"stem": …, "choices": […]}.
        values, options_in = values | {columns.question: inside["stem"]}, [inside.get("choices")]
    answer: str | None = None
    chat = messages(inside)
    if columns.answer == columns.question and not chat:
        raise BadRow(t("there is no list of messages"))
    asked = _asked(chat) if chat else _text(values.get(columns.question), "question")
    text = _with_context(asked, values, columns)
    if columns.wrong or columns.marked:
        options, answer = _shuffled(text, *_sorted_out(values, columns))
    else:
        options, labels = options_of(options_in)
        if columns.answer:
            answer = _answer(values.get(columns.answer), options, labels, columns, meaning or Meaning())
    if len(text) + sum(map(len, options)) > MAX_TEXT:
        raise _longer("question", MAX_TEXT)
    return _checked(
        Question(
            text=text,
            id=_name(values, columns.id, "id") or f"{source}-{_digest(text, *options)[:12]}",
            answer=answer,
            kind="choice" if options else kind,
            options=options,
            language=language or language_of(text),
            topic=_name(values, columns.topic, "topic"),
            source=source,
        )
    )


def _asked(chat: list[Mapping[str, Any]]) -> str:
    """What the one message of a user asks, behind what the system was told.

    Raises:
        BadRow: The chat has no such message, or several: what the model said between them is part of the question.
    """
    asked = said_by("user", chat)
    if len(asked) != 1:
        raise BadRow(t("the chat has {n} messages of the user; one can be asked", n=len(asked)))
    return "\n\n".join(_text(one, "question") for one in (*filter(None, said_by("system", chat)), *asked))


def _with_context(text: str, values: Mapping[str, object], columns: Columns) -> str:
    """The question behind what has to be read first (SVAMP's `Body`, BoolQ's `passage`)."""
    cell = values.get(columns.context) if columns.context else None
    if cell is None or cell == "" or (isinstance(cell, str) and not cell.strip()):
        return text
    before = _text(cell, "question")
    return text if " ".join(before.split()) in " ".join(text.split()) else f"{before}\n{text}"


def _answer(cell: object, options: tuple[str, ...], labels: tuple[str, ...], columns: Columns, meaning: Meaning) -> str:
    """The known answer of a row: for a question with options the letter of the right one.

    Raises:
        BadRow: There is none, or it is none of the options.
    """
    cell = _unwrapped(cell)
    if isinstance(cell, list):
        cell = _only(cell)
    if options:
        return _right_option(cell, options, labels, meaning)
    text = _text(cell, "answer")
    if len(text) > MAX_TEXT:
        raise _longer("answer", MAX_TEXT)
    final = text.rpartition("####")[2]
    if (box := last_box(final)) is not None:
        return box
    worked = (columns.answer or "").strip().casefold() in WORKED and "####" not in text and not _is_short(text)
    if worked or "\\boxed" in final:
        raise BadRow(t("the worked solution marks no final answer: write it into \\boxed{…} or behind ####"))
    try:
        return with_point(text, meaning)
    except Unclear as e:
        raise BadRow(t("the answer can be read in two ways: {why}", why=str(e))) from e


def _unwrapped(cell: object) -> object:
    """An answer without its chat, its place or other ways to write it (TriviaQA, SQuAD, DROP, verl)."""
    if isinstance(cell, Mapping):
        cell = next((cell[name] for name in ("value", "text", "spans", "ground_truth") if name in cell), cell)
    chat = messages(cell)
    return next(reversed(said_by("assistant", chat)), None) if chat else cell


def _is_short(text: str) -> bool:
    return len(text) <= _MAX_UNMARKED and "\n" not in text and not re.search(r"[.!?。]\s+\S", text)


def _only(cells: Sequence[object]) -> object:
    """The one answer of a list, also when it is written in several ways that are the same."""
    texts = [_text(cell, "answer") for cell in cells]
    if not texts:
        raise BadRow(t("there is no {what}", what=t(_CELLS["answer"])))
    if any(not same_answer(texts[0], other) for other in texts[1:]):
        raise BadRow(t("there are several known answers: give one"))
    return cells[0]


def same_answer(one: str, other: str, options: tuple[str, ...] = ()) -> bool:
    """Whether two known answers are the same to the grader, however they are written."""
    if one.strip() == other.strip():
        return True
    asked = Question("", answer=one, options=options)
    return equivalent(other, one, infer_kind(asked), options) is True


def _right_option(cell: object, options: tuple[str, ...], labels: tuple[str, ...], meaning: Meaning) -> str:
    text = _text(cell, "answer")
    if text in labels:
        letter = chr(ord("A") + labels.index(text))
    elif (number := whole(text)) is not None and meaning.counted in ("0", "1"):
        at = place(number, options, meaning.counted)
        if at is None:
            raise BadRow(t("the answer is none of the options: give its letter or its text"))
        letter = right_letter(chr(ord("A") + at), options, "letter")
    else:
        if number is not None and meaning.counted is None and len(_places(number, options)) > 1:
            raise BadRow(t("the number may be an option's place or its text: give the letter"))
        letter = right_letter(last_box(text) or text, options, meaning.lettered)
    if options[ord(letter) - ord("A")] == EMPTY_OPTION:
        raise BadRow(t("the right option is empty"))
    return letter


def _places(number: int, options: tuple[str, ...]) -> set[int]:
    return {at for one in COUNTED if (at := place(number, options, one)) is not None}


def _sorted_out(values: Mapping[str, object], columns: Columns) -> tuple[str, list[str]]:
    """The right option and the wrong ones, of a row that says which is which."""
    if not columns.marked:
        wrong = [values.get(c) for c in columns.wrong]
        flat = [one for cell in wrong for one in (cell if isinstance(cell, list) else [cell])]
        return _text(values.get(columns.answer or ""), "option"), [_text(one, "option") for one in flat]
    cell = values.get(columns.options[0])
    if not isinstance(cell, Mapping) or not is_marked(cell) or len(cell["choices"]) != len(cell["labels"]):
        raise BadRow(t("the options are not a list"))
    marked = list(zip(cell["labels"], (_text(one, "option") for one in cell["choices"]), strict=True))
    right = [text for label, text in marked if label == 1]
    if len(right) != 1:
        raise BadRow(t("{n} options are marked as right; one can be", n=len(right)))
    return right[0], [text for label, text in marked if label != 1]


def _shuffled(text: str, right: str, wrong: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The options in the order of sha256 over a fixed seed, the question and the option, and the right letter.

    So every run and every machine asks the same, and the right letter depends on the question alone.
    """
    if not 1 <= len(wrong) < MAX_OPTIONS:
        n = len(wrong) + 1
        raise BadRow(t("there are {n:,} options; 2 to {most} can be asked", n=n, most=MAX_OPTIONS))
    options = tuple(sorted((right, *wrong), key=lambda option: _digest(_SHUFFLE_SEED, text, option)))
    return options, right_letter(chr(ord("A") + options.index(right)), options, "letter")


def to_gpqa_question(values: dict[str, object], *, source: str) -> Question:
    """The question of a row of GPQA, whose files give the right answer and three wrong ones apart.

    Raises:
        BadRow: With the reason.
    """
    question, right, *wrong = GPQA_COLUMNS
    columns = Columns(question, right, (), "Record ID", "High-level domain", wrong=tuple(wrong))
    return to_question(values, columns, source=source, language="en")


def is_label_export(columns: Collection[str]) -> bool:
    """Whether these are the columns of this project's export of labels: its `answer` is what a model wrote."""
    return {"question", "answer", "kind", "value", "annotator"} <= set(columns)


def to_labelled_question(values: dict[str, object], *, source: str) -> Question:
    """The question of a row of an export of labels that says its known answer.

    Raises:
        BadRow: It is a verdict on a model's answer, or cannot be used.
    """
    if values.get("kind") != "gold":
        raise BadRow(t("it is a label on a model's answer and gives no known answer"))
    return to_question(values, Columns("question", "value", ("options",)), source=source)


def worked_solution(values: dict[str, object], columns: Columns) -> str | None:
    """What leads to a row's answer: before `####` (GSM8K's way of writing one), or around a box; None without."""
    cell = _unwrapped(values.get(columns.answer)) if columns.answer else None
    if not isinstance(cell, str):
        return None
    worked, marks, _ = cell.rpartition("####")
    if not marks and (box := last_box(cell)) is not None:
        worked = without_box(cell) if len(cell.strip()) > len(box) + len("$\\boxed{}$") else ""
    return worked.strip() or None


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
        message = t("the {what} holds bytes that are not UTF-8, half a character or a NUL", what=t(_CELLS[what]))
        raise BadRow(message)
    return value.strip()


def _digits(value: int | Decimal, what: Cell) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise BadRow(t("the {what} is not a finite number", what=t(_CELLS[what])))
        written = f"{value:f}"
        return written.rstrip("0").rstrip(".") if "." in written else written
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


def options_of(cells: Sequence[object]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The option texts and, where the row gives them, their labels.

    They come from a list, from a list as text in a cell, from an object by letter, from ARC's {"text": …, "label": …},
    or from one cell each. Empty ones at the end are no options; one between others keeps its place.

    Raises:
        BadRow: They are none of these, too few or too many.
    """
    if not any(cell is not None and cell != "" for cell in cells):
        return (), ()
    found: Any = _lettered_in(_list_in(cells[0])) if len(cells) == 1 else list(cells)
    labels: list[object] = []
    if isinstance(found, Mapping) and isinstance(found.get("text"), list) and isinstance(found.get("label"), list):
        found, labels = found["text"], found["label"]
    elif isinstance(found, Mapping) and tuple(found) == tuple(chr(ord("A") + i) for i in range(len(found))):
        found = list(found.values())
    elif isinstance(found, list) and found and all(isinstance(one, Mapping) and "text" in one for one in found):
        found, labels = [one["text"] for one in found], [one.get("label") for one in found]
    if not isinstance(found, list):
        raise BadRow(t("the options are not a list"))
    texts = ["" if _is_empty(one) else _text(one, "option") for one in found]
    while texts and not texts[-1]:
        texts.pop()
    if not texts:
        return (), ()
    if not 2 <= len(texts) <= MAX_OPTIONS:
        raise BadRow(t("there are {n:,} options; 2 to {most} can be asked", n=len(texts), most=MAX_OPTIONS))
    named = tuple("" if _is_empty(one) else _text(one, "option") for one in labels)
    return _unlettered(tuple(text or EMPTY_OPTION for text in texts)), named


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _list_in(cell: object) -> object:
    """A list that stands as text in a cell: JSON, or as Python writes one."""
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    text = cell.strip()[: 10 * MAX_TEXT]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as e:
        raise BadRow(t("the options are broken JSON")) from e


def _lettered_in(cell: object) -> object:
    """The options of a cell that names each with its letter ("a ) 38 , b ) 27"); any other cell as it is."""
    found = list(_LETTER_BEFORE.finditer(cell[: 2 * MAX_TEXT])) if isinstance(cell, str) else []
    if not isinstance(cell, str) or len(found) < 2 or found[0].start() > 0:
        return cell
    if [m[1].upper() for m in found] != [chr(ord("A") + i) for i in range(len(found))]:
        return cell
    ends = [*(m.start() for m in found[1:]), len(cell)]
    return [cell[m.end() : end].strip(" ,;\n") for m, end in zip(found, ends, strict=True)]


def _unlettered(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options without letters of their own ("A) 21", "(B) 7"), if every one begins with its own."""
    found = [_OPTION_LETTER.match(option) for option in options]
    letters = [match.group(1).upper() if match else "" for match in found]
    if letters != [chr(ord("A") + i) for i in range(len(options))]:
        return options
    return tuple(option[match.end() :].strip() for option, match in zip(options, found, strict=True) if match)


def right_letter(answer: str, options: tuple[str, ...], lettered: Lettered | None = None) -> str:
    """The letter of the right option, from a letter, an option's text or both ("B. 12").

    Args:
        answer: As it was given.
        options: Their texts.
        lettered: What a letter is that another option reads like (blood groups, vitamins); None where nobody knows.

    Raises:
        BadRow: It is none of the options, or may be two.
    """
    letters = [chr(ord("A") + i) for i in range(len(options))]
    at, both = letter_place(answer, options), _LETTERED.fullmatch(answer)
    if at is not None and answer in options and options.index(answer) != at and lettered is None:
        raise BadRow(t("the letter may name an option or be another one's text: write the letter and the text"))
    if at is not None and (lettered != "text" or answer not in options):
        letter = letters[at]
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
