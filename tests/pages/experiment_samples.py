"""Experiments in the store, made by hand: every state that the Experiments page has to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tale_core.experiments import ExperimentPlan, create_experiment
from tale_core.experiments.plan import Unit
from tale_core.store import CallStore, UnitRecord, open_store
from tale_core.types import CallRecord, Outcome, Question, Status
from tests.store.samples import call as a_call

TOKENS = {"direct": 9, "vanilla": 120, "fixed:50": 45, "tale-zero-shot": 60}


def questions(n: int) -> tuple[Question, ...]:
    return tuple(Question(f"What is six times seven, asked as number {i}?", answer="42") for i in range(n))


def plan(n: int = 12, names: Sequence[str] = ("direct", "vanilla", "fixed:50"), **options: Any) -> ExperimentPlan:
    return ExperimentPlan(questions=questions(n), strategies=tuple(names), dataset="gsm8k", **options)


def text_of(name: str, position: int, outcome: Outcome) -> str:
    end = "42" if outcome is Outcome.CORRECT else "41"
    return f"Answered by {name.partition(':')[0]}.\nSo number {position} makes [[{end}]]."


def call(session_id: str, unit: Unit, budget: int | None, outcome: Outcome, **changes: Any) -> CallRecord:
    """One answer, 0.5 s long; its price is unknown."""
    record = a_call(
        session_id,
        role="budgeted" if budget else "direct" if unit.strategy == "direct" else "vanilla",
        status="done",
        endpoint="http://127.0.0.1:9/v1",
        requested_budget=budget,
        unit=unit.key,
        step=0,
        text=text_of(unit.strategy, unit.position, outcome),
        prompt_tokens=20,
        completion_tokens=TOKENS[unit.strategy] + unit.position % 3,
        latency_s=0.5,
        finish_reason="length" if outcome is Outcome.TRUNCATED else "stop",
        outcome=outcome,
    )
    record = replace(record, **changes)
    return replace(record, text=record.text.replace("{strategy}", unit.strategy))


def outcome_of(unit: Unit) -> Outcome:
    """Direct is seldom right; vanilla is cut off once, the others are right but for a question or two."""
    if unit.strategy == "direct":
        return Outcome.CORRECT if unit.position % 4 == 0 else Outcome.WRONG
    if unit.position == 1:
        return Outcome.TRUNCATED if unit.strategy == "vanilla" else Outcome.WRONG
    return Outcome.CORRECT


def kept(
    a_plan: ExperimentPlan | None = None,
    *,
    status: Status = "done",
    answers: int | None = None,
    failed: int = 0,
    error: str | None = None,
    model: str = "scripted",
    endpoint: str = "http://127.0.0.1:9/v1",
    **changes: Any,
) -> str:
    """Store an experiment; its id.

    Args:
        a_plan: What was to be run.
        status: How it ended.
        answers: How many of its answers are there; None stands for all.
        failed: How many of them failed.
        error: Why it ended.
        model: Whom it asked.
        endpoint: Where.
        changes: Of every call; `{strategy}` in a text stands for the strategy's name.
    """
    store = open_store()
    made = create_experiment((a_plan or plan()).checked(), store, model=model, endpoint=endpoint)
    assert made.resume_of is not None
    units = list(made.units())[:answers]
    for i, unit in enumerate(units):
        budget = int(unit.strategy.partition(":")[2]) if unit.strategy.startswith("fixed:") else None
        record = UnitRecord(made.resume_of, unit.key, unit.position, unit.strategy, unit.repeat, "done", True)
        if i >= len(units) - failed:
            record = replace(record, status="failed", error="The endpoint failed (500).")
        else:
            (call_id,) = CallStore(store).write([call(made.resume_of, unit, budget, outcome_of(unit), **changes)])
            record = replace(record, answer_call_id=call_id, budget=budget)
        CallStore(store).write([record])
    if status != "running":
        store.finish_session(made.resume_of, status, error=error)
    return made.resume_of
