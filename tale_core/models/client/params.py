"""Which parameters an endpoint is sent, and what was learnt about those it refuses.

It sends nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from tale_core.budgets import kinds as budgets
from tale_core.budgets.native import OFF, NativeKnob, merged, native
from tale_core.errors import AdapterNotLoadedError
from tale_core.grading.thinking import split_thinking
from tale_core.i18n import N_, t
from tale_core.models.client.http_errors import NOT_CHAT
from tale_core.models.client.responses import as_responses
from tale_core.models.endpoints import Endpoint
from tale_core.types import Level, Request, Sampling, Usage

# o1, o3-mini, gpt-5, gpt-6-sol, openai/gpt-5.4 …: OpenAI's reasoning models refuse max_tokens and a temperature.
_OPENAI_REASONING = re.compile(r"^(?:openai/)?(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat-latest))")
_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|not allowed|forbidden|"
    r"not available|deprecated|only the default|not accepted|no such|use .{0,40}instead|"
    r"not implemented|no longer|may not be"
)
_ONE_VALUE = re.compile(
    r"only (?:the )?(?:value )?\(?\d+(?:\.\d+)?\)? ?(?:is|are) (?:allowed|supported|accepted|valid)|"
    r"(?:must|should|has to|can only|may only|needs to) (?:be )?(?:set |equal )?(?:to )?(?:exactly )?"
    r"\d+(?:\.\d+)?(?! ?(?:to|and|or|-|–|\.?\d))|"
    r"only (?:supports?|accepts?|allows?) (?:(?:a |the )?(?:default|temperature|value|top_p)[ =:]*(?:of )?)*\(?\d|"
    r"is fixed|fixed (?:at|to)"
)
"""A parameter that may have one value alone: left out, it has that value."""
_RANGE = re.compile(r"between|range|at most|at least|less than|greater than|<=|>=|≤|≥|maximum|minimum|\[\d")
_BOTH = re.compile(
    r"(?:cannot|can't|can not|not) (?:both )?be (?:both )?(?:specified|set|used)|mutually exclusive|only one of"
)
_STREAM = re.compile(
    r"\bstream(?:ing|ed)?\b(?!_).{0,60}(?:not|n't|un)[ -]?.{0,12}(?:support|allow|available|enabled|permitted)|"
    r"(?:not|n't|un)[ -]?support\w*.{0,40}\bstream(?:ing)?\b(?!_)|to stream this|disable stream|non-?streaming only|"
    r"\bstream\b(?!_).{0,20}must be (?:set to )?false|set stream to false"
)
_EFFORT = "reasoning_effort"
_KNOBS = {_EFFORT if kind.NAME == "effort" else kind.NAME: kind for kind in budgets.KINDS if kind.SENT == "parameter"}
"""The kinds of budget that are parameters, by the names that they are dropped by."""
# llama.cpp gives none without a number beside it, and twenty for each token without one.
_LOGPROBS = {"logprobs": True, "top_logprobs": 1}
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
_DROPPABLE = ("stream_options", "temperature", "top_p", "seed", *_KNOBS, *_CONTINUE, *_LOGPROBS)
_CAPS = ("max_tokens", "max_completion_tokens")
_COMMON = frozenset({"type", "enabled", "extra_body", "config"})
"""Parts of a knob's paths that no error means by their bare name."""
# Kept with each call as they stand here, in English; they are translated where they are shown.
_WORDS = {
    "temperature": N_("temperature was not accepted and is left to the endpoint"),
    "top_p": N_("top_p was not accepted and is left to the endpoint"),
    "seed": N_("seed was not accepted: the same question may give another answer each time"),
    **{name: kind.REFUSED for name, kind in _KNOBS.items()},
    "stream_options": N_("the endpoint reports no token counts with a stream; they are our own estimates"),
    "stream": N_("the endpoint does not stream this model: its answer comes all at once"),
    "chat": N_("the model does not answer chat completions; it is asked through the Responses API, which has no seed"),
}
_STARTS_WITHOUT_TEMPERATURE = N_("temperature and top_p are not sent to a reasoning model")


_THOUGHT_ALL_THE_SAME = N_("thinking was to be off, and the model thought all the same")
_THOUGHT_MORE = N_("the limit on thinking was sent, and the model thought more than that")
_SLACK = 32
"""Tokens over its limit that end a thought are no sign that the limit was ignored."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is known about one model at one endpoint.

    Attributes:
        dropped: Parameters that are not sent; `chat` among them sends the request to the Responses API.
        cap: The name that the cap on tokens goes by.
        refused_caps: Names of the cap that were refused: with all of them refused there is no way to send one.
        words: What was left out, for people; `t` them where they are said.
    """

    dropped: frozenset[str] = frozenset()
    cap: str = "max_tokens"
    refused_caps: frozenset[str] = frozenset()
    words: tuple[str, ...] = field(default=())

    def without(self, parameter: str) -> Learnt:
        """The same, and this parameter is not sent (the cap on tokens: sent by its other name)."""
        if parameter in _CAPS:
            other = next(name for name in _CAPS if name != parameter)
            return replace(self, cap=other, refused_caps=self.refused_caps | {parameter})
        words = (_WORDS[parameter],) if parameter in _WORDS else ()
        # Neither is of any use without the other, and most endpoints refuse one that comes alone.
        gone = _LOGPROBS.keys() if parameter in _LOGPROBS else {parameter}
        return replace(self, dropped=self.dropped | gone, words=(*self.words, *words))


