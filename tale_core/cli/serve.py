"""`serve`: an embedded model as an OpenAI-compatible endpoint for any other client, until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say
from tale_core.cli.progress import server_with_progress
from tale_core.errors import InputError

if TYPE_CHECKING:
    from tale_core.models.choice import ModelChoice

LOOPBACK = "127.0.0.1"
GRACE_S = 1
"""Seconds that answers in progress have once it is told to end."""
SHORTEST_KEY = 8


def register(commands: Any) -> None:
    """Add the command."""
    serve = commands.add_parser("serve", help="serve an embedded model to any OpenAI client until interrupted")
    serve.add_argument(
        "--model", metavar="NAME", help="an embedded model or FILE.gguf; NAME+ADAPTER with an adapter switched on"
    )
    serve.add_argument("--port", type=int, default=0, metavar="N", help="default: any that is free")
    serve.add_argument(
        "--api-key-env", metavar="VAR", help="environment variable that holds the key to ask for; default: a new key"
    )
    flags.add_json(serve)
    serve.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command. The address and key go to standard output; it ends with Ctrl-C.

    A key that a person chose is not repeated there: the name of its variable is.

    Raises:
        UnknownModelError: No such model.
        InputError: No such adapter, or one of another model; a port that cannot be had, or no key in the variable.
    """
    from tale_core.models.choice import embedded_choice
    from tale_core.settings import get_settings

    choice = embedded_choice(args.model or get_settings().model)
    key = _key(args.api_key_env)
    with place(args.port) as held:
        try:
            asyncio.run(_serve(choice, held, key, args))
        except KeyboardInterrupt:
            say("Stopped serving.", file=sys.stderr)
    return OK


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if len(key) < SHORTEST_KEY or any(not "!" <= c <= "~" for c in key):
        raise InputError(
            f"--api-key-env names {variable!r}, which holds no key of at least {SHORTEST_KEY} plain characters.",
            "Set it to the key that clients are to bring, without spaces.",
        )
    return key


def place(port: int) -> socket.socket:
    """The address that is served, held before anything is loaded.

    Raises:
        InputError: It cannot be had.
    """
    if not 0 <= port <= 65_535:
        raise InputError(f"--port is {port}.", "Give a port from 1024 to 65535, or leave it out.")
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as e:
        reason = e.strerror or str(e)
        raise InputError(f"Port {port} cannot be served: {reason}.", "Give another --port, or leave it out.") from e


async def _serve(choice: ModelChoice, held: socket.socket, key: str | None, args: argparse.Namespace) -> None:
    import uvicorn

    from tale_core.models.embedded.gate import Gate
    from tale_core.models.embedded.prepare import preparation

    info = await server_with_progress(choice.base, choice.adapter)
    # Our lease keeps the server alive; the gate asks for it anew, since another adapter means another server.
    name = choice.model.partition("@")[0]
    gate = Gate(
        lambda: preparation(choice.base).server(choice.adapter), model=name, adapter=choice.adapter, api_key=key
    )
    variable = args.api_key_env
    served = {"base_url": f"http://{LOOPBACK}:{held.getsockname()[1]}/v1", "api_key": None if key else gate.api_key}
    _tell(served | ({"api_key_env": variable} if key else {}) | {"model": name, "slots": info.slots}, as_json=args.json)
    config = uvicorn.Config(gate, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S)
    try:
        await uvicorn.Server(config).serve(sockets=[held])
    finally:
        await gate.aclose()


def _tell(served: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit(served)
    else:
        key = served["api_key"] or f"what the variable {served['api_key_env']} holds"
        say(f"base_url {served['base_url']}\napi_key  {key}\nmodel    {served['model']}")
    sys.stdout.flush()
    say("Serving on this machine only, until Ctrl-C.", file=sys.stderr)
