r"""Reads one Parquet file from standard input and writes its rows as JSON Lines, in a process of its own.

Run as a script, so that nothing of the project is imported: `python -P parquet_worker.py LIMITS`. pyarrow ends the
whole process on some damaged files (an exception that its C++ does not catch), so bytes that nobody has checked are
read where nothing else can be lost, within limits of memory and processor time.

A line is `{"row": {…}}`, `{"large": true}`, or the last one: `{"end": "done"}`, `{"end": "repeats"}`,
`{"end": "damaged"}`, `{"end": "values", "most": N, "size": N}`, `{"end": "unpacked", "columns": N, "size": N,
"most": N}`. Without a last line the process died of the file. A Decimal is `{"\u0000decimal": "0.1"}`, anything else
that JSON does not know `{"\u0000kind": "datetime"}`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO

DECIMAL = "\0decimal"
KIND = "\0kind"


def main(limits: dict[str, int], stream: BinaryIO) -> None:
    """Write the rows of `stream` and how it ended."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has none; a lower hard limit stays
        resource: Any = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (limits["memory"], limits["memory"]))
        resource.setrlimit(resource.RLIMIT_CPU, (limits["seconds"], limits["seconds"]))
    pa: Any = importlib.import_module("pyarrow")
    # pyarrow raises its own errors, Python's and, for some damaged files, bare OSError and TypeError.
    errors = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError,
              OverflowError)  # fmt: skip
    end: dict[str, object] = {"end": "damaged"}
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        size = stream.seek(0, 2)
        file = parquet.ParquetFile(stream)
        end = _refused(file.metadata, size, limits) or _rows_of(file, size, limits)
    except errors:
        pass
    print(json.dumps(end), flush=True)


def _rows_of(file: Any, size: int, limits: dict[str, int]) -> dict[str, object]:
    groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
    # So few that one batch stays within its bytes even if every row repeats the largest value.
    at_once = max(1, min(limits["batch_rows"], limits["batch_bytes"] // max([1, *groups])))
    left = max(limits["small_read"], limits["ratio"] * size)
    for batch in file.iter_batches(batch_size=at_once, use_threads=False):
        left -= batch.nbytes
        if left < 0:
            return {"end": "repeats"}
        for values in _values(batch, limits):
            print(json.dumps({"row": values} if values else {"large": True}, default=_tagged))
    return {"end": "done"}


def _refused(metadata: Any, size: int, limits: dict[str, int]) -> dict[str, object] | None:
    """Why a file is not decoded: it declares more values, columns or bytes than its own size makes likely."""
    allowed = max(limits["small_values"], limits["values_a_byte"] * size)
    values = metadata.num_rows
    for at in range(metadata.num_row_groups if metadata.num_columns <= limits["columns"] else 0):
        group = metadata.row_group(at)
        values += sum(max(0, group.column(i).num_values) for i in range(group.num_columns))
        if values > allowed:
            break
    if values > allowed:
        return {"end": "values", "most": allowed, "size": size}
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    most = min(limits["unpacked"], max(limits["small_unpacked"], limits["ratio"] * size))
    if unpacked > most or metadata.num_columns > limits["columns"]:
        return {"end": "unpacked", "columns": metadata.num_columns, "size": unpacked, "most": most}
    return None


def _values(batch: Any, limits: dict[str, int]) -> Iterator[dict[str, object] | None]:
    """The rows of a batch by column; None for one that is too large."""
    if batch.nbytes <= limits["plain_batch"]:
        yield from _rows(batch)
        return
    for i in range(batch.num_rows):
        row = batch.slice(i, 1)
        yield from _rows(row) if row.nbytes <= limits["line"] else (None,)


def _rows(batch: Any) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = batch.to_pylist()
    for name, kind in zip(batch.schema.names, batch.schema.types, strict=True):
        if _has_narrow(kind):
            for row in rows:
                row[name] = _shortest(row[name], kind)
    return rows


def _has_narrow(kind: Any) -> bool:
    if str(kind) in ("float", "halffloat"):
        return True
    return any(_has_narrow(kind.field(i).type) for i in range(kind.num_fields))


def _shortest(value: Any, kind: Any) -> Any:
    """A number of 32 or 16 bits as it is written shortest (0.1), not as 64 bits show it (0.10000000149011612)."""
    if isinstance(value, float) and str(kind) in ("float", "halffloat"):
        numpy: Any = importlib.import_module("numpy")
        return float(str(numpy.float32(value) if str(kind) == "float" else numpy.float16(value)))
    if isinstance(value, list) and kind.num_fields == 1:
        return [_shortest(one, kind.field(0).type) for one in value]
    if isinstance(value, dict):
        return {name: _shortest(one, kind.field(name).type) for name, one in value.items()}
    return value


def _tagged(value: object) -> dict[str, str]:
    return {DECIMAL: str(value)} if isinstance(value, Decimal) else {KIND: type(value).__name__}


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    main(json.loads(sys.argv[1]), sys.stdin.buffer)
