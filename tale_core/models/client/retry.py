"""When and how long to wait before a request is sent again. It sends nothing."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tale_core.errors import ModelError
from tale_core.models.client.bodies import span

_RESET = re.compile(r"(?:x-)?(?:anthropic-)?ratelimit-(?:[a-z]+-){0,3}reset(?:-[a-z]+){0,3}")
_EPOCH = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of the retry loop.

    Attributes:
        attempts: Requests in all, the first included.
        timeouts: Requests in all when the endpoint was silent each time; each costs the whole time limit.
        base_s: Longest first wait; it doubles with each attempt.
        cap_s: Longest single wait. An endpoint that asks for more fails at once.
        total_s: Longest waiting in all.
        loading_s: Longest waiting in all for an endpoint that is loading the model; it says so and is asked every
            `loading_step_s` seconds.
    """

    attempts: int = 4
    timeouts: int = 2
    base_s: float = 0.5
    cap_s: float = 30.0
    total_s: float = 60.0
    loading_s: float = 120.0
    loading_step_s: float = 2.0

    def wait_s(self, attempt: int, *, asked_s: float | None, waited_s: float, loading: bool = False) -> float | None:
        """Seconds to wait after failed attempt number `attempt` (from 1); None when it is not worth it.

        What the endpoint asked for is obeyed to the second; otherwise exponential backoff with full jitter
        (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        """
        if loading and self.attempts > 1:
            wait = min(asked_s or self.loading_step_s, self.cap_s)
            return wait if waited_s + wait <= self.loading_s else None
        if attempt >= self.attempts or (asked_s is not None and asked_s > self.cap_s):
            return None
        backoff = random.uniform(0, min(self.cap_s, self.base_s * 2 ** (attempt - 1)))
        wait = asked_s or backoff  # "Wait 0 s" is no reason to ask four times at once.
        return wait if waited_s + wait <= self.total_s else None


@dataclass(frozen=True, slots=True)
class Retry:
    """Told to `on_retry` before each wait.

    Attributes:
        attempt: The attempt that failed, from 1.
        wait_s: Seconds until the next one.
        reason: What went wrong, in words without a key.
    """

    attempt: int
    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in our words, with what the retry loop must know.

    Attributes:
        error: What to raise if nothing helps.
        retry: Sending the same request again may help.
        wait_s: Seconds the endpoint asked to wait; None when it did not say.
        status: HTTP status; None when there was no answer.
        param: The request's parameter that the endpoint names as wrong; None when it names none.
        words: The endpoint's own words in lower case, for looking for parameter names.
        loading: The endpoint is loading the model; it will answer when that is done.
        filtered: A content filter refused the question: that is an answer's outcome, and no failure.
    """

    error: ModelError
    retry: bool = False
    wait_s: float | None = None
    status: int | None = None
    param: str | None = None
    words: str = ""
    loading: bool = False
    filtered: bool = False


NO_RETRY = RetryPolicy(attempts=1)


RESET_AT_MOST_S = 30.0
"""`x-ratelimit-reset` tells when a whole allowance is back, which may be long after a request is welcome again."""


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds an endpoint asks to wait (`retry-after-ms`, `Retry-After` as seconds or HTTP date), or None.

    RFC 9110, section 10.2.3. A date in the past is 0; nonsense is None.
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    raw = headers.get("retry-after")
    if raw is None:
        return None
    return span(raw) if span(raw) is not None else _until(raw, now)


def reset_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds until an allowance that is used up is there again, by `x-ratelimit-reset…` and its relatives, or None."""
    waits = []
    for name, raw in headers.items():
        kind = _RESET.fullmatch(name.lower())
        if kind is None or (_number(headers.get(name.lower().replace("reset", "remaining"))) or 0) > 0:
            continue
        waits.append(_moment(raw, now))
    return max((w for w in waits if w is not None and 0 <= w <= RESET_AT_MOST_S), default=None)


def retry_order(headers: Mapping[str, str]) -> bool | None:
    """What `x-should-retry` says; None when it is absent. The SDK obeys it too."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _moment(raw: str, now: datetime | None) -> float | None:
    """A span (`2s`, `6m0s`), a number of seconds, a moment as Unix time in seconds or milliseconds, or a date."""
    seconds = span(raw)
    if seconds is None:
        return _until(raw, now)
    if seconds > _EPOCH:
        moment = seconds / 1000 if seconds > _EPOCH * 1000 else seconds
        return max(0.0, moment - (now or datetime.now(UTC)).timestamp())
    return seconds


def _until(raw: str, now: datetime | None) -> float | None:
    try:
        when = parsedate_to_datetime(raw)
    except ValueError:
        try:
            when = datetime.fromisoformat(raw.strip())
        except ValueError:
            return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def _number(raw: str | None) -> float | None:
    try:
        value = float(raw) if raw is not None else -1.0
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
