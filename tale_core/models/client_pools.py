"""The connections of one client: several small pools, opened as they are needed.

The HTTP library looks at every connection of a pool, and asks the system about each idle one, for every request and
again for every response: at 64 requests at a time a quarter of the client's processor time. A pool of a few costs a
few. Knows how many requests a pool has in flight; knows nothing of what they ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tale_core.models.client_http import Connection, certificates, connect
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings

SHARE = 4
"""Requests in flight in one pool before the next one is opened."""
MOST = 32
"""Pools at the most; past that the fullest get fuller."""


class Pools:
    """Connections to one endpoint, bound to one event loop. None is opened before it is lent."""

    def __init__(self, endpoint: Endpoint, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._endpoint, self._settings = endpoint, settings
        self._trust = certificates(endpoint.base_url)
        self._made: list[Connection] = []
        self._flying: list[int] = []

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """A connection for one request; it counts as in flight until the block ends."""
        at = self._pick()
        self._flying[at] += 1
        try:
            yield self._made[at]
        finally:
            self._flying[at] -= 1

    def _pick(self) -> int:
        # The first with room, not the emptiest: connections that are kept alive are used again.
        for at, flying in enumerate(self._flying):
            if flying < SHARE:
                return at
        if len(self._made) == MOST:
            return self._flying.index(min(self._flying))
        self._made.append(connect(self._endpoint, self._settings, self.loop, trust=self._trust))
        self._flying.append(0)
        return len(self._made) - 1

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._made:
            await connection.close()
