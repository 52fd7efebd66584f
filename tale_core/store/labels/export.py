"""What leaves the store of labels: every label that stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, true

from tale_core.access.who import asking
from tale_core.store.labels.index import label_seen, question_of, seen
from tale_core.store.labels.keys import mark_target, marked_answer
from tale_core.store.labels.tables import annotators, answer_of, label_items, label_questions, labels
from tale_core.store.repository import Store
from tale_core.store.tables import calls


@dataclass(frozen=True, slots=True)
class ExportedLabel:
    """A label as a row.

    Attributes:
        thought: What the endpoint told apart as reasoning before that answer.
        kind: "verdict" on `answer`, "gold" for the question, or "mark" on a sentence of `thought` and `answer`.
        settled: It decided a disagreement.
        target: Key of the answer that was judged (for a mark `mark_target` of it), or of the question.
    """

    question: str
    options: tuple[str, ...]
    answer: str | None
    thought: str
    model: str | None
    strategy: str | None
    kind: str
    value: str
    annotator: str
    settled: bool
    created_at: datetime
    target: str


def exported_labels(store: Store) -> Iterator[ExportedLabel]:
    """Every verdict, known answer and mark that stands and whoever asks may see, in the order they were given."""
    item = label_items.c
    call = func.min(item.call_id).label("call_id")
    first = select(item.answer_key, call).where(seen()).group_by(item.answer_key).subquery()
    statement = (
        select(
            label_questions.c.question, calls.c.text, calls.c.reasoning_text, item.model, item.strategy, labels.c.kind,
            labels.c.value, annotators.c.name, labels.c.holder, labels.c.created_at, labels.c.target,
        )
        .select_from(
            labels.join(label_questions, label_questions.c.key == labels.c.question_key)
            .join(annotators, annotators.c.id == labels.c.annotator)
            .outerjoin(first, first.c.answer_key == answer_of(labels.c.target))
            .outerjoin(calls, calls.c.id == first.c.call_id)
            .outerjoin(label_items, item.call_id == first.c.call_id)
        )
        .where(labels.c.kind.in_(("verdict", "gold", "mark")), true() if asking().sees_all else label_seen())
        .order_by(labels.c.event_id)
    )  # fmt: skip
    with store.reading() as connection:
        for row in connection.execute(statement):
            question = question_of(row.question)
            yield ExportedLabel(
                question=question.text,
                options=question.options,
                answer=row.text,
                thought=_thought(connection, row),
                model=row.model,
                strategy=row.strategy,
                kind=row.kind,
                value=str(row.value),
                annotator=row.name,
                settled=row.holder == "",
                created_at=row.created_at,
                target=row.target,
            )


def _thought(connection: Connection, row: Any) -> str:
    """The thought before an answer; for a mark the very one that was marked, where several led to the same words."""
    thought, answer = row.reasoning_text or "", marked_answer(row.target)
    if row.kind != "mark" or mark_target(answer, thought) == row.target:
        return thought
    same = select(calls.c.reasoning_text).join(label_items, label_items.c.call_id == calls.c.id)
    found = connection.execute(same.where(label_items.c.answer_key == answer, seen()).distinct()).scalars()
    return next((str(text) for text in found if mark_target(answer, text) == row.target), "")
