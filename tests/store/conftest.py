from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tale_core.settings import REPO_ROOT, get_settings
from tale_core.store import Store, open_store
from tests.support.databases import *  # noqa: F403  (every test of the store runs on SQLite and on PostgreSQL)


@pytest.fixture
def database() -> Path:
    return get_settings().data_dir / "tale.db"


@pytest.fixture
def python() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start another process that runs some code against the same data folder."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code],
            cwd=REPO_ROOT,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """Another machine's store."""
    opened = open_store(f"sqlite:///{tmp_path / 'other' / 'tale.db'}")
    yield opened
    opened.close()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "some.tale.zip"
