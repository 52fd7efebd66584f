"""The embedded server's process: loads one model with llama.cpp and serves it on loopback until nobody uses it.

Started by `tale_core.models.embedded.server` as `python -m tale_core.models.embedded.worker`; its configuration, the
key included, comes as JSON on standard input, so that neither arguments nor environment show the key.
"""

from __future__ import annotations

import contextlib
import faulthandler
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from filelock import FileLock, Timeout

from tale_core.models.embedded.run_folder import RunFolder, ServerState
from tale_core.models.embedded.waits import Waits
from tale_core.process import start as start_process

LOOPBACK = "127.0.0.1"
TICK_S = 1.0
LINGER_S = 5.0
"""A worker that was replaced waits this long after its last answer: a request may just be on its way."""
CLOSE_S = 5.0
"""Longest wait for the server to let go of its requests before the process ends anyway."""
SUCCESSOR_S = 120.0
"""Longest wait for a worker that is to take this one's place."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What the worker is told.

    Attributes:
        context: Tokens per slot.
        most_threads: Threads that it has alone; beside neighbours it has fewer. 0 keeps `threads`, whoever comes.
        idle_s: Seconds to outlive the last user.
        run_folder: Where state and leases are.
        adapters: Key and file of each adapter to load; its place is its id in requests.
        instead_of: Process id of the worker whose place this one takes; 0 for none.
    """

    model: str
    weights: str
    slots: int
    context: int
    threads: int
    idle_s: float
    run_folder: str
    api_key: str = field(repr=False)
    adapters: tuple[tuple[str, str], ...] = ()
    most_threads: int = 0
    instead_of: int = 0

    def to_json(self) -> str:
        """As the worker reads it."""
        return json.dumps(asdict(self))


