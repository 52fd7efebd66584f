"""`models setup`: make TALE work for a model. What it will cost and how far it is go to standard error."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import FAILED, INTERRUPTED, OK, emit, say
from tale_core.cli.progress import REFRESH_S, timed_bar

if TYPE_CHECKING:
    from tale_core.models.choice import ModelChoice
    from tale_core.runs.setup import Cost, Readiness, SetupPlan, SetupRun, SetupView


def register(actions: Any) -> None:
    """Add the action to those of `models`."""
    parser = actions.add_parser("setup", help="make TALE work for a model: its template, searches, an estimator")
    parser.add_argument("--searches", type=int, default=30, metavar="N", help="optimal budgets to learn from")
    parser.add_argument("--questions", type=int, default=12, metavar="N", help="to compare the templates on")
    parser.add_argument("--dataset", metavar="NAME|FILE", help="questions to search; default: our own")
    parser.add_argument("--limit", type=int, metavar="N", help="questions of it to take; default: all")
    parser.add_argument("--offset", type=int, default=0, metavar="N", help="questions of it to pass over first")
    parser.add_argument("--max-total-tokens", type=int, metavar="N", help="cap; default: twice what it should take")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="cap on dollars")
    parser.add_argument("--estimate", action="store_true", help="only say how far it is and what is left to pay")
    parser.add_argument("--again", action="store_true", help="find the template anew")
    flags.add_concurrency(parser)
    flags.add_store(parser)
    flags.add_model(parser)
    parser.set_defaults(command=run, max_calls=None)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        InputError: A flag or the data set is wrong; nothing was spent.
    """
    from tale_core import process
    from tale_core.models.choice import price_of
    from tale_core.runs.setup import SetupRun, cost, readiness
    from tale_core.store import open_store

    choice, store = flags.model_choice(args), open_store(args.db)
    price, plan, at = price_of(choice), _plan(args), readiness(store, choice)
    expected = cost(plan, at, price=price, vanilla=store.vanilla_tokens(model=choice.model))
    if plan.limits.max_tokens is None and plan.limits.max_cost_usd is None:
        plan = replace(plan, limits=replace(plan.limits, max_tokens=max(1, 2 * expected.tokens)))
    plan.validate(price, choice.model)
    say(f"tale: {_cost_words(expected, plan, complete=at.complete(plan))}", file=sys.stderr)
    if args.estimate:
        return _printed(args, _document(choice, plan, at, expected), at, OK)
    one = SetupRun(plan, store=store, open_client=flags.opener(choice, None), choice=choice, price=price)
    view = process.run(_shown(one))
    status = {"done": OK, "cancelled": INTERRUPTED, "interrupted": INTERRUPTED}.get(view.status, FAILED)
    if status != OK:
        say(f"tale: {view.error or 'stopped.'} The same command goes on from here.", file=sys.stderr)
    return _printed(args, _document(choice, plan, view.readiness, expected, view), view.readiness, status)


def _plan(args: argparse.Namespace) -> SetupPlan:
    from tale_core.datasets import load
    from tale_core.runs.setup import SetupPlan

    more: dict[str, Any] = {}
    if args.dataset:
        more["questions"] = load(args.dataset, limit=args.limit, offset=args.offset).questions
    return SetupPlan(
        calibration=args.questions, searches=args.searches, limits=flags.limits(args), at_once=args.concurrency,
        sampling=flags.sampling(args), again=args.again, **more,
    )  # fmt: skip


async def _shown(one: SetupRun) -> SetupView:
    async def show() -> None:
        words = {"template": "comparing templates", "searches": "searching budgets", "estimator": "learning"}
        with timed_bar("setting up", transient=True) as (bar, task):
            while True:
                view = one.view()
                said, total = words.get(view.phase, "…"), view.planned or None
                bar.update(task, description=said, completed=view.done, total=total)
                await asyncio.sleep(REFRESH_S)

    shower = asyncio.create_task(show())
    try:
        return await one.run()
    finally:
        shower.cancel()
        await asyncio.gather(shower, return_exceptions=True)


def _cost_words(expected: Cost, plan: SetupPlan, *, complete: bool) -> str:
    from tale_core.calls.budget_ledger import money

    if complete:
        return "everything is there already; --again finds the template anew, --searches N learns from more."
    tokens, usd = plan.limits.max_tokens, plan.limits.max_cost_usd
    cap = " and ".join(part for part in (f"{tokens:,} tokens" if tokens else "", f"${usd:g}" if usd else "") if part)
    return (
        f"about {expected.calls:,} calls and {expected.tokens:,} tokens, {money(expected.cost_usd)}; "
        f"it stops at {cap}, and the same command goes on."
    )


def _document(
    choice: ModelChoice, plan: SetupPlan, at: Readiness, expected: Cost, view: SetupView | None = None
) -> dict[str, Any]:
    return {
        "setup": view and view.setup_id,
        "status": view and view.status,
        "error": view and view.error,
        "model": choice.model,
        "endpoint": choice.endpoint,
        "template": at.template and at.template.template,
        "template_from": at.template and at.template.found,
        "searches": len(at.rows),
        "searches_wanted": plan.searches,
        "estimator": at.estimator and f"{at.estimator.metadata.kind}:{at.estimator.metadata.version}",
        "use": at.use,
        "budget": at.budget,
        "findings": at.sentences(),
        "expected": expected._asdict(),
        "limits": asdict(plan.limits),
        "spent": view and asdict(view.spent),
    }


def _printed(args: argparse.Namespace, document: dict[str, Any], at: Readiness, status: int) -> int:
    if args.json:
        emit(document)
        return status
    for words in at.sentences():
        say(words)
    if at.use is not None and at.template is not None:
        say(f'Use it: ask "…" --model {at.model} --template {at.template.template} --estimator {at.use}')
    return status
