"""What a client wishes for one request: behind the model's name, `gpt-4o-mini(budget=60)`, or in the header `x-tale`.

The header counts where both are there. What stands in brackets and is no wish of ours belongs to the model's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.proxy.change import REASONS, Change, change

HEADER, ALLOW = "x-tale", "x-tale-allow"
_NAMED = re.compile(r"(?P<model>.+)\((?P<wish>tale|off|(?:budget|effort|thinking)=[^()]*)\)", re.DOTALL)
_STRATEGIES = {"budget": "fixed", "effort": "effort", "thinking": "thinking"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish.

    Attributes:
        model: The model's name for the upstream.
        off: The request is to be left as it is, whatever the mode.
        best: The change that showed best is to be used, whatever the mode.
        change: This change is to be used.
        allowed: Reasons to leave a request alone that do not count for it.
    """

    model: str
    off: bool = False
    best: bool = False
    change: Change | None = None
    allowed: frozenset[str] = frozenset()


def wish(model: str, headers: Mapping[str, str]) -> Wish:
    """What is wished for.

    Raises:
        InputError: It is no wish, or a level that does not exist.
    """
    found = _NAMED.fullmatch(model)
    name = found["model"] if found else model
    said = headers.get(HEADER) or (found["wish"] if found else "")
    allowed = allowances(headers.get(ALLOW, ""))
    said = said.strip()
    if said in ("", "off", "tale"):
        return Wish(name, off=said == "off", best=said == "tale", allowed=allowed)
    kind, equals, level = said.partition("=")
    if not equals or kind not in _STRATEGIES:
        raise InputError(t("{given!r} is no wish.", given=said[:60]),
                         t("Choose from: {names}.", names="tale, off, budget=N, effort=LEVEL, thinking=N"))  # fmt: skip
    return Wish(name, change=change(f"{_STRATEGIES[kind]}:{level}"), allowed=allowed)


def allowances(text: str) -> frozenset[str]:
    """The reasons of a list with commas.

    Raises:
        InputError: One of them does not exist.
    """
    named = frozenset(part.strip() for part in text.split(",") if part.strip())
    if unknown := sorted(named - set(REASONS)):
        raise InputError(t("{given!r} is nothing that can be allowed.", given=unknown[0][:60]),
                         t("Choose from: {names}.", names=", ".join(REASONS)))  # fmt: skip
    return named
