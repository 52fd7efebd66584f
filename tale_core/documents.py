"""The JSON documents of the command line and the exports. Keys stay; more may be added; an unknown value is null."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any, TypeVar

from tale_core.i18n import SOURCE, use_language
from tale_core.search import SearchStep
from tale_core.search_words import finding, step_words
from tale_core.sessions import AskView
from tale_core.studies import SearchView
from tale_core.study_documents import safe_cell
from tale_core.types import CallRecord, Outcome
from tale_core.verdict import compare

V = TypeVar("V")
T = TypeVar("T")


def _in_english(make: Callable[[V], T]) -> Callable[[V], T]:
    """A file says the same whoever saves it: its sentences are English, as its keys are."""

    @wraps(make)
    def said(view: V) -> T:
        with use_language(SOURCE):
            return make(view)

    return said


def answer_document(call: CallRecord | None) -> dict[str, Any] | None:
    """An answer object, or null when there was no such call."""
    if call is None:
        return None
    return {
        "text": call.text,
        "reasoning_text": call.reasoning_text,
        "budget": call.requested_budget,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "reasoning_tokens": call.reasoning_tokens,
        "usage_estimated": call.usage_estimated,
        "outcome": call.outcome.value,
        "extracted": call.extracted,
        "extracted_by": call.extracted_by,
        "labelled": call.labelled,
        "finish_reason": call.finish_reason,
        "ttft_s": call.ttft_s,
        "latency_s": call.latency_s,
        "cost_usd": call.cost_usd,
        "source": call.source,
        "status": call.status,
        "attempts": call.attempts,
        "adjustments": list(call.adjustments),
        "error": call.error,
    }


@_in_english
def ask_document(view: AskView) -> dict[str, Any]:
    """The document of one Ask."""
    calls = {role: call.record for role, call in view.calls.items()}
    estimate, vanilla, budgeted = calls.get("estimate"), calls.get("vanilla"), calls.get("budgeted")
    found = compare(vanilla, budgeted, estimate) if vanilla and budgeted else None
    return {
        "session": view.session_id,
        "status": view.status,
        "question": view.question.text,
        "known_answer": view.question.answer,
        "model": view.model,
        "endpoint": view.endpoint,
        "template": view.template,
        "together": view.together,
        "estimate": {
            "estimator": view.estimator,
            "budget": view.budget,
            "raw": view.budget_raw,
            "problem": view.budget_problem,
            "prompt_tokens": estimate.prompt_tokens if estimate else 0,
            "completion_tokens": estimate.completion_tokens if estimate else 0,
        },
        "answers": {"vanilla": answer_document(vanilla), "budgeted": answer_document(budgeted)},
        "tokens": {
            "vanilla_all_in": found.vanilla_all_in if found else None,
            "budgeted_all_in": found.budgeted_all_in if found else None,
            "output_saving": found.output_saving if found else None,
            "all_in_saving": found.all_in_saving if found else None,
            "estimated": found.estimated if found else None,
        },
        "verdict": found.sentence if found else None,
        "error": view.error,
        "not_saved": view.not_saved,
    }


@_in_english
def search_document(view: SearchView) -> dict[str, Any]:
    """The document of one search, finished or not.

    `optimal_budget` is null until the search has ended; `best_so_far` is there from the first budget that worked.
    """
    plan, result = view.plan, view.result
    last = view.steps[-1] if view.steps else None
    vanilla = next((c.record for c in view.calls if c.record.role == "vanilla"), None)
    return {
        "session": view.session_id,
        "status": view.status,
        "question": view.question.text,
        "known_answer": view.question.answer,
        "model": view.model,
        "endpoint": view.endpoint,
        "template": plan.template,
        "sampling": asdict(plan.sampling),
        "mode": plan.mode,
        "samples": plan.samples,
        "rule": plan.rule,
        "limits": asdict(plan.limits),
        "start": plan.start,
        "parent": view.parent_id,
        "optimal_budget": result.optimal_budget if result else None,
        "optimal_tokens": result.optimal_tokens if result else None,
        "vanilla_tokens": result.vanilla_tokens if result else None,
        "stop_reason": result.stop_reason if result else None,
        "possible_gain": result.possible_gain if result else None,
        "elastic": list(result.elastic) if result and result.elastic else None,
        "best_so_far": {"budget": last.best_budget, "tokens": last.best_tokens} if last and last.best_budget else None,
        "vanilla": answer_document(vanilla),
        "probes": [step_document(step) for step in view.steps if step.budget is not None],
        "spent": asdict(view.spent),
        "finding": finding(view),
        "error": view.error,
        "not_saved": view.not_saved,
    }


def step_document(step: SearchStep) -> dict[str, Any]:
    """One budget of a search; tokens are the mean over its samples, and of a cut answer a lower bound."""
    return {
        "phase": step.phase,
        "budget": step.budget,
        "completion_tokens": int(step.tokens) if float(step.tokens).is_integer() else step.tokens,
        "outcome": step.outcome.value,
        "cut": step.cut,
        "elastic": step.elastic,
        "low": step.low,
        "high": step.high,
        "best_budget": step.best_budget,
        "best_tokens": step.best_tokens,
        "samples": step.samples,
        "right": step.right,
        "reused": step.reused,
    }


@_in_english
def search_csv(view: SearchView) -> str:
    """One row a step, the vanilla answer first; the model and the question beside it, so that files can be joined."""
    named = {"session": view.session_id, "model": view.model, "question": view.question.text, "mode": view.plan.mode}
    rows = [named | {"step": s.index} | step_document(s) | {"meaning": step_words(s)} for s in view.steps]
    columns = [*named, "step", *(step_document(_NO_STEP)), "meaning"]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


_NO_STEP = SearchStep(0, "vanilla", None, Outcome.UNGRADED, 0, False, False, 0, 0, None, 0)
