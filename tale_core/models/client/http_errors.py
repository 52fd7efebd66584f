"""What an endpoint says went wrong, a status and a body in any words, as an error of our tree that holds no key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tale_core.errors import (
    AuthenticationFailedError,
    ContextTooLongError,
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
from tale_core.models.client.bodies import read_error
from tale_core.models.client.retry import Failure, reset_after, retry_after, retry_order
from tale_core.models.endpoint_url import likely_address
from tale_core.models.endpoints import Endpoint
from tale_core.text import plain

_BUSY = frozenset({409, 498})
"""Below 500 and no fault of the request: a conflict, and Groq's word for a tier that has no capacity left."""
RETRY_STATUS = frozenset({408, 425, 429}) | _BUSY
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
    r"(?:prompt|input) is too long|too many (?:input )?tokens|exceeds? (?:the )?context limit|model.{0,3} token limit|"
    r"(?:maximum|max) (?:prompt|model|input) length|input (?:token count|length)\b.{0,30}exceed|range of input length|"
    r"inputs\W{0,2} (?:tokens \+|must have less than)|reduce the length of|prompt.{0,3}超长"
)
_KEY = re.compile(
    r"invalid.?api.?key|api.?key.{0,12}(?:not valid|invalid|incorrect|expired|missing|required)|incorrect api key|"
    r"no api key|authentication|unauthori[sz]ed|"
    r"invalid.{0,10}(?<![a-z_])(?:token|credentials?)\b"
)
_FILTER = re.compile(
    r"content_filter|content management policy|content_policy_violation|responsibleaipolicy|data_inspection_failed|"
    r"requires moderation|(?:input|prompt|content|output|question)s?\b.{0,30}(?:flagged|violat|moderat)|"
    r"violat\w*.{0,20}(?:usage|content|safety|acceptable.use).{0,10}(?:polic|guideline)"
)
_ACCOUNT = re.compile(r"\b(?:account|organi[sz]ation|project|user)\b.{0,40}(?:flagged|suspended|violat|banned)")
"""Said of whoever asks, and not of what was asked."""
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,3}not.{0,3}exist|(?:invalid|unknown|not a valid) model(?: id| name)?\b(?!_)|no such model|"
    r"no endpoints found for|model_(?:decommissioned|deprecated|retired|not_supported)|"
    r"\bmodel\b[^.:]{0,80} (?:is|was|has been) (?:now )?(?:decommissioned|deprecated|retired|discontinued|shut down|"
    r"no longer (?:available|supported|offered))"
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
    (re.compile(r"invalid.?request|bad.?request|unsupported|\bvalidation\b"), 400),
)


def sent_as_answer(body: object, endpoint: Endpoint) -> Failure:
    """An error body that came with status 200, as `classify` has it: what it says must tell what it is."""
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
    seen = _Seen(status, number, said.words, plain(said.message, endpoint.secret), wait, said.param)
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
        filtered=status < 500 and bool(_FILTER.search(said.words)) and not _ACCOUNT.search(said.words),
    )


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """An error as it came: its kind, its number for a sentence, the endpoint's words, the wait and what it names."""

    status: int
    number: str
    words: str
    message: str
    wait: float | None
    param: str | None

    @property
    def about_key(self) -> bool:
        return bool(_KEY.search(self.words)) and (self.param is None or "key" in self.param)

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
        return self.no_credit or self.per_day or self.not_loaded or self.too_long

    @property
    def too_long(self) -> bool:
        """The question does not fit, with whatever number that is said: some relays take 403 or 500."""
        other = self.status == 429 or self.loading or self.not_loaded
        return not other and self.status not in (404, 405) and bool(_CONTEXT.search(self.words))

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
    if seen.too_long:
        message = t("The question and the answer's cap do not fit into the context.")
        return ContextTooLongError(
            joined(message, quote), t("Shorten the question or lower the cap on tokens (--max-tokens).")
        )
    if status in (401, 403) or (status == 400 and seen.about_key):
        return _refused(seen, endpoint)
    if status in (400, 404, 405, 422) and NOT_CHAT.search(words):
        message = t("{model} at {endpoint} does not answer chat completions.", model=endpoint.model, endpoint=who)
        return RequestRejectedError(joined(message, quote), t("Choose a model for chat."))
    if status in (404, 405) or (status in (400, 410, 422) and _NO_MODEL.search(words)):
        return _not_found(seen, endpoint)
    if status == 429:
        return _too_many(seen, endpoint)
    if status == 408:
        message = t("{endpoint} gave up waiting{number}.", endpoint=who, number=seen.number)
        return ModelTimeoutError(joined(message, quote), t("Try again."))
    if status >= 500 or status in _BUSY:
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
    if seen.status == 403 and not seen.about_key:
        # A firewall, a region, a plan, a right that the key lacks: what it is, its words say.
        message = t("{endpoint} refused access{number}.", **said)
        return AuthenticationFailedError(
            joined(message, seen.quote), t("Check what the key may use, and whether something stands in between.")
        )
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
    message = t("{endpoint} rejected the request{number}.", endpoint=endpoint.label, number=seen.number)
    return RequestRejectedError(joined(message, seen.quote), t("Change the setting it names."))


def _not_found(seen: _Seen, endpoint: Endpoint) -> ModelNotFoundError:
    who = endpoint.label
    if "deployment" in seen.words:
        message = t("{endpoint} has no deployment called {model!r}.", endpoint=who, model=endpoint.model)
        return ModelNotFoundError(joined(message, seen.quote), t("Check the deployment's name in the portal."))
    named = "model" in seen.words and seen.status != 405 and not _PATH.search(seen.words)
    if named or _NO_MODEL.search(seen.words):
        message = t("{endpoint} has no model called {model!r}.", endpoint=who, model=endpoint.model)
        return ModelNotFoundError(
            joined(message, seen.quote), t("Check the name; the connection test lists the models there are.")
        )
    message = t("{endpoint} answers, but has no chat completions at this path{number}.", endpoint=who,
                number=seen.number)  # fmt: skip
    return PathNotFoundError(joined(message, seen.quote), look_at_address(endpoint))


def look_at_address(endpoint: Endpoint) -> str:
    """What to do where a server answers, but not at this path."""
    if (better := likely_address(endpoint.base_url)) is not None:
        return t("Check the address: for most servers it ends in /v1, here {address}.", address=better)
    return t("Check the address: for most servers it ends in /v1.")
