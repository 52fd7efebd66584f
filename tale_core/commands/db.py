"""`db copy`: everything of one database into another. Progress goes to standard error."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tale_core.cli import OK, emit
from tale_core.commands.progress import row_bars
from tale_core.store import copy_database, open_store


def run_copy(args: argparse.Namespace) -> int:
    """Run `db copy SOURCE TARGET`."""
    source = open_store(args.source, create=False)
    target = open_store(args.target)
    with row_bars() as progress:
        found = copy_database(source, target, progress=progress)
    tables = {name: asdict(one) for name, one in found.items()}
    if args.json:
        emit({"source": source.where, "target": target.where, "tables": tables, "verified": True})
        return OK
    width = max(map(len, tables))
    for name, one in found.items():
        if one.rows:
            print(f"{name:{width}}  {one.rows:>9,} rows  sha256 sum {one.checksum[:16]}…")
    print(f"Copied {source.where} to {target.where}; counts and checksums agree.")
    return OK
