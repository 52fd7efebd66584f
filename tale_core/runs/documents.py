"""An Ask, a search and a sweep as JSON documents, the last two as CSV as well, for `--json` and downloads.

Keys stay; more may be added; an unknown value is null in JSON and empty in CSV. Cells are safe for spreadsheets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any, TypeVar

from tale_core.ask.run import AskView
from tale_core.budgets.kinds import KINDS, kind_of
from tale_core.calls.comparison import compare
from tale_core.calls.settling import Settled
from tale_core.elasticity.engine import SweepPoint
from tale_core.elasticity.knob import KnobFinding, dead_zone, knob_finding, slopes
from tale_core.elasticity.view import SweepView
from tale_core.grading.lines import evaluated, work_out
from tale_core.i18n import SOURCE, in_english, use_language
from tale_core.search.engine import SearchStep
from tale_core.search.text import finding, step_words
from tale_core.search.view import SearchView
from tale_core.text import csv_text
from tale_core.types import CallRecord, Level, Outcome

_NOTHING = SweepPoint("budget", None, 0, (), None, None, None, {}, 0, None, None, None, None)
V = TypeVar("V")
T = TypeVar("T")
_NO_STEP = SearchStep(0, "vanilla", None, Outcome.UNGRADED, 0, False, False, 0, 0, None, 0)


def _head(view: AskView | SearchView | SweepView, template: str) -> dict[str, Any]:
    return {
        "session": view.session_id,
        "status": view.status,
        "question": view.question.text,
        "known_answer": view.question.answer,
        "model": view.model,
        "endpoint": view.endpoint,
        "template": template,
        "created_at": view.created_at.isoformat() if view.created_at else None,
    }


def sweep_document(view: SweepView) -> dict[str, Any]:
    """The document of one sweep, finished or not."""
    result, plan = view.result, view.plan
    return {
        **_head(view, plan.template),
        "sampling": asdict(plan.sampling),
        "repeats": plan.repeats,
        "parent": view.parent_id,
        "finished": view.finished,
        "planned": view.planned,
        "complete": result.complete if result else False,
        "stop_reason": result.stop_reason if result else None,
        "finding": result.finding if result else None,
        "points": [point_document(p) for p in result.points] if result else [],
        "ideal_range": list(result.ideal_range) if result and result.ideal_range else None,
        "rebound": asdict(result.rebound) if result and result.rebound else None,
        "knob": _knob_document(view),
        "elasticity": [asdict(slope) for slope in slopes(result)] if result else [],
        "dead_zone": list(zone) if result and (zone := dead_zone(result)) else None,
        "compliance": result.compliance if result else None,
        "sources": dict(result.sources) if result else {},
        "spent": asdict(view.spent),
        "error": in_english(view.error),
        "not_saved": in_english(view.not_saved),
    }


def _knob_document(view: SweepView) -> dict[str, Any]:
    """Whether the sweep's knob is real; of a sweep without an answer under a level only its name."""
    with use_language(SOURCE):
        found = knob_finding(view.plan, view.result) if view.result else None
    nothing = KnobFinding(view.plan.knob, None, (), False, "", 0)
    return (found or nothing).document()


def point_document(point: SweepPoint) -> dict[str, Any]:
    """One level: a budget, or the vanilla or direct reference, whose budget is null."""
    return {
        "kind": point.kind,
        "budget": _number(point.budget),
        "level": point.budget,
        "repeats": point.repeats,
        "tokens": list(point.tokens),
        "tokens_mean": point.tokens_mean,
        "tokens_low": point.tokens_low,
        "tokens_high": point.tokens_high,
        "visible_tokens_mean": point.visible_tokens_mean,
        "thinking_tokens_mean": point.thinking_tokens_mean,
        "within_budget": point.within,
        "graded": point.graded,
        "accuracy": point.accuracy,
        "accuracy_low": point.accuracy_low,
        "accuracy_high": point.accuracy_high,
        "refused": point.refused,
        "dropped": point.dropped,
        "outcomes": {outcome.value: point.outcomes.get(outcome, 0) for outcome in Outcome},
    }


def sweep_csv(view: SweepView) -> str:
    """One row a level, with the model and the question beside it so that files of several sweeps can be joined."""
    named = {"session": view.session_id, "model": view.model, "template": view.plan.template}
    rows = [_row(named | {"question": view.question.text}, p) for p in (view.result.points if view.result else ())]
    return csv_text(list(_row({**named, "question": ""}, _NOTHING)), rows)


def _row(named: dict[str, Any], point: SweepPoint) -> dict[str, Any]:
    document = point_document(point)
    outcomes = document.pop("outcomes")
    document["tokens"] = " ".join(map(str, document["tokens"]))
    return named | document | {f"outcome_{name}": number for name, number in outcomes.items()}


def _in_english(make: Callable[[V], T]) -> Callable[[V], T]:
    """A file says the same for everybody: its sentences are English, as its keys are."""

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
        "sampling": asdict(call.sampling),
        "budget": call.requested_budget,
        "level": call.level,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "reasoning_tokens": call.reasoning_tokens,
        "visible_tokens": call.visible_tokens,
        "thinking_tokens": call.thinking_tokens,
        "reasoning_estimated": call.reasoning_estimated,
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
        "error": in_english(call.error),
        "lines": lines_document(call),
    }


