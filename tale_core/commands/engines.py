"""Where the calls of a command are made from: here, or from the workers of a Ray cluster. Flags, checks, the engine."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from tale_core.errors import InputError

if TYPE_CHECKING:
    from tale_core.cluster.engine import RayEngine
    from tale_core.models.choice import ModelChoice


def add_flags(parser: argparse.ArgumentParser) -> None:
    """`--engine` and what belongs to it."""
    parser.add_argument("--engine", default="local", choices=["local", "ray"], help="where calls are made from")
    parser.add_argument(
        "--ray-address", metavar="HOST:PORT", help="with --engine ray: a running cluster; default: one here"
    )
    parser.add_argument(
        "--ray-workers", type=int, metavar="N", help="with --engine ray: processes that ask; default: one a CPU"
    )


def check(args: argparse.Namespace) -> None:
    """Whether the flags fit together.

    Raises:
        InputError: They do not, or would show a password to everybody who sees the cluster.
    """
    if args.engine == "local" and (args.ray_address is not None or args.ray_workers is not None):
        raise InputError("--ray-address or --ray-workers was given without --engine ray.", "Add it, or leave them out.")
    if args.engine == "ray" and args.db and re.search(r"://[^/@\s]*:[^/\s]*@|[?&]\w*password=", args.db):
        raise InputError(
            "--db holds a password, and Ray shows this command line to everybody who can see the cluster.",
            "Give the address without it; PGPASSWORD or ~/.pgpass may hold it, or TALE_DATABASE_URL all of it.",
        )


@contextmanager
def engine(args: argparse.Namespace, choice: ModelChoice) -> Iterator[RayEngine | None]:
    """The cluster that makes the calls; None when they are made from here."""
    if args.engine == "local":
        yield None
        return
    from tale_core.cluster.engine import RayEngine, check_choice

    check_choice(choice)
    # Ray tells of a worker that died on standard output, which is for the result alone.
    with redirect_stdout(sys.stderr), RayEngine(address=args.ray_address, workers=args.ray_workers) as running:
        where = f"at {args.ray_address}" if args.ray_address else "on this machine"
        print(f"Ray cluster {where}: {running.workers} worker{'' if running.workers == 1 else 's'}", file=sys.stderr)
        yield running
