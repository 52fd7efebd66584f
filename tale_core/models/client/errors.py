"""SDK and HTTP errors in our own words: every one becomes an error of our tree, and none of them holds a key.

What the network did (a time limit, a name, a refusal, TLS, a lost connection) and what is no answer; what the endpoint
itself says went wrong is read in `http_errors`. It sends nothing.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from tale_core.errors import (
    AddressNotAllowedError,
    AuthenticationFailedError,
    ConnectionFailedError,
    ConnectionRefusedByHostError,
    IncompleteAnswerError,
    ModelError,
    ModelTimeoutError,
    NameNotFoundError,
    NoSecureConnectionError,
    NotAnOpenAIEndpointError,
    RequestRejectedError,
    ServerDiedError,
)
from tale_core.i18n import t
from tale_core.models.client.events import StreamedError, WebPageError
from tale_core.models.client.http_errors import classify, look_at_address, sent_as_answer
from tale_core.models.client.retry import Failure
from tale_core.models.endpoints import Endpoint
from tale_core.text import plain

log = logging.getLogger(__name__)


def timed_out(endpoint: Endpoint, timeout_s: float, *, answering: bool) -> ModelTimeoutError:
    """The error for an endpoint that fell silent."""
    values = {"endpoint": endpoint.label, "seconds": timeout_s}
    return ModelTimeoutError(
        t("{endpoint} stopped in the middle of its answer and was silent for {seconds:g} s.", **values)
        if answering
        else t("{endpoint} accepted the request and was silent for {seconds:g} s.", **values),
        t("It may be busy or loading the model: try again, or raise TALE_REQUEST_TIMEOUT_S."),
    )


def died() -> ServerDiedError:
    """The error for an embedded server that went away."""
    return ServerDiedError(t("The model server stopped while answering."), t("The next question starts a new one."))


def causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and all that led to it."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [exc]
    while todo:
        one = todo.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


def is_timeout(chain: list[BaseException]) -> bool:
    """Whether somebody waited in vain."""
    import httpx2
    import openai

    return any(isinstance(e, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError) for e in chain)


def timeout(chain: list[BaseException], endpoint: Endpoint, timeout_s: float) -> Failure:
    """The failure for having waited in vain, for a connection or for an answer."""
    import httpx2

    if any(isinstance(e, httpx2.ConnectTimeout | httpx2.PoolTimeout) for e in chain):
        message = t("{endpoint} did not accept a connection in time.", endpoint=endpoint.label)
        return Failure(ModelTimeoutError(message, t("Check the address and the network, then try again.")), retry=True)
    return Failure(timed_out(endpoint, timeout_s, answering=False), retry=True)


def is_connection(chain: list[BaseException]) -> bool:
    """Whether the network or the server's end of it failed."""
    import httpx2
    import openai

    kinds = (openai.APIConnectionError, openai.WebSocketConnectionClosedError, httpx2.RequestError, httpx2.StreamError)
    return any(isinstance(e, (*kinds, OSError)) for e in chain)


def connection(chain: list[BaseException], endpoint: Endpoint) -> Failure:
    """The failure for a connection: no such name, refused, no TLS, or lost."""
    if endpoint.embedded:
        return Failure(died())
    host = urlsplit(endpoint.base_url).hostname or endpoint.label
    words = " ".join(str(e) for e in chain).lower()
    if any(isinstance(e, socket.gaierror) for e in chain) or "name or service not known" in words:
        again = any(isinstance(e, socket.gaierror) and e.errno == socket.EAI_AGAIN for e in chain)
        unknown = NameNotFoundError(
            t("The host name {host} was not found.", host=host), t("Check the spelling and the network.")
        )
        return Failure(unknown, retry=again)
    if any(isinstance(e, ConnectionRefusedError) for e in chain):
        message = t("Nothing answers at {endpoint}: connection refused.", endpoint=endpoint.label)
        refused = ConnectionRefusedByHostError(message, t("Start the server, or check the port."))
        return Failure(refused, retry=True)
    if any(isinstance(e, ssl.SSLError) for e in chain) or "ssl" in words or "certificate" in words:
        return Failure(_tls(chain, endpoint, host, words))
    return Failure(_lost(chain, endpoint), retry=True)


def _lost(chain: list[BaseException], endpoint: Endpoint) -> ConnectionFailedError:
    detail = plain(next((str(e) for e in reversed(chain) if str(e)), ""), endpoint.secret, limit=120).rstrip(".")
    values = {"endpoint": endpoint.label, "detail": detail}
    message = (
        t("The connection to {endpoint} was lost: {detail}.", **values)
        if detail
        else t("The connection to {endpoint} was lost.", **values)
    )
    return ConnectionFailedError(message, t("Try again; if it stays, check the network."))


def _tls(chain: list[BaseException], endpoint: Endpoint, host: str, words: str) -> NoSecureConnectionError:
    if "wrong_version_number" in words or "wrong version number" in words or "record layer" in words:
        return NoSecureConnectionError(
            t("{host} does not speak TLS at this port.", host=host), t("Try http:// instead of https://.")
        )
    found = next((e for e in chain if isinstance(e, ssl.SSLError)), None)
    reason = getattr(found, "verify_message", "") or getattr(found, "reason", "")
    detail = plain(reason or t("the TLS handshake failed"), endpoint.secret, limit=120)
    return NoSecureConnectionError(
        t("No secure connection to {host}: {detail}.", host=host, detail=detail.rstrip(".")),
        t("Its certificate is not trusted on this machine; SSL_CERT_FILE can name your own authority."),
    )


