"""SDK and HTTP errors in our own words: every one becomes an error of our tree, and none of them holds a key.

First what the network did (a time limit, a name, a refusal, TLS, a lost connection), then what the endpoint answered: a
status and a body, in whatever words. It sends nothing.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tale_core.errors import (
    AddressNotAllowedError,
    AuthenticationFailedError,
    ConnectionFailedError,
    ConnectionRefusedByHostError,
    ContextTooLongError,
    IncompleteAnswerError,
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
    ServerDiedError,
    ServerFailedError,
)
from tale_core.i18n import joined, t
from tale_core.models.client.bodies import read_error
from tale_core.models.client.events import StreamedError, WebPageError
from tale_core.models.client.retry import Failure, reset_after, retry_after, retry_order
from tale_core.models.endpoint_url import likely_address
from tale_core.models.endpoints import Endpoint
from tale_core.text import plain

log = logging.getLogger(__name__)
RETRY_STATUS = frozenset({408, 409, 425, 429})
_NO_CREDIT = re.compile(
    r"insufficient_quota|billing_hard_limit|credit balance|quota exhausted|"
    r"insufficient.{0,3}(?:balance|credits?|funds?)|no credits? (?:left|remaining)|out of credits?|"
    r"payment required|arrearage|余额不足|欠费"
)
_SPENT_QUOTA = re.compile(r"exceeded your current quota")
_PER_DAY = re.compile(r"per.?day|daily|\b[rt]pd\b")
_LOADING = re.compile(
    r"loading (?:the )?model|model\b.{0,80}\b(?:is|still) (?:currently |still )*(?:loading|being loaded)\b|"
    r"still loading|currently loading|model_?(?:is_)?loading|warming up|is starting up"
)
_NOT_LOADED = re.compile(
    r"no (?:active )?models? (?:is |are )?loaded|\bnot (?:yet )?loaded\b|"
    r"(?:fail\w*|error|unable|cannot|could not) (?:to |while |when )?load"
)
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context|context (?:length|size|window)|"
    r"prompt is too long|too many (?:input )?tokens"
)
_KEY = re.compile(
    r"invalid.?api.?key|api.?key.{0,12}(?:not valid|invalid|incorrect|expired|missing|required)|incorrect api key|"
    r"no api key|authentication|unauthori[sz]ed|invalid.{0,10}(?:token|credential)s?\b"
)
_FILTER = re.compile(
    r"content_filter|content management policy|content_policy_violation|responsibleaipolicy|data_inspection_failed"
)
_PATH = re.compile(
    r"unexpected endpoint|unknown (?:request )?(?:url|endpoint|path)|invalid url|no route|cannot post|"
    r"(?:route|path|url|endpoint).{0,40} (?:not found|does not exist|is not found)|404 page not found"
)
NOT_CHAT = re.compile(
    r"\bresponses\b.{0,20}(?:api|endpoint)|v1/responses|/responses\b|not a chat model|"
    r"chat.?completions? operation does not work with the specified model"
)
"""The model is there and does not do chat completions."""
_KINDS: tuple[tuple[re.Pattern[str], int], ...] = (
    (_NO_CREDIT, 402),
    (_FILTER, 400),
    (re.compile(r"rate.?(?:limit|quota)|too many requests|throttl|resource_exhausted"), 429),
    (re.compile(r"invalid.?api.?key|authentication|unauthori[sz]ed|incorrect api key"), 401),
    (_PATH, 404),
    (re.compile(r"model.?not.?found|no such model|does not exist"), 404),
    (re.compile(r"overloaded|server.?error|unavailable|internal"), 503),
    (_CONTEXT, 400),
    (re.compile(r"invalid.?request|bad.?request|unsupported"), 400),
)


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
        return _body(exc.body if exc.body is not None else exc.message, endpoint)
    if isinstance(exc, StreamedError):
        return _body(exc.body, endpoint)
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


def look_at_address(endpoint: Endpoint) -> str:
    """What to do where a server answers, but not at this path."""
    if (better := likely_address(endpoint.base_url)) is not None:
        return t("Check the address: for most servers it ends in /v1, here {address}.", address=better)
    return t("Check the address: for most servers it ends in /v1.")


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


def _body(body: object, endpoint: Endpoint) -> Failure:
    """An error object that came with status 200: what it says must tell what it is."""
    said = read_error(body)
    guess = next((number for pattern, number in _KINDS if pattern.search(said.words)), 500)
    return classify(said.status or guess, body, endpoint, headers={}, sent=said.status is not None)


def classify(
    status: int, body: object, endpoint: Endpoint, *, headers: Mapping[str, str], sent: bool = True
) -> Failure:
    """An HTTP status and an error body as one of our errors.

    Args:
        status: What kind of error it is.
        body: What came with it.
        endpoint: Who sent it.
        headers: Likewise.
        sent: The endpoint itself gave this number; else no sentence names it.
    """
    said = read_error(body)
    wait = _first(retry_after(headers), said.wait_s, reset_after(headers) if status == 429 else None)
    number = t(" ({status})", status=status) if sent else ""
    seen = _Seen(status, number, said.words, plain(said.message, endpoint.secret), wait)
    loading = (status >= 500 or status == 425) and seen.loading
    may_help = (status in RETRY_STATUS or status >= 500) and not seen.useless
    orders = retry_order(headers)
    return Failure(
        error=_by_status(seen, endpoint, headers),
        retry=may_help if orders is None or (orders and seen.no_credit) else orders,
        wait_s=wait,
        status=status,
        param=said.param,
        words=said.words,
        loading=loading,
        filtered=status < 500 and _FILTER.search(said.words) is not None,
    )


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """An error as it came: its kind, its number for a sentence, the endpoint's words, and the wait it asks for."""

    status: int
    number: str
    words: str
    message: str
    wait: float | None

    @property
    def quote(self) -> str:
        told = self.message if self.message[-1:] in ".!?…。！？" else f"{self.message}."  # A sentence follows.
        return t("It says: {told}", told=told) if self.message else ""

    @property
    def no_credit(self) -> bool:
        # Google says so of a limit per minute too, and then how long to wait.
        spent = bool(_SPENT_QUOTA.search(self.words)) and self.wait is None
        return self.status == 402 or bool(_NO_CREDIT.search(self.words)) or spent

    @property
    def per_day(self) -> bool:
        return self.status == 429 and self.wait is None and bool(_PER_DAY.search(self.words))

    @property
    def useless(self) -> bool:
        """Asking again is no use."""
        return self.no_credit or self.per_day or self.not_loaded

    @property
    def not_loaded(self) -> bool:
        return bool(_NOT_LOADED.search(self.message.lower()))

    @property
    def loading(self) -> bool:
        return not self.not_loaded and bool(_LOADING.search(self.words))


