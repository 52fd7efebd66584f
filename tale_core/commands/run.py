"""`run` on the terminal: what it will take and how far it is on standard error, the table on standard output."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tale_core import loops
from tale_core.cli import FAILED, INTERRUPTED, OK, emit
from tale_core.commands import engines
from tale_core.commands.ask import sampling_from_flags
from tale_core.commands.mapping import columns_of
from tale_core.commands.progress import open_with_progress
from tale_core.errors import InputError
from tale_core.experiments import ExperimentPlan, ExperimentResults, stored_plan
from tale_core.experiments.document import check_export, experiment_document, export_experiment
from tale_core.experiments.job import ExperimentRun, ExperimentView
from tale_core.experiments.opening import check_retry
from tale_core.experiments.sheet import sheet, sheet_words
from tale_core.experiments.words import finding
from tale_core.models.choice import EMBEDDED, ModelChoice, choice_from_flags, price_of
from tale_core.models.groups import PREFIX
from tale_core.presheet import duration
from tale_core.spending import Limits
from tale_core.spending_words import money, spent_words
from tale_core.store import ExperimentStore, Store, open_store
from tale_core.strategies import BudgetPredictor
from tale_core.types import Client, Price

if TYPE_CHECKING:
    from rich.table import Table

    from tale_core.cluster.engine import RayEngine

REFRESH_S = 0.25
CONCURRENCY = 4


def run(args: argparse.Namespace) -> int:
    """Run `run`."""
    engines.check(args)
    exports = [Path(name) for name in args.export]
    for path in exports:
        check_export(path)
    store = open_store(args.db)
    choice, plan = _resumed(args, store) if args.resume else _new(args)
    view = run_plan(plan, choice, store, engines.engine(args, choice))
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
    """Run a plan to its end, with its sheet and its progress on standard error.

    Args:
        plan: What to run.
        choice: Whom to ask.
        store: Where it is kept.
        engine: Begun when the plan is known to be right: the cluster that makes the calls. They run from here without.

    Raises:
        InputError: The plan is wrong, or wants another model.
    """
    plan.validate()
    price = price_of(choice)
    plan.check_price(price, choice.model)
    plan.check_model(choice.model)
    check_retry(plan, store)
    _tell_sheet(plan, choice, price)
    with engine or nullcontext() as running:
        return loops.run(_run(plan, choice, store, running))


def _new(args: argparse.Namespace) -> tuple[ModelChoice, ExperimentPlan]:
    from tale_core.datasets import load

    if args.dataset is None:
        raise InputError("No data set was given.", "Name one or a file, or give --resume EXPERIMENT.")
    if args.only_failed:
        raise InputError("--only-failed was given without --resume.", "Name the experiment: --resume EXPERIMENT.")
    choice = choice_from_flags(model=args.model, base_url=args.base_url, api_key_env=args.api_key_env)
    names = _names(args.strategies)
    found = load(args.dataset, mapping=columns_of(args.map), limit=args.limit, offset=args.offset)
    if found.problems:
        first = found.problems[0]
        told = f"{len(found.problems)} rows were passed over; the first, line {first.line}: {first.reason}"
        print(f"tale: {told}.", file=sys.stderr)
    return choice, ExperimentPlan(
        questions=found.questions,
        dataset=found.name,
        fingerprint=found.fingerprint,
        strategies=names,
        repeats=args.repeats,
        sampling=sampling_from_flags(args),
        template=args.template,
        limits=_limits(args),
        concurrency=args.concurrency if args.concurrency is not None else CONCURRENCY,
        reuse=not args.fresh,
        estimators=trained_for(names, choice.model, args.template),
    )


def _names(comma_list: str) -> tuple[str, ...]:
    """The full names of a comma list, each once; whether they can be run is for the plan to say."""
    names = [name.strip() for name in comma_list.split(",") if name.strip()]
    return tuple(dict.fromkeys(names))


def _resumed(args: argparse.Namespace, store: Store) -> tuple[ModelChoice, ExperimentPlan]:
    """The stored plan, with the limits and the concurrency of the flags; the model it was begun with."""
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
    given = _limits(args)
    return choice, replace(
        plan,
        limits=given if given != Limits() else plan.limits,
        concurrency=plan.concurrency if args.concurrency is None else args.concurrency,
        start=None,
        estimators=trained_for(plan.strategies, head.model, plan.template),
        only_failed=args.only_failed,
    )


def trained_for(names: tuple[str, ...], model: str, template: str) -> Mapping[str, BudgetPredictor]:
    """The trained estimators that these strategies need, by the names that `tale_core.strategies` looks for."""
    wanted = [name.removeprefix("tale-") for name in names if name.startswith(("tale-cal", "tale-reg"))]
    if not wanted:
        return {}
    from tale_core.estimators import trained

    found: dict[str, BudgetPredictor] = {}
    for name in wanted:
        kind, at, wording = name.partition("@")
        by_kind = trained(model=model, template=wording or template)
        if kind in by_kind:
            found[f"{kind}{at}{wording}"] = by_kind[kind]
    return found


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(max_calls=args.max_calls, max_tokens=args.max_total_tokens, max_cost_usd=args.max_cost)


def _tell_sheet(plan: ExperimentPlan, choice: ModelChoice, price: Price | None) -> None:
    from tale_core.models import tokens

    one = sheet(plan, count=lambda text: tokens.count(text, choice.model), price=price)
    print(f"{plan.dataset} with {choice.model}: {sheet_words(one)}", file=sys.stderr)


async def _run(plan: ExperimentPlan, choice: ModelChoice, store: Store, engine: RayEngine | None) -> ExperimentView:
    made = ExperimentRun(
        plan,
        store=store,
        open_client=lambda: _client(choice) if engine is None else engine.open(choice),
        model=choice.model,
        endpoint=choice.endpoint,
        tables=False,
    )
    print(f"experiment {made.id}", file=sys.stderr)
    shower = asyncio.create_task(_show(made))
    try:
        return await made.run()
    finally:
        shower.cancel()
        await asyncio.gather(shower, return_exceptions=True)


async def _client(choice: ModelChoice) -> Client:
    if choice.kind == EMBEDDED:
        return await open_with_progress(choice)
    from tale_core.models.choice import open_client
    from tale_core.models.client_retry import NO_RETRY

    return await open_client(choice, retry=NO_RETRY)  # The experiment tries again itself, with fewer calls at a time.


async def _show(made: ExperimentRun) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal or threading.current_thread() is not threading.main_thread():
        return
    while made.view().phase == "preparing":  # Fetching and loading draw a bar of their own.
        await asyncio.sleep(REFRESH_S)
    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        while True:
            view = made.view()
            bar.update(task, total=view.planned, completed=view.finished, description=progress_words(view))
            await asyncio.sleep(REFRESH_S)


def progress_words(view: ExperimentView) -> str:
    """How it goes, in one line."""
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

    title = f"{found.dataset} with {found.model}: {found.finished} of {found.planned} answers"
    table = Table(title=Text(title), title_justify="left")
    for name in (
        "strategy",
        "answers",
        "right",
        "95 %",
        "output tokens",
        "all-in tokens",
        "cost",
        "seconds",
        "not read",
    ):
        table.add_column(name, justify="left" if name == "strategy" else "right", no_wrap=name == "strategy")
    for row in found.rows:
        right = row.accuracy
        table.add_row(
            Text(row.strategy),
            str(row.n),
            "not graded" if right is None else f"{right.mean:.1%} of {row.graded}",
            "" if right is None else f"{right.low:.1%} to {right.high:.1%}",
            "" if row.output_tokens is None else f"{row.output_tokens.mean:.1f}",
            "" if row.all_in_tokens is None else f"{row.all_in_tokens.mean:.1f}",
            money(row.cost_usd) if row.n else "",
            "" if row.latency_s is None else f"{row.latency_s:.2f}",
            ", ".join(f"{n} {o.value}" for o, n in row.outcomes.items() if n and o.value not in ("correct", "wrong")),
        )
    return table


def end(view: ExperimentView, args: argparse.Namespace) -> int:
    """Print what an experiment found; the exit code."""
    if view.results is not None:
        if args.json:
            emit(experiment_document(view.results, error=view.error))
        else:
            from rich.console import Console

            Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(results_table(view.results))
            print(finding(view.results))
            print(f"Spent: {spent_words(view.results.spent)}.")
    if view.status in ("cancelled", "interrupted"):
        print(f"tale: stopped; go on with --resume {view.experiment_id}", file=sys.stderr)
        return INTERRUPTED
    if view.error:
        print(f"tale: {view.error} Go on with --resume {view.experiment_id}", file=sys.stderr)
    elif view.results is not None and not view.results.complete:
        left = view.results.planned - view.results.finished
        print(f"tale: {left} answers were not asked for; go on with --resume {view.experiment_id}", file=sys.stderr)
    return OK if view.status == "done" else FAILED
