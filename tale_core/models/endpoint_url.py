"""Which addresses an endpoint may have, and what an address of the network is: public, private, a cloud's own.

It asks no name server and opens no connection; `tale_core.models.client.guard` does, and judges what it finds by this.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from tale_core.errors import InputError
from tale_core.i18n import N_, t

EXAMPLE = N_("An address looks like https://api.openai.com/v1 or http://127.0.0.1:8000/v1.")
_PASTED_TAILS = ("/chat/completions", "/completions", "/models", "/responses", "/messages", "/embeddings")
_OLLAMAS_OWN = re.compile(r"/api/(?:chat|generate|tags|embed|embeddings|show)$")
"""Ollama's own interface, which is no OpenAI's; that stands beside it."""
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".azure-api.net",
                ".openai.azure.us", ".openai.azure.cn")  # fmt: skip
_FOUNDRY = ".services.ai.azure.com"
_API_VERSION = re.compile(r"api-version=[A-Za-z0-9.\-]{1,40}")
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)$")
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
# Services that hand a cloud machine's credentials to anybody who asks from inside.
_METADATA_NAMES = (
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
)  # fmt: skip
# Alibaba, Azure, Oracle, Amazon's machines and containers, Google; the others' are link-local.
_METADATA_ADDRESSES = tuple(
    ipaddress.ip_address(one)
    for one in (
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:c1::a9fe:a9fe", "fd00:ec2::254", "fd00:ec2::23",
        "fd20:ce::254",
    )
)  # fmt: skip

_DOTTED = re.compile(r"\d+\.\d+\.\d+\.\d+")
# Networks whose addresses carry an IPv4 address that a gateway goes on to, and how far to the right it may stand. Where
# a translator's prefix is shorter than 96 bits, bits 64 to 71 lie between the parts (RFC 6052).
_CARRIERS = tuple(
    (ipaddress.IPv6Network(network), lengths)
    for network, lengths in (
        ("::/96", (96,)), ("::ffff:0:0/96", (96,)), ("::ffff:0:0:0/96", (96,)),
        ("64:ff9b::/96", (96,)), ("64:ff9b:1::/48", (48, 56, 64, 96)),
    )
)  # fmt: skip
_UNICAST = tuple(map(ipaddress.IPv6Network, ("2000::/3", "64:ff9b::/96")))
"""Where a public IPv6 address can stand: what is given out, and NAT64's well-known prefix."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def validate_base_url(url: str, *, has_key: bool = False) -> str:
    """The address in its normal form: no trailing slash, no pasted `/chat/completions`.

    Of a query only Azure's `api-version` is kept.

    Args:
        url: What a person typed or pasted.
        has_key: True when a key will be sent: then plain http is only for this machine and private networks.

    Raises:
        InputError: It is not an address we may talk to; the message says why.
    """
    text = url.strip()
    parts = _split(text)
    host = _as_connected(parts.hostname or "")
    _refuse_metadata(host)
    if has_key and parts.scheme == "http" and not is_private_host(host):
        raise InputError(
            t("The key would travel unencrypted to {host}: the address begins with http://.", host=host),
            t("Use https://, or a server on this machine or in a private network."),
        )
    return _normal(parts, host)


def _split(text: str) -> SplitResult:
    if not text:
        raise InputError(t("No address was given."), t(EXAMPLE))
    if any(c.isspace() or ord(c) < 32 for c in text) or "\\" in text:
        raise InputError(t("The address holds a space, a line break or a backslash."), t(EXAMPLE))
    if not text.isprintable():
        raise InputError(t("The address holds a character that cannot be shown."), t(EXAMPLE))
    try:
        parts = urlsplit(text)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise InputError(t("The address cannot be read: its host or port is malformed."), t(EXAMPLE)) from None
    if parts.username is not None or parts.password is not None:
        # The address itself is not repeated: it holds a secret.
        raise InputError(
            t("The address holds a user name or password before the @."), t("Give the key as a key instead.")
        )
    if parts.scheme not in ("http", "https"):
        raise InputError(
            t("The address must begin with http:// or https://, not {given!r}.", given=parts.scheme or text[:40]),
            t(EXAMPLE),
        )
    if not parts.hostname or not port_ok:
        raise InputError(t("The address names no host, or port 0."), t(EXAMPLE))
    if parts.fragment or (parts.query and not _API_VERSION.fullmatch(parts.query)):
        raise InputError(t("The address has a ? or # part."), t("Leave it out; a key belongs into the key field."))
    return parts


