from __future__ import annotations

from collections.abc import Iterator

import pytest

from tale_core.labels import Desk
from tale_core.store import Store, open_store
from tests.databases import *  # noqa: F403  (labels on SQLite and on PostgreSQL)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_store()
    yield opened
    opened.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
