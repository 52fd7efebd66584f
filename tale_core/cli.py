"""`python -m tale_core …`: the same jobs without a browser.

Standard output carries the result only: with `--json` exactly one JSON document. Progress and logs go to stderr.
Exit codes: 0 done, 1 the job failed, 2 the arguments or input are wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tale_core import __version__
from tale_core.commands import archive_flags, engines, tune_flags
from tale_core.commands.label_flags import add_label
from tale_core.errors import InputError, TaleError
from tale_core.estimators.base import MAX_BUDGET
from tale_core.prompts import TEMPLATES
from tale_core.types import Sampling

OK, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    from tale_core import logs, shutdown  # They read the settings, which `--help` does not need.

    try:
        logs.set_up_logs(level=logging.WARNING)
        with shutdown.ending_on_sigterm():
            return command(args)
    except InputError as e:
        return _fail(e, WRONG_INPUT)
    except TaleError as e:
        return _fail(e, FAILED)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`… | head`); there is nobody left to tell.
        sys.stderr.close()
        return FAILED


def _fail(error: TaleError, code: int) -> int:
    print(f"tale: {error}", file=sys.stderr)
    return code


def emit(document: dict[str, Any]) -> None:
    """Print the command's one JSON document."""
    print(json.dumps(document, ensure_ascii=False, indent=2))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"tale: {message}. See `{self.prog} --help`.", file=sys.stderr)
        sys.exit(WRONG_INPUT)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m tale_core", description="See, measure and shrink what a model spends on reasoning."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_ask(commands)
    _add_search(commands)
    _add_sweep(commands)
    _add_run(commands)
    _add_import_predictions(commands)
    _add_train_estimator(commands)
    tune_flags.add(commands, _Parser, _add_model_flags)
    add_label(commands, _Parser)
    _add_models(commands)
    _add_serve(commands)
    _add_app(commands)
    archive_flags.add(commands)
    _add_record(commands)
    _add_db(commands)
    _add_health(commands)
    return parser


def _add_ask(commands: Any) -> None:
    ask = commands.add_parser("ask", help="estimate a budget and answer a question with and without it")
    _add_question_flags(ask)
    ask.add_argument(
        "--estimator", help="zero-shot, fixed:N, regression or calibrated; default: a trained one if there is any"
    )
    ask.add_argument("--budget", type=int, metavar="N", help=f"short for --estimator fixed:N (1 to {MAX_BUDGET})")
    ask.add_argument("--sequential", action="store_true", help="one answer after the other, for clean timing")
    _add_model_flags(ask)
    ask.set_defaults(command=_ask)


