"""What leaves the store of labels: every label that stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tale_core.store.labels.index import question_of
from tale_core.store.labels.tables import annotators, label_items, label_questions, labels
from tale_core.store.repository import Store
from tale_core.store.tables import calls


@dataclass(frozen=True, slots=True)
class ExportedLabel:
    """A label as a row.

    Attributes:
        kind: "verdict" on `answer`, or "gold" for the question.
        settled: It decided a disagreement.
        target: Key of the answer that was judged, or of the question.
    """

    question: str
    options: tuple[str, ...]
    answer: str | None
    model: str | None
    strategy: str | None
    kind: str
    value: str
    annotator: str
    settled: bool
    created_at: datetime
    target: str


def exported_labels(store: Store) -> Iterator[ExportedLabel]:
    """Every verdict and known answer that stands, in the order they were given."""
    item = label_items.c
    first = select(item.answer_key, func.min(item.call_id).label("call_id")).group_by(item.answer_key).subquery()
    statement = (
        select(
            label_questions.c.question, calls.c.text, item.model, item.strategy, labels.c.kind, labels.c.value,
            annotators.c.name, labels.c.holder, labels.c.created_at, labels.c.target,
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
    with store.reading() as connection:
        for row in connection.execute(statement):
            question = question_of(row.question)
            yield ExportedLabel(
                question=question.text,
                options=question.options,
                answer=row.text,
                model=row.model,
                strategy=row.strategy,
                kind=row.kind,
                value=str(row.value),
                annotator=row.name,
                settled=row.holder == "",
                created_at=row.created_at,
                target=row.target,
            )
