"""Sweeps as pictures, made by hand: every state that the Elasticity page has to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tale_core.ask.run import CallView
from tale_core.calls.budget_ledger import Limits, Spent
from tale_core.elasticity.engine import Rebound, SweepPlan, SweepPoint, SweepResult
from tale_core.elasticity.view import SweepView
from tale_core.types import Outcome, Question, Sampling, SessionRecord
from tests.store.samples import call as a_call

QUESTION = Question("A train covers 180 km in 2.5 hours. How many kilometres an hour does it go?", answer="72")
BEGAN = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def wilson(right: int, n: int) -> tuple[float, float]:
    z, share = 1.96, right / n
    middle, half = share + z * z / (2 * n), z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def point(
    budget: int | str, mean: float, *, right: int | None = 3, n: int = 3, half: float | None = None
) -> SweepPoint:
    """A level: a budget, "vanilla" or "direct"; `right` None means that nothing was graded."""
    half = mean * 0.15 if half is None else half
    low, high = (wilson(right, n)) if right is not None else (None, None)
    spread = [mean + half * (i / max(1, n - 1) * 2 - 1) if n > 1 else mean for i in range(n)]
    outcomes = (
        {Outcome.UNGRADED: n}
        if right is None
        else {k: v for k, v in {Outcome.CORRECT: right, Outcome.WRONG: n - right}.items() if v}
    )
    number = budget if isinstance(budget, int) else None
    return SweepPoint(
        kind="budget" if number is not None else budget,  # type: ignore[arg-type]
        budget=number,
        repeats=n,
        tokens=tuple(round(t) for t in spread),
        tokens_mean=mean,
        tokens_low=mean - (half if n > 1 else 0),
        tokens_high=mean + (half if n > 1 else 0),
        outcomes=outcomes,
        graded=0 if right is None else n,
        accuracy=None if right is None else right / n,
        accuracy_low=low,
        accuracy_high=high,
        within=None if number is None else sum(t <= number for t in spread) / n,
    )


def result(points: Sequence[SweepPoint], finding: str, **fields: Any) -> SweepResult:
    plain: dict[str, Any] = {
        "ideal_range": None,
        "rebound": None,
        "compliance": 0.4,
        "complete": True,
        "stop_reason": "done",
        "spent": Spent(calls=30, prompt_tokens=2_900, completion_tokens=3_400),
    }
    return SweepResult(points=tuple(points), finding=finding, **{**plain, **fields})


def calls(number: int) -> tuple[CallView, ...]:
    """So many ended answers of 2 s each, one after the other."""
    made = []
    for i in range(number):
        record = a_call(
            "sweep-sample", "vanilla" if i == 0 else "probe", status="done", completion_tokens=54, ttft_s=0.1,
            created_at=BEGAN + timedelta(seconds=2 * i), latency_s=2.0, finish_reason="stop",
        )  # fmt: skip
        made.append(CallView(record, "", "", 54))
    return tuple(made)


def view(found: SweepResult | None, **fields: Any) -> SweepView:
    plain: dict[str, Any] = {
        "session_id": "sweep-sample",
        "status": "done",
        "phase": "ended",
        "question": QUESTION,
        "model": "scripted",
        "endpoint": "embedded",
        "calls": (),
        "spent": found.spent if found else Spent(),
        "plan": SweepPlan(QUESTION, sampling=Sampling(temperature=0.7), repeats=3),
        "finished": 30,
        "planned": 30,
    }
    return SweepView(result=found, **{**plain, **fields})


REBOUND_POINTS = (
    point("vanilla", 258, half=20),
    point("direct", 5, right=1, half=0.6),
    point(258, 212, half=26),
    point(160, 168, half=22),
    point(100, 121, half=14),
    point(50, 86, half=9),
    point(32, 99, half=12),
    point(20, 131, right=2, half=18),
    point(10, 157, right=1, half=24),
)


def rebound() -> SweepView:
    finding = (
        "Asking for 50 tokens costs 86, 67 % fewer than vanilla; asking for less costs more again: "
        "157 tokens when 10 are asked for."
    )
    return view(
        result(REBOUND_POINTS, finding, ideal_range=(32, 100), rebound=Rebound(10, 50, 71.0, 0.012, True)),
        finished=27,
        planned=27,
    )


def halfway() -> SweepView:
    found = result(REBOUND_POINTS[:5], "So far, asking for 100 tokens costs 121.", complete=False, ideal_range=None)
    return view(found, status="running", phase="running", finished=12, planned=30, calls=calls(12))


def flat() -> SweepView:
    points = [point("vanilla", 262, half=30), point("direct", 6, right=0, half=1)]
    points += [point(b, t, right=2, half=34) for b, t in ((262, 266), (160, 258), (100, 261), (50, 264), (25, 268))]
    return view(
        result(points, "The budget is ignored: between 258 and 268 tokens, whatever is asked for.", compliance=0.05)
    )


def one_repeat() -> SweepView:
    points = [point(p.budget or p.kind, p.tokens_mean or 0, right=1, n=1) for p in REBOUND_POINTS]
    found = result(
        points,
        "Asking for 50 tokens cost 86; asking for 10 cost 157.",
        ideal_range=(32, 100),
        rebound=Rebound(10, 50, 71.0, None, False),
    )
    return view(found, plan=SweepPlan(QUESTION, repeats=1), finished=9, planned=9)


def ungraded() -> SweepView:
    question = replace(QUESTION, answer=None)
    points = [point(p.budget or p.kind, p.tokens_mean or 0, right=None) for p in REBOUND_POINTS]
    return view(
        result(points, "Asking for 50 tokens costs 86. Without a known answer nothing was graded."), question=question
    )


def limited() -> SweepView:
    found = result(
        REBOUND_POINTS[:6],
        "Asking for 50 tokens costs 86.",
        complete=False,
        stop_reason="limit-calls",
        ideal_range=None,
    )
    plan = SweepPlan(QUESTION, repeats=3, limits=Limits(max_calls=18))
    return view(found, plan=plan, finished=18, planned=30)


def interrupted() -> SweepView:
    return replace(halfway(), status="interrupted", phase="ended")


def failed() -> SweepView:
    return view(None, status="failed", error="The endpoint refused the key.", finished=0, planned=30)


def full() -> SweepView:
    points = [point("vanilla", 640, half=40), point("direct", 5, half=0.5)]
    budgets = [round(8 * (640 / 8) ** (i / 39)) for i in range(39, -1, -1)]
    points += [
        point(b, 60 + 0.72 * b + 900 / b, right=3 if b > 20 else 2, n=5, half=14) for b in sorted(set(budgets))[::-1]
    ]
    return view(result(points, "Asking for 45 tokens costs 112, 82 % fewer than vanilla.", ideal_range=(24, 60)))


SAMPLES = {f.__name__: f for f in (halfway, rebound, flat, one_repeat, ungraded, limited, interrupted, failed, full)}


def session(view: SweepView, session_id: str, **changes: Any) -> SessionRecord:
    """The picture as a stored session."""
    found = (
        {"finished": view.finished, "planned": view.planned, "done": view.result.document()} if view.result else None
    )
    record = SessionRecord(
        id=session_id,
        kind="sweep",
        question=view.question,
        model=view.model,
        endpoint=view.endpoint,
        estimator="",
        template=view.plan.template,
        status=view.status,
        error=view.error,
        plan=view.plan.document(),
        result=found,
        calls=tuple(c.record for c in view.calls),
    )
    return replace(record, **changes)
