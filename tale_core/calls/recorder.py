"""Calls as they happen: kept in memory for the page, and written to the store. Used by every kind of run.

A call's row is made when it starts, its text written twice a second while it grows, its numbers when it ends. Writes go
in order: a finished call is on its way to the disk at once, and while one transaction is written, those that come
meanwhile wait for the next, so that hundreds of calls a second cost a few transactions. A database server that is
restarted meanwhile is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tale_core.calls.events import CallAnswered, CallDelta, CallEvent, CallFinished, CallStarted, RateLimited
from tale_core.calls.record import cancelled_call, graded_call
from tale_core.errors import StoreError, StoreLockedError, TaleError
from tale_core.i18n import joined, t
from tale_core.process import stopped_status
from tale_core.store import CallStore, Store, UnitRecord, through_outage
from tale_core.types import CallRecord, Client, Status

FLUSH_S = 0.5
"""Seconds between writes of a growing answer: what a kill can lose at most, beside the tokens in flight."""
BEAT_S = 5.0
"""Seconds between signs of life."""
LOCKED_TRIES = 3
"""Times that a database is waited for (10 s each) which another process holds."""

log = logging.getLogger(__name__)
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Work = Callable[[bool], Any]
"""A write of the store's; it is told whether it may have been done already."""


@dataclass(frozen=True, slots=True)
class CallView:
    """One call as it stands.

    Attributes:
        record: Its record; while it runs the token counts are still None.
        text: Visible text so far.
        reasoning: Visible chain of thought that the endpoint streams apart, so far.
        pieces: Pieces received so far; llama.cpp and most endpoints send one token a piece, so it is shown as "about".
        thought: How many of them were thinking.
        elapsed_s: Seconds since it was sent; None once it has ended, when the record knows.
        writing_s: Seconds since the first piece came, likewise.
    """

    record: CallRecord
    text: str
    reasoning: str
    pieces: int
    thought: int = 0
    elapsed_s: float | None = None
    writing_s: float | None = None


def stored_view(call: CallRecord) -> CallView:
    """A stored call as a picture."""
    return CallView(call, call.text, call.reasoning_text, call.completion_tokens or 0, call.thinking_tokens or 0)


@dataclass(slots=True)
class LiveCall:
    """A call of this run, running or ended."""

    record: CallRecord
    stored: asyncio.Future[int] | None = None
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    pieces: int = 0
    thought: int = 0
    stored_pieces: int = 0
    answered: CallAnswered | None = None
    sent_at: float = field(default_factory=time.monotonic)
    first_at: float | None = None

    def view(self) -> CallView:
        """The picture as it stands."""
        view = CallView(self.record, "".join(self.text), "".join(self.reasoning), self.pieces, self.thought)
        if self.record.status != "running":
            return view
        now = time.monotonic()
        writing = None if self.first_at is None else now - self.first_at
        return replace(view, elapsed_s=now - self.sent_at, writing_s=writing)


