"""`search` and `sweep` on the terminal: steps as a live table on standard error, the result on standard output."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tale_core.cli import flags
from tale_core.cli.output import console_of, end, say
from tale_core.cli.progress import REFRESH_S, watched
from tale_core.errors import InputError
from tale_core.types import Question

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tale_core.elasticity.engine import SweepPlan, SweepPoint
    from tale_core.elasticity.plan import CheckedSweep
    from tale_core.elasticity.view import SweepView
    from tale_core.models.choice import ModelChoice
    from tale_core.search.engine import SearchPlan
    from tale_core.search.plan import CheckedSearch
    from tale_core.search.view import SearchView
    from tale_core.serving.ray.engine import RayEngine

P = TypeVar("P", "SearchPlan", "SweepPlan")


def register(commands: Any) -> None:
    """Add both commands."""
    search = commands.add_parser("search", help="find the smallest budget that keeps the answer right (needs --answer)")
    flags.add_question(search, optional=True)
    search.add_argument("--mode", default="tale", choices=["tale", "paper", "reference"], help="how it searches")
    flags.add_levels(search)
    search.add_argument("--lowest", type=int, metavar="N", help="smallest budget to try; default: the endpoint's floor")
    search.add_argument(
        "--samples", type=int, metavar="N", help="answers under each budget; default: 1, for levels that are words 3"
    )
    search.add_argument("--rule", default="all", choices=["all", "majority"], help="how many of them must be right")
    search.add_argument("--start", type=int, metavar="N", help="look near N tokens first (mode tale)")
    search.add_argument(
        "--worth", type=float, metavar="X", help="the higher, the finer the search (mode tale); default: 20 or, set, 60"
    )
    search.add_argument("--dataset", metavar="NAME", help="search every question of a data set or file instead")
    search.add_argument("--limit", type=int, metavar="N", help="of the data set, so many questions")
    search.add_argument("--offset", type=int, default=0, metavar="N", help="leave out the data set's first N")
    search.add_argument(
        "--at-once", type=int, default=1, metavar="N", help="of the data set, so many searches at the same time"
    )
    _add_common(search, max_calls=40)
    search.set_defaults(command=run_search)
    sweep = commands.add_parser("sweep", help="measure how the answer's length follows the budget (token elasticity)")
    flags.add_question(sweep, optional=True)
    flags.add_levels(sweep)
    sweep.add_argument(
        "--budgets", "--grid", metavar="N,N,…", help="the grid in tokens; default: geometric up to vanilla"
    )
    sweep.add_argument("--points", type=int, default=8, metavar="N", help="budgets of the geometric grid")
    sweep.add_argument(
        "--lowest", type=int, metavar="N", help="lowest budget of the geometric grid; default: 10, or the floor"
    )
    sweep.add_argument("--repeats", type=int, default=3, metavar="N", help="answers under each budget")
    _add_common(sweep, max_calls=None)
    sweep.set_defaults(command=run_sweep)


def _add_common(parser: argparse.ArgumentParser, *, max_calls: int | None) -> None:
    flags.add_limits(parser, max_calls=max_calls)
    flags.add_concurrency(parser)
    parser.add_argument("--fresh", action="store_true", help="pay again for answers that are known already")
    parser.add_argument("--resume", metavar="SESSION", help="go on with an earlier session; nothing is paid twice")
    flags.add_engine(parser)
    flags.add_model(parser)


def run_search(args: argparse.Namespace) -> int:
    """Run `search`."""
    from tale_core.runs.documents import search_document
    from tale_core.search.engine import SearchPlan

    flags.check_engine(args)
    choice = _choice(args)
    plan = _resumed(args, SearchPlan) or SearchPlan(
        question=Question(text="") if args.dataset else flags.question(args),
        knob=args.knob,
        levels=(levels := flags.levels(args, choice)),
        lowest=flags.lowest(args, choice, 1),
        mode=args.mode,
        template=flags.template_name(args, choice),
        sampling=flags.sampling(args),
        samples=SearchPlan.usual_samples(levels) if args.samples is None else args.samples,
        rule=args.rule,
        limits=flags.limits(args),
        start=args.start,
        worth=SearchPlan.usual_worth(args.knob) if args.worth is None else args.worth,
        slots=args.concurrency,
        reuse=not args.fresh,
    )
    if args.dataset:
        from tale_core.cli import search_many

        return search_many.run(args, plan, choice)
    if args.at_once != 1:
        raise InputError("--at-once was given without --dataset.", "Add it, or leave it out.")
    view = cast("SearchView", _run(plan.checked(), choice, args, search_table))
    return end(view, args, document=search_document, words=_search_words, resume=view.session_id)


def run_sweep(args: argparse.Namespace) -> int:
    """Run `sweep`."""
    from tale_core.elasticity.engine import SweepPlan
    from tale_core.runs.documents import sweep_document

    flags.check_engine(args)
    choice = _choice(args)
    plan = _resumed(args, SweepPlan) or SweepPlan(
        question=flags.question(args),
        knob=args.knob,
        levels=flags.levels(args, choice),
        budgets=_grid(args, choice),
        points=args.points,
        lowest=flags.lowest(args, choice, 10),
        repeats=args.repeats,
        template=flags.template_name(args, choice),
        sampling=flags.sampling(args),
        limits=flags.limits(args),
        slots=args.concurrency,
        reuse=not args.fresh,
    )
    view = cast("SweepView", _run(plan.checked(), choice, args, sweep_table))
    return end(view, args, document=sweep_document, words=_sweep_words, resume=view.session_id)


def _grid(args: argparse.Namespace, choice: ModelChoice) -> tuple[int, ...]:
    """The budgets that were named, as far as the endpoint takes them; none where the vanilla answer decides."""
    from tale_core.budgets.kinds import ASKED, kind
    from tale_core.elasticity.plan import parse_grid
    from tale_core.models.choice import native_knob

    if args.budgets is None:
        return ()
    chosen, native = kind(args.knob), native_knob(choice, args.knob)
    if not chosen.NUMBERS:
        raise InputError(f"--grid was given with --knob {args.knob}.", "Name its levels instead: --levels low,high.")
    if chosen is ASKED:
        return parse_grid(args.budgets)
    low, high = chosen.span(native)
    if native is not None and native.off and native.takes(0):
        low = 0
    return tuple(int(chosen.checked(budget, native)) for budget in parse_grid(args.budgets, low=low, high=high))


def _resumed(args: argparse.Namespace, kind: type[P]) -> P | None:
    """The plan of the session to resume, or None when none was named."""
    from tale_core.elasticity.engine import SweepPlan
    from tale_core.runs.views import resumed, view_of
    from tale_core.store import open_store

    if args.resume is None:
        if args.question is None and not getattr(args, "dataset", None):
            raise InputError("No question was given.", "Give one, or --resume SESSION.")
        return None
    plan = resumed(view_of(open_store(args.db).get_session(args.resume)))
    if not isinstance(plan, kind):
        other = "sweep" if isinstance(plan, SweepPlan) else "search"
        raise InputError(f"Session {args.resume!r} is a {other}.", f"Resume it with the command {other}.")
    return plan


def _choice(args: argparse.Namespace) -> ModelChoice:
    from tale_core.models.choice import price_of

    choice = flags.model_choice(args)
    if args.max_cost is not None and price_of(choice) is None:
        raise InputError(
            f"--max-cost was given, but the price of {choice.model!r} is unknown.", "Give --max-total-tokens instead."
        )
    return choice


def _run(
    plan: CheckedSearch | CheckedSweep, choice: ModelChoice, args: argparse.Namespace, table: Callable[[Any], Table]
) -> SearchView | SweepView:
    from tale_core import process

    with flags.engine(args, choice) as engine:
        return process.run(_watched(plan, choice, args, table, engine))


async def _watched(
    plan: CheckedSearch | CheckedSweep,
    choice: ModelChoice,
    args: argparse.Namespace,
    table: Callable[[Any], Table],
    engine: RayEngine | None,
) -> SearchView | SweepView:
    from tale_core.runs.study import StudyRun
    from tale_core.store import open_store

    run = StudyRun(
        plan,
        store=open_store(args.db),
        open_client=flags.opener(choice, engine),
        model=choice.model,
        endpoint=choice.endpoint,
    )

    async def draw(console: Console) -> None:
        from rich.live import Live

        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(table(run.view()), refresh=True)
                await asyncio.sleep(REFRESH_S)

    return await watched(run, draw, name="session")


def search_table(view: SearchView) -> Table:
    """The steps so far."""
    from rich.table import Table
    from rich.text import Text

    from tale_core.calls.budget_ledger import apart_words, spent_words
    from tale_core.search.text import outcome_words

    table = Table(title=Text(f"{len(view.steps)} budgets tried, {spent_words(view.spent)}"), title_justify="left")
    for name in ("step", "budget", "actual tokens", "outcome", "bracket"):
        table.add_column(name, justify="left" if name == "outcome" else "right")
    for step in view.steps:
        tokens = f"{'at least ' if step.cut else ''}{step.tokens:.0f}"
        tokens = ", ".join([tokens, *apart_words(step.visible_tokens, step.thinking_tokens)])
        budget = "vanilla" if step.budget is None else str(step.budget)
        table.add_row(str(step.index), budget, tokens, outcome_words(step), f"{step.low} to {step.high}")
    return table


def sweep_table(view: SweepView) -> Table:
    """The curve so far."""
    from rich.table import Table
    from rich.text import Text

    from tale_core.calls.budget_ledger import spent_words

    progress = f"{view.finished} of {view.planned} answers, {spent_words(view.spent)}"
    table = Table(title=Text(progress), title_justify="left")
    for name in ("budget", "answers", "actual tokens", "95 %", "within", "right"):
        table.add_column(name, justify="right")
    for point in view.result.points if view.result else ():
        band = "" if point.tokens_low is None else f"{point.tokens_low:.0f} to {point.tokens_high:.0f}"
        table.add_row(
            point.kind if point.budget is None else str(point.budget),
            str(len(point.tokens)),
            "" if point.tokens_mean is None else _tokens(point),
            band,
            "" if point.within is None else f"{point.within:.0%}",
            "not graded" if point.accuracy is None else f"{point.accuracy:.0%} of {point.graded}",
        )
    return table


def _tokens(point: SweepPoint) -> str:
    from tale_core.calls.budget_ledger import apart_words

    apart = apart_words(point.visible_tokens_mean, point.thinking_tokens_mean)
    return ", ".join([f"{point.tokens_mean:.0f}", *apart])


def _search_words(view: SearchView) -> None:

    from tale_core.search.text import finding

    console_of(highlight=False).print(search_table(view))
    say(finding(view))


def _sweep_words(view: SweepView) -> None:

    console_of(highlight=False).print(sweep_table(view))
    if view.result:
        say(view.result.finding)
