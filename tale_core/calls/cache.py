"""Answers that need not be paid for again: which known answer tells what is asked now, and the latest in memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from tale_core.calls.record import replayed_call
from tale_core.types import CallRecord, Found


class AnswerCache(Protocol):
    """Answers known from earlier runs."""

    async def find(self, call: CallRecord) -> Found | None:
        """A finished call of the same fingerprint (`call.cache_key`), a complete one before a cut one."""
        ...


class RecentAnswers:
    """The latest answers of a run, in memory.

    Args:
        calls: Known from the beginning.
        limit: At most so many are kept; None keeps all.
    """

    def __init__(self, *calls: CallRecord, limit: int | None = None) -> None:
        self._calls: OrderedDict[str, CallRecord] = OrderedDict()
        self._limit = limit
        for call in calls:
            self.keep(call)

    def keep(self, call: CallRecord) -> None:
        """Remember a finished answer; a whole one is not forgotten for a cut one."""
        key = call.cache_key
        if key is None or call.status != "done" or (call.cut and key in self._calls and not self._calls[key].cut):
            return
        self._calls[key] = call
        self._calls.move_to_end(key)
        if self._limit is not None and len(self._calls) > self._limit:
            self._calls.popitem(last=False)

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """What is remembered, the latest last."""
        return tuple(self._calls.values())

    async def find(self, call: CallRecord) -> Found | None:
        """See `AnswerCache.find`."""
        found = self._calls.get(call.cache_key or "")
        return Found(found, False) if found is not None else None


def tells(stored: CallRecord, *, cap: int | None, max_tokens: int | None) -> bool:
    """Whether a stored call of the same fingerprint tells what is asked now.

    Args:
        stored: The call.
        cap: Completion tokens at which the answer can no longer win.
        max_tokens: The plan's cap on an answer.
    """
    tokens = stored.completion_tokens
    if tokens is None or stored.status != "done":
        return False
    if stored.cut:
        return cap is not None and tokens >= cap
    if stored.finish_reason == "length":
        return stored.sampling.max_tokens == max_tokens or (cap is not None and tokens >= cap)
    # An answer that ended by itself is the same under any cap on tokens that it stayed below.
    return max_tokens is None or tokens <= max_tokens


def reused_call(stored: CallRecord, call: CallRecord) -> CallRecord:
    """The stored call as the one that is wanted: cached, with its original tokens and times; not graded again."""
    return replace(
        replayed_call(stored, session_id=call.session_id),
        role=call.role,
        phase=call.phase,
        requested_budget=call.requested_budget,
        repeat_index=call.repeat_index,
        unit=call.unit,
        step=call.step,
        created_at=datetime.now(UTC),
    )
