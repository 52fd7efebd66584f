"""Every test gets its own data and cache folder and an environment without keys."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from tale_core.models.adapters import registry as adapters
from tale_core.models.client import params as client_params
from tale_core.runs import runner as jobs
from tale_core.runs.runner import Runner
from tale_core.settings import get_settings
from tale_core.store import Store, open_store
from tale_core.store.database import opening
from tale_core.tuning.install import PACKAGES
from tests.support.bad_endpoint import BadEndpoint
from tests.support.databases import engine_with_known_statements, postgresql, quickly_upgraded
from tests.support.fixtures_model import THREADS

__all__ = ["postgresql"]
"""Here and in no folder's own conftest: each of those would start another server."""


@pytest.fixture(autouse=True)
def clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("TALE_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TALE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TALE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TALE_SERVER_THREADS", THREADS)
    # Whether an adapter comes with the program changes with every better one; tests/tuning/test_shipped.py is about it.
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "nothing-shipped")
    monkeypatch.setattr(opening, "make_engine", engine_with_known_statements)
    if request.node.get_closest_marker("empty_database") is None:
        monkeypatch.setattr(opening, "upgrade", quickly_upgraded)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
    _close_stores(tmp_path)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_store()
    yield opened
    opened.close()


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """The jobs of this test alone, those that pages and commands start as well."""
    made = Runner()
    monkeypatch.setattr(jobs, "the_runner", made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bad_server() -> Iterator[BadEndpoint]:
    with BadEndpoint() as server:
        yield server


@pytest.fixture
def bad(bad_server: BadEndpoint) -> BadEndpoint:
    """One scripted endpoint for a module, forgetful between tests: starting one costs more than a test."""
    client_params.forget_all()
    bad_server.forget()
    return bad_server


def _close_stores(folder: Path) -> None:
    """Thousands of tests in one process would come to the end of its file descriptors."""
    for key, (store, _) in list(opening.open_stores.items()):
        if str(folder) in key[0]:
            store.close()
            del opening.open_stores[key]


def pytest_configure() -> None:
    """Whoever starts the tests in the background of a script has them ignore interrupts, and all that they start.

    Hypothesis tries the same cases in every run, so that what passed passes again; TALE_TEST_RANDOM=1 looks for new
    ones.
    """
    if not os.environ.get("TALE_TEST_RANDOM"):
        hypothesis.settings.load_profile("ci")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


EXTRAS = {"tune": PACKAGES, "ray": ("ray",)}
"""Packages that the tests of a marker need beside those of `make test`; `make NAME` installs them."""


SLOW_FIRST = (
    "test_looks", "test_lesson", "test_label_live", "test_grading", "test_saved", "test_training", "test_loading",
    "test_kill", "test_haproxy", "test_package", "test_estimators_page", "test_archive", "test_setup",
    "test_translations", "test_elasticity_page", "test_concurrency", "test_search_page", "test_settings_page",
    "test_users", "test_calculator", "test_endpoint_shapes", "test_shutdown", "test_weights", "test_ask_page",
    "test_expressions", "test_experiments_page", "test_database", "test_labels", "test_run", "test_kinds",
    "test_chinese_experiments", "test_migrations", "test_canary",
)  # fmt: skip
"""Files that take longest, the longest first: a worker that began such a file last would end long after the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first; the browser's tests last, since Playwright keeps an event loop running in this thread.

    What needs an extra is skipped where that is not installed; `make test-extras` has just installed it, and skips
    nothing.
    """
    if "TALE_TEST_EXTRAS" not in os.environ:
        for name, packages in EXTRAS.items():
            if absent := [package for package in packages if find_spec(package) is None]:
                skip = pytest.mark.skip(reason=f"{', '.join(absent)} not installed: make {name}")
                for item in items:
                    if item.get_closest_marker(name) is not None:
                        item.add_marker(skip)
    places = {name: place for place, name in enumerate(SLOW_FIRST)}
    last = len(places)
    items.sort(key=lambda i: (i.get_closest_marker("browser") is not None, places.get(i.path.stem, last)))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """The libraries and thousands of tests stay until the end: no collection has to look through them."""
    gc.collect()
    gc.freeze()
