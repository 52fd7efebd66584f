"""`tale …`, or `python -m tale_core …`: the same jobs without a browser.

Standard output carries the result only: with `--json` exactly one JSON document. Progress and logs go to stderr.
Exit codes: 0 done, 1 the job failed, 2 the arguments or input are wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

from tale_core import __version__
from tale_core.cli import (
    accounts,
    app,
    archive,
    ask,
    db,
    health,
    import_predictions,
    label,
    models,
    proxy,
    record,
    run,
    serve,
    study,
    train_estimator,
    tune,
)
from tale_core.cli.output import FAILED, INTERRUPTED, WRONG_INPUT, say
from tale_core.errors import InputError, TaleError

COMMANDS = (
    ask, study, run, import_predictions, train_estimator, tune, label, models, serve, proxy, app, accounts, archive,
    record, db, health,
)  # fmt: skip
"""In the order of `--help`. Each has `register`, which adds its parser, and loads what it needs when it runs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    from tale_core import logs, process  # They read the settings, which `--help` does not need.

    try:
        logs.set_up_logs(level=logging.WARNING)
        with process.ending_on_sigterm():
            take_files(args)
            return command(args)
    except InputError as e:
        return _fail(e, WRONG_INPUT)
    except TaleError as e:
        return _fail(e, FAILED)
    except KeyboardInterrupt:
        say("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`… | head`); there is nobody left to tell.
        sys.stderr.close()
        return FAILED


def take_files(args: argparse.Namespace) -> None:
    """Where `--model` is the path of a GGUF file, its name stands there from now on, for every command alike.

    Raises:
        InputError: It is no model's file.
    """
    given = getattr(args, "model", None)
    if not given or getattr(args, "base_url", None):
        return
    names = [_taken(name) for name in ([given] if isinstance(given, str) else given)]
    args.model = names[0] if isinstance(given, str) else names


def _taken(name: str) -> str:
    if not (name.lower().endswith(".gguf") or "/" in name or "\\" in name) or not Path(name).expanduser().is_file():
        return name
    from tale_core.cli.progress import file_bar
    from tale_core.models.embedded import own

    with file_bar(f"Reading {Path(name).name} once") as each:
        return own.take(name, each=each).name


def _fail(error: TaleError, code: int) -> int:
    say(f"tale: {error}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # For arguments of no other type. The names of files, which may be any bytes, are of type `str`.
        self.register("type", None, _text)

    def error(self, message: str) -> NoReturn:
        say(f"tale: {message}. See `{self.prog} --help`.", file=sys.stderr)
        sys.exit(WRONG_INPUT)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as e:
        raise argparse.ArgumentTypeError(f"{value[:60]!r} is no text in UTF-8; write it in UTF-8") from e
    return value


def _program() -> str:
    """As it was called: the installed script by its name."""
    called = PurePath(sys.argv[0])
    return "python -m tale_core" if called.name == "__main__.py" else called.stem


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_program(), description="See, measure and shrink what a model spends on reasoning.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.register(commands)
    return parser
