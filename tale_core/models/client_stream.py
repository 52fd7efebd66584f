"""One streamed answer: from the SDK's chunks to our pieces of text, however the endpoint shapes them.

Knows what chunks look like in the wild; trusts none of their types. Knows neither retries nor time limits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tale_core.errors import ModelError, NotAnOpenAIEndpointError
from tale_core.i18n import t
from tale_core.models.client_errors import StreamedError, not_openai
from tale_core.models.client_events import END, Events
from tale_core.models.endpoints import Endpoint
from tale_core.types import Delta, FinishReason

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_CHARS = 4_000_000
"""Longest answer that is kept, in characters; a model that never stops has no other end."""
MAX_EMPTY = 20_000
"""Chunks in a row without text: then the endpoint is not answering."""

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


@dataclass(slots=True)
class Answer:
    """What has arrived of an answer.

    Attributes:
        started: When the request was sent, on the monotonic clock.
        usage: The endpoint's last word on tokens; None before it.
        whole: A finish reason has come.
        chunks: Chunks of any kind.
    """

    started: float
    usage: Any = None
    whole: bool = False
    chunks: int = 0
    finish_reason: FinishReason = "other"
    ttft_s: float | None = None
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _chars: int = 0
    _empty: int = 0

    @property
    def text(self) -> str:
        """The visible text."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """The chain of thought that was streamed apart."""
        return "".join(self._reasoning)

    @property
    def begun(self) -> bool:
        """Whether any text has come: from then on asking again would pay twice."""
        return bool(self._text or self._reasoning)

    def add(self, chunk: Any, endpoint: Endpoint) -> Delta | None:
        """Take a chunk in; its new text, or None when it brings none.

        Raises:
            StreamedError: The chunk is an error object.
            ModelError: The answer is endless.
        """
        _raise_if_error(chunk)
        self.chunks += 1
        if (usage := _get(chunk, "usage")) is not None:
            self.usage = usage
        delta = self._choice(chunk)
        self._empty = 0 if delta else self._empty + 1
        if self._chars > MAX_CHARS or self._empty > MAX_EMPTY:
            raise _endless(endpoint)
        return delta

    def _choice(self, chunk: Any) -> Delta | None:
        choices = _get(chunk, "choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(reason := _get(choice, "finish_reason"), str) and reason:
            self.whole = True
            self.finish_reason = _FINISH.get(reason.lower(), "other")
        # A whole answer (an endpoint that ignores `stream`) has a message where a chunk has a delta.
        part = _get(choice, "delta") or _get(choice, "message")
        text = _text(_get(part, "content")) or _text(_get(choice, "text"))
        reasoning = _text(_get(part, "reasoning_content")) or _text(_get(part, "reasoning"))
        if not text and not reasoning:
            # A refusal is text that OpenAI puts elsewhere.
            text = _text(_get(part, "refusal"))
        if not text and not reasoning:
            return None
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - self.started
        self._chars += len(text) + len(reasoning)
        if text:
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)
        return Delta(text, reasoning)


def _endless(endpoint: Endpoint) -> ModelError:
    return NotAnOpenAIEndpointError(
        t("{endpoint} does not stop: its answer passed every limit and was cut off.", endpoint=endpoint.label),
        t("Set a cap on tokens."),
    )


def _raise_if_error(chunk: Any) -> None:
    error = _get(chunk, "error")
    if error:
        raise StreamedError(error)
    # vLLM's way: the chunk itself is the error.
    if _get(chunk, "object") == "error":
        raise StreamedError({name: _get(chunk, name) for name in ("message", "type", "code", "param")})


class Opened:
    """A response whose headers have come.

    Args:
        stream: The SDK's stream; its response is read here, not by the SDK.
        whole: The one chunk of an endpoint that ignored `stream` and sent a whole answer; else None.
    """

    def __init__(self, stream: Any, whole: Any = None) -> None:
        self._stream = stream
        self._events = Events(stream.response)
        self._only = [whole, END] if whole is not None else []

    async def next(self) -> Any:
        """The next chunk, or END after the last."""
        return self._only.pop(0) if self._only else await self._events.next()

    async def close(self) -> None:
        """Close the request: the endpoint stops generating."""
        try:
            await self._events.close()
        finally:
            await self._stream.close()


async def open_stream(sdk: AsyncOpenAI, sent: dict[str, Any], endpoint: Endpoint) -> Opened:
    """Send a request and wait for the response's headers.

    Raises:
        NotAnOpenAIEndpointError: An answer came, but not in the OpenAI format.
        Exception: Anything else the SDK raises.
    """
    from openai import AsyncStream

    # As plain JSON: building the SDK's typed chunks is a third of the processor time that a token takes.
    chunks = AsyncStream[object]
    stream = await sdk.post("/chat/completions", body=sent, cast_to=object, stream=True, stream_cls=chunks)
    response = getattr(stream, "response", None)
    if response is None:
        raise not_openai(endpoint, t("it did not send a stream"))
    try:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise not_openai(endpoint, t("it sent a web page"))
        if kind == "application/json":
            return Opened(stream, _whole(await response.aread(), endpoint))
    except BaseException:
        await stream.close()
        raise
    return Opened(stream)


def _whole(content: bytes, endpoint: Endpoint) -> Mapping[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not (answer.get("choices") or answer.get("error")):
        raise not_openai(endpoint, t("it sent JSON that is no chat completion"))
    return answer


def _get(obj: Any, name: str) -> Any:
    return obj.get(name) if isinstance(obj, dict) else getattr(obj, name, None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
