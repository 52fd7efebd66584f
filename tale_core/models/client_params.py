"""Which parameters an endpoint is sent, and what was learnt about those it refuses.

Knows our sampling settings and the endpoints' ways of refusing one; sends nothing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tale_core.errors import AdapterNotLoadedError
from tale_core.i18n import N_, t
from tale_core.models.endpoints import Endpoint
from tale_core.types import Request

# o1, o3-mini, gpt-5, gpt-6-sol, openai/gpt-5.4 …: OpenAI's reasoning models refuse max_tokens and a temperature.
_OPENAI_REASONING = re.compile(r"^(?:openai/)?(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat-latest))")
_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|not allowed|forbidden|"
    r"not available|deprecated|only the default|not accepted|no such|instead"
)
_DROPPABLE = ("stream_options", "temperature", "top_p", "seed", "reasoning_effort")
# Kept with each call as they stand here, in English; whoever says them translates them.
_WORDS = {
    "temperature": N_("temperature was not accepted and is left to the endpoint"),
    "top_p": N_("top_p was not accepted and is left to the endpoint"),
    "seed": N_("seed was not accepted: the same question may give another answer each time"),
    "reasoning_effort": N_("reasoning_effort was not accepted and is left to the endpoint"),
    "stream_options": N_("the endpoint reports no token counts with a stream; they are our own estimates"),
}
_STARTS_WITHOUT_TEMPERATURE = N_("temperature and top_p are not sent to a reasoning model")


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is known about one model at one endpoint.

    Attributes:
        dropped: Parameters that are not sent.
        renamed: True when max_tokens goes by the name of max_completion_tokens.
        words: What was left out, for people; `t` them where they are said.
    """

    dropped: frozenset[str] = frozenset()
    renamed: bool = False
    words: tuple[str, ...] = field(default=())

    def without(self, parameter: str) -> Learnt:
        """The same, and this parameter is not sent (max_tokens: sent by its newer name)."""
        if parameter == "max_tokens":
            return replace(self, renamed=True)
        return replace(self, dropped=self.dropped | {parameter}, words=(*self.words, _WORDS[parameter]))


_learnt: dict[tuple[str, str], Learnt] = {}
_lock = threading.Lock()


def learnt(endpoint: Endpoint) -> Learnt:
    """What this process knows about the model; for OpenAI's reasoning models something from the start."""
    known = _learnt.get((endpoint.base_url, endpoint.model))
    if known is not None:
        return known
    if _OPENAI_REASONING.match(endpoint.model):
        return Learnt(frozenset({"temperature", "top_p"}), renamed=True, words=(_STARTS_WITHOUT_TEMPERATURE,))
    return Learnt()


def learn(endpoint: Endpoint, parameter: str) -> None:
    """Remember for this process that the endpoint refuses a parameter."""
    with _lock:
        _learnt[endpoint.base_url, endpoint.model] = learnt(endpoint).without(parameter)


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
        "max_completion_tokens" if known.renamed else "max_tokens": sampling.max_tokens,
        "reasoning_effort": sampling.reasoning_effort,
        "stream_options": {"include_usage": True},
    }
    sent = {name: value for name, value in wanted.items() if value is not None and name not in known.dropped}
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    return {"model": endpoint.model, "messages": messages, "stream": True, **sent, **_lora(request.adapter, endpoint)}


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


def refused(sent: dict[str, Any], *, status: int | None, param: str | None, words: str) -> str | None:
    """The one parameter of `sent` that this answer refuses as such, or None.

    A refused *value* is not a refused parameter: a temperature of 9 or a cap above the model's limit is the caller's to
    change, and an effort level that the model does not have must not silently become another one.

    Args:
        sent: The request's arguments.
        status: HTTP status of the refusal.
        param: The parameter that the error names.
        words: The error's code, type and message in lower case.
    """
    if status not in (400, 422) or not _UNSUPPORTED.search(words):
        return None
    for name in _named(sent, param, words):
        if name == "reasoning_effort" and re.search(r"unsupported[ _]value|supported values", words):
            return None
        return name
    return None


def _named(sent: dict[str, Any], param: str | None, words: str) -> Iterator[str]:
    if "max_tokens" in sent and (param == "max_tokens" or re.search(r"\bmax_tokens\b", words)):
        yield "max_tokens"
    for name in _DROPPABLE:
        if name in sent and (param == name or (param or "").startswith(f"{name}.")):
            yield name
    for name in _DROPPABLE:
        if name in sent and re.search(rf"\b{name}\b", words):
            yield name
