"""Starting the embedded server's process, and reading its last words when it fails."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tale_core.errors import ServerStartError
from tale_core.i18n import joined, t
from tale_core.models.embedded import native
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.models.embedded.run_folder import RunFolder, context_per_slot, threads
from tale_core.models.embedded.worker import WorkerConfig, start_worker
from tale_core.settings import REPO_ROOT, Settings
from tale_core.text import megabytes


@dataclass(frozen=True, slots=True)
class StartPlan:
    """Everything a start needs."""

    model: EmbeddedModel
    settings: Settings
    run: RunFolder
    weights: Path
    adapters: tuple[tuple[str, str], ...] = ()

    @property
    def log(self) -> Path:
        """Where the worker's output goes."""
        return self.settings.data_dir / "logs" / f"server-{self.model.name}.log"

    def config(self) -> WorkerConfig:
        """What the worker is told, with a new random key."""
        return WorkerConfig(
            model=self.model.name,
            weights=str(self.weights),
            slots=self.settings.server_slots,
            context=context_per_slot(self.model, self.settings),
            threads=threads(self.settings),
            most_threads=0 if self.settings.server_threads else threads(self.settings),
            idle_s=self.settings.server_idle_s,
            run_folder=str(self.run.path.resolve()),
            api_key=secrets.token_urlsafe(32),
            adapters=self.adapters,
        )


def spawn(plan: StartPlan) -> subprocess.Popen[bytes]:
    """Start the worker, which outlives this process."""
    with _fresh_log(plan.log) as log:
        built = native.site(plan.settings)
        process = start_worker(plan.config(), cwd=REPO_ROOT, log=log, paths=[built] if built else [])
    # Somebody has to collect its exit code when it ends, or it stays as a zombie for as long as we live.
    threading.Thread(target=process.wait, name="tale-server-reaper", daemon=True).start()
    return process


def _fresh_log(path: Path) -> contextlib.AbstractContextManager[int]:
    """An empty log, readable by this user alone; the one before is kept as `.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # Windows refuses while an older server still writes it
        os.replace(path, path.with_name(f"{path.name}.1"))
    return _closing_fd(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))


@contextlib.contextmanager
def _closing_fd(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def died(plan: StartPlan, code: int) -> ServerStartError:
    """The error for a worker that ended with this code before it answered."""
    words = last_words(plan.log)
    if code in (-9, 137):
        need = megabytes(plan.model.size * 1.3)
        return ServerStartError(
            t("The model server was ended by the system while it loaded."),
            joined(t("Most often that means too little memory: about {need} must be free.", need=need), words),
        )
    return ServerStartError(t("The model server ended while it loaded (code {code}).", code=code), words)


def last_words(log: Path, lines: int = 4) -> str:
    """The end of a log as a sentence; "" when there is no log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    last = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
    if last:
        return t("Its log ends: {words}", words=" | ".join(last))
    return t("Its log, {log}, is empty.", log=log)
