"""Writes what passes: a request's begin before it is sent, its end before its answer is whole for the client.

All that is waiting is written in one transaction: with many requests at the same time each waits for one commit.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from tale_core.errors import StoreError
from tale_core.proxy.telemetry import Telemetry
from tale_core.store import Passed, TrafficStore

log = logging.getLogger(__name__)


class Book:
    """The rows of one running endpoint.

    A store that fails does not stop the traffic: what could not be written is counted and told.

    Attributes:
        lost: Rows that could not be written.
    """

    def __init__(self, store: TrafficStore) -> None:
        self._store, self._telemetry = store, Telemetry()
        self._begun: list[Passed] = []
        self._ended: list[Passed] = []
        self._written = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self.lost = 0

    async def begin(self, passed: Passed) -> None:
        """Written when this returns."""
        self._begun.append(passed)
        await self._commit()

    async def end(self, passed: Passed) -> None:
        """Likewise; the row goes to the store even if whoever waits for it is cancelled."""
        self._telemetry.tell(passed)
        self._ended.append(passed)
        await self._commit()

    def end_later(self, passed: Passed) -> None:
        """The same without waiting, for a request whose client has gone."""
        self._telemetry.tell(passed)
        self._ended.append(passed)
        self._start()

    async def aclose(self) -> None:
        """Write what is left."""
        while self._begun or self._ended or (self._writing is not None and not self._writing.done()):
            with suppress(asyncio.CancelledError):
                await self._commit()

    async def _commit(self) -> None:
        written = self._written  # Set by the transaction that takes what waits now.
        self._start()
        await written.wait()

    def _start(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._begun or self._ended:
            begun, self._begun = self._begun, []
            ended, self._ended = self._ended, []
            written, self._written = self._written, asyncio.Event()
            try:
                await asyncio.to_thread(self._store.write, begun, ended)
            except StoreError as e:
                self.lost += len(begun) + len(ended)
                log.warning("%d rows of the traffic could not be written: %s", len(begun) + len(ended), e)
            finally:
                written.set()