class AddressRefusedError(Exception):
    """A connection would lead where it may not; see `tale_core.models.client.guard`.

    Attributes:
        host: As it was asked for.
        metadata: It is refused to everybody.
    """

    def __init__(self, host: str, *, metadata: bool = False) -> None:
        super().__init__(host)
        self.host, self.metadata = host, metadata


class ResponseTooLongError(Exception):
    """The endpoint sent more than any answer needs."""


def to_failure(exc: BaseException, endpoint: Endpoint, *, timeout_s: float) -> Failure:
    """Any exception of the SDK or the HTTP library as ours.

    Args:
        exc: What was caught.
        endpoint: Whom we talked to; its key is taken out of every word.
        timeout_s: How long we waited, for the message.
    """
    import openai

    if isinstance(exc, ModelError):
        return Failure(exc, retry=isinstance(exc, ModelTimeoutError | IncompleteAnswerError))
    chain = list(causes(exc))
    if refused := next((e for e in chain if isinstance(e, AddressRefusedError)), None):
        return Failure(_off_limits(refused))
    if any(isinstance(e, ResponseTooLongError) for e in chain):
        return Failure(_far_too_much(endpoint))
    if isinstance(exc, openai.APIResponseValidationError):
        return Failure(not_openai(endpoint, t("its answer does not have the expected form")))
    if isinstance(exc, openai.APIStatusError):
        return _status(exc, endpoint)
    if is_timeout(chain):
        return timeout(chain, endpoint, timeout_s)
    if is_connection(chain):
        return connection(chain, endpoint)
    if isinstance(exc, openai.APIError):
        return sent_as_answer(exc.body if exc.body is not None else exc.message, endpoint)
    if isinstance(exc, StreamedError):
        return sent_as_answer(exc.body, endpoint)
    if isinstance(exc, WebPageError):
        return Failure(not_openai(endpoint, t("it sent a web page")))
    if isinstance(exc, openai.OpenAIError):
        return _other_sdk_error(exc, endpoint)
    log.info("An answer of %s could not be read: %s.", endpoint.label, type(exc).__name__)
    return Failure(not_openai(endpoint, t("its answer cannot be read")))


def _off_limits(refused: AddressRefusedError) -> AddressNotAllowedError:
    if refused.metadata:
        return AddressNotAllowedError(
            t("{host} leads to an address where no models are served.", host=refused.host),
            t("Give the address of a model server."),
        )
    return AddressNotAllowedError(
        t("{host} leads into a private network or to this machine, which is not open to everybody.", host=refused.host),
        t("Ask whoever runs this server: TALE_ALLOWED_ADDRESSES lists what may be reached."),
    )


def _far_too_much(endpoint: Endpoint) -> NotAnOpenAIEndpointError:
    return NotAnOpenAIEndpointError(
        t("{endpoint} sent far more than an answer.", endpoint=endpoint.label), look_at_address(endpoint)
    )


def not_openai(endpoint: Endpoint, why: str) -> NotAnOpenAIEndpointError:
    """The error for an answer that is not in the OpenAI format; `why` ends a sentence, in the reader's language."""
    return NotAnOpenAIEndpointError(
        t("{endpoint} is not an OpenAI-compatible endpoint: {why}.", endpoint=endpoint.label, why=why),
        look_at_address(endpoint),
    )


def incomplete(endpoint: Endpoint) -> ModelError:
    """The error for a stream that ended too early."""
    if endpoint.embedded:
        return died()
    return IncompleteAnswerError(
        t("The answer from {endpoint} broke off: the stream ended without a finish reason.", endpoint=endpoint.label),
        t("What arrived is kept but not graded; ask again."),
    )


def unreadable_part(endpoint: Endpoint) -> ModelError:
    """The error for an answer that began well and holds a part that is no JSON."""
    if endpoint.embedded:
        return died()
    return IncompleteAnswerError(
        t("The answer from {endpoint} broke off: a part of it cannot be read.", endpoint=endpoint.label),
        t("What arrived is kept but not graded; ask again."),
    )


def broke_off(endpoint: Endpoint, reason: str) -> ModelError:
    """The error for an answer that the endpoint itself says it could not finish."""
    return IncompleteAnswerError(
        t(
            "{endpoint} could not finish its answer: its finish reason is {reason!r}.",
            endpoint=endpoint.label,
            reason=plain(reason, endpoint.secret, limit=60),
        ),
        t("What arrived is kept but not graded; ask again."),
    )


def _status(exc: Any, endpoint: Endpoint) -> Failure:
    body = exc.body if exc.body is not None else ""
    with suppress(ValueError, RuntimeError):  # The SDK keeps the `error` alone; what stands beside it may tell more.
        body = exc.response.json()
    return classify(exc.status_code, body, endpoint, headers=exc.response.headers)


def _other_sdk_error(exc: Exception, endpoint: Endpoint) -> Failure:
    import openai

    told = plain(exc, endpoint.secret)
    if isinstance(exc, openai.LengthFinishReasonError | openai.ContentFilterFinishReasonError):
        message = t("{endpoint} did not finish its answer: {told}", endpoint=endpoint.label, told=told)
        return Failure(IncompleteAnswerError(message))
    if type(exc).__name__ == "SubjectTokenProviderError":  # not in the SDK's public namespace
        message = t("No access to {endpoint}: {told}", endpoint=endpoint.label, told=told)
        return Failure(AuthenticationFailedError(message, t("Check the key.")))
    message = t("The request to {endpoint} could not be made: {told}", endpoint=endpoint.label, told=told)
    return Failure(RequestRejectedError(message))
