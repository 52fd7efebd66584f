"""`GroupClient`: several endpoints as one client. What one of them cannot answer, another one does.

A call that failed before its first token is sent to the next endpoint at once: nothing was paid for. A call that broke
off later is raised with what had arrived, as every client does, so that its tokens are booked; asking again gets
another endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from pydantic import SecretStr

from tale_core.errors import (
    AuthenticationFailedError,
    ConnectionFailedError,
    IncompleteAnswerError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    NotAnOpenAIEndpointError,
    QuotaExhaustedError,
    RateLimitedError,
    ServerDiedError,
    ServerFailedError,
)
from tale_core.i18n import joined, t
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY, Retry, RetryPolicy
from tale_core.models.endpoints import Endpoint, api_key
from tale_core.models.groups.config import Group, Member
from tale_core.models.groups.state import GroupState, state_of
from tale_core.settings import Settings, get_settings
from tale_core.types import Client, Completion, Delta, Price, Request

LOOK_S = 5.0
"""Longest look at an endpoint that had failed."""
_PASSING = (ConnectionFailedError, ModelTimeoutError, ServerFailedError, ServerDiedError, IncompleteAnswerError)
"""What may pass by itself."""
_ITS_OWN = (
    *_PASSING, RateLimitedError, AuthenticationFailedError, QuotaExhaustedError, ModelNotFoundError,
    NotAnOpenAIEndpointError,
)  # fmt: skip
"""What one endpoint says of itself and not of the request: another one may answer."""


@dataclass(frozen=True, slots=True)
class _Failed:
    at: int
    error: ModelError


def member_endpoint(group: Group, member: Member, secrets: Mapping[str, object] | None = None) -> Endpoint:
    """One endpoint of a group, with its key.

    Raises:
        AuthenticationFailedError: The variable of its key is not set.
        InputError: The key would travel unencrypted.
    """
    from tale_core.models.endpoint_url import validate_base_url

    secret = api_key(member.api_key_env, secrets=secrets)
    if member.api_key_env and secret is None:
        raise AuthenticationFailedError(
            t("No API key for {endpoint} was found.", endpoint=member.base_url),
            t(
                "Set the environment variable {name}, or put {name} into .streamlit/secrets.toml.",
                name=member.api_key_env,
            ),
        )
    validate_base_url(member.base_url, has_key=secret is not None)
    return Endpoint(
        member.base_url,
        group.model_at(member),
        SecretStr(secret) if secret else None,
        f"{group.label} {member.base_url}",
        price=group.price,
        reasoning=group.reasoning,
        tokenizer=group.tokenizer,
    )


def open_group(
    group: Group,
    *,
    secrets: Mapping[str, object] | None = None,
    settings: Settings | None = None,
    on_retry: Callable[[Retry], None] | None = None,
    retry: RetryPolicy | None = None,
    state: GroupState | None = None,
) -> GroupClient:
    """A client for a group.

    Args:
        group: The endpoints.
        secrets: What secrets.toml holds.
        settings: Time limits; the environment's by default.
        on_retry: Told before each wait.
        retry: How often all endpoints are tried again.
        state: Who is asked next; this process's by default.

    Raises:
        AuthenticationFailedError, InputError: See `member_endpoint`.
    """
    settings = settings or get_settings()
    made = [
        OpenAIClient(member_endpoint(group, m, secrets), settings=settings, retry=NO_RETRY) for m in group.endpoints
    ]
    return GroupClient(state or state_of(group), made, on_retry=on_retry, retry=retry)


class GroupClient:
    """Implements `tale_core.types.Client` over several clients.

    Args:
        state: Who is asked next.
        clients: One for each endpoint, in the group's order; none of them tries again by itself.
        on_retry: Told before each wait.
        retry: How often all of them are tried again; the usual policy when None.
        sleep: Waits (for tests).
    """

    def __init__(
        self,
        state: GroupState,
        clients: list[OpenAIClient] | list[Client],
        *,
        on_retry: Callable[[Retry], None] | None = None,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state, self._clients, self._on_retry = state, list(clients), on_retry
        self._policy, self._sleep = retry or RetryPolicy(), sleep
        self._looks: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> str:
        """The group's name."""
        return self._state.group.name

    @property
    def endpoint(self) -> str:
        """The group, as stored with calls; a finished call says which of its endpoints answered."""
        return self._state.group.label

    @property
    def price(self) -> Price | None:
        """What its tokens cost."""
        return self._state.group.price

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer of the first endpoint that gives one.

        Raises:
            ModelError: No endpoint answers, the request is at fault, or an answer broke off; see `Client.stream`.
        """
        tried: list[_Failed] = []
        rounds, sent, waited = 1, 0, 0.0
        while True:
            at = await self._enter([one.at for one in tried])
            begun = False
            failure: ModelError | None = None
            try:
                async with aclosing(self._clients[at].stream(request)) as stream:
                    async for item in stream:
                        begun = True
                        yield self._signed(item, at, sent)
            except ModelError as e:
                failure = e
            finally:
                await self._leave(at)
            if failure is None:
                self._state.works(at)
                return
            self._note(at, failure)
            sent += failure.attempts
            if begun or failure.partial is not None or not isinstance(failure, _ITS_OWN):
                failure.attempts = sent
                if failure.partial is not None:
                    failure.partial = replace(failure.partial, endpoint=self._where(at), attempts=sent)
                raise failure
            tried.append(_Failed(at, failure))
            if len(tried) < len(self._clients):
                continue
            wait = self._wait(tried, rounds, waited)
            if wait is None:
                error = self._nobody(tried)
                error.attempts = sent
                raise error
            if self._on_retry:
                self._on_retry(Retry(rounds, wait, tried[-1].error.message))
            rounds, waited, tried = rounds + 1, waited + wait, []
            await self._sleep(wait)

    async def count_tokens(self, text: str) -> int:
        """As the endpoint counts that would be asked next."""
        return await self._clients[self._state.order()[0]].count_tokens(text)

    async def aclose(self) -> None:
        """Close every client."""
        looks = list(self._looks)
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    async def _enter(self, tried: list[int]) -> int:
        """Wait for a place at one of the endpoints that were not tried yet; its number."""
        self._look_around()
        while True:
            wait = LOOK_S
            for at in self._state.order(tried):
                asked = await self._state.gates.enter(self._state.group.endpoints[at])
                if not asked:
                    self._state.begin(at)
                    return at
                wait = min(wait, asked)
            await self._sleep(wait)

    async def _leave(self, at: int) -> None:
        self._state.end(at)
        await self._state.gates.leave(self._state.group.endpoints[at])

    def _signed(self, item: Delta | Completion, at: int, sent: int) -> Delta | Completion:
        if not isinstance(item, Completion):
            return item
        return replace(item, endpoint=self._where(at), attempts=item.attempts + sent)

    def _where(self, at: int) -> str:
        return f"{self.endpoint} {self._state.group.endpoints[at].base_url}"

    def _note(self, at: int, error: ModelError) -> None:
        if isinstance(error, RateLimitedError):
            self._state.fails(at, error.message, wait_s=error.retry_after_s)
        elif isinstance(error, _ITS_OWN):
            self._state.fails(at, error.message)

    def _wait(self, tried: list[_Failed], rounds: int, waited: float) -> float | None:
        asked = [f.error.retry_after_s or 0.0 for f in tried if isinstance(f.error, RateLimitedError)]
        if not asked and not any(isinstance(f.error, _PASSING) for f in tried):
            return None
        return self._policy.wait_s(rounds, asked_s=min(asked) if any(asked) else None, waited_s=waited)

    def _nobody(self, tried: list[_Failed]) -> ModelError:
        """What to raise when no endpoint answers: the kind of error that says best whether asking again may help."""
        errors = [f.error for f in tried]
        if len(errors) == 1:
            return errors[0]
        limited = [e for e in errors if isinstance(e, RateLimitedError)]
        chosen = next((e for e in errors if isinstance(e, _PASSING)), errors[-1])
        words = t("None of the {n} endpoints of {group} answers.", n=len(errors), group=self.model)
        if limited:
            waits = [e.retry_after_s for e in limited if e.retry_after_s is not None]
            return RateLimitedError(
                joined(words, limited[0].message), limited[0].hint, retry_after_s=min(waits, default=None)
            )
        return type(chosen)(joined(words, chosen.message), chosen.hint)

    def _look_around(self) -> None:
        """Look at endpoints that had failed and whose time is up, beside the calls."""
        for at in self._state.to_look_at():
            look = asyncio.ensure_future(self._look(at))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    async def _look(self, at: int) -> None:
        try:
            if await _is_there(self._clients[at]):
                self._state.works(at)
            else:
                self._state.fails(at, t("It still does not answer."))
        finally:
            self._state.looked(at)


async def _is_there(client: object) -> bool:
    if not isinstance(client, OpenAIClient):
        return True  # It cannot be asked for its models; the next call tells.
    try:
        async with asyncio.timeout(LOOK_S):
            await client.models()
    except (ConnectionFailedError, ModelTimeoutError, ServerDiedError, ServerFailedError, TimeoutError):
        return False
    except ModelError:
        pass  # It has no such list, or not for this key or not now, and it is there.
    return True
