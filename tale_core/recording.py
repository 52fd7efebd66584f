"""Calls as they happen, kept in memory for whoever watches and written to the store.

A call's row is made when it starts, its text written twice a second while it grows, its numbers when it ends. One
writer thread keeps the order of the writes; a store that fails is reported and never stops the answers. Used by every
kind of run; knows the store and the client protocol, no events and no page.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from tale_core.calls import cancelled_call
from tale_core.errors import StoreError, StoreUnreachableError, TaleError
from tale_core.i18n import joined, t
from tale_core.shutdown import stopped_status
from tale_core.store import Store, through_outage
from tale_core.types import CallRecord, Client, Status

FLUSH_S = 0.5
"""Seconds between writes of a growing answer: what a kill can lose at most, beside the tokens in flight."""
BEAT_S = 5.0
"""Seconds between signs of life."""

log = logging.getLogger(__name__)
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class CallView:
    """One call as it stands.

    Attributes:
        record: Its record; while it runs the token counts are still None.
        text: Visible text so far.
        reasoning: Visible chain of thought that the endpoint streams apart, so far.
        pieces: Pieces received so far; llama.cpp and most endpoints send one token a piece, so it is shown as "about".
    """

    record: CallRecord
    text: str
    reasoning: str
    pieces: int


def stored_view(call: CallRecord) -> CallView:
    """A stored call as a picture."""
    return CallView(call, call.text, call.reasoning_text, call.completion_tokens or 0)


@dataclass(slots=True)
class LiveCall:
    """A call of this run, running or ended."""

    record: CallRecord
    stored: asyncio.Task[CallRecord | None] | None = None
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    pieces: int = 0
    stored_pieces: int = 0

    def view(self) -> CallView:
        """The picture as it stands."""
        return CallView(self.record, "".join(self.text), "".join(self.reasoning), self.pieces)


class Recorder(Generic[K]):
    """The calls of one session.

    Args:
        store: Where they are written.
        session_id: Whose calls they are.

    Attributes:
        live_calls: The calls by key, in the order they started.
        failed_before: Calls that ended and whose key was asked for again.
        not_saved: Why the store holds less than this, in words.
    """

    def __init__(self, store: Store, session_id: str) -> None:
        self.store, self.session_id = store, session_id
        self.live_calls: dict[K, LiveCall] = {}
        self.failed_before: list[LiveCall] = []
        self.not_saved: str | None = None
        self._unreachable = False
        self._posted: set[asyncio.Task[Any]] = set()  # The loop keeps only weak references to its tasks.
        # One writer thread: writes keep their order, and a locked database never stops the answers.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tale-writer")

    @property
    def waiting(self) -> bool:
        """A running call has not had its first piece yet."""
        return not all(live.pieces for live in list(self.live_calls.values()) if live.record.status == "running")

    @property
    def error(self) -> str | None:
        """The first error of a call."""
        return next((live.record.error for live in self.live_calls.values() if live.record.error), None)

    def views(self) -> dict[K, CallView]:
        """Pictures of all calls; safe to call from any thread."""
        return {key: live.view() for key, live in list(self.live_calls.items())}

    def every_view(self) -> tuple[CallView, ...]:
        """Likewise, with those whose key was asked for again."""
        return tuple(live.view() for live in [*self.failed_before, *list(self.live_calls.values())])

    def begin(self, key: K, call: CallRecord) -> None:
        """A call has started."""
        stored = self.post_once(lambda again: self.store.start_call(call, again=again))
        if (before := self.live_calls.pop(key, None)) is not None:
            self.failed_before.append(before)
        self.live_calls[key] = LiveCall(call, stored)

    def grow(self, key: K, text: str, reasoning: str) -> None:
        """A call has new text."""
        live = self.live_calls[key]
        live.text.append(text)
        live.reasoning.append(reasoning)
        live.pieces += 1

    async def finish(self, key: K, call: CallRecord) -> None:
        """A call has ended."""
        live = self.live_calls[key]
        # Shielded, like the write below: a stop in this very moment must lose neither the row's id nor its end.
        stored = await asyncio.shield(live.stored) if live.stored else None
        live.record = replace(call, id=stored.id if stored else 0)
        live.text, live.reasoning = [call.text], [call.reasoning_text]
        if stored is not None:
            await asyncio.shield(self.post(lambda: self.store.finish_call(stored.id, live.record)))

    def post(self, work: Callable[[], T]) -> asyncio.Task[T | None]:
        """Write without waiting: the one writer thread keeps the order, and no request waits for the disk."""
        return self.post_once(lambda _again: work())

    def post_once(self, work: Callable[[bool], T]) -> asyncio.Task[T | None]:
        """`post` for what must not be done twice; it is told whether it may have been done already."""
        task = asyncio.ensure_future(self._write(work))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)
        return task

    async def write(self, work: Callable[[], T]) -> T | None:
        """Run a store call in the writer thread; None when the store failed, which `not_saved` then tells.

        A database server that is restarted meanwhile is waited for, once; the answers go on.
        """
        return await self._write(lambda _again: work())

    async def _write(self, work: Callable[[bool], T]) -> T | None:
        try:
            patient = partial(through_outage, work, impatient=lambda: self._unreachable)
            return await asyncio.get_running_loop().run_in_executor(self._writer, patient)
        except StoreError as e:
            self._unreachable = self._unreachable or isinstance(e, StoreUnreachableError)
            self.not_saved = self.not_saved or str(e)  # The first says why; what follows follows from it.
            return None

    async def flush_for_ever(self) -> None:
        """Write growing texts and signs of life until cancelled."""
        beat = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_S)
            for live in list(self.live_calls.values()):
                await self._flush(live)
            if time.monotonic() - beat > BEAT_S:
                beat = time.monotonic()
                await self.write(lambda: self.store.heartbeat([self.session_id]))

    def _bring_labels(self) -> None:
        from tale_core.labels import catch_up  # Heavy, and needed at the end alone.

        catch_up(self.store)

    async def _flush(self, live: LiveCall) -> None:
        stored = live.stored.result() if live.stored and live.stored.done() else None
        if live.record.status != "running" or stored is None or live.pieces == live.stored_pieces:
            return
        view = live.view()
        live.stored_pieces = view.pieces
        await self.write(
            lambda: self.store.append_text(stored.id, view.text, view.reasoning, completion_tokens=view.pieces)
        )

    async def live(
        self, work: Callable[[], Awaitable[Status]], *, client: Callable[[], Client | None]
    ) -> tuple[Status, str | None]:
        """Do the work of a session from its first write to its last; cancelling stops the spending.

        Args:
            work: Makes the session's row and takes the events; returns how the session ended.
            client: The client that the work has opened so far; it is closed at the end.

        Returns:
            How it ended, and why it failed in words. A failure is never raised.
        """
        flusher = asyncio.create_task(self.flush_for_ever())
        status: Status = "failed"
        error: str | None = None
        try:
            status = await work()
        except asyncio.CancelledError:
            status = stopped_status()
        except TaleError as e:
            error = str(e)
        except Exception as e:
            log.exception("session %s failed unexpectedly", self.session_id)
            error = joined(t("The program failed ({error}).", error=type(e).__name__), t("The log has the details."))
        finally:
            flusher.cancel()
            error = await self.close(status, error=error, client=client())
        return status, error

    async def close(self, status: Status, *, error: str | None, client: Client | None) -> str | None:
        """Book what was cut, end the session, close the client; runs to its end even if it is cancelled meanwhile.

        Returns:
            The session's error: the one given, else the first of a call.
        """
        closing = asyncio.ensure_future(self._close(status, error, client))
        while not closing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(closing)
        self._writer.shutdown(wait=False)
        return closing.result()

    async def _close(self, status: Status, error: str | None, client: Client | None) -> str | None:
        for key, live in list(self.live_calls.items()):
            if live.record.status == "running" and client is not None:
                text, reasoning = "".join(live.text), "".join(live.reasoning)
                await self.finish(key, await cancelled_call(live.record, client, text=text, reasoning=reasoning))
        told = error or self.error
        await self.write(lambda: self.store.finish_session(self.session_id, status, error=told))
        await self.write(self._bring_labels)
        if client is not None:
            await client.aclose()
        return told
