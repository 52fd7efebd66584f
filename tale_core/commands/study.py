"""`search` and `sweep` on the terminal: steps as a live table on standard error, the result on standard output."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tale_core import loops
from tale_core.cli import FAILED, INTERRUPTED, OK, emit
from tale_core.commands import engines
from tale_core.commands.ask import question_from_flags, sampling_from_flags, template_from_flags
from tale_core.commands.progress import open_with_progress
from tale_core.documents import search_document
from tale_core.elasticity import SweepPlan
from tale_core.errors import InputError
from tale_core.models.choice import ModelChoice, choice_from_flags, price_of
from tale_core.presheet import parse_grid
from tale_core.probing import Limits
from tale_core.search import SearchPlan
from tale_core.search_words import finding, outcome_words
from tale_core.spending_words import spent_words
from tale_core.store import open_store
from tale_core.studies import SearchView, SweepView, resumed, view_of
from tale_core.study_documents import sweep_document
from tale_core.study_run import StudyRun
from tale_core.types import Client, Question

if TYPE_CHECKING:
    from rich.table import Table

    from tale_core.cluster.engine import RayEngine

REFRESH_S = 0.25
P = TypeVar("P", SearchPlan, SweepPlan)
V = TypeVar("V", SearchView, SweepView)


def run_search(args: argparse.Namespace) -> int:
    """Run `search`."""
    engines.check(args)
    choice = _choice(args)
    plan = _resumed(args, SearchPlan) or SearchPlan(
        question=Question(text="") if args.dataset else question_from_flags(args),
        mode=args.mode,
        template=template_from_flags(args, choice),
        sampling=sampling_from_flags(args),
        samples=args.samples,
        rule=args.rule,
        limits=_limits(args),
        start=args.start,
        worth=args.worth,
        slots=args.concurrency,
        reuse=not args.fresh,
    )
    if args.dataset:
        from tale_core.commands import search_many

        return search_many.run(args, plan, choice)
    plan.validate()
    if args.at_once != 1:
        raise InputError("--at-once was given without --dataset.", "Add it, or leave it out.")
    view = cast(SearchView, _run(plan, choice, args, search_table))
    return _end(view, args, document=search_document, words=_search_words)


def run_sweep(args: argparse.Namespace) -> int:
    """Run `sweep`."""
    engines.check(args)
    choice = _choice(args)
    plan = _resumed(args, SweepPlan) or SweepPlan(
        question=question_from_flags(args),
        budgets=parse_grid(args.budgets) if args.budgets else (),
        points=args.points,
        lowest=args.lowest,
        repeats=args.repeats,
        template=template_from_flags(args, choice),
        sampling=sampling_from_flags(args),
        limits=_limits(args),
        slots=args.concurrency,
        reuse=not args.fresh,
    )
    plan.validate()
    view = cast(SweepView, _run(plan, choice, args, sweep_table))
    return _end(view, args, document=sweep_document, words=_sweep_words)


def _resumed(args: argparse.Namespace, kind: type[P]) -> P | None:
    """The plan of the session to resume, or None when none was named."""
    if args.resume is None:
        if args.question is None and not getattr(args, "dataset", None):
            raise InputError("No question was given.", "Give one, or --resume SESSION.")
        return None
    plan = resumed(view_of(open_store(args.db).get_session(args.resume)))
    if not isinstance(plan, kind):
        other = "sweep" if isinstance(plan, SweepPlan) else "search"
        raise InputError(f"Session {args.resume!r} is a {other}.", f"Resume it with the command {other}.")
    return plan


def _limits(args: argparse.Namespace) -> Limits:
    return Limits(max_calls=args.max_calls, max_tokens=args.max_total_tokens, max_cost_usd=args.max_cost)


def _choice(args: argparse.Namespace) -> ModelChoice:
    choice = choice_from_flags(model=args.model, base_url=args.base_url, api_key_env=args.api_key_env)
    if args.max_cost is not None and price_of(choice) is None:
        raise InputError(
            f"--max-cost was given, but the price of {choice.model!r} is unknown.", "Give --max-total-tokens instead."
        )
    return choice


def _run(
    plan: SearchPlan | SweepPlan, choice: ModelChoice, args: argparse.Namespace, table: Callable[[Any], Table]
) -> SearchView | SweepView:
    with engines.engine(args, choice) as engine:
        return loops.run(_watched(plan, choice, args, table, engine))


async def _watched(
    plan: SearchPlan | SweepPlan,
    choice: ModelChoice,
    args: argparse.Namespace,
    table: Callable[[Any], Table],
    engine: RayEngine | None,
) -> SearchView | SweepView:
    run = StudyRun(
        plan,
        store=open_store(args.db),
        open_client=opener(choice, engine),
        model=choice.model,
        endpoint=choice.endpoint,
    )
    print(f"session {run.id}", file=sys.stderr)
    shower = asyncio.create_task(_show(run, table))
    try:
        return await run.run()
    finally:
        shower.cancel()
        await asyncio.gather(shower, return_exceptions=True)


def opener(choice: ModelChoice, engine: RayEngine | None) -> Callable[[], Awaitable[Client]]:
    """What opens a client: for calls from here, or from the workers of a cluster."""
    if engine is None:
        return lambda: open_with_progress(choice)
    return lambda: engine.open(choice, patient=True)


async def _show(run: StudyRun, table: Callable[[Any], Table]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not console.is_terminal or threading.current_thread() is not threading.main_thread():
        return
    while run.view().phase == "preparing":  # Fetching and loading draw a bar of their own.
        await asyncio.sleep(REFRESH_S)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(table(run.view()), refresh=True)
            await asyncio.sleep(REFRESH_S)


def search_table(view: SearchView) -> Table:
    """The steps so far."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{len(view.steps)} budgets tried, {spent_words(view.spent)}"), title_justify="left")
    for name in ("step", "budget", "actual tokens", "outcome", "bracket"):
        table.add_column(name, justify="left" if name == "outcome" else "right")
    for step in view.steps:
        tokens = f"{'at least ' if step.cut else ''}{step.tokens:.0f}"
        budget = "vanilla" if step.budget is None else str(step.budget)
        table.add_row(str(step.index), budget, tokens, outcome_words(step), f"{step.low} to {step.high}")
    return table


