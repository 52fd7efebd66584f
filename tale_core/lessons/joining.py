"""How one comes into a room: its code, a nickname, and what is stored of secrets, browsers and addresses."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets

from tale_core.errors import InputError
from tale_core.i18n import t

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Of join codes: none that is easily read as another one."""
CODE_LENGTH = 6
NICKNAME_LETTERS = 24


def hashed(secret: str) -> str:
    """What is stored of a secret. It is random and long, so that one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_secret(given: str, stored_hash: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hashed(given), stored_hash)


def new_code() -> str:
    """A join code that nobody guesses while a lesson lasts (about 30 bits)."""
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def tidy_code(typed: str) -> str:
    """A code as people type it: any case, with spaces or dashes."""
    return "".join(c for c in typed.upper() if c in LETTERS)[: 2 * CODE_LENGTH]


def tidy_nickname(typed: str) -> str:
    """A nickname fit to be shown.

    Raises:
        InputError: Nothing that can be seen is in it, or it is too long.
    """
    name = " ".join("".join(c for c in typed if c.isprintable()).split())
    if not 1 <= len(name) <= NICKNAME_LETTERS:
        raise InputError(
            t("A nickname of {n} letters was given.", n=len(name)), t("Give 1 to {most}.", most=NICKNAME_LETTERS)
        )
    return name


def network_of(address: str) -> str:
    """What one device is known by: an IPv4 address, or the half of an IPv6 one that it cannot change as it likes."""
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(one, ipaddress.IPv6Address):
        return str(one.ipv4_mapped or ipaddress.ip_network((one, 64), strict=False))
    return str(one)