_learnt: dict[tuple[str, str], Learnt] = {}
_lock = threading.Lock()


def learnt(endpoint: Endpoint) -> Learnt:
    """What this process knows about the model; for some, their documentation says something from the start."""
    known = _learnt.get((endpoint.base_url, endpoint.model))
    if known is not None:
        return known
    if _OPENAI_REASONING.match(endpoint.model):
        return Learnt(
            frozenset({"temperature", "top_p"}), cap="max_completion_tokens", words=(_STARTS_WITHOUT_TEMPERATURE,)
        )
    return reduce(Learnt.without, endpoint.ignored, Learnt())


def learn(endpoint: Endpoint, parameter: str) -> None:
    """Remember for this process that the endpoint refuses a parameter."""
    with _lock:
        _learnt[endpoint.base_url, endpoint.model] = learnt(endpoint).without(parameter)


def unlearn(endpoint: Endpoint, parameter: str) -> None:
    """Send it again from now on: leaving it out did not help either."""
    with _lock:
        known = learnt(endpoint)
        words = tuple(word for word in known.words if word != _WORDS.get(parameter))
        _learnt[endpoint.base_url, endpoint.model] = replace(known, dropped=known.dropped - {parameter}, words=words)


def forget_all() -> None:
    """Forget what was learnt (an endpoint may have been updated; and for tests)."""
    with _lock:
        _learnt.clear()


def body(request: Request, endpoint: Endpoint, known: Learnt) -> dict[str, Any]:
    """The request as it is sent.

    Raises:
        AdapterNotLoadedError: The request wants an adapter that the server has not loaded.
    """
    sampling = request.sampling
    wanted: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        known.cap: sampling.max_tokens,
        "stream_options": {"include_usage": True},
    }
    sent = {name: value for name, value in wanted.items() if value is not None and name not in known.dropped}
    stream = "stream" not in known.dropped
    if not stream:
        sent.pop("stream_options", None)
    messages: list[dict[str, Any]] = [{"role": m.role, "content": m.content} for m in request.messages]
    if request.continued:
        sent |= _continued(messages[-1], endpoint, known)
    if request.stop:
        sent["stop"] = list(request.stop)
    if request.logprobs:
        sent |= {name: value for name, value in _LOGPROBS.items() if name not in known.dropped}
    chat = {"model": endpoint.model, "messages": messages, "stream": stream, **sent}
    for name, (level, knob) in _set_knobs(sampling, endpoint).items():
        if name not in known.dropped:
            chat = merged(chat, knob.parts(level))
    return as_responses(chat) if "chat" in known.dropped else chat | _lora(request.adapter, endpoint)


def _set_knobs(sampling: Sampling, endpoint: Endpoint) -> dict[str, tuple[Level, NativeKnob]]:
    """The provider's knobs that a sampling sets, with their levels, by the names under which they may be refused."""
    carried = budgets.set_in(sampling)
    wanted: dict[str, Level] = {carried[0].NAME: carried[1]} if carried else {}
    if sampling.reasoning_effort is not None:
        wanted[_EFFORT] = sampling.reasoning_effort
    return {
        name: (level, knob)
        for name, level in wanted.items()
        if name in _KNOBS and (knob := native(endpoint.knobs, _KNOBS[name].NAME)) is not None
    }


def spellings(request: Request, endpoint: Endpoint) -> dict[str, frozenset[str]]:
    """The names by which an error may mean each knob that a request sets."""
    return {
        # The Responses API says "reasoning" for the effort.
        name: frozenset(part for path in (knob.path, *knob.beside, *knob.off) for part in path.split(".")) - _COMMON
        | ({"reasoning"} if name == _EFFORT else set())
        for name, (_, knob) in _set_knobs(request.sampling, endpoint).items()
    }


