"""Small file helpers of the weights code: JSON that is never half written, hashes of large files.

Knows bytes on disk; knows no model and no source.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 20


def write_json(path: Path, value: object) -> None:
    """Write a small JSON file so that a reader sees the old one or the new one, never half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps(value), encoding="utf-8")
    os.replace(draft, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent, unreadable or foreign file is an empty one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def file_sha256(path: Path, *, each: Callable[[int], None] | None = None) -> str:
    """Hash a file; `each` is told the bytes read so far and may raise to stop."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as f:
        while data := f.read(4 * CHUNK):
            digest.update(data)
            read += len(data)
            if each is not None:
                each(read)
    return digest.hexdigest()


def digest_of(file: IO[bytes], size: int) -> hashlib._Hash:
    """Hash the next `size` bytes of an open file, or what there is of them."""
    digest = hashlib.sha256()
    while size > 0 and (data := file.read(min(size, 4 * CHUNK))):
        digest.update(data)
        size -= len(data)
    return digest
