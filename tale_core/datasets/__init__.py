"""Data sets: names, files and uploads -> `Question`.

What it leans on: `ours` reads the project's own questions, `named` lists the public sets, `loading` finds and opens
files, `tables` and `parquet` make rows of bytes, `columns` and `rows` make questions of rows, `collect` counts, `hub`
fetches.

A row that cannot be used is passed over and reported with its line and a reason, which never quotes the row: some sets
must not be spread (GPQA), and a file that somebody sent may hold anything.
"""

from tale_core.datasets.loading import SUFFIXES, load, read_upload
from tale_core.datasets.named import describe
from tale_core.datasets.ours import featured, language_of, shipped
from tale_core.datasets.results import DatasetInfo, Loaded, RowProblem

__all__ = [
    "SUFFIXES",
    "DatasetInfo",
    "Loaded",
    "RowProblem",
    "describe",
    "featured",
    "language_of",
    "load",
    "read_upload",
    "shipped",
]
