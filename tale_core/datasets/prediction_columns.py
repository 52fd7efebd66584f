"""Which columns of a table of predictions are read: by a given mapping, else by usual names. Knows names only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from tale_core.datasets.columns import _listed
from tale_core.errors import InputError
from tale_core.i18n import t

USUAL = {
    "question": ("question", "prompt", "problem", "input"),
    "prediction": ("prediction", "response", "output", "completion", "model_output", "generation"),
    "answer": ("answer", "gold", "ground truth", "ground_truth", "target", "label"),
    "tokens": ("tokens", "token_cost", "output_tokens", "completion_tokens"),
    "strategy": ("strategy", "method"),
    "budget": ("budget",),
    "options": ("options", "choices"),
}
NEEDED = ("question", "prediction")


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """Names of a table's columns; None where it has none of a kind."""

    question: str
    prediction: str
    answer: str | None = None
    tokens: str | None = None
    strategy: str | None = None
    budget: str | None = None
    options: str | None = None


FIELDS = tuple(f.name for f in fields(PredictionColumns))


def find_prediction_columns(there: Sequence[str], mapping: Mapping[str, str] | None = None) -> PredictionColumns:
    """Decide which columns to read.

    Args:
        there: The table's columns.
        mapping: Field -> column; "" says that there is none. What is not mapped is guessed among usual names.

    Raises:
        InputError: A field or a column that is not there, or a question or prediction that cannot be found.
    """
    given = dict(mapping or {})
    for name, column in given.items():
        if name not in FIELDS:
            raise InputError(
                t("The mapping has a field {field!r}.", field=name[:40]),
                t("Fields: {fields}.", fields=", ".join(FIELDS)),
            )
        if column and column not in there:
            raise InputError(
                t("There is no column {column!r} for {field}.", column=column[:40], field=name),
                t("Columns: {columns}.", columns=_listed(there)),
            )
    found = {name: given[name] or None if name in given else guess(name, there, given.values()) for name in FIELDS}
    for name in NEEDED:
        if not found[name]:
            raise InputError(
                t("No column can be taken for the {field}.", field=name),
                t("Columns: {columns}. Map them: question=…, prediction=….", columns=_listed(there)),
            )
    return PredictionColumns(**found)  # type: ignore[arg-type]  # What is needed is there.


def guess(name: str, there: Sequence[str], taken: Iterable[str] = ()) -> str | None:
    """The one column of a usual name that nothing else has taken; None when there is none, or more than one."""
    used = set(taken)
    found = [c for c in there if c.strip().casefold() in USUAL[name] and c not in used]
    return found[0] if len(found) == 1 else None
