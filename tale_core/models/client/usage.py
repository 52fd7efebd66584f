"""Is an endpoint's token count credible, and what do we count ourselves? It sends nothing.

Endpoints agree on little: names differ, thinking stands inside of the completion (OpenAI) or beside it (xAI, Gemini),
what came out of a cache has eight names. `read` brings them into one form: all that was asked, all that was billed as
output, and which part of each is what.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tale_core.models import tokens
from tale_core.types import Message, Usage

ABSURD = 20
"""A count this many times ours (or ours this many times it) is wrong: no tokenizer differs so much from another."""
_PER_MESSAGE = 4
"""Tokens that a chat format adds to each message, about."""
_HIDDEN_PROMPT = 2000
"""Tokens of instructions that an endpoint may add out of sight."""
_MOST_HIDDEN = 1_000_000
"""Tokens of thinking that may stand in a total alone; no model writes more."""
_EXPLAINED = 2
"""A count up to this many times what the text explains holds no thinking that nobody saw."""
_SLACK = 24
"""Tokens that a chat format, an end mark and a few invisible words add to an answer."""
Counter = Callable[[str], Awaitable[int]]

# Names without case and marks: relays write prompt_tokens, promptTokens and PromptTokens alike.
_PROMPT = ("prompttokens", "inputtokens", "prompttokencount", "inputtokencount", "promptevalcount")
_COMPLETION = ("completiontokens", "outputtokens", "candidatestokencount", "outputtokencount", "evalcount")
_TOTAL = ("totaltokens", "totaltokencount")
_THINKING = ("reasoningtokens", "thinkingtokens", "thoughtstokens", "thoughtstokencount", "reasoningtokencount")
_CACHED = ("cachedtokens", "promptcachehittokens", "cachereadinputtokens", "cachereadtokens", "cachedprompttokens",
           "cachedinputtokens", "cachedcontenttokencount")  # fmt: skip
_WRITTEN = ("cachewritetokens", "cachecreationinputtokens", "cachecreationtokens", "cachewriteinputtokens")
_OUT_DETAILS = ("completiontokensdetails", "outputtokensdetails", "completiontokendetails", "outputtokendetails")
_IN_DETAILS = ("prompttokensdetails", "inputtokensdetails", "prompttokendetails", "inputtokendetails")
_MARKS = re.compile(r"[^a-z]")


@dataclass(frozen=True, slots=True)
class Reported:
    """An endpoint's `usage` in one form, each number None where it is absent or no count at all.

    Attributes:
        prompt: All input, what came out of a cache or went into it included.
        completion: All billed output, thinking included.
        reasoning: The part of `completion` that is thinking.
        cached: The part of `prompt` that came out of a cache.
        written: The part of `prompt` that was put into one.
        visible: What the endpoint calls the completion; a cap on tokens may be about this alone.
        adds_up: Its total is the sum of its parts; None where it names no total.
    """

    prompt: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    cached: int | None = None
    written: int | None = None
    visible: int | None = None
    adds_up: bool | None = False


def read(raw: Any, *, beside: bool = False) -> Reported:
    """Take the counts out of an endpoint's usage object, whatever it put there.

    Args:
        raw: What it said.
        beside: Its documentation says that thinking is not part of its completion tokens.
    """
    if not isinstance(raw, Mapping):
        return Reported()
    raw = _plain(raw)
    completion = _find(raw, _COMPLETION)
    found = Reported(
        prompt=_find(raw, _PROMPT),
        completion=completion,
        reasoning=_find(raw, _THINKING, _OUT_DETAILS),
        cached=_find(raw, _CACHED, _IN_DETAILS),
        written=_find(raw, _WRITTEN, _IN_DETAILS),
        visible=completion,
    )
    total = _find(raw, _TOTAL)
    if beside and total is None and found.prompt is not None and completion is not None:
        total = found.prompt + completion + (found.reasoning or 0)
    return _with_total(_whole_prompt(found, raw), total)


def _whole_prompt(found: Reported, raw: Mapping[str, Any]) -> Reported:
    """Anthropic's own format counts what went through the cache beside `input_tokens`; it names no total."""
    beside = (found.cached or 0) + (found.written or 0)
    its_own = "inputtokens" in raw and "cachereadinputtokens" in raw and _find(raw, _TOTAL) is None
    if found.prompt is not None and beside and (its_own or beside > found.prompt):
        return replace(found, prompt=found.prompt + beside)
    return found


