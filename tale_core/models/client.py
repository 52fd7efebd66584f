"""The client for every OpenAI-compatible endpoint, the embedded server included.

Knows the SDK, its silent failures (a page with status 200, a stream that just ends) and when asking again helps. Knows
no prompt, no store and no page. Every error that leaves here is one of ours and holds no key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Protocol

from pydantic import SecretStr

from tale_core.errors import ModelError, ModelTimeoutError
from tale_core.i18n import joined, t
from tale_core.models import client_params, client_usage
from tale_core.models.client_errors import StreamedError, incomplete, not_openai, to_failure
from tale_core.models.client_events import END
from tale_core.models.client_http import Connection
from tale_core.models.client_network import timed_out
from tale_core.models.client_patience import Patience
from tale_core.models.client_pools import Pools
from tale_core.models.client_retry import NO_RETRY, Failure, Retry, RetryPolicy
from tale_core.models.client_stream import Answer, Opened, open_stream
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings, get_settings
from tale_core.types import Completion, Delta, Price, Request

USAGE_GRACE_S = 5.0
"""After the finish reason an answer is whole; the token counts get this long to follow."""


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
        embedded=True,
        adapters=info.adapters,
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

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer's pieces, then the whole answer with its bookkeeping.

        Times are those of the attempt that succeeded. Closing the generator, or cancelling the task that runs it,
        closes the request at once.

        Raises:
            ModelError: With `partial` holding what had arrived.
        """
        attempts = 0
        waited = 0.0
        while True:
            attempts += 1
            answer = Answer(started=time.monotonic())
            failure: Failure | None = None
            sent = client_params.body(request, self._endpoint, client_params.learnt(self._endpoint))
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
                yield await self._completion(request, answer, attempts)
                return
            if not answer.begun and self._adjust(sent, failure):
                continue
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
            with self._connections().lend() as connection:
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

    async def _open(self, connection: Connection, sent: dict[str, Any]) -> Opened:
        async with asyncio.timeout(self._settings.connect_timeout_s + self._settings.request_timeout_s):
            return await open_stream(connection.sdk, sent, self._endpoint)

    async def _deltas(self, opened: Opened, answer: Answer) -> AsyncGenerator[Delta, None]:
        """The answer's pieces until it is whole.

        Raises:
            Exception: Anything the SDK raises, or an error of ours.
        """
        patience = Patience()
        try:
            while True:
                limit = self._settings.request_timeout_s
                limit = min(USAGE_GRACE_S, limit) if answer.whole else limit
                try:
                    chunk = await patience.wait(opened.next(), limit)
                except Exception as e:
                    if answer.whole and not isinstance(e, StreamedError):
                        return
                    if isinstance(e, TimeoutError):
                        raise timed_out(self._endpoint, limit, answering=answer.begun) from None
                    raise
                if chunk is END:
                    break
                if (delta := answer.add(chunk, self._endpoint)) is not None:
                    yield delta
        finally:
            patience.close()
        if answer.chunks == 0:
            raise not_openai(self._endpoint, t("it answered, but with no stream of tokens"))
        if not answer.whole:
            raise incomplete(self._endpoint)

    def _adjust(self, sent: dict[str, Any], failure: Failure) -> bool:
        """Learn from a refusal; True when the request should be sent again without the refused parameter."""
        name = client_params.refused(sent, status=failure.status, param=failure.param, words=failure.words)
        if name is None:
            return False
        client_params.learn(self._endpoint, name)
        return True

    def _wait(self, failure: Failure, attempts: int, waited: float) -> float | None:
        if not failure.retry:
            return None
        if isinstance(failure.error, ModelTimeoutError) and attempts >= self._policy.timeouts:
            return None
        return self._policy.wait_s(attempts, asked_s=failure.wait_s, waited_s=waited)

    async def _final(self, request: Request, answer: Answer, attempts: int, failure: Failure) -> ModelError:
        """The error to raise, with what had arrived."""
        error = failure.error
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

    async def _completion(self, request: Request, answer: Answer, attempts: int, *, failed: bool = False) -> Completion:
        ended = time.monotonic()
        usage = await client_usage.settle(
            client_usage.read(answer.usage),
            messages=request.messages,
            text=answer.text,
            reasoning=answer.reasoning,
            hides=self._endpoint.reasoning,
            count=self.count_tokens,
        )
        return Completion(
            text=answer.text,
            reasoning_text=answer.reasoning,
            usage=usage,
            finish_reason="error" if failed else answer.finish_reason,
            ttft_s=answer.ttft_s,
            latency_s=ended - answer.started,
            attempts=attempts,
            adjustments=self.adjustments,
        )
