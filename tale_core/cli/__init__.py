"""The command line: one module a command, what they share, and `main`, which scripts may call."""

from tale_core.cli.main import main

__all__ = ["main"]