class Recorder(Generic[K]):
    """The calls of one session.

    Args:
        store: Where they are written.
        session_id: Whose calls they are.
        at_end: What is brought up to date in the store once the session has ended (labels that its answers have).
        many: There are thousands of calls: one that ends soon is written once, at its end, ended ones are forgotten,
            and a store that fails is raised. Else each has a row before it is sent, all are kept for the page,
            and a store that fails is told in `not_saved` and never stops the answers.

    Attributes:
        live_calls: The calls by key, in the order they started.
        failed_before: Calls that ended and whose key was asked for again.
        not_saved: Why the store holds less than this, in words.
    """

    def __init__(
        self, store: Store, session_id: str, *, at_end: Callable[[Store], None] | None = None, many: bool = False
    ) -> None:
        self.store, self.session_id, self._at_end, self._many = store, session_id, at_end, many
        self.live_calls: dict[K, LiveCall] = {}
        self.failed_before: list[LiveCall] = []
        self.writer = Writer(store)

    @property
    def not_saved(self) -> str | None:
        """The first says why; what follows follows from it."""
        return str(self.writer.error) if self.writer.error is not None else None

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

    async def take(self, event: CallEvent) -> CallRecord | None:
        """Follow an event; of a call's end the stored record comes back.

        Raises:
            StoreError: It could not be stored, and there are many calls.
        """
        match event:
            case CallDelta(key, text, reasoning):
                live = self.live_calls[cast(K, key)]
                live.text.append(text)
                live.reasoning.append(reasoning)
                live.pieces += 1
                live.first_at = live.first_at or time.monotonic()
                live.thought += bool(reasoning) and not text
            case CallStarted(key, call):
                self._begin(cast(K, key), call)
            case CallAnswered(key):
                self.live_calls[cast(K, key)].answered = event
            case CallFinished(key, call, _, again):
                return call if call.id else await self._finish(cast(K, key), call, again=again)
            case RateLimited():
                pass
        return None

    def _begin(self, key: K, call: CallRecord) -> None:
        if (before := self.live_calls.pop(key, None)) is not None and not self._many:
            self.failed_before.append(before)
        live = self.live_calls[key] = LiveCall(call)
        if not self._many:
            live.stored = self.writer.post(call)

    async def _finish(self, key: K, call: CallRecord, *, again: bool = False) -> CallRecord:
        live = self.live_calls.get(key) or LiveCall(call)  # A call that failed before it was sent.
        if self._many:
            if again and live.stored is None and not call.completion_tokens:
                del self.live_calls[key]  # What brought nothing leaves no trace but the count of attempts.
                return call
            if live.stored is not None:
                call = replace(call, id=await asyncio.shield(live.stored))
            self.live_calls.pop(key, None)  # From here on a stop loses nothing of it.
            return replace(call, id=await self.writer.put(call))
        with suppress(StoreError):
            # Shielded, like the write below: a stop in this very moment must lose neither the row's id nor its end.
            call = replace(call, id=await asyncio.shield(live.stored) if live.stored else 0)
        live.record, live.text, live.reasoning = call, [call.text], [call.reasoning_text]
        if call.id:
            with suppress(StoreError):
                await self.writer.put(call)
        return call

    async def write(self, work: Callable[[bool], T]) -> T | None:
        """Another write of the store, in its turn; None when the store failed, which `not_saved` then tells.

        Args:
            work: Is told whether it may have been done already.
        """
        try:
            return await asyncio.shield(self.writer.do(work))
        except StoreError:
            return None

    async def flush_for_ever(self) -> None:
        """Write growing texts and signs of life until cancelled."""
        beat = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_S)
            for live in list(self.live_calls.values()):
                self._flush(live)
            if time.monotonic() - beat > BEAT_S:
                beat = time.monotonic()
                await self.write(lambda _again: self.store.heartbeat([self.session_id]))

    def _flush(self, live: LiveCall) -> None:
        if live.record.status != "running" or live.answered is not None or live.pieces == live.stored_pieces:
            return
        view = live.view()
        now = replace(live.record, text=view.text, reasoning_text=view.reasoning, completion_tokens=view.pieces)
        if live.stored is None:
            live.stored = self.writer.post(now)
        elif live.stored.done() and live.stored.exception() is None:
            self.writer.post(replace(now, id=live.stored.result()))
        else:
            return
        live.stored_pieces = view.pieces

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
            status, error = await how_it_ended(work, self.session_id)
        finally:
            flusher.cancel()
            error = await to_the_end(self._close(status, error, client()))
        return status, error

    async def _close(self, status: Status, error: str | None, client: Client | None) -> str | None:
        """Book what was cut, end the session, close the client; the error is that given, else the first of a call."""
        if client is not None:
            await self.book_stopped(client)
        reason = error or self.error
        await self.end(status, reason)
        if client is not None:
            await client.aclose()
        return reason

    async def book_stopped(self, client: Client) -> list[CallRecord]:
        """Store the calls whose streams a stop has closed, with what they had written; a whole answer is an answer.

        Returns:
            Their records.
        """
        stopped = []
        for key, live in list(self.live_calls.items()):
            if live.record.status != "running":
                continue
            if live.record.source == "cached":
                record = replace(live.record, status=stopped_status())
            elif live.answered is not None:
                whole = live.answered.call
                record = whole if whole.cut else await graded_call(whole, live.answered.question)
            else:
                view = live.view()
                record = await cancelled_call(live.record, client, text=view.text, reasoning=view.reasoning)
            stopped.append(await self._finish(key, record))
        return stopped

    async def end(self, status: Status, error: str | None, *, result: dict[str, Any] | None = None) -> None:
        """Write the session's end, and what it has found; nothing can be written afterwards."""
        if result is not None:
            await self.write(lambda _again: self.store.update_session(self.session_id, result=result))
        await self.write(lambda _again: self.store.finish_session(self.session_id, status, error=error))
        if (at_end := self._at_end) is not None:
            await self.write(lambda _again: at_end(self.store))
        await self.writer.close()