def sweep_table(view: SweepView) -> Table:
    """The curve so far."""
    from rich.table import Table
    from rich.text import Text

    progress = f"{view.finished} of {view.planned} answers, {spent_words(view.spent)}"
    table = Table(title=Text(progress), title_justify="left")
    for name in ("budget", "answers", "actual tokens", "95 %", "within", "right"):
        table.add_column(name, justify="right")
    for point in view.result.points if view.result else ():
        band = "" if point.tokens_low is None else f"{point.tokens_low:.0f} to {point.tokens_high:.0f}"
        table.add_row(
            point.kind if point.budget is None else str(point.budget),
            str(len(point.tokens)),
            "" if point.tokens_mean is None else f"{point.tokens_mean:.0f}",
            band,
            "" if point.within is None else f"{point.within:.0%}",
            "not graded" if point.accuracy is None else f"{point.accuracy:.0%} of {point.graded}",
        )
    return table


def _search_words(view: SearchView) -> None:
    from rich.console import Console

    Console(highlight=False).print(search_table(view))
    print(finding(view))


def _sweep_words(view: SweepView) -> None:
    from rich.console import Console

    Console(highlight=False).print(sweep_table(view))
    if view.result:
        print(view.result.finding)


def _end(
    view: V, args: argparse.Namespace, *, document: Callable[[V], dict[str, Any]], words: Callable[[V], None]
) -> int:
    if args.json:
        emit(document(view))
    else:
        words(view)
    if view.not_saved:
        print(f"tale: not saved: {view.not_saved}", file=sys.stderr)
    if view.status in ("cancelled", "interrupted"):
        print(f"tale: stopped; go on with --resume {view.session_id}", file=sys.stderr)
        return INTERRUPTED
    if view.error:
        print(f"tale: {view.error} Go on with --resume {view.session_id}", file=sys.stderr)
    return OK if view.status == "done" else FAILED
