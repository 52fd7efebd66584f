"""`models calibrate`: which wording of the budget sentence a model obeys.

Progress and what was measured go to standard error, the result to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from tale_core import prompts
from tale_core.cli import FAILED, OK, emit
from tale_core.commands.ask import sampling_from_flags
from tale_core.commands.progress import open_with_progress
from tale_core.elasticity_stats import Interval
from tale_core.errors import InputError, TaleError
from tale_core.models.choice import ModelChoice, choice_from_flags
from tale_core.presheet import parse_grid
from tale_core.probing import Limits, Spent
from tale_core.settings import get_settings
from tale_core.spending_words import spent_words
from tale_core.types import Language
from tale_core.wording_memory import read_choices, remember, user_file
from tale_core.wording_rule import LevelFigures, WordingFigures
from tale_core.wordings import (
    BUDGETS,
    AnswerMeasured,
    Calibration,
    CalibrationPlan,
    WordingsDropped,
    calibrate,
    default_questions,
)

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

TABLE_WIDTH = 120
"""Columns of a table that goes to a file."""


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    plan = _plan(args)
    plan.validate()
    choice = choice_from_flags(model=args.model, base_url=args.base_url, api_key_env=args.api_key_env)
    if not args.no_save:
        read_choices(user_file(get_settings()))  # A file that cannot be added to is told before anything is spent.
    found = _measured(plan, choice)
    saved, not_saved = (None, None) if args.no_save or found.verdict is None else _saved(found)
    _print_table(found)
    if args.json:
        emit(document(found, saved))
    else:
        print(found.finding)
    if not_saved:
        print(f"tale: not saved: {not_saved}", file=sys.stderr)
    if found.verdict is None:
        print(f"tale: {found.finding}", file=sys.stderr)
    return OK if found.verdict is not None else FAILED


def _plan(args: argparse.Namespace) -> CalibrationPlan:
    names = [name.strip() for name in args.wordings.split(",")] if args.wordings else list(prompts.TEMPLATES)
    return CalibrationPlan(
        questions=default_questions(args.questions, _languages(args.languages)),
        wordings=tuple(names),
        budgets=parse_grid(args.budgets) if args.budgets else BUDGETS,
        sampling=sampling_from_flags(args),
        tolerance=args.tolerance / 100,
        limits=Limits(max_calls=args.max_calls, max_tokens=args.max_total_tokens, max_cost_usd=args.max_cost),
        slots=args.concurrency,
    )


def _languages(comma_list: str) -> tuple[Language, ...]:
    named = tuple(name.strip() for name in comma_list.split(","))
    if not set(named) <= set(get_args(Language)):
        raise InputError(f"--languages is {comma_list!r}.", "Give en, zh or en,zh.")
    return cast("tuple[Language, ...]", named)


def _measured(plan: CalibrationPlan, choice: ModelChoice) -> Calibration:
    spent = Spent()

    async def work() -> Calibration:
        nonlocal spent
        client = await open_with_progress(choice)
        try:
            with _bar(plan) as (bar, task):
                async with aclosing(calibrate(plan, client)) as events:
                    async for event in events:
                        if isinstance(event, Calibration):
                            return event
                        if isinstance(event, WordingsDropped):
                            names = ", ".join(event.wordings)
                            bar.console.print(f"dropped after {event.after} questions: {names}", highlight=False)
                        if isinstance(event, AnswerMeasured):
                            spent = event.spent
                            bar.update(task, completed=event.done, total=event.planned)
        finally:
            await client.aclose()
        raise AssertionError("a calibration ends with its result")

    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        print(f"Spent so far: {spent_words(spent)}, and the answers in flight.", file=sys.stderr)
        raise


def _saved(found: Calibration) -> tuple[Path | None, str | None]:
    """Where it was written, or why not: what was measured is shown all the same."""
    try:
        return remember(found, get_settings()), None
    except TaleError as e:
        return None, str(e)


@contextmanager
def _bar(plan: CalibrationPlan) -> Iterator[tuple[Progress, Any]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("calibrating"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar, bar.add_task("calibrating", total=None)


def _print_table(found: Calibration) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, TABLE_WIDTH)
    console.print(table(found))


def table(found: Calibration) -> Table:
    """What every wording was measured to do; 95 % intervals stand below their numbers."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    title = f"{found.model}: {len(found.plan.questions)} questions, {spent_words(found.spent)}"
    if found.reference:
        title += f"; compared with {found.reference} without a budget"
    result = Table(title=Text(title), title_justify="left", box=SIMPLE, padding=(0, 1))
    result.add_column("wording", no_wrap=True)
    budgets = (f"tokens, {budget}" for budget in found.plan.budgets)
    for name in ("right, none", "right, budget", "tokens, none", *budgets, "all-in", "within"):
        result.add_column(name, justify="right")
    result.add_column("length")
    for f in found.wordings:
        chosen = "* " if found.verdict and found.verdict.wording == f.name else ""
        tokens = [_mean(level.tokens) for level in (f.vanilla, *f.levels)]
        all_in = "" if f.budgeted.all_in is None else f"{f.budgeted.all_in:.0f}"
        within = "" if f.budgeted.within is None else f"{f.budgeted.within:.0%}"
        dropped = "" if f.dropped_after is None else f"dropped after {f.dropped_after}"
        curve = "\n".join(filter(None, (f.curve, dropped)))
        result.add_row(Text(chosen + f.name), _right(f.vanilla), _right(f.budgeted), *tokens, all_in, within, curve)
    return result


