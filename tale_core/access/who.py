"""Who asks, as the rest of the program sees it: a role, an account, a browser and an address.

Like the reader's language, it is asked for where it is needed: a page says by `ask_who` how to find out, a job runs for
the person who started it (`asking_as`), and where nobody said (the command line, a notebook) it is the owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

Role = Literal["owner", "member", "student", "stranger"]
MINE = ""
"""The account of whoever set the program up: what was stored before there were accounts is theirs."""

CAP_DAYS = 30


@dataclass(frozen=True, slots=True)
class Asker:
    """One who asks.

    Attributes:
        role: An owner sees and does everything; a member their own and what is shared; a student the class alone; a
            stranger nothing.
        account: Whose sessions are begun; `MINE` without accounts.
        browser: What tells this browser from others; None where it is not known.
        address: From where, as an IP address; None on this machine itself.
        usd: What they may spend within `CAP_DAYS`; None means no limit.
        tokens: Tokens of prompts and answers likewise.
    """

    role: Role = "owner"
    account: str = MINE
    browser: str | None = None
    address: str | None = None
    usd: float | None = None
    tokens: int | None = None

    @property
    def sees_all(self) -> bool:
        """Everything is theirs to see."""
        return self.role == "owner"


def unnamed(browser_hash: str) -> str:
    """The account of a browser that nobody has signed in with; its space in front makes it no name of a person.

    Args:
        browser_hash: SHA-256 of what tells it from others.
    """
    return f" {browser_hash[:16]}"


OWNER = Asker()
_chosen: ContextVar[Asker | None] = ContextVar("asker", default=None)
asked_for_asker: list[Callable[[], Asker | None]] = []


def asking() -> Asker:
    """Who asks now; the owner where nobody said."""
    if (chosen := _chosen.get()) is not None:
        return chosen
    return (asked_for_asker[0]() if asked_for_asker else None) or OWNER


def ask_who(who: Callable[[], Asker | None]) -> None:
    """Ask this function wherever none was set; None means that no page is being drawn."""
    asked_for_asker[:] = [who]


@contextmanager
def asking_as(asker: Asker) -> Iterator[None]:
    """What the block does is done for this one, in tasks that it starts as well."""
    token = _chosen.set(asker)
    try:
        yield
    finally:
        _chosen.reset(token)
