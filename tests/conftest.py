"""Every test gets its own data and cache folder and an environment without keys."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tale_core.models import adapters
from tale_core.settings import get_settings
from tale_core.store import opening
from tests.databases import postgresql

__all__ = ["postgresql"]
"""Here and in no folder's own conftest: each of those would start another server."""


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("TALE_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TALE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALE_CACHE_DIR", str(tmp_path / "cache"))
    # Whether an adapter comes with the program changes with every better one; tests/tuning/test_shipped.py is about it.
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "nothing-shipped")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
    _close_stores(tmp_path)


def _close_stores(folder: Path) -> None:
    """Thousands of tests in one process would come to the end of its file descriptors."""
    for key, (store, _) in list(opening._open.items()):
        if str(folder) in key[0]:
            store.close()
            del opening._open[key]


def pytest_configure() -> None:
    """Whoever starts the tests in the background of a script has them ignore interrupts, and all that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests last: they are the slow ones, and Playwright keeps an event loop running in this thread."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
