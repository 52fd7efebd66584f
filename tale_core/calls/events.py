"""What happens to a call, as it happens: begun, growing, answered, ended; and the waits between two tries."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from tale_core.calls.budget_ledger import Spent
from tale_core.types import CallRecord, Question


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call is about to be sent, or shown again. `key` names it inside its run in this and the following events."""

    key: Hashable
    call: CallRecord


@dataclass(frozen=True, slots=True)
class CallDelta:
    """New text of a running call."""

    key: Hashable
    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The whole answer is there and is being graded against the question: a stop loses nothing of it any more."""

    key: Hashable
    call: CallRecord
    question: Question


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call ended: done (whole or cut), reused, or failed; the record holds every number.

    Attributes:
        spent: What the run has paid for so far.
        again: It failed and is tried again: another `CallStarted` of the same key follows.
    """

    key: Hashable
    call: CallRecord
    spent: Spent
    again: bool = False


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The endpoint asked for fewer calls, or failed under them; the call is tried again.

    Attributes:
        wait_s: Seconds until then.
        concurrency: Calls that may run at the same time from now on; None when nothing but the run's plan limits them.
        words: What the endpoint said, in a sentence.
    """

    wait_s: float
    concurrency: int | None
    words: str


CallEvent = CallStarted | CallDelta | CallAnswered | CallFinished | RateLimited
