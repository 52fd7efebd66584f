"""`db copy`: everything of one database into another. Progress goes to standard error."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say
from tale_core.cli.progress import row_bars


def register(commands: Any) -> None:
    """Add `db` with its action."""
    actions = commands.add_parser("db", help="copy a database").add_subparsers(required=True, metavar="ACTION")
    copy = actions.add_parser("copy", help="copy everything into an empty database: SQLite, PostgreSQL, either way")
    url = "SQLAlchemy URL, such as sqlite:////folder/tale.db or postgresql+psycopg://user@host/name"
    copy.add_argument("source", metavar="SOURCE_URL", help=url)
    copy.add_argument("target", metavar="TARGET_URL", help="likewise; an empty or new database")
    flags.add_json(copy)
    copy.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.store import copy_database, open_store

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
            say(f"{name:{width}}  {one.rows:>9,} rows  sha256 sum {one.checksum[:16]}…")
    say(f"Copied {source.where} to {target.where}; counts and checksums agree.")
    return OK
