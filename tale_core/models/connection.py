"""Does an endpoint work, and if not, what is wrong with it? The "test connection" of the page and of `models check`.

It stores nothing.
"""

from __future__ import annotations

import difflib
import re
import time
from contextlib import aclosing
from dataclasses import dataclass, replace

from tale_core.errors import (
    AddressNotAllowedError,
    AuthenticationFailedError,
    ConnectionFailedError,
    ConnectionRefusedByHostError,
    ContextTooLongError,
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
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.endpoint_url import likely_address
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings, get_settings
from tale_core.types import Message, Request, Sampling

TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
_SHOWN_MODELS = 8
_CAPS = (1, 16, 128)
_TOO_SMALL = re.compile(r"minimum|at least|greater|>=|≥|above|below|too (?:small|low)|positive|range|between|less than")
_ASK = (Message("user", "Say OK."),)

_HEADLINES: tuple[tuple[type[ModelError], str], ...] = (
    (AddressNotAllowedError, N_("This address may not be reached from here")),
    (NameNotFoundError, N_("The host name was not found")),
    (ConnectionRefusedByHostError, N_("Nothing listens at this address")),
    (NoSecureConnectionError, N_("No secure connection")),
    (ConnectionFailedError, N_("No connection")),
    (ModelTimeoutError, N_("No answer in time")),
    (AuthenticationFailedError, N_("Access refused: check the key")),
    (QuotaExhaustedError, N_("The account has no credit left")),
    (RateLimitedError, N_("The endpoint asks for fewer requests")),
    (PathNotFoundError, N_("Nothing at this path")),
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
        latency_s: Seconds the short answer took; None when there was none.
        models: Names the endpoint lists; empty when it lists none.
    """

    ok: bool
    headline: str
    detail: str
    hint: str = ""
    latency_s: float | None = None
    models: tuple[str, ...] = ()


async def check(endpoint: Endpoint, *, settings: Settings | None = None) -> ConnectionReport:
    """Ask for the list of models, then for a token or a few. Costs next to nothing and never retries.

    An endpoint without a list of models is fine as long as it answers. Never raises for what an endpoint does.

    Args:
        endpoint: Whom to test.
        settings: Time limits; shortened to 5 s for connecting and 20 s for an answer.
    """
    client = OpenAIClient(endpoint, settings=_short(settings or get_settings()), retry=NO_RETRY)
    try:
        return await _check(client, endpoint)
    finally:
        await client.aclose()


def _short(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "connect_timeout_s": min(CONNECT_TIMEOUT_S, settings.connect_timeout_s),
            "request_timeout_s": min(TIMEOUT_S, settings.request_timeout_s),
        }
    )


async def _check(client: OpenAIClient, endpoint: Endpoint) -> ConnectionReport:
    models: tuple[str, ...] = ()
    try:
        models = await client.models()
    except (ConnectionFailedError, ModelTimeoutError) as e:
        return _failed(e, models)
    except ModelError:
        pass  # many servers have no such list, or not for this key; the call below decides
    started = time.monotonic()
    try:
        await _few_tokens(client, reasoning=endpoint.reasoning)
    except PathNotFoundError as e:
        return await _elsewhere(e, endpoint, models)
    except ModelNotFoundError as e:
        return _no_model(e, endpoint, models)
    except NotAnOpenAIEndpointError as e:
        return await _elsewhere(e, endpoint, models)
    except ModelError as e:
        return _failed(e, models)
    return _worked(endpoint, models, time.monotonic() - started, client.adjustments)


async def _few_tokens(client: OpenAIClient, *, reasoning: bool) -> None:
    """Ask for as little as the endpoint lets us: some refuse a cap that is very small."""
    # A reasoning model that may write one token only spends it on thinking, and OpenAI calls that an error.
    for cap in _CAPS[1:] if reasoning else _CAPS:
        request = Request(_ASK, Sampling(max_tokens=cap))
        try:
            async with aclosing(client.stream(request)) as stream:
                async for _ in stream:
                    pass
            return
        except ContextTooLongError:
            raise
        except RequestRejectedError as e:
            # The endpoint's own words, which our sentence quotes as they are in every language.
            if "output limit was reached" in e.message:
                return
            if cap == _CAPS[-1] or not _TOO_SMALL.search(e.message.lower()):
                raise


def _worked(
    endpoint: Endpoint, models: tuple[str, ...], latency_s: float, adjustments: tuple[str, ...]
) -> ConnectionReport:
    answered = {"model": endpoint.model, "endpoint": endpoint.label, "seconds": latency_s}
    notes = [t("{model} at {endpoint} answered in {seconds:.1f} s.", **answered)]
    if models and not any(_same_name(endpoint.model, name) for name in models):
        listed = _some(models)
        notes.append(
            t("It is not in the endpoint's list ({models}), so another model may have answered.", models=listed)
        )
    notes += [t("Note: {what}.", what=t(words)) for words in adjustments]
    return ConnectionReport(True, t("Connected"), joined(*notes), latency_s=latency_s, models=models)


def _same_name(one: str, other: str) -> bool:
    """Google lists its models as paths, Ollama with a tag that may be left out."""
    return one.removeprefix("models/").removesuffix(":latest") == other.removeprefix("models/").removesuffix(":latest")


def _failed(error: ModelError, models: tuple[str, ...]) -> ConnectionReport:
    headline = next((words for kind, words in _HEADLINES if isinstance(error, kind)), N_("The endpoint failed"))
    return ConnectionReport(False, t(headline), error.message, error.hint, models=models)


async def _elsewhere(
    error: PathNotFoundError | NotAnOpenAIEndpointError, endpoint: Endpoint, models: tuple[str, ...]
) -> ConnectionReport:
    """What is wrong with a path; the address that is probably meant is tried, without a key, and told if it answers."""
    if isinstance(error, PathNotFoundError) and models:
        return _no_model(error, endpoint, models)
    better = likely_address(endpoint.base_url)
    if better is None or not await _lists_models(replace(endpoint, base_url=better, label=better, api_key=None)):
        return _failed(error, models)
    hint = t("{address} answers: give that address.", address=better)
    headline = next(words for kind, words in _HEADLINES if isinstance(error, kind))
    return ConnectionReport(False, t(headline), error.message, hint, models=models)


async def _lists_models(endpoint: Endpoint) -> bool:
    client = OpenAIClient(endpoint, settings=_short(get_settings()), retry=NO_RETRY)
    try:
        return bool(await client.models())
    except AuthenticationFailedError:
        return True  # It wants a key before it tells anything: there is something.
    except ModelError:
        return False
    finally:
        await client.aclose()


def _no_model(error: ModelNotFoundError, endpoint: Endpoint, models: tuple[str, ...]) -> ConnectionReport:
    others = tuple(name for name in models if name != endpoint.model)
    close = difflib.get_close_matches(endpoint.model, others, n=3, cutoff=0.5)
    # "llama3" for "meta-llama/llama3:latest" is too short for difflib's ratio.
    close += [m for m in others if endpoint.model.lower() in m.lower() and m not in close][: 3 - len(close)]
    if close:
        hint = t("Did you mean {names}?", names=t(" or ").join(close))
    elif others:
        hint = t("The endpoint lists: {models}.", models=_some(others))
    else:
        hint = error.hint
    return ConnectionReport(False, t("Model not found"), error.message, hint, models=models)


def _some(models: tuple[str, ...]) -> str:
    names, more = ", ".join(models[:_SHOWN_MODELS]), len(models) - _SHOWN_MODELS
    return t("{names} and {more} more", names=names, more=more) if more > 0 else names
