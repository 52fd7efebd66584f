"""Checking and bringing an archive as a job in the background, for a page that only watches.

The file is held in memory: a page's upload is limited. One at a time in this process, since each keeps the disk busy.
It draws nothing.
"""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from tale_core.errors import StoppedError, TaleError
from tale_core.i18n import language, t, use_language
from tale_core.labels import rederive
from tale_core.runs.runner import Job, runner
from tale_core.store import Archive, Contents, Existing, Imported, Store, import_archive, look

Step = Literal["waiting", "checking", "checked", "bringing", "done", "failed", "cancelled"]

_log = logging.getLogger(__name__)
_one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tale-archive")


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """A check or an import as it stands.

    Attributes:
        name: The file's.
        sessions: How many are checked or brought.
        total: How many the manifest promises; 0 before it is read.
        contents: What the check found.
        imported: What the import did.
        error: Why it failed, in words.
    """

    name: str
    step: Step = "waiting"
    sessions: int = 0
    total: int = 0
    contents: Contents | None = None
    imported: Imported | None = None
    error: str = ""

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.step in ("waiting", "checking", "bringing")


class ArchiveRun:
    """A check (`existing` is None) or an import, as `tale_core.runs.runner` runs it."""

    def __init__(
        self, store: Store, name: str, data: bytes, existing: Existing | None, changed: Callable[[], None]
    ) -> None:
        self.id = f"archive-{secrets.token_hex(8)}"
        self._store, self._data, self._existing, self._changed = store, data, existing, changed
        self._view = ArchiveView(name)
        self._language = language()
        self._stopped = False

    def view(self) -> ArchiveView:
        """The picture as it stands; safe to call from any thread."""
        return self._view

    async def run(self) -> ArchiveView:
        """Work to the end; once cancelled nothing of the archive is left."""
        working = asyncio.get_running_loop().run_in_executor(_one_at_a_time, self._work)
        while not working.done():
            try:
                await asyncio.shield(working)
            except asyncio.CancelledError:
                self._stopped = True  # The thread sees it between two portions and takes out what came.
        return self._view

    def _set(self, **changes: Any) -> None:
        self._view = replace(self._view, **changes)
        self._changed()

    def _work(self) -> None:
        with use_language(self._language):
            try:
                with Archive(io.BytesIO(self._data)) as archive:
                    self._set(step="checking" if self._existing is None else "bringing")
                    self._set(total=archive.manifest.sessions)
                    self._set(**self._read(archive))
            except StoppedError as e:
                self._set(step="cancelled", error=str(e))
            except TaleError as e:
                self._set(step="failed", error=str(e))
            except Exception as e:  # The page has to learn that it ended, whatever it was.
                _log.exception("an archive could not be read")
                words = t("The program failed ({name}). The log has the details.", name=type(e).__name__)
                self._set(step="failed", error=words)

    def _read(self, archive: Archive) -> dict[str, Any]:
        watched: Any = {"progress": lambda n: self._set(sessions=n), "stop": lambda: self._stopped}
        if self._existing is None:
            return {"contents": look(self._store, archive, **watched), "step": "checked"}
        done = import_archive(self._store, archive, existing=self._existing, rederive=rederive, **watched)
        return {"imported": done, "step": "done"}


ArchiveJob = Job[ArchiveView]


def start_archive(store: Store, name: str, data: bytes, existing: Existing | None = None) -> ArchiveJob:
    """Check an archive in the background; bring it, when it is said what to do with sessions that are here."""
    return runner().start(partial(ArchiveRun, store, name, data, existing))
