"""`Archive`: an archive read from front to back, session by session, trusting nothing.

An archive may come from anybody. Nothing is unpacked to disk, no name in it is used as a path, nothing is read past the
size that it states, a row is limited in size, and every row is checked by its table
(`tale_core.store.archive.rows_json`). At the end of each file its rows, bytes and sha256 must be those of the manifest.
It opens no transaction and stores nothing.
"""

from __future__ import annotations

import errno
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from tale_core.errors import ArchiveError
from tale_core.i18n import t
from tale_core.store.archive.belonging import Kin, Reference, kin, of_sessions, shared_tables
from tale_core.store.archive.format import (
    LONGEST_MANIFEST,
    MANIFEST,
    Manifest,
    Member,
    damaged,
    manifest_from,
    not_ours,
)
from tale_core.store.archive.rows_json import Row, RowError, decoded, parsed
from tale_core.store.archive.writing_rows import Group
from tale_core.store.database.migrate import HEAD

LONGEST_ROW = 32_000_000
"""Bytes of one row."""
LARGEST_GROUP = 2_000_000
"""Rows of one session."""
MOST_SHARED = 200_000
"""Rows of one table that sessions share: they are held in memory."""
SHRUNK = 150
SMALL = 50_000_000
"""What unpacks to more than `SHRUNK` times its file, and to more than `SMALL` bytes, is taken for a bomb: the text of
answers shrinks to a third or a thirtieth."""
_UNZIPPING = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
              LookupError, OverflowError, TypeError)  # fmt: skip
"""What `zipfile` raises for one damaged file or another: it trusts sizes and places that the file states."""


