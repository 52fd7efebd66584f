"""`run` on the terminal: what it will take and how far it is on standard error, the table on standard output."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import INTERRUPTED, console_of, emit, ended, say
from tale_core.cli.progress import REFRESH_S, watched
from tale_core.errors import InputError
from tale_core.strategies import NAMES, USUAL
from tale_core.text import duration
from tale_core.types import Price

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tale_core.experiments import ExperimentPlan, ExperimentResults
    from tale_core.experiments.plan import CheckedExperiment
    from tale_core.experiments.run import ExperimentRun, ExperimentView
    from tale_core.models.choice import ModelChoice
    from tale_core.serving.ray.engine import RayEngine
    from tale_core.store import Store

CONCURRENCY = 4
_FIELDS = "question=…, answer=…, options=A|B|C, id, topic, context; answer_is=0, 1 or text: what its numbers mean"


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("run", help="answer a data set with several strategies and compare them")
    parser.add_argument("dataset", nargs="?", help="a name (shipped, gsm8k, …) or a file with questions and answers")
    of = f"{', '.join(NAMES)}; each but the last may end in @TEMPLATE"
    parser.add_argument("--strategies", default=",".join(USUAL), metavar="A,B,…", help=of)
    parser.add_argument("--map", metavar="F=C,…", help=f"columns of a file: {_FIELDS}")
    parser.add_argument("--limit", type=int, metavar="N", help="questions to take; default: all")
    parser.add_argument("--offset", type=int, default=0, metavar="N", help="questions to pass over first")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="answers by each strategy to each question")
    parser.add_argument("--concurrency", type=int, metavar="N", help="calls at the same time, at most; default: 4")
    flags.add_knob(parser)
    flags.add_limits(parser)
    parser.add_argument("--fresh", action="store_true", help="pay again for answers that are known from earlier")
    parser.add_argument("--resume", metavar="EXPERIMENT", help="go on with an experiment: what failed is tried again")
    parser.add_argument(
        "--only-failed", action="store_true", help="with --resume: try again what failed, and nothing else"
    )
    flags.add_engine(parser)
    parser.add_argument(
        "--export", action="append", default=[], type=str, metavar="FILE", help=".csv, .jsonl, .parquet or .html"
    )
    flags.add_template(parser)
    flags.add_store(parser)
    flags.add_model(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run `run`."""
    from tale_core.experiments.export import check_export, export_experiment
    from tale_core.store import open_store

    flags.check_engine(args)
    exports = [Path(name) for name in args.export]
    for path in exports:
        check_export(path)
    store = open_store(args.db)
    choice, plan = resumed_plan(args, store) if args.resume else new_plan(args)
    view = run_plan(plan, choice, store, flags.engine(args, choice))
    if view.results is not None:
        for path in exports:
            export_experiment(store, view.experiment_id, path)
    return end(view, args)


def run_plan(
    plan: ExperimentPlan,
    choice: ModelChoice,
    store: Store,
    engine: AbstractContextManager[RayEngine | None] | None = None,
) -> ExperimentView:
    """Run a plan to its end, with its cost estimate and its progress on standard error.

    Args:
        plan: What to run.
        choice: Whom to ask.
        store: Where it is kept.
        engine: Begun when the plan is known to be right: the cluster that makes the calls. They run from here without.

    Raises:
        InputError: The plan is wrong, or wants another model.
    """
    from tale_core import process
    from tale_core.experiments.create import check_retry
    from tale_core.models.choice import price_of

    checked = plan.checked()
    price = price_of(choice)
    plan.check_price(price, choice.model)
    plan.check_model(choice.model)
    check_retry(plan, store)
    _print_estimate(checked, choice, price)
    with engine or nullcontext() as running:
        return process.run(_run(checked, choice, store, running))


def new_plan(args: argparse.Namespace) -> tuple[ModelChoice, ExperimentPlan]:
    """Whom to ask and what, as the flags say it."""
    from tale_core.datasets import load
    from tale_core.experiments import ExperimentPlan
    from tale_core.strategies import trained_for

    if args.dataset is None:
        raise InputError("No data set was given.", "Name one or a file, or give --resume EXPERIMENT.")
    if args.only_failed:
        raise InputError("--only-failed was given without --resume.", "Name the experiment: --resume EXPERIMENT.")
    choice = flags.model_choice(args)
    names = _names(args.strategies)
    found = load(args.dataset, mapping=flags.columns(args), limit=args.limit, offset=args.offset)
    if found.problems:
        first = found.problems[0]
        skipped = f"{len(found.problems)} rows were passed over; the first, line {first.line}: {first.reason}"
        say(f"tale: {skipped}.", file=sys.stderr)
    return choice, ExperimentPlan(
        questions=found.questions,
        dataset=found.name,
        fingerprint=found.fingerprint,
        strategies=names,
        repeats=args.repeats,
        sampling=flags.sampling(args),
        template=args.template,
        knob=getattr(args, "knob", "asked"),  # `tune sample` has strategies alone.
        limits=flags.limits(args),
        concurrency=args.concurrency if args.concurrency is not None else CONCURRENCY,
        reuse=not args.fresh,
        estimators=trained_for(names, choice.model, args.template),
    )


