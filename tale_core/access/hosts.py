"""Which names this server answers to, and whether a request comes from one of its own pages.

A web page of somebody else can give its own name this machine's address (DNS rebinding): the browser then takes our
pages for theirs. Such a request carries the foreign name, and is refused. An address in digits cannot be given away so.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import psutil

_BRIDGES = ("docker", "br-", "veth", "virbr", "podman", "cni", "lxc", "tun", "tap", "utun")
"""Interfaces of this machine's own containers and of tunnels: nobody in the room reaches those."""
_FIRST_PERSON = 1000
_NOBODY = 65534


def host_name(host: str | None) -> str | None:
    """The name in a Host header, in small letters; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # A port that is none is refused with it.
    except ValueError:
        return None
    if not host or parts.netloc != host or parts.username is not None or parts.hostname is None:
        return None
    return parts.hostname.lower().rstrip(".")


def is_address(name: str) -> bool:
    """Whether it is an IP address as browsers write it."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def known_host(host: str | None, allowed: Collection[str]) -> bool:
    """Whether to answer a request for this host: `localhost`, an address in digits, or one of `allowed`.

    Args:
        host: The Host header.
        allowed: Names; `*.example.com` allows every name below it, `*` every name.
    """
    name = host_name(host)
    if name is None:
        return False
    if is_address(name) or name == "localhost" or name.endswith(".localhost"):
        return True
    return any(
        pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:])) for pattern in allowed
    )


def own_page(headers: Mapping[str, str], *, method: str, websocket: bool, allowed: Collection[str]) -> bool:
    """Whether a request was made by one of our pages, by somebody who opened an address, or by no browser at all.

    Args:
        headers: By their names in small letters.
        method: GET, POST, …
        websocket: It asks for a websocket, which every page of every origin may.
        allowed: See `known_host`: a proxy in front may be known under another name.
    """
    origin = headers.get("origin")
    if origin is not None:
        netloc = urlsplit(origin).netloc if "://" in origin else ""
        named = host_name(netloc) if netloc else None
        if netloc != headers.get("host") and (named is None or "*" in allowed or named not in allowed):
            return False
    site = headers.get("sec-fetch-site", "none")
    if websocket or site in ("none", "same-origin"):
        return True
    # Another site may send a person here, and nothing else: it may not frame a page, nor fetch what lies on one.
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return opened and method in ("GET", "HEAD")


def own_names() -> frozenset[str]:
    """Names of this machine in its network."""
    name = socket.gethostname().lower().rstrip(".")
    return frozenset({name, f"{name.partition('.')[0]}.local"} - {"", ".local"})


def names_of(listed: str) -> frozenset[str]:
    """The names of a list with commas, as a setting holds it."""
    return frozenset(name.strip().lower().rstrip(".") for name in listed.split(",") if name.strip())


def room_addresses() -> list[str]:
    """This machine's IPv4 addresses that others in its network reach, the likeliest first."""
    running = psutil.net_if_stats()
    found = []
    for interface, addresses in psutil.net_if_addrs().items():
        up = running.get(interface)
        if (up is not None and not up.isup) or interface.startswith(_BRIDGES):
            continue
        found += [a.address for a in addresses if a.family == socket.AF_INET and _reachable(a.address)]
    first = _way_out()
    return sorted(dict.fromkeys(found), key=lambda address: address != first)


def _reachable(address: str) -> bool:
    one = ipaddress.ip_address(address)
    return not (one.is_loopback or one.is_link_local or one.is_unspecified)


def _way_out() -> str | None:
    """The address that this machine would use to go out; nothing is sent."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # An address for documentation (RFC 5737).
        return str(one.getsockname()[0])
    return None


def is_loopback(address: str) -> bool:
    """Whether a server that listens there is reached from this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def others_here() -> bool:
    """Whether another person's account works on this machine now: their programs reach a port of loopback too."""
    if not hasattr(os, "getuid"):
        return len({user.name for user in psutil.users()}) > 1
    mine = os.getuid()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            real = process.uids().real
            if real not in (mine, _NOBODY) and _FIRST_PERSON <= real < _NOBODY:
                return True
    return False