def settled_document(found: Settled | None) -> dict[str, Any] | None:
    """Where an answer was already there; null where that was not asked."""
    if found is None:
        return None
    return {**asdict(found), "share_after": found.share_after, "sentence": found.sentence}


def _ask_knob(estimator: str, budgeted: CallRecord | None) -> dict[str, Any]:
    """The kind of an Ask's budget, and what it was set to."""
    name, _, level = estimator.partition(":")
    if name in (kind.NAME for kind in KINDS if not kind.NUMBERS):
        return {"knob": name, "level": level}
    if budgeted is None:
        return {"knob": None, "level": None}
    return {"knob": kind_of(budgeted).NAME, "level": budgeted.level}


def lines_document(call: CallRecord) -> dict[str, Any] | None:
    """An answer in lines as a calculator works it out; null for one in prose."""
    return asdict(work_out(call.text)) if evaluated(call.prompt_template) else None


@_in_english
def ask_document(view: AskView) -> dict[str, Any]:
    """The document of one Ask."""
    calls = {role: call.record for role, call in view.calls.items()}
    estimate, vanilla, budgeted = calls.get("estimate"), calls.get("vanilla"), calls.get("budgeted")
    found = compare(vanilla, budgeted, estimate) if vanilla and budgeted else None
    return {
        **_head(view, view.template),
        "together": view.together,
        **_ask_knob(view.estimator, budgeted),
        "estimate": {
            "estimator": view.estimator,
            "budget": view.budget,
            "raw": view.budget_raw,
            "problem": in_english(view.budget_problem),
            "prompt_tokens": estimate.prompt_tokens if estimate else 0,
            "completion_tokens": estimate.completion_tokens if estimate else 0,
            "visible_tokens": estimate.visible_tokens if estimate else 0,
            "thinking_tokens": estimate.thinking_tokens if estimate else 0,
        },
        "answers": {"vanilla": answer_document(vanilla), "budgeted": answer_document(budgeted)},
        "settled": settled_document(view.settled.get("vanilla")),
        "tokens": {
            "vanilla_all_in": found.vanilla_all_in if found else None,
            "budgeted_all_in": found.budgeted_all_in if found else None,
            "output_saving": found.output_saving if found else None,
            "visible_saving": found.visible_saving if found else None,
            "all_in_saving": found.all_in_saving if found else None,
            "estimated": found.estimated if found else None,
        },
        "verdict": found.sentence if found else None,
        "error": in_english(view.error),
        "not_saved": in_english(view.not_saved),
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
        **_head(view, plan.template),
        "sampling": asdict(plan.sampling),
        "mode": plan.mode,
        "samples": plan.samples,
        "rule": plan.rule,
        "limits": asdict(plan.limits),
        "start": plan.start,
        "parent": view.parent_id,
        "knob": plan.knob,
        "levels": list(plan.levels),
        "optimal_budget": _number(result.optimal_budget) if result else None,
        "optimal_level": result.optimal_budget if result else None,
        "optimal_tokens": result.optimal_tokens if result else None,
        "vanilla_tokens": result.vanilla_tokens if result else None,
        "stop_reason": result.stop_reason if result else None,
        "possible_gain": result.possible_gain if result else None,
        "elastic": list(result.elastic) if result and result.elastic else None,
        "best_so_far": _best(last) if last and last.best_budget else None,
        "vanilla": answer_document(vanilla),
        "probes": [step_document(step) for step in view.steps if step.budget is not None],
        "spent": asdict(view.spent),
        "finding": finding(view),
        "error": in_english(view.error),
        "not_saved": in_english(view.not_saved),
    }


def _best(step: SearchStep) -> dict[str, Any]:
    found: dict[str, Any] = {"budget": _number(step.best_budget), "tokens": step.best_tokens}
    return found | ({"level": step.best_budget} if isinstance(step.best_budget, str) else {})


def _number(level: Level | None) -> int | None:
    """A level that is a number of tokens; of a word nothing."""
    return level if isinstance(level, int) else None


def step_document(step: SearchStep) -> dict[str, Any]:
    """One budget of a search; tokens are the mean over its samples, and of a cut answer a lower bound."""
    return {
        "phase": step.phase,
        "budget": _number(step.budget),
        "level": step.budget,
        "completion_tokens": _whole(step.tokens),
        "visible_tokens": _whole(step.visible_tokens),
        "thinking_tokens": _whole(step.thinking_tokens),
        "outcome": step.outcome.value,
        "cut": step.cut,
        "elastic": step.elastic,
        "low": step.low,
        "high": step.high,
        "best_budget": _number(step.best_budget),
        "best_level": step.best_budget,
        "best_tokens": step.best_tokens,
        "samples": step.samples,
        "right": step.right,
        "reused": step.reused,
    }


def _whole(mean: float | None) -> float | None:
    return int(mean) if mean is not None and float(mean).is_integer() else mean


@_in_english
def search_csv(view: SearchView) -> str:
    """One row a step, the vanilla answer first; the model and the question beside it, so that files can be joined."""
    named = {"session": view.session_id, "model": view.model, "question": view.question.text, "mode": view.plan.mode}
    rows = [named | {"step": s.index} | step_document(s) | {"meaning": step_words(s)} for s in view.steps]
    columns = [*named, "step", *(step_document(_NO_STEP)), "meaning"]
    return csv_text(columns, rows)