class Archive:
    """An opened archive.

    Attributes:
        manifest: What it says of itself.

    Raises:
        ArchiveError: It is none, damaged, hostile or of a newer version.
    """

    def __init__(self, file: Path | IO[bytes]) -> None:
        with _in_words():
            try:
                self._zip = zipfile.ZipFile(file)
            except zipfile.BadZipFile as e:
                raise not_ours() from e
        try:
            with _in_words():
                self.manifest = self._check()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._zip.close()

    def _check(self) -> Manifest:
        infos = self._zip.infolist()
        manifest = self._manifest(infos)
        files = {m.file: m for m in manifest.members}
        known = {one.name for one in kin()}
        if len({info.filename for info in infos}) != len(infos):
            raise damaged(t("a file stands in it twice"))
        for info in infos:
            if info.filename != MANIFEST and info.filename not in files:
                raise damaged(t("it holds a file that its manifest does not name"))
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise damaged(t("a file in it is encrypted or packed in another way"))
            if info.filename in files and info.file_size != files[info.filename].bytes:
                raise damaged(t("a file in it has another size than the manifest says"))
        names = {info.filename for info in infos}
        if missing := next((m.name for m in manifest.members if m.file not in names), None):
            raise damaged(t("the table {table} is missing", table=missing[:60]))
        if strange := next((m.name for m in manifest.members if m.name not in known), None):
            raise damaged(t("there is no table {table}", table=strange[:60]))
        if "session" not in {m.name for m in manifest.members}:
            raise damaged(t("the table {table} is missing", table="session"))
        packed = sum(info.compress_size for info in infos)
        if manifest.bytes > max(SMALL, SHRUNK * packed):
            raise ArchiveError(
                t("This archive would unpack to {n:,} times its size. Nothing was imported.",
                  n=manifest.bytes // max(1, packed)),
                t("No archive of this program does that; ask whoever made it."),
            )  # fmt: skip
        return manifest

    def _manifest(self, infos: list[zipfile.ZipInfo]) -> Manifest:
        info = next((info for info in infos if info.filename == MANIFEST), None)
        if info is None:
            raise not_ours()
        if info.file_size > LONGEST_MANIFEST or info.flag_bits & 1:
            raise damaged(t("its manifest cannot be read"))
        with self._zip.open(info) as file:
            manifest = manifest_from(file.read(LONGEST_MANIFEST))
        if manifest.schema > HEAD:
            raise ArchiveError(
                t("This archive was made by a newer version of this program (its database is {found}, here {known}).",
                  found=manifest.schema, known=HEAD),
                t("Update this program. Nothing was imported."),
            )  # fmt: skip
        return manifest

    def shared(self) -> Iterator[tuple[Kin, list[Row]]]:
        """The rows of the tables that sessions share, parents before children.

        Raises:
            ArchiveError: As above.
        """
        for one in shared_tables():
            if (member := self._member(one.name)) is None:
                continue
            if member.rows > MOST_SHARED:
                raise damaged(t("the table {table} is too large", table=one.name))
            with _in_words(), self._zip.open(member.file) as file:
                yield one, list(_rows(one, member, file))

    def groups(self) -> Iterator[Group]:
        """The sessions, each with all that belongs to it.

        Raises:
            ArchiveError: As above; also when a row belongs to no session, or refers to one that is not there.
        """
        opened: list[IO[bytes]] = []
        readers: list[_Reader] = []
        try:
            with _in_words():
                for one in of_sessions():
                    if (member := self._member(one.name)) is not None:
                        opened.append(self._zip.open(member.file))
                        readers.append(_Reader(one, _rows(one, member, opened[-1])))
                yield from _groups(readers)
        finally:
            for file in opened:
                file.close()

    def _member(self, name: str) -> Member | None:
        return next((m for m in self.manifest.members if m.name == name), None)


class _Reader:
    """The rows of one table with a look ahead."""

    def __init__(self, one: Kin, rows: Iterator[Row]) -> None:
        self.one = one
        self._rows = rows
        self.next = next(rows, None)

    def take(self) -> Row:
        """The next row."""
        row = self.next
        assert row is not None
        self.next = next(self._rows, None)
        return row


def _groups(readers: list[_Reader]) -> Iterator[Group]:
    first, *others = readers
    seen: set[str] = set()
    while first.next is not None:
        group = Group({"session": [first.take()]})
        if group.id in seen:
            raise damaged(t("a session stands in it twice"))
        seen.add(group.id)
        keys: dict[str, set[Any]] = {"session": {group.id}}
        for reader in others:
            group.rows[reader.one.name] = _belonging(reader, keys)
        _check_references(group, keys)
        yield group
    if rest := next((reader for reader in others if reader.next is not None), None):
        raise damaged(t("a row of the table {table} belongs to no session", table=rest.one.name))


def _belonging(reader: _Reader, keys: dict[str, set[Any]]) -> list[Row]:
    """The next rows of a table, as long as they belong to the session whose keys these are."""
    one, rows = reader.one, []
    owner = one.owner
    assert owner is not None  # The first table alone has none.
    mine = keys.get(owner.to, set())
    found = keys.setdefault(one.name, set())
    while reader.next is not None and reader.next[owner.column] in mine:
        row = reader.take()
        key = tuple(row[name] for name in one.key)
        if key[0] in found and len(key) == 1:
            raise damaged(t("a row of the table {table} stands in it twice", table=one.name))
        found.add(key[0] if len(key) == 1 else key)
        rows.append(row)
        if len(rows) > LARGEST_GROUP:
            raise damaged(t("the table {table} is too large", table=one.name))
    return rows


def _check_references(group: Group, keys: dict[str, set[Any]]) -> None:
    for one in of_sessions():
        inside = [r for r in one.references if r.to in keys]
        for row in group.rows.get(one.name, ()) if inside else ():
            for reference in inside:
                if row[reference.column] is not None and row[reference.column] not in keys[reference.to]:
                    raise _lost(one, reference)


def _lost(one: Kin, reference: Reference) -> ArchiveError:
    return damaged(
        t("a row of the table {table} refers to one of {other} that is not there", table=one.name, other=reference.to)
    )


def _rows(one: Kin, member: Member, file: IO[bytes]) -> Iterator[Row]:
    """The rows of a file, each checked, and the file as a whole when its end is reached."""
    reader = io.BufferedReader(file, 1 << 18)  # type: ignore[type-var]
    digest, size, count = hashlib.sha256(), 0, 0
    while text := reader.readline(LONGEST_ROW):
        digest.update(text)
        size, count = size + len(text), count + 1
        if size > member.bytes or count > member.rows:
            raise damaged(t("the table {table} is longer than its manifest says", table=one.name))
        if not text.endswith(b"\n"):
            raise damaged(t("a row of the table {table} is cut off or too long", table=one.name))
        try:
            yield decoded(one.table, parsed(text))
        except RowError as e:
            where = t("row {n:,} of the table {table} cannot be used", n=count, table=one.name)
            raise damaged(f"{where}: {e.message}".rstrip(".")) from e
    if (size, count, digest.hexdigest()) != (member.bytes, member.rows, member.sha256):
        raise damaged(t("the table {table} is not what its manifest says", table=one.name))


@contextmanager
def _in_words() -> Iterator[None]:
    """What zip files and disks do, in words."""
    try:
        yield
    except OSError as e:
        if e.errno == errno.EINVAL:  # The file says that a part of it lies before its beginning.
            raise damaged(t("its files cannot be unpacked")) from e
        raise ArchiveError(
            t("The file cannot be read: {why}.", why=e.strerror or e), t("Give the path of an archive.")
        ) from e
    except _UNZIPPING as e:
        raise damaged(t("its files cannot be unpacked")) from e
