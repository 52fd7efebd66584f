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
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    ServerFailedError,
)
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
        return Failure(NotAnOpenAIEndpointError(f"{endpoint.label} sent far more than an answer.", _LOOK_AT_ADDRESS))
    if isinstance(exc, openai.APIResponseValidationError):
        return Failure(not_openai(endpoint, "its answer does not have the expected form"))
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
    return Failure(not_openai(endpoint, "its answer cannot be read"))


_LOOK_AT_ADDRESS = "Check the address: for most servers it ends in /v1."


def not_openai(endpoint: Endpoint, why: str) -> NotAnOpenAIEndpointError:
    """The error for an answer that is not in the OpenAI format."""
    return NotAnOpenAIEndpointError(f"{endpoint.label} is not an OpenAI-compatible endpoint: {why}.", _LOOK_AT_ADDRESS)


def incomplete(endpoint: Endpoint) -> ModelError:
    """The error for a stream that ended too early."""
    if endpoint.embedded:
        return died()
    return IncompleteAnswerError(
        f"The answer from {endpoint.label} broke off: the stream ended without a finish reason.",
        "What arrived is kept but not graded; ask again.",
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
    quote = f" It says: {told}" if told else ""
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
            f"{who} sends us elsewhere ({status}{': ' + target if target else ''}); redirects are not followed.",
            "If you trust that address, enter it as the endpoint's.",
        )
    if status == 401 or (status == 403 and not _QUOTA.search(words)):
        missing = "no key was sent" if not endpoint.secret else "the key was refused"
        return AuthenticationFailedError(f"{who} refused access ({status}): {missing}.{quote}", "Check the key.")
    if _QUOTA.search(words) or status == 402:
        return QuotaExhaustedError(
            f"The account at {who} has no credit left.{quote}", "Add credit; waiting is no help."
        )
    if status == 404:
        return _not_found(words, quote, endpoint)
    if status == 429:
        asked = f" It asks to wait {wait:g} s." if wait is not None else ""
        return RateLimitedError(
            f"{who} asks for fewer requests (429).{asked}{quote}", "Wait a little, then ask again.", retry_after_s=wait
        )
    if status == 408:
        return ModelTimeoutError(f"{who} gave up waiting (408).{quote}", "Try again.")
    if status >= 500 or status == 409:
        return ServerFailedError(f"{who} failed ({status}).{quote}", "Try again later.")
    if _CONTEXT.search(words):
        return ContextTooLongError(f"The question and the answer's cap do not fit into the context.{quote}", _SHORTER)
    return RequestRejectedError(f"{who} rejected the request ({status}).{quote}", "Change the setting it names.")


_SHORTER = "Shorten the question or lower the cap on tokens (--max-tokens)."


def _not_found(words: str, quote: str, endpoint: Endpoint) -> ModelNotFoundError:
    if "model" in words:
        return ModelNotFoundError(
            f"{endpoint.label} has no model called {endpoint.model!r}.{quote}",
            "Check the name; the connection test lists the models there are.",
        )
    return ModelNotFoundError(
        f"{endpoint.label} answers, but has no chat completions at this path (404).{quote}", _LOOK_AT_ADDRESS
    )


def _other_sdk_error(exc: Exception, endpoint: Endpoint) -> Failure:
    import openai

    told = plain(exc, endpoint.secret)
    if isinstance(exc, openai.LengthFinishReasonError | openai.ContentFilterFinishReasonError):
        return Failure(IncompleteAnswerError(f"{endpoint.label} did not finish its answer: {told}"))
    if type(exc).__name__ == "SubjectTokenProviderError":  # not in the SDK's public namespace
        return Failure(AuthenticationFailedError(f"No access to {endpoint.label}: {told}", "Check the key."))
    return Failure(RequestRejectedError(f"The request to {endpoint.label} could not be made: {told}"))
