"""One streamed answer: from the endpoint's chunks to our pieces of text, however it shapes them.

`open_stream` sends the request and waits for the headers, `OpenStream` gives the chunks, `Answer` makes text of them,
and `Patience` limits how long each wait may take (how long that is, the caller decides). Chunks come in many shapes in
the wild, and none of their types is trusted.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tale_core.errors import ModelError, NotAnOpenAIEndpointError
from tale_core.grading.thinking import ThinkingStream, split_thinking
from tale_core.i18n import t
from tale_core.models.client.bodies import error_in
from tale_core.models.client.errors import broke_off, incomplete, not_openai
from tale_core.models.client.events import END, Events, StreamedError
from tale_core.models.client.parts import Channel, choices, finish_reason, logprobs, words
from tale_core.models.client.responses import RESPONSES, as_chunk
from tale_core.models.endpoints import Endpoint
from tale_core.text import KeyStream
from tale_core.types import Delta, FinishReason

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_CHARS = 4_000_000
"""Longest answer that is kept, in characters; a model that never stops has no other end."""
MAX_EMPTY = 20_000
"""Chunks in a row without text: then the endpoint is not answering."""
T = TypeVar("T")


@dataclass(slots=True)
class Answer:
    """What has arrived of an answer.

    Attributes:
        started: When the request was sent, on the monotonic clock.
        keys: Secrets that no answer may hold; a server that echoes one would have it stored and exported.
        usage: The endpoint's last word on tokens; None before it.
        whole: A finish reason has come.
        certain: It came as an end comes: without text, after text. Text may follow any other.
        chunks: Chunks of any kind.
        chars: Letters of text and thinking.
        ended: The endpoint has said that it is through (`[DONE]`).
        logprobs: Of its tokens, as far as the endpoint tells.
    """

    started: float
    keys: Collection[str] = ()
    usage: Any = None
    whole: bool = False
    certain: bool = False
    chunks: int = 0
    chars: int = 0
    ended: bool = False
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason = "other"
    ttft_s: float | None = None
    _said: Channel = field(default_factory=Channel)
    _thought: Channel = field(default_factory=Channel)
    _live: ThinkingStream = field(default_factory=ThinkingStream)
    _source: str = ""
    _reason: str = ""
    _index: object = None
    _went_on: bool = False
    _shaped: bool = False
    _empty: int = 0
    _shown_text: KeyStream = field(init=False)
    _shown_thought: KeyStream = field(init=False)

    def __post_init__(self) -> None:
        self._shown_text, self._shown_thought = KeyStream(self.keys), KeyStream(self.keys)

    @property
    def text(self) -> str:
        """The visible text, without what the model thought in it."""
        return self._shown_text.clean(split_thinking(self._said.text).answer)

    @property
    def reasoning(self) -> str:
        """The chain of thought: what was streamed apart, and what stood in the text between marks."""
        return self._shown_thought.clean(self._reasoned())

    def _reasoned(self) -> str:
        # Marks may stand in there too.
        apart = "\n".join(part for part in split_thinking(self._thought.text)[:2] if part)
        inside = split_thinking(self._said.text).thought
        if inside.strip() in apart:  # Some servers take a thought out and leave it in.
            return apart
        return f"{apart}\n{inside}" if apart else inside

    @property
    def confidence(self) -> float | None:
        """Geometric mean of the probabilities of its tokens; None where the endpoint told none."""
        return math.exp(sum(self.logprobs) / len(self.logprobs)) if self.logprobs else None

    @property
    def begun(self) -> bool:
        """Whether any text has come: from then on asking again would pay twice."""
        return bool(self._said.pieces or self._thought.pieces)

    @property
    def trusted(self) -> bool:
        """Whether its finish reason is the end even where the connection is lost after it."""
        return self.whole and not self._went_on

    def add(self, chunk: Any, endpoint: Endpoint) -> Delta | None:
        """Take a chunk in; its new text, or None when it brings none.

        Raises:
            StreamedError: The chunk is an error object.
            ModelError: The answer is endless.
        """
        self.chunks += 1
        if (error := error_in(chunk)) is not None:
            raise StreamedError(error)
        self._shaped = self._shaped or (isinstance(chunk, Mapping) and "choices" in chunk)
        choice = self._choice(chunk)
        self._count(chunk, choice)
        delta = self._words(choice) if choice is not None else None
        if choice is not None and choice.get("logprobs"):
            self.logprobs += logprobs(choice)
        self._empty = 0 if delta else self._empty + 1
        if self.chars > MAX_CHARS or self._empty > MAX_EMPTY:
            raise _endless(endpoint)
        return delta

    def check_whole(self, endpoint: Endpoint) -> None:
        """Whether what has come is an answer, now that nothing more comes.

        Raises:
            ModelError: It broke off, the endpoint could not finish it, or it is none.
        """
        if self.chunks == 0:
            raise not_openai(endpoint, t("it answered, but with no stream of tokens"))
        if not self._shaped:
            raise not_openai(endpoint, t("it sent JSON that is no chat completion"))
        if not self.whole and not (self.ended and self.begun):
            raise incomplete(endpoint)
        if self.finish_reason == "error":
            raise broke_off(endpoint, self._reason)

    def end(self) -> Delta | None:
        """Nothing more comes: the text that had been held back, or None."""
        thought = self._thought.end()
        shown = self._shown(self._said.end(), thought)
        rest = self._live.rest()
        text = shown.text + self._shown_text.feed(rest.answer) + self._shown_text.rest()
        thought = shown.reasoning + self._shown_thought.feed(rest.thought) + self._shown_thought.rest()
        return Delta(text, thought) if text or thought else None

    def _choice(self, chunk: Any) -> Mapping[str, Any] | None:
        """The one choice that is ours: we ask for one, and some endpoints send more."""
        found = None
        for choice in choices(chunk):
            index = choice.get("index") or 0
            if self._index is None or (index == 0 and self._index != 0 and not self.begun):
                self._index, found = index, None
            if index == self._index and found is None:
                found = choice
        return found

    def _count(self, chunk: Any, choice: Mapping[str, Any] | None) -> None:
        """Note the token counts; Moonshot puts them into the choice, Groq into a corner of its own."""
        if not isinstance(chunk, Mapping):
            return
        groq = chunk.get("x_groq")
        usage = chunk.get("usage") or (choice.get("usage") if choice else None)
        usage = usage or (groq.get("usage") if isinstance(groq, Mapping) else None)
        if usage is None:
            return
        if isinstance(usage, dict) and isinstance(self.usage, dict):
            # A later word may be about one side only, or say nothing more.
            usage = {**self.usage, **{name: value for name, value in usage.items() if value or name not in self.usage}}
        self.usage = usage

    def _words(self, choice: Mapping[str, Any]) -> Delta | None:
        reason = choice.get("finish_reason")
        last = isinstance(reason, str) and bool(reason) and reason.lower() != "null"
        found = words(choice.get("delta"), self._source)
        # A whole answer (an endpoint that ignores `stream`) has a message where a chunk has a delta.
        repeats = not found.text and not found.thought and bool(choice.get("message"))
        if repeats:
            found = words(choice["message"], self._source)
        text = found.text or (choice["text"] if isinstance(choice.get("text"), str) else "")
        if found.thought and (self._source in ("", found.source) or found.thought.strip() not in self._thought.text):
            self._source = self._source or found.source
            thought = self._thought.whole(found.thought) if repeats else self._thought.add(found.thought, last=last)
        else:
            thought = ""
        new = self._said.whole(text) if repeats else self._said.add(text, last=last)
        self._finish(reason if last else None, brings=bool(text or found.thought))
        if not new and not thought:
            return None
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - self.started
        self.chars += len(new) + len(thought)
        shown = self._shown(new, thought)
        return shown if shown.text or shown.reasoning else None

    def _shown(self, text: str, thought: str) -> Delta:
        parts = self._live.feed(text) if text else None
        answer, thought = (parts.answer, thought + parts.thought) if parts else ("", thought)
        return Delta(self._shown_text.feed(answer), self._shown_thought.feed(thought))

    def _finish(self, reason: str | None, *, brings: bool) -> None:
        """Note a finish reason. One that text follows was not the end, whatever it said."""
        if brings and self.whole:
            self._went_on, self.certain = True, False
        if reason is None:
            return
        self.whole = True
        self._reason = reason
        self.finish_reason = finish_reason(reason)
        self.certain = not brings and bool(self._said.pieces) and not self._went_on


def _endless(endpoint: Endpoint) -> ModelError:
    return NotAnOpenAIEndpointError(
        t("{endpoint} does not stop: its answer passed every limit and was cut off.", endpoint=endpoint.label),
        t("Set a cap on tokens."),
    )


class OpenStream:
    """A response whose headers have come.

    Args:
        stream: The SDK's stream; its response is read here, not by the SDK.
        responses: It comes from the Responses API.
    """

    def __init__(self, stream: Any, *, responses: bool = False) -> None:
        self._stream = stream
        self._responses = responses
        self._events = Events(stream.response)

    @property
    def done(self) -> bool:
        """The endpoint has said that it is through."""
        return self._events.done

    def on_alive(self, heard: Callable[[], None]) -> None:
        """Call this when the endpoint shows that it is there and says nothing."""
        self._events.heard = heard

    async def next(self) -> Any:
        """The next chunk, or END after the last."""
        chunk = await self._events.next()
        return as_chunk(chunk) if self._responses and chunk is not END else chunk

    async def close(self) -> None:
        """Close the request: the endpoint stops generating."""
        try:
            await self._events.close()
        finally:
            await self._stream.close()


async def open_stream(sdk: AsyncOpenAI, sent: dict[str, Any], endpoint: Endpoint) -> OpenStream:
    """Send a request and wait for the response's headers.

    Raises:
        NotAnOpenAIEndpointError: An answer came, but not in the OpenAI format.
        Exception: Anything else the SDK raises.
    """
    from openai import AsyncStream

    responses = "input" in sent
    # The whole address: the SDK would put it together anew for each request.
    path = f"{str(sdk.base_url).rstrip('/')}/{RESPONSES if responses else 'chat/completions'}"
    # As plain JSON: building the SDK's typed chunks is a third of the processor time that a token takes. The SDK's own
    # `stream` says only that the body is read here; what the endpoint is asked for stands in what is sent.
    stream = await sdk.post(path, body=sent, cast_to=object, stream=True, stream_cls=AsyncStream[object])
    if getattr(stream, "response", None) is None:
        raise not_openai(endpoint, t("it did not send a stream"))
    return OpenStream(stream, responses=responses)


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
