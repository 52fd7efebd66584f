"""Asks math-verify whether two expressions are the same, in a process of its own, from any thread.

math-verify interrupts itself with `signal.alarm`, which only a main thread may do, and takes its own time-out for
"different". So it runs in a small script (`expressions_worker`) in the main thread of another process, with our time
limit.

The process is a plain child with pipes rather than a `ProcessPoolExecutor`: spawn runs the parent's `__main__` again in
the child, and under Streamlit that is the page itself. A child with pipes also ends by itself when its parent is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Literal

WORKER = Path(__file__).with_name("expressions_worker.py")
GRACE_S = 2.0
"""The worker stops itself at the limit; after this much more it is killed."""
_START_LIMIT_S = 60.0
_MAX_FAILED_STARTS = 3
_MOST_VERDICTS = 1000
"""Samples of one question give the same answers again and again; these verdicts are remembered."""

log = logging.getLogger(__name__)

Verdict = Literal["same", "different", "rounded", "timeout", "unreadable"]


class _WorkerGoneError(Exception):
    """The process ended before it answered."""


class _Worker:
    """One running process, the thread that reads its answers, and the answers it has given."""

    def __init__(self) -> None:
        # -P: without it the script's folder comes first on sys.path, and its types.py hides the standard one.
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to, self._from = self.process.stdin, self.process.stdout
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=_read_lines, args=(self._from, self._answers), daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, job: dict[str, object]) -> None:
        try:
            print(json.dumps(job), file=self._to, flush=True)
        except OSError as e:
            raise _WorkerGoneError from e

    def answer(self, job_id: int, limit_s: float) -> str:
        """Wait for the verdict on a job.

        Raises:
            _WorkerGoneError: The process ended.
            TimeoutError: Nothing came within `limit_s` seconds.
        """
        deadline = time.monotonic() + limit_s
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError from None
            if line is None:
                raise _WorkerGoneError
            reply = json.loads(line)
            if reply["id"] == job_id:
                return str(reply["verdict"])

    def stop(self, *, patience_s: float = 0.0) -> None:
        """End the process, at once unless given patience, and leave nothing open."""
        with contextlib.suppress(OSError):  # a pipe into a dead process complains about what it still held
            self._to.close()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self._from.close()


def _read_lines(lines: IO[str], answers: queue.SimpleQueue[str | None]) -> None:
    for line in lines:
        answers.put(line)
    answers.put(None)


class MathChecker:
    """Compares expressions, one at a time, in a process that starts at the first use.

    Args:
        limit_s: Seconds one comparison may take. Waiting for other threads and for the start are not counted.
    """

    def __init__(self, *, limit_s: float = 3.0) -> None:
        self.limit_s = limit_s
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._jobs = 0
        self._failed_starts = 0
        self._verdicts: dict[tuple[str, str], bool] = {}

    @property
    def worker_pid(self) -> int | None:
        """Process id of the running worker, or None."""
        worker = self._worker
        return worker.process.pid if worker is not None and worker.alive else None

    def same(self, gold: str, given: str) -> bool | None:
        """Whether two LaTeX expressions are equal; None when that could not be decided.

        The first call starts the process (1 to 4 s), later ones take about a millisecond, none for a pair decided
        before. Blocks; call it from a thread when an event loop is running.
        """
        with self._lock:
            if (gold, given) in self._verdicts:
                return self._verdicts[gold, given]
            decided = {"same": True, "different": False}.get(self._verdict(gold, given))
            if decided is not None:
                if len(self._verdicts) >= _MOST_VERDICTS:
                    self._verdicts.clear()
                self._verdicts[gold, given] = decided
            return decided

    def _verdict(self, gold: str, given: str) -> str:
        for _ in range(2):  # a worker that was killed while idle is replaced unnoticed; a deadly job is tried twice
            worker = self._running()
            if worker is None:
                return "unreadable"
            self._jobs += 1
            try:
                worker.send({"id": self._jobs, "gold": gold, "given": given, "limit_s": self.limit_s})
                return worker.answer(self._jobs, self.limit_s + GRACE_S)
            except TimeoutError:
                self._drop()
                return "timeout"
            except _WorkerGoneError:
                self._drop()
        return "unreadable"

    def _running(self) -> _Worker | None:
        """The worker, started if need be; None when it cannot be started."""
        if self._worker is not None and self._worker.alive:
            return self._worker
        self._drop()
        if self._failed_starts >= _MAX_FAILED_STARTS:
            return None
        try:
            self._worker = _Worker()
            self._worker.answer(0, _START_LIMIT_S)
        except (OSError, RuntimeError, _WorkerGoneError):  # TimeoutError is an OSError; no new thread at exit
            self._failed_starts += 1
            log.warning("The process that compares expressions did not start; such answers stay ungraded.")
            self._drop()
            return None
        self._failed_starts = 0
        return self._worker

    def _drop(self, *, patience_s: float = 0.0) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(patience_s=patience_s)

    def close(self) -> None:
        """Stop the process. A later call starts a new one."""
        # A comparison in progress is not waited for longer than it takes to kill it.
        if not self._lock.acquire(timeout=0.5):
            worker = self._worker
            if worker is not None:
                worker.process.kill()
            self._lock.acquire()
        try:
            self._drop(patience_s=1.0)
        finally:
            self._lock.release()


shared_checker = MathChecker()
_inherited: list[MathChecker] = []


_at_once: ContextVar[bool] = ContextVar("at_once", default=False)


class WouldWaitError(Exception):
    """The other process has to be asked, and nobody may wait for it here."""


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Let `math_equal` raise `WouldWaitError` within the block instead of asking."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


def math_equal(gold: str, given: str) -> bool | None:
    """`MathChecker.same` of the checker that this process shares.

    Raises:
        WouldWaitError: See `at_once`.
    """
    if _at_once.get():
        raise WouldWaitError
    return shared_checker.same(gold, given)


def shut_down() -> None:
    """Stop the shared worker; runs by itself at exit."""
    shared_checker.close()


def _after_fork() -> None:
    # The pipes are the parent's: two readers of one pipe would swap answers. Kept, so that nothing closes them.
    global shared_checker
    _inherited.append(shared_checker)
    shared_checker = MathChecker()


atexit.register(shut_down)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
