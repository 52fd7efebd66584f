"""The embedded model server as its users see it: one per model and settings, shared by every process of this user.

It is found, started, waited for and stopped here. The server itself is `worker`, the files they share are `run_folder`;
how to talk to it is the client's business.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import psutil
from filelock import FileLock, Timeout

from tale_core.errors import AdapterFileError, InputError, ServerStartError, StoppedError
from tale_core.i18n import t
from tale_core.models.adapters import check as adapter_check
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.run_folder import RunFolder, ServerState
from tale_core.models.embedded.start import StartPlan, died, last_words, spawn
from tale_core.models.embedded.worker import LOOPBACK, get_json
from tale_core.models.weights.fetch import FetchProgress, ensure_weights
from tale_core.settings import Settings, get_settings

START_TIMEOUT_S = 120.0
HEALTH_TIMEOUT_S = 1.0
PATIENCE_S = 15.0
"""A process that lives but is slow to answer is given this long: replacing a busy server would cut its answers off."""
TRUST_S = 1.5
"""For this long after it answered, a server whose process lives is not asked again."""
END_S = 8.0
"""Longest wait for a worker that was asked to end; it gives its own requests a little less."""
POLL_S = 0.05
MAX_ADAPTERS = 16
"""Adapters that one server has loaded at most; the newest asked for stay."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running server.

    Attributes:
        base_url: OpenAI-compatible root, "http://127.0.0.1:PORT/v1"; llama.cpp's own calls are one level up.
        api_key: Needed for everything but /health.
        model: Catalog name; also the name to use in requests.
        n_ctx_per_slot: Tokens of context each answer has.
        slots: Answers generated at the same time.
        adapters: Keys of the adapters it has loaded; their places are their ids in requests.
    """

    base_url: str
    api_key: str = field(repr=False)
    pid: int
    model: str
    n_ctx_per_slot: int
    slots: int
    adapters: tuple[str, ...] = ()


def ensure_server(
    model_name: str,
    *,
    progress: Callable[[str], None] | None = None,
    fetch_progress: Callable[[FetchProgress], None] | None = None,
    cancel: threading.Event | None = None,
    adapter: Adapter | None = None,
    settings: Settings | None = None,
) -> ServerInfo:
    """The model's server, started if it does not run, its weights fetched if they are not here. Blocks.

    llama.cpp loads adapters only when it starts. For one that is not loaded a second server is started beside the first
    and takes its place once it answers; the first ends when it has finished what it was answering.

    Hold a `lease` for as long as the server is needed: without one it leaves `server_idle_s` after its last request.

    Args:
        model_name: Catalog name.
        progress: Told in words what happens while the server starts.
        fetch_progress: Told how far the weights are, while they are looked for or fetched.
        cancel: Set it from another thread to stop waiting at once.
        adapter: One that it must have loaded; those that are loaded stay.
        settings: Defaults to the environment's.

    Raises:
        UnknownModelError: No such model.
        WeightsError: The weights cannot be had.
        ServerStartError: It did not start, or not in time; the message holds the last words of its log.
        AdapterFileError: The adapter is damaged or belongs to another model.
        StoppedError: `cancel` was set.
    """
    settings = settings or get_settings()
    model = embedded_model(model_name)
    run = RunFolder.of(model, settings)
    say = progress or (lambda words: None)
    cancel = cancel or threading.Event()
    with _lease(run):
        if _has(info := _running(run), adapter):
            return info
        weights = ensure_weights(model, progress=fetch_progress, cancel=cancel, settings=settings)
        added = () if adapter is None else (_checked(adapter, weights),)
        with _start_lock(run, say, cancel):
            if _has(info := _running(run, patience=PATIENCE_S), adapter):
                return info
            if info is None and (stale := run.read()) is not None:
                _end(stale)
            loaded = (*_still_there(info, weights), *added)[-MAX_ADAPTERS:]
            return _start(StartPlan(model, settings, run, weights, loaded), say, cancel)


def _has(info: ServerInfo | None, adapter: Adapter | None) -> TypeGuard[ServerInfo]:
    return info is not None and (adapter is None or adapter.key in info.adapters)


def _checked(adapter: Adapter, weights: Path) -> tuple[str, str]:
    return adapter.key, str(adapters.verified(adapter, adapter_check.base_header(weights)))


def _still_there(info: ServerInfo | None, weights: Path) -> Iterator[tuple[str, str]]:
    """What a running server has loaded and its successor can load too."""
    for key in info.adapters if info else ():
        with contextlib.suppress(InputError, AdapterFileError):
            yield _checked(adapters.find(key), weights)


@contextlib.contextmanager
def lease(model_name: str, *, settings: Settings | None = None) -> Iterator[None]:
    """Keep the model's server alive while the block runs; the system ends the lease if this process dies.

    Take it before `ensure_server`. It starts nothing by itself.

    Raises:
        UnknownModelError: No such model.
    """
    with _lease(RunFolder.of(embedded_model(model_name), settings or get_settings())):
        yield


def server_status(model_name: str, *, settings: Settings | None = None) -> ServerInfo | None:
    """The model's server if it runs and answers, else None. Starts nothing.

    Raises:
        UnknownModelError: No such model.
    """
    return _running(RunFolder.of(embedded_model(model_name), settings or get_settings()))


def stop_server(model_name: str, *, settings: Settings | None = None) -> bool:
    """End the model's server, even if it is in use; True if there was one.

    Raises:
        UnknownModelError: No such model.
    """
    run = RunFolder.of(embedded_model(model_name), settings or get_settings())
    state = run.read()
    if state is None:
        return False
    was_alive = state.is_alive()
    _end(state)
    run.remove(state.pid)
    return was_alive


_answered: dict[tuple[int, float], float] = {}
"""(pid, start) -> when that server answered last, on the monotonic clock."""


def doubt(info: ServerInfo) -> None:
    """This server broke off: whether it answers is looked at anew. One that was killed may take a while to be gone."""
    for who in [who for who in _answered if who[0] == info.pid]:
        del _answered[who]


def _running(run: RunFolder, *, patience: float = 0.0) -> ServerInfo | None:
    """The server of this folder if its process lives and answers within `patience` seconds (once, if 0)."""
    deadline = time.monotonic() + patience
    while (state := run.read()) is not None and state.is_alive():
        if _answers(state):
            return info_of(state)
        if time.monotonic() >= deadline:
            break
        time.sleep(0.2)
    return None


def _answers(state: ServerState) -> bool:
    who = (state.pid, state.create_time)
    if time.monotonic() - _answered.get(who, float("-inf")) < TRUST_S:
        return True
    try:
        # Not /health, which any llama.cpp server answers: this one needs our key.
        get_json(state.port, "/v1/models", state.api_key, timeout=HEALTH_TIMEOUT_S)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    _answered[who] = time.monotonic()
    return True


def info_of(state: ServerState) -> ServerInfo:
    """What a client of the server needs of its state."""
    url = f"http://{LOOPBACK}:{state.port}/v1"
    slots, context = state.slots, state.n_ctx_per_slot
    return ServerInfo(url, state.api_key, state.pid, state.model, context, slots, state.adapters)


@contextlib.contextmanager
def _lease(run: RunFolder) -> Iterator[None]:
    held = run.new_lease()
    try:
        yield
    finally:
        held.release()
        with contextlib.suppress(OSError):  # Windows may still have it open; the worker sweeps it
            Path(held.lock_file).unlink(missing_ok=True)


@contextlib.contextmanager
def _start_lock(run: RunFolder, say: Callable[[str], None], cancel: threading.Event) -> Iterator[None]:
    lock: FileLock = run.start_lock()
    started = time.monotonic()
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if (waited := time.monotonic() - started) > 2 * START_TIMEOUT_S:
                raise ServerStartError(t("Another process has been starting the model server for minutes.")) from None
            say(t("Another process is starting the model… {seconds:.0f} s", seconds=waited))
            _wait(cancel)
    try:
        yield
    finally:
        lock.release()


def _wait(cancel: threading.Event, seconds: float = POLL_S) -> None:
    if cancel.wait(seconds):
        raise StoppedError(t("Loading the model was stopped."), t("The model file is kept; ask again to start it."))


def _start(plan: StartPlan, say: Callable[[str], None], cancel: threading.Event) -> ServerInfo:
    """Start a worker and wait until it answers. The caller holds the start lock."""
    process = spawn(plan)
    started = time.monotonic()
    while (waited := time.monotonic() - started) < START_TIMEOUT_S:
        state = plan.run.read()
        if state is not None and state.pid == process.pid and _answers(state):
            return info_of(state)
        if (code := process.poll()) is not None:
            raise died(plan, code)
        say(t("Loading {title}… {seconds:.0f} s", title=plan.model.title, seconds=waited))
        _wait(cancel)
    process.kill()
    raise ServerStartError(
        t("The model server did not get ready within {seconds:.0f} s.", seconds=START_TIMEOUT_S),
        last_words(plan.log) or t("Try again."),
    )


def _end(state: ServerState) -> None:
    """Ask the process to end, then end it."""
    if not state.is_alive():
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(state.pid)
        process.terminate()
        try:
            process.wait(timeout=END_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
