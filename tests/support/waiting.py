"""What tests wait for: a condition, a free port, a process that says something."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

from tale_core.settings import REPO_ROOT


def until(
    condition: Callable[[], Any], what: str = "it", *, seconds: float = 60, tend: Callable[[], None] = lambda: None
) -> None:
    """Wait for something to be so, doing `tend` meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        tend()
        time.sleep(0.02)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def killed(code: str) -> str:
    """Run a program until it says something, kill it, and give back what it said."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            return process.stdout.readline().strip()
        finally:
            process.kill()
