"""`search --dataset`: every question of a data set searched; see `tale_core.runs.searches`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from tale_core import datasets, process
from tale_core.calls.budget_ledger import spent_words
from tale_core.cli import flags
from tale_core.cli.output import FAILED, INTERRUPTED, OK, emit, say
from tale_core.cli.progress import timed_bar
from tale_core.errors import InputError
from tale_core.models.choice import ModelChoice
from tale_core.runs.searches import INTERRUPTION, MOST_AT_ONCE, Searches, Tally, in_order, searched
from tale_core.search.engine import SearchPlan
from tale_core.search.text import finding
from tale_core.search.view import SearchView
from tale_core.store import open_store


def run(args: argparse.Namespace, plan: SearchPlan, choice: ModelChoice) -> int:
    """Search the data set's questions that have not been searched in this way yet.

    Args:
        args: The flags of `search`.
        plan: What every search has in common; its question is put in.
        choice: Whom to ask.

    Raises:
        InputError: The data set cannot be read, nothing in it has a known answer, or a flag is out of range.
    """
    if not 1 <= args.at_once <= MOST_AT_ONCE:
        raise InputError(f"{args.at_once} searches at the same time were asked for.", f"Give 1 to {MOST_AT_ONCE}.")
    loaded = datasets.load(args.dataset, limit=args.limit, offset=args.offset)
    questions = [q for q in loaded.questions if (q.answer or "").strip()]
    if not questions:
        raise InputError(f"{args.dataset!r} has no question with a known answer.", "A search needs it.")
    replace(plan, question=questions[0]).checked()
    store = open_store(args.db)
    todo = in_order(questions, known=() if args.fresh else searched(store, plan, model=choice.model))
    tally = Tally(args.dataset, len(questions), len(questions) - len(todo))
    with flags.engine(args, choice) as engine, timed_bar("searching", total=len(todo)) as (bar, task):

        def show(view: SearchView) -> None:
            bar.console.print(f"{view.session_id}  {view.error or finding(view)}", markup=False, highlight=False)
            bar.advance(task)

        searches = Searches(todo, plan, choice, store, tally, open_client=flags.opener(choice, engine), show=show)
        process.run(searches.run(args.at_once))
    if args.json:
        emit(tally.document(plan, choice.model))
    else:
        say(_words(tally))
    if tally.stopped == INTERRUPTION:
        return INTERRUPTED
    return FAILED if tally.failed or tally.stopped else OK


def _words(tally: Tally) -> str:
    parts = [
        f"{tally.questions} questions, {tally.known} searched before in this way",
        f"{tally.found} optimal budgets found, {tally.nothing_found} without one, {tally.failed} failed",
        f"spent: {spent_words(tally.spent)}",
    ]
    if tally.stopped:
        parts.append(f"Stopped: {tally.stopped}. The same command goes on from here")
    return ". ".join(parts) + "."
