"""The client for the embedded model, which follows its server: another adapter means another server in its place.

Each answer goes to whichever server is the model's when it is asked for; answers that are being generated stay where
they are. `AdaptedClient` is the same model with an adapter switched on for every answer. It starts no server itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from tale_core.errors import ServerDiedError
from tale_core.models.client.openai_compatible import make_embedded_client
from tale_core.models.client.wrapper import ClientAround
from tale_core.models.embedded.run_folder import RunFolder
from tale_core.models.embedded.server import ServerInfo, doubt
from tale_core.types import Client, Completion, Delta, Request


class EmbeddedClient(ClientAround):
    """Implements `tale_core.types.Client`.

    Args:
        info: The server as it is now.
        run: Where the server of the moment is named.
        server: Makes sure that there is one which has this adapter loaded ("" for none).
    """

    def __init__(self, info: ServerInfo, *, run: RunFolder, server: Callable[[str], Awaitable[ServerInfo]]) -> None:
        super().__init__(make_embedded_client(info))
        self._info, self._run, self._server = info, run, server
        self._earlier: list[Client] = []
        self._died = False

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """See `tale_core.types.Client.stream`.

        Raises:
            ModelError: See there; also when the adapter is gone, damaged, or of another model. After a
                `ServerDiedError` the next request starts a new server.
        """
        client = await self._at(request.adapter)
        try:
            async with aclosing(client.stream(request)) as items:
                async for item in items:
                    yield item
        except ServerDiedError:
            self._died = self._died or client is self._client
            doubt(self._info)
            raise

    async def aclose(self) -> None:
        """Close the connections."""
        for client in (self._client, *self._earlier):
            await client.aclose()
        self._earlier.clear()

    async def _at(self, adapter: str) -> Client:
        """A client of the server of the moment. A state that names nobody leaves the old address: it says what is."""
        state = self._run.read()
        same = state is None or state.pid == self._info.pid
        if self._died or not same or (adapter and adapter not in self._info.adapters):
            self._move(await self._server(adapter))
        return self._client

    def _move(self, info: ServerInfo) -> None:
        self._died = False
        if info == self._info:
            return
        # Answers that stream from the old one go on: it is closed with this client.
        self._earlier.append(self._client)
        self._info, self._client = info, make_embedded_client(info)


class AdaptedClient(ClientAround):
    """A client that asks another one with an adapter switched on.

    Args:
        inner: The base.
        adapter: The adapter's key.
        model: Name under which its answers are stored.
    """

    def __init__(self, inner: Client, adapter: str, model: str) -> None:
        super().__init__(inner)
        self._adapter, self._model = adapter, model

    @property
    def model(self) -> str:
        """Base and adapter."""
        return self._model

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """See `tale_core.types.Client.stream`; a request that names an adapter of its own keeps it."""
        adapted = request if request.adapter else replace(request, adapter=self._adapter)
        async with aclosing(self._client.stream(adapted)) as items:
            async for item in items:
                yield item
