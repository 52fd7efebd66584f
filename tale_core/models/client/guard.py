"""Where a connection may lead: every address that a name stands for is judged, and those judged are connected to.

A name that is judged first and looked up again for the connection may stand for another machine the second time (DNS
rebinding). Link-local and metadata addresses are refused to everybody; whoever may not reach into private networks is
refused those too, unless the list of `TALE_ALLOWED_ADDRESSES` has them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import httpcore2

from tale_core.errors import SettingsError
from tale_core.i18n import t
from tale_core.models.client.errors import AddressRefusedError
from tale_core.models.endpoint_url import Address, as_address, is_loopback_host, is_metadata, is_public

STAGGER_S = 0.25
"""Until the next of a name's addresses is tried beside those that have not answered (RFC 8305)."""
_ENTRY = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\s]+))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Allowed:
    """An entry of the list of what may be reached all the same: a network, or a name; at one port, or at any."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    name: str
    port: int | None

    def has(self, host: str, address: Address, port: int) -> bool:
        """Whether it names this address of this host."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network
        return host.endswith(self.name[1:]) if self.name.startswith("*.") else host == self.name


@dataclass(frozen=True, slots=True)
class Rule:
    """What a connection is held to.

    Attributes:
        public_only: Private networks and this machine are refused.
        allowed: What may be reached all the same.
    """

    public_only: bool = False
    allowed: tuple[Allowed, ...] = ()

    def judge(self, host: str, address: Address, port: int) -> None:
        """Raises: AddressRefusedError: No connection may go there."""
        if is_metadata(address) or (is_loopback_host(host) and not (address.is_loopback or address.is_unspecified)):
            raise AddressRefusedError(host, metadata=True)
        if self.public_only and not is_public(address) and not any(a.has(host, address, port) for a in self.allowed):
            raise AddressRefusedError(host)


ANYWHERE = Rule()
"""What everybody is held to."""


@lru_cache(maxsize=8)
def allowed(text: str) -> tuple[Allowed, ...]:
    """The list in words: networks, addresses and names, each with a port or without, between commas.

    Raises:
        SettingsError: An entry is none of these.
    """
    return tuple(_entry(one) for part in text.split(",") if (one := part.strip()))


def _entry(text: str) -> Allowed:
    if "/" in text or (text.count(":") > 1 and not text.startswith("[")):
        try:
            return Allowed(ipaddress.ip_network(text, strict=False), "", None)
        except ValueError:
            _refuse(text)
    found = _ENTRY.fullmatch(text)
    if found is None:
        _refuse(text)
    port = int(found["port"]) if found["port"] else None
    address = as_address(found["v6"] or found["host"])
    if address is not None:
        return Allowed(ipaddress.ip_network(address), "", port)
    if found["v6"] or not re.fullmatch(r"(?:\*\.)?[\w.-]+", found["host"], re.ASCII):
        _refuse(text)
    return Allowed(None, found["host"].lower().rstrip("."), port)


def _refuse(text: str) -> NoReturn:
    raise SettingsError(
        t("TALE_ALLOWED_ADDRESSES has {entry!r}, which is no network, address or host name.", entry=text),
        t("Write for example 10.1.0.0/16, 192.168.1.7:8000, vllm.lab, *.lab.example."),
    )


async def look_up(host: str, port: int) -> list[str]:
    """The addresses that a name stands for, in the system's order.

    Raises:
        OSError: It stands for none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def places(host: str, port: int, rule: Rule) -> list[str]:
    """The addresses to connect to, all of them judged.

    Raises:
        AddressRefusedError: One of them may not be reached; a name that mixes its addresses is not trusted in part.
        OSError: The name is not known.
    """
    literal = as_address(host)
    found = [str(literal)] if literal is not None else await look_up(host, port)
    for one in found:
        address = as_address(one)
        if address is None:
            raise AddressRefusedError(host)
        rule.judge(host, address, port)
    return found


class JudgedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to judged addresses; each subclass in its own way."""

    def __init__(self, rule: Rule = ANYWHERE) -> None:
        self._rule = rule

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect within `timeout` seconds.

        Raises:
            AddressRefusedError: The host may not be reached.
            httpcore2.ConnectTimeout: Nobody answered in time.
            httpcore2.ConnectError: Refused, or no such host.
        """
        with raised_as(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            async with asyncio.timeout(timeout):
                found = await places(host, port, self._rule)
                return await self.open(found, port, timeout, local_address, list(socket_options or ()))

    async def open(self, found: Sequence[str], port: int, *how: Any) -> httpcore2.AsyncNetworkStream:
        """Connect to one of these addresses; `how` is what else `connect_tcp` was given."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class GuardedBackend(JudgedBackend):
    """The HTTP library's own connections."""

    async def open(self, found: Sequence[str], port: int, *how: Any) -> httpcore2.AsyncNetworkStream:
        """Whichever of the addresses takes it first."""
        inner = httpcore2.AnyIOBackend()
        return await first_of([inner.connect_tcp(one, port, *how) for one in by_turns(found)])


@contextmanager
def raised_as(late: type[Exception], lost: type[Exception]) -> Iterator[None]:
    """The system's errors in the HTTP library's words."""
    try:
        yield
    except TimeoutError as e:
        raise late(str(e)) from e
    except OSError as e:
        raise lost(str(e)) from e


def by_turns(found: Sequence[str]) -> list[str]:
    """The addresses, one address of each kind by turns, so that a network without IPv6 costs one wait."""
    first = [one for one in found if (":" in one) == (":" in found[0])]
    other = [one for one in found if (":" in one) != (":" in found[0])]
    turns = [pair for n in range(max(len(first), len(other))) for pair in (first[n : n + 1], other[n : n + 1])]
    return [one for pair in turns for one in pair]


async def first_of(tries: Sequence[Coroutine[Any, Any, httpcore2.AsyncNetworkStream]]) -> httpcore2.AsyncNetworkStream:
    """The first that succeeds; each begins when the one before has failed or has waited a while."""
    going: set[asyncio.Task[httpcore2.AsyncNetworkStream]] = set()
    waiting = list(tries)
    failed: BaseException = OSError("no address")
    try:
        while waiting or going:
            if waiting:
                going.add(asyncio.ensure_future(waiting.pop(0)))
            done, going = await asyncio.wait(
                going, timeout=STAGGER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                if (problem := one.exception()) is None:
                    return one.result()
                failed = problem
        raise failed
    finally:
        for unbegun in waiting:
            unbegun.close()
        for task in going:
            task.cancel()
        for late in await asyncio.gather(*going, return_exceptions=True):
            if isinstance(late, httpcore2.AsyncNetworkStream):
                await late.aclose()
