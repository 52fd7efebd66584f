"""Small files that others may read at any moment: written whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """A draft beside `path`, which takes its place at the end; after an error the draft is gone and `path` as it was.

    Args:
        path: What is to be written; its folder must exist.
        private: Readable by this user alone, from its first byte on.
    """
    draft = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
        yield draft
        with draft.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file; a reader meanwhile sees the old one or the new one, never half of it. See `replacing`."""
    with replacing(path, private=private) as draft:
        if isinstance(content, str):
            draft.write_text(content, encoding="utf-8")
        else:
            draft.write_bytes(content)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent, unreadable or foreign file is an empty one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def rows_sha256(rows: Iterable[object]) -> str:
    """sha256 over every value of every row, whatever their order."""
    lines = sorted(json.dumps(row, ensure_ascii=True, sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_sha256(path: Path, *, each: Callable[[int], None] = lambda read: None) -> str:
    """Hash a file; `each` is told the bytes read so far and may raise to stop."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(1 << 22):
            digest.update(data)
            read += len(data)
            each(read)
    return digest.hexdigest()
