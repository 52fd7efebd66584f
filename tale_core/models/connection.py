"""Does an endpoint work, and if not, what is wrong with it? The "test connection" of the page and of `models check`.

Knows the client and what its errors mean to a person who is setting an endpoint up; stores nothing.
"""

from __future__ import annotations

import difflib
import time
from contextlib import aclosing
from dataclasses import dataclass

from tale_core.errors import (
    AuthenticationFailedError,
    ConnectionFailedError,
    ConnectionRefusedByHostError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    NameNotFoundError,
    NotAnOpenAIEndpointError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
)
from tale_core.models.client import OpenAIClient
from tale_core.models.client_retry import NO_RETRY
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings, get_settings
from tale_core.types import Message, Request, Sampling

TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
_SHOWN_MODELS = 8
_ASK = (Message("user", "Say OK."),)

_HEADLINES: tuple[tuple[type[ModelError], str], ...] = (
    (NameNotFoundError, "The host name was not found"),
    (ConnectionRefusedByHostError, "Nothing listens at this address"),
    (ConnectionFailedError, "No connection"),
    (ModelTimeoutError, "No answer in time"),
    (AuthenticationFailedError, "Access refused: check the key"),
    (QuotaExhaustedError, "The account has no credit left"),
    (RateLimitedError, "The endpoint asks for fewer requests"),
    (ModelNotFoundError, "Model not found"),
    (NotAnOpenAIEndpointError, "This is not an OpenAI-compatible endpoint"),
    (RequestRejectedError, "The endpoint rejected a plain request"),
)


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """What a connection test found. No word of it holds a key.

    Attributes:
        ok: The model answered.
        headline: The finding, a few words.
        detail: What happened, in a sentence.
        hint: What to do next; "" when there is nothing to do.
        latency_s: Seconds the one-token answer took; None when there was none.
        models: Names the endpoint lists; empty when it lists none.
    """

    ok: bool
    headline: str
    detail: str
    hint: str = ""
    latency_s: float | None = None
    models: tuple[str, ...] = ()


async def check(endpoint: Endpoint, *, settings: Settings | None = None) -> ConnectionReport:
    """Ask for the list of models, then for one token. Costs next to nothing and never retries.

    An endpoint without a list of models is fine as long as it answers. Never raises for what an endpoint does.

    Args:
        endpoint: Whom to test.
        settings: Time limits; shortened to 5 s for connecting and 20 s for an answer.
    """
    settings = settings or get_settings()
    short = settings.model_copy(
        update={
            "connect_timeout_s": min(CONNECT_TIMEOUT_S, settings.connect_timeout_s),
            "request_timeout_s": min(TIMEOUT_S, settings.request_timeout_s),
        }
    )
    client = OpenAIClient(endpoint, settings=short, retry=NO_RETRY)
    try:
        return await _check(client, endpoint)
    finally:
        await client.aclose()


async def _check(client: OpenAIClient, endpoint: Endpoint) -> ConnectionReport:
    models: tuple[str, ...] = ()
    try:
        models = await client.models()
    except (ConnectionFailedError, ModelTimeoutError, AuthenticationFailedError) as e:
        return _failed(e, models)
    except ModelError:
        pass  # many servers have no such list; the call below decides
    started = time.monotonic()
    try:
        await _one_token(client, reasoning=endpoint.reasoning)
    except ModelNotFoundError as e:
        return _no_model(e, endpoint, models)
    except ModelError as e:
        return _failed(e, models)
    return _worked(endpoint, models, time.monotonic() - started, client.adjustments)


async def _one_token(client: OpenAIClient, *, reasoning: bool) -> None:
    # A reasoning model that may write one token only spends it on thinking, and OpenAI calls that an error.
    request = Request(_ASK, Sampling(max_tokens=16 if reasoning else 1))
    try:
        async with aclosing(client.stream(request)) as stream:
            async for _ in stream:
                pass
    except RequestRejectedError as e:
        if "output limit was reached" not in e.message:
            raise


def _worked(
    endpoint: Endpoint, models: tuple[str, ...], latency_s: float, adjustments: tuple[str, ...]
) -> ConnectionReport:
    notes = [f"{endpoint.model} at {endpoint.label} answered in {latency_s:.1f} s."]
    if models and endpoint.model not in models:
        notes.append(f"It is not in the endpoint's list ({_some(models)}), so another model may have answered.")
    notes += [f"Note: {words}." for words in adjustments]
    return ConnectionReport(True, "Connected", " ".join(notes), latency_s=latency_s, models=models)


def _failed(error: ModelError, models: tuple[str, ...]) -> ConnectionReport:
    headline = next((words for kind, words in _HEADLINES if isinstance(error, kind)), "The endpoint failed")
    if isinstance(error, ConnectionFailedError) and "secure" in error.message.lower():
        headline = "No secure connection"
    return ConnectionReport(False, headline, error.message, error.hint, models=models)


def _no_model(error: ModelNotFoundError, endpoint: Endpoint, models: tuple[str, ...]) -> ConnectionReport:
    if not models and "path" in error.message:
        return ConnectionReport(False, "Nothing at this path", error.message, error.hint)
    close = difflib.get_close_matches(endpoint.model, models, n=3, cutoff=0.5)
    # "llama3" for "meta-llama/llama3:latest" is too short for difflib's ratio.
    close += [m for m in models if endpoint.model.lower() in m.lower() and m not in close][: 3 - len(close)]
    if close:
        hint = f"Did you mean {' or '.join(close)}?"
    elif models:
        hint = f"The endpoint lists: {_some(models)}."
    else:
        hint = error.hint
    return ConnectionReport(False, "Model not found", error.message, hint, models=models)


def _some(models: tuple[str, ...]) -> str:
    more = len(models) - _SHOWN_MODELS
    return ", ".join(models[:_SHOWN_MODELS]) + (f" and {more} more" if more > 0 else "")
