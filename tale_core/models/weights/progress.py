"""How far the fetch of a weights file is, in bytes and in words; and being asked to stop it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tale_core.errors import StoppedError
from tale_core.i18n import t
from tale_core.text import duration, megabytes

Phase = Literal["looking", "waiting", "downloading", "checking", "ready"]
WINDOW_S = 8.0
"""The rate is the mean over this many seconds: long enough to be calm, short enough to follow a slow stretch."""
REPORT_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a fetch is.

    Attributes:
        source: Where the bytes come from, in words; "" while looking.
        done_bytes: Bytes that are there (or, while checking, that were read).
        total_bytes: Bytes of the whole file.
        eta_s: Seconds left at the rate so far; None until it is known.
        message: What happens, in plain words.
    """

    phase: Phase
    source: str
    done_bytes: int
    total_bytes: int
    eta_s: float | None
    message: str


class Reporter:
    """Turns byte counts into `FetchProgress`, at most ten times a second, and stops the work when asked to."""

    def __init__(
        self,
        total: int,
        *,
        progress: Callable[[FetchProgress], None] | None = None,
        cancel: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._progress = progress
        self._cancel = cancel or threading.Event()
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._key: tuple[Phase, str] | None = None
        self._last = float("-inf")

    def check(self) -> None:
        """Raise StoppedError if the caller asked to stop."""
        if self._cancel.is_set():
            raise StoppedError(
                t("Fetching the model was stopped."), t("What has arrived is kept; starting again resumes.")
            )

    def wait(self, seconds: float) -> None:
        """Sleep, but wake and raise StoppedError at once if the caller asks to stop."""
        self._cancel.wait(seconds)
        self.check()

    def say(self, phase: Phase, what: str, *, source: str = "", done: int = 0) -> None:
        """Report; `what` opens the message ("Downloading the model from the package index").

        Raises:
            StoppedError: The caller asked to stop.
        """
        self.check()
        now = self._clock()
        new = (phase, source) != self._key
        if new:
            self._key = (phase, source)
            self._seen.clear()
        elif now - self._last < REPORT_EVERY_S and done < self._total:
            return
        self._last = now
        rate = self._rate(now, done)
        if self._progress is not None:
            eta = (self._total - done) / rate if rate else None
            message = self._words(what, done, rate, eta) if phase in ("downloading", "checking") else what
            self._progress(FetchProgress(phase, source, done, self._total, eta, message))

    def _rate(self, now: float, done: int) -> float | None:
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        then, before = self._seen[0]
        return (done - before) / (now - then) if now - then >= 0.5 and done > before else None

    def _words(self, what: str, done: int, rate: float | None, eta: float | None) -> str:
        left = duration(eta) if eta is not None and done < self._total else None
        values = {"what": what, "done": megabytes(done), "total": megabytes(self._total)}
        if rate and left:
            speed = megabytes(rate)
            return t("{what}: {done} of {total}, {speed}/s, about {left} left", **values, speed=speed, left=left)
        if rate:
            return t("{what}: {done} of {total}, {speed}/s", **values, speed=megabytes(rate))
        return t("{what}: {done} of {total}", **values)
