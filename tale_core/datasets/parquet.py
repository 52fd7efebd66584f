"""Parquet -> rows, through pyarrow. Knows the format's promises about sizes and checks them before it unpacks.

A few kilobytes of Parquet can unpack to gigabytes: the unpacked size the file itself declares is capped, batches are
so small that one of them stays within `BATCH_BYTES` even if every row repeats the largest value, and a huge row becomes
no Python object. A file that lies about its declared sizes can still make pyarrow allocate one page (at most 2 GB)
before it fails.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from tale_core.datasets.results import RowProblem
from tale_core.datasets.tables import MAX_COLUMNS, MAX_LINE, Row
from tale_core.errors import InputError
from tale_core.i18n import t

MAX_UNPACKED = 400_000_000
SMALL_UNPACKED = 50_000_000
"""Bytes once unpacked that any file may have; above, `MAX_RATIO` times its own size."""
MAX_RATIO = 40
BATCH_BYTES = 64_000_000
PLAIN_BATCH = 8_000_000
"""Bytes of a batch that is made Python objects at once; a larger one is weighed row by row."""
BATCH_ROWS = 500


def read_parquet(stream: BinaryIO) -> Iterator[Row | RowProblem]:
    """The rows of a Parquet file; `line` is the row's number, from 1.

    Raises:
        InputError: Not Parquet, damaged, or too large once unpacked.
    """
    pa: Any = importlib.import_module("pyarrow")
    # pyarrow raises its own errors, Python's and, for some damaged files, bare OSError and TypeError.
    errors = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, NotImplementedError, OverflowError)
    number = 0
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        size = stream.seek(0, 2)
        file = parquet.ParquetFile(stream)
        for batch in file.iter_batches(batch_size=_batch_rows(file.metadata, size), use_threads=False):
            for values in _values(batch):
                number += 1
                yield Row(number, values) if values else _too_large(number)
    except errors as e:
        if number:
            told = t("the Parquet file is damaged from here on; nothing behind it was read")
            yield RowProblem(number + 1, told)
            return
        raise InputError(
            t("The file is not Parquet, or it is damaged."), t("Write it again, or give JSON Lines.")
        ) from e


def _too_large(number: int) -> RowProblem:
    return RowProblem(number, t("larger than {most:,} bytes", most=MAX_LINE))


def _values(batch: Any) -> Iterator[dict[str, object] | None]:
    """The rows of a batch by column; None for one that is too large."""
    if batch.nbytes <= PLAIN_BATCH:
        yield from batch.to_pylist()
        return
    for i in range(batch.num_rows):
        row = batch.slice(i, 1)
        yield row.to_pylist()[0] if row.nbytes <= MAX_LINE else None


def _batch_rows(metadata: Any, size: int) -> int:
    groups = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    allowed = min(MAX_UNPACKED, max(SMALL_UNPACKED, MAX_RATIO * size))
    if sum(groups) > allowed or metadata.num_columns > MAX_COLUMNS:
        raise InputError(
            t(
                "The Parquet file has {columns:,} columns and {size:,} bytes once unpacked.",
                columns=metadata.num_columns,
                size=sum(groups),
            ),
            t("At most {columns:,} columns and {size:,} bytes are read.", columns=MAX_COLUMNS, size=allowed),
        )
    return int(max(1, min(BATCH_ROWS, BATCH_BYTES // max([1, *groups]))))
