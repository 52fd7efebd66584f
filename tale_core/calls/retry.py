"""Which failures of a call are worth another try, after how long, and which end the whole experiment."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tale_core.errors import (
    AuthenticationFailedError,
    ConnectionFailedError,
    IncompleteAnswerError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    NameNotFoundError,
    NotAnOpenAIEndpointError,
    QuotaExhaustedError,
    RateLimitedError,
    ServerDiedError,
    ServerFailedError,
    WorkerLostError,
)

OVERLOAD = (RateLimitedError, ServerFailedError, ModelTimeoutError)
"""What an endpoint with too much to do answers."""
FATAL = (
    AuthenticationFailedError,
    ModelNotFoundError,
    NameNotFoundError,
    NotAnOpenAIEndpointError,
    QuotaExhaustedError,
)
"""What every further call would meet as well."""
_AWAY = (ConnectionFailedError, ServerDiedError)
"""What an endpoint that is being restarted looks like. One that answers 5xx is there: the question may be at fault."""
_AWAY_CAP_S = 5.0
_TRANSIENT = (ServerFailedError, ModelTimeoutError, IncompleteAnswerError, ConnectionFailedError, ServerDiedError)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a call is tried again.

    Attributes:
        tries: Requests in all for failures that may pass; a rate limit is waited out by time alone.
        base_s: Longest first wait; it doubles with each try.
        cap_s: Longest single wait of our own choosing; what the endpoint asks for is obeyed.
        total_s: Longest waiting for one call in all.
        outage_s: Longest waiting for an endpoint that has answered before and went away; with 0 it gets no more tries
            than any other.
        only: Nothing but these is tried again; empty for all that may pass.
        book_empty: A failed try that brought nothing is booked as a call of its own, and not as an attempt alone.
    """

    tries: int = 4
    base_s: float = 1.0
    cap_s: float = 60.0
    total_s: float = 900.0
    outage_s: float = 180.0
    only: tuple[type[ModelError], ...] = ()
    book_empty: bool = False

    def wait_s(self, error: ModelError, *, tries: int, waited_s: float, answered: bool = False) -> float | None:
        """Seconds until the next try; None when it is not worth it.

        Args:
            error: How the last try ended.
            tries: Requests so far.
            waited_s: Seconds waited so far.
            answered: The endpoint has answered other calls of this run: if it is away now it will be back.
        """
        if self.only and not isinstance(error, self.only):
            return None
        asked: float | None = None
        cap_s, total_s = self.cap_s, self.total_s
        if isinstance(error, RateLimitedError):
            asked = error.retry_after_s
        elif answered and self.outage_s and isinstance(error, _AWAY) and not isinstance(error, FATAL):
            cap_s, total_s = min(cap_s, _AWAY_CAP_S), self.outage_s
        elif isinstance(error, FATAL) or not isinstance(error, _TRANSIENT) or tries >= self.tries:
            return None
        # Half of it at random, so that calls that failed together do not come back together.
        backoff = min(cap_s, self.base_s * 2.0 ** min(tries - 1, 30)) * random.uniform(0.5, 1.0)
        # "Wait 0 s", or until a moment that is over by our clock, must not become a loop without a pause.
        wait = asked if asked is not None and asked >= self.base_s else max(asked or 0.0, backoff)
        return wait if waited_s + wait <= total_s else None


LOST_WORKERS = RetryPolicy(tries=4, base_s=0.0, outage_s=0.0, only=(WorkerLostError, ServerDiedError), book_empty=True)
"""For runs whose client tries again by itself: an answer is asked for again when the worker that asked went away, or
the embedded server, in whose place the next request starts a new one."""

ONLY_WORKERS = replace(LOST_WORKERS, only=(WorkerLostError,))
"""The same without the embedded server."""
