"""Writes of an experiment, in order, as many in one transaction as there are waiting.

A finished call is on its way to the disk at once; while one transaction is written, those that come meanwhile wait for
the next, so that hundreds of calls a second cost a few transactions. A database server that is restarted meanwhile is
waited for. Knows the store; knows no client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from tale_core.errors import StoreError, StoreLockedError
from tale_core.store import ExperimentStore, UnitRecord, through_outage
from tale_core.types import CallRecord

LOCKED_TRIES = 3
"""Times that a database is waited for (10 s each) which another process holds."""
T = TypeVar("T")


class Journal:
    """One writer thread for one experiment. Call `close` at its end.

    Attributes:
        error: Why nothing can be written any more; None while it can.
    """

    def __init__(self, experiments: ExperimentStore) -> None:
        self.error: StoreError | None = None
        self._experiments = experiments
        self._waiting: list[tuple[CallRecord | UnitRecord, asyncio.Future[int]]] = []
        self._draining: asyncio.Task[None] | None = None
        self._closing = False
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tale-writer")

    def post(self, record: CallRecord | UnitRecord) -> asyncio.Future[int]:
        """Write without waiting; the result is the call's id (0 for a unit), or a StoreError."""
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, written))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.ensure_future(self._drain())
        return written

    async def put(self, record: CallRecord | UnitRecord) -> int:
        """Write; back when it is on the disk. It is written even if whoever waits is cancelled.

        Raises:
            StoreError: It could not be written.
        """
        return await asyncio.shield(self.post(record))

    async def do(self, work: Callable[[], T]) -> T:
        """Run another write of the store between these; one that may be done twice."""
        patient = partial(through_outage, lambda _again: work(), impatient=self._impatient)
        return await asyncio.get_running_loop().run_in_executor(self._writer, patient)

    async def close(self) -> None:
        """Write what is waiting, then end the thread; a server that is away now is not waited for any longer."""
        self._closing = True
        while self._draining is not None and not self._draining.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._draining)
        self._writer.shutdown(wait=False)

    def _impatient(self) -> bool:
        """What did not come back in time is not waited for once more by each of those who wait in line."""
        return self._closing or self.error is not None

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                work = partial(self._written, [record for record, _ in batch])
                ids = await asyncio.get_running_loop().run_in_executor(self._writer, work)
            except StoreError as e:
                self.error = self.error or e
                for _, written in batch:
                    _settle(written, e)
            else:
                for (_, written), call_id in zip(batch, ids, strict=True):
                    _settle(written, call_id)

    def _written(self, batch: list[CallRecord | UnitRecord]) -> list[int]:
        def once(again: bool) -> list[int]:
            return self._experiments.write(batch, again=again)

        for attempt in range(1, LOCKED_TRIES + 1):
            try:
                return through_outage(once, impatient=self._impatient)
            except StoreLockedError:
                if attempt == LOCKED_TRIES:
                    raise
        raise AssertionError("unreachable")


def _settle(written: asyncio.Future[int], result: int | StoreError) -> None:
    if written.done():
        return
    if isinstance(result, StoreError):
        written.set_exception(result)
        written.exception()  # Nobody may be waiting for it: `Journal.error` tells.
    else:
        written.set_result(result)


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine to its end, also when whoever awaits it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
