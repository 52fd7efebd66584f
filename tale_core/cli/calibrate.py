"""`models calibrate`: which prompt template a model obeys.

Progress and what was measured go to standard error, the result to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from tale_core.cli import flags
from tale_core.cli.output import FAILED, OK, console_of, emit, say
from tale_core.cli.progress import open_with_progress, timed_bar
from tale_core.errors import InputError, TaleError
from tale_core.prompts.messages import TOOL_FREE, template
from tale_core.stats import Interval
from tale_core.types import Language

if TYPE_CHECKING:
    from rich.table import Table

    from tale_core.calibration.rule import LevelFigures, TemplateFigures
    from tale_core.calibration.run import Calibration, CalibrationPlan
    from tale_core.models.choice import ModelChoice

TABLE_WIDTH = 120
"""Columns of a table that goes to a file."""


def register(actions: Any) -> None:
    """Add the action to those of `models`."""
    parser = actions.add_parser("calibrate", help="find the prompt template that a model obeys")
    parser.add_argument("--templates", "--wordings", metavar="A,B,…", help=f"default: {','.join(TOOL_FREE)}")
    parser.add_argument("--questions", type=int, default=12, metavar="N", help="of our own, easy to middle")
    parser.add_argument("--languages", default="en,zh", metavar="L,L", help="of the questions: en, zh or en,zh")
    parser.add_argument("--budgets", metavar="N,N,…", help="tokens, two or more; default: 25,60")
    parser.add_argument(
        "--tolerance", type=float, default=10.0, metavar="POINTS", help="right answers that a budget may cost"
    )
    flags.add_limits(parser)
    flags.add_concurrency(parser)
    parser.add_argument("--no-save", action="store_true", help="measure only; remember nothing")
    flags.add_json(parser)
    flags.add_model(parser)
    parser.set_defaults(command=run, max_tokens=600)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.calibration.saved import read_choices, user_file
    from tale_core.settings import get_settings

    plan = _plan(args)
    plan.validate()
    choice = flags.model_choice(args)
    if not args.no_save:
        read_choices(user_file(get_settings()))  # A file that cannot be added to is told before anything is spent.
    found = _measured(plan, choice)
    saved, not_saved = (None, None) if args.no_save or found.verdict is None else _saved(found)
    _print_table(found)
    if args.json:
        emit(document(found, saved))
    else:
        say(found.finding)
    if not_saved:
        say(f"tale: not saved: {not_saved}", file=sys.stderr)
    if found.verdict is None:
        say(f"tale: {found.finding}", file=sys.stderr)
    return OK if found.verdict is not None else FAILED


def _plan(args: argparse.Namespace) -> CalibrationPlan:
    from tale_core.calibration.run import BUDGETS, CalibrationPlan, default_questions
    from tale_core.elasticity.plan import parse_grid

    names = [name.strip() for name in args.templates.split(",")] if args.templates else list(TOOL_FREE)
    return CalibrationPlan(
        questions=default_questions(args.questions, _languages(args.languages)),
        templates=tuple(names),
        budgets=parse_grid(args.budgets) if args.budgets else BUDGETS,
        sampling=flags.sampling(args),
        tolerance=args.tolerance / 100,
        limits=flags.limits(args),
        slots=args.concurrency,
    )


def _languages(comma_list: str) -> tuple[Language, ...]:
    named = tuple(name.strip() for name in comma_list.split(","))
    if not set(named) <= set(get_args(Language)):
        raise InputError(f"--languages is {comma_list!r}.", "Give en, zh or en,zh.")
    return cast("tuple[Language, ...]", named)


def _measured(plan: CalibrationPlan, choice: ModelChoice) -> Calibration:
    from tale_core.calibration.run import AnswerMeasured, Calibration, TemplatesDropped, calibrate
    from tale_core.calls.budget_ledger import Spent, spent_words

    spent = Spent()

    async def work() -> Calibration:
        nonlocal spent
        client = await open_with_progress(choice)
        try:
            with timed_bar("calibrating", transient=True) as (bar, task):
                async with aclosing(calibrate(plan, client)) as events:
                    async for event in events:
                        if isinstance(event, Calibration):
                            return event
                        if isinstance(event, TemplatesDropped):
                            names = ", ".join(event.templates)
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
        say(f"Spent so far: {spent_words(spent)}, and the answers in flight.", file=sys.stderr)
        raise


def _saved(found: Calibration) -> tuple[Path | None, str | None]:
    """Where it was written, or why not: what was measured is shown all the same."""
    from tale_core.calibration.run import remember
    from tale_core.settings import get_settings

    try:
        return remember(found, get_settings()), None
    except TaleError as e:
        return None, str(e)


def _print_table(found: Calibration) -> None:

    console = console_of(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, TABLE_WIDTH)
    console.print(table(found))


def table(found: Calibration) -> Table:
    """What every template was measured to do; 95 % intervals stand below their numbers."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from tale_core.calls.budget_ledger import spent_words

    title = f"{found.model}: {len(found.plan.questions)} questions, {spent_words(found.spent)}"
    if found.reference:
        title += f"; compared with {found.reference} without a budget"
    result = Table(title=Text(title), title_justify="left", box=SIMPLE, padding=(0, 1))
    result.add_column("template", no_wrap=True)
    budgets = (f"tokens, {budget}" for budget in found.plan.budgets)
    for name in ("right, none", "right, budget", "tokens, none", *budgets, "all-in", "within"):
        result.add_column(name, justify="right")
    result.add_column("length")
    for f in found.templates:
        chosen = "* " if found.verdict and found.verdict.template == f.name else ""
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
        "wording": verdict and verdict.template,
        "version": template(verdict.template).version if verdict else None,
        "fallback": verdict and verdict.fallback,
        "reason": verdict and verdict.reason,
        "finding": found.finding,
        "reference": found.reference,
        "questions": [q.id for q in plan.questions],
        "budgets": list(plan.budgets),
        "tolerance": plan.tolerance,
        "sampling": asdict(plan.sampling),
        "wordings": [_template_document(f) for f in found.templates],
        "spent": asdict(found.spent),
        "stopped": found.stopped,
        "error": found.error,
        "source": found.source,
        "created_at": found.created_at.isoformat(),
        "saved": str(saved) if saved else None,
    }


def _template_document(f: TemplateFigures) -> dict[str, Any]:

    difference = f.difference or (None, None, None)
    return {
        "name": f.name,
        "version": template(f.name).version,
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
