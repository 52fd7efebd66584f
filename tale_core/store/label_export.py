"""What leaves the store of labels: the labels themselves, and right, whole answers as examples for fine-tuning.

Knows tables; knows no file. Read in batches by the call's id, so that a large store is never in memory twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select

from tale_core.store.label_index import question_of
from tale_core.store.label_tables import annotators, label_items, label_questions, labels
from tale_core.store.repository import Store
from tale_core.store.tables import calls
from tale_core.types import LabelledBy, Outcome, Question


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """A stored answer that is right and whole.

    Attributes:
        question: With the answer that counts as known.
        budget: Tokens that its prompt asked for; None when it asked for none.
        tokens: Its completion tokens; None when unknown.
        labelled: Who says that it is right; None for the grader alone.
    """

    question: Question
    text: str
    tokens: int | None
    budget: int | None
    model: str
    template: str
    strategy: str
    labelled: LabelledBy | None


@dataclass(frozen=True, slots=True)
class ExportedLabel:
    """A label as a row.

    Attributes:
        kind: "verdict" on `answer`, or "gold" for the question.
        settled: It decided a disagreement.
    """

    question: str
    answer: str | None
    model: str | None
    strategy: str | None
    kind: str
    value: str
    annotator: str
    settled: bool
    created_at: datetime


def right_answers(store: Store, *, model: str | None = None) -> list[RightAnswer]:
    """Every right, whole answer in the store, each text once (the first), in the order they were written."""
    item = label_items.c
    first = select(func.min(item.call_id)).select_from(label_items.join(calls, calls.c.id == item.call_id))
    right = (calls.c.outcome == Outcome.CORRECT.value, calls.c.finish_reason == "stop", calls.c.text != "")
    first = first.where(*right).group_by(item.answer_key)
    if model is not None:
        first = first.where(item.model == model)
    statement = (
        select(
            label_questions.c.question, label_questions.c.known, label_questions.c.gold, calls.c.text,
            calls.c.completion_tokens, calls.c.requested_budget, calls.c.model, calls.c.prompt_template,
            item.strategy, calls.c.labelled,
        )
        .select_from(
            label_items.join(calls, calls.c.id == item.call_id)
            .join(label_questions, label_questions.c.key == item.question_key)
        )
        .where(item.call_id.in_(first))
        .order_by(item.call_id)
    )  # fmt: skip
    with store._reading() as connection:
        return [
            RightAnswer(
                question=replace(question_of(row.question), answer=row.gold or row.known),
                text=row.text,
                tokens=row.completion_tokens,
                budget=row.requested_budget,
                model=row.model,
                template=row.prompt_template,
                strategy=row.strategy,
                labelled=row.labelled,
            )
            for row in connection.execute(statement)
        ]


def exported_labels(store: Store) -> Iterator[ExportedLabel]:
    """Every verdict and known answer that stands, in the order they were given."""
    item = label_items.c
    first = select(item.answer_key, func.min(item.call_id).label("call_id")).group_by(item.answer_key).subquery()
    statement = (
        select(
            label_questions.c.question, calls.c.text, item.model, item.strategy, labels.c.kind, labels.c.value,
            annotators.c.name, labels.c.holder, labels.c.created_at,
        )
        .select_from(
            labels.join(label_questions, label_questions.c.key == labels.c.question_key)
            .join(annotators, annotators.c.id == labels.c.annotator)
            .outerjoin(first, first.c.answer_key == labels.c.target)
            .outerjoin(calls, calls.c.id == first.c.call_id)
            .outerjoin(label_items, item.call_id == first.c.call_id)
        )
        .where(labels.c.kind.in_(("verdict", "gold")))
        .order_by(labels.c.event_id)
    )  # fmt: skip
    with store._reading() as connection:
        for row in connection.execute(statement):
            yield ExportedLabel(
                question=question_of(row.question).text,
                answer=row.text,
                model=row.model,
                strategy=row.strategy,
                kind=row.kind,
                value=str(row.value),
                annotator=row.name,
                settled=row.holder == "",
                created_at=row.created_at,
            )