def unheeded(request: Request, endpoint: Endpoint, usage: Usage, sent: Mapping[str, object]) -> tuple[str, ...]:
    """What the endpoint took and did not keep to, seen by the answer's own token counts, in words to `t`."""
    thought = usage.thinking_tokens
    if thought is None or usage.reasoning_estimated:
        return ()
    for level, knob in _set_knobs(request.sampling, endpoint).values():
        if not knob.parts(level).keys() & sent.keys():
            continue
        if level in OFF and thought > 0:
            return (_THOUGHT_ALL_THE_SAME,)
        if isinstance(level, int) and thought > level + max(_SLACK, level // 10):
            return (_THOUGHT_MORE,)
    return ()


def _continued(message: dict[str, Any], endpoint: Endpoint, known: Learnt) -> dict[str, Any]:
    """What tells the endpoint to continue this last message, which is changed where it has to say so itself.

    A thought in it stands apart where the template writes it: with templates as Qwen3's a message that holds its own
    marks is refused, for it cannot be found in the prompt. llama.cpp writes the message behind the prompt as it is.
    """
    if endpoint.continues == "prefix":
        message["prefix"] = True
    if endpoint.continues in ("prefix", "bare"):
        return {}
    parts = split_thinking(message["content"])
    if parts.thought and endpoint.tokenizer != "llama.cpp":
        message |= {"content": parts.answer, "reasoning_content": parts.thought, "reasoning": parts.thought}
    return {name: value for name, value in _CONTINUE.items() if name not in known.dropped}


def _lora(adapter: str, endpoint: Endpoint) -> dict[str, Any]:
    """Which adapter answers. A server takes an id that it does not know for none at all, so it is checked here.

    Raises:
        AdapterNotLoadedError: The server has not loaded it.
    """
    if adapter and adapter not in endpoint.adapters:
        name = adapter.partition("@")[0]
        if not endpoint.embedded:
            raise AdapterNotLoadedError(
                t("{endpoint} cannot answer with the adapter {name!r}.", endpoint=endpoint.label, name=name),
                t("Adapters work with their embedded model."),
            )
        raise AdapterNotLoadedError(
            t("The model server has not loaded the adapter {name!r}.", name=name), t("Ask again to load it.")
        )
    if not endpoint.adapters:
        return {}
    # All are named, the others with 0: what an earlier request switched on plays no part.
    scales = [{"id": i, "scale": float(key == adapter)} for i, key in enumerate(endpoint.adapters)]
    return {"lora": scales}


def refused(
    sent: dict[str, Any],
    *,
    status: int | None,
    param: str | None,
    words: str,
    known: Learnt | None = None,
    knobs: Mapping[str, Collection[str]] | None = None,
) -> str | None:
    """The one parameter of `sent` that this answer refuses as such, or None.

    A refused *value* is not a refused parameter: a temperature of 9 or a cap above the model's limit is the caller's to
    change, and an effort level that the model does not have must not silently become another one. A parameter that may
    have one value alone is another matter: without it, it has that value.

    Args:
        sent: The request's arguments.
        status: HTTP status of the refusal.
        param: The parameter that the error names.
        words: The error's code, type and message in lower case.
        known: What had been learnt when it was sent.
        knobs: See `spellings`; by default an effort that is sent under its own name.
    """
    known = known or Learnt()
    knobs = {_EFFORT: (_EFFORT, "reasoning")} if knobs is None else knobs
    if status in (400, 404, 405) and NOT_CHAT.search(words):
        return "chat" if "messages" in sent and "chat" not in known.dropped else None
    if status not in (400, 403, 405, 422, 501):
        return None
    if sent.get("stream") is True and (_STREAM.search(words) or (param == "stream" and _UNSUPPORTED.search(words))):
        return "stream"
    if status == 405:
        return None
    # A 403 is about the key, but for what only some may be told: OpenAI says so of a model's logprobs.
    named = (name for name in _named(sent, param, words, knobs) if status != 403 or name in _LOGPROBS)
    return next((name for name in named if _is_refused(name, sent, words, known)), None)


def _is_refused(name: str, sent: dict[str, Any], words: str, known: Learnt) -> bool:
    if name in _CAPS:
        other = next(cap for cap in _CAPS if cap != name)
        return bool(_UNSUPPORTED.search(words)) and other not in known.refused_caps
    if name in _KNOBS and re.search(r"unsupported[ _]value|supported values|invalid value", words):
        return False
    if name in _LOGPROBS and re.search(r"not enabled|disabled", words):
        return True
    if name in ("temperature", "top_p") and not _RANGE.search(words):
        if _BOTH.search(words):
            return name == "top_p" or "top_p" not in sent
        if _ONE_VALUE.search(words):
            return True
    return bool(_UNSUPPORTED.search(words))


def _named(sent: dict[str, Any], param: str | None, words: str, knobs: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Parameters of a request that an error names, the likeliest first."""
    spelled: dict[str, Collection[str]] = {name: (name,) for name in (*_CAPS, *_DROPPABLE) if name not in _KNOBS}
    spelled |= knobs
    field = (param or "").split(".")
    names = {name: many for name, many in spelled.items() if any(one in sent for one in many)}
    yield from (name for name, many in names.items() if any(one in field or _camel(one) in field for one in many))
    # Two spellings of the cap in one sentence: the one that was sent comes first, the other is to be used instead.
    said = {name: "|".join(f"{one}|{_camel(one).lower()}" for one in many) for name, many in names.items()}
    yield from (name for name in names if re.search(rf"\b(?:{said[name]})\b", words))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
