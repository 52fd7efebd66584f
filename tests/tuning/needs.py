"""Tests that train: skipped where torch is not installed, but never in CI."""

from __future__ import annotations

import os

import pytest

from tale_core.tuning.install import COMMANDS, missing

absent = missing()
needs_torch = pytest.mark.skipif(
    bool(absent) and not os.environ.get("CI"), reason=f"{', '.join(absent)} not installed: {' && '.join(COMMANDS)}"
)
