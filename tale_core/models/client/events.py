"""Server-sent events: from a response's bytes to the JSON that each event carries.

The SDK's own reader takes four generators and a dozen calls for each token, on the cores that also run the model; this
one does the same in a few. Read are the event format (https://html.spec.whatwg.org/multipage/server-sent-events.html)
and what passes for it: keep-alives, a body that is plain JSON under whatever label, a line of JSON between events.
`Patience` limits how long each wait for them may take; how long that is, the caller decides.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from tale_core.models.client.responses import as_chunk

if TYPE_CHECKING:
    import httpx2

DRAIN_S = 0.1
"""How long the end of a response is waited for after its last event, so that the connection can be used again."""
DONE = "[DONE]"
END = object()
"""What comes after the last chunk; None may be a chunk."""
_BOM = b"\xef\xbb\xbf"
T = TypeVar("T")


class StreamedError(Exception):
    """An error object that came in a response of status 200."""

    def __init__(self, body: object) -> None:
        super().__init__("The stream held an error object.")
        self.body = body


class WebPageError(Exception):
    """A page for people came where a stream was expected."""


class ErrorText(str):
    """The data of an event that is named `error`."""

    __slots__ = ()


class Events:
    """The events of one response. The reader limits every wait; the HTTP library no longer does.

    Args:
        response: Its headers have come, its body is still unread.
        responses: It comes from the Responses API, whose events are read as the chat chunks that say the same.

    Attributes:
        done: The endpoint has said that it is through.
        heard: Called when something came that is no event: a comment that keeps the connection alive.
    """

    def __init__(self, response: httpx2.Response, *, responses: bool = False) -> None:
        request = response.request
        # A second timer for each token would say nothing new.
        request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "read": None}
        self.done = False
        self.heard: Callable[[], None] = lambda: None
        self._response, self._responses = response, responses
        self._parts: AsyncGenerator[bytes, None] = response.aiter_bytes()
        self._lines = EventLines()
        self._ready: deque[str] = deque()
        self._parsed: deque[Any] = deque()
        self._ended = False

    async def next(self) -> Any:
        """The next event's JSON, or END after the last.

        Raises:
            StreamedError: The event is named an error.
            WebPageError: It is a web page.
            ValueError: It begins as JSON and is none.
            httpx2.HTTPError: The connection was lost.
        """
        while not self._parsed:
            if not self._ready and not await self._more():
                return END
            if not self._ready:
                self.heard()
                continue
            data = self._ready.popleft()
            if data.lstrip().startswith(DONE):
                self.done = True
                await self._drain()
                return END
            self._parsed.extend(documents(data))
        event = self._parsed.popleft()
        return as_chunk(event) if self._responses else event

    async def close(self) -> None:
        """Stop reading and close the request: the endpoint stops generating."""
        try:
            await self._parts.aclose()
        finally:
            await self._response.aclose()

    async def _more(self) -> bool:
        """Read on; False when everything has been read."""
        if self._ended:
            return False
        part = await anext(self._parts, None)
        if part is None:
            self._ended = True
            self._ready.extend(self._lines.rest())
        else:
            self._ready.extend(self._lines.feed(part))
        return True

    async def _drain(self) -> None:
        self._ready.clear()
        self._ended = True
        with suppress(Exception):
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._parts:
                    pass


def documents(data: str) -> Iterator[Any]:
    """The JSON in an event's data: mostly one document; several where an endpoint leaves the blank lines out.

    Words that are no JSON (`ping`, `keep-alive`) say nothing about the answer and are passed over.

    Raises:
        StreamedError: The event is named an error.
        ValueError: It begins as JSON and is none.
    """
    try:
        document = json.loads(data)
    except ValueError:
        if isinstance(data, ErrorText):
            raise StreamedError(str(data)) from None
        yield from _several(data)
        return
    if isinstance(data, ErrorText):
        raise StreamedError(document)
    yield document


def _several(data: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(data):
        rest = data[at:].lstrip()
        if rest.startswith("data:"):  # A relay wrapped the event once more.
            at = len(data) - len(rest) + len("data:")
            continue
        if not rest.startswith(("{", "[")) or rest.startswith(DONE):
            return
        document, end = decoder.raw_decode(rest)
        yield document
        at = len(data) - len(rest) + end


class EventLines:
    """Cuts bytes into events; lines may end in CR, LF or both, and parts may end anywhere."""

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._data: list[bytes] = []
        self._bare: list[bytes] = []
        self._name = b""
        self._skip_lf = False
        self._begun = False

    def feed(self, part: bytes) -> list[str]:
        """The data of every event that this part completes; events without data are passed over.

        Raises:
            WebPageError: The body is a web page.
        """
        if not self._begun and not (part := self._first(part)):
            return []
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

    def rest(self) -> list[str]:
        """What the end of the bytes completes: JSON outside of events, or a last event that lacks its blank line.

        An event that was cut off is none.
        """
        left_open = b"".join(self._open)
        last = self._line(left_open) if left_open else None
        self._open = []
        found = [last] if last is not None else []
        for left in (self._bare, self._data):
            text = b"\n".join(left).decode("utf-8", "replace").strip()
            if text.startswith(DONE) or (text.startswith(("{", "[")) and _is_json(text)):
                found.append(text)
        return found

    def _first(self, part: bytes) -> bytes:
        """The body's beginning without its byte order mark; nothing until enough has come to tell."""
        whole = b"".join([*self._open, part])
        text = whole.removeprefix(_BOM).lstrip()
        if not text or (len(whole) < len(_BOM) and _BOM.startswith(whole)):
            self._open = [whole]
            return b""
        if text.startswith(b"<"):
            raise WebPageError
        self._open, self._begun = [], True
        return whole.removeprefix(_BOM)

    def _line(self, line: bytes) -> str | None:
        if line.startswith(b"data:"):
            self._bare.clear()
            return self._more_data(line[5:].removeprefix(b" "))
        elif not line:
            return self._event() if self._data else None
        elif line.startswith(b"event:"):
            self._name = line[6:].strip().lower()
        elif self._bare or line.lstrip().startswith((b"{", b"[")):
            return self._bare_json(line)
        return None

    def _more_data(self, data: bytes) -> str | None:
        """Another line of data. No JSON goes on with a bracket after its end: then the blank line is missing."""
        begins = data.startswith((b"{", b"[DONE]")) and bool(self._data) and self._data[-1].endswith(b"}")
        before = self._event() if begins else None
        self._data.append(data)
        return before

    def _event(self) -> str | None:
        # An event that is no UTF-8 loses its broken letters and not the answer.
        data = b"\n".join(self._data).decode("utf-8", "replace")
        named_error = self._name.endswith(b"error")
        self._data.clear()
        self._name = b""
        if not data.strip():
            return None
        return ErrorText(data) if named_error else data

    def _bare_json(self, line: bytes) -> str | None:
        """JSON without `data:` in front: a whole answer, an error, or one document a line."""
        self._bare.append(line)
        if not line.rstrip().endswith((b"}", b"]")):
            return None
        text = b"\n".join(self._bare).decode("utf-8", "replace")
        if not _is_json(text):
            return None
        self._bare.clear()
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class Patience:
    """Time limits for waits of one task at a time, one after the other. Call `close` after the last.

    Attributes:
        latest: Where every wait ends, signs of life or not, on the event loop's clock.
    """

    def __init__(self) -> None:
        self.latest = math.inf
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._seconds = 0.0
        self._expired = False

    async def wait(self, work: Awaitable[T], seconds: float) -> T:
        """The result of `work`, which is cancelled after so many seconds.

        Raises:
            TimeoutError: It took longer.
        """
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._seconds = seconds
        self.renew()
        self._expired = False
        if self._timer is None or self._timer.when() > self._deadline:
            self._set()
        self._waiting = task
        try:
            result = await work
        except BaseException as e:
            # As in asyncio.timeout: a cancellation that came from elsewhere at the same time goes first.
            if self._expired and task.uncancel() <= cancelling and isinstance(e, asyncio.CancelledError):
                raise TimeoutError from None
            raise
        finally:
            self._waiting = None
        if self._expired:
            task.uncancel()
        return result

    def renew(self) -> None:
        """The endpoint shows that it is there: the time limit of this wait begins anew."""
        self._deadline = min(self._loop.time() + self._seconds, self.latest)

    def end_within(self, seconds: float) -> None:
        """From now on all waits together take no longer than this."""
        self.latest = self._loop.time() + seconds

    def close(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._deadline:
            self._set()
            return
        self._expired = True
        self._waiting.cancel()