def _add_search(commands: Any) -> None:
    search = commands.add_parser("search", help="find the smallest budget that keeps the answer right (needs --answer)")
    _add_question_flags(search, optional=True)
    search.add_argument("--mode", default="tale", choices=["tale", "paper", "reference"], help="how it searches")
    search.add_argument("--samples", type=int, default=1, metavar="N", help="answers under each budget")
    search.add_argument("--rule", default="all", choices=["all", "majority"], help="how many of them must be right")
    search.add_argument("--start", type=int, metavar="N", help="look near N tokens first (mode tale)")
    search.add_argument(
        "--worth", type=float, default=20.0, metavar="X", help="the higher, the finer the search (mode tale)"
    )
    search.add_argument("--dataset", metavar="NAME", help="search every question of a data set or file instead")
    search.add_argument("--limit", type=int, metavar="N", help="of the data set, so many questions")
    search.add_argument("--offset", type=int, default=0, metavar="N", help="leave out the data set's first N")
    search.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="of the data set, so many searches at the same time"
    )
    _add_study_flags(search, max_calls=40)
    search.set_defaults(command=_search)


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser("sweep", help="measure how the answer's length follows the budget (token elasticity)")
    _add_question_flags(sweep, optional=True)
    sweep.add_argument("--budgets", metavar="N,N,…", help="the grid in tokens; default: geometric up to vanilla")
    sweep.add_argument("--points", type=int, default=8, metavar="N", help="budgets of the geometric grid")
    sweep.add_argument("--lowest", type=int, default=10, metavar="N", help="lowest budget of the geometric grid")
    sweep.add_argument("--repeats", type=int, default=3, metavar="N", help="answers under each budget")
    _add_study_flags(sweep, max_calls=None)
    sweep.set_defaults(command=_sweep)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="answer a data set with several strategies and compare them")
    run.add_argument("dataset", nargs="?", help="a name (shipped, gsm8k, …) or a file with questions and answers")
    run.add_argument("--strategies", default="direct,vanilla,tale-zero-shot", metavar="A,B,…", help=_STRATEGIES)
    run.add_argument("--map", metavar="F=C,…", help="columns of a file: question=…, answer=…, options=A|B|C, id, topic")
    run.add_argument("--limit", type=int, metavar="N", help="questions to take; default: all")
    run.add_argument("--offset", type=int, default=0, metavar="N", help="questions to pass over first")
    run.add_argument("--repeats", type=int, default=1, metavar="N", help="answers by each strategy to each question")
    run.add_argument("--concurrency", type=int, metavar="N", help="calls at the same time, at most; default: 4")
    run.add_argument("--max-calls", type=int, metavar="N", help="hard limit on calls")
    run.add_argument("--max-total-tokens", type=int, metavar="N", help="hard limit on prompt and answer tokens")
    run.add_argument("--max-cost", type=float, metavar="USD", help="hard limit on dollars")
    run.add_argument("--fresh", action="store_true", help="pay again for answers that are known from earlier")
    run.add_argument("--resume", metavar="EXPERIMENT", help="go on with an experiment: what failed is tried again")
    run.add_argument(
        "--only-failed", action="store_true", help="with --resume: try again what failed, and nothing else"
    )
    engines.add_flags(run)
    run.add_argument("--export", action="append", default=[], metavar="FILE", help=".csv, .jsonl, .parquet or .html")
    run.add_argument("--template", default="paper", choices=list(TEMPLATES), help="wording of the prompts")
    run.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    run.add_argument("--json", action="store_true", help="print one JSON document")
    _add_model_flags(run)
    run.set_defaults(command=_run)


_STRATEGIES = (
    "direct, vanilla, tale-zero-shot, tale-calibrated, tale-regression, fixed:N, oracle, chain-of-draft, concise, "
    "effort:LEVEL, tuned:NAME; each but the last may end in @WORDING"
)


def _add_question_flags(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "question", nargs="?" if optional else None, help="the question; - reads it from standard input"
    )
    parser.add_argument("--answer", help="the known answer; answers are graded against it")
    parser.add_argument(
        "--kind", choices=["number", "choice", "text"], help="how answers are compared (default: inferred)"
    )
    parser.add_argument("--option", action="append", default=[], metavar="TEXT", help="an option of a choice, in order")
    parser.add_argument("--template", choices=list(TEMPLATES), help="wording of the prompts; default: suits the model")
    parser.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_study_flags(parser: argparse.ArgumentParser, *, max_calls: int | None) -> None:
    parser.add_argument("--max-calls", type=int, default=max_calls, metavar="N", help="hard limit on calls")
    parser.add_argument("--max-total-tokens", type=int, metavar="N", help="hard limit on prompt and answer tokens")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="hard limit on dollars")
    parser.add_argument("--concurrency", type=int, default=4, metavar="N", help="answers at the same time")
    parser.add_argument("--fresh", action="store_true", help="pay again for answers that are known already")
    parser.add_argument("--resume", metavar="SESSION", help="go on with an earlier session; nothing is paid twice")
    engines.add_flags(parser)
    _add_model_flags(parser)


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    default = Sampling()
    parser.add_argument("--model", metavar="NAME", help="embedded model, preset model (gpt-4o-mini), or the endpoint's")
    parser.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible endpoint")
    parser.add_argument("--api-key-env", metavar="VAR", help="environment variable that holds the endpoint's key")
    parser.add_argument("--temperature", type=float, default=default.temperature)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--max-tokens", type=int, default=default.max_tokens, help="cap on an answer's tokens")
    parser.add_argument("--reasoning-effort", choices=["none", "minimal", "low", "medium", "high", "xhigh"])


