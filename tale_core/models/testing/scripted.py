"""A model that says what a script tells it: for tests and demonstrations, with no endpoint behind it.

Its answers are marked "simulated".
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tale_core.errors import InputError, ModelError
from tale_core.types import Completion, Delta, FinishReason, Price, Request, Usage

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])")


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer.

    Attributes:
        text: The answer; cut at the request's max_tokens as a real model's is.
        reasoning: Chain of thought that is streamed apart, before the text.
        chunks: The text's pieces as they are streamed; by default one token each.
        finish_reason: How it ends when it is not cut.
        usage: Token counts; by default those of `count_tokens`.
        delay_s: Seconds before each piece.
        error: Raised instead of the end, with what had arrived as its `partial`.
        error_after: Pieces that arrive before the error.
    """

    text: str = ""
    reasoning: str = ""
    chunks: tuple[str, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage | None = None
    delay_s: float | None = None
    error: ModelError | None = None
    error_after: int = 0


Step = str | Reply | ModelError
Script = Sequence[Step] | Callable[[Request], Step]


@dataclass
class ScriptedClient:
    """Implements `tale_core.types.Client` from a script.

    Args:
        script: A list of answers, taken in order, or a function of the request. A string is an answer; an error is
            raised at once.
        continues: Whether it is said to continue an assistant message.
        repeat: Start the list again after its end; otherwise one call too many is an error of the test.
        delay_s: Seconds before each piece.
        sleep: Waits (for tests).

    Attributes:
        requests: Every request, in order.
        open_streams: Answers being streamed now.
        closed_early: Answers whose consumer went away before the end.
    """

    script: Script
    model: str = "scripted"
    endpoint: str = "scripted"
    continues: bool | None = True
    price: Price | None = None
    repeat: bool = False
    delay_s: float = 0.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    requests: list[Request] = field(default_factory=list)
    open_streams: int = 0
    closed_early: int = 0
    closed: bool = False

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the next answer of the script.

        Raises:
            ModelError: Where the script says so.
            InputError: The script is at its end.
        """
        self.requests.append(request)
        reply = self._next(request)
        started = time.monotonic()
        pieces = _pieces(reply)
        taken = _within(pieces, request.sampling.max_tokens)
        got: list[Delta] = []
        first: float | None = None
        finished = False
        self.open_streams += 1
        try:
            for piece in taken[: reply.error_after] if reply.error else taken:
                await self._wait(reply)
                first = first if first is not None else time.monotonic() - started
                got.append(piece)
                yield piece
            if not got:
                await self._wait(reply)
            finished = True
        finally:
            self.open_streams -= 1
            self.closed_early += not finished
        cut = len(taken) < len(pieces)
        reason: FinishReason = "error" if reply.error else "length" if cut else reply.finish_reason
        done = _completion(request, got, reason, None if reply.error else reply.usage, first, started)
        if reply.error:
            if got and reply.error.partial is None:
                reply.error.partial = done
            raise reply.error
        yield done

    async def count_tokens(self, text: str) -> int:
        """A word or a punctuation mark is a token."""
        return count(text)

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _next(self, request: Request) -> Reply:
        if callable(self.script):
            step = self.script(request)
        else:
            at = len(self.requests) - 1
            if at >= len(self.script) and not (self.repeat and self.script):
                raise InputError(f"The script has {len(self.script)} answers; this is call {at + 1}.")
            step = self.script[at % len(self.script)]
        if isinstance(step, str):
            return Reply(step)
        return Reply(error=step) if isinstance(step, ModelError) else step

    async def _wait(self, reply: Reply) -> None:
        delay = self.delay_s if reply.delay_s is None else reply.delay_s
        # Also with no delay: a real answer lets other tasks run between its pieces.
        await self.sleep(delay)


def count(text: str) -> int:
    """Tokens of the scripted models: words and punctuation marks."""
    return len(_TOKEN.findall(text))


def _pieces(reply: Reply) -> list[Delta]:
    thought = [Delta(reasoning=t) for t in _split(reply.reasoning)]
    return thought + [Delta(t) for t in (reply.chunks or _split(reply.text))]


def _split(text: str) -> list[str]:
    tokens = _TOKEN.findall(text)
    rest = text[sum(map(len, tokens)) :]
    return [*tokens, rest] if rest else tokens


def _within(pieces: list[Delta], cap: int | None) -> list[Delta]:
    """The pieces that fit under a cap on tokens."""
    used = 0
    for i, piece in enumerate(pieces):
        size = count(piece.text + piece.reasoning)
        if cap is not None and used + size > cap:
            return pieces[:i]
        used += size
    return pieces


def _completion(
    request: Request,
    got: list[Delta],
    reason: FinishReason,
    usage: Usage | None,
    first: float | None,
    started: float,
) -> Completion:
    text = "".join(d.text for d in got)
    reasoning = "".join(d.reasoning for d in got)
    if usage is None:
        hidden = count(reasoning)
        usage = Usage(sum(count(m.content) for m in request.messages), count(text) + hidden, hidden)
    return Completion(
        text=text,
        usage=usage,
        finish_reason=reason,
        ttft_s=first,
        latency_s=time.monotonic() - started,
        reasoning_text=reasoning,
        source="simulated",
    )
