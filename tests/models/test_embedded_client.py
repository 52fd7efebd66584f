"""The client on the real embedded server."""

import asyncio

import pytest

from tale_core.models.client.openai_compatible import make_embedded_client
from tale_core.models.embedded.server import ServerInfo
from tale_core.types import Completion, Message, Request, Sampling

pytestmark = pytest.mark.model


async def test_call_after_call_is_answered_though_the_server_closes_idle_connections(asked_server: ServerInfo) -> None:
    """llama.cpp may close a kept connection just when it is used again; that once looked like the server's death."""
    client = make_embedded_client(asked_server)

    async def one(i: int) -> str:
        request = Request((Message("user", f"Say {i}."),), Sampling(max_tokens=2))
        (done,) = [item async for item in client.stream(request) if isinstance(item, Completion)]
        return done.finish_reason

    for i in range(25):
        assert await one(i) in ("length", "stop")
        assert set(await asyncio.gather(one(i), one(i + 1000))) <= {"length", "stop"}
    await client.aclose()


async def test_our_count_of_an_answers_tokens_is_the_servers(asked_server: ServerInfo) -> None:
    client = make_embedded_client(asked_server)
    request = Request((Message("user", "Count to five."),), Sampling(max_tokens=20))
    (done,) = [item async for item in client.stream(request) if isinstance(item, Completion)]
    counted = await client.count_tokens(done.text)
    assert not done.usage.estimated and abs(counted - done.usage.completion_tokens) <= 1
    await client.aclose()
