"""What a search or a sweep has found, worked out anew from its answers once people have judged them.

Nothing is asked again: the best budget is the best of those that were tried. What was found when it ran is kept beside
it and comes back when the labels go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tale_core.elasticity.engine import SweepPlan, SweepResult, judged_again
from tale_core.estimators.rows import rows_from_sessions
from tale_core.search.engine import VANILLA, SearchPlan, SearchResult, SearchStep
from tale_core.search.samples import Samples
from tale_core.store import Rederived
from tale_core.types import CallRecord, Level, SessionRecord

KEPT = "before_labels"
"""Key of a result under which what was found when it ran is kept."""


def rederive(session: SessionRecord) -> Rederived:
    """The result of a search or sweep with the outcomes that its calls have now, and the training rows it gains."""
    found = _found(session)
    rows = len(rows_from_sessions([replace(session, result=found)])) - len(rows_from_sessions([session]))
    return Rederived(found, rows)


def _found(session: SessionRecord) -> dict[str, Any] | None:
    if session.result is None:
        return None
    plain = {key: value for key, value in session.result.items() if key != KEPT}
    first: dict[str, Any] = session.result.get(KEPT) or plain
    if not any(call.labelled for call in session.calls):
        return first
    try:
        again = _search(session, first) if session.kind == "search" else _sweep(session, first)
    except (KeyError, TypeError, ValueError):
        return session.result  # Written by another version: its numbers stay as they are.
    return {**first, **again, KEPT: first}


def _sweep(session: SessionRecord, first: dict[str, Any]) -> dict[str, Any]:
    if not first.get("done"):
        return {}
    found = judged_again(SweepPlan.from_document(session.plan), SweepResult.from_document(first["done"]), session.calls)
    return {"done": found.document()}


def _search(session: SessionRecord, first: dict[str, Any]) -> dict[str, Any]:
    plan = SearchPlan.from_document(session.plan)
    steps = [SearchStep.from_document(s) for s in first.get("steps", ())]
    samples = [_samples(plan, session.calls, step.budget) for step in steps]
    if not steps or any(not one.calls for one in samples):
        return {}
    again: list[SearchStep] = []
    best, least = None, steps[0].tokens
    for step, seen in zip(steps, samples, strict=True):
        ties = plan.mode == "paper" and step.phase == "bisect"
        if step.budget is not None and seen.passed and (step.tokens < least or (ties and step.tokens == least)):
            best, least = step.budget, step.tokens
        known = {"outcome": seen.outcome, "right": seen.right, "best_budget": best, "best_tokens": least}
        again.append(replace(step, **known))  # type: ignore[arg-type]
    found = {"steps": [step.document() for step in again]}
    if not first.get("done"):
        return found
    done = _result(SearchResult.from_document(first["done"]), samples[0], best, least)
    return {**found, "done": done.document()}


def _samples(plan: SearchPlan, calls: Sequence[CallRecord], budget: Level | None) -> Samples:
    role = "vanilla" if budget is None else "probe"
    mine = [c for c in calls if (c.role, c.level) == (role, budget) and c.status == "done"]
    found = Samples(plan.samples, plan.rule)
    found.calls = sorted(mine, key=lambda c: c.repeat_index)
    return found


def _result(first: SearchResult, vanilla: Samples, best: Level | None, least: float) -> SearchResult:
    if not vanilla.passed:
        reason = VANILLA.get(vanilla.outcome, "vanilla-refused")
        return replace(first, optimal_budget=None, optimal_tokens=None, stop_reason=reason, possible_gain=0.0)
    if first.stop_reason in VANILLA.values():
        return first  # It was never searched. That it could be now, the page says.
    reason = "nothing-below" if best is None and first.stop_reason == "converged" else first.stop_reason
    return replace(first, optimal_budget=best, optimal_tokens=least, stop_reason=reason)
