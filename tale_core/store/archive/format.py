"""What an archive of sessions looks like: one zip file with a manifest and a file of JSON lines for each table.

The manifest names the format's version, the schema's revision, and of every table its file with rows, bytes and
sha256. Rows come in the order of their sessions (see `tale_core.store.archive.belonging`), so that an archive of any
size is read from front to back, session by session.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tale_core.errors import ArchiveError
from tale_core.i18n import t
from tale_core.settings import PROGRAM

FORMAT = "tale-archive"
VERSION = 1
MANIFEST = "manifest.json"
LONGEST_MANIFEST = 1_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"tale_\d{4}")


@dataclass(frozen=True, slots=True)
class Member:
    """One table's file.

    Attributes:
        name: The table's.
        bytes: Before compression.
    """

    name: str
    rows: int
    bytes: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the zip file."""
        return member_file(self.name)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself.

    Attributes:
        schema: Revision of the database that it was made from.
        created_at: ISO 8601, with its zone.
        program: The version of the program that made it.
        whole: It holds a whole database, not a selection.
    """

    schema: str
    created_at: str
    program: str
    whole: bool
    members: tuple[Member, ...]

    @property
    def sessions(self) -> int:
        """How many sessions it holds."""
        return next((m.rows for m in self.members if m.name == "session"), 0)

    @property
    def bytes(self) -> int:
        """All tables before compression."""
        return sum(m.bytes for m in self.members)

    def text(self) -> str:
        """As JSON."""
        head = {"format": FORMAT, "version": VERSION} | asdict(self)
        tables = [asdict(m) | {"file": m.file} for m in self.members]
        del head["members"]
        return json.dumps(head | {"sessions": self.sessions, "tables": tables}, indent=2)


def member_file(table: str) -> str:
    """The name of a table's file in the zip file."""
    return f"tables/{table}.jsonl"


def manifest_from(text: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ArchiveError: It is none, or of a newer version.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise damaged(t("its manifest cannot be read")) from e
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise not_ours()
    if found.get("version") != VERSION:
        raise ArchiveError(
            t("This archive has the format version {found}; this program reads version {known}.",
              found=repr(found.get("version"))[:20], known=VERSION),
            t("Nothing was imported. Update this program, or export again with this version."),
        )  # fmt: skip
    try:
        return _manifest(found)
    except (KeyError, TypeError, ValueError) as e:
        raise damaged(t("its manifest cannot be read")) from e


def _manifest(found: Mapping[str, Any]) -> Manifest:
    members = tuple(
        Member(str(one["name"]), _count(one["rows"]), _count(one["bytes"]), str(one["sha256"]))
        for one in found["tables"]
    )
    made = Manifest(
        str(found["schema"]), str(found["created_at"]), str(found["program"])[:40], bool(found["whole"]), members
    )
    datetime.fromisoformat(made.created_at)
    names = [m.name for m in members]
    if len(set(names)) != len(names) or not _REVISION.fullmatch(made.schema):
        raise ValueError
    if not all(_SHA256.fullmatch(m.sha256) for m in members):
        raise ValueError
    return made


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError
    return value


def damaged(why: str) -> ArchiveError:
    """The archive is damaged."""
    return ArchiveError(
        t("This archive is damaged: {why}. Nothing was imported.", why=why), t("Copy or export it again.")
    )


def not_ours() -> ArchiveError:
    """The file is no archive of this program."""
    return ArchiveError(
        t("This file is no archive of this program. Nothing was imported."),
        t("Give one that the History page or `{program} export` made.", program=PROGRAM),
    )
