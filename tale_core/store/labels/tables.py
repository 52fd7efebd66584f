"""The tables of labelling. See `store.labels.store` for how they work together.

`label_event` is only ever appended to: every verdict, known answer, skip and undo with who and when. All the rest can
be derived from it and from the calls, and is kept so that a queue is one query.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Index, Table, UniqueConstraint, case, func
from sqlmodel import Field

from tale_core.store.labels.keys import KEY_LENGTH, MARK
from tale_core.store.tables import Base, SafeJSON, SafeText, UtcDateTime


def answer_of(target: ColumnElement[Any]) -> ColumnElement[Any]:
    """`marked_answer` of a column: the key of the answer that a mark is about; any other target as it is."""
    return case((target.startswith(MARK), func.substr(target, len(MARK) + 1, KEY_LENGTH)), else_=target)


def _about(target: ColumnElement[Any]) -> list[tuple[ColumnElement[Any], ColumnElement[Any]]]:
    return [(answer_of(target), label_items.c.answer_key), (target, label_items.c.question_key)]


_TARGET: dict[str, Any] = {"info": {"about": _about}}
_ANNOTATOR: dict[str, Any] = {"info": {"names": "annotator"}}


class AnnotatorRow(Base, table=True):
    """A person who labels. The id is the name without case and spare spaces."""

    __tablename__ = "annotator"

    id: str = Field(primary_key=True, sa_type=SafeText)
    name: str = Field(sa_type=SafeText)
    created_at: datetime = Field(sa_type=UtcDateTime)


class LabelQuestionRow(Base, table=True):
    """A question that has stored answers.

    `known` is the answer that came with the question, `gold` the one that people gave it; `gold` wins.
    """

    __tablename__ = "label_question"
    __table_args__ = (Index(None, "text_key"),)

    key: str = Field(primary_key=True, sa_type=SafeText)
    text_key: str = Field(sa_type=SafeText)
    spot: int = Field(sa_type=BigInteger)
    question: dict[str, Any] = Field(sa_type=SafeJSON)
    topic: str | None = Field(sa_type=SafeText)
    known: str | None = Field(sa_type=SafeText)
    gold: str | None = Field(sa_type=SafeText)


class LabelItemRow(Base, table=True):
    """A stored answer as it can be labelled.

    `base_*` is the grader's judgement as it was made, `outcome`, `extracted` and `extracted_by` its judgement against
    the known answer that people gave (the same where nobody gave one). A person's verdict is in the call's row alone.
    """

    __tablename__ = "label_item"
    __table_args__ = (Index(None, "answer_key"), Index(None, "question_key", "outcome"))

    call_id: int = Field(primary_key=True, foreign_key="call.id", ondelete="CASCADE")
    question_key: str = Field(foreign_key="label_question.key", sa_type=SafeText)
    answer_key: str = Field(sa_type=SafeText)
    spot: int = Field(sa_type=BigInteger)
    model: str = Field(sa_type=SafeText)
    strategy: str = Field(sa_type=SafeText)
    base_outcome: str = Field(sa_type=SafeText)
    base_extracted: str | None = Field(sa_type=SafeText)
    base_extracted_by: str | None = Field(sa_type=SafeText)
    outcome: str = Field(sa_type=SafeText)
    extracted: str | None = Field(sa_type=SafeText)
    extracted_by: str | None = Field(sa_type=SafeText)


class LabelEventRow(Base, table=True):
    """One thing that one person did. `undoes` names the event that an undo takes back; nobody can take back twice."""

    __tablename__ = "label_event"
    __table_args__ = (
        Index(None, "annotator", "id"),
        Index(None, "target", "holder", "id"),
        UniqueConstraint("undoes"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    annotator: str = Field(sa_type=SafeText, sa_column_kwargs=_ANNOTATOR)
    action: str = Field(sa_type=SafeText)
    kind: str = Field(sa_type=SafeText)
    target: str = Field(sa_type=SafeText, sa_column_kwargs=_TARGET)
    question_key: str = Field(sa_type=SafeText)
    holder: str = Field(sa_type=SafeText)
    value: str | None = Field(sa_type=SafeText)
    batch: str | None = Field(sa_type=SafeText)
    undoes: int | None = Field(sa_column_kwargs={"info": {"refers_to": "label_event"}})


class LabelRow(Base, table=True):
    """What stands: one label for each answer (or question) and annotator; the primary key keeps it one.

    The holder "" is the settled label, which wins over all others.
    """

    __tablename__ = "label"
    __table_args__ = (Index(None, "holder", "kind"), Index(None, "question_key"))

    target: str = Field(primary_key=True, sa_type=SafeText, sa_column_kwargs=_TARGET)
    holder: str = Field(primary_key=True, sa_type=SafeText)
    kind: str = Field(sa_type=SafeText)
    value: str | None = Field(sa_type=SafeText)
    question_key: str = Field(sa_type=SafeText)
    annotator: str = Field(sa_type=SafeText, sa_column_kwargs=_ANNOTATOR)
    event_id: int = Field(sa_column_kwargs={"info": {"refers_to": "label_event"}})
    created_at: datetime = Field(sa_type=UtcDateTime)


class LabelClaimRow(Base, table=True):
    """An answer that somebody has in front of them, until it runs out."""

    __tablename__ = "label_claim"
    __table_args__ = ({"info": {"archive": False}},)

    target: str = Field(primary_key=True, sa_type=SafeText)
    annotator: str = Field(primary_key=True, sa_type=SafeText)
    expires_at: datetime = Field(sa_type=UtcDateTime)


annotators: Table = Base.metadata.tables["annotator"]
label_questions: Table = Base.metadata.tables["label_question"]
label_items: Table = Base.metadata.tables["label_item"]
label_events: Table = Base.metadata.tables["label_event"]
labels: Table = Base.metadata.tables["label"]
label_claims: Table = Base.metadata.tables["label_claim"]
# There is no foreign key that says so: an event may be older than what stands, or have been deleted.
labels.add_is_dependent_on(label_events)