def _mean(tokens: Interval | None) -> str:
    return "" if tokens is None else f"{tokens.mean:.0f}\n{tokens.low:.0f} to {tokens.high:.0f}"


def _right(level: LevelFigures) -> str:
    if level.accuracy is None:
        return "not judged"
    return f"{level.right} of {level.n}\n{level.accuracy.low:.0%} to {level.accuracy.high:.0%}"


def document(found: Calibration, saved: Path | None) -> dict[str, Any]:
    """JSON-safe; unknown values are null."""
    verdict, plan = found.verdict, found.plan
    return {
        "model": found.model,
        "endpoint": found.endpoint,
        "wording": verdict and verdict.wording,
        "version": prompts.template(verdict.wording).version if verdict else None,
        "fallback": verdict and verdict.fallback,
        "reason": verdict and verdict.reason,
        "finding": found.finding,
        "reference": found.reference,
        "questions": [q.id for q in plan.questions],
        "budgets": list(plan.budgets),
        "tolerance": plan.tolerance,
        "sampling": asdict(plan.sampling),
        "wordings": [_wording(f) for f in found.wordings],
        "spent": asdict(found.spent),
        "stopped": found.stopped,
        "error": found.error,
        "source": found.source,
        "created_at": found.created_at.isoformat(),
        "saved": str(saved) if saved else None,
    }


def _wording(f: WordingFigures) -> dict[str, Any]:
    difference = f.difference or (None, None, None)
    return {
        "name": f.name,
        "version": prompts.template(f.name).version,
        **_level(f.budgeted),
        "curve": f.curve,
        "difference": difference[0],
        "difference_low": difference[1],
        "difference_high": difference[2],
        "worse_p": f.worse_p,
        "qualifies": f.qualifies,
        "dropped_after": f.dropped_after,
        "vanilla": _level(f.vanilla),
        "levels": [{"budget": level.budget, **_level(level)} for level in f.levels],
    }


def _level(level: LevelFigures) -> dict[str, Any]:
    accuracy, tokens = level.accuracy or (None, None, None), level.tokens or (None, None, None)
    return {
        "n": level.n,
        "right": level.right,
        "accuracy": accuracy[0],
        "accuracy_low": accuracy[1],
        "accuracy_high": accuracy[2],
        "tokens_mean": tokens[0],
        "tokens_low": tokens[1],
        "tokens_high": tokens[2],
        "all_in_tokens": level.all_in,
        "within": level.within,
        "outcomes": {outcome.value: count for outcome, count in level.outcomes.items()},
    }
