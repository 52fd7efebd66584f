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
    NoSecureConnectionError,
    NotAnOpenAIEndpointError,
    PathNotFoundError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
)
from tale_core.i18n import N_, joined, t
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
    (NameNotFoundError, N_("The host name was not found")),
    (ConnectionRefusedByHostError, N_("Nothing listens at this address")),
    (NoSecureConnectionError, N_("No secure connection")),
    (ConnectionFailedError, N_("No connection")),
    (ModelTimeoutError, N_("No answer in time")),
    (AuthenticationFailedError, N_("Access refused: check the key")),
    (QuotaExhaustedError, N_("The account has no credit left")),
    (RateLimitedError, N_("The endpoint asks for fewer requests")),
    (ModelNotFoundError, N_("Model not found")),
    (NotAnOpenAIEndpointError, N_("This is not an OpenAI-compatible endpoint")),
    (RequestRejectedError, N_("The endpoint rejected a plain request")),
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
        # The endpoint's own words, which our sentence quotes as they are in every language.
        if "output limit was reached" not in e.message:
            raise


def _worked(
    endpoint: Endpoint, models: tuple[str, ...], latency_s: float, adjustments: tuple[str, ...]
) -> ConnectionReport:
    answered = {"model": endpoint.model, "endpoint": endpoint.label, "seconds": latency_s}
    notes = [t("{model} at {endpoint} answered in {seconds:.1f} s.", **answered)]
    if models and endpoint.model not in models:
        listed = _some(models)
        notes.append(
            t("It is not in the endpoint's list ({models}), so another model may have answered.", models=listed)
        )
    notes += [t("Note: {what}.", what=t(words)) for words in adjustments]
    return ConnectionReport(True, t("Connected"), joined(*notes), latency_s=latency_s, models=models)


def _failed(error: ModelError, models: tuple[str, ...]) -> ConnectionReport:
    headline = next((words for kind, words in _HEADLINES if isinstance(error, kind)), N_("The endpoint failed"))
    return ConnectionReport(False, t(headline), error.message, error.hint, models=models)


def _no_model(error: ModelNotFoundError, endpoint: Endpoint, models: tuple[str, ...]) -> ConnectionReport:
    if not models and isinstance(error, PathNotFoundError):
        return ConnectionReport(False, t("Nothing at this path"), error.message, error.hint)
    close = difflib.get_close_matches(endpoint.model, models, n=3, cutoff=0.5)
    # "llama3" for "meta-llama/llama3:latest" is too short for difflib's ratio.
    close += [m for m in models if endpoint.model.lower() in m.lower() and m not in close][: 3 - len(close)]
    if close:
        hint = t("Did you mean {names}?", names=t(" or ").join(close))
    elif models:
        hint = t("The endpoint lists: {models}.", models=_some(models))
    else:
        hint = error.hint
    return ConnectionReport(False, t("Model not found"), error.message, hint, models=models)


def _some(models: tuple[str, ...]) -> str:
    names, more = ", ".join(models[:_SHOWN_MODELS]), len(models) - _SHOWN_MODELS
    return t("{names} and {more} more", names=names, more=more) if more > 0 else names
