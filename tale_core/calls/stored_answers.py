"""Answers that need not be paid for again, from the store; see `tale_core.calls.cache`."""

from __future__ import annotations

import asyncio

from tale_core.errors import StoreError
from tale_core.store import CallStore, Store, through_outage
from tale_core.types import CallRecord, Found


class StoredAnswers:
    """The answers in a store.

    Most are not there. So one look-up says for all calls that wait which fingerprints are known at all, and only of
    these the answer is read: while one is under way, those that come meanwhile wait for the next.

    Args:
        store: Where to look.
        session_id: Whose very steps count as `own`; "" for none.
        anywhere: Those of other sessions count as well.
        strict: A store that fails raises StoreError; else it holds no answer.
    """

    def __init__(self, store: Store, session_id: str = "", *, anywhere: bool = True, strict: bool = False) -> None:
        self._calls, self._id, self._anywhere, self._strict = CallStore(store), session_id, anywhere, strict
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, call: CallRecord) -> Found | None:
        """See `AnswerCache.find`; the very step that asks, from before a stop, comes before all others."""
        assert call.cache_key is not None
        try:
            if not await self._is_known(call.cache_key):
                return None
            return await asyncio.to_thread(through_outage, lambda _again: self._found(call))
        except StoreError:
            if self._strict:
                raise
            return None

    async def _is_known(self, cache_key: str) -> bool:
        if (asked := self._waiting.get(cache_key)) is None:
            asked = self._waiting[cache_key] = asyncio.get_running_loop().create_future()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(asked)

    async def _ask(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # Those that begin in the same moment are asked for together.
            waiting, self._waiting = self._waiting, {}
            try:
                known = await asyncio.to_thread(through_outage, lambda _again, keys=tuple(waiting): self._known(keys))
            except Exception as e:
                for one in waiting.values():
                    one.set_exception(e)
                    one.exception()  # Whoever asked may be gone.
            else:
                for key, one in waiting.items():
                    one.set_result(key in known)

    def _known(self, keys: tuple[str, ...]) -> set[str]:
        return self._calls.known(keys, session_id=self._id, anywhere=self._anywhere)

    def _found(self, call: CallRecord) -> Found | None:
        assert call.cache_key is not None
        return self._calls.find(
            call.cache_key, session_id=self._id, unit=call.unit, step=call.step, anywhere=self._anywhere
        )
