"""`proxy`: a drop-in endpoint between any client and any model; `traffic`: what went through it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say
from tale_core.cli.serve import LOOPBACK, place
from tale_core.errors import InputError
from tale_core.files import write_whole
from tale_core.text import csv_text, json_lines

if TYPE_CHECKING:
    import socket

    from tale_core.proxy.plan import ProxyPlan

GRACE_S = 5
"""Seconds that answers in progress have once it is told to end."""


def register(commands: Any) -> None:
    """Add the commands."""
    proxy = commands.add_parser("proxy", help="a drop-in endpoint that watches what a client spends, and saves")
    proxy.add_argument("--upstream", required=True, metavar="URL", help="the OpenAI-compatible endpoint behind it")
    proxy.add_argument("--mode", default="observe", choices=("observe", "save"), help="default: observe")
    proxy.add_argument("--port", type=int, default=0, metavar="N", help="default: any that is free")
    proxy.add_argument("--api-key-env", metavar="VAR", help="variable with the upstream's key; default: each client's")
    proxy.add_argument("--sample", type=float, default=0.05, metavar="SHARE", help="asked both ways (default: 0.05)")
    proxy.add_argument("--changes", metavar="A,B,…", help="what is tried: concise, fixed:N, predicted, effort:LEVEL, …")
    proxy.add_argument("--agree", type=float, default=0.9, metavar="SHARE", help="least agreement (default: 0.9)")
    proxy.add_argument("--allow", default="", metavar="A,B,…", help="change these too: tools, json, images, system")
    proxy.add_argument("--keep-texts", type=float, metavar="DAYS", help="keep texts of what is asked both ways so long")
    flags.add_limits(proxy)
    flags.add_store(proxy)
    proxy.set_defaults(command=run)
    replay = commands.add_parser("replay", help="what if: requests of a log asked again, changed, and compared")
    replay.add_argument("file", type=Path, help="an export of Langfuse or OpenAI, or JSONL of requests and responses")
    replay.add_argument("-n", type=int, default=100, metavar="N", help="requests to ask again (default: 100)")
    replay.add_argument("--upstream", metavar="URL", help="whom to ask; without it, only what the log holds is told")
    replay.add_argument("--api-key-env", metavar="VAR", help="variable with the upstream's key")
    replay.add_argument("--changes", metavar="A,B,…", help="see `proxy`, as those below")
    replay.add_argument("--agree", type=float, default=0.9, metavar="SHARE")
    replay.add_argument("--allow", default="", metavar="A,B,…")
    replay.add_argument("--keep-texts", type=float, metavar="DAYS")
    flags.add_limits(replay)
    flags.add_store(replay)
    replay.set_defaults(command=run_replay, mode="observe", sample=1.0)
    traffic = commands.add_parser("traffic", help="what went through the proxy: savings, agreement, what to do")
    traffic.add_argument("--csv", type=Path, metavar="FILE", help="write every request to a file")
    traffic.add_argument("--questions", type=Path, metavar="FILE.jsonl", help="write the kept questions whose answer "
                         "is known, for `models setup --dataset`")  # fmt: skip
    flags.add_store(traffic)
    traffic.set_defaults(command=report)


def run(args: argparse.Namespace) -> int:
    """Run the endpoint until Ctrl-C. Its address goes to standard output when it is ready.

    Raises:
        InputError: An address, a port, a variable or a number cannot be used.
    """
    from tale_core.proxy.telemetry import sent

    plan = _plan(args)
    key = _key(args.api_key_env)
    with place(args.port) as held, sent():
        try:
            asyncio.run(_serve(plan, held, key, args))
        except KeyboardInterrupt:
            say("Stopped.", file=sys.stderr)
    return OK


def _plan(args: argparse.Namespace) -> ProxyPlan:
    from tale_core.calls.budget_ledger import Limits
    from tale_core.models.endpoint_url import validate_base_url
    from tale_core.proxy.change import change
    from tale_core.proxy.plan import SECOND_REQUESTS, ProxyPlan
    from tale_core.proxy.wish import allowances

    limits = Limits(args.max_calls, args.max_total_tokens, args.max_cost)
    names = [name for name in (args.changes or "").split(",") if name.strip()]
    plan = ProxyPlan(
        upstream=validate_base_url(args.upstream, has_key=True),
        mode=args.mode,
        sample=args.sample,
        limits=limits if limits != Limits() else Limits(max_calls=SECOND_REQUESTS),
        changes=tuple(change(name) for name in names),
        allowed=allowances(args.allow),
        agree=args.agree,
        keep=None if args.keep_texts is None else timedelta(days=args.keep_texts),
    )
    plan.validate()
    return plan


def _key(variable: str | None) -> str | None:
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise InputError(f"--api-key-env names {variable!r}, which is empty.", "Set it to the upstream's key.")
    return key or None


async def _serve(plan: ProxyPlan, held: socket.socket, key: str | None, args: argparse.Namespace) -> None:
    import uvicorn

    from tale_core.proxy.app import Proxy
    from tale_core.settings import get_settings
    from tale_core.store import TrafficStore, open_store

    traffic = TrafficStore(open_store(args.db))
    traffic.forget_texts()
    proxy = Proxy(plan, traffic, get_settings(), api_key=key)
    told = {"base_url": f"http://{LOOPBACK}:{held.getsockname()[1]}/v1", "api_key": proxy.client_key,
            "upstream": plan.upstream, "mode": plan.mode}  # fmt: skip
    if args.json:
        say(json.dumps(told))  # One line, since more may be waited for.
    else:
        say("\n".join(f"{name:8} {value}" for name, value in told.items() if value))
    sys.stdout.flush()
    say("Passing on for this machine only, until Ctrl-C.", file=sys.stderr)
    config = uvicorn.Config(proxy, log_config=None, access_log=False, lifespan="off", server_header=False,
                            date_header=False, timeout_graceful_shutdown=GRACE_S)  # fmt: skip
    try:
        await uvicorn.Server(config).serve(sockets=[held])
    finally:
        await proxy.aclose()


def run_replay(args: argparse.Namespace) -> int:
    """Say what a log holds, and with --upstream what a change would have saved.

    Raises:
        InputError: The file, an address or a number cannot be used.
    """
    from tale_core.proxy.figures import findings
    from tale_core.proxy.logs import read_log
    from tale_core.proxy.replay import drawn, replay, summary
    from tale_core.proxy.report import finding_document
    from tale_core.proxy.wish import allowances
    from tale_core.store import TrafficStore, open_store
    from tale_core.strategies import title_of

    log, allowed = read_log(args.file), allowances(args.allow)
    found = summary(log, allowed)
    if args.upstream is not None:
        plan, key = _plan(args), _key(args.api_key_env)
        chosen, traffic = drawn(log, args.n, allowed), TrafficStore(open_store(args.db))
        before = {pair.id for pair in traffic.pairs()}
        asyncio.run(replay(chosen, plan, traffic, key))
        new = [pair for pair in traffic.pairs() if pair.id not in before]
        found |= {"drawn": len(chosen), "changes": [finding_document(one, args.agree) for one in findings(new)]}
    if args.json:
        emit(found)
        return OK
    for one in found["models"]:
        say(f"{one['model']}: {one['requests']:,} requests, {one['tokens']:,} output tokens; "
            f"{one['changeable']:,} requests with {one['changeable_tokens']:,} of them may be changed.")  # fmt: skip
    for one in found.get("changes", ()):
        say(f"  {one['model']}, {title_of(one['strategy'])}: {one['sentence']} {one['advice']}")
    return OK


def report(args: argparse.Namespace) -> int:
    """Say what went through."""
    from tale_core.proxy.kept import known_questions
    from tale_core.proxy.report import document, lines
    from tale_core.store import TrafficStore, open_store

    traffic = TrafficStore(open_store(args.db))
    if args.csv is not None:
        _write(args.csv, [asdict(one) for one in traffic.requests(limit=None)])
    if args.questions is not None:
        rows = known_questions(traffic)
        try:  # What people asked is for the owner of the file alone.
            write_whole(args.questions, json_lines(rows), private=True)
        except OSError as e:
            raise InputError(f"{args.questions} cannot be written: {e.strerror}.", "Give another file.") from e
        say(f"tale: {args.questions}: {len(rows):,} questions", file=sys.stderr)
    found = document(traffic)
    emit(found) if args.json else say("\n".join(lines(found)))
    return OK


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        write_whole(path, csv_text(list(rows[0]) if rows else [], rows).encode())
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}.", "Give another file.") from e
