"""A table's row as JSON and back, each value checked by the type of its column.

What is read may come from anybody: a row that does not fit its table, or that the rest of the program could not read as
a record, is refused in words before anything is stored.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Float, Integer, LargeBinary, Table
from sqlalchemy.types import TypeDecorator, TypeEngine

from tale_core.errors import InputError
from tale_core.i18n import t, to_stored
from tale_core.store import records
from tale_core.store.tables import calls, sessions
from tale_core.types import (
    AnswerKind,
    FinishReason,
    Language,
    Outcome,
    ProbePhase,
    ReasoningEffort,
    Role,
    SessionKind,
    Source,
    Status,
)

Row = dict[str, Any]

CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "session": {
        "kind": get_args(SessionKind),
        "status": get_args(Status),
        "source": get_args(Source),
        "question_kind": get_args(AnswerKind),
        "question_language": get_args(Language),
    },
    "call": {
        "role": get_args(Role),
        "status": get_args(Status),
        "source": get_args(Source),
        "outcome": tuple(Outcome),
        "finish_reason": get_args(FinishReason),
        "phase": get_args(ProbePhase),
        "reasoning_effort": get_args(ReasoningEffort),
    },
    "experiment_unit": {"status": ("done", "failed")},
}
"""Columns that hold one of a few words."""
_SHAPES: Mapping[str, Mapping[str, type]] = {
    "session": {"guesses": dict, "plan": dict, "result": dict, "question_options": list},
    "call": {"messages": list, "adjustments": list},
    "experiment_question": {"question": dict},
}
_BIG, _SMALL = 2**63, 2**31


class RowError(InputError):
    """A row that its table cannot take; nothing of it was stored."""


def encoded(table: Table, row: Mapping[str, Any], *, private: bool = False) -> Row:
    """A row of the database as JSON-safe values.

    Args:
        table: Its table.
        row: Its columns.
        private: Keep what names this machine; it is left empty otherwise.
    """
    return {
        column.name: _empty(column) if column.info.get("private") and not private else _encoded(row[column.name])
        for column in table.columns
    }


def _empty(column: Column[Any]) -> str | bool:
    return False if isinstance(column.type, Boolean) else ""


def _encoded(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return to_stored(value) if isinstance(value, str) else value


def line(row: Row) -> bytes:
    """A row as one line of a file."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def parsed(text: bytes) -> Any:
    """What `line` wrote.

    Raises:
        RowError: It is no JSON.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as e:
        raise RowError(t("It is no JSON.")) from e


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def decoded(table: Table, row: Any) -> Row:
    """A row for the database.

    Raises:
        RowError: It does not fit the table.
    """
    if not isinstance(row, dict):
        raise RowError(t("It is no object."))
    if unknown := sorted(set(row) - {column.name for column in table.columns}):
        raise RowError(t("It has a column {name} that the table {table} does not have.", name=unknown[0][:60],
                         table=table.name))  # fmt: skip
    found = {column.name: _value(column, row) for column in table.columns}
    for name, allowed in CHOICES.get(table.name, {}).items():
        if found[name] is not None and found[name] not in allowed:
            raise _bad(name, found[name])
    for name, shape in _SHAPES.get(table.name, {}).items():
        if found[name] is not None and not isinstance(found[name], shape):
            raise _bad(name, found[name])
    _readable(table, found)
    return found


def _value(column: Column[Any], row: Row) -> Any:
    if column.name not in row:
        default = column.default
        if default is not None and default.is_scalar:
            return default.arg  # type: ignore[attr-defined]
        if column.nullable:
            return None
        raise RowError(t("It lacks {name}.", name=column.name))
    value = row[column.name]
    if value is None:
        # JSON's own null is stored as SQL's, which not every column takes.
        if column.nullable:
            return None
        raise _bad(column.name, value)
    return _CHECKS[_kind(column.type)](column.name, value)


def _kind(of: TypeEngine[Any]) -> type:
    inner: Any = of.impl_instance if isinstance(of, TypeDecorator) else of
    return next(kind for kind in _CHECKS if isinstance(inner, kind))


def _integer(limit: int) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or not -limit <= value < limit:
            raise _bad(name, value)
        return value

    return check


def _boolean(name: str, value: Any) -> Any:
    if not isinstance(value, bool):
        raise _bad(name, value)
    return value


def _float(name: str, value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise _bad(name, value)
    return float(value)


def _moment(name: str, value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value)
        moment.astimezone()  # A moment at the edge of time can be read and not be converted.
    except (TypeError, ValueError, OverflowError) as e:
        raise _bad(name, value) from e
    if moment.tzinfo is None:
        raise _bad(name, value)
    return moment


def _bytes(name: str, value: Any) -> Any:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError) as e:
        raise _bad(name, value) from e


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise _bad(name, value)
    return value


_CHECKS: dict[type, Callable[[str, Any], Any]] = {
    JSON: lambda _name, value: value,
    BigInteger: _integer(_BIG),
    Integer: _integer(_SMALL),
    Boolean: _boolean,
    Float: _float,
    DateTime: _moment,
    LargeBinary: _bytes,
    object: _text,
}
"""By the kind of column, subclasses before their bases."""


def _readable(table: Table, row: Row) -> None:
    """Sessions and calls can be read as the records that everything else works with."""
    try:
        if table is sessions:
            records.session_record(row, ())
            if not all(isinstance(option, str) for option in row["question_options"]):
                raise TypeError
        elif table is calls:
            call = records.call_record(row)
            texts = [*call.adjustments, *(word for m in call.messages for word in (m.role, m.content))]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
    except (TypeError, ValueError, KeyError, AttributeError) as e:
        raise RowError(t("It cannot be read as a row of the table {table}.", table=table.name)) from e


def _bad(name: str, value: Any) -> RowError:
    return RowError(t("Its {name} cannot be {value}.", name=name, value=repr(value)[:60]))
