"""Which column is the question and which the answer: by a given mapping, else by usual names.

Knows names only; what stands in the columns is `rows`' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tale_core.errors import InputError
from tale_core.i18n import joined, t

FIELDS = ("question", "answer", "options", "id", "topic")
USUAL = {
    "question": ("question", "problem", "prompt", "input", "text"),
    "answer": ("answer", "gold", "label", "target", "solution", "final_answer"),
    "options": ("options", "choices"),
    "id": ("id", "question_id", "uid"),
    "topic": ("topic", "subject", "category"),
}
LETTERS = ("A", "B", "C", "D", "E")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of a table's columns. None: the table has no such column.

    Attributes:
        options: One column that holds a list, or one column for each option, in order; empty without options.
    """

    question: str
    answer: str | None
    options: tuple[str, ...] = ()
    id: str | None = None
    topic: str | None = None


def find_columns(there: Sequence[str], mapping: Mapping[str, str | Sequence[str]] | None = None) -> Columns:
    """Decide which columns to read.

    Args:
        there: The table's columns.
        mapping: Field ("question", "answer", "options", "id", "topic") -> column. `options` may name several columns,
            one for each option. "" says that there is none; `{"answer": ""}` reads questions nobody has answered yet.
            What is not mapped is guessed among usual names, whatever their case.

    Raises:
        InputError: A field or column that does not exist, or a guess that finds none or several.
    """
    given = dict(mapping or {})
    for field, column in given.items():
        _check(field, column, there)
    question, answer = (_one(field, given, there, needed=True) for field in ("question", "answer"))
    return Columns(
        question=question or "",
        answer=answer,
        options=_options(given, there),
        id=_one("id", given, there),
        topic=_one("topic", given, there),
    )


def _check(field: str, column: object, there: Sequence[str]) -> None:
    if field not in FIELDS:
        raise InputError(
            t("The mapping has a field {field!r}.", field=field[:40]), t("Fields are {names}.", names=", ".join(FIELDS))
        )
    names = [column] if isinstance(column, str) else column
    several = isinstance(names, Sequence) and all(isinstance(n, str) for n in names)
    if not several or (field != "options" and not isinstance(column, str)) or (field == "question" and not column):
        raise InputError(t("The mapping of {field} is not the name of a column.", field=field), _columns(there))
    for name in names if isinstance(names, Sequence) else ():
        if name and name not in there:
            told = t("There is no column {column!r} for {field}.", column=name[:40], field=field)
            raise InputError(told, _columns(there))


def _one(
    field: str, given: Mapping[str, str | Sequence[str]], there: Sequence[str], *, needed: bool = False
) -> str | None:
    if field in given:
        return str(given[field]) or None
    taken = {c for column in given.values() for c in ([column] if isinstance(column, str) else column)}
    found = [c for c in there if c.strip().casefold() in USUAL[field] and c not in taken]
    if len(found) == 1:
        return found[0]
    if needed:
        told = t("No column is called {field}.", field=field)
        if found:
            told = t("Several columns may be the {field}: {columns}.", field=field, columns=_listed(found))
        how = t("Map them: question=…, answer=… (answer= with nothing: no known answers).")
        raise InputError(told, joined(_columns(there), how))
    # Of two ids or topics neither is needed; taking one by chance would be a guess.
    return None


def _options(given: Mapping[str, str | Sequence[str]], there: Sequence[str]) -> tuple[str, ...]:
    if "options" in given:
        column = given["options"]
        return tuple(c for c in ([column] if isinstance(column, str) else column) if c)
    found = [c for c in there if c.strip().casefold() in USUAL["options"]]
    if len(found) > 1:
        told = t("Several columns may be the options: {columns}.", columns=_listed(found))
        raise InputError(told, t("Map one: options=…."))
    if found:
        return (found[0],)
    letters = tuple(c for c in LETTERS if c in there)
    return letters if len(letters) >= 2 and letters == LETTERS[: len(letters)] else ()


def _listed(names: Sequence[str]) -> str:
    """Column names for a message: few and short, because without a header line they are somebody's data."""
    shown = [name if len(name) <= 30 else f"{name[:30]}…" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        return t("{names} and {more} more", names=", ".join(shown), more=len(names) - _SHOWN)
    return ", ".join(shown) or t("none")


def _columns(there: Sequence[str]) -> str:
    return t("Columns: {names}.", names=_listed(there))
