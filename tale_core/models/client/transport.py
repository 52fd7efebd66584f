"""Plain connections to this machine, without the layer that makes the HTTP library run on every event loop there is.

That layer registers and unregisters the socket and opens a cancel scope for every token: a third of the processor time
that a token takes, on the cores that also run the model. Here asyncio's own streams do the reading, and everything
above (HTTP, the SDK) stays as it is. Plain TCP only: no TLS, no proxy.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import httpcore2
import httpx2

from tale_core.models.client.errors import ResponseTooLongError
from tale_core.models.client.guard import ANYWHERE, JudgedBackend, Rule, raised_as

KEPT_ALIVE_S = 5.0
"""An idle connection is not used again after this time: many servers close theirs about then."""
SMALL = 16 * 1024
"""Bytes on their way that a connection takes without being waited for: a quarter of what makes asyncio wait."""


class PlainClient(httpx2.AsyncClient):
    """Adds cookies alone to what it is told: merging headers of its own into each request is a tenth of a call."""

    def build_request(self, method: str, url: httpx2.URL | str, **said: Any) -> httpx2.Request:
        """See `httpx2.AsyncClient.build_request`."""
        limit = said.pop("timeout", httpx2.USE_CLIENT_DEFAULT)
        timeout = self.timeout if limit is httpx2.USE_CLIENT_DEFAULT else httpx2.Timeout(limit)
        extensions = {"timeout": timeout.as_dict(), **(said.pop("extensions", None) or {})}
        return httpx2.Request(method, _url(url), extensions=extensions, **{**said, "cookies": self.cookies})


@functools.lru_cache(maxsize=64)
def _url(text: httpx2.URL | str) -> httpx2.URL:
    """Taken apart once: an endpoint has one or two addresses."""
    return httpx2.URL(text)


@functools.cache
def no_tls() -> ssl.SSLContext:
    """The context for where no TLS is spoken: it trusts nobody (reading the usual authorities takes 30 ms an Ask)."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def loopback_transport(*, max_connections: int, kept_alive: int, rule: Rule = ANYWHERE) -> httpx2.AsyncHTTPTransport:
    """A transport for plain HTTP to this machine.

    Args:
        max_connections: Requests at the same time.
        kept_alive: Idle connections that are used again; with 0 every request opens one of its own.
        rule: What a connection is held to.
    """
    transport = httpx2.AsyncHTTPTransport(verify=no_tls(), trust_env=False)
    # httpx2 has no argument for the network backend; its pool, which it owns alone, has.
    transport._pool = httpcore2.AsyncConnectionPool(
        ssl_context=no_tls(),
        max_connections=max_connections,
        max_keepalive_connections=kept_alive,
        keepalive_expiry=KEPT_ALIVE_S,
        network_backend=LoopbackBackend(rule),
    )
    return transport


class LoopbackBackend(JudgedBackend):
    """Opens plain TCP connections with asyncio's streams."""

    async def open(self, found: Sequence[str], port: int, *how: Any) -> httpcore2.AsyncNetworkStream:
        """One address after the other: this machine answers or refuses at once."""
        for one in found[:-1]:
            with suppress(OSError):
                return LoopbackStream(*await asyncio.open_connection(one, port))
        return LoopbackStream(*await asyncio.open_connection(found[-1], port))


class LoopbackStream(httpcore2.AsyncNetworkStream):
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come, at least a byte; b"" after the end.

        Raises:
            httpcore2.ReadTimeout: Nothing came in time.
            httpcore2.ReadError: The connection was lost.
        """
        if timeout is None:
            try:
                return await self._reader.read(max_bytes)
            except OSError as e:
                raise httpcore2.ReadError(str(e)) from e
        with raised_as(httpcore2.ReadTimeout, httpcore2.ReadError):
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all.

        Raises:
            httpcore2.WriteTimeout: The other side did not take it in time.
            httpcore2.WriteError: The connection was lost.
        """
        if not buffer:
            return
        with raised_as(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._writer.write(buffer)
            # A connection that is lost meanwhile is noticed when the answer is read.
            if self._writer.transport.get_write_buffer_size() > SMALL:
                async with asyncio.timeout(timeout):
                    await self._writer.drain()

    async def aclose(self) -> None:
        """Close at once, whatever is still on its way: the server sees it and stops generating."""
        self._writer.close()
        await asyncio.sleep(0)
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """What the pool asks about a connection."""
        if info == "is_readable":
            return self._reader.at_eof()
        names = {"client_addr": "sockname", "server_addr": "peername", "socket": "socket"}
        return self._writer.get_extra_info(names[info]) if info in names else None


class Capped(httpx2.AsyncByteStream):
    """A response's body that may not be longer than so many bytes.

    Raises:
        ResponseTooLongError: It is.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for part in self._stream:
            total += len(part)
            if total > self._most:
                raise ResponseTooLongError
            yield part

    async def aclose(self) -> None:
        """Read no further."""
        await self._stream.aclose()
