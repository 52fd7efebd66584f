"""Training rows as JSON Lines, so that they can be shipped, shared and trained from elsewhere.

One row a line: `question` (as in `data/questions.jsonl`: text, options, language, topic, …), `optimal_budget`,
`optimal_tokens`, `vanilla_tokens`, `model`, `template`, and where known `zero_shot`, `mode` and `earlier` (optima of
earlier searches of the same question).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tale_core.errors import InputError
from tale_core.estimators.base import MAX_BUDGET
from tale_core.estimators.rows import MAX_EARLIER, MAX_ROWS, TrainingRow
from tale_core.i18n import t
from tale_core.text import json_lines

MAX_BYTES = 64_000_000
MAX_TEXT = 20_000
"""Characters of a question, as in an Ask."""


def rows_to_jsonl(rows: Iterable[TrainingRow]) -> str:
    """The rows as JSON Lines; what is not known is left out, and so is the session of this machine's database."""
    return json_lines(map(_document, rows))


def _document(row: TrainingRow) -> dict[str, Any]:
    document = {name: value for name, value in asdict(row).items() if value not in (None, "", ())}
    document.pop("session_id", None)
    document["question"] = {name: value for name, value in document["question"].items() if value not in (None, "", ())}
    return document


def rows_from_jsonl(text: str, *, name: str = "rows") -> list[TrainingRow]:
    """The rows of JSON Lines, each checked; empty lines are passed over.

    Args:
        text: The lines.
        name: What the text is called in an error.

    Raises:
        InputError: A line is no training row; the message names the line and what is wrong.
    """
    rows: list[TrainingRow] = []
    # Not splitlines: U+2028 may stand in a question.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(rows) == MAX_ROWS * 10:
            raise InputError(t("{file} has more than {most:,} rows.", file=name, most=MAX_ROWS * 10), t("Give fewer."))
        rows.append(_parsed(line, t("{file}, line {line}", file=name, line=number)))
    return rows


def read_rows(path: Path) -> list[TrainingRow]:
    """The rows of a file.

    Raises:
        InputError: The file cannot be read, is too large, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            message = t("{file} is larger than {most} MB.", file=path, most=MAX_BYTES // 1_000_000)
            raise InputError(message, t("Give a smaller file of rows."))
        text = path.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise InputError(t("The rows in {path} cannot be read: {why}.", path=path, why=e.strerror)) from e
    except UnicodeDecodeError as e:
        raise InputError(
            t("{file} is not UTF-8 text.", file=path), t("Give JSON Lines, one training row a line.")
        ) from e
    return rows_from_jsonl(text, name=path.name)


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(TrainingRow)


def _parsed(line: str, where: str) -> TrainingRow:
    from pydantic import ValidationError

    try:
        row: TrainingRow = _adapter().validate_json(line)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "row"
        raise InputError(
            f"{where}: {place}: {first['msg']}.",
            t(
                "A row has question (with its text), optimal_budget, optimal_tokens, vanilla_tokens, model and "
                "template."
            ),
        ) from e
    if problem := next(_problems(row), None):
        raise InputError(f"{where}: {problem}.")
    return row


def _problems(row: TrainingRow) -> Iterator[str]:
    if not row.question.text.strip() or len(row.question.text) > MAX_TEXT:
        yield t("question.text must have 1 to {most:,} characters", most=MAX_TEXT)
    for name in ("optimal_budget", "zero_shot"):
        value = getattr(row, name)
        if value is not None and not 1 <= value <= MAX_BUDGET:
            yield t("{name} is {value}; it must be from 1 to {most:,}", name=name, value=value, most=MAX_BUDGET)
    if len(row.earlier) > MAX_EARLIER or not all(1 <= value <= MAX_BUDGET for value in row.earlier):
        yield t("earlier must be at most {count} numbers from 1 to {most:,}", count=MAX_EARLIER, most=MAX_BUDGET)
    for name in ("optimal_tokens", "vanilla_tokens"):
        if not 1 <= getattr(row, name) <= 1e7:  # Holds for no nan either.
            yield t("{name} is {value}; it must be a number of tokens from 1", name=name, value=getattr(row, name))
    if not row.model.strip() or not row.template.strip():
        yield t("model and template must be named")
