"""`app`: the pages, in one process or in several behind HAProxy, until interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any

from tale_core.cli.output import OK, say


def register(commands: Any) -> None:
    """Add the command."""
    app = commands.add_parser("app", help="start the pages, in one process or in several behind HAProxy")
    app.add_argument("--processes", type=int, default=1, metavar="N", help="default: 1; more need HAProxy")
    app.add_argument("--port", type=int, default=8501, metavar="N", help="default: 8501")
    app.add_argument("--address", metavar="IP", help="default: this machine alone; with --class all of its addresses")
    app.add_argument(
        "--class", dest="mode", action="store_const", const="class",
        help="a class: students of the network see the Class page alone, the owner comes by a link",
    )  # fmt: skip
    app.add_argument(
        "--team", dest="mode", action="store_const", const="team",
        help="a team: everybody signs in; see `accounts`",
    )  # fmt: skip
    app.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.access import opening
    from tale_core.access.policy import policy_for
    from tale_core.models.endpoint_url import listens_alone
    from tale_core.serving.haproxy import AppProcesses, check_free, command
    from tale_core.settings import get_settings

    if args.mode is not None:
        os.environ["TALE_ACCESS"] = args.mode
        get_settings.cache_clear()
    mode = get_settings().access
    args.address = args.address or ("0.0.0.0" if mode == "class" else "127.0.0.1")
    if not listens_alone(args.address):  # Behind HAProxy the processes themselves listen on loopback.
        os.environ.setdefault("TALE_GUARD_ADDRESSES", "always")
    if args.processes == 1:
        check_free(args.address, args.port)
        line = command(args.port, address=args.address)
        if os.name == "nt":
            return subprocess.run(line, check=False).returncode
        os.execv(line[0], line)  # Stopping this process stops the app.
    # The processes themselves listen on loopback: what follows from the address that people come to is settled here.
    settings = get_settings()
    policy = policy_for(args.address, settings)
    students = opening.class_base(args.address, args.port, told=settings.class_url)
    os.environ["TALE_OWNER_TOKEN"] = "on" if policy.guarded else "off"
    os.environ["TALE_ALLOWED_HOSTS"] = ",".join(sorted(policy.hosts))
    if students is not None:
        os.environ["TALE_CLASS_URL"] = students
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with AppProcesses(args.processes, args.port, args.address) as apps:
            say(f"{args.processes} processes on http://{args.address}:{args.port}, until Ctrl-C.", file=sys.stderr)
            reached = opening.bases(args.address, args.port)
            if links := opening.told_at_start(policy, reached, students, picture=sys.stderr.isatty()):
                say(links, file=sys.stderr)
            while True:
                time.sleep(1)
                apps.tend()
    except KeyboardInterrupt:
        say("Ended.", file=sys.stderr)
    return OK


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