def _add_import_predictions(commands: Any) -> None:
    imp = commands.add_parser(
        "import-predictions", help="answers that others published, as an experiment to compare with"
    )
    imp.add_argument("file", nargs="+", help="JSON Lines of the paper's repository, or any table of predictions")
    imp.add_argument("--model", metavar="NAME", help="who answered; default: from the folders, where they tell")
    imp.add_argument("--dataset", metavar="NAME", help="what was answered; likewise")
    imp.add_argument("--answers", metavar="SET", help="a data set (or file) whose known answers count, not the files'")
    imp.add_argument("--map", metavar="F=C,…", help=f"columns: {_PREDICTION_FIELDS}")
    imp.add_argument("--strategy", metavar="NAME", help="what the answers of one file are called")
    imp.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    imp.add_argument("--json", action="store_true", help="print one JSON document")
    imp.set_defaults(command=_import_predictions)


_PREDICTION_FIELDS = "question, prediction, answer, tokens, strategy, budget, options"


def _add_train_estimator(commands: Any) -> None:
    train = commands.add_parser("train-estimator", help="learn budgets from searches")
    train.add_argument("--model", metavar="NAME", help="whose searches; default: the configured model")
    train.add_argument("--template", default="paper", choices=list(TEMPLATES), help="wording of the searches")
    train.add_argument(
        "--kind", default="regression", choices=["regression", "calibrated"], help="from the question, or its estimate"
    )
    train.add_argument(
        "--aim", default="median", choices=["median", "upper"], help="the middle budget, or enough for 9 of 10"
    )
    train.add_argument("--seed", type=int, default=20_241_218, help="of folds and draws")
    train.add_argument("--from", dest="rows_file", metavar="FILE.jsonl", help="rows of a file, not of the database")
    train.add_argument("--export", metavar="FILE.jsonl", help="write the rows and train nothing")
    train.add_argument("--set-default", action="store_true", help="use this one from now on")
    train.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    train.add_argument("--json", action="store_true", help="print one JSON document")
    train.set_defaults(command=_train_estimator)


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list models, fetch weights, check a model or an endpoint")
    actions = models.add_subparsers(required=True, metavar="ACTION", parser_class=_Parser)
    listing = actions.add_parser("list", help="embedded models and endpoint presets")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(command=_models_list)
    pull = actions.add_parser("pull", help="fetch an embedded model's weights")
    pull.add_argument("name", nargs="?", help="default: the configured model")
    pull.add_argument("--json", action="store_true")
    pull.set_defaults(command=_models_pull)
    check = actions.add_parser("check", help="test that a model answers")
    check.add_argument("--model", metavar="NAME")
    check.add_argument("--base-url", metavar="URL")
    check.add_argument("--api-key-env", metavar="VAR")
    check.add_argument("--json", action="store_true")
    check.set_defaults(command=_models_check)
    _add_calibrate(actions)


def _add_calibrate(actions: Any) -> None:
    calibrate = actions.add_parser("calibrate", help="find the wording of the budget sentence that a model obeys")
    calibrate.add_argument("--wordings", metavar="A,B,…", help=f"default: {','.join(TEMPLATES)}")
    calibrate.add_argument("--questions", type=int, default=12, metavar="N", help="of our own, easy to middle")
    calibrate.add_argument("--languages", default="en,zh", metavar="L,L", help="of the questions: en, zh or en,zh")
    calibrate.add_argument("--budgets", metavar="N,N,…", help="tokens, two or more; default: 25,60")
    calibrate.add_argument(
        "--tolerance", type=float, default=10.0, metavar="POINTS", help="right answers that a budget may cost"
    )
    calibrate.add_argument("--max-calls", type=int, metavar="N", help="hard limit on calls")
    calibrate.add_argument("--max-total-tokens", type=int, metavar="N", help="hard limit on prompt and answer tokens")
    calibrate.add_argument("--max-cost", type=float, metavar="USD", help="hard limit on dollars")
    calibrate.add_argument("--concurrency", type=int, default=4, metavar="N", help="answers at the same time")
    calibrate.add_argument("--no-save", action="store_true", help="measure only; remember nothing")
    calibrate.add_argument("--json", action="store_true", help="print one JSON document")
    _add_model_flags(calibrate)
    calibrate.set_defaults(command=_models_calibrate, max_tokens=600)


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser("serve", help="serve an embedded model to any OpenAI client until interrupted")
    serve.add_argument("--model", metavar="NAME")
    serve.add_argument("--json", action="store_true")
    serve.set_defaults(command=_serve)


