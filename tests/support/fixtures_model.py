"""Real weights for tests marked `model`: fetched once, shared with the app and by all test runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from tale_core.errors import NoSourceError
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.weights.fetch import ensure_weights
from tale_core.settings import Settings

TEST_MODEL = "smollm2-135m"
THREADS = "1"
"""Of an embedded server: two run at a time on two processors. Where they are set it does not follow its
neighbours, which other tests are."""


@pytest.fixture(scope="session")
def smollm_cache() -> Path:
    """A cache folder that holds the small model; set TALE_CACHE_DIR to it."""
    default = platformdirs.user_cache_dir("tale", appauthor=False)
    cache = Path(os.environ.get("TALE_TEST_CACHE") or default)
    try:
        ensure_weights(embedded_model(TEST_MODEL), settings=Settings(cache_dir=cache))
    except NoSourceError as e:
        pytest.skip(str(e))
    return cache
