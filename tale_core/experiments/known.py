"""Answers that are known already: those of the last calls by memory of their ids, earlier ones from the store.

Knows the store; sends nothing and keeps no text.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime

from tale_core.calls import replayed_call
from tale_core.store import ExperimentStore, Found, through_outage
from tale_core.types import CallRecord

REMEMBERED = 4096
"""Fingerprints of the latest calls kept in memory: those of the questions in work, with room to spare."""


class Known:
    """The known answers of one experiment.

    Args:
        experiments: Where they are stored.
        session_id: The experiment.
        look_up: There may be some from before this run.
        anywhere: Those of other experiments and sessions count as well.
    """

    def __init__(self, experiments: ExperimentStore, session_id: str, *, look_up: bool, anywhere: bool) -> None:
        self._experiments, self._id, self._look_up, self._anywhere = experiments, session_id, look_up, anywhere
        self._recent: OrderedDict[str | None, int] = OrderedDict()

    def remember(self, call: CallRecord) -> None:
        """A call has ended."""
        self._recent[call.cache_key] = call.id
        self._recent.move_to_end(call.cache_key)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    async def find(self, call: CallRecord, *, cap: int | None, max_tokens: int | None) -> Found | None:
        """A stored call that answers this one, or None when it has to be paid for.

        Args:
            call: As it would be sent.
            cap: Tokens at which its answer can no longer win.
            max_tokens: The plan's cap on an answer.
        """
        found: Found | None = None
        if self._look_up:  # The store first: the very step that asks may have ended before a stop.
            found = await asyncio.to_thread(through_outage, lambda _again: self._stored(call))
        elif (recent := self._recent.get(call.cache_key)) is not None:
            stored = await asyncio.to_thread(through_outage, lambda _again: self._experiments.call(recent))
            found = Found(stored, False) if stored is not None else None
        return found if found is not None and answers(found.call, cap, max_tokens) else None

    def again(self, stored: CallRecord, call: CallRecord) -> CallRecord:
        """The stored call as the one that is wanted: cached, with its original tokens and times; not graded again."""
        return replace(
            replayed_call(stored, session_id=self._id),
            status="done",
            role=call.role,
            phase=call.phase,
            requested_budget=call.requested_budget,
            repeat_index=call.repeat_index,
            unit=call.unit,
            step=call.step,
            created_at=datetime.now(UTC),
        )

    def _stored(self, call: CallRecord) -> Found | None:
        assert call.cache_key is not None and call.unit is not None and call.step is not None
        return self._experiments.find(
            call.cache_key, session_id=self._id, unit=call.unit, step=call.step, anywhere=self._anywhere
        )


def answers(stored: CallRecord, cap: int | None, max_tokens: int | None) -> bool:
    """Whether a known call tells what is asked now, as in `tale_core.probing`."""
    tokens = stored.completion_tokens
    if tokens is None or stored.status != "done":
        return False
    if stored.cut:
        return cap is not None and tokens >= cap
    if stored.finish_reason == "length":
        return stored.sampling.max_tokens == max_tokens or (cap is not None and tokens >= cap)
    # An answer that ended by itself is the same under any cap on tokens that it stayed below.
    return max_tokens is None or tokens <= max_tokens
