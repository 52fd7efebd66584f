"""Searches and sweeps as pictures for a page, running or stored.

`SearchView` and `SweepView` are the pictures; a stored session gives the same picture, so a reopened link and a running
search are drawn by the same code. `tale_core.runs.study` runs them.
"""

from __future__ import annotations

from dataclasses import replace

from tale_core.budgets.kinds import ASKED
from tale_core.calls.budget_ledger import Spent
from tale_core.calls.recorder import stored_view
from tale_core.calls.run import Common
from tale_core.elasticity.engine import SweepPlan, SweepResult
from tale_core.elasticity.view import SweepView
from tale_core.errors import StoreError
from tale_core.estimators.rows import stopped_early
from tale_core.i18n import t
from tale_core.search.engine import SearchPlan, SearchResult, SearchStep
from tale_core.search.plan import CheckedSearch
from tale_core.search.view import SearchView
from tale_core.store import Store
from tale_core.types import SessionRecord

EARLIER = 50
"""Searches that a new one learns from at most: the newest."""


def view_of(session: SessionRecord) -> SearchView | SweepView:
    """The picture of a stored search or sweep.

    Raises:
        StoreError: The session is no search or sweep, or its plan cannot be read.
    """
    if session.kind not in ("search", "sweep"):
        raise StoreError(
            t("Session {name!r} is no search and no sweep.", name=session.id),
            t("Open it on the page of its kind: Ask or Experiments."),
        )
    found = session.result or {}
    common = Common(
        session_id=session.id,
        status=session.status,
        phase="ended",
        question=session.question,
        model=session.model,
        endpoint=session.endpoint,
        calls=tuple(stored_view(c) for c in session.calls),
        spent=Spent.of(session.calls),
        parent_id=session.parent_id,
        error=session.error,
        created_at=session.created_at,
    )
    try:
        if session.kind == "search":
            steps = tuple(SearchStep.from_document(s) for s in found.get("steps", ()))
            done = found.get("done")
            result = SearchResult.from_document(done) if done else None
            plan = SearchPlan.from_document(session.plan)
            return SearchView(**common, plan=plan, steps=steps, result=result)
        done = found.get("done")
        return SweepView(
            **common,
            plan=SweepPlan.from_document(session.plan),
            finished=int(found.get("finished", 0)),
            planned=int(found.get("planned", 0)),
            result=SweepResult.from_document(done) if done else None,
        )
    except (KeyError, TypeError, ValueError) as e:
        raise StoreError(
            t("What session {name!r} found cannot be read ({error}).", name=session.id, error=type(e).__name__),
            t("It was written by another version of this program; its answers are still in its export."),
        ) from None


def resumed(view: SearchView | SweepView) -> SearchPlan | SweepPlan:
    """The plan that goes on where this session ended: every finished answer is taken from the store, not paid again."""
    return replace(view.plan, parent_id=view.session_id, reuse=True)


def informed(plan: CheckedSearch, store: Store, model: str) -> CheckedSearch:
    """The plan with what earlier searches of this model and template found, if it can use that and brings nothing.

    Raises:
        StoreError: The store cannot be read.
    """
    if plan.mode != "tale" or plan.earlier or plan.levels:
        return plan
    shares = []
    for result in store.search_results(model=model, template=plan.template, limit=EARLIER):
        done = result.get("done") or {}
        if stopped_early(done) or done.get("knob", ASKED.NAME) != plan.knob:
            continue
        budget, vanilla = done.get("optimal_budget"), done.get("vanilla_tokens")
        if isinstance(budget, int) and isinstance(vanilla, int | float) and 0 < budget <= vanilla:
            shares.append(round(budget / vanilla, 4))
    return replace(plan, earlier=tuple(reversed(shares)))
