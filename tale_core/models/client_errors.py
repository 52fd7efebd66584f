"""SDK and HTTP errors in our own words: every one becomes an error of our tree, and none of them holds a key.

Knows the SDK's exceptions and what endpoints put into error bodies; sends nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from tale_core.errors import (
    AuthenticationFailedError,
    ContextTooLongError,
    IncompleteAnswerError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    NotAnOpenAIEndpointError,
    PathNotFoundError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    ServerFailedError,
)
from tale_core.i18n import joined, t
from tale_core.models.client_network import causes, connection, died, is_connection, is_timeout, timeout
from tale_core.models.client_retry import Failure, retry_after
from tale_core.models.client_secrets import plain
from tale_core.models.endpoints import Endpoint

log = logging.getLogger(__name__)
RETRY_STATUS = frozenset({408, 409, 425, 429})
_QUOTA = re.compile(r"insufficient_quota|billing_hard_limit|exceeded your current quota|credit balance|quota exhausted")
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context|context (?:length|size|window)|"
    r"prompt is too long|too many (?:input )?tokens"
)
_KINDS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"rate.?limit|too many requests"), 429),
    (re.compile(r"invalid.?api.?key|authentication|unauthori[sz]ed|incorrect api key"), 401),
    (re.compile(r"model.?not.?found|no such model|does not exist"), 404),
    (re.compile(r"overloaded|server.?error|unavailable|internal"), 503),
    (re.compile(r"invalid.?request|bad.?request|unsupported"), 400),
)


class StreamedError(Exception):
    """An error object that came as a chunk of a stream (status 200)."""

    def __init__(self, body: object) -> None:
        super().__init__("The stream held an error object.")
        self.body = body


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
    if isinstance(exc, openai.OpenAIError):
        return _other_sdk_error(exc, endpoint)
    log.info("An answer of %s could not be read: %s.", endpoint.label, type(exc).__name__)
    return Failure(not_openai(endpoint, t("its answer cannot be read")))


def _look_at_address() -> str:
    return t("Check the address: for most servers it ends in /v1.")


def _far_too_much(endpoint: Endpoint) -> NotAnOpenAIEndpointError:
    return NotAnOpenAIEndpointError(
        t("{endpoint} sent far more than an answer.", endpoint=endpoint.label), _look_at_address()
    )


def not_openai(endpoint: Endpoint, why: str) -> NotAnOpenAIEndpointError:
    """The error for an answer that is not in the OpenAI format; `why` ends a sentence, in the reader's language."""
    return NotAnOpenAIEndpointError(
        t("{endpoint} is not an OpenAI-compatible endpoint: {why}.", endpoint=endpoint.label, why=why),
        _look_at_address(),
    )


def incomplete(endpoint: Endpoint) -> ModelError:
    """The error for a stream that ended too early."""
    if endpoint.embedded:
        return died()
    return IncompleteAnswerError(
        t("The answer from {endpoint} broke off: the stream ended without a finish reason.", endpoint=endpoint.label),
        t("What arrived is kept but not graded; ask again."),
    )


def _status(exc: Any, endpoint: Endpoint) -> Failure:
    body = exc.body if exc.body is not None else ""
    return classify(exc.status_code, body, endpoint, headers=exc.response.headers)


def _body(body: object, endpoint: Endpoint) -> Failure:
    """An error object without an HTTP status: it came inside a stream."""
    fields = body if isinstance(body, Mapping) else {}
    code = fields.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    if isinstance(code, str) and code.isdigit() and 400 <= int(code) < 600:
        status = int(code)
    words = f"{code} {fields.get('type')} {fields.get('message', body)}".lower()
    guess = next((number for pattern, number in _KINDS if pattern.search(words)), 500)
    return classify(status or guess, body, endpoint, headers={})


def classify(status: int, body: object, endpoint: Endpoint, *, headers: Mapping[str, str]) -> Failure:
    """An HTTP status and an error body as one of our errors."""
    fields = body if isinstance(body, Mapping) else {}
    said = fields.get("message") or fields.get("detail") or (body if not fields else "")
    told = plain(said, endpoint.secret)
    words = f"{fields.get('code')} {fields.get('type')} {plain(said, endpoint.secret, limit=4000)}".lower()
    quote = t("It says: {told}", told=told) if told else ""
    name = fields.get("param")
    wait = retry_after(headers)
    return Failure(
        error=_by_status(status, words, quote, endpoint, headers, wait),
        retry=(status in RETRY_STATUS or status >= 500) and not _QUOTA.search(words),
        wait_s=wait,
        status=status,
        param=name if isinstance(name, str) else None,
        words=words,
    )


def _by_status(
    status: int, words: str, quote: str, endpoint: Endpoint, headers: Mapping[str, str], wait: float | None
) -> ModelError:
    who = endpoint.label
    if status < 400:
        target = plain(headers.get("location", ""), endpoint.secret, limit=200).split("?")[0]
        return NotAnOpenAIEndpointError(
            t(
                "{endpoint} sends us elsewhere ({where}); redirects are not followed.",
                endpoint=who,
                where=f"{status}: {target}" if target else status,
            ),
            t("If you trust that address, enter it as the endpoint's."),
        )
    if status == 401 or (status == 403 and not _QUOTA.search(words)):
        if endpoint.secret:
            message = t("{endpoint} refused access ({status}): the key was refused.", endpoint=who, status=status)
        else:
            message = t("{endpoint} refused access ({status}): no key was sent.", endpoint=who, status=status)
        return AuthenticationFailedError(joined(message, quote), t("Check the key."))
    if _QUOTA.search(words) or status == 402:
        message = t("The account at {endpoint} has no credit left.", endpoint=who)
        return QuotaExhaustedError(joined(message, quote), t("Add credit; waiting is no help."))
    if status == 404:
        return _not_found(words, quote, endpoint)
    if status == 429:
        message = t("{endpoint} asks for fewer requests (429).", endpoint=who)
        asked = t("It asks to wait {seconds:g} s.", seconds=wait) if wait is not None else ""
        return RateLimitedError(joined(message, asked, quote), t("Wait a little, then ask again."), retry_after_s=wait)
    if status == 408:
        return ModelTimeoutError(joined(t("{endpoint} gave up waiting (408).", endpoint=who), quote), t("Try again."))
    if status >= 500 or status == 409:
        message = t("{endpoint} failed ({status}).", endpoint=who, status=status)
        return ServerFailedError(joined(message, quote), t("Try again later."))
    if _CONTEXT.search(words):
        return ContextTooLongError(
            joined(t("The question and the answer's cap do not fit into the context."), quote),
            t("Shorten the question or lower the cap on tokens (--max-tokens)."),
        )
    message = t("{endpoint} rejected the request ({status}).", endpoint=who, status=status)
    return RequestRejectedError(joined(message, quote), t("Change the setting it names."))


def _not_found(words: str, quote: str, endpoint: Endpoint) -> ModelNotFoundError:
    if "model" in words:
        message = t("{endpoint} has no model called {model!r}.", endpoint=endpoint.label, model=endpoint.model)
        return ModelNotFoundError(
            joined(message, quote), t("Check the name; the connection test lists the models there are.")
        )
    message = t("{endpoint} answers, but has no chat completions at this path (404).", endpoint=endpoint.label)
    return PathNotFoundError(joined(message, quote), _look_at_address())


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
