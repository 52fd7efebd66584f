"""The parts under a streamed answer: cutting bytes into events, one timer for many waits, the lean connection."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, nullcontext
from types import SimpleNamespace

import httpcore2
import httpx2
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from tale_core import errors
from tale_core.grading.thinking import ThinkingStream
from tale_core.models.client import openai_compatible
from tale_core.models.client.answer import Answer, Channel
from tale_core.models.client.errors import ResponseTooLongError
from tale_core.models.client.events import END, ErrorText, EventLines, Events, Patience, StreamedError, documents
from tale_core.models.client.http import MOST, SHARE, Connection, Pools, certificates, connect
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.transport import Capped, LoopbackBackend, PlainClient, loopback_transport
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.types import Completion, Delta, Message, Request
from tests.support.bad_endpoint import ANSWER, BadEndpoint

ASK = Request((Message("user", "What is six times seven?"),))
EVENTS = 'data: {"a": "é"}\n\n: note\r\ndata:two\r\ndata: lines\r\n\r\nevent: ping\n\ndata: last\r\rdata: cut off\n'


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


def test_an_error_object_is_an_error_whether_its_event_is_named_so_or_not() -> None:
    endpoint = Endpoint("http://127.0.0.1:9/v1", "m")
    with pytest.raises(StreamedError) as caught:
        Answer(started=0.0).add({"error": {"message": "no"}}, endpoint)
    assert caught.value.body == {"message": "no"}
    for data in ('{"code": "Throttling", "message": "no"}', "no"):
        with pytest.raises(StreamedError):
            list(documents(ErrorText(data)))


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


async def test_a_sign_of_life_begins_the_time_limit_anew() -> None:
    patience = Patience()

    async def alive() -> str:
        started = time.monotonic()
        while time.monotonic() < started + 0.5:
            await asyncio.sleep(0.02)
            patience.renew()
        return "done"

    assert await patience.wait(alive(), 0.4) == "done"
    patience.close()


async def test_signs_of_life_do_not_go_beyond_the_latest_end() -> None:
    patience = Patience()
    patience.end_within(0.05)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        while time.monotonic() < started + 5:
            patience.renew()
            await patience.wait(asyncio.sleep(0.01), 60)
    assert time.monotonic() - started < 2
    patience.close()


@pytest.mark.parametrize("drip", [b"d", b": alive\n\n", b'data: {"choices": [{"index": 0, "delta": {}}]}\n\n'])
async def test_a_drip_that_brings_no_text_is_cut(
    bad: BadEndpoint, drip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dripping(*_: object) -> SimpleNamespace:
        return SimpleNamespace(response=endless(drip))

    monkeypatch.setattr(Connection, "stream", dripping)
    monkeypatch.setattr(openai_compatible, "DRIP", 0.002)  # Long before silence would be.
    client = embedded(bad, "ok", timeout=100)
    with pytest.raises(errors.ModelTimeoutError):
        await anext(client.stream(ASK))
    await client.aclose()


@pytest.mark.parametrize(("letters", "grows"), [(b"a", False), (b"thirty-two letters and a few more ", True)])
async def test_a_drip_of_letters_is_cut_and_an_answer_that_grows_is_not(
    bad: BadEndpoint, letters: bytes, grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % letters

    async def dripping(*_: object) -> SimpleNamespace:
        return SimpleNamespace(response=endless(chunk, 0.02))

    monkeypatch.setattr(Connection, "stream", dripping)
    monkeypatch.setattr(openai_compatible, "DRIP", 0.2)
    client, heard = embedded(bad, "ok", timeout=2.0), 0
    with nullcontext() if grows else pytest.raises(errors.ModelTimeoutError):
        async with aclosing(client.stream(ASK)) as stream:
            async for _ in stream:
                heard += 1
                if heard == 25:
                    break
    assert (heard == 25) is grows
    await client.aclose()


def endless(part: bytes, every: float = 0.005) -> httpx2.Response:
    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(every)
                yield part

    return httpx2.Response(200, stream=Body(), request=httpx2.Request("POST", "http://127.0.0.1/v1"))


async def test_comments_that_keep_a_stream_alive_are_signs_of_life() -> None:
    heard: list[int] = []
    events = Events(response(b": processing\n\n", b": processing\n\n", b"data: 1\n\n"))
    events.heard = lambda: heard.append(1)
    assert [await events.next() for _ in range(2)] == [1, END] and len(heard) >= 2


@given(st.lists(st.text("ab1 ", min_size=1, max_size=4), min_size=1, max_size=12))
def test_pieces_that_are_new_each_time_are_kept_letter_by_letter(pieces: list[str]) -> None:
    assume(not any(later.startswith(earlier) for earlier, later in itertools.pairwise(pieces)))
    channel = Channel()
    shown = "".join(channel.add(piece) for piece in pieces) + channel.settle()
    assert shown == channel.text == "".join(pieces)


@given(st.text("ab1 ", min_size=30, max_size=60), st.lists(st.integers(1, 60), min_size=4, max_size=12))
def test_a_text_that_is_sent_whole_each_time_is_kept_once(text: str, cuts: list[int]) -> None:
    assume(text.strip() and text[0] != " ")
    ends = sorted({min(cut, len(text)) for cut in cuts} | {20, len(text)})
    assume(len(ends) > 3)
    channel = Channel()
    shown = "".join(channel.add(text[:end]) for end in ends) + channel.settle()
    assert shown == channel.text == text


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "a <b", "`<think>`", " [[4", "2]]", "<"])),
    st.integers(1, 9),
)
def test_thinking_is_told_apart_alike_wherever_the_text_is_cut(parts: list[str], size: int) -> None:
    text = "".join(parts)
    whole, cut = ThinkingStream(), ThinkingStream()
    once = [whole.feed(text), whole.rest()]
    pieces = [*(cut.feed(text[i : i + size]) for i in range(0, len(text), size)), cut.rest()]
    for part in ("thought", "answer"):
        assert "".join(getattr(p, part) for p in once) == "".join(getattr(p, part) for p in pieces)


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


async def test_a_request_has_the_headers_that_it_is_given_and_its_own_time_limits() -> None:
    url = "http://127.0.0.1:9/v1/models?page=2"
    async with PlainClient(timeout=httpx2.Timeout(7), cookies={"stick": "a"}) as http:
        usual = http.build_request("post", url, headers=[("Accept", "text/plain")], json={"a": 1})
        patient = http.build_request("GET", url, timeout=httpx2.Timeout(3, connect=1), params={"page": "3"})
        for_ever = http.build_request("GET", url, timeout=None)
    named = {"host", "accept", "cookie", "content-type", "content-length"}
    assert (usual.method, str(usual.url), set(usual.headers)) == ("POST", url, named)
    assert usual.extensions["timeout"] == {"connect": 7, "read": 7, "write": 7, "pool": 7}
    assert patient.extensions["timeout"]["read"] == 3 and patient.url.params["page"] == "3"
    assert for_ever.extensions["timeout"]["read"] is None


async def test_a_large_request_is_written_whole_though_small_ones_are_not_waited_for(bad: BadEndpoint) -> None:
    words = "word " * 400_000
    async with PlainClient(transport=loopback_transport(max_connections=1, kept_alive=1), timeout=60) as http:
        for text in (words, "few"):
            body = {"model": "ok", "messages": [{"role": "user", "content": text}]}
            assert "[[42]]" in (await http.post(f"{bad.base_url}/chat/completions", json=body)).text
            assert bad.requests[-1].body["messages"][0]["content"] == text


async def test_a_body_is_read_up_to_its_cap_and_no_further() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"12345"

    assert b"".join([part async for part in Capped(parts(), 20)]) == b"12345" * 4
    seen = []
    with pytest.raises(ResponseTooLongError):
        async for part in Capped(parts(), 12):
            seen.append(part)
    assert seen == [b"12345"] * 2


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
