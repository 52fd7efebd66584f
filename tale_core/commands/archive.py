"""`export` and `import`: sessions as one file, from one machine to another."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import date

from tale_core.cli import OK, emit
from tale_core.commands.progress import count_bar
from tale_core.errors import InputError
from tale_core.history_filters import Filters, parsed_day
from tale_core.store import Archive, Contents, export_archive, import_archive, look, open_store


def run_export(args: argparse.Namespace) -> int:
    """Run `export`."""
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
            wanted=filters.wanted(),
            ids=args.session,
            overwrite=args.force,
            progress=progress,
        )
    tables = {m.name: m.rows for m in made.manifest.members}
    if args.json:
        emit({"file": str(made.path), "bytes": made.size, "sessions": made.manifest.sessions,
              "whole": made.manifest.whole, "schema": made.manifest.schema, "tables": tables})  # fmt: skip
    else:
        print(f"{made.manifest.sessions:,} sessions in {made.path}, {made.size / 1e6:,.1f} MB.")
    return OK


def run_import(args: argparse.Namespace) -> int:
    """Run `import`: look at all of it, then bring it."""
    store = open_store(args.db)
    with count_bar("Checking", "sessions") as progress, Archive(args.file) as archive:
        found = look(store, archive, progress=progress)
    if args.dry_run:
        if args.json:
            emit(asdict(found) | {"total": found.total, "imported": None})
        else:
            print(_would(found, existing=args.existing))
        return OK
    with count_bar("Bringing", "sessions", total=found.total) as progress, Archive(args.file) as archive:
        done = import_archive(store, archive, existing=args.existing, progress=progress)
    if args.json:
        emit(asdict(found) | {"total": found.total, "imported": asdict(done)})
    else:
        print(f"{done.new:,} new sessions, {done.replaced:,} replaced, {done.skipped:,} left as they were.")
    return OK


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
    if text is None:
        return None
    if (day := parsed_day(text)) is None:
        raise InputError(f"{flag} {text[:40]!r} is no day.", "Give one like 2026-11-24.")
    return day
