"""What went wrong on the way to an endpoint: silence, an unknown name, a refused, insecure or lost connection.

Knows the exceptions of sockets, TLS and the HTTP library; knows nothing of what an endpoint says.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from tale_core.errors import (
    ConnectionFailedError,
    ConnectionRefusedByHostError,
    ModelTimeoutError,
    NameNotFoundError,
    NoSecureConnectionError,
    ServerDiedError,
)
from tale_core.i18n import t
from tale_core.models.client_retry import Failure
from tale_core.models.client_secrets import plain
from tale_core.models.endpoints import Endpoint


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
