"""What is timed of one run, whoever makes it, and the rates that follow from it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


class MeasurementError(RuntimeError):
    """A run did not do the work that was to be timed; its times mean nothing."""


@dataclass(slots=True)
class Stream:
    """One answer as it arrives; times in seconds since the run was submitted.

    Attributes:
        first_s: When its first text was there; None before.
        last_s: When its last text was there.
        seen_s: When a watcher at the page's pace had seen its first text; None where nobody watched.
        tokens: As the server counted them.
        prompt_tokens: Likewise.
        cached_tokens: The part of the prompt that the server had in its cache; None where it is not known.
    """

    first_s: float | None = None
    last_s: float = 0.0
    seen_s: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int | None = None

    def text(self, at_s: float) -> None:
        """Note that text has come."""
        if self.first_s is None:
            self.first_s = at_s
        self.last_s = at_s


@dataclass(frozen=True, slots=True)
class Timed:
    """One run: several answers, one after the other or at the same time.

    Attributes:
        seconds: From submitting to the end of everything.
        cpu_s: Processor time that this process took meanwhile; the server is another process.
        together: The answers were generated at the same time.
    """

    streams: tuple[Stream, ...]
    seconds: float
    cpu_s: float
    together: bool

    @property
    def ttft_s(self) -> float:
        """Seconds to the first text: of the first answer, or the median of answers generated at the same time."""
        return self._first([s.first_s for s in self.streams])

    @property
    def seen_s(self) -> float:
        """The same for what a watcher at the page's pace has seen; without a watcher, for what was there."""
        return self._first([s.first_s if s.seen_s is None else s.seen_s for s in self.streams])

    def _first(self, times: Sequence[float | None]) -> float:
        known = [t for t in times if t is not None]
        if len(known) < len(times):
            raise MeasurementError("an answer without text has no time to its first token")
        return statistics.median(known) if self.together else known[0]

    @property
    def tokens(self) -> int:
        """Tokens of all answers."""
        return sum(s.tokens for s in self.streams)

    @property
    def tokens_per_s(self) -> float:
        """All tokens over the whole time, waiting for the first one and tidying up included."""
        return self.tokens / self.seconds

    @property
    def cpu_ms_per_token(self) -> float:
        """Milliseconds of processor time for each token: what the machine's load changes least."""
        return self.cpu_s * 1000 / self.tokens

    @property
    def streaming_tokens_per_s(self) -> float:
        """Tokens over the time in which text arrived."""
        if self.together:
            begun = min(s.first_s or 0.0 for s in self.streams)
            return self.tokens / (max(s.last_s for s in self.streams) - begun)
        return self.tokens / sum(s.last_s - (s.first_s or 0.0) for s in self.streams)
