"""Which addresses an endpoint may have.

Knows URLs and address ranges; asks no name server and opens no connection.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit, urlunsplit

from tale_core.errors import InputError
from tale_core.i18n import N_, t

EXAMPLE = N_("An address looks like https://api.openai.com/v1 or http://127.0.0.1:8000/v1.")
_PASTED_TAILS = ("/chat/completions", "/completions", "/models")
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
# Services that hand a cloud machine's credentials to whoever asks from inside.
_METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
_METADATA_ADDRESSES = tuple(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def validate_base_url(url: str, *, has_key: bool = False) -> str:
    """The address in its normal form: no trailing slash, no pasted `/chat/completions`.

    Args:
        url: What a person typed or pasted.
        has_key: True when a key will be sent: then plain http is only for this machine and private networks.

    Raises:
        InputError: It is not an address we may talk to; the message says why.
    """
    text = url.strip()
    parts = _split(text)
    host = (parts.hostname or "").rstrip(".").lower()
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
    if parts.query or parts.fragment:
        raise InputError(t("The address has a ? or # part."), t("Leave it out; a key belongs into the key field."))
    return parts


def _normal(parts: SplitResult, host: str) -> str:
    path = parts.path.rstrip("/")
    for tail in _PASTED_TAILS:
        path = path.removesuffix(tail).rstrip("/")
    # Servers print 0.0.0.0 as the address they listen on; as a target it means this machine.
    host = "127.0.0.1" if host == "0.0.0.0" else host
    shown = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{shown}:{parts.port}" if parts.port else shown, path, "", ""))


def _refuse_metadata(host: str) -> None:
    address = as_address(host)
    link_local = address is not None and (
        address.is_link_local or address.is_multicast or address in _METADATA_ADDRESSES
    )
    if link_local or host in _METADATA_NAMES:
        raise InputError(
            t("{host} is a link-local or cloud metadata address; models are not served there.", host=host),
            t("Give the address of a model server."),
        )


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
