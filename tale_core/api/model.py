"""Whom a function of the Python interface asks: what its arguments name, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from tale_core.cli.progress import open_with_progress
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.models.choice import choice_from_flags, price_of
from tale_core.models.client.wrapper import ClientAround
from tale_core.types import Client, Completion, Delta, Price, Request


class Asked(NamedTuple):
    """Whom to ask."""

    model: str
    endpoint: str
    price: Callable[[], Price | None]
    open: Callable[[], Awaitable[Client]]


class _Kept(ClientAround):
    """A client of the caller's: a run that ends leaves it open."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        async with aclosing(self._client.stream(request)) as stream:
            async for item in stream:
                yield item

    async def aclose(self) -> None:
        """Nothing: its owner closes it."""


def asked_of(model: str | Client | None, base_url: str | None, api_key: str | None, *, again: bool = True) -> Asked:
    """Whom the arguments name; `again`: the client itself tries again after a failure."""
    if model is not None and not isinstance(model, str):
        if base_url is not None or api_key is not None:
            raise InputError(
                t("A client was given, and a base_url or an api_key as well."), t("Give the client alone: it has them.")
            )
        client = _Kept(model)

        async def open_client() -> Client:
            return client

        return Asked(client.model, client.endpoint, lambda: client.price, open_client)
    if base_url is not None and model is None:
        raise InputError(t("base_url was given without a model."), t("Add model=…, as the endpoint calls it."))
    choice = choice_from_flags(model=model, base_url=base_url, api_key_env=None)
    return Asked(
        choice.model,
        choice.endpoint,
        lambda: price_of(choice, key=api_key),
        lambda: open_with_progress(choice, key=api_key, again=again),
    )