def _as_connected(host: str) -> str:
    """The host as the HTTP library connects to it: a name in other letters or with other dots in its ASCII form."""
    host = host.lower()
    try:
        if not host.isascii():
            import idna

            host = idna.encode(host).decode("ascii")
        if _DOTTED.fullmatch(host):
            ipaddress.IPv4Address(host)
        readable = ":" in host or "%" not in host
    except ValueError:  # idna's own errors are among them
        readable = False
    if not readable:
        raise InputError(t("The address cannot be read: its host or port is malformed."), t(EXAMPLE))
    if not (host := host.rstrip(".")):
        raise InputError(t("The address names no host, or port 0."), t(EXAMPLE))
    return host


def _normal(parts: SplitResult, host: str) -> str:
    path = _OLLAMAS_OWN.sub("/v1", parts.path.rstrip("/"))
    for tail in _PASTED_TAILS:
        if path == "/models" and host.endswith(_FOUNDRY):
            break  # There it is the address's own: …/models/chat/completions.
        path = path.removesuffix(tail).rstrip("/")
    # Servers print 0.0.0.0 as the address they listen on; as a target it means this machine.
    host = "127.0.0.1" if host == "0.0.0.0" else host
    shown = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{shown}:{parts.port}" if parts.port else shown, path, parts.query, ""))


class Parts(NamedTuple):
    """An address in normal form, taken apart: where requests go, and Azure's `api-version` ("" elsewhere)."""

    url: str
    api_version: str


def split_version(base_url: str) -> Parts:
    """The address without its query, and the version that the query names."""
    url, _, query = base_url.partition("?")
    return Parts(url, query.removeprefix("api-version="))


def is_azure(base_url: str) -> bool:
    """Whether the address is Azure's, which wants its key in a header of its own."""
    parts = urlsplit(base_url)
    return bool(parts.query) or (parts.hostname or "").endswith(_AZURE_HOSTS) or deployment(base_url) is not None


def deployment(base_url: str) -> str | None:
    """The deployment that one of Azure's addresses names; None where it names none."""
    found = _DEPLOYMENT.search(urlsplit(base_url).path)
    return unquote(found[1]) if found else None


def likely_address(base_url: str) -> str | None:
    """The address that is probably meant where nothing answers at this one; None when it looks right as it is."""
    url, _ = split_version(base_url)
    if re.search(r"/v\d", urlsplit(url).path) or deployment(base_url) is not None:
        return None
    tail = "/openai/v1" if is_azure(base_url) and not url.endswith("/openai") else "/v1"
    return url + tail


def _refuse_metadata(host: str) -> None:
    address = as_address(host)
    if host in _METADATA_NAMES or (address is not None and is_metadata(address)):
        raise InputError(
            t("{host} is a link-local or cloud metadata address; models are not served there.", host=host),
            t("Give the address of a model server."),
        )


def is_metadata(address: Address) -> bool:
    """True where no model is ever served: link-local, multicast, and the addresses of a cloud's metadata."""
    return any(a.is_link_local or a.is_multicast or a in _METADATA_ADDRESSES for a in carried(address))


def is_public(address: Address) -> bool:
    """True for what anybody on the internet reaches, by every address that this one carries; unknown means no."""
    return all(
        a.is_global and not a.is_reserved if a.version == 4 else a.is_global and any(a in n for n in _UNICAST)
        for a in carried(address)
    )


def carried(address: Address) -> Iterator[Address]:
    """The address, and every IPv4 address that it may lead on to: mapped, NAT64, 6to4, Teredo, ISATAP."""
    yield address
    if address.version == 4:
        return
    bits = int(address)
    for network, lengths in _CARRIERS:
        if address in network:
            yield from (ipaddress.IPv4Address(_carried_at(bits, length)) for length in lengths)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if (bits >> 32) & 0xFDFFFFFF == 0x5EFE:
        yield ipaddress.IPv4Address(bits & 0xFFFFFFFF)


def _carried_at(bits: int, length: int) -> int:
    """The 32 bits after a prefix of this length, without bits 64 to 71."""
    if length < 96:
        bits = (bits >> 64 << 56) | (bits & (1 << 56) - 1)
        return bits >> (120 - 32 - length) & 0xFFFFFFFF
    return bits & 0xFFFFFFFF


def is_private_host(host: str) -> bool:
    """True for this machine and for names and addresses of private networks; no name is resolved."""
    address = as_address(host)
    if address is not None:
        return address.is_loopback or address.is_private or address.is_unspecified
    return "." not in host or host.endswith(_PRIVATE_SUFFIXES)


def is_loopback_host(host: str) -> bool:
    """True for this machine."""
    address = as_address(host)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return host == "localhost" or host.endswith(".localhost")


def listens_alone(host: str) -> bool:
    """Whether a server that listens on this address is reached from this machine alone."""
    address = as_address(host)
    return host == "localhost" if address is None else address.is_loopback


def as_address(host: str) -> Address | None:
    """The host as an IP address, also in the decimal, octal and hexadecimal forms that sockets accept; else None."""
    try:
        address: Address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
