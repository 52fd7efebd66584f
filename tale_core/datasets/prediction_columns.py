"""Which columns of a table of predictions are read: by a given mapping, else by usual names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from tale_core.datasets import columns as known
from tale_core.datasets.columns import ANSWER_IS, Values, _listed
from tale_core.errors import InputError
from tale_core.i18n import t

USUAL = {
    "question": ("question", "prompt", "problem", "input"),
    "prediction": ("prediction", "response", "output", "completion", "model_output", "generation"),
    "tokens": ("tokens", "token_cost", "output_tokens", "completion_tokens"),
    "strategy": ("strategy", "method"),
    "budget": ("budget",),
}
NEEDED = ("question", "prediction")


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """Names of a table's columns; None where it has none of a kind. `options` is one column, or one for each option."""

    question: str
    prediction: str
    answer: str | None = None
    tokens: str | None = None
    strategy: str | None = None
    budget: str | None = None
    options: tuple[str, ...] = ()


FIELDS = tuple(f.name for f in fields(PredictionColumns))


def find_prediction_columns(
    there: Sequence[str], mapping: Mapping[str, str | Sequence[str]] | None = None, *, sample: Sequence[Values] = ()
) -> PredictionColumns:
    """Decide which columns to read.

    Args:
        there: The table's columns.
        mapping: Field -> column; "" says that there is none. What is not mapped is guessed among usual names; known
            answers and options as those of a data set (see `columns.find_columns`).
        sample: The first rows.

    Raises:
        InputError: A field or a column that is not there, or a question or prediction that cannot be found, or several
            columns that may hold the known answers.
    """
    given = {name: column for name, column in (mapping or {}).items() if name != ANSWER_IS}
    for name, column in given.items():
        _check(name, column, there)
    found: dict[str, str | None] = {}
    for name in FIELDS:
        if name not in ("answer", "options"):
            found[name] = str(given[name]) or None if name in given else guess(name, there, _names(given))
    for name in NEEDED:
        usual = [c for c in there if c.strip().casefold() in USUAL[name] and c not in _names(given)]
        if not found[name] and name not in given and len(usual) > 1:
            raise known.unclear(name, usual, there)
        if not found[name]:
            raise InputError(
                t("No column can be taken for the {field}.", field=name),
                t("Columns: {columns}. Map them: question=…, prediction=….", columns=_listed(there)),
            )
    used = {*_names(given), *filter(None, found.values())}
    answers = known.candidates("answer", [c for c in there if c not in used], sample)
    if "answer" not in given and len(answers) > 1:
        raise known.unclear("answer", answers, there)
    answer = str(given["answer"]) or None if "answer" in given else next(iter(answers), None)
    free = [c for c in there if c not in used or c in _names({"": given.get("options", "")})]
    rest = {"options": given["options"]} if "options" in given else {}
    return PredictionColumns(**found, answer=answer, options=known.option_columns(free, rest, sample))  # type: ignore[arg-type]


def _check(name: str, column: object, there: Sequence[str]) -> None:
    if name not in FIELDS:
        raise InputError(
            t("The mapping has a field {field!r}.", field=name[:40]),
            t("Fields: {fields}.", fields=", ".join((*FIELDS, ANSWER_IS))),
        )
    for one in _names({name: column}):
        if one not in there:
            raise InputError(
                t("There is no column {column!r} for {field}.", column=one[:40], field=name),
                t("Columns: {columns}.", columns=_listed(there)),
            )


def _names(given: Mapping[str, object]) -> list[str]:
    cells = [column if isinstance(column, list | tuple) else [column] for column in given.values()]
    return [str(name) for cell in cells for name in cell if name]


def guess(name: str, there: Sequence[str], taken: Iterable[str] = (), *, sample: Sequence[Values] = ()) -> str | None:
    """The one column of a usual name that nothing else has taken; None when there is none, or more than one."""
    used = set(taken)
    if name == "answer":
        found = known.candidates("answer", [c for c in there if c not in used], sample)
    else:
        found = [c for c in there if c.strip().casefold() in USUAL[name] and c not in used]
    return found[0] if len(found) == 1 else None
