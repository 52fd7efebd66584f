"""The client on the real embedded server."""

import asyncio
from pathlib import Path

import pytest

from tale_core.models.client.openai_compatible import make_embedded_client
from tale_core.models.embedded.server import ensure_server, lease, stop_server
from tale_core.settings import get_settings
from tale_core.types import Completion, Message, Request, Sampling
from tests.support.fixtures_model import TEST_MODEL

pytestmark = pytest.mark.model


@pytest.fixture
def info(smollm_cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TALE_CACHE_DIR", str(smollm_cache))
    get_settings.cache_clear()
    with lease(TEST_MODEL):
        yield ensure_server(TEST_MODEL)
        stop_server(TEST_MODEL)


async def test_call_after_call_is_answered_though_the_server_closes_idle_connections(info):
    """llama.cpp may close a kept connection just when it is used again; that once looked like the server's death."""
    client = make_embedded_client(info)

    async def one(i: int) -> str:
        request = Request((Message("user", f"Say {i}."),), Sampling(max_tokens=2))
        (done,) = [item async for item in client.stream(request) if isinstance(item, Completion)]
        return done.finish_reason

    for i in range(25):
        assert await one(i) in ("length", "stop")
        assert set(await asyncio.gather(one(i), one(i + 1000))) <= {"length", "stop"}
    await client.aclose()


async def test_our_count_of_an_answers_tokens_is_the_servers(info):
    client = make_embedded_client(info)
    request = Request((Message("user", "Count to five."),), Sampling(max_tokens=20))
    (done,) = [item async for item in client.stream(request) if isinstance(item, Completion)]
    counted = await client.count_tokens(done.text)
    assert not done.usage.estimated and abs(counted - done.usage.completion_tokens) <= 1
    await client.aclose()