def start_worker(config: WorkerConfig, *, cwd: Path, log: int, paths: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start a worker, which outlives this process.

    Args:
        config: What it is told.
        cwd: Where it runs.
        log: Takes what it prints.
        paths: See `tale_core.process.start`.
    """
    command = (sys.executable, "-m", "tale_core.models.embedded.worker")
    process = start_process(command, cwd=cwd, log=log, stdin=subprocess.PIPE, paths=paths)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # a worker that is gone is noticed by its code
        pipe.write(config.to_json().encode())
    return process


def get_json(port: int, path: str, api_key: str, *, timeout: float) -> Any:
    """GET a JSON document from the server on loopback (a proxy in the environment is not for it).

    Raises:
        OSError, http.client.HTTPException: No answer in time, or none that says 200.
        ValueError: The answer is not JSON.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {api_key}"})
        response = connection.getresponse()
        if response.status != 200:
            raise http.client.HTTPException(f"status {response.status}")
        return json.loads(response.read())
    finally:
        connection.close()


def start_server(config: WorkerConfig) -> Any:
    """Load the model and listen; returns xllamacpp's `Server` once the model is loaded.

    Raises:
        RuntimeError: llama.cpp could not load the file or get the memory.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config.weights
    params.model_alias = {config.model}
    # Without a unified cache each slot gets its own n_ctx / n_parallel: no answer takes another one's room.
    params.kv_unified = False
    params.n_parallel = config.slots
    params.n_ctx = config.slots * config.context
    params.cpuparams.n_threads = config.threads
    params.cpuparams_batch.n_threads = config.threads
    params.hostnames = [LOOPBACK]
    params.port = 0
    params.api_keys = [config.api_key]
    params.cache_prompt = True
    params.cache_ram_mib = 0  # the host-memory prompt cache ignores which adapter was on
    params.cache_idle_slots = False  # needs that cache
    params.ui = False
    params.cors_origins = ""  # no page of a browser has business here
    if config.adapters:
        # Loaded at scale 0, so that a request that names none gets the model as it is.
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for _, path in config.adapters]
    params.verbosity = 2  # warnings and errors: the log holds no prompt and does not grow with each request
    return xllamacpp.Server(params)


class Worker:
    """Serves until it is told to stop, is replaced, or nobody has used it for `idle_s` seconds."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._run = RunFolder(Path(config.run_folder))
        self._stop = threading.Event()
        self._port = 0
        self._waits = Waits(config.threads, config.most_threads or config.threads)
        self._successor: Successor | None = None

    def serve(self) -> None:
        """Run to the end."""
        for name in ("SIGTERM", "SIGINT"):
            signal.signal(getattr(signal, name), self._asked_to_stop)
        server = start_server(self._config)
        self._port = int(server.listening_address.rsplit(":", 1)[1])
        self._run.write(self._state())
        try:
            self._until_unused()
        finally:
            if self._successor is not None:
                self._successor.let_go(self._run)
            self._run.remove(os.getpid())
            end = threading.Timer(CLOSE_S, os._exit, args=(0,))
            end.daemon = True
            end.start()
            del server

    def _state(self) -> ServerState:
        slots = get_json(self._port, "/slots", self._config.api_key, timeout=30)
        started = psutil.Process().create_time()
        context = min(int(slot["n_ctx"]) for slot in slots)
        config = self._config
        return ServerState(
            config.model, self._port, config.api_key, os.getpid(), started, len(slots), context, self._adapters()
        )

    def _adapters(self) -> tuple[str, ...]:
        """The keys of what is loaded.

        Raises:
            RuntimeError: The server says that it has loaded something else, or that something is switched on.
        """
        if not self._config.adapters:
            return ()
        loaded = get_json(self._port, "/lora-adapters", self._config.api_key, timeout=30)
        there = [(one.get("id"), one.get("path"), one.get("scale")) for one in loaded]
        wanted = [(i, path, 0.0) for i, (_, path) in enumerate(self._config.adapters)]
        if there != wanted:
            raise RuntimeError(f"the adapters are not loaded as asked: {there}")
        return tuple(key for key, _ in self._config.adapters)

    def _asked_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _told_to_stop(self) -> bool:
        """A moment later."""
        before = self._config.instead_of
        if not (before and psutil.pid_exists(before)):  # Until then its answers would count as a neighbour's.
            self._waits.adapt()
        return self._stop.wait(TICK_S)

    def _until_unused(self) -> None:
        last_used = time.monotonic()
        while not self._told_to_stop():
            state = self._run.read()
            if state is None:
                return  # the folder is gone: nobody can find this one
            if state.pid != os.getpid():
                return self._until_answered()  # another worker took over
            self._fit()
            if self._run.leased() or self._is_answering():
                last_used = time.monotonic()
            elif time.monotonic() - last_used >= self._config.idle_s and self._may_leave(state):
                return

    def _fit(self) -> None:
        """Have a worker with the threads that fit take this one's place; nothing that is being answered is cut off."""
        threads = self._waits.fitting()
        if self._successor is not None:
            if not self._successor.is_coming():
                self._successor.let_go(self._run)
                self._successor, self._config = None, replace(self._config, most_threads=0)  # It cannot be had.
        elif self._config.most_threads and threads != self._config.threads:
            with contextlib.suppress(Timeout):  # somebody is starting one
                self._successor = Successor(self._run, replace(self._config, threads=threads, instead_of=os.getpid()))

    def _until_answered(self) -> None:
        """Nobody new finds this worker; those whose answers are being generated are not cut off."""
        if self._successor is not None:
            self._successor.let_go(self._run)
            self._successor = None
        last_used = time.monotonic()
        while time.monotonic() - last_used < LINGER_S and not self._told_to_stop():
            if self._is_answering():
                last_used = time.monotonic()

    def _is_answering(self) -> bool:
        """True while a request runs: a user without a lease is still a user."""
        try:
            slots = get_json(self._port, "/slots", self._config.api_key, timeout=2)
        except TimeoutError:
            return True
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return any(slot["is_processing"] for slot in slots)

    def _may_leave(self, state: ServerState) -> bool:
        """Withdraw the state, then look once more.

        A user takes a lease before reading the state: one that read it before it was withdrawn is seen by the second
        look, and one that comes later finds none and waits for the lock.
        """
        try:
            with self._run.start_lock().acquire(timeout=0):
                self._run.remove(state.pid)
                if not self._run.leased():
                    return True
                self._run.write(state)
        except Timeout:
            pass  # somebody is starting: they will find this server
        return False


class Successor:
    """A worker that is being started to take this one's place; until it has, nobody else starts one.

    Args:
        run: Of both.
        config: The successor's.

    Raises:
        Timeout: Somebody else is starting a worker.
    """

    def __init__(self, run: RunFolder, config: WorkerConfig) -> None:
        self._lock: FileLock = run.start_lock()
        self._lock.acquire(timeout=0)
        self._process = start_worker(config, cwd=Path.cwd(), log=sys.stderr.fileno())
        self._since = time.monotonic()

    def is_coming(self) -> bool:
        """False once it has died, or did not answer in time."""
        return self._process.poll() is None and time.monotonic() - self._since < SUCCESSOR_S

    def let_go(self, run: RunFolder) -> None:
        """It stays if it has taken the place, and ends if it has not."""
        state = run.read()
        if state is None or state.pid != self._process.pid:
            self._process.kill()
            self._process.wait()
        self._lock.release()


def main() -> int:
    """Read the configuration from standard input and serve; 1 when the server cannot start."""
    faulthandler.enable()
    given = json.loads(sys.stdin.read())
    config = WorkerConfig(**given | {"adapters": tuple((key, path) for key, path in given["adapters"])})
    try:
        Worker(config).serve()
    except Exception as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
