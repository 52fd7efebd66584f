"""`python -m benchmarks [part …]`: run the parts, print tables, keep the figures in benchmarks/results/.

Exit codes: 0 measured (goals may be missed), 1 a goal was missed and `--strict` was given, or a part could not measure,
2 the arguments are wrong, 130 it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.clock import MeasurementError
from benchmarks.machine import machine
from benchmarks.parts import PARTS, Options
from tale_core.errors import TaleError
from tale_core.models.embedded.catalog import embedded_models
from tale_core.models.embedded.run_folder import threads
from tale_core.settings import get_settings

RESULTS = Path(__file__).resolve().parent / "results"
MODELS = ("smollm2-135m", "qwen2.5-coder-1.5b")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = "; ".join(f"{part.name}: {part.about}" for part in PARTS.values())
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=f"Parts: {about}.")
    made.add_argument("part", nargs="*", help=f"what to measure, all by default: {', '.join(PARTS)}")
    made.add_argument(
        "--model",
        action="append",
        choices=[m.name for m in embedded_models()],
        help=f"embedded model; may be given more than once (default: {', '.join(MODELS)})",
    )
    made.add_argument("--rounds", type=_positive, default=12, help="measurements of each side (default: %(default)s)")
    made.add_argument("--tokens", type=_positive, default=96, help="tokens an answer (default: %(default)s)")
    made.add_argument("--seed", type=int, default=1024, help="decides every order (default: %(default)s)")
    made.add_argument(
        "--limit",
        type=_positive,
        help="questions of the parts table and cluster, 60 or more for table's goal; kills of the part kills, 1000 for "
        "its goal (default: a few)",
    )
    made.add_argument("--seconds", type=_positive, help="how long the parts load and class take (default: 300)")
    made.add_argument("--minutes", type=float, help="how long the part fuzz takes (default: 1)")
    made.add_argument(
        "--processes", type=_positive, default=1, help="of the app, in the parts load and class (default: 1)"
    )
    made.add_argument("--json", action="store_true", help="print one JSON document; tables go to standard error")
    made.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures (default: %(default)s)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run; see the module's docstring for the exit code."""
    parse = parser()
    args = parse.parse_args(argv)
    if unknown := [name for name in args.part if name not in PARTS]:
        parse.error(f"there is no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    console = Console(stderr=args.json, width=None if sys.stdout.isatty() else 160)
    progress = Console(stderr=True)
    options = Options(
        models=tuple(args.model or MODELS),
        rounds=args.rounds,
        tokens=args.tokens,
        seed=args.seed,
        limit=args.limit,
        seconds=args.seconds,
        minutes=args.minutes,
        processes=args.processes,
        keep=args.results,
        say=lambda words: progress.print(words, style="dim", highlight=False),
    )
    here = machine()
    try:
        with own_data_folder():
            results = [PARTS[name].run(options) for name in args.part or PARTS]
    except (TaleError, MeasurementError) as e:
        print(f"benchmarks: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: stopped; table, kills and fuzz go on by the same command", file=sys.stderr)
        return 130
    settings = {"models": options.models, "rounds": args.rounds, "tokens": args.tokens, "seed": args.seed}
    found = report.document(results, here, settings)
    report.show(results, here, console)
    console.print(f"Figures: {report.write(found, args.results)}", highlight=False)
    if args.json:
        print(json.dumps(found))
    missed = any(not goal.met for result in results for goal in result.goals)
    return 1 if missed and args.strict else 0


@contextmanager
def own_data_folder() -> Iterator[Path]:
    """A data folder of our own, so that nobody else's server is measured and nobody's sessions are written to.

    Weights stay where they are: the cache folder is not touched.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="tale-bench-data-", ignore_cleanup_errors=True) as folder:
        # One server to the end of a measurement: where its threads are set it follows no neighbours.
        os.environ |= {"TALE_DATA_DIR": folder, "TALE_SERVER_THREADS": str(threads(get_settings()))}
        get_settings.cache_clear()
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)
            get_settings.cache_clear()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number from 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
