"""The flags that commands share, each added in one place and read in one place.

`add_…` adds flags to a command's parser; the other functions make of the parsed flags what the program works with.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, get_args

from tale_core.cli.output import say
from tale_core.cli.progress import open_with_progress
from tale_core.errors import InputError
from tale_core.prompts.messages import TEMPLATES
from tale_core.types import Client, Question, ReasoningEffort, Sampling

if TYPE_CHECKING:
    from tale_core.calls.budget_ledger import Limits
    from tale_core.models.choice import ModelChoice
    from tale_core.serving.ray.engine import RayEngine


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_store(parser: argparse.ArgumentParser) -> None:
    """`--db` and `--json`: what every command has that reads or writes the database."""
    parser.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    add_json(parser)


def add_template(parser: argparse.ArgumentParser, words: str = "prompt template") -> None:
    """`--template`, by default the paper's."""
    parser.add_argument("--template", default="paper", choices=list(TEMPLATES), help=words)


def add_question(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """A question with its known answer, and where its session is kept."""
    parser.add_argument(
        "question", nargs="?" if optional else None, help="the question; - reads it from standard input"
    )
    parser.add_argument("--answer", help="the known answer; answers are graded against it")
    parser.add_argument(
        "--kind", choices=["number", "choice", "text"], help="how answers are compared (default: inferred)"
    )
    parser.add_argument("--option", action="append", default=[], metavar="TEXT", help="an option of a choice, in order")
    parser.add_argument("--template", choices=list(TEMPLATES), help="prompt template; default: suits the model")
    add_store(parser)


def add_endpoint(parser: argparse.ArgumentParser, words: str) -> None:
    """Whom to ask: `--model`, `--base-url` and `--api-key-env`."""
    parser.add_argument("--model", metavar="NAME|FILE.gguf", help=words)
    parser.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible endpoint")
    parser.add_argument("--api-key-env", metavar="VAR", help="environment variable that holds the endpoint's key")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, and the sampling of its answers."""
    default = Sampling()
    add_endpoint(parser, "embedded model, GGUF file, preset model (gpt-4o-mini), or the endpoint's")
    parser.add_argument("--temperature", type=float, default=default.temperature)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--max-tokens", type=int, default=default.max_tokens, help="cap on an answer's tokens")
    parser.add_argument("--reasoning-effort", choices=get_args(ReasoningEffort), help="the provider's own level")


def add_limits(parser: argparse.ArgumentParser, *, max_calls: int | None = None) -> None:
    """The hard caps of a study."""
    parser.add_argument("--max-calls", type=int, default=max_calls, metavar="N", help="hard cap on calls")
    parser.add_argument("--max-total-tokens", type=int, metavar="N", help="hard cap on prompt and answer tokens")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="hard cap on dollars")


def add_knob(parser: argparse.ArgumentParser) -> None:
    """`--knob`: which kind of budget is set."""
    from tale_core.budgets.kinds import NAMES

    parser.add_argument("--knob", default="asked", choices=NAMES, help="kind of budget (default: asked, in the prompt)")


def add_levels(parser: argparse.ArgumentParser) -> None:
    """`--knob` and `--levels`."""
    add_knob(parser)
    parser.add_argument(
        "--levels", metavar="A,B,…", help="with --knob effort or verbosity: the levels; default: all that there are"
    )


def levels(args: argparse.Namespace, choice: ModelChoice) -> tuple[str, ...]:
    """The levels of a kind whose levels are words, the one that should cost least first; none for other kinds.

    Raises:
        InputError: A word is no level, or --levels was given for a kind of numbers.
    """
    from tale_core.budgets.kinds import word_kind
    from tale_core.models.choice import native_knob

    kind = word_kind(args.knob)
    if kind is not None:
        return kind.listed(args.levels or "", native_knob(choice, args.knob))
    if args.levels is not None:
        raise InputError(f"--levels was given with --knob {args.knob}.", "Its budgets are numbers of tokens.")
    return ()


def lowest(args: argparse.Namespace, choice: ModelChoice, usual: int) -> int:
    """The smallest number of tokens that is asked for: as said, else the usual one or the endpoint's floor.

    Raises:
        InputError: It is below what the endpoint takes.
    """
    from tale_core.budgets.kinds import kind
    from tale_core.models.choice import native_knob

    chosen, native = kind(args.knob), native_knob(choice, args.knob)
    if not chosen.NUMBERS:
        return usual
    if args.lowest is None:
        return max(usual, chosen.span(native)[0])
    return int(chosen.checked(args.lowest, native))


def add_concurrency(parser: argparse.ArgumentParser) -> None:
    """`--concurrency`, by default four."""
    parser.add_argument("--concurrency", type=int, default=4, metavar="N", help="answers at the same time")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """`--engine` and what belongs to it: where calls are made from, here or the workers of a Ray cluster."""
    parser.add_argument("--engine", default="local", choices=["local", "ray"], help="where calls are made from")
    parser.add_argument(
        "--ray-address", metavar="HOST:PORT", help="with --engine ray: a running cluster; default: one here"
    )
    parser.add_argument(
        "--ray-workers", type=int, metavar="N", help="with --engine ray: processes that ask; default: one a CPU"
    )


def model_choice(args: argparse.Namespace, *, default: str | None = None) -> ModelChoice:
    """Whom the flags say to ask; without `--model`, the default."""
    from tale_core.models.choice import choice_from_flags

    return choice_from_flags(
        model=default if args.model is None else args.model, base_url=args.base_url, api_key_env=args.api_key_env
    )


def template_name(args: argparse.Namespace, choice: ModelChoice) -> str:
    """The template that was asked for; with none, the one that suits the model."""
    from tale_core.calibration.saved import usual_template
    from tale_core.settings import get_settings

    template: str | None = args.template
    return template or usual_template(choice.model, get_settings())


def sampling(args: argparse.Namespace) -> Sampling:
    """The sampling that the flags ask for."""
    return Sampling(
        temperature=args.temperature,
        seed=args.seed,
        max_tokens=args.max_tokens,
        reasoning_effort=args.reasoning_effort,
    )


def limits(args: argparse.Namespace) -> Limits:
    """The limits that the flags set."""
    from tale_core.calls.budget_ledger import Limits

    return Limits(max_calls=args.max_calls, max_tokens=args.max_total_tokens, max_cost_usd=args.max_cost)


def question(args: argparse.Namespace) -> Question:
    """The question that the flags describe; - reads its text from standard input.

    Raises:
        InputError: A choice without options, or no text.
    """
    from tale_core.datasets import language_of

    text = _standard_input() if args.question == "-" else args.question
    if args.kind == "choice" and not args.option:
        raise InputError("A choice was asked for without options.", "Give each as --option TEXT, in the order A, B, C.")
    return Question(
        text=text.strip(),
        answer=args.answer,
        kind=args.kind,
        options=tuple(args.option),
        language=language_of(text),
        source="command line",
    )


def _standard_input() -> str:
    try:
        text = sys.stdin.read()
        text.encode()
    except UnicodeError as e:
        raise InputError("Standard input is no text in UTF-8.", "Write the question in UTF-8.") from e
    return text


def check_engine(args: argparse.Namespace) -> None:
    """Whether the flags of the engine fit together.

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
    from tale_core.serving.ray.engine import RayEngine, check_choice

    check_choice(choice)
    # Ray tells of a worker that died on standard output, which is for the result alone.
    with redirect_stdout(sys.stderr), RayEngine(address=args.ray_address, workers=args.ray_workers) as running:
        where = f"at {args.ray_address}" if args.ray_address else "on this machine"
        say(f"Ray cluster {where}: {running.workers} worker{'' if running.workers == 1 else 's'}", file=sys.stderr)
        yield running


def columns(args: argparse.Namespace) -> Mapping[str, str | Sequence[str]] | None:
    """What `--map` says of a file's columns; None without it. Options may stand in several columns: options=a|b|c.

    Raises:
        InputError: A part without an equals sign, or a field named twice.
    """
    if not args.map:
        return None
    found: dict[str, str | Sequence[str]] = {}
    for pair in args.map.split(","):
        name, sign, column = (part.strip() for part in pair.partition("="))
        if not sign or not name or name in found:
            raise InputError(f"--map has {pair.strip()[:60]!r}.", "Write field=column once each, with commas between.")
        found[name] = column.split("|") if name == "options" and "|" in column else column
    return found


def opener(choice: ModelChoice, cluster: RayEngine | None, *, again: bool = True) -> Callable[[], Awaitable[Client]]:
    """What opens a client: for calls from here, or from the workers of a cluster.

    Args:
        choice: The model.
        cluster: None for calls from here.
        again: See `open_with_progress`.
    """
    if cluster is None:
        return lambda: open_with_progress(choice, again=again)
    return lambda: cluster.open(choice, patient=again)
