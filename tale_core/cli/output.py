"""What a command prints as its result, and the exit codes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

from tale_core.text import json_escaped, sanitize
from tale_core.types import Status

if TYPE_CHECKING:
    from rich.console import Console

OK = 0
FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130


class Ended(Protocol):
    """What the views of all runs have."""

    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def error(self) -> str | None: ...  # noqa: D102


V = TypeVar("V", bound=Ended)


def say(words: object, *, file: TextIO | None = None) -> None:
    """Print words for people, on standard output by default.

    A model's answer, an endpoint's error or a file's name stands in many of them: what could drive a terminal is shown.
    """
    _put(sanitize(str(words)), file or sys.stdout)


def _put(text: str, file: TextIO) -> None:
    """Print a text; an output of another encoding gets what it can write."""
    encoding = file.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), file=file)


def console_of(*, stderr: bool = False, highlight: bool = True, width: int | None = None) -> Console:
    """A console for tables and progress; what stands in them is as safe for a terminal as what is said."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Safe(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else sanitize(text), style, control)

    return Safe(stderr=stderr, highlight=highlight, width=width)


def emit(document: dict[str, Any]) -> None:
    """Print the command's one JSON document; hidden characters stand in it as JSON's escapes."""
    _put(json_escaped(json.dumps(document, ensure_ascii=False, indent=2)), sys.stdout)


def show(args: argparse.Namespace, document: dict[str, Any], words: object) -> int:
    """Print the result of a command that has not failed: its document with `--json`, else its words."""
    if args.json:
        emit(document)
    elif words:
        say(words)
    return OK


def end(
    view: V,
    args: argparse.Namespace,
    *,
    document: Callable[[V], dict[str, Any]],
    words: Callable[[V], None],
    resume: str = "",
) -> int:
    """Print what a run found, with `--json` its document and else its words; the exit code, see `ended`."""
    if args.json:
        emit(document(view))
    else:
        words(view)
    return ended(view, resume=resume)


def ended(view: Ended, *, resume: str = "") -> int:
    """Say on standard error how a run ended; the exit code.

    Args:
        view: Of the run.
        resume: The name by which it can be gone on with; "" for what cannot.
    """
    if not_saved := getattr(view, "not_saved", None):
        say(f"tale: not saved: {not_saved}", file=sys.stderr)
    if view.status in ("cancelled", "interrupted"):
        if resume:
            say(f"tale: stopped; go on with --resume {resume}", file=sys.stderr)
        return INTERRUPTED
    if view.error:
        say(f"tale: {view.error}{f' Go on with --resume {resume}' if resume else ''}", file=sys.stderr)
    return OK if view.status == "done" else FAILED
