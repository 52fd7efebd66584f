"""Parquet -> rows, through pyarrow in a process of its own. What a file may cost is decided here.

A few hundred bytes of Parquet can unpack to gigabytes: the unpacked size and the number of values that the file itself
declares are capped, batches are so small that one of them stays within `BATCH_BYTES` even if every row repeats the
largest value, what repeated values grow to is weighed batch by batch, and a huge row becomes no Python object. For a
file that lies about its sizes, or of which pyarrow dies, there is `parquet_worker`: it alone is lost.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from tale_core.datasets.parquet_worker import DECIMAL, KIND
from tale_core.datasets.results import MAX_COLUMNS, MAX_LINE, Row, RowProblem
from tale_core.errors import InputError
from tale_core.i18n import t

WORKER = Path(__file__).with_name("parquet_worker.py")
MAX_UNPACKED = 400_000_000
SMALL_UNPACKED = 50_000_000
"""Bytes once unpacked that any file may have; above, `MAX_RATIO` times its own size."""
MAX_RATIO = 40
BATCH_BYTES = 64_000_000
PLAIN_BATCH = 8_000_000
"""Bytes of a batch that is made Python objects at once; a larger one is weighed row by row."""
BATCH_ROWS = 500
SMALL_VALUES = 500_000
"""Values, those in lists one by one, that any file may have; above, `VALUES_A_BYTE` times its size in bytes."""
VALUES_A_BYTE = 4
SMALL_READ = 20_000_000
"""Bytes that the rows of any file may become, repeated values each time; above, `MAX_RATIO` times its own size."""
MEMORY = 4_000_000_000
"""Bytes of address space of the reading process (its libraries reserve 1 GB)."""
SECONDS = 120
"""Processor time of the reading process."""
_MAGIC = b"PAR1"
"""What a Parquet file begins and ends with; other bytes need no process to be refused."""


class Unreadable:
    """A cell of a kind that no question is made of; its class bears the kind's name."""


def read_parquet(stream: BinaryIO) -> Iterator[Row | RowProblem]:
    """The rows of a Parquet file; `line` is the row's number, from 1.

    Raises:
        InputError: Not Parquet, damaged, or too large once unpacked.
    """
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file)
        if file.tell() < 2 * len(_MAGIC) or _ends(file) != (_MAGIC, _MAGIC):
            raise _damaged()
        file.seek(0)
        # -P: without it the script's folder comes first on sys.path, and its modules hide those of others.
        process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), json.dumps(_limits())],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
    assert process.stdout is not None
    try:
        yield from _items(process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _limits() -> dict[str, int]:
    return {
        "unpacked": MAX_UNPACKED,
        "small_unpacked": SMALL_UNPACKED,
        "ratio": MAX_RATIO,
        "batch_bytes": BATCH_BYTES,
        "plain_batch": PLAIN_BATCH,
        "batch_rows": BATCH_ROWS,
        "small_values": SMALL_VALUES,
        "values_a_byte": VALUES_A_BYTE,
        "small_read": SMALL_READ,
        "columns": MAX_COLUMNS,
        "line": MAX_LINE,
        "memory": MEMORY,
        "seconds": SECONDS,
    }


def _items(lines: Iterator[str]) -> Iterator[Row | RowProblem]:
    number = 0
    for line in lines:
        message = json.loads(line, object_hook=_untagged)
        if "end" in message:
            break
        number += 1
        if "row" in message:
            yield Row(number, message["row"])
        else:
            yield RowProblem(number, t("larger than {most:,} bytes", most=MAX_LINE))
    else:
        message = {"end": "damaged"}  # the process died of the file
    if message["end"] == "values":
        raise InputError(
            t("The Parquet file has more than {values:,} values in {size:,} bytes.", values=message["most"],
              size=message["size"]),
            t("Leave out columns and rows that repeat or are empty, or give JSON Lines."),
        )  # fmt: skip
    if message["end"] == "unpacked":
        raise InputError(
            t("The Parquet file has {columns:,} columns and {size:,} bytes once unpacked.", columns=message["columns"],
              size=message["size"]),
            t("At most {columns:,} columns and {size:,} bytes are read.", columns=MAX_COLUMNS, size=message["most"]),
        )  # fmt: skip
    if message["end"] == "repeats":
        yield RowProblem(number + 1, t("the Parquet file repeats so much that nothing from here on was read"))
    elif message["end"] == "damaged" and number:
        yield RowProblem(number + 1, t("the Parquet file is damaged from here on; nothing behind it was read"))
    elif message["end"] == "damaged":
        raise _damaged()


def _damaged() -> InputError:
    return InputError(t("The file is not Parquet, or it is damaged."), t("Write it again, or give JSON Lines."))


def _ends(file: BinaryIO) -> tuple[bytes, bytes]:
    file.seek(-len(_MAGIC), 2)
    last = file.read()
    file.seek(0)
    return file.read(len(_MAGIC)), last


def _untagged(value: dict[str, Any]) -> Any:
    if isinstance(number := value.get(DECIMAL), str):
        return Decimal(number)
    if isinstance(kind := value.get(KIND), str):
        return type(kind, (Unreadable,), {})()
    return value
