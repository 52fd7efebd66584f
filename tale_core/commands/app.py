"""`app`: the pages, in one process or in several behind HAProxy, until interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from tale_core.cli import OK
from tale_core.settings import REPO_ROOT


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.app_processes import AppProcesses, command

    if args.processes == 1:
        line = command(args.port, address=args.address)
        if os.name == "nt":
            return subprocess.run(line, cwd=REPO_ROOT, check=False).returncode
        os.chdir(REPO_ROOT)
        os.execv(line[0], line)  # Whoever stops this process stops the app.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with AppProcesses(args.processes, args.port, args.address) as apps:
            print(f"{args.processes} processes on http://{args.address}:{args.port}, until Ctrl-C.", file=sys.stderr)
            while True:
                time.sleep(1)
                apps.tend()
    except KeyboardInterrupt:
        print("Ended.", file=sys.stderr)
    return OK


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
