"""Answers that are stopped before their end and forced out: the thought is closed, and "Final answer:" begun for it.

What a model is not told it is made to do: an enforced budget stops it after so many tokens, an early exit once what it
would answer stays the same, and a person at any moment ("Answer now"). Each is one answer of several requests, whose
tokens all count. The endpoint has to continue a message that was begun (`tale_core.budgets.continuing`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from tale_core.budgets.continuing import check_continues, continued
from tale_core.errors import ModelError
from tale_core.grading import equivalent
from tale_core.i18n import N_
from tale_core.types import CallRecord, Client, Completion, Delta, FinishReason, Message, Request, Usage

FORCED_TOKENS: Final = 32
"""Most tokens of an answer that is forced out: it is a value, and no explanation."""
AGREE: Final = 2
"""Probes in a row that answer alike until an early exit is taken."""
FORCED = N_("the answer was stopped and forced out")
_SPARE = 16
"""Tokens that the closing words take, with room to spare."""
RESERVE: Final = FORCED_TOKENS + _SPARE
"""Tokens that an answer keeps below its cap to be forced out in."""
_WORDS = ("\n\nFinal answer: [[", "\n\n最终答案：[[")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_END = "]]"
Item = TypeVar("Item")
_STOP = (_END, "\n")


@dataclass(frozen=True, slots=True)
class Close:
    """When an answer is stopped and forced out.

    Attributes:
        at: Completion tokens after which it is stopped; None lets it go on.
        every: Completion tokens after which it is asked, each time anew, what it would answer now; it is stopped once
            that stays the same. None never asks.
    """

    at: int | None = None
    every: int | None = None

    @property
    def stops(self) -> bool:
        """Whether it ever stops an answer by itself."""
        return self.at is not None or self.every is not None


class Now:
    """Call `want`, and the running answer that looks at this is closed at once; in its event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def wanted(self) -> bool:
        """Somebody wants the answer."""
        return self._asked.is_set()

    def want(self) -> None:
        """Close it."""
        self._asked.set()

    async def until(self, items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
        """The items of a stream until the answer is wanted; a model that thinks in silence is not waited for."""
        asked = asyncio.ensure_future(self._asked.wait())
        coming: asyncio.Future[Item] | None = None
        try:
            while not self.wanted:
                coming = asyncio.ensure_future(anext(items))
                await asyncio.wait((coming, asked), return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                try:
                    yield coming.result()
                except StopAsyncIteration:
                    return
        finally:
            both = [one for one in (asked, coming) if one is not None]
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)  # One that has failed meanwhile is told to nobody else.


def closing_words(request: Request) -> str:
    """What closes a thought and begins the answer, in the language of the prompt."""
    return _WORDS[bool(_CHINESE.search(request.messages[-1].content))]


def forced(request: Request, *, text: str, reasoning: str = "") -> Request:
    """The request that forces an answer out of what was written so far in answer to this one."""
    begun = _closed_thought(reasoning) + (text.rstrip() + closing_words(request)).lstrip()
    return replace(
        request,
        messages=(*request.messages, Message("assistant", begun)),
        sampling=replace(request.sampling, max_tokens=FORCED_TOKENS, knob=None),
        stop=_STOP,
    )


def _closed_thought(reasoning: str) -> str:
    return f"<think>\n{reasoning.strip()}\n</think>\n\n" if reasoning.strip() else ""


def whole_text(call: CallRecord) -> str:
    """The text of an answer, with the message that it continues and the brackets closed that were opened for it."""
    if not call.messages or call.messages[-1].role != "assistant":
        return call.text
    return _ended(call.messages[-1].content + call.text)


def same_answer(one: str, other: str) -> bool:
    """Whether two forced answers are the same one; none is like no other."""
    a, b = (text.partition(_END)[0].strip() for text in (one, other))
    return bool(a) and bool(b) and (equivalent(a, b, "number") is True or equivalent(a, b, "text") is True)


def prompt_bound(close: Close | None, prompt: int, cap: int | None) -> int:
    """Prompt tokens that all requests of an answer take at most, for limits that hold before a call."""
    if close is None or not close.stops:
        return prompt
    most = cap if cap is not None else close.at or 0
    if close.every is None:
        return 2 * prompt + min(most, close.at or most) + _SPARE
    parts = -(-most // close.every)
    return 2 * (prompt * (parts + 1) + close.every * parts * (parts + 1) // 2 + _SPARE * parts)


async def answered(
    client: Client, request: Request, close: Close | None = None, *, now: Now | None = None
) -> AsyncGenerator[Delta | Completion, None]:
    """The answer to any request: as it comes, continued, or forced out before its end.

    Args:
        client: Whom to ask.
        request: Where its last message is the assistant's, that is continued.
        close: When it is forced out; None for never.
        now: Closes it when somebody wants the answer; None where nobody can want the answer now.

    Raises:
        CannotContinueError: The endpoint does not continue messages; of what has to be forced out nothing was sent.
        ModelError: A request failed. With what had arrived, of all of them.
    """
    if request.continued:
        stream = continued(client, request)
    elif close is None and now is None:
        stream = client.stream(request)
    else:
        stream = _Closed(client, request, close or Close(), now or Now()).items()
    async with aclosing(stream) as items:
        async for item in items:
            yield item


Phase = Literal["part", "probe", "force"]


class _Closed:
    """One answer that may be forced out: its requests one after the other, and the sum of them."""

    def __init__(self, client: Client, request: Request, close: Close, now: Now) -> None:
        self._client, self._close, self._now = client, close, now
        # One that only a person may stop is sent as it is: with its cap, and with a provider's knob.
        self._stops = close.stops
        self._request = replace(request, sampling=replace(request.sampling, knob=None)) if self._stops else request
        self._words = closing_words(request)
        self._made: list[Completion] = []
        self._text = self._reasoning = ""
        self._answer: Completion | None = None
        self._probed: str | None = None
        self._alike = 0

    async def items(self) -> AsyncGenerator[Delta | Completion, None]:
        """See `answered`."""
        if self._stops:
            await check_continues(self._client)
        phase: Phase | None = "part"
        last = phase
        try:
            while phase is not None:
                last = phase
                if phase == "force":
                    yield Delta(self._lead)
                async with aclosing(self._send(phase)) as pieces:
                    async for piece in pieces:
                        yield piece
                phase = self._then(phase)
        except ModelError as e:
            self._made += [e.partial] if e.partial else []
            e.partial = self._sum(self._text + (e.partial.text if e.partial else ""), "error") if self._made else None
            raise
        if self._answer is None:
            yield self._sum(self._text, self._made[-1].finish_reason)
            return
        end = _ended(self._lead + self._answer.text)
        yield Delta(end if last == "probe" else end.removeprefix(self._lead + self._answer.text))
        whole = self._sum(self._text.rstrip() + end, self._answer.finish_reason)
        yield replace(whole, adjustments=(*whole.adjustments, FORCED))

    async def _send(self, phase: Phase) -> AsyncGenerator[Delta, None]:
        """One request; probes are not shown, and a part ends early where the answer is wanted now."""
        request, text, reasoning, began = self._next(phase), "", "", time.monotonic()
        stream = continued(self._client, request) if request.continued else self._client.stream(request)
        async with aclosing(stream), aclosing(self._now.until(stream) if phase == "part" else stream) as items:
            async for item in items:
                if isinstance(item, Completion):
                    self._take(phase, item)
                    return
                if phase == "part" and self._within_thought and not reasoning:
                    item = Delta("", item.text + item.reasoning)  # As far as anybody can see.
                text, reasoning = text + item.text, reasoning + item.reasoning
                if phase != "probe":
                    yield item
        self._take(phase, await self._stopped(request, text, reasoning, time.monotonic() - began))

    def _next(self, phase: Phase) -> Request:
        if phase == "part" and not self._stops:
            return self._request
        if phase != "part":
            return forced(self._request, text=self._text, reasoning=self._reasoning)
        caps = (self._close.every or self._close.at, self._room)
        cap = min((cap for cap in caps if cap is not None), default=None)
        request = replace(self._request, sampling=replace(self._request.sampling, max_tokens=cap and max(1, cap)))
        if not self._made:
            return request
        begun = f"<think>\n{self._reasoning}" if self._within_thought else _closed_thought(self._reasoning) + self._text
        return replace(request, messages=(*request.messages, Message("assistant", begun)))

    @property
    def _within_thought(self) -> bool:
        """A thought was begun and not closed: the next part goes on within it."""
        return bool(self._reasoning.strip()) and not self._text

    def _take(self, phase: Phase, done: Completion) -> None:
        if phase == "part" and self._within_thought and not done.reasoning_text and done.finish_reason != "stop":
            # The mark that opened the thought stands in what was sent, so nobody told this part of it apart.
            usage = replace(done.usage, reasoning_tokens=done.usage.completion_tokens, reasoning_estimated=True)
            done = replace(done, text="", reasoning_text=done.text, usage=usage)
        self._made.append(done)
        if phase == "part":
            self._text, self._reasoning = self._text + done.text, self._reasoning + done.reasoning_text
            self._answer = None
            return
        before, self._answer = self._probed, done
        self._alike = self._alike + 1 if before is not None and same_answer(before, done.text) else 1
        self._probed = done.text

    def _then(self, phase: Phase) -> Phase | None:
        """What follows; nothing where the answer is there."""
        if phase == "force":
            return None
        if phase == "part":
            reason = self._made[-1].finish_reason
            if reason != "cancelled" and not (self._stops and reason == "length"):
                return None
            settling = self._close.every is not None and reason == "length" and (self._room is None or self._room > 0)
            return "probe" if settling else "force"
        return None if self._alike >= AGREE else "part"

    @property
    def _lead(self) -> str:
        return self._words if self._text.strip() else self._words.lstrip()

    @property
    def _room(self) -> int | None:
        """Tokens that the next part may take, so that all of it stays within the request's cap; None for no cap."""
        most = self._request.sampling.max_tokens
        used = sum(one.usage.completion_tokens for one in self._made)
        return None if most is None else most - used - RESERVE

    async def _stopped(self, request: Request, text: str, reasoning: str, seconds: float) -> Completion:
        """What was written of a request that we closed; nobody reports its tokens, so they are our own count."""
        prompt = await self._client.count_tokens("\n".join(m.content for m in request.messages))
        thought = await self._client.count_tokens(reasoning) if reasoning else 0
        usage = Usage(prompt, await self._client.count_tokens(text) + thought, thought, estimated=True)
        return Completion(text, usage, "cancelled", None, seconds, reasoning_text=reasoning)

    def _sum(self, text: str, reason: FinishReason) -> Completion:
        """All requests as one answer."""
        first, usages = self._made[0], [one.usage for one in self._made]
        thinking, cached = ([u.reasoning_tokens for u in usages], [u.cached_prompt_tokens for u in usages])
        usage = Usage(
            prompt_tokens=sum(u.prompt_tokens for u in usages),
            completion_tokens=sum(u.completion_tokens for u in usages),
            reasoning_tokens=None if None in thinking else sum(n or 0 for n in thinking),
            cached_prompt_tokens=None if set(cached) == {None} else sum(n or 0 for n in cached),
            estimated=any(u.estimated for u in usages),
            reasoning_estimated=any(u.reasoning_estimated for u in usages),
        )
        return replace(
            first,
            text=text,
            usage=usage,
            finish_reason=reason,
            latency_s=sum(one.latency_s for one in self._made),
            reasoning_text=self._reasoning,
            attempts=1 + sum(one.attempts - 1 for one in self._made),
        )


def _ended(text: str) -> str:
    """The text with the brackets closed that it leaves open."""
    _, opened, after = text.rpartition("[[")
    if not opened or _END in after:
        return text
    return text + ("]" if after.endswith("]") else _END)
