"""The parts under a streamed answer: cutting bytes into events, one timer for many waits, the lean connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing

import httpcore2
import httpx2
import openai
import pytest
from pydantic import SecretStr

from tale_core import errors
from tale_core.models.client import OpenAIClient
from tale_core.models.client_events import END, EventLines, Events
from tale_core.models.client_http import certificates, connect
from tale_core.models.client_loopback import LoopbackBackend, loopback_transport
from tale_core.models.client_patience import Patience
from tale_core.models.client_pools import MOST, SHARE, Pools
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.types import Completion, Delta, Message, Request
from tests.bad_endpoint import ANSWER, BadEndpoint

ASK = Request((Message("user", "What is six times seven?"),))
EVENTS = 'data: {"a": "é"}\n\n: note\r\ndata:two\r\ndata: lines\r\n\r\nevent: ping\n\ndata: last\r\rdata: cut off\n'


@pytest.fixture(scope="module")
def bad() -> Iterator[BadEndpoint]:
    with BadEndpoint() as bad:
        yield bad


def embedded(bad: BadEndpoint, model: str, *, timeout: float = 20.0) -> OpenAIClient:
    endpoint = Endpoint(bad.base_url, model, SecretStr("k" * 20), "embedded", tokenizer="llama.cpp", embedded=True)
    return OpenAIClient(endpoint, settings=Settings(request_timeout_s=timeout, connect_timeout_s=5))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_wherever_the_bytes_are_cut(size: int) -> None:
    data = EVENTS.encode()
    lines = EventLines()
    found = [event for i in range(0, len(data), size) for event in lines.feed(data[i : i + size])]
    assert found == ['{"a": "é"}', "two\nlines", "last"]


def response(*parts: bytes) -> httpx2.Response:
    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in parts:
                yield part

    return httpx2.Response(200, stream=Body(), request=httpx2.Request("POST", "http://127.0.0.1/v1"))


async def test_a_stream_ends_at_done_and_nothing_after_it_is_read() -> None:
    events = Events(response(b'data: 1\n\ndata: null\n\ndata: [DONE]\n\ndata: {"error": "late"}\n\n'))
    assert [await events.next() for _ in range(4)] == [1, None, END, END]


async def test_a_stream_ends_where_the_bytes_end() -> None:
    events = Events(response(b"data: 1\n\nda", b"ta: 2\n"))
    assert [await events.next() for _ in range(2)] == [1, END]


async def test_an_error_object_is_raised_as_the_sdk_does() -> None:
    events = Events(response(b'data: {"error": {"message": "no"}}\n\n'))
    with pytest.raises(openai.APIError) as caught:
        await events.next()
    assert caught.value.body == {"message": "no"}


async def test_a_wait_that_lasts_too_long_is_a_timeout_and_the_task_goes_on() -> None:
    patience = Patience()
    task = asyncio.current_task()
    assert task is not None
    for seconds in (60.0, 0.02, 60.0, 0.02):
        if seconds > 1:
            assert await patience.wait(asyncio.sleep(0, "done"), seconds) == "done"
            continue
        with pytest.raises(TimeoutError):
            await patience.wait(asyncio.Event().wait(), seconds)
        assert task.cancelling() == 0
    patience.close()


async def test_time_between_two_waits_does_not_count() -> None:
    patience = Patience()
    assert await patience.wait(asyncio.sleep(0, 1), 0.05) == 1
    await asyncio.sleep(0.1)
    assert await patience.wait(asyncio.sleep(0, 2), 0.05) == 2
    patience.close()


async def test_a_later_deadline_outlives_the_timer_of_an_earlier_one() -> None:
    patience = Patience()
    assert await patience.wait(asyncio.sleep(0, 1), 0.02) == 1
    assert await patience.wait(asyncio.sleep(0.1, 2), 60) == 2
    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.Event().wait(), 0.02)
    patience.close()


async def test_a_cancellation_from_elsewhere_is_no_timeout() -> None:
    patience = Patience()
    task = asyncio.create_task(patience.wait(asyncio.Event().wait(), 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


async def test_what_runs_on_this_machine_gets_the_lean_connection() -> None:
    loop = asyncio.get_running_loop()
    for endpoint, lean in [
        (Endpoint("http://127.0.0.1:9/v1", "m", embedded=True), True),
        (Endpoint("http://127.0.0.1:9/v1", "m"), True),
        (Endpoint("https://127.0.0.1:9/v1", "m"), False),
        (Endpoint("http://192.0.2.1:9/v1", "m"), False),
        (Endpoint("https://api.openai.com/v1", "m"), False),
    ]:
        made = connect(endpoint, Settings(), loop, trust=certificates(endpoint.base_url))
        pool = made.http._transport._pool
        assert isinstance(pool._network_backend, LoopbackBackend) is lean
        await made.close()


async def test_the_lean_connection_carries_a_whole_answer(bad: BadEndpoint) -> None:
    client = embedded(bad, "ok")
    got = [event async for event in client.stream(ASK)]
    await client.aclose()
    assert [e.text for e in got if isinstance(e, Delta)] == ANSWER
    assert isinstance(got[-1], Completion) and not got[-1].usage.estimated


async def test_silence_on_the_lean_connection_is_a_timeout_that_keeps_what_arrived(bad: BadEndpoint) -> None:
    client = embedded(bad, "hang-mid-stream", timeout=2)
    with pytest.raises(errors.ModelTimeoutError) as caught:
        _ = [event async for event in client.stream(ASK)]
    await client.aclose()
    assert caught.value.partial is not None and caught.value.partial.text == "".join(ANSWER[:3])
    assert await asyncio.to_thread(bad.wait_for, lambda: "hang-mid-stream" in bad.disconnects)


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_the_lean_connection_is_closed_at_once(bad: BadEndpoint, how: str) -> None:
    bad.disconnects.clear()
    client = embedded(bad, "slow")
    got = asyncio.Event()

    async def read() -> None:
        async with aclosing(client.stream(ASK)) as stream:
            async for _ in stream:
                got.set()
                if how == "close":
                    return

    task = asyncio.create_task(read())
    await asyncio.wait_for(got.wait(), 20)
    if how == "cancel":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.to_thread(bad.wait_for, lambda: bad.disconnects == ["slow"])
    await client.aclose()


async def test_the_lean_connection_knows_its_time_limits_and_losses(bad: BadEndpoint) -> None:
    stream = await LoopbackBackend().connect_tcp("127.0.0.1", bad.port, timeout=20)
    with pytest.raises(httpcore2.ReadTimeout):
        await stream.read(10, timeout=0.01)
    await stream.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", timeout=20)
    assert (await stream.read(4, timeout=20)) == b"HTTP"
    await stream.aclose()
    with pytest.raises(httpcore2.ConnectError):
        await LoopbackBackend().connect_tcp("127.0.0.1", 1, timeout=20)


@pytest.mark.parametrize("kept_alive", [0, 4])
async def test_many_lean_connections_at_once_do_not_mix(bad: BadEndpoint, kept_alive: int) -> None:
    transport = loopback_transport(max_connections=8, kept_alive=kept_alive)
    async with httpx2.AsyncClient(transport=transport) as http:
        body = {"model": "ok", "messages": []}
        url = f"{bad.base_url}/chat/completions"
        answers = await asyncio.gather(*(http.post(url, json=body) for _ in range(20)))
    assert len({a.text for a in answers}) == 1 and "[[42]]" in answers[0].text


async def test_a_second_pool_is_opened_only_when_the_first_is_full_and_the_first_is_used_again() -> None:
    pools = Pools(Endpoint("http://127.0.0.1:9/v1", "m"), Settings(), asyncio.get_running_loop())
    with ExitStack() as held:
        first = [held.enter_context(pools.lend()) for _ in range(SHARE)]
        second = held.enter_context(pools.lend())
        assert all(c is first[0] for c in first) and second is not first[0]
    with pools.lend() as again:
        assert again is first[0]
    await pools.close()


async def test_past_the_most_pools_requests_are_spread_evenly() -> None:
    pools = Pools(Endpoint("http://127.0.0.1:9/v1", "m"), Settings(), asyncio.get_running_loop())
    with ExitStack() as held:
        lent = [held.enter_context(pools.lend()) for _ in range(SHARE * MOST + MOST)]
        counts = Counter(id(c) for c in lent)
        assert len(counts) == MOST and set(counts.values()) == {SHARE + 1}
    await pools.close()
