"""Keeps the texts of a question that was asked both ways, as an Ask: History shows it, and Label judges its answers.

What is kept, with the answers that are known of it, is a data set like others: searches on it teach an estimator, which
the change `predicted` then asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tale_core.datasets import language_of
from tale_core.errors import NotFoundError
from tale_core.grading import infer_kind
from tale_core.grading.extract import extract
from tale_core.proxy.reading import Read
from tale_core.store import Pair, Store, TrafficStore, new_session_id
from tale_core.store.traffic import AGREE, TEMPLATE
from tale_core.types import CallRecord, Message, Outcome, Question, Role, Sampling, SessionRecord


def keep(store: Store, pair: Pair, question: Question, plain: Read, changed: Read) -> str:
    """Store both answers; the id of their session."""
    session_id = new_session_id("ask")

    def call(role: Role, answer: Read, budget: int | None, knob: str | None) -> CallRecord:
        return CallRecord(
            session_id=session_id, role=role, status="done", model=pair.model, endpoint=pair.upstream,
            prompt_template=TEMPLATE, prompt_version=1, messages=(Message("user", question.text),),
            sampling=Sampling(None, None, None, None, knob=knob), requested_budget=budget, text=answer.text,
            prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens,
            usage_estimated=answer.estimated, finish_reason=answer.finish_reason or "other",
        )  # fmt: skip

    store.create_session(
        SessionRecord(
            id=session_id, question=question, model=pair.model, endpoint=pair.upstream, estimator=pair.strategy,
            status="done", template=TEMPLATE, budget=pair.budget,
            calls=(call("vanilla", plain, None, None), call("budgeted", changed, pair.budget, None)),
        )
    )  # fmt: skip
    return session_id


def kept_models(pairs: Iterable[Pair]) -> dict[str, int]:
    """How many questions are kept of each model, the most first."""
    return dict(Counter(pair.model for pair in pairs if pair.session_id is not None).most_common())


def questions_to_search(traffic: TrafficStore, model: str) -> tuple[Question, ...]:
    """The kept questions for a model whose answer is known."""
    rows = known_questions(traffic, model)
    return tuple(Question(row["question"], answer=row["answer"], language=language_of(row["question"])) for row in rows)


def known_questions(traffic: TrafficStore, model: str | None = None) -> list[dict[str, Any]]:
    """The kept questions whose answer is known, each once, as rows of a data set; those for one model, or all.

    Known is what a person called right; else what the plain and the changed answer both gave. `known_by` says which:
    two answers that agree can both be wrong.
    """
    traffic.take_labels()
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in traffic.pairs(model=model):
        if pair.session_id is None:
            continue
        try:
            session = traffic.store.get_session(pair.session_id)
        except NotFoundError:  # deleted by hand
            continue
        known = _by_a_person(session) or (_by_both(session) if pair.verdict in AGREE and not pair.fallback else None)
        key = (pair.model, session.question.text)
        if known and (key not in rows or rows[key]["known_by"] != "person"):
            answer, by = known
            rows[key] = {"question": session.question.text, "answer": answer, "known_by": by, "model": pair.model}
    return list(rows.values())


def _by_a_person(session: SessionRecord) -> tuple[str, str] | None:
    right = (call for call in session.calls if call.labelled and call.outcome is Outcome.CORRECT)
    results = (_result(call.text, session.question) for call in right)
    return next(((found, "person") for found in results if found), None)


def _by_both(session: SessionRecord) -> tuple[str, str] | None:
    found = next((_result(call.text, session.question) for call in session.calls if call.role == "vanilla"), None)
    return (found, "both answers") if found else None


def _result(text: str, question: Question) -> str | None:
    """What a grader can find in an answer; None where only the whole of it could be meant."""
    found = extract(text, infer_kind(question), question.options)
    return None if found.method == "whole" else found.value