def _with_total(found: Reported, total: int | None) -> Reported:
    """Where the total is more than its parts, the rest is output that was billed, unless the cache explains it."""
    prompt, completion, thinking = found.prompt, found.completion, found.reasoning
    if total is not None and prompt is None and completion is not None and total >= completion:
        prompt = total - completion
    if total is not None and completion is None and prompt is not None and total >= prompt:
        completion = total - prompt
    if prompt is None or completion is None:
        return replace(found, prompt=prompt, completion=completion)
    found = replace(found, prompt=prompt, completion=completion)
    rest = (total or 0) - prompt - completion
    if total is None:
        found = replace(found, adds_up=None)
    if total is None or rest < 0:
        # Thinking that is more than the completion cannot be a part of it.
        beside = thinking is not None and thinking > completion and total is None
        return replace(found, completion=completion + (thinking or 0)) if beside else _inside(found)
    if rest == 0:
        return replace(_inside(found), adds_up=True)
    if rest != thinking and rest in (found.cached, (found.cached or 0) + (found.written or 0)):
        return replace(_inside(found), prompt=prompt + rest, adds_up=True)
    if rest > _MOST_HIDDEN:
        return _inside(found)
    return replace(_inside(replace(found, completion=completion + rest, reasoning=thinking or rest)), adds_up=True)


def _inside(found: Reported) -> Reported:
    """Thinking is a part of the completion, or its number is none."""
    absurd = found.reasoning is not None and found.reasoning > (found.completion or 0)
    return replace(found, reasoning=None) if absurd else found


async def settle(
    reported: Reported,
    *,
    messages: tuple[Message, ...],
    text: str,
    reasoning: str,
    hides: bool,
    count: Counter,
    cap: int | None = None,
) -> Usage:
    """The endpoint's numbers where they are credible, ours elsewhere (and then marked as estimated).

    Args:
        reported: What the endpoint said.
        messages: The request's.
        text: The answer.
        reasoning: The chain of thought that came with it.
        hides: The model thinks in tokens that nobody sees: then no count is too large.
        count: Counts tokens of plain text.
        cap: Most tokens that it was asked for; None for no cap.
    """
    prompt, prompt_ours = await _credible(
        reported.prompt, "\n".join(m.content for m in messages), len(messages) * _PER_MESSAGE, _HIDDEN_PROMPT, count
    )
    # Numbers that add up are believed within the cap that was sent: tokens that nobody sees explain them.
    fits = reported.adds_up is not False and (reported.visible or 0) <= (cap or _MOST_HIDDEN)
    slack = float("inf") if hides or fits else (reported.reasoning or 0) + 10 * ABSURD
    completion, completion_ours = await _credible(reported.completion, text + reasoning, 0, slack, count)
    thinking, ours = reported.reasoning, False
    if completion_ours or thinking is None or (thinking == 0 and reasoning.strip()):
        thinking, ours = await _thinking(completion, text, reasoning, count), True
    cached, written = _within(reported.cached, prompt), _within(reported.written, prompt)
    if (cached or 0) + (written or 0) > prompt:
        written = None
    return Usage(prompt, completion, thinking, cached, prompt_ours or completion_ours, ours, written)


def _within(part: int | None, whole: int) -> int | None:
    return part if part is not None and part <= whole else None


async def _thinking(completion: int, text: str, reasoning: str, count: Counter) -> int:
    """How much of the output is thinking, where the endpoint does not say: by the text that came.

    Where all thinking was seen, by its share of the text; where more was billed than anybody saw, what the answer does
    not explain.
    """
    if not reasoning.strip() and completion <= _EXPLAINED * len(text) / 4 + _SLACK:
        return 0  # Four characters a token: there is no need to load a tokenizer.
    answer = await count(text) if text else 0
    thought = await count(reasoning) if reasoning else 0
    if completion > _EXPLAINED * (answer + thought) + _SLACK:
        return max(0, completion - answer)
    return round(completion * thought / (answer + thought)) if thought else 0


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


def _plain(raw: Mapping[Any, Any], deep: bool = True) -> dict[str, Any]:
    """The counts by their names without case and marks, and those of the details inside likewise."""
    return {
        _MARKS.sub("", str(name).lower()): _plain(value, deep=False) if deep and isinstance(value, Mapping) else value
        for name, value in raw.items()
    }


def _find(raw: Mapping[str, Any], names: tuple[str, ...], details: tuple[str, ...] = ()) -> int | None:
    """The first count of one of these names, in the details or beside them."""
    places = [found for name in details if isinstance(found := raw.get(name), Mapping)]
    values = (_count(place.get(name)) for place in (*places, raw) for name in names)
    return next((value for value in values if value is not None), None)


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
