"""Stored answers to label, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tale_core.estimators.base import MAX_BUDGET  # noqa: F401  (the estimators' package is imported once, here)
from tale_core.experiments import ExperimentPlan, create_experiment
from tale_core.grading import grade, infer_kind
from tale_core.store import CallStore, Store, UnitRecord, new_session_id
from tale_core.types import CallRecord, FinishReason, Message, Outcome, Question, SessionRecord
from tests.store.samples import call as a_call

MODEL = "scripted"


def answer(
    session_id: str, question: Question, text: str, *, finish: FinishReason = "stop", tokens: int = 40, **fields: Any
) -> CallRecord:
    """A finished call as the grader left it."""
    known = replace(question, kind=infer_kind(question))
    found = grade(text, known, finish_reason=finish)
    plain: dict[str, Any] = {
        "status": "done",
        "model": MODEL,
        "messages": (Message("user", question.text),),
        "text": text,
        "prompt_tokens": 20,
        "completion_tokens": tokens,
        "latency_s": 0.5,
        "finish_reason": finish,
        "outcome": found.outcome,
        "extracted": found.extraction.value,
        "extracted_by": found.extraction.method,
    }
    return a_call(session_id, **{**plain, **fields})


def asked(store: Store, question: Question, *texts: str, **fields: Any) -> str:
    """A finished Ask with these answers: vanilla, then budgeted, or one of the given role."""
    session_id = new_session_id()
    roles = [fields.pop("role")] if "role" in fields else ["vanilla", "budgeted"]
    calls = tuple(
        answer(session_id, question, text, role=role, requested_budget=50 if role == "budgeted" else None, **fields)
        for text, role in zip(texts, roles, strict=False)
    )
    store.create_session(
        SessionRecord(
            id=session_id, question=question, model=MODEL, endpoint="embedded", estimator="zero-shot", status="done",
            calls=calls,
        )
    )  # fmt: skip
    return session_id


def experiment(
    store: Store, questions: Sequence[Question], answers: Mapping[str, Sequence[str]], *, dataset: str = "gsm8k"
) -> str:
    """A finished experiment: for each strategy the answer to each question."""
    plan = ExperimentPlan(questions=tuple(questions), strategies=tuple(answers), dataset=dataset)
    made = create_experiment(plan.checked(), store, model=MODEL, endpoint="embedded")
    assert made.resume_of is not None
    for unit in made.units():
        question = questions[unit.position]
        call = answer(
            made.resume_of, question, answers[unit.strategy][unit.position], unit=unit.key, step=0,
            role="vanilla" if unit.strategy == "vanilla" else "budgeted",
        )  # fmt: skip
        (call_id,) = CallStore(store).write([call])
        CallStore(store).write([
            UnitRecord(
                made.resume_of, unit.key, unit.position, unit.strategy, unit.repeat, "done",
                question.answer is not None, answer_call_id=call_id,
            )
        ])  # fmt: skip
    store.finish_session(made.resume_of, "done")
    return made.resume_of


def numbered(n: int, **fields: Any) -> list[Question]:
    return [Question(f"How many legs have {i} cats?", **{"kind": "number", **fields}) for i in range(1, n + 1)]


def outcomes(store: Store, session_id: str) -> list[tuple[Outcome, str | None]]:
    return [(c.outcome, c.labelled) for c in store.get_session(session_id).calls]
