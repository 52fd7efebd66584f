"""Accounts of a team: names, roles and passwords in one file of the data folder, as `tale accounts` writes it.

A password is kept as argon2 makes it (RFC 9106) and nowhere in clear. Whoever may read the file may not sign in by it.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from tale_core.errors import InputError, SettingsError
from tale_core.files import write_whole
from tale_core.i18n import t

FILE = "accounts.json"
MOST_LETTERS = 60
LEAST_PASSWORD = 10
"""Letters of a password (NIST SP 800-63B asks for 8 beside limits on tries, which `gate` sets)."""
MOST_PASSWORD = 200
AccountRole = Literal["owner", "member", "student"]


@dataclass(frozen=True, slots=True)
class Account:
    """One person.

    Attributes:
        password: As argon2 made it; None for somebody who signs in elsewhere.
        usd: What may be spent within `CAP_DAYS`; None means no limit.
        tokens: Tokens likewise.
    """

    name: str
    role: AccountRole
    password: str | None = None
    usd: float | None = None
    tokens: int | None = None


class Accounts:
    """The accounts in a folder; read again when the file has changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def all(self) -> dict[str, Account]:
        """Every account by its name.

        Raises:
            SettingsError: The file cannot be read, or holds something else.
        """
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise _unusable(self.path, e.strerror or str(e)) from e
        return _read(self.path, there.st_mtime_ns, there.st_size, there.st_ino)

    def proof(self, name: str) -> str | None:
        """What its sign-ins hang on: another password ends them all. None when nobody can sign in to it here."""
        one = self.all().get(name)
        return None if one is None else one.password

    def is_password(self, name: str, password: str) -> bool:
        """Whether this is the account's password; takes as long for a name that nobody has."""
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError

        kept = self.proof(name)
        try:
            right = PasswordHasher().verify(kept or _nobodys(), password[: MOST_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return False
        return right and kept is not None

    def put(
        self, name: str, role: str, password: str | None, *, usd: float | None = None, tokens: int | None = None
    ) -> Account:
        """Make an account, or change one.

        Args:
            name: As people type it.
            role: `owner`, `member` or `student`.
            password: In clear; None keeps what there is, and makes an account for somebody who signs in elsewhere.
            usd: See `Account`.
            tokens: See `Account`.

        Raises:
            InputError: A bad name, role, password or limit.
        """
        name = tidy_name(name)
        if role not in get_args(AccountRole):
            raise InputError(
                t("The role {role} was given.", role=repr(role)),
                t("Give one of: {roles}.", roles=", ".join(get_args(AccountRole))),
            )
        for most in (usd, tokens):
            if most is not None and not 0 <= most < float("inf"):
                raise InputError(t("A limit of {n} was given.", n=most), t("Give a number from 0, or none."))
        there = self.all()
        kept = there[name].password if name in there else None
        made = Account(name, _ROLES[role], kept if password is None else hashed(password), usd, tokens)
        self._write({**there, name: made})
        return made

    def remove(self, name: str) -> None:
        """Take an account away; what belongs to it stays, for owners to see.

        Raises:
            InputError: There is no such account.
        """
        there = dict(self.all())
        if there.pop(name, None) is None:
            raise InputError(t("There is no account {name}.", name=repr(name[:MOST_LETTERS])))
        self._write(there)

    def _write(self, accounts: dict[str, Account]) -> None:
        rows = {name: {k: v for k, v in asdict(one).items() if k != "name"} for name, one in accounts.items()}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self.path, json.dumps(rows, ensure_ascii=False, indent=2) + "\n", private=True)


def colleagues(folder: Path, account: str) -> tuple[str, ...]:
    """With whom this account can share by name: the other members. Owners see everything, students nothing.

    Raises:
        SettingsError: The file of accounts cannot be read.
    """
    there = Accounts(folder).all()
    return tuple(sorted(name for name, one in there.items() if one.role == "member" and name != account))


_ROLES: dict[str, AccountRole] = {role: role for role in get_args(AccountRole)}


def as_kept(typed: str) -> str:
    """The spelling under which a name is kept, however it is typed."""
    return " ".join(unicodedata.normalize("NFC", typed).split())


def tidy_name(typed: str) -> str:
    """A name as it is kept: without spaces around it, its letters composed in one way.

    Raises:
        InputError: Nothing is left, it is too long, or holds what cannot be seen.
    """
    name = as_kept(typed)
    if not 1 <= len(name) <= MOST_LETTERS or not name.isprintable():
        raise InputError(
            t("The name {name} was given for an account.", name=repr(typed[:MOST_LETTERS])),
            t("Give 1 to {most} letters that can be seen.", most=MOST_LETTERS),
        )
    return name


def hashed(password: str) -> str:
    """A password as it is kept.

    Raises:
        InputError: It is too short, or longer than anybody types.
    """
    from argon2 import PasswordHasher

    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise InputError(
            t("A password of {n} letters was given.", n=len(password)),
            t("Give {least} to {most}.", least=LEAST_PASSWORD, most=MOST_PASSWORD),
        )
    return PasswordHasher().hash(password)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """Compared with where there is no account, so that the time tells nothing."""
    return hashed("x" * LEAST_PASSWORD)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, size: int, inode: int) -> dict[str, Account]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        found = {
            name: Account(tidy_name(name), _ROLES[row["role"]], row.get("password"), row.get("usd"), row.get("tokens"))
            for name, row in rows.items()
        }
    except OSError as e:
        raise _unusable(path, e.strerror or str(e)) from e
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as e:
        raise _unusable(path, t("it is not a file of accounts")) from e
    return found


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        t("The accounts in {path} cannot be read: {why}.", path=path, why=why),
        t("Mend or delete the file; `tale accounts add` writes it anew."),
    )
