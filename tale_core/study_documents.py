"""A sweep as JSON and as CSV. Keys stay; more may be added; an unknown value is null in JSON and empty in CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

from tale_core.elasticity import SweepPoint
from tale_core.studies import SweepView
from tale_core.types import Outcome

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def sweep_document(view: SweepView) -> dict[str, Any]:
    """The document of one sweep, finished or not."""
    result, plan = view.result, view.plan
    return {
        "session": view.session_id,
        "status": view.status,
        "question": view.question.text,
        "known_answer": view.question.answer,
        "model": view.model,
        "endpoint": view.endpoint,
        "template": plan.template,
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
        "compliance": result.compliance if result else None,
        "sources": dict(result.sources) if result else {},
        "spent": asdict(view.spent),
        "error": view.error,
        "not_saved": view.not_saved,
    }


def point_document(point: SweepPoint) -> dict[str, Any]:
    """One level: a budget, or the vanilla or direct reference, whose budget is null."""
    return {
        "kind": point.kind,
        "budget": point.budget,
        "repeats": point.repeats,
        "tokens": list(point.tokens),
        "tokens_mean": point.tokens_mean,
        "tokens_low": point.tokens_low,
        "tokens_high": point.tokens_high,
        "within_budget": point.within,
        "graded": point.graded,
        "accuracy": point.accuracy,
        "accuracy_low": point.accuracy_low,
        "accuracy_high": point.accuracy_high,
        "outcomes": {outcome.value: point.outcomes.get(outcome, 0) for outcome in Outcome},
    }


def sweep_csv(view: SweepView) -> str:
    """One row a level, with the model and the question beside it so that files of several sweeps can be joined."""
    named = {"session": view.session_id, "model": view.model, "template": view.plan.template}
    rows = [_row(named | {"question": view.question.text}, p) for p in (view.result.points if view.result else ())]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(_row({**named, "question": ""}, _NOTHING)), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: such text gets a leading quote; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _row(named: dict[str, Any], point: SweepPoint) -> dict[str, Any]:
    document = point_document(point)
    outcomes = document.pop("outcomes")
    document["tokens"] = " ".join(map(str, document["tokens"]))
    return named | document | {f"outcome_{name}": number for name, number in outcomes.items()}


_NOTHING = SweepPoint("budget", None, 0, (), None, None, None, {}, 0, None, None, None, None)