async def how_it_ended(work: Callable[[], Awaitable[Status]], session_id: str) -> tuple[Status, str | None]:
    """Do the work of a session: how it ended, and why it failed in words. A failure is never raised, nor a stop."""
    try:
        return await work(), None
    except asyncio.CancelledError:
        return stopped_status(), None
    except TaleError as e:
        return "failed", str(e)
    except Exception as e:
        log.exception("session %s failed unexpectedly", session_id)
        return "failed", failed_words(e)


def failed_words(error: Exception) -> str:
    """What a person is told of a mistake in the program itself."""
    return joined(t("The program failed ({error}).", error=type(error).__name__), t("The log has the details."))


class _Waiting(NamedTuple):
    what: CallRecord | UnitRecord | Work
    written: asyncio.Future[Any]


class Writer:
    """One writer thread for one run. Call `close` at its end.

    Attributes:
        error: The first write that failed; None while none has.
    """

    def __init__(self, store: Store) -> None:
        self.error: StoreError | None = None
        self._calls = CallStore(store)
        self._waiting: list[_Waiting] = []
        self._draining: asyncio.Task[None] | None = None
        self._closing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tale-writer")

    def post(self, record: CallRecord | UnitRecord) -> asyncio.Future[int]:
        """Write without waiting; the result is the call's id (0 for a unit), or a StoreError."""
        return self._post(record)

    def do(self, work: Callable[[bool], T]) -> asyncio.Future[T]:
        """Another write of the store, between these; it is told whether it may have been done already."""
        return self._post(work)

    async def put(self, record: CallRecord | UnitRecord) -> int:
        """Write; back when it is on the disk. It is written even if the waiting task is cancelled.

        Raises:
            StoreError: It could not be written.
        """
        return await asyncio.shield(self.post(record))

    async def close(self) -> None:
        """Write what is waiting, then end the thread; a server that is away now is not waited for any longer."""
        self._closing = True
        while self._draining is not None and not self._draining.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._draining)
        self._thread.shutdown(wait=False)

    def _post(self, what: CallRecord | UnitRecord | Work) -> asyncio.Future[Any]:
        written: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(what, written))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.ensure_future(self._drain())
        return written

    async def _drain(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            # Records one after the other go into one transaction; any other write has its own.
            for position, group in groupby(enumerate(waiting), key=_group):
                await self._write([one for _, one in group], records=position is None)

    async def _write(self, batch: list[_Waiting], *, records: bool) -> None:
        if records:
            rows = cast("list[CallRecord | UnitRecord]", [one.what for one in batch])
            work = partial(self._patient, lambda again: self._calls.write(rows, again=again))
        else:
            work = partial(self._patient, lambda again: [cast(Work, batch[0].what)(again)])
        try:
            known = copy_context()  # For whom this is done, above all.
            results = await asyncio.get_running_loop().run_in_executor(self._thread, partial(known.run, work))
        except Exception as e:
            self.error = self.error or (e if isinstance(e, StoreError) else None)
            for one in batch:
                if not one.written.done():
                    one.written.set_exception(e)
                    one.written.exception()  # Nobody may be waiting for it: `error` tells.
        else:
            for one, result in zip(batch, results, strict=True):
                if not one.written.done():
                    one.written.set_result(result)

    def _patient(self, work: Callable[[bool], list[Any]]) -> list[Any]:
        for _ in range(LOCKED_TRIES - 1):
            with suppress(StoreLockedError):
                return through_outage(work, impatient=self._impatient)
        return through_outage(work, impatient=self._impatient)

    def _impatient(self) -> bool:
        """What did not come back in time is not waited for once more by each of those who wait in line."""
        return self._closing or self.error is not None


def _group(one: tuple[int, _Waiting]) -> int | None:
    position, waiting = one
    return None if isinstance(waiting.what, CallRecord | UnitRecord) else position


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine to its end, also when the awaiting task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()
