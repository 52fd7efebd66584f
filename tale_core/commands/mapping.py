"""`--map field=column,…` on the command line. Knows the form of the flag; which fields there are, the loaders say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tale_core.errors import InputError


def mapping_of(pairs: str | None) -> dict[str, str] | None:
    """The flag as a mapping; None when it was not given.

    Raises:
        InputError: A part without an equals sign, or a field named twice.
    """
    if not pairs:
        return None
    found: dict[str, str] = {}
    for pair in pairs.split(","):
        name, sign, column = (part.strip() for part in pair.partition("="))
        if not sign or not name or name in found:
            raise InputError(f"--map has {pair.strip()[:60]!r}.", "Write field=column once each, with commas between.")
        found[name] = column
    return found


def columns_of(pairs: str | None) -> Mapping[str, str | Sequence[str]] | None:
    """The flag for a data set, whose options may stand in several columns: options=a|b|c.

    Raises:
        InputError: See `mapping_of`.
    """
    found = mapping_of(pairs)
    if found is None:
        return None
    return {name: column.split("|") if "|" in column else column for name, column in found.items()}
