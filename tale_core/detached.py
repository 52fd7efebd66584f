"""Starting a process of ours that outlives whoever started it. Knows no model and no training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from tale_core.settings import REPO_ROOT

_KEYS = ("_API_KEY", "_TOKEN")


def start(
    command: Sequence[str],
    *,
    log: int | IO[bytes],
    stdin: int = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own: it outlives this process and its terminal.

    It has no use for anybody's keys, so the environment that it is given holds none.

    Args:
        command: The program and its arguments.
        log: Takes what it prints.
        stdin: What it reads; nothing by default.
        env: Added to the environment.

    Raises:
        OSError: It cannot be started.
    """
    kept = {name: value for name, value in os.environ.items() if not name.endswith(_KEYS)}
    new_group = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=log,
        stderr=log,
        cwd=REPO_ROOT,
        env={**kept, **(env or {})},
        start_new_session=sys.platform != "win32",
        creationflags=new_group,
    )