def _names(comma_list: str) -> tuple[str, ...]:
    """The full names of a comma list, each once; whether they can be run is for the plan to say."""
    names = [name.strip() for name in comma_list.split(",") if name.strip()]
    return tuple(dict.fromkeys(names))


def resumed_plan(args: argparse.Namespace, store: Store) -> tuple[ModelChoice, ExperimentPlan]:
    """The stored plan, with the limits and the concurrency of the flags; the model it was begun with."""
    from tale_core.calls.budget_ledger import Limits
    from tale_core.experiments import stored_plan
    from tale_core.models.choice import EMBEDDED, choice_from_flags
    from tale_core.models.groups.config import PREFIX
    from tale_core.store import ExperimentStore
    from tale_core.strategies import trained_for

    if args.dataset is not None:
        raise InputError("A data set and --resume were given.", "An experiment keeps its questions: give one of them.")
    head = ExperimentStore(store).head(args.resume)
    if head.plan.get("imported"):
        raise InputError(f"Experiment {args.resume!r} was imported.", "There is nothing to resume.")
    if args.model is not None and args.model != head.model:
        raise InputError(
            f"Experiment {args.resume!r} was begun with the model {head.model!r}, not {args.model!r}.",
            "Leave --model out, or begin a new experiment.",
        )
    stays = head.endpoint == EMBEDDED or head.endpoint.startswith(PREFIX)
    url = args.base_url or (None if stays else head.endpoint)
    choice = choice_from_flags(model=head.model, base_url=url, api_key_env=args.api_key_env)
    plan = stored_plan(store, args.resume)
    given = flags.limits(args)
    return choice, replace(
        plan,
        limits=given if given != Limits() else plan.limits,
        concurrency=plan.concurrency if args.concurrency is None else args.concurrency,
        start=None,
        estimators=trained_for(plan.strategies, head.model, plan.template),
        only_failed=args.only_failed,
    )


def _print_estimate(plan: CheckedExperiment, choice: ModelChoice, price: Price | None) -> None:
    from tale_core.experiments.estimate import cost_estimate, estimate_words, first_questions
    from tale_core.models import tokens

    one = cost_estimate(plan, count=lambda text: tokens.count(text, choice.model), price=price)
    say(f"{plan.dataset} with {choice.model}: {estimate_words(one)}", file=sys.stderr)
    for text, known in first_questions(plan.questions):
        say(f"  {text} -> {known}", file=sys.stderr)


async def _run(plan: CheckedExperiment, choice: ModelChoice, store: Store, engine: RayEngine | None) -> ExperimentView:
    from tale_core.experiments.run import ExperimentRun

    made = ExperimentRun(
        plan,
        store=store,
        open_client=flags.opener(choice, engine, again=False),  # It tries again itself, with fewer calls at a time.
        model=choice.model,
        endpoint=choice.endpoint,
        tables=False,
    )
    return await watched(made, partial(_draw, made), name="experiment")


async def _draw(made: ExperimentRun, console: Console) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        while True:
            view = made.view()
            bar.update(task, total=view.planned, completed=view.finished, description=progress_words(view))
            await asyncio.sleep(REFRESH_S)


def progress_words(view: ExperimentView) -> str:
    """How it goes, in one line."""
    from tale_core.calls.budget_ledger import money

    parts = [f"{view.spent.tokens:,} tokens", money(view.spent.cost_usd), f"{view.concurrency} at a time"]
    if view.failed:
        parts.append(f"{view.failed} failed")
    if view.eta_s is not None:
        parts.append(f"{duration(view.eta_s)} left")
    return ", ".join([*parts, *([view.notice] if view.notice else [])])


def results_table(found: ExperimentResults) -> Table:
    """The table in the paper's layout."""
    from rich.table import Table
    from rich.text import Text

    from tale_core.experiments.columns import COLUMNS, table

    title = f"{found.dataset} with {found.model}: {found.finished} of {found.planned} answers"
    shown = Table(title=Text(title), title_justify="left")
    columns = table(COLUMNS, "terminal", found.rows)
    for place, (name, _) in enumerate(columns):
        shown.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for cells in zip(*(cells for _, cells in columns), strict=True):
        shown.add_row(*map(Text, cells))
    return shown


def print_results(found: ExperimentResults) -> None:
    """The table, and what it says in words."""
    from tale_core.experiments.text import finding

    console_of(highlight=False, width=None if sys.stdout.isatty() else 140).print(results_table(found))
    say(finding(found))


def end(view: ExperimentView, args: argparse.Namespace) -> int:
    """Print what an experiment found; the exit code."""
    from tale_core.calls.budget_ledger import spent_words
    from tale_core.experiments.export import experiment_document

    if view.results is not None:
        if args.json:
            emit(experiment_document(view.results, error=view.error))
        else:
            print_results(view.results)
            say(f"Spent: {spent_words(view.results.spent)}.")
    code = ended(view, resume=view.experiment_id)
    if code != INTERRUPTED and not view.error and view.results is not None and not view.results.complete:
        left = view.results.planned - view.results.finished
        say(f"tale: {left} answers were not asked for; go on with --resume {view.experiment_id}", file=sys.stderr)
    return code
