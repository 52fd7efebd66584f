"""Which column is the question, which the answer, which the options: by a given mapping, else by usual names.

Where the names leave a choice, nothing is chosen: the error says which columns may be meant and how to say which one
is. What a cell means is decided in `answers` and `rows`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from tale_core.errors import InputError
from tale_core.i18n import joined, t

FIELDS = ("question", "answer", "options", "id", "topic", "context")
ANSWER_IS = "answer_is"
"""Of a mapping, and no column: what a whole number in the place of the answer means; see `answers.COUNTED`."""
_CHATS = ("messages", "conversations", "conversation")
"""Columns of whole chats (see `chats`): the user's message is the question, the model's the known answer."""
USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "question": (
        ("question", "problem", "prompt", "input", "text", "question_stem", "question_text", "squestion"),
        ("ctx", "goal", "sentence", "query", "instruction"),
        _CHATS,
    ),
    "answer": (
        ("answer", "gold", "label", "target", "solution", "final_answer", "final_ans", "answer_number", "answerkey",
         "answer_key", "correct", "correct_answer", "correct answer", "correct_option", "cop", "ground_truth",
         "ground truth", "known_answer", "expected_answer", "ideal", "answers", "answers_spans", "lsolutions"),
        ("reward_model",),
        _CHATS,
    ),
    "options": (("options", "choices", "endings", "answer_choices", "mc1_targets"),),
    "id": (("id", "question_id", "uid"),),
    "topic": (("topic", "subject", "category"),),
    "context": (("context", "passage", "body", "article", "story", "paragraph"),),
}  # fmt: skip
"""For each field its usual names, the usual ones first: names of a later group count where the earlier have none."""
CELLS = frozenset((*USUAL["options"][0], *_CHATS))
"""Columns whose cells are lists."""
WORKED = ("solution", "rationale", "explanation", "worked_solution")
"""Columns that may hold the way to the answer instead of the answer."""
LETTERS = "ABCDEFGHIJ"
_RIGHT = ("correct answer", "correct_answer")
_WRONG = re.compile(r"(?:incorrect|wrong)[ _]answers?[ _]?\d*|distractor[ _]?\d+")
_ONE_OPTION = re.compile(r"(options?|choices?|opt?|ending|sol|answer)[ _.-]?([a-j]|\d{1,2})")
_LONG = 100
_SHOWN = 20

Values = Mapping[str, object]


class ColumnsUnclear(InputError):
    """No column, or more than one, may be what is looked for: the person with the file can say which."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of a table's columns. None: the table has no such column.

    Attributes:
        options: One column that holds a list, or one column for each option, in order; empty without options.
        wrong: Columns of wrong options, where `answer` holds the right one (as GPQA's files have it).
        marked: The column of options says itself which one is right (as TruthfulQA's `mc1_targets` does).
        context: What has to be read before the question.
    """

    question: str
    answer: str | None
    options: tuple[str, ...] = ()
    id: str | None = None
    topic: str | None = None
    context: str | None = None
    wrong: tuple[str, ...] = ()
    marked: bool = False


def find_columns(
    there: Sequence[str], mapping: Mapping[str, str | Sequence[str]] | None = None, *, sample: Sequence[Values] = ()
) -> Columns:
    """Decide which columns to read.

    Args:
        there: The table's columns.
        mapping: Field ("question", "answer", "options", "id", "topic", "context") -> column. `options` may name several
            columns, one for each option. "" says that there is none; `{"answer": ""}` reads questions nobody has
            answered yet. What is not mapped is guessed among usual names, whatever their case. "answer_is" is passed
            over here.
        sample: The first rows. A column that is empty in all of them is never guessed.

    Raises:
        InputError: A field or column that does not exist, or a guess that finds none or several.
    """
    given = {field: column for field, column in (mapping or {}).items() if field != ANSWER_IS}
    for field, column in given.items():
        _check(field, column, there)
    options = option_columns(there, given, sample)
    marked = len(options) == 1 and "answer" not in given and any(is_marked(row.get(options[0])) for row in sample)
    wrong = () if options or "options" in given or "answer" in given else _wrong(there)
    answer = None if marked else _one("answer", given, there, sample, needed=True)
    return Columns(
        question=_one("question", given, there, sample, needed=True) or "",
        answer=next(c for c in there if _plain(c) in _RIGHT) if wrong else answer,
        options=options,
        id=_one("id", given, there, sample),
        topic=_one("topic", given, there, sample),
        context=_one("context", given, there, sample),
        wrong=wrong,
        marked=marked,
    )


def is_marked(cell: object) -> bool:
    """Whether a cell holds options together with a 1 for the right ones and a 0 for the others."""
    return isinstance(cell, Mapping) and isinstance(cell.get("choices"), list) and isinstance(cell.get("labels"), list)


def _check(field: str, column: object, there: Sequence[str]) -> None:
    if field not in FIELDS:
        known = ", ".join((*FIELDS, ANSWER_IS))
        raise InputError(
            t("The mapping has a field {field!r}.", field=field[:40]), t("Fields are {names}.", names=known)
        )
    names = [column] if isinstance(column, str) else column
    several = isinstance(names, Sequence) and all(isinstance(n, str) for n in names)
    if not several or (field != "options" and not isinstance(column, str)) or (field == "question" and not column):
        raise InputError(t("The mapping of {field} is not the name of a column.", field=field), _columns(there))
    for name in names if isinstance(names, Sequence) else ():
        if name and name not in there:
            message = t("There is no column {column!r} for {field}.", column=name[:40], field=field)
            raise InputError(message, _columns(there))


def _one(
    field: str,
    given: Mapping[str, str | Sequence[str]],
    there: Sequence[str],
    sample: Sequence[Values],
    *,
    needed: bool = False,
) -> str | None:
    if field in given:
        return str(given[field]) or None
    taken = set(chain.from_iterable([c] if isinstance(c, str) else c for c in given.values()))
    found = candidates(field, [c for c in there if c not in taken], sample)
    if len(found) == 1:
        return found[0]
    if needed or (found and field == "context"):
        raise unclear(field, found, there)
    # Of two ids or topics neither is needed; taking one by chance would be a guess.
    return None


def unclear(field: str, found: Sequence[str], there: Sequence[str]) -> ColumnsUnclear:
    """That none of the columns, or several, may be meant, with what to say on the command line."""
    if not found:
        how = t("Map them: question=…, answer=… (answer= with nothing: no known answers).")
        return ColumnsUnclear(t("No column is called {field}.", field=field), joined(_columns(there), how))
    message = t("Several columns may be the {field}: {columns}.", field=field, columns=_listed(found))
    flags = t(" or ").join(f"--map {field}={name}" for name in found[:3])
    how = t("Map them: question=…, answer=… (on the command line: {flags}).", flags=flags)
    return ColumnsUnclear(message, joined(_columns(there), how))


def candidates(field: str, free: Iterable[str], sample: Sequence[Values] = ()) -> list[str]:
    """Columns that may be meant by their names: those of the first group of names that has any."""
    columns = list(free)
    filled = [c for c in columns if not sample or any(row.get(c) not in (None, "", [], {}) for row in sample)]
    for candidates in (filled, columns):
        for group in USUAL[field]:
            found = [c for c in candidates if _plain(c) in group]
            if len(found) > 1:
                found = [c for c in found if not _is_worked(c, sample)] or found
            if found:
                return found
    return []


def _is_worked(column: str, sample: Sequence[Values]) -> bool:
    """Whether a column holds the way to the answer, which then stands in another one."""
    cells = [row.get(column) for row in sample] if _plain(column) in WORKED else []
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    return any(len(text) > _LONG or "\n" in text or "\\boxed" in text for text in texts)


def _plain(column: str) -> str:
    return column.strip().casefold()


def _wrong(there: Sequence[str]) -> tuple[str, ...]:
    """The columns of wrong options, where there is one of the right one beside them."""
    if sum(_plain(c) in _RIGHT for c in there) != 1:
        return ()
    return tuple(c for c in there if _WRONG.fullmatch(_plain(c)))


def option_columns(
    there: Sequence[str], given: Mapping[str, str | Sequence[str]], sample: Sequence[Values] = ()
) -> tuple[str, ...]:
    """The columns of options: one that holds a list, or one for each option; empty without.

    Raises:
        InputError: Several may be meant.
    """
    if "options" in given:
        column = given["options"]
        return tuple(c for c in ([column] if isinstance(column, str) else column) if c)
    mapped = set(chain.from_iterable([c] if isinstance(c, str) else c for c in given.values()))
    found = candidates("options", [c for c in there if c not in mapped], sample)
    families = [(name,) for name in found] or option_families([c for c in there if c not in mapped])
    if len(families) > 1:
        message = t("Several columns may be the options: {columns}.", columns=_listed([f[0] for f in families]))
        flags = t(" or ").join(f"--map options={'|'.join(family)}" for family in families[:3])
        raise ColumnsUnclear(message, t("Map one: options=… (on the command line: {flags}).", flags=flags))
    return families[0] if families else ()


def option_families(there: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns that are one option each, in order: A, B, C; option1, option2; opa, opb; ending0, ending1."""
    letters = tuple(c for c in LETTERS if c in there)
    found = [letters] if len(letters) >= 2 and "".join(letters) == LETTERS[: len(letters)] else []
    stems: dict[str, dict[str, str]] = {}
    for column in there:
        if match := _ONE_OPTION.fullmatch(_plain(column)):
            stems.setdefault(match.group(1), {})[match.group(2)] = column
    for columns in stems.values():
        for order in ("abcdefghij", "0123456789", [str(i) for i in range(1, 27)]):
            if len(columns) >= 2 and set(columns) == set(order[: len(columns)]):
                found.append(tuple(columns[mark] for mark in order[: len(columns)]))
    return found


def _listed(names: Sequence[str]) -> str:
    """Column names for a message: few and short, because without a header line they are somebody's data."""
    shown = [name if len(name) <= 30 else f"{name[:30]}…" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        return t("{names} and {more} more", names=", ".join(shown), more=len(names) - _SHOWN)
    return ", ".join(shown) or t("none")


def _columns(there: Sequence[str]) -> str:
    return t("Columns: {names}.", names=_listed(there))
