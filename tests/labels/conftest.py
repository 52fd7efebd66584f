from __future__ import annotations

import pytest

from tale_core.labels import Labeling
from tale_core.store import Store
from tests.support.databases import *  # noqa: F403  (labels on SQLite and on PostgreSQL)


@pytest.fixture
def labeling(store: Store) -> Labeling:
    return Labeling(store)
