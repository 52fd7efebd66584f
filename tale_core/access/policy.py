"""What this server was told about who may come: read once at its start, asked for every request and every page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tale_core.access.accounts import Accounts
from tale_core.access.hosts import is_loopback, names_of, others_here, own_names
from tale_core.access.keys import Keys, load_keys
from tale_core.access.who import MINE, Asker, Role, unnamed

if TYPE_CHECKING:
    from tale_core.settings import Access, Settings

_BY_LINK = "link"
_BROWSER_LETTERS = 32


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may come, and as what.

    Attributes:
        mode: `alone`, `class` or `team`.
        keys: This installation's.
        guarded: Alone: the owner's link is asked for. In the other modes it always is.
        hosts: Names that this server answers to, beside addresses in digits and localhost.
        accounts: Names and passwords.
        elsewhere: People may also sign in by OpenID Connect; the page asks for it.
    """

    mode: Access
    keys: Keys
    guarded: bool
    hosts: frozenset[str]
    accounts: Accounts
    elsewhere: bool = False

    @property
    def cookie(self) -> str:
        """The name of the cookie that says who signed in."""
        return self.keys.cookie

    @property
    def browser_cookie(self) -> str:
        """The name of the cookie that tells browsers apart."""
        return f"{self.keys.cookie}_browser"

    def asker(self, cookies: Mapping[str, str], address: str | None) -> Asker:
        """Who asks.

        Args:
            cookies: Of the request that opened the page.
            address: Where it came from.
        """
        kept = cookies.get(self.browser_cookie, "")
        browser = kept if is_browser(kept) else None
        local = address is None or is_loopback(address)
        nobody = Asker(self._unsigned, _unnamed(browser), browser, None if local else address)
        account = self.keys.account_of(cookies.get(self.cookie, ""), self._proof_of)
        if account == MINE or (account is None and nobody.role == "owner"):
            return replace(nobody, role="owner", account=MINE)
        return nobody if account is None else self.named(account, nobody) or nobody

    def named(self, account: str, asker: Asker) -> Asker | None:
        """This asker as somebody of this name; None without such an account."""
        one = self.accounts.all().get(account)
        if one is None:
            return None
        return replace(asker, role=one.role, account=one.name, usd=one.usd, tokens=one.tokens)

    @property
    def _unsigned(self) -> Role:
        """What somebody is who has not signed in."""
        if self.mode == "alone":
            return "stranger" if self.guarded else "owner"
        return "student" if self.mode == "class" else "stranger"

    def _proof_of(self, account: str) -> str | None:
        if account == MINE:
            return _BY_LINK
        return self.accounts.proof(account) if self.mode == "team" else None

    def by_link(self) -> str:
        """What the browser keeps that came by the owner's link."""
        return self.keys.signed(MINE, _BY_LINK)

    def by_password(self, account: str) -> str:
        """What the browser keeps that signed in by a password."""
        return self.keys.signed(account, self.accounts.proof(account) or "")


def _unnamed(browser: str | None) -> str:
    return unnamed(hashlib.sha256((browser or "").encode()).hexdigest())


def is_browser(kept: str) -> bool:
    """Whether this is one of our browser cookies."""
    return len(kept) == _BROWSER_LETTERS and kept.isalnum() and kept.isascii()


def policy_for(address: str | None, settings: Settings, *, elsewhere: bool = False) -> Policy:
    """The policy of a server that listens there.

    Args:
        address: On which address it listens; None means on all.
        settings: The program's.
        elsewhere: See `Policy`.

    Raises:
        SettingsError: The folder of the secret, or the file of accounts, cannot be used.
    """
    inside = address is not None and is_loopback(address)
    guarded = settings.owner_token == "on" or (settings.owner_token == "auto" and (not inside or others_here()))
    return Policy(
        mode=settings.access,
        keys=load_keys(settings.data_dir),
        guarded=guarded,
        hosts=names_of(settings.allowed_hosts) | (frozenset() if inside else own_names()),
        accounts=Accounts(settings.data_dir),
        elsewhere=elsewhere and settings.access == "team",
    )
