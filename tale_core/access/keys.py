"""One secret of this installation, and what is made of it: the owner's link, what a signed-in browser keeps, seals.

The secret lies in the data folder, readable by this account alone. Without it nobody can make a link or a cookie; a new
one (delete the file) makes all of them worthless.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tale_core.errors import SettingsError
from tale_core.i18n import t

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FILE = "access.key"
KEPT_S = 30 * 86_400
"""How long a browser stays signed in."""
_BYTES = 32


def load_keys(folder: Path) -> Keys:
    """The keys of this data folder, made at the first time.

    Raises:
        SettingsError: The file cannot be made or read, or is not one of ours.
    """
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            _make(path)
        secret = base64.urlsafe_b64decode(path.read_bytes())
    except (OSError, ValueError) as e:
        raise _unusable(path, e) from e
    if len(secret) < _BYTES:
        raise _unusable(path, t("it is too short"))
    return Keys(secret)


def _make(path: Path) -> None:
    """Whole or not at all, and never over one that another process made just now."""
    draft = path.with_name(f".{FILE}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)))
    try:
        os.link(draft, path)
    finally:
        draft.unlink()


def _unusable(path: Path, why: object) -> SettingsError:
    return SettingsError(
        t("The file {path} cannot be used: {why}.", path=path, why=why),
        t("It holds the secret of this installation. Delete it, and a new one is made."),
    )


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What the secret is good for."""

    secret: bytes

    def made_for(self, purpose: str, *more: str) -> str:
        """A text that only this installation can make, the same each time."""
        return _made(self.secret, "\0".join((purpose, *more)).encode("utf-8", "surrogatepass"))

    def sealed(self, text: str, *names: str) -> str:
        """A text that this installation alone can read, and only for these names; Fernet of a key made for them."""
        return self._fernet(names).encrypt(text.encode()).decode()

    def unsealed(self, sealed: str, *names: str) -> str | None:
        """What was sealed for these names; None when it was not, or by another secret, or was changed."""
        from cryptography.fernet import InvalidToken

        try:
            return str(self._fernet(names).decrypt(sealed.encode()), "utf-8")
        except (InvalidToken, ValueError):
            return None

    def _fernet(self, names: tuple[str, ...]) -> Fernet:
        from cryptography.fernet import Fernet

        return Fernet(self.made_for("sealed", *names) + "=")

    @property
    def token(self) -> str:
        """What the owner's link carries."""
        return self.made_for("owner's link")

    @property
    def cookie(self) -> str:
        """The name of the cookie: of two programs on one host neither overwrites the other's."""
        return f"tale_{self.made_for('cookie')[:8].replace('-', 'a').replace('_', 'b')}"

    def is_token(self, given: str) -> bool:
        """Whether this came from the owner's link."""
        return _same(given, self.token)

    def signed(self, account: str, proof: str, *, now: float | None = None) -> str:
        """What a browser keeps that signed in to an account.

        Args:
            account: Its name.
            proof: What it signed in with, as stored (a password's hash): once that changes, this is worth nothing.
            now: Seconds since 1970.
        """
        when = str(int(time.time() if now is None else now))
        name = base64.urlsafe_b64encode(account.encode("utf-8", "surrogatepass")).decode().rstrip("=")
        return f"{name}.{when}.{self.made_for('signed in', account, when, proof)}"

    def account_of(self, kept: str, proof_of: Callable[[str], str | None], *, now: float | None = None) -> str | None:
        """The account that a browser has signed in to; None when it has not, or too long ago.

        Args:
            kept: Its cookie.
            proof_of: What the account signs in with today; None when there is no such account.
            now: Seconds since 1970.
        """
        name, _, rest = kept.partition(".")
        when, _, seal = rest.partition(".")
        try:
            account = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode("utf-8")
            age = (time.time() if now is None else now) - int(when)
        except ValueError:
            return None
        proof = proof_of(account)
        if proof is None or not -60 <= age <= KEPT_S:
            return None
        return account if _same(seal, self.made_for("signed in", account, when, proof)) else None


@lru_cache(maxsize=256)
def _made(secret: bytes, said: bytes) -> str:
    """Every run of a page asks several times for the same few: names of cookies, who signed in."""
    return base64.urlsafe_b64encode(hmac.digest(secret, said, hashlib.sha256)).decode().rstrip("=")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())
