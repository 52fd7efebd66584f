"""`serve`: the embedded model as an OpenAI-compatible endpoint for any other client, until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading

from tale_core.cli import OK, emit
from tale_core.commands.progress import server_with_progress
from tale_core.settings import get_settings


def run(args: argparse.Namespace) -> int:
    """Run the command. The address and key go to standard output; it ends with Ctrl-C."""
    info = asyncio.run(server_with_progress(args.model or get_settings().model))
    if args.json:
        emit({"base_url": info.base_url, "api_key": info.api_key, "model": info.model, "slots": info.slots})
    else:
        print(f"base_url {info.base_url}\napi_key  {info.api_key}\nmodel    {info.model}")
    sys.stdout.flush()
    print("Serving on this machine only, until Ctrl-C.", file=sys.stderr)
    # Our lease keeps the server alive; there is nothing else to do.
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print("Stopped serving.", file=sys.stderr)
    return OK
