"""Server-sent events: from a response's bytes to the JSON that each event carries.

The SDK's own reader takes four generators and a dozen calls for each token, on the cores that also run the model; this
one does the same in a few. Knows the event format (https://html.spec.whatwg.org/multipage/server-sent-events.html);
knows nothing of what the JSON means, but for an error object, which ends the stream as it does in the SDK.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

DRAIN_S = 0.1
"""How long the end of a response is waited for after its last event, so that the connection can be used again."""

END = object()
"""What comes after the last chunk; None may be a chunk."""


class Events:
    """The events of one response. Whoever reads them limits every wait; the HTTP library no longer does.

    Args:
        response: Its headers have come, its body is still unread.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._request = response.request
        # A second timer for each token would say nothing new.
        self._request.extensions["timeout"] = {**self._request.extensions.get("timeout", {}), "read": None}
        self._parts: AsyncGenerator[bytes, None] = response.aiter_bytes()
        self._lines = EventLines()
        self._ready: deque[str] = deque()

    async def next(self) -> Any:
        """The next event's JSON, or END after the last.

        Raises:
            openai.APIError: It is an error object.
            ValueError: It is no JSON.
            httpx2.HTTPError: The connection was lost.
        """
        while not self._ready:
            part = await anext(self._parts, None)
            if part is None:
                return END
            self._ready.extend(self._lines.feed(part))
        data = self._ready.popleft()
        if data.startswith("[DONE]"):
            await self._drain()
            return END
        chunk = json.loads(data)
        if isinstance(chunk, dict) and (error := chunk.get("error")):
            raise self._error(error)
        return chunk

    async def close(self) -> None:
        """Stop reading."""
        await self._parts.aclose()

    def _error(self, body: object) -> Exception:
        from openai import APIError

        return APIError("The stream held an error object.", self._request, body=body)

    async def _drain(self) -> None:
        self._ready.clear()
        with suppress(Exception):
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._parts:
                    pass


class EventLines:
    """Cuts bytes into events; lines may end in CR, LF or both, and parts may end anywhere."""

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._data: list[bytes] = []
        self._skip_lf = False

    def feed(self, part: bytes) -> list[str]:
        """The data of every event that this part completes; events without data are passed over.

        Raises:
            UnicodeDecodeError: An event is no UTF-8.
        """
        if self._skip_lf and part:
            part = part.removeprefix(b"\n")
            self._skip_lf = False
        cut = max(part.rfind(b"\n"), part.rfind(b"\r")) + 1
        if not cut:
            self._open.append(part)
            return []
        lines = b"".join([*self._open, part[:cut]]).splitlines()
        self._open = [part[cut:]]
        self._skip_lf = part.endswith(b"\r")
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> str | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data = b"\n".join(self._data).decode("utf-8")
            self._data.clear()
            return data
        return None
