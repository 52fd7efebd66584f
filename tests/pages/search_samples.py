"""Searches as pictures, made by hand: every state that the Search page has to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tale_core.calls.budget_ledger import Limits, Spent
from tale_core.calls.recorder import CallView
from tale_core.search.engine import SearchPlan, SearchResult, SearchStep, StopReason
from tale_core.search.view import SearchView
from tale_core.store import open_store
from tale_core.types import (
    CallRecord,
    Message,
    Outcome,
    Price,
    ProbePhase,
    Question,
    SessionRecord,
    Status,
)
from tests.store.samples import call as a_call

QUESTION = Question(
    text="A baker makes 12 trays of 24 rolls and sells 5/6 of them at $0.50 each. How much money does she take?",
    answer="120",
    kind="number",
)
RIGHT, WRONG = Outcome.CORRECT, Outcome.WRONG
Told = tuple[ProbePhase, int, float, Outcome, bool]
CLOSING: tuple[Told, ...] = (
    ("bisect", 129, 118, RIGHT, False),
    ("bisect", 64, 71, RIGHT, False),
    ("bisect", 32, 29, WRONG, False),
    ("bisect", 48, 52, RIGHT, False),
    ("bisect", 41, 37, RIGHT, False),
    ("bisect", 36, 31, Outcome.UNPARSED, False),
)
ELASTIC: tuple[Told, ...] = (
    ("bisect", 129, 118, RIGHT, False),
    ("bisect", 64, 86, RIGHT, False),
    ("bisect", 32, 157, RIGHT, False),
    ("bisect", 48, 86, Outcome.UNGRADED, True),
    ("bisect", 56, 2048, Outcome.TRUNCATED, False),
    ("greedy", 60, 62, RIGHT, False),
)


def steps(told: Sequence[Told] = CLOSING, *, vanilla: float = 258, outcome: Outcome = RIGHT) -> tuple[SearchStep, ...]:
    """The steps of a search that was told this, in order, after a vanilla answer of so many tokens."""
    low, high = 0, int(vanilla)
    best: int | None = None
    best_tokens = vanilla
    made = [SearchStep(0, "vanilla", None, outcome, vanilla, False, False, low, high, None, vanilla)]
    for index, (phase, budget, tokens, what, cut) in enumerate(told, start=1):
        elastic = cut or tokens > best_tokens
        if what is RIGHT and not elastic:
            best, best_tokens, high = budget, tokens, budget
        else:
            low = max(low, budget)
        made.append(SearchStep(index, phase, budget, what, tokens, cut, elastic, low, high, best, best_tokens))
    return tuple(made)


def record(step: SearchStep, **changes: Any) -> CallRecord:
    text = "12 trays of 24 rolls are 288 rolls; 5/6 of them are 240, at $0.50 that is [[120]]."
    made = a_call(
        "search-sample",
        role="vanilla" if step.budget is None else "probe",
        status="done",
        model="qwen2.5-coder-1.5b",
        messages=(Message("user", "the prompt"),),
        requested_budget=step.budget,
        phase=step.phase,
        cut=step.cut,
        text=text,
        prompt_tokens=62,
        completion_tokens=round(step.tokens),
        latency_s=step.tokens / 27,
        ttft_s=0.2,
        finish_reason="length" if step.cut or step.outcome is Outcome.TRUNCATED else "stop",
        price=Price(0, 0, "2026-01"),
        cost_usd=0.0,
        outcome=step.outcome,
        extracted="120",
        extracted_by="brackets",
    )
    return replace(made, **changes)


def view(
    made: tuple[SearchStep, ...] | None = None,
    *,
    status: Status = "done",
    reason: StopReason | None = "small-gain",
    question: Question = QUESTION,
    gain: float = 3.6,
    **changes: Any,
) -> SearchView:
    """A picture with these steps; without a reason, without a result."""
    made = steps() if made is None else made
    calls = tuple(CallView(r, r.text, "", r.completion_tokens or 0) for r in map(record, made))
    spent = Spent(
        calls=len(made),
        prompt_tokens=62 * len(made),
        completion_tokens=round(sum(s.tokens for s in made)),
        cost_usd=0.0,
    )
    found = SearchView(
        session_id="search-sample",
        status=status,
        phase="running" if status == "running" else "ended",
        question=question,
        model="qwen2.5-coder-1.5b",
        endpoint="embedded",
        calls=calls,
        spent=spent,
        plan=SearchPlan(question=question, limits=Limits(max_calls=40)),
        steps=made,
        result=None if reason is None else _result(made, reason, gain, spent),
    )
    return replace(found, **changes)


def _result(made: tuple[SearchStep, ...], reason: StopReason, gain: float, spent: Spent) -> SearchResult:
    last = made[-1] if made else None
    elastic = [s.budget for s in made if s.elastic and s.budget is not None]
    return SearchResult(
        mode="tale",
        optimal_budget=last.best_budget if last else None,
        optimal_tokens=last.best_tokens if last else None,
        stop_reason=reason,
        vanilla_tokens=made[0].tokens if made else None,
        possible_gain=gain,
        elastic=(min(elastic), max(elastic)) if elastic else None,
        spent=spent,
    )


def halfway() -> SearchView:
    """Three budgets told, a fourth answer is being written."""
    made = steps()[:4]
    growing = replace(
        record(steps()[4]), status="running", text="", completion_tokens=None, outcome=Outcome.UNGRADED, cost_usd=None
    )
    whole = view(made, status="running", reason=None)
    text = "12 trays of 24 rolls make 12 * 24 = 288 rolls. She sells 5/6 of them: 288 * 5 / 6"
    return replace(whole, calls=(*whole.calls, CallView(growing, text, "", 31)))


def preparing() -> SearchView:
    return view((), status="running", reason=None, phase="preparing")


def vanilla_wrong() -> SearchView:
    return view(steps((), outcome=WRONG), reason="vanilla-wrong", gain=0)


def limit_reached() -> SearchView:
    return view(steps()[:4], reason="limit-calls", gain=24.6)


def interrupted() -> SearchView:
    return view(steps()[:4], status="interrupted", reason=None)


def failed() -> SearchView:
    words = "Nothing answered at http://127.0.0.1:9/v1. Is the server running?"
    return view(steps()[:3], status="failed", reason=None, error=words, endpoint="http://127.0.0.1:9/v1")


def elastic() -> SearchView:
    return view(steps(ELASTIC), gain=1.4, reason="small-gain")


def nothing_works() -> SearchView:
    told: tuple[Told, ...] = (("bisect", 129, 240, WRONG, False), ("bisect", 193, 258, Outcome.UNGRADED, True))
    return view(steps(told), reason="no-response", gain=33)


SAMPLES: dict[str, Callable[[], SearchView]] = {
    "halfway": halfway,
    "preparing": preparing,
    "done": view,
    "vanilla-wrong": vanilla_wrong,
    "limit": limit_reached,
    "interrupted": interrupted,
    "failed": failed,
    "elastic": elastic,
    "nothing": nothing_works,
}


def saved(shown: SearchView, name: str = "search-sample") -> str:
    """Write a search to the database as its run would have; returns the session's id."""
    record_of = SessionRecord(
        id=name,
        kind="search",
        question=shown.question,
        model=shown.model,
        endpoint=shown.endpoint,
        estimator="",
        status=shown.status,
        parent_id=shown.parent_id,
        error=shown.error,
        plan=replace(shown.plan, question=shown.question).document(),
        result={
            "steps": [s.document() for s in shown.steps],
            "done": shown.result.document() if shown.result else None,
        },
        calls=tuple(c.record for c in shown.calls),
    )
    return open_store().create_session(record_of).id
