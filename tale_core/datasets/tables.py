"""Bytes of a file -> rows, one at a time. Knows JSON Lines, JSON, CSV and TSV; knows nothing of questions.

Written for files nobody has checked: a row that cannot be read becomes a `RowProblem` and reading goes on behind it.
Reasons never quote the file. Parquet is read in `parquet`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from tale_core.datasets.results import RowProblem
from tale_core.errors import InputError
from tale_core.i18n import N_, t

MAX_LINE = 2_000_000
"""Bytes of one line of JSON Lines."""
MAX_COLUMNS = 1_000
_SPACE = re.compile(r"[ \t\r\n]*")
_UTF8 = N_("Save the file as UTF-8.")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: `values` by column. `line` counts from 1."""

    line: int
    values: dict[str, object]


Item = Row | RowProblem


def read_table(stream: BinaryIO, suffix: str) -> Iterator[Item]:
    """The rows of a file.

    Args:
        stream: At its beginning, seekable.
        suffix: ".jsonl", ".json", ".csv", ".tsv" or ".parquet"; decides how the bytes are read.

    Raises:
        InputError: The file as a whole cannot be read.
    """
    if suffix == ".parquet":
        from tale_core.datasets.parquet import read_parquet

        return read_parquet(stream)
    if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(t("The file is in UTF-16."), t(_UTF8))
    stream.seek(0)
    if suffix == ".json":
        return _json(stream)
    return _json_lines(stream) if suffix == ".jsonl" else _separated(stream, "\t" if suffix == ".tsv" else ",")


def _json_lines(stream: BinaryIO) -> Iterator[Item]:
    line = 0
    while raw := stream.readline(MAX_LINE):
        line += 1
        if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield RowProblem(line, t("the line is longer than {most:,} bytes", most=MAX_LINE))
        elif raw.strip(b" \t\r\n\xef\xbb\xbf"):
            yield _json_row(raw, line)


def _json_row(raw: bytes, line: int) -> Item:
    try:
        text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
        return _row(json.loads(text), line)
    except UnicodeDecodeError as e:
        told = t(
            "byte {place} (0x{byte:02x}) is not UTF-8: save the file as UTF-8", place=e.start + 1, byte=raw[e.start]
        )
        return RowProblem(line, told)
    except (ValueError, RecursionError) as e:
        return RowProblem(line, t("broken JSON: {why}", why=_why(e)))


def _why(error: Exception) -> str:
    """The parser's reason, without the text around it."""
    if isinstance(error, json.JSONDecodeError):
        return t("{error} at character {place}", error=error.msg, place=error.colno)
    return t("nested too deeply") if isinstance(error, RecursionError) else t("a number is too long")


def _row(value: object, line: int) -> Item:
    if not isinstance(value, dict):
        return RowProblem(line, t("not a JSON object with named fields"))
    return Row(line, value)


def _json(stream: BinaryIO) -> Iterator[Item]:
    """An array of objects, an object that holds one, or (as many sets have it) JSON Lines called `.json`."""
    first = _json_row(stream.readline(MAX_LINE), 1)
    more = bool(stream.read(4096).strip())
    stream.seek(0)
    if isinstance(first, Row) and more:
        return _json_lines(stream)
    data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        told = t("Line {line} holds a byte (0x{byte:02x}) that is not UTF-8.", line=line, byte=data[e.start])
        raise InputError(told, t(_UTF8)) from e
    start = _skip(text, 0)
    return _json_array(text, start) if text.startswith("[", start) else _json_document(text)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _json_array(text: str, start: int) -> Iterator[Item]:
    decoder = json.JSONDecoder()
    at, counted, line = _skip(text, start + 1), 0, 1
    if text.startswith("]", at):
        return
    while True:
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as e:
            yield RowProblem(line, t("broken JSON, nothing behind it was read: {why}", why=_why(e)))
            return
        yield _row(value, line)
        end = _skip(text, end)
        if not text.startswith(",", end):
            break
        at = _skip(text, end + 1)
    if not text.startswith("]", end) or text[end + 1 :].strip():
        line += text.count("\n", counted, end)
        why = t("a comma or the array's end is missing")
        yield RowProblem(line, t("broken JSON, nothing behind it was read: {why}", why=why))


def _json_document(text: str) -> Iterator[Item]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as e:
        told = t("The file is not JSON: {why}.", why=_why(e))
        raise InputError(told, t("Give an array of objects, or one object a line.")) from e
    lists = [v for v in value.values() if isinstance(v, list)] if isinstance(value, dict) else []
    rows = lists[0] if len(lists) == 1 and any(isinstance(v, dict) for v in lists[0]) else [value]
    for number, row in enumerate(rows, start=1):
        yield _row(row, number)


def _separated(stream: BinaryIO, delimiter: str) -> Iterator[Item]:
    # Bytes that are not UTF-8 become lone surrogates, which make a problem of their own row and of no other.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        first = text.readline(MAX_LINE)
        text.seek(0)
        if delimiter == "," and "," not in first and ";" in first:
            delimiter = ";"  # what spreadsheets write where the comma is the decimal sign
        yield from _records(csv.reader(text, delimiter=delimiter, strict=True))
    finally:
        text.detach()


def _records(reader: Any) -> Iterator[Item]:  # a csv.reader, whose type has no public name before Python 3.13
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            if header is None:
                told = t("The header line cannot be read: {why}.", why=str(e))
                raise InputError(told, t("The first line names the columns.")) from e
            yield RowProblem(line, t("broken row: {why}", why=str(e)))
            continue
        if not any(cells):
            continue
        if header is None:
            header = _header(cells)
        elif len(cells) > len(header):
            told = t("{cells} cells in a table of {columns} columns: quote cells with commas", cells=len(cells),
                     columns=len(header))  # fmt: skip
            yield RowProblem(line, told)
        else:
            yield Row(line, dict(zip(header, cells, strict=False)))


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) > MAX_COLUMNS:
        raise InputError(
            t("The table has {n:,} columns.", n=len(names)), t("At most {most:,} are read.", most=MAX_COLUMNS)
        )
    if len(set(names)) < len(names):
        raise InputError(t("Two columns of the table have the same name."), t("Rename one of them."))
    return names
