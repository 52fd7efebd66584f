"""`ask`: one Ask on the terminal. The answers are drawn side by side while they grow, on standard error."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import end, say
from tale_core.types import ANSWERS

if TYPE_CHECKING:
    from tale_core.ask.plan import CheckedAsk
    from tale_core.ask.run import AskView
    from tale_core.models.choice import ModelChoice


def register(commands: Any) -> None:
    """Add the command."""
    from tale_core.estimators import MAX_BUDGET, patterns

    ask = commands.add_parser("ask", help="estimate a budget and answer a question with and without it")
    flags.add_question(ask)
    ask.add_argument(
        "--estimator", metavar="NAME", help=f"{patterns()}, tuned:NAME, lines; default: a trained one if there is any"
    )
    ask.add_argument("--budget", type=int, metavar="N", help=f"short for --estimator fixed:N (1 to {MAX_BUDGET})")
    ask.add_argument(
        "--settle", action="store_true", help="then close the vanilla answer at its steps: where was it already there?"
    )
    flags.add_knob(ask)
    ask.add_argument("--level", metavar="LEVEL", help="with --knob effort or verbosity: the level of the second answer")
    ask.add_argument("--sequential", action="store_true", help="one answer after the other, for clean timing")
    flags.add_model(ask)
    ask.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.ask.plan import AskPlan
    from tale_core.estimators import chosen_estimator
    from tale_core.runs.documents import ask_document

    choice = flags.model_choice(args)
    template = flags.template_name(args, choice)
    plan = AskPlan(
        question=flags.question(args),
        estimator=chosen_estimator(args.estimator, args.budget, model=choice.model, template=template),
        template=template,
        sampling=flags.sampling(args),
        knob=args.knob,
        level=args.level,
        together=not args.sequential,
    )
    view = asyncio.run(_run(plan.checked(model=choice.model), choice, args))
    return end(view, args, document=ask_document, words=_print)


async def _run(plan: CheckedAsk, choice: ModelChoice, args: argparse.Namespace) -> AskView:
    from tale_core.ask.run import AskRun
    from tale_core.store import open_store

    store, opened = open_store(args.db), flags.opener(choice, None)
    asked = AskRun(plan, store=store, open_client=opened, model=choice.model, endpoint=choice.endpoint)
    view = await asked.run()
    if not args.settle or view.status != "done":
        return view
    from tale_core.ask.settle import SettlePlan, SettleRun

    wanted = SettlePlan(store.get_session(view.session_id))
    settling = SettleRun(wanted, store=store, open_client=opened, model=choice.model, endpoint=choice.endpoint)
    settled = await settling.run()
    # The answers are there, but not what was asked beside them.
    return replace(settled, status="failed", error=settled.cannot) if settled.cannot else settled


def _print(view: AskView) -> None:
    from tale_core.budgets.kinds import kind_of
    from tale_core.calls.budget_ledger import call_apart
    from tale_core.grading.lines import evaluated, work_out
    from tale_core.runs.documents import ask_document

    for role in ANSWERS:
        call = view.calls.get(role)
        if call is None:
            continue
        budget = f", budget {view.budget}" if role == "budgeted" and view.budget else ""
        budget += f" ({knob})" if budget and (knob := kind_of(call.record).NAME) != "asked" else ""
        tokens = call.record.completion_tokens
        apart = "".join(f", {part}" for part in call_apart(call.record))
        outcome = "refused" if call.record.refused else call.record.outcome.value
        say(f"--- {role}: {'?' if tokens is None else tokens} output tokens{apart}{budget}, {outcome}")
        if evaluated(call.record.prompt_template):
            say("\n".join(f"{one.text}  # {one.value or one.problem}" for one in work_out(call.text).lines))
        else:
            say(call.text)
    if (found := view.settled.get("vanilla")) is not None:
        say(f"--- {found.sentence}")
    document = ask_document(view)
    if document["verdict"]:
        say(f"--- {document['verdict']}")
