"""`health`: exit code 0 when everything that is needed is there, else 1; each finding in a line or in one document."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from tale_core.cli import flags
from tale_core.cli.output import FAILED, OK, emit, say


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("health", help="is everything there? exit code 0 or 1, for containers and balancers")
    parser.add_argument("--page", metavar="URL", help="look whether the app answers at this address, too")
    parser.add_argument("--model", metavar="NAME", help="look whether this model or group answers, too")
    flags.add_json(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.serving.health import health

    found = health(page=args.page, model=args.model)
    ready = all(check.ok for check in found)
    if args.json:
        emit({"ready": ready, "checks": [asdict(check) for check in found]})
        return OK if ready else FAILED
    for check in found:
        words = f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}"
        say(words, file=sys.stdout if check.ok else sys.stderr)
    return OK if ready else FAILED
