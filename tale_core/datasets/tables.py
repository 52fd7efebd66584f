"""Bytes of a file -> rows, one at a time.

Written for files nobody has checked: a row that cannot be read becomes a `RowProblem` and reading goes on behind it.
Reasons never quote the file. Parquet is read in `parquet`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from tale_core.datasets.columns import CELLS
from tale_core.datasets.results import MAX_COLUMNS, MAX_LINE, Row, RowProblem
from tale_core.errors import InputError
from tale_core.i18n import N_, joined, t

# Python's own limit of a cell (131,072 characters) is below that of an answer. How long a row may be is decided here,
# when it has been read whole: a reader that stops within a cell has lost its place.
csv.field_size_limit(1_000_000_000)
_DELIMITERS = ",;\t|"
_SEP_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n?', re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]*")
_UTF8 = N_("Save the file as UTF-8.")


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
    head = stream.read(4)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(t("The file is in UTF-16."), t(_UTF8))
    if head.startswith((b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh")):
        raise InputError(t("The file is compressed."), t("Unpack it first."))
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
        return _row(json.loads(text, object_pairs_hook=_once), line)
    except UnicodeDecodeError as e:
        message = t(
            "byte {place} (0x{byte:02x}) is not UTF-8: save the file as UTF-8", place=e.start + 1, byte=raw[e.start]
        )
        return RowProblem(line, message)
    except (ValueError, RecursionError) as e:
        return RowProblem(line, t("broken JSON: {why}", why=_why(e)))


class _Twice(ValueError):
    """A JSON object that names a field twice with different values: neither is taken for the other."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs) and any(made[name] != value for name, value in pairs):
        raise _Twice
    return made


def _why(error: Exception) -> str:
    """The parser's reason, without the text around it."""
    if isinstance(error, json.JSONDecodeError):
        return t("{error} at character {place}", error=error.msg, place=error.colno)
    if isinstance(error, _Twice):
        return t("a field is named twice with different values")
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
        message = t("Line {line} holds a byte (0x{byte:02x}) that is not UTF-8.", line=line, byte=data[e.start])
        raise InputError(message, t(_UTF8)) from e
    start = _skip(text, 0)
    return _json_array(text, start) if text.startswith("[", start) else _json_document(text)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _json_array(text: str, start: int) -> Iterator[Item]:
    decoder = json.JSONDecoder(object_pairs_hook=_once)
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
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as e:
        message = t("The file is not JSON: {why}.", why=_why(e))
        raise InputError(message, t("Give an array of objects, or one object a line.")) from e
    for number, row in enumerate(_rows_in(value), start=1):
        yield _row(row, number)


def _rows_in(value: Any) -> list[Any]:
    """The rows of an object: of the one list that it holds, of an answer of the hub's, or the object itself."""
    if not isinstance(value, dict):
        return [value]
    served = value.get("rows")
    if isinstance(served, list) and all(isinstance(v, dict) and isinstance(v.get("row"), dict) for v in served):
        return [one["row"] for one in served]
    lists = {name: v for name, v in value.items() if isinstance(v, list)}
    ((name, found),) = lists.items() if len(lists) == 1 else (("", []),)
    # Options and messages may be objects too, and are cells of the one row that this then is.
    return found if any(isinstance(v, dict) for v in found) and name.casefold() not in CELLS else [value]


def _separated(stream: BinaryIO, delimiter: str) -> Iterator[Item]:
    # Bytes that are not UTF-8 become lone surrogates, which make a problem of their own row and of no other.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        first = text.readline(MAX_LINE)
        named = _SEP_LINE.fullmatch(first)
        if named is None:
            text.seek(0)
        found = named.group(1) if named else _delimiter(first, delimiter)
        yield from _records(csv.reader(text, delimiter=found, strict=True), found, skipped=1 if named else 0)
    finally:
        text.detach()


def _delimiter(header: str, usual: str) -> str:
    """What stands between the names of the columns: what is there most often, of equals the usual one."""
    bare = re.sub(r'"[^"]*"', "", header)
    most = max(_DELIMITERS, key=lambda sign: (bare.count(sign), sign == usual))
    return most if bare.count(most) else usual


def _records(reader: Any, delimiter: str, *, skipped: int) -> Iterator[Item]:
    # `reader` is a csv.reader, whose type has no public name before Python 3.13.
    header: list[str] | None = None
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            if header is None:
                message = t("The header line cannot be read: {why}.", why=str(e))
                raise InputError(message, t("The first line names the columns.")) from e
            # Where a quote is open or closed at the wrong place, the next line may be the middle of a cell.
            why = t("broken row, nothing behind it was read: {why}", why=str(e))
            yield RowProblem(line, joined(why, t("(double the quotes within a quoted cell)")))
            return
        if not any(cells):
            continue
        if header is None:
            header = _header(cells)
        elif any(cell.strip() for cell in cells[len(header) :]):
            message = t("{cells} cells in a table of {columns} columns: quote cells with commas", cells=len(cells),
                     columns=len(header))  # fmt: skip
            yield RowProblem(line, message)
        elif sum(map(len, cells)) > MAX_LINE:
            yield RowProblem(line, t("the row is longer than {most:,} characters", most=MAX_LINE))
        else:
            values = {name: cell for name, cell in zip(header, cells, strict=False) if name}
            yield Row(line, values, semicolons=delimiter == ";")


def _header(cells: list[str]) -> list[str]:
    """The names of the columns. One without a name says nothing (an index, or a comma at the line's end)."""
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if len(names) > MAX_COLUMNS:
        raise InputError(
            t("The table has {n:,} columns.", n=len(names)), t("At most {most:,} are read.", most=MAX_COLUMNS)
        )
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        places = ", ".join(str(i) for i, name in enumerate(names, start=1) if name == twice)
        message = t("Two columns of the table have the same name.")
        raise InputError(message, joined(t("They are columns {places}.", places=places), t("Rename one of them.")))
    return names
