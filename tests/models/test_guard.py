"""Whoever may not reach into private networks does not, whatever the address is written or resolved like."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.errors import AddressNotAllowedError, InputError, SettingsError
from tale_core.models.choice import endpoint_choice, endpoint_of
from tale_core.models.client import guard
from tale_core.models.client.errors import AddressRefusedError
from tale_core.models.client.guard import Rule, allowed, places
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.connection import check
from tale_core.models.endpoint_url import as_address, carried, is_public, listens_alone, validate_base_url
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.types import Completion, Message, Request
from tests.support.counting_endpoint import CountingEndpoint, Reply

CASES = json.loads((Path(__file__).parent.parent / "cases" / "addresses.json").read_text(encoding="utf-8"))["cases"]
PUBLIC = Rule(public_only=True)
ASK = Request((Message("user", "6 times 7?"),))


@pytest.fixture
def endpoint() -> Iterator[CountingEndpoint]:
    with CountingEndpoint(lambda _: Reply("[[42]]")) as one:
        yield one


class Resolver(dict[str, list[list[str]]]):
    """What each look-up of a name answers, one after the other; the last answer stays."""

    def __init__(self, **names: list[list[str]]) -> None:
        super().__init__({name.replace("_", "."): answers for name, answers in names.items()})
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self[host].pop(0) if len(self[host]) > 1 else self[host][0]


async def answer(base_url: str, **settings: str) -> Completion:
    endpoint = Endpoint(base_url, "m", guarded=True)
    client = OpenAIClient(endpoint, settings=Settings(**settings), retry=NO_RETRY)  # type: ignore[arg-type]
    try:
        return [event async for event in client.stream(ASK) if isinstance(event, Completion)].pop()
    finally:
        await client.aclose()


async def judged(url: str) -> str:
    """What the guard makes of an address: said when it is given, and when a connection is opened."""
    try:
        normal = validate_base_url(url)
    except InputError as e:
        return "never" if "metadata" in e.message else "malformed"
    host = httpx2.URL(normal).raw_host.decode()
    assert host == (urlsplit(normal).hostname or ""), "the HTTP library connects to another host"
    try:
        await places(host, 80, PUBLIC)
    except AddressRefusedError as e:
        return "never" if e.metadata else "private"
    return "public"


@pytest.mark.parametrize(("url", "kind"), CASES)
async def test_an_address_is_judged_as_the_http_library_connects_to_it(url: str, kind: str) -> None:
    assert await judged(url) == kind


@given(st.integers(0, 2**32 - 1))
def test_an_address_that_carries_another_is_public_only_if_that_one_is(bits: int) -> None:
    inner = ipaddress.IPv4Address(bits)
    for outer in (f"64:ff9b::{inner}", f"2002:{bits >> 16:x}:{bits & 0xFFFF:x}::1", f"::ffff:{inner}"):
        address = as_address(outer)
        assert address is not None and inner in list(carried(address))
        assert not is_public(address) or is_public(inner)


async def test_every_address_of_a_name_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Resolver(
        outside_test=[["8.8.8.8", "2606:4700::1111"]],
        inside_test=[["10.0.0.5"]], mixed_test=[["8.8.8.8", "127.0.0.1"]],
        cloud_test=[["169.254.169.254"]], zone_test=[["fe80::1%eth0"]], odd_localhost=[["8.8.8.8"]],
    )  # fmt: skip
    monkeypatch.setattr(guard, "look_up", names)
    assert await places("outside.test", 443, PUBLIC) == ["8.8.8.8", "2606:4700::1111"]
    assert await places("inside.test", 443, Rule()) == ["10.0.0.5"]
    for host in ("inside.test", "mixed.test"):
        with pytest.raises(AddressRefusedError):
            await places(host, 443, PUBLIC)
    for host in ("cloud.test", "zone.test", "odd.localhost"):  # The last would send a key in the clear to a stranger.
        with pytest.raises(AddressRefusedError):
            await places(host, 443, Rule())


async def test_a_name_that_moves_between_two_requests_is_refused_the_second_time(
    endpoint: CountingEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Resolver(moving_test=[["127.0.0.1"], ["127.0.0.2"]])
    monkeypatch.setattr(guard, "look_up", names)
    url = f"http://moving.test:{urlsplit(endpoint.base_url).port}/v1"
    only = {"allowed_addresses": "127.0.0.1"}
    assert (await answer(url, **only)).text == "[[42]]"
    assert names.asked == ["moving.test"], "what was judged is connected to, and not looked up again"
    with pytest.raises(AddressNotAllowedError):
        await answer(url, **only)
    assert endpoint.counts.total() == 1


async def test_a_guarded_address_on_this_machine_is_refused_in_words_and_nothing_is_sent(
    endpoint: CountingEndpoint,
) -> None:
    with pytest.raises(AddressNotAllowedError) as caught:
        await answer(endpoint.base_url)
    assert "127.0.0.1" in caught.value.message and "TALE_ALLOWED_ADDRESSES" in caught.value.hint
    assert not endpoint.counts
    report = await check(Endpoint(endpoint.base_url, "m", guarded=True))
    assert not report.ok and report.headline == "This address may not be reached from here"
    assert (await answer(endpoint.base_url, allowed_addresses="10.0.0.0/8, 127.0.0.1")).text == "[[42]]"


@pytest.mark.parametrize(
    ("text", "host", "address", "port", "open_"),
    [
        ("10.1.0.0/16", "h", "10.1.2.3", 80, True),
        ("10.1.0.0/16", "h", "10.2.2.3", 80, False),
        ("fd00::/8", "h", "fd00::7", 80, True),
        ("192.168.1.7:8000", "h", "192.168.1.7", 8000, True),
        ("192.168.1.7:8000", "h", "192.168.1.7", 22, False),
        ("[::1]:8000", "h", "::1", 8000, True),
        ("::1", "h", "::1", 9, True),
        ("vllm.lab", "vllm.lab", "10.0.0.1", 80, True),
        ("vllm.lab", "evil-vllm.lab", "10.0.0.1", 80, False),
        ("*.lab:8000", "vllm.lab", "10.0.0.1", 8000, True),
        ("*.lab", "lab", "10.0.0.1", 8000, False),
        ("*.lab", "vllm.lab", "169.254.169.254", 80, False),
        ("0.0.0.0/0", "h", "169.254.169.254", 80, False),
        (" , VLLM.lab. ,", "vllm.lab", "10.0.0.1", 80, True),
    ],
)
def test_the_list_opens_what_it_names_and_no_metadata(
    text: str, host: str, address: str, port: int, open_: bool
) -> None:
    found = as_address(address)
    assert found is not None
    try:
        Rule(public_only=True, allowed=allowed(text)).judge(host, found, port)
    except AddressRefusedError:
        assert not open_
    else:
        assert open_


@pytest.mark.parametrize("text", ["10.0.0.0/99", "http://x", "*", "a b", "[lab]", "x:y:z", "vllm.lab:port", "*.*"])
def test_an_entry_that_names_nothing_is_refused_in_words(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        allowed(text)
    assert "TALE_ALLOWED_ADDRESSES" in caught.value.message and caught.value.hint


async def test_an_address_that_does_not_answer_costs_a_quarter_second_and_no_more() -> None:
    started: list[str] = []

    class Stream(guard.httpcore2.AsyncNetworkStream):
        async def aclose(self) -> None:
            started.append("closed")

    async def silent() -> Stream:
        started.append("silent")
        await asyncio.sleep(60)
        return Stream()

    async def refused() -> Stream:
        started.append("refused")
        raise ConnectionRefusedError

    async def answers() -> Stream:
        started.append("answers")
        return Stream()

    assert isinstance(await guard.first_of([silent(), refused(), answers()]), Stream)
    assert started == ["silent", "refused", "answers"]
    with pytest.raises(ConnectionRefusedError):
        await guard.first_of([refused(), refused()])
    assert guard.by_turns(["::1", "::2", "1.1.1.1"]) == ["::1", "1.1.1.1", "::2"]


def test_who_is_guarded_stays_guarded_on_the_way_to_the_client() -> None:
    choice = endpoint_choice(model="m", base_url="http://10.0.0.1/v1", guarded=True)
    assert endpoint_of(choice, secrets={}).guarded
    assert not endpoint_of(endpoint_choice(model="m", base_url="http://10.0.0.1/v1"), secrets={}).guarded


@pytest.mark.parametrize(
    ("address", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("", False),
     ("192.168.1.7", False)],
)  # fmt: skip
def test_an_app_that_others_reach_guards(address: str, alone: bool) -> None:
    assert listens_alone(address) is alone
