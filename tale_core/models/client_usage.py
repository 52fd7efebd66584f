"""Is an endpoint's token count credible, and what do we count ourselves? Knows numbers and text; sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tale_core.models import tokens
from tale_core.types import Message, Usage

ABSURD = 20
"""A count this many times ours (or ours this many times it) is wrong: no tokenizer differs so much from another."""
_PER_MESSAGE = 4
"""Tokens that a chat format adds to each message, about."""
_HIDDEN_PROMPT = 2000
"""Tokens of instructions that an endpoint may add out of sight."""
Counter = Callable[[str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Reported:
    """An endpoint's `usage`, each number None where it is absent or no count at all."""

    prompt: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    cached: int | None = None


def read(raw: Any) -> Reported:
    """Take the counts out of the SDK's usage object (or a mapping), whatever the endpoint put there."""
    if raw is None:
        return Reported()
    return Reported(
        prompt=_count(_get(raw, "prompt_tokens")),
        completion=_count(_get(raw, "completion_tokens")),
        reasoning=_count(_get(_get(raw, "completion_tokens_details"), "reasoning_tokens")),
        cached=_count(_get(_get(raw, "prompt_tokens_details"), "cached_tokens")),
    )


async def settle(
    reported: Reported, *, messages: tuple[Message, ...], text: str, reasoning: str, hides: bool, count: Counter
) -> Usage:
    """The endpoint's numbers where they are credible, ours elsewhere (and then marked as estimated).

    Args:
        reported: What the endpoint said.
        messages: The request's.
        text: The answer.
        reasoning: The chain of thought that was streamed apart.
        hides: The model thinks in tokens that nobody sees: then no count is too large.
        count: Counts tokens of plain text.
    """
    prompt, prompt_ours = await _credible(
        reported.prompt, "\n".join(m.content for m in messages), len(messages) * _PER_MESSAGE, _HIDDEN_PROMPT, count
    )
    hidden = reported.reasoning
    if hidden is not None and (reported.completion is None or hidden > reported.completion):
        hidden = None
    slack = float("inf") if hides else (hidden or 0) + 10 * ABSURD
    completion, completion_ours = await _credible(reported.completion, text + reasoning, 0, slack, count)
    cached = reported.cached if reported.cached is not None and reported.cached <= prompt else None
    return Usage(prompt, completion, None if completion_ours else hidden, cached, prompt_ours or completion_ours)


async def _credible(said: int | None, text: str, extra: int, slack: float, count: Counter) -> tuple[int, bool]:
    """The number to use and whether it is ours. `slack` tokens more than the text explains are believed."""
    # Four characters a token, within a factor of five: then there is no need to load a tokenizer.
    rough = len(text) / 4 + extra
    if said is not None and said > 0 and rough / 5 <= said <= rough * 5:
        return said, False
    ours = (await count(text) if text else 0) + (extra if text else 0)
    if said is not None and said * ABSURD >= ours and said <= ours * ABSURD + slack and (said > 0 or not ours):
        return said, False
    return ours, True


async def estimate(text: str, model: str) -> int:
    """Tiktoken's count, off the event loop: loading its vocabulary takes half a second."""
    return await asyncio.to_thread(tokens.count, text, model)


def _get(obj: Any, name: str) -> Any:
    return obj.get(name) if isinstance(obj, dict) else getattr(obj, name, None)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
