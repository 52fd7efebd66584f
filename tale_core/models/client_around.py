"""A client around another one: what all of them say alike."""

from __future__ import annotations

from tale_core.types import Client, Price


class ClientAround:
    """Asks another client. Name, place, price and token counts are the other's; whoever inherits says how it streams.

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

    async def count_tokens(self, text: str) -> int:
        """The model's own count."""
        return await self._client.count_tokens(text)

    async def aclose(self) -> None:
        """Close the other's connections."""
        await self._client.aclose()
