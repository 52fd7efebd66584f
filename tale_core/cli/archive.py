"""`export` and `import`: sessions as one file, from one machine to another."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tale_core.cli import flags
from tale_core.cli.output import show
from tale_core.cli.progress import count_bar
from tale_core.errors import InputError
from tale_core.types import Outcome, SessionKind, Source, Status

if TYPE_CHECKING:
    from tale_core.store import Contents


def register(commands: Any) -> None:
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
    flags.add_store(export)
    export.set_defaults(command=run_export)


def _add_import(commands: Any) -> None:
    bring = commands.add_parser("import", help="bring the sessions of an archive: all of it or nothing")
    bring.add_argument("file", type=Path, metavar="FILE", help="an archive that export or the History page made")
    bring.add_argument("--dry-run", action="store_true", help="check it and say what would come; bring nothing")
    bring.add_argument(
        "--existing", default="skip", choices=["skip", "replace"], help="sessions that are here already (default: skip)"
    )
    flags.add_store(bring)
    bring.set_defaults(command=run_import)


def run_export(args: argparse.Namespace) -> int:
    """Run `export`."""
    from tale_core.history.filters import Filters
    from tale_core.store import export_archive, open_store

    filters = Filters(
        text=args.text,
        kind=args.kind or "",
        model=args.model or "",
        status=args.status or "",
        outcome=args.outcome or "",
        source=args.source or "",
        first=_day(args.since, "--since"),
        last=_day(args.until, "--until"),
    )
    with count_bar("Writing", "rows") as progress:
        made = export_archive(
            open_store(args.db),
            args.file,
            wanted=filters.session_filter(),
            ids=args.session,
            overwrite=args.force,
            progress=progress,
        )
    tables = {m.name: m.rows for m in made.manifest.members}
    document = {"file": str(made.path), "bytes": made.size, "sessions": made.manifest.sessions,
                "whole": made.manifest.whole, "schema": made.manifest.schema, "tables": tables}  # fmt: skip
    return show(args, document, f"{made.manifest.sessions:,} sessions in {made.path}, {made.size / 1e6:,.1f} MB.")


def run_import(args: argparse.Namespace) -> int:
    """Run `import`: look at all of it, then bring it."""
    from tale_core.labels import rederive
    from tale_core.store import Archive, import_archive, look, open_store

    store = open_store(args.db)
    with count_bar("Checking", "sessions") as progress, Archive(args.file) as archive:
        found = look(store, archive, progress=progress)
    document = asdict(found) | {"total": found.total}
    if args.dry_run:
        return show(args, document | {"imported": None}, _would(found, existing=args.existing))
    with count_bar("Bringing", "sessions", total=found.total) as progress, Archive(args.file) as archive:
        done = import_archive(store, archive, existing=args.existing, rederive=rederive, progress=progress)
    words = f"{done.new:,} new sessions, {done.replaced:,} replaced, {done.skipped:,} left as they were."
    return show(args, document | {"imported": asdict(done)}, words)


def _would(found: Contents, *, existing: str) -> str:
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(found.sessions.items()))
    words = f"A whole archive of {found.total:,} sessions ({kinds}), made {found.created_at}: {found.new:,} are new."
    if found.here:
        what = "would be replaced" if existing == "replace" else "would be left as they are"
        words += (
            f" {found.here:,} are here already, {found.changed:,} of them changed later in the archive; they {what}"
        )
        words += f", but for {found.running:,} that are running." if found.running and existing == "replace" else "."
    return words + " Nothing was imported."


def _day(text: str | None, flag: str) -> date | None:
    from tale_core.history.filters import parsed_day

    if text is None:
        return None
    if (day := parsed_day(text)) is None:
        raise InputError(f"{flag} {text[:40]!r} is no day.", "Give one like 2026-11-24.")
    return day
