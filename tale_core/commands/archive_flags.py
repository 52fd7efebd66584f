"""The flags of `export` and `import`. Apart from the work, so that `--help` waits for nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from tale_core.types import Outcome, SessionKind, Source, Status


def add(commands: Any) -> None:
    """Add both commands."""
    _add_export(commands)
    _add_import(commands)


def _add_export(commands: Any) -> None:
    export = commands.add_parser("export", help="write all sessions, or some, into one file for another machine")
    export.add_argument("file", type=Path, metavar="FILE", help="the archive to make, a zip file")
    export.add_argument("--session", action="append", metavar="ID", help="only this session; may be given again")
    export.add_argument("--kind", choices=get_args(SessionKind), help="only sessions of this kind")
    export.add_argument("--model", metavar="NAME", help="only sessions of this model")
    export.add_argument("--status", choices=get_args(Status), help="only sessions that ended so")
    export.add_argument("--outcome", choices=[str(o) for o in Outcome], help="only sessions with such an answer")
    export.add_argument("--source", choices=get_args(Source), help="only sessions of this source")
    export.add_argument("--since", metavar="DAY", help="only sessions from this day on (2026-11-24, local time)")
    export.add_argument("--until", metavar="DAY", help="only sessions up to this day, it included")
    export.add_argument("--text", default="", metavar="WORDS", help="only sessions that hold these words")
    export.add_argument("--force", action="store_true", help="replace a file that is there")
    _add_common(export)
    export.set_defaults(command=_export)


def _add_import(commands: Any) -> None:
    bring = commands.add_parser("import", help="bring the sessions of an archive: all of it or nothing")
    bring.add_argument("file", type=Path, metavar="FILE", help="an archive that export or the History page made")
    bring.add_argument("--dry-run", action="store_true", help="check it and say what would come; bring nothing")
    bring.add_argument(
        "--existing", default="skip", choices=["skip", "replace"], help="sessions that are here already (default: skip)"
    )
    _add_common(bring)
    bring.set_defaults(command=_import)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _export(args: argparse.Namespace) -> int:
    from tale_core.commands.archive import run_export

    return run_export(args)


def _import(args: argparse.Namespace) -> int:
    from tale_core.commands.archive import run_import

    return run_import(args)
