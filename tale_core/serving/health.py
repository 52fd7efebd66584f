"""Is everything there that this program needs? For those who watch it: a container's health check, a balancer.

Says what is wrong in words, without a key.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tale_core.errors import TaleError
from tale_core.settings import Settings, get_settings

LEAST_FREE = 50_000_000
"""Bytes that must be free where data is written."""
PAGE_S = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: "database", "data-folder", "page" or "model".
        detail: What was found, in words.
    """

    name: str
    ok: bool
    detail: str
    seconds: float


def health(*, page: str | None = None, model: str | None = None, settings: Settings | None = None) -> list[Check]:
    """Look at everything that is asked for; a failure is told, never raised.

    Args:
        page: The app's address, to look whether it answers.
        model: A model to ask for one token.
        settings: The environment's by default.
    """
    settings = settings or get_settings()
    looks: list[tuple[str, Callable[[], str]]] = [
        ("data-folder", lambda: _folder(settings.data_dir)),
        ("database", lambda: _database(settings)),
    ]
    if page is not None:
        looks.append(("page", lambda: look_at_page(page)))
    if model is not None:
        looks.append(("model", lambda: _model(model)))
    return [_look(name, look) for name, look in looks]


def _look(name: str, look: Callable[[], str]) -> Check:
    began = time.monotonic()
    try:
        ok, detail = True, look()
    except (TaleError, OSError, ValueError, http.client.HTTPException) as e:
        ok, detail = False, str(e) or type(e).__name__
    return Check(name, ok, detail, round(time.monotonic() - began, 3))


def _folder(path: Path) -> str:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(f"{path} cannot be written.")
    free = shutil.disk_usage(path).free
    if free < LEAST_FREE:
        raise OSError(f"Only {free / 1e6:.0f} MB are free at {path}.")
    return f"{free / 1e9:.1f} GB free at {path}"


def _database(settings: Settings) -> str:
    from tale_core.store import open_store

    store = open_store(settings=settings, lock_timeout_s=5.0)
    return f"{store.count_sessions():,} sessions in {store.where}"


def look_at_page(address: str) -> str:
    """That the app at an address answers, in words.

    Raises:
        ValueError: It is no address.
        OSError: The app does not answer, or not well.
    """
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"{address!r} is no address of a page.")
    where = f"{address.rstrip('/')}/_stcore/health"
    with urllib.request.urlopen(where, timeout=PAGE_S) as answer:
        if answer.status != 200:
            raise OSError(f"{where} answered {answer.status}.")
    return f"{where} answers"


def _model(name: str) -> str:
    from tale_core.models.choice import choice_from_flags, endpoint_of

    choice = choice_from_flags(model=name, base_url=None, api_key_env=None)
    if choice.kind == "embedded":
        from tale_core.models.embedded.catalog import embedded_model
        from tale_core.models.weights.fetch import find_local

        path = find_local(embedded_model(choice.base))
        if path is None:
            raise OSError(f"The weights of {name} are not fetched yet (models pull).")
        return f"weights at {path}"
    if choice.kind == "group":
        from tale_core.models.groups.check import check_group
        from tale_core.models.groups.config import group

        found = asyncio.run(check_group(group(name)))
        good = [one for one in found if one.report.ok]
        if not good:
            raise OSError(f"None of the {len(found)} endpoints of {name} answers.")
        return f"{len(good)} of {len(found)} endpoints of {name} answer"
    from tale_core.models.connection import check

    report = asyncio.run(check(endpoint_of(choice)))
    if not report.ok:
        raise OSError(f"{report.headline}. {report.detail}")
    return report.detail