def _add_app(commands: Any) -> None:
    app = commands.add_parser("app", help="start the pages, in one process or in several behind HAProxy")
    app.add_argument("--processes", type=int, default=1, metavar="N", help="default: 1; more need HAProxy")
    app.add_argument("--port", type=int, default=8501, metavar="N", help="default: 8501")
    app.add_argument("--address", default="127.0.0.1", metavar="IP", help="default: this machine alone")
    app.set_defaults(command=_app)


def _add_record(commands: Any) -> None:
    record = commands.add_parser("record", help="run recipes and keep them with their timing, for lessons")
    record.add_argument("names", nargs="*", metavar="NAME", help="recipes to run; default: all of the file")
    record.add_argument("--recipes", metavar="FILE.toml", help="default: the bundled recordings' (data/recorded)")
    record.add_argument("--out", metavar="DIR", help="default: recorded/ in the data folder, which lessons offer too")
    record.add_argument("--list", action="store_true", help="list the recipes and run nothing")
    record.add_argument("--model", metavar="NAME", help="default: the recipe's, else the configured model")
    record.add_argument("--base-url", metavar="URL", help="an OpenAI-compatible endpoint")
    record.add_argument("--api-key-env", metavar="VAR", help="environment variable that holds the endpoint's key")
    record.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    record.add_argument("--json", action="store_true", help="print one JSON document")
    record.set_defaults(command=_record)


def _add_db(commands: Any) -> None:
    actions = commands.add_parser("db", help="copy a database").add_subparsers(
        required=True, metavar="ACTION", parser_class=_Parser
    )
    copy = actions.add_parser("copy", help="copy everything into an empty database: SQLite, PostgreSQL, either way")
    url = "SQLAlchemy URL, such as sqlite:////folder/tale.db or postgresql+psycopg://user@host/name"
    copy.add_argument("source", metavar="SOURCE_URL", help=url)
    copy.add_argument("target", metavar="TARGET_URL", help="likewise; an empty or new database")
    copy.add_argument("--json", action="store_true", help="print one JSON document")
    copy.set_defaults(command=_db_copy)


def _add_health(commands: Any) -> None:
    health = commands.add_parser("health", help="is everything there? exit code 0 or 1, for containers and balancers")
    health.add_argument("--page", metavar="URL", help="look whether the app answers at this address, too")
    health.add_argument("--model", metavar="NAME", help="look whether this model or group answers, too")
    health.add_argument("--json", action="store_true", help="print one JSON document")
    health.set_defaults(command=_health)


# The work stands in modules of its own, imported when it is asked for: `--help` must not wait for a database.
def _ask(args: argparse.Namespace) -> int:
    from tale_core.commands.ask import run

    return run(args)


def _search(args: argparse.Namespace) -> int:
    from tale_core.commands.study import run_search

    return run_search(args)


def _sweep(args: argparse.Namespace) -> int:
    from tale_core.commands.study import run_sweep

    return run_sweep(args)


def _run(args: argparse.Namespace) -> int:
    from tale_core.commands.run import run

    return run(args)


def _import_predictions(args: argparse.Namespace) -> int:
    from tale_core.commands.import_predictions import run

    return run(args)


def _train_estimator(args: argparse.Namespace) -> int:
    from tale_core.commands.train_estimator import run

    return run(args)


def _models_list(args: argparse.Namespace) -> int:
    from tale_core.commands.models import run_list

    return run_list(args)


def _models_pull(args: argparse.Namespace) -> int:
    from tale_core.commands.models import run_pull

    return run_pull(args)


def _models_check(args: argparse.Namespace) -> int:
    from tale_core.commands.models import run_check

    return run_check(args)


def _models_calibrate(args: argparse.Namespace) -> int:
    from tale_core.commands.calibrate import run

    return run(args)


def _health(args: argparse.Namespace) -> int:
    from tale_core.commands.health import run

    return run(args)


def _db_copy(args: argparse.Namespace) -> int:
    from tale_core.commands.db import run_copy

    return run_copy(args)


def _serve(args: argparse.Namespace) -> int:
    from tale_core.commands.serve import run

    return run(args)


def _app(args: argparse.Namespace) -> int:
    from tale_core.commands.app import run

    return run(args)


def _record(args: argparse.Namespace) -> int:
    from tale_core.commands.record import run

    return run(args)
