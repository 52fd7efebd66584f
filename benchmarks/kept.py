"""What a long part has found so far, in a file: after a stop the same command goes on from there."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


class Kept:
    """The file of one part with one set of options; gone once the part is through.

    Args:
        folder: The results' folder.
        name: Names the part and all of its options that decide what is measured.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"unfinished-{name}.json"

    def read(self) -> dict[str, Any]:
        """What was kept; empty where there is nothing, or nothing whole."""
        with suppress(OSError, ValueError):
            found = json.loads(self.path.read_bytes())
            return found if isinstance(found, dict) else {}
        return {}

    def write(self, found: dict[str, Any]) -> None:
        """Keep this instead: a stop leaves the one or the other, whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(found), encoding="utf-8")
        os.replace(new, self.path)

    def done(self) -> None:
        """Begin anew the next time."""
        self.path.unlink(missing_ok=True)
