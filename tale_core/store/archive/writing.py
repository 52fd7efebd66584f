"""`export_archive`: a database, or some of its sessions, as one file that another machine opens.

Everything is read in one transaction, so that it fits together whatever is written meanwhile, and written row by row.
The file appears under its name only when it is whole. See `tale_core.store.archive.format`.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

from sqlalchemy import ColumnElement, Connection, Select

from tale_core import __version__
from tale_core.access.who import asking
from tale_core.errors import InputError, StoppedError, StoreError
from tale_core.files import replacing
from tale_core.i18n import t
from tale_core.store.archive.belonging import Kin, kin, rows, shared_rows
from tale_core.store.archive.format import MANIFEST, Manifest, Member, member_file
from tale_core.store.archive.rows_json import encoded, line
from tale_core.store.database.migrate import HEAD
from tale_core.store.history import SessionFilter, conditions
from tale_core.store.repository import Store
from tale_core.store.tables import sessions

MOST_IDS = 10_000
"""Sessions that can be chosen one by one."""
AT_ONCE = 500
"""Rows in memory."""
_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        size: Of the file, in bytes.
    """

    path: Path
    manifest: Manifest
    size: int


def export_archive(
    store: Store,
    path: Path,
    *,
    wanted: SessionFilter | None = None,
    ids: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
    stop: Callable[[], bool] = lambda: False,
) -> Exported:
    """Write an archive.

    Args:
        store: What to export from.
        path: The file to make, readable by the user alone.
        wanted: Only sessions that fulfil this; None for all that whoever asks may see.
        ids: Only these sessions of them.
        overwrite: Replace a file that is there.
        progress: Told how many rows are written.
        stop: Asked now and then whether to stop.

    Raises:
        InputError: The place cannot be written, there is a file already, or no session is left to export.
        StoppedError: `stop` said so; nothing is left behind.
        StoreError: The database cannot be read, or the disk is full.
    """
    if path.exists() and not overwrite:
        raise InputError(
            t("There is a file {path} already.", path=path), t("Give another name, or replace it (`--force`).")
        )
    if ids is not None and len(ids) > MOST_IDS:
        raise InputError(t("At most {n:,} sessions can be chosen one by one.", n=MOST_IDS), t("Use a filter instead."))
    try:
        with replacing(path, private=True) as draft, draft.open("wb") as file:
            manifest = _write(store, file, wanted, ids, progress, stop)
        return Exported(path, manifest, path.stat().st_size)
    except OSError as e:
        raise StoreError(
            t("The file {path} cannot be written: {why}.", path=path, why=e.strerror or e),
            t("Give a place that can be written and has room."),
        ) from e


def _write(
    store: Store,
    file: IO[bytes],
    wanted: SessionFilter | None,
    ids: Sequence[str] | None,
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> Manifest:
    whole = asking().sees_all and ids is None and (wanted is None or wanted.all)
    members: list[Member] = []
    with (
        store.reading() as connection,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as zipped,
    ):
        which = None if whole else _which(connection, wanted, ids)
        written = 0
        for one in kin():
            statement = shared_rows(one, which) if one.path is None else rows(one, which)
            member = _member(connection, zipped, one, statement, partial(_add, progress, written), stop)
            written += member.rows
            members.append(member)
            if one.table is sessions and not member.rows and not whole:
                raise InputError(t("No session is left to export: none fulfils what was asked for."))
        manifest = Manifest(HEAD, datetime.now(UTC).isoformat(timespec="seconds"), __version__, whole, tuple(members))
        zipped.writestr(_info(MANIFEST), manifest.text())
    return manifest


def _add(progress: Callable[[int], None], before: int, rows: int) -> None:
    progress(before + rows)


def _which(connection: Connection, wanted: SessionFilter | None, ids: Sequence[str] | None) -> ColumnElement[bool]:
    condition = conditions(connection, wanted or SessionFilter())
    return condition if ids is None else condition & sessions.c.id.in_(ids)


def _member(
    connection: Connection,
    zipped: zipfile.ZipFile,
    one: Kin,
    statement: Select[tuple[object, ...]],
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> Member:
    digest, size, count = hashlib.sha256(), 0, 0
    with (
        connection.execute(statement, execution_options={"yield_per": AT_ONCE}) as found,
        zipped.open(_info(member_file(one.name)), "w", force_zip64=True) as out,
    ):
        for row in found.mappings():
            text = line(encoded(one.table, dict(row)))
            digest.update(text)
            out.write(text)
            size, count = size + len(text), count + 1
            if count % AT_ONCE == 0:
                progress(count)
                if stop():
                    raise StoppedError(t("The export was stopped; nothing was written."))
    progress(count)
    return Member(one.name, count, size, digest.hexdigest())


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info
