"""A client around another one: what all of them say alike."""

from __future__ import annotations

from tale_core.budgets.continuing import said_to_continue
from tale_core.types import Client, Price


class ClientAround:
    """Asks another client. Name, place, price and token counts are the other's; a subclass says how it streams.

    Args:
        client: The other one; it may be replaced while this one is used.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._client.model

    @property
    def endpoint(self) -> str:
        """Where it runs."""
        return self._client.endpoint

    @property
    def price(self) -> Price | None:
        """Of its tokens; None when unknown."""
        return self._client.price

    @property
    def continues(self) -> bool | None:
        """Whether it continues an assistant message; None where nobody knows."""
        return said_to_continue(self._client)

    async def count_tokens(self, text: str) -> int:
        """The model's own count."""
        return await self._client.count_tokens(text)

    async def aclose(self) -> None:
        """Close the other's connections."""
        await self._client.aclose()
