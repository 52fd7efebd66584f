from __future__ import annotations

from collections.abc import Iterator

import pytest

from tale_core.labels import Labeling
from tale_core.store import Store, open_store
from tests.support.databases import *  # noqa: F403  (labels on SQLite and on PostgreSQL)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_store()
    yield opened
    opened.close()


@pytest.fixture
def labeling(store: Store) -> Labeling:
    return Labeling(store)
