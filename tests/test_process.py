"""A process is told from all others, whatever happens to the clock."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tale_core.process import owner_is_gone, owner_of

pytestmark = pytest.mark.sqlite_only("no database is opened")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def is_gone(owner: str) -> bool:
    return owner_is_gone(owner, heartbeat_at=datetime(2000, 1, 1, tzinfo=UTC), now=NOW)


def test_a_step_of_the_clock_makes_no_process_look_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = owner_of(os.getppid())
    # After a step the boot, and all that is counted from it, seems to be at another time.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 1.0)
    assert not is_gone(owner)


def test_another_process_of_the_same_id_is_not_taken_for_it() -> None:
    host, pid, started = owner_of(os.getppid()).rsplit(":", 2)
    ticks, boot = started.split("@")
    assert is_gone(f"{host}:{pid}:{int(ticks) + 1}@{boot}")
    assert is_gone(f"{host}:{pid}:{ticks}@another-boot")


def test_a_process_that_has_ended_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = owner_of(process.pid)
    assert not is_gone(owner)
    process.kill()
    process.communicate()
    assert is_gone(owner)


def test_owners_of_older_databases_are_still_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = psutil.Process(os.getppid())
    old = f"{socket.gethostname()}:{parent.pid}:{parent.create_time():.2f}"
    assert not is_gone(old) and is_gone(f"{socket.gethostname()}:{parent.pid}:1.00")
    # Where the system tells no ticks, owners are named so today.
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "")
    assert owner_of(parent.pid) == old
