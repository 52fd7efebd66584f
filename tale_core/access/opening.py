"""What a server says at its start: the owner's link, and where students come in, as text and as a QR code."""

from __future__ import annotations

import io
from collections.abc import Sequence
from urllib.parse import urlencode

import segno

from tale_core.access.gate import TOKEN
from tale_core.access.hosts import is_loopback, room_addresses
from tale_core.access.policy import Policy
from tale_core.i18n import t

EVERYWHERE = (None, "", "0.0.0.0", "::")
"""Addresses of a server that listens on all that this machine has."""
CLASS_PAGE = "/Class"


def bases(address: str | None, port: int, *, scheme: str = "http") -> list[str]:
    """Where a server that listens there is reached, this machine's own address first."""
    hosts = ["127.0.0.1", *room_addresses()] if address in EVERYWHERE else [str(address)]
    return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" for host in hosts]


def class_base(address: str | None, port: int, *, told: str | None, scheme: str = "http") -> str | None:
    """Where students reach the server, as `told` or as found; None where nobody but this machine does."""
    if told is not None:
        return told.rstrip("/")
    outside = [base for base in bases(address, port, scheme=scheme) if not is_loopback(_host(base))]
    return outside[0] if outside else None


def owners_link(policy: Policy, base: str) -> str:
    """The owner's link, for one of the server's addresses."""
    return f"{base.rstrip('/')}/?{urlencode({TOKEN: policy.keys.token})}"


def told_at_start(policy: Policy, reached: Sequence[str], students: str | None, *, picture: bool = False) -> str:
    """What to print at the start; empty where nobody needs a link.

    Args:
        policy: The server's.
        reached: Its addresses.
        students: Where students reach it, if it is a class.
        picture: With the QR code, for a terminal.
    """
    if policy.mode == "alone" and not policy.guarded:
        return ""
    lines = [t("The owner's link (it signs this browser in; show it to nobody):")]
    lines += [f"  {owners_link(policy, base)}" for base in reached]
    if policy.mode == "class" and students is None:
        lines.append(t("No address of this machine was found that students reach; name it in TALE_CLASS_URL."))
    elif policy.mode == "class" and students is not None:
        page = f"{students}{CLASS_PAGE}"
        lines += ["", t("Students open:"), f"  {page}"]
        lines += [qr_text(page)] if picture else []
    return "\n".join(lines)


def qr_png(text: str) -> bytes:
    """A QR code as a picture, dark on white with its quiet zone: a phone reads it on a dark page too."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="png", scale=8, border=4)
    return out.getvalue()


def qr_text(text: str) -> str:
    """A QR code for a terminal, with half blocks."""
    out = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out, compact=True)
    return out.getvalue()


def _host(base: str) -> str:
    return base.split("://", 1)[-1].rsplit(":", 1)[0].strip("[]")
