"""The client for every OpenAI-compatible endpoint, the embedded server included.

The SDK's silent failures (a page with status 200, a stream that just ends) are noticed, and what may pass is asked
again. Every error that leaves here is one of ours and holds no key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import SecretStr

from tale_core.errors import ModelError, ModelTimeoutError
from tale_core.i18n import joined, t
from tale_core.models.client import params as client_params
from tale_core.models.client import usage as client_usage
from tale_core.models.client.answer import Answer
from tale_core.models.client.errors import not_openai, timed_out, to_failure, unreadable_part
from tale_core.models.client.events import END, Events, Patience, StreamedError
from tale_core.models.client.http import Connection, Pools
from tale_core.models.client.retry import NO_RETRY, Failure, Retry, RetryPolicy
from tale_core.models.embedded.catalog import knobs_of
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings, get_settings
from tale_core.text import keys_to_hide, named_keys
from tale_core.types import REFUSAL, Completion, Delta, FinishReason, Price, Request, Usage

USAGE_GRACE_S = 5.0
"""After the finish reason an answer is whole; the token counts get this long to follow."""


DRIP = 10
"""An endpoint that shows signs of life and brings no text is waited for this many times as long as a silent one."""
DRIP_CHARS = 32
"""Letters that count as text there: less in that time is a drip, however long it goes on."""


class ServerAddress(Protocol):
    """What the client needs to know of an embedded server."""

    @property
    def base_url(self) -> str:
        """Root of the OpenAI-compatible interface."""
        ...

    @property
    def api_key(self) -> str:
        """Its key."""
        ...

    @property
    def model(self) -> str:
        """Name to use in requests."""
        ...

    @property
    def adapters(self) -> tuple[str, ...]:
        """Keys of the adapters that it has loaded, by their ids."""
        ...


def make_embedded_client(info: ServerAddress, *, settings: Settings | None = None) -> OpenAIClient:
    """A client for a running embedded server. Its tokens cost no money and are counted by its own tokenizer."""
    endpoint = Endpoint(
        base_url=info.base_url,
        model=info.model,
        api_key=SecretStr(info.api_key) if info.api_key else None,
        label="embedded",
        price=Price(0.0, 0.0, "runs on this machine"),
        tokenizer="llama.cpp",
        continues="flags",
        embedded=True,
        adapters=info.adapters,
        knobs=knobs_of(info.model),
    )
    return OpenAIClient(endpoint, settings=settings)


class OpenAIClient:
    """Talks to one model at one endpoint; implements `tale_core.types.Client`.

    Args:
        endpoint: Where and what.
        settings: Time limits; the environment's by default.
        on_retry: Told before each wait.
        retry: Limits of the retry loop; an embedded server is asked once.
        sleep: Waits between attempts (for tests).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        settings: Settings | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._named_keys = named_keys()
        self._settings = settings or get_settings()
        self._on_retry = on_retry
        self._policy = NO_RETRY if endpoint.embedded else (retry or RetryPolicy())
        self._sleep = sleep
        self._pools: Pools | None = None
        self._exact_counts = endpoint.tokenizer == "llama.cpp"

    def __repr__(self) -> str:
        return f"OpenAIClient({self.model!r} at {self.endpoint})"

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._endpoint.model

    @property
    def endpoint(self) -> str:
        """Where it runs, without a key."""
        return self._endpoint.label

    @property
    def price(self) -> Price | None:
        """Published price, or None when unknown."""
        return self._endpoint.price

    @property
    def adjustments(self) -> tuple[str, ...]:
        """What was asked for but is not sent because the endpoint refuses it, in words to `t` where they are said."""
        return client_params.learnt(self._endpoint).words

    @property
    def continues(self) -> bool | None:
        """Whether the endpoint continues an assistant message; None where its documentation does not say."""
        return None if self._endpoint.continues is None else self._endpoint.continues != "no"

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer's pieces, then the whole answer with its bookkeeping.

        Times are those of the attempt that succeeded. Closing the generator, or cancelling the task that runs it,
        closes the request at once.

        Raises:
            ModelError: With `partial` holding what had arrived.
        """
        attempts = 0
        waited = 0.0
        no_chat: Failure | None = None
        while True:
            attempts += 1
            answer = Answer(started=time.monotonic(), keys=keys_to_hide(self._endpoint.secret, self._named_keys))
            failure: Failure | None = None
            known = client_params.learnt(self._endpoint)
            sent = client_params.body(request, self._endpoint, known)
            try:
                with self._connections().lend() as connection:
                    opened = await self._open(connection, sent)
                    try:
                        async with aclosing(self._deltas(opened, answer)) as deltas:
                            async for delta in deltas:
                                yield delta
                    finally:
                        await opened.close()
            except Exception as e:
                failure = to_failure(e, self._endpoint, timeout_s=self._settings.request_timeout_s)
            # Raised out here: inside, the SDK's exception, which holds the request with its key, would be its context.
            if failure is None:
                yield await self._completion(request, answer, attempts, sent=sent)
                return
            if failure.filtered:
                if (rest := answer.end()) is not None:
                    yield rest
                refused = await self._completion(request, answer, attempts, sent=sent)
                yield replace(refused, finish_reason=REFUSAL)
                return
            if not answer.begun and (name := self._refused(request, sent, failure, known)) is not None:
                client_params.learn(self._endpoint, name)
                no_chat = failure if name == "chat" else no_chat
                continue
            if "input" in sent and failure.status in (404, 405):
                # The Responses API is not there either: what was said first tells more.
                client_params.unlearn(self._endpoint, "chat")
                if no_chat is None:
                    continue
                failure = no_chat
            wait = None if answer.begun else self._wait(failure, attempts, waited)
            if wait is None:
                raise await self._final(request, answer, attempts, failure)
            if self._on_retry:
                self._on_retry(Retry(attempts, wait, failure.error.message))
            waited += wait
            await self._sleep(wait)

    async def count_tokens(self, text: str) -> int:
        """Tokens of plain text: exact where the server has a tokenizer of its own, else tiktoken's estimate."""
        if not text:
            return 0
        if self._exact_counts:
            exact = None
            with self._connections().lend() as connection, suppress(TimeoutError):
                async with asyncio.timeout(self._settings.request_timeout_s):
                    exact = await connection.tokenize(text)
            if exact is not None:
                return exact
            self._exact_counts = self._endpoint.embedded
        return await client_usage.estimate(text, self.model)

    async def models(self) -> tuple[str, ...]:
        """Names of the models that the endpoint lists. Asks once.

        Raises:
            ModelError: It has no such list, or it cannot be reached.
        """
        failure: Failure | None = None
        names: tuple[str, ...] | None = None
        try:
            with self._connections().lend() as connection:
                async with asyncio.timeout(self._settings.request_timeout_s):
                    names = await connection.models()
        except Exception as e:
            failure = to_failure(e, self._endpoint, timeout_s=self._settings.request_timeout_s)
        if failure is not None:
            raise failure.error
        if names is None:
            raise not_openai(self._endpoint, t("its list of models cannot be read"))
        return names

    async def aclose(self) -> None:
        """Close the connections. The client can be used again afterwards."""
        pools, self._pools = self._pools, None
        if pools is not None:
            await pools.close()

    def _connections(self) -> Pools:
        # Connections belong to the event loop that made them; pages and jobs run loops of their own.
        loop = asyncio.get_running_loop()
        if self._pools is None or self._pools.loop is not loop:
            self._pools = Pools(self._endpoint, self._settings, loop)
        return self._pools

    async def _open(self, connection: Connection, sent: dict[str, Any]) -> Events:
        """Send a request and wait for the response's headers.

        Raises:
            NotAnOpenAIEndpointError: An answer came, but not in the OpenAI format.
            Exception: Anything else the SDK raises.
        """
        async with asyncio.timeout(self._settings.connect_timeout_s + self._settings.request_timeout_s):
            stream = await connection.stream(sent)
        if getattr(stream, "response", None) is None:
            raise not_openai(self._endpoint, t("it did not send a stream"))
        return Events(stream.response, responses="input" in sent)

    async def _deltas(self, opened: Events, answer: Answer) -> AsyncGenerator[Delta, None]:
        """The answer's pieces until it is whole.

        Raises:
            Exception: Anything the SDK raises, or an error of ours.
        """
        patience = Patience()
        # A model that thinks for long, or waits in a queue, is kept alive by comments.
        opened.heard = lambda: None if answer.whole else patience.renew()
        chars = -DRIP_CHARS
        try:
            while True:
                limit = self._settings.request_timeout_s
                if answer.chars - chars >= DRIP_CHARS:  # A drip of bytes, empty chunks or letters is no answer.
                    chars = answer.chars
                    patience.end_within(DRIP * limit)
                limit = min(USAGE_GRACE_S, limit) if answer.certain else limit
                try:
                    chunk = await patience.wait(opened.next(), limit)
                except Exception as e:
                    if answer.trusted and not isinstance(e, StreamedError):
                        break
                    if isinstance(e, TimeoutError):
                        raise timed_out(self._endpoint, limit, answering=answer.begun) from None
                    if isinstance(e, ValueError) and answer.begun:
                        raise unreadable_part(self._endpoint) from None
                    raise
                if chunk is END:
                    break
                if (delta := answer.add(chunk, self._endpoint)) is not None:
                    yield delta
        finally:
            patience.close()
        answer.ended = opened.done
        if (rest := answer.end()) is not None:
            yield rest
        answer.check_whole(self._endpoint)

    def _refused(
        self, request: Request, sent: dict[str, Any], failure: Failure, known: client_params.Learnt
    ) -> str | None:
        """The parameter that the endpoint refuses, and without which the request should be sent again; else None."""
        knobs = client_params.spellings(request, self._endpoint)
        return client_params.refused(
            sent, status=failure.status, param=failure.param, words=failure.words, known=known, knobs=knobs
        )

    def _wait(self, failure: Failure, attempts: int, waited: float) -> float | None:
        if not failure.retry:
            return None
        if isinstance(failure.error, ModelTimeoutError) and attempts >= self._policy.timeouts:
            return None
        return self._policy.wait_s(attempts, asked_s=failure.wait_s, waited_s=waited, loading=failure.loading)

    async def _final(self, request: Request, answer: Answer, attempts: int, failure: Failure) -> ModelError:
        """The error to raise, with what had arrived."""
        error = failure.error
        error.attempts = attempts
        answer.end()
        if failure.wait_s is not None and failure.wait_s > self._policy.cap_s and failure.retry:
            error.hint = t(
                "That is longer than the {seconds:g} s we wait; ask again later.", seconds=self._policy.cap_s
            )
        elif attempts > 1 and failure.retry:
            error.hint = joined(t("{attempts} attempts were made.", attempts=attempts), error.hint)
        if answer.begun and error.partial is None:
            with suppress(ModelError):
                error.partial = await self._completion(request, answer, attempts, failed=True)
        return error

    async def _completion(
        self,
        request: Request,
        answer: Answer,
        attempts: int,
        *,
        failed: bool = False,
        sent: Mapping[str, object] = MappingProxyType({}),
    ) -> Completion:
        ended = time.monotonic()
        text, reasoning = answer.text, answer.reasoning
        usage = await client_usage.settle(
            client_usage.read(answer.usage, beside=self._endpoint.usage == "beside"),
            messages=request.messages,
            text=text,
            reasoning=reasoning,
            hides=self._endpoint.reasoning,
            cap=request.sampling.max_tokens,
            count=self.count_tokens,
        )
        return Completion(
            text=text,
            reasoning_text=reasoning,
            usage=usage,
            finish_reason="error" if failed else _finish_reason(answer, usage, request.sampling.max_tokens),
            ttft_s=answer.ttft_s,
            latency_s=ended - answer.started,
            attempts=attempts,
            adjustments=self.adjustments + client_params.unheeded(request, self._endpoint, usage, sent),
            confidence=answer.confidence if request.logprobs else None,
        )


def _finish_reason(answer: Answer, usage: Usage, cap: int | None) -> FinishReason:
    """An endpoint that gave no reason and wrote as much as it might was cut off by the cap."""
    if not answer.whole and cap is not None and not usage.estimated and usage.completion_tokens >= cap:
        return "length"
    return answer.finish_reason
