"""`health`: exit code 0 when everything that is needed is there, else 1; each finding in a line or in one document."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from tale_core.cli import FAILED, OK, emit
from tale_core.health import health


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    found = health(page=args.page, model=args.model)
    ready = all(check.ok for check in found)
    if args.json:
        emit({"ready": ready, "checks": [asdict(check) for check in found]})
        return OK if ready else FAILED
    for check in found:
        words = f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}"
        print(words, file=sys.stdout if check.ok else sys.stderr)
    return OK if ready else FAILED
