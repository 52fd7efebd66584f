"""The run folder of the embedded server: how the processes of one user find, share and outlive it.

    <data_dir>/run/<model>-<settings>/
        state.json     port, key, pid and its start time; written by the worker once it answers
        start.lock     held by a process that starts a worker, or by a worker that is about to leave
        leases/*.lock  one per user, held open; the system lets go of it when the process dies, however it dies

Used by both sides.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from tale_core.files import write_whole
from tale_core.models.embedded import native
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.settings import Settings

WORKER_VERSION = 3
"""Raise it when worker and client of two versions could not work together: each version then gets its own server."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a running worker says about itself.

    Attributes:
        port: On 127.0.0.1.
        create_time: The process's start, seconds since 1970: a recycled pid has another one.
        slots: Answers it generates at the same time.
        n_ctx_per_slot: Tokens of context each of them has.
        adapters: Keys of the adapters it has loaded; their places are their ids in requests.
    """

    model: str
    port: int
    api_key: str = field(repr=False)
    pid: int
    create_time: float
    slots: int
    n_ctx_per_slot: int
    adapters: tuple[str, ...] = ()

    def is_alive(self) -> bool:
        """True while the very process that wrote this runs (it may still be unable to answer)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def threads(settings: Settings) -> int:
    """CPU threads to use: as set, else the physical cores this process may run on."""
    if settings.server_threads is not None:
        return settings.server_threads
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1))


def context_per_slot(model: EmbeddedModel, settings: Settings) -> int:
    """Tokens of context per answer: as set, but never more than the model was trained for."""
    return min(settings.server_context, model.context_length)


class RunFolder:
    """One server's run folder; created when first written to, readable by this user alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = path / "state.json"
        self._leases = path / "leases"

    @classmethod
    def of(cls, model: EmbeddedModel, settings: Settings) -> RunFolder:
        """The folder for this model under these settings: other settings mean another server."""
        what = [model.sha256, settings.server_slots, context_per_slot(model, settings), threads(settings)]
        built = native.current(settings)
        text = json.dumps([*what, WORKER_VERSION, version("xllamacpp"), *([built.built_at] if built else [])])
        return cls(settings.data_dir / "run" / f"{model.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")

    def create(self) -> None:
        """Make the folders, with access for this user alone."""
        for folder in (self.path, self._leases):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(folder, 0o700)

    def read(self) -> ServerState | None:
        """The state as written last; None when there is none or it cannot be understood."""
        try:
            stored = json.loads(self._state.read_text(encoding="utf-8"))
            return ServerState(**stored | {"adapters": tuple(stored.get("adapters", ()))})
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def write(self, state: ServerState) -> None:
        """Write the state, whole or not at all, readable by this user alone from its first byte on."""
        write_whole(self._state, json.dumps(asdict(state)), private=True)

    def remove(self, pid: int) -> None:
        """Remove the state if it is this process's."""
        state = self.read()
        if state is not None and state.pid == pid:
            self._state.unlink(missing_ok=True)

    def start_lock(self) -> FileLock:
        """The lock of a process that starts a worker, or leaves."""
        self.create()
        return FileLock(self.path / "start.lock", thread_local=False)

    def new_lease(self) -> FileLock:
        """Take a lease; releasing it, or dying, gives it back."""
        self.create()
        lease = FileLock(self._leases / f"{uuid.uuid4().hex}.lock", thread_local=False)
        lease.acquire()
        return lease

    def leased(self) -> bool:
        """True if anybody holds a lease; leases of the dead are swept away."""
        return any([self._is_held(path) for path in self._leases.glob("*.lock")])

    def _is_held(self, path: Path) -> bool:
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()
        return False