def _by_status(seen: _Seen, endpoint: Endpoint, headers: Mapping[str, str]) -> ModelError:
    status, words, quote, who = seen.status, seen.words, seen.quote, endpoint.label
    if status < 400:
        return _sent_elsewhere(status, endpoint, headers)
    if seen.no_credit:
        message = t("The account at {endpoint} has no credit left.", endpoint=who)
        return QuotaExhaustedError(joined(message, quote), t("Add credit; waiting is no help."))
    if status in (401, 403) or (status == 400 and _KEY.search(words)):
        return _refused(seen, endpoint)
    if status in (400, 404, 405, 422) and NOT_CHAT.search(words):
        message = t("{model} at {endpoint} does not answer chat completions.", model=endpoint.model, endpoint=who)
        return RequestRejectedError(joined(message, quote), t("Choose a model for chat."))
    if status in (404, 405):
        return _not_found(seen, endpoint)
    if status == 429:
        return _too_many(seen, endpoint)
    if status == 408:
        message = t("{endpoint} gave up waiting{number}.", endpoint=who, number=seen.number)
        return ModelTimeoutError(joined(message, quote), t("Try again."))
    if status >= 500 or status == 409:
        return _failed(seen, endpoint)
    return _rejected(seen, endpoint)


def _sent_elsewhere(status: int, endpoint: Endpoint, headers: Mapping[str, str]) -> ModelError:
    target = plain(headers.get("location", ""), endpoint.secret, limit=200).split("?")[0]
    return NotAnOpenAIEndpointError(
        t(
            "{endpoint} sends us elsewhere ({where}); redirects are not followed.",
            endpoint=endpoint.label,
            where=f"{status}: {target}" if target else status,
        ),
        t("If you trust that address, enter it as the endpoint's."),
    )


def _refused(seen: _Seen, endpoint: Endpoint) -> ModelError:
    said = {"endpoint": endpoint.label, "number": seen.number}
    if endpoint.secret:
        message = t("{endpoint} refused access{number}: the key was refused.", **said)
    else:
        message = t("{endpoint} refused access{number}: no key was sent.", **said)
    return AuthenticationFailedError(joined(message, seen.quote), t("Check the key."))


def _too_many(seen: _Seen, endpoint: Endpoint) -> ModelError:
    message = t("{endpoint} asks for fewer requests{number}.", endpoint=endpoint.label, number=seen.number)
    if seen.per_day:
        hint = t("The limit is one for a whole day: ask again tomorrow, or use another account.")
        return RateLimitedError(joined(message, seen.quote), hint)
    asked = t("It asks to wait {seconds:g} s.", seconds=seen.wait) if seen.wait is not None else ""
    hint = t("Wait a little, then ask again.")
    return RateLimitedError(joined(message, asked, seen.quote), hint, retry_after_s=seen.wait)


def _failed(seen: _Seen, endpoint: Endpoint) -> ModelError:
    message = (
        t("{endpoint} failed{number}.", endpoint=endpoint.label, number=seen.number)
        if seen.number
        else t("{endpoint} reports an error.", endpoint=endpoint.label)
    )
    if seen.not_loaded:
        hint = t("Load the model there, then ask again.")
    elif seen.loading:
        hint = t("Ask again when it has loaded the model.")
    else:
        hint = t("Try again later.")
    return ServerFailedError(joined(message, seen.quote), hint)


def _rejected(seen: _Seen, endpoint: Endpoint) -> ModelError:
    if _CONTEXT.search(seen.words):
        return ContextTooLongError(
            joined(t("The question and the answer's cap do not fit into the context."), seen.quote),
            t("Shorten the question or lower the cap on tokens (--max-tokens)."),
        )
    message = t("{endpoint} rejected the request{number}.", endpoint=endpoint.label, number=seen.number)
    return RequestRejectedError(joined(message, seen.quote), t("Change the setting it names."))


def _not_found(seen: _Seen, endpoint: Endpoint) -> ModelNotFoundError:
    who = endpoint.label
    if "deployment" in seen.words:
        message = t("{endpoint} has no deployment called {model!r}.", endpoint=who, model=endpoint.model)
        return ModelNotFoundError(joined(message, seen.quote), t("Check the deployment's name in the portal."))
    if "model" in seen.words and seen.status != 405 and not _PATH.search(seen.words):
        message = t("{endpoint} has no model called {model!r}.", endpoint=who, model=endpoint.model)
        return ModelNotFoundError(
            joined(message, seen.quote), t("Check the name; the connection test lists the models there are.")
        )
    message = t("{endpoint} answers, but has no chat completions at this path{number}.", endpoint=who,
                number=seen.number)  # fmt: skip
    return PathNotFoundError(joined(message, seen.quote), look_at_address(endpoint))


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
