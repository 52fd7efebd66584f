"""Rows of a set on the Hugging Face hub, through the `datasets` package where it is installed.

The package's one call may hang for minutes without a network, so it runs in a thread that is left behind when its time
is up. Nothing of its errors is shown but their kind: they may quote addresses and rows.
"""

from __future__ import annotations

import importlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tale_core.datasets.collect import MAX_ROWS
from tale_core.datasets.results import Row
from tale_core.datasets.tables import Item
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.settings import get_settings

HUB_S = 60.0
"""Longest wait for a whole set."""
INSTALL = "pip install datasets==5.2.0"


@dataclass(frozen=True, slots=True)
class HubSet:
    """Where a set is on the hub."""

    repo: str
    config: str | None
    split: str


def hub_rows(where: HubSet, *, hint: str) -> Iterator[Item]:
    """All rows of a set; `line` is the row's number, from 1.

    Args:
        where: Which set.
        hint: What else can be done, for the message.

    Raises:
        InputError: Not installed, offline, no answer in time, or refused.
    """
    if get_settings().offline:
        raise InputError(t("{set} is not here, and TALE_OFFLINE is set.", set=where.repo), hint)
    try:
        package: Any = importlib.import_module("datasets")
    except ImportError as e:
        message = t("{set} is on the Hugging Face hub: to fetch it, {command}.", set=where.repo, command=INSTALL)
        raise InputError(message, t("Or: {hint}", hint=hint)) from e
    answer: queue.SimpleQueue[list[dict[str, object]] | Exception] = queue.SimpleQueue()
    threading.Thread(target=_fetch, args=(package, where, answer), name="tale-hub", daemon=True).start()
    try:
        found = answer.get(timeout=HUB_S)
    except queue.Empty:
        message = t("The hub did not give {set} within {seconds:.0f} s.", set=where.repo, seconds=HUB_S)
        raise InputError(message, hint) from None
    if isinstance(found, Exception):
        # Without the cause: a traceback of it could hold a token or a row.
        message = t("The hub did not give {set}: {why}.", set=where.repo, why=_in_words(found))
        raise InputError(message, hint) from None
    return (Row(number, row) for number, row in enumerate(found, start=1))


def _fetch(package: Any, where: HubSet, answer: queue.SimpleQueue[list[dict[str, object]] | Exception]) -> None:
    try:
        rows = package.load_dataset(where.repo, where.config, split=where.split)
        answer.put([dict(row) for row in islice(rows, MAX_ROWS)])
    except Exception as e:
        answer.put(e)


def _in_words(error: Exception) -> str:
    name = type(error).__name__
    if "gated" in f"{name} {error}".casefold():
        return t("its publishers ask you to accept their terms on the hub first, then to log in with `hf auth login`")
    if isinstance(error, OSError) or "Connection" in name or "Timeout" in name:
        return t("it could not be reached ({error})", error=name)
    return name
