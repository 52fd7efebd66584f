"""What notebooks and scripts hand over -> the project's own values: NumPy's numbers, pandas' gaps and tables."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import wraps
from numbers import Real
from typing import Any, ParamSpec, TypeVar

from tale_core.calls.budget_ledger import Limits
from tale_core.datasets import Loaded, language_of, read_upload
from tale_core.datasets.results import fingerprint
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.types import Question, Sampling

P = ParamSpec("P")
R = TypeVar("R")


def taken(work: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """The same function, given Python's own numbers and True and False wherever its signature says so.

    The store and JSON know no others, and would say so after the first answers were paid for.
    """
    signature = inspect.signature(work)

    @wraps(work)
    async def with_own(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        for name, value in given.arguments.items():
            given.arguments[name] = _own(name, value, str(signature.parameters[name].annotation))
        return await work(*given.args, **given.kwargs)

    return with_own


def question_of(question: str | Question, answer: object) -> Question:
    """A question from its text and known answer, or as it is."""
    if isinstance(question, str):
        return Question(question.strip(), answer=_answer(answer), language=language_of(question), source="Python")
    if not isinstance(question, Question):
        raise InputError(
            t("A question is text or a Question, not {kind}.", kind=type(question).__name__), t("Give its text.")
        )
    if answer is not None:
        raise InputError(t("A Question and an answer were given."), t("Put the answer into the Question."))
    return replace(question, answer=_answer(question.answer))


def budgets_of(given: Iterable[int]) -> tuple[int, ...]:
    """Budgets as whole numbers."""
    found = tuple(given)
    numbers = tuple(map(_whole, found))
    if None in numbers:
        wrong = found[numbers.index(None)]
        raise InputError(t("{given!r} is no budget.", given=wrong), t("Budgets are whole numbers of tokens."))
    return tuple(one for one in numbers if one is not None)


def questions_of(given: Iterable[Question | str] | Any) -> Loaded:
    """Questions from a list of them, or from a pandas table, whose columns are found as those of a file."""
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        # Column by column: whole rows would be made floats, with other digits than a float32 shows.
        columns = [map(_cell, given.iloc[:, i].to_numpy()) for i in range(len(given.columns))]
        rows = (dict(zip(map(str, given.columns), row, strict=True)) for row in zip(*columns, strict=True))
        lines = "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in rows)
        return read_upload("table.jsonl", lines.encode("utf-8", "surrogatepass"))
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise InputError(
            t("A data set is a name, a file, a table or questions, not {kind}.", kind=type(given).__name__),
            t("Give the questions in a list."),
        )
    questions = tuple(question_of(one, None) for one in given)
    return Loaded("questions", questions, (), "Python", fingerprint(questions))


def _own(name: str, given: Any, said: str) -> Any:
    """A value as its annotation says it; what names no number and no bool is left as it is."""
    if isinstance(given, Limits | Sampling) and is_dataclass(given):
        own = {field.name: _own(field.name, getattr(given, field.name), str(field.type)) for field in fields(given)}
        return replace(given, **own)
    words = said.split(" | ")
    if given is None or not {"int", "float", "bool"} & {*words}:
        return given
    if "bool" in words:
        return given.item() if hasattr(given, "item") else given
    number = _number(given)
    if number is None or ("int" in words and number.denominator != 1):
        wanted = t("Give a whole number.") if "int" in words else t("Give a number.")
        raise InputError(t("{name} is {given!r}.", name=name, given=given), wanted)
    return int(number) if "int" in words else float(number)


def _number(given: object) -> Fraction | None:
    """A number with the digits that its own type shows (a float32 of 0.1 is 0.1); None for a bool, NaN and infinity."""
    if isinstance(given, bool) or not isinstance(given, Real | Decimal):
        return None
    try:
        return Fraction(str(given))
    except ValueError:
        return None


def _whole(given: object) -> int | None:
    number = _number(given)
    return int(number) if number is not None and number.denominator == 1 else None


def _is_missing(given: object) -> bool:
    """None, NaN of any type, and pandas' NA and NaT."""
    if given is None or type(given).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(given, Real | Decimal) and given != given


def _answer(given: object) -> str | None:
    """A known answer as text: notebooks have numbers, and gaps where there is none."""
    if _is_missing(given):
        return None
    if isinstance(given, str):
        return str(given)
    if _number(given) is None:
        raise InputError(
            t("A known answer is text or a number, not {given}.", given=repr(given)[:60]), t("Write it as text.")
        )
    return str(given if (whole := _whole(given)) is None else whole)


def _cell(given: Any) -> Any:
    """A cell of a table as JSON has it."""
    if _is_missing(given):
        return None
    if (number := _number(given)) is not None:
        return int(number) if number.denominator == 1 else float(number)
    return given.tolist() if hasattr(given, "tolist") else given
