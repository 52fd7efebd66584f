"""`ask`: one Ask on the terminal. The answers are drawn side by side while they grow, on standard error."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tale_core.ask import AskPlan
from tale_core.cli import FAILED, INTERRUPTED, OK, emit
from tale_core.commands.progress import open_with_progress
from tale_core.datasets import language_of
from tale_core.documents import ask_document
from tale_core.errors import InputError
from tale_core.estimators import usual_estimator
from tale_core.models.choice import ModelChoice, choice_from_flags
from tale_core.sessions import AskRun, AskView
from tale_core.settings import get_settings
from tale_core.store import open_store
from tale_core.types import ANSWERS, Question, Sampling
from tale_core.wording_memory import usual_template


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    choice = choice_from_flags(model=args.model, base_url=args.base_url, api_key_env=args.api_key_env)
    template = template_from_flags(args, choice)
    estimator = args.estimator or usual_estimator(model=choice.model, template=template)
    plan = AskPlan(
        question=question_from_flags(args),
        estimator=f"fixed:{args.budget}" if args.budget is not None else estimator,
        template=template,
        sampling=sampling_from_flags(args),
        together=not args.sequential,
    )
    plan.validate(model=choice.model)
    view = asyncio.run(_run(plan, choice, args))
    if args.json:
        emit(ask_document(view))
    else:
        _print(view)
    if view.status in ("cancelled", "interrupted"):
        return INTERRUPTED
    if view.error:
        print(f"tale: {view.error}", file=sys.stderr)
    if view.not_saved:
        print(f"tale: not saved: {view.not_saved}", file=sys.stderr)
    return OK if view.status == "done" else FAILED


async def _run(plan: AskPlan, choice: ModelChoice, args: argparse.Namespace) -> AskView:
    asked = AskRun(
        plan,
        store=open_store(args.db),
        open_client=lambda: open_with_progress(choice),
        model=choice.model,
        endpoint=choice.endpoint,
    )
    return await asked.run()


def template_from_flags(args: argparse.Namespace, choice: ModelChoice) -> str:
    """The template that was asked for; with none, the one that suits the model."""
    template: str | None = args.template
    return template or usual_template(choice.model, get_settings())


def sampling_from_flags(args: argparse.Namespace) -> Sampling:
    """The sampling that the shared flags ask for."""
    return Sampling(
        temperature=args.temperature,
        seed=args.seed,
        max_tokens=args.max_tokens,
        reasoning_effort=args.reasoning_effort,
    )


def question_from_flags(args: argparse.Namespace) -> Question:
    """The question that the shared flags describe; - reads its text from standard input.

    Raises:
        InputError: A choice without options.
    """
    text = sys.stdin.read() if args.question == "-" else args.question
    if args.kind == "choice" and not args.option:
        raise InputError("A choice was asked for without options.", "Give each as --option TEXT, in the order A, B, C.")
    return Question(
        text=text.strip(),
        answer=args.answer,
        kind=args.kind,
        options=tuple(args.option),
        language=language_of(text),
        source="command line",
    )


def _print(view: AskView) -> None:
    for role in ANSWERS:
        call = view.calls.get(role)
        if call is None:
            continue
        budget = f", budget {view.budget}" if role == "budgeted" else ""
        tokens = call.record.completion_tokens
        print(f"--- {role}: {'?' if tokens is None else tokens} output tokens{budget}, {call.record.outcome.value}")
        print(call.text)
    document = ask_document(view)
    if document["verdict"]:
        print(f"--- {document['verdict']}")
