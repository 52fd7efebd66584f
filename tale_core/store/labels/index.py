"""Which stored answers can be labelled: found among the calls, keyed, and put into `label_item` once each.

What a search cut off, what failed at the endpoint and what is still being written is no answer to label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, true, tuple_, update

from tale_core.access.who import asking
from tale_core.store import queries
from tale_core.store.labels.keys import answer_key, normalised, question_key, spot_of
from tale_core.store.labels.tables import answer_of, label_items, label_questions, labels
from tale_core.store.tables import calls, experiment_questions, sessions
from tale_core.types import Outcome, Question

BATCH = 500
_ROLES = ("vanilla", "budgeted", "direct", "probe")
_QUESTION = tuple(c for c in sessions.c if c.name.startswith("question_"))
_NEW = (
    select(
        calls.c.id, calls.c.session_id, calls.c.role, calls.c.unit, calls.c.requested_budget, calls.c.text,
        calls.c.model, calls.c.finish_reason, calls.c.outcome, calls.c.extracted, calls.c.extracted_by,
        sessions.c.kind, *_QUESTION,
    )
    .select_from(
        calls.join(sessions, sessions.c.id == calls.c.session_id)
        .outerjoin(label_items, label_items.c.call_id == calls.c.id)
    )
    .where(
        label_items.c.call_id.is_(None), calls.c.status == "done", calls.c.cut.is_(False), calls.c.role.in_(_ROLES),
        calls.c.outcome != Outcome.ERROR.value,
        # What a running search or sweep has found is written by the run itself until its end.
        or_(sessions.c.kind.in_(("ask", "experiment")), sessions.c.status != "running"),
    )
    .order_by(calls.c.id)
)  # fmt: skip


def seen() -> ColumnElement[bool]:
    """The answer of an item stands in a session that whoever asks may see."""
    if asking().sees_all:
        return true()
    return label_items.c.call_id.in_(select(calls.c.id).where(queries.in_seen(calls.c.session_id)))


def label_seen() -> ColumnElement[bool]:
    """A label is about an answer, or a question with an answer, that whoever asks may see."""
    item = label_items.c
    return or_(
        and_(
            labels.c.target == labels.c.question_key, labels.c.question_key.in_(select(item.question_key).where(seen()))
        ),
        answer_of(labels.c.target).in_(select(item.answer_key).where(seen())),
    )


def has_new(connection: Connection) -> bool:
    """Whether there is an answer that is not in the index."""
    return connection.execute(_NEW.with_only_columns(calls.c.id).order_by(None).limit(1)).first() is not None


def add_new(connection: Connection) -> list[tuple[str, str]]:
    """Put up to BATCH new answers into the index.

    Returns:
        Question and answer key of each; none when the index is whole.
    """
    rows = [dict(row) for row in connection.execute(_NEW.limit(BATCH)).mappings()]
    if not rows:
        return []
    items = [_item(row, key) for row, key in zip(rows, _add_asked(connection, rows), strict=True)]
    connection.execute(insert(label_items), items)
    return [(item["question_key"], item["answer_key"]) for item in items]


def complete_questions(connection: Connection, session_ids: Sequence[str]) -> None:
    """Give questions the answer and topic with which these sessions asked them, where they have none."""
    columns = (calls.c.id, calls.c.session_id, calls.c.unit, sessions.c.kind, *_QUESTION)
    statement = (
        select(*columns)
        .select_from(calls.join(sessions).join(label_items, label_items.c.call_id == calls.c.id).join(label_questions))
        .where(calls.c.session_id.in_(session_ids))
        .where(or_(label_questions.c.known.is_(None), label_questions.c.topic.is_(None)))
    )
    _add_asked(connection, [dict(row) for row in connection.execute(statement).mappings()])


def _add_asked(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Note the questions of these calls; the key of each."""
    asked = _questions(connection, rows)
    keys, added = [], dict[str, Question]()
    for row in rows:
        question = asked[row["id"]]
        keys.append(key := question_key(question.text, question.options))
        there = added.get(key)
        added[key] = question if there is None or there.answer is None else there
    _add_questions(connection, added)
    return keys


def _item(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    answer = answer_key(key, row["text"], cut=row["finish_reason"] == "length")
    grade = {name: row[name] for name in ("outcome", "extracted", "extracted_by")}
    return {
        "call_id": row["id"],
        "question_key": key,
        "answer_key": answer,
        "spot": spot_of(answer),
        "model": row["model"],
        "strategy": _strategy(row),
        **grade,
        **{f"base_{name}": value for name, value in grade.items()},
    }


def _strategy(row: Mapping[str, Any]) -> str:
    """The strategy of an experiment's answer, else what asked for it with its budget."""
    if row["unit"]:
        return str(row["unit"]).split("/", 2)[-1]
    return str(row["role"]) if row["requested_budget"] is None else f"{row['role']}:{row['requested_budget']}"


def _questions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[int, Question]:
    """The question of each call: its session's, or its place in the experiment."""
    places = {row["id"]: (row["session_id"], _position(row)) for row in rows if row["kind"] == "experiment"}
    wanted = sorted({place for place in places.values() if place[1] >= 0})
    table = experiment_questions
    found: dict[tuple[str, int], Question] = {}
    if wanted:
        at = tuple_(table.c.session_id, table.c.position).in_(wanted)
        for session_id, position, document in connection.execute(
            select(table.c.session_id, table.c.position, table.c.question).where(at)
        ):
            found[session_id, position] = question_of(document)
    return {row["id"]: found.get(places.get(row["id"], ("", -1)), _of_session(row)) for row in rows}


def _position(row: Mapping[str, Any]) -> int:
    first = str(row["unit"] or "").split("/", 1)[0]
    return int(first) if first.isdecimal() else -1


def _of_session(row: Mapping[str, Any]) -> Question:
    return question_of({c.name.removeprefix("question_"): row[c.name] for c in _QUESTION})


def question_of(document: Mapping[str, Any]) -> Question:
    """The question of a document that `asdict` made."""
    known = {name: document[name] for name in Question.__dataclass_fields__ if name in document}
    return Question(**{**known, "options": tuple(document.get("options") or ())})


def _add_questions(connection: Connection, added: Mapping[str, Question]) -> None:
    table = label_questions
    there = {
        row.key: row
        for row in connection.execute(
            select(table.c.key, table.c.known, table.c.topic).where(table.c.key.in_(list(added)))
        )
    }
    new = [_question_row(key, question) for key, question in added.items() if key not in there]
    if new:
        connection.execute(insert(table), new)
    for key, row in there.items():
        question = added[key]
        better = {
            name: value
            for name, value in (("known", question.answer), ("topic", question.topic))
            if value and getattr(row, name) is None
        }
        if better:
            connection.execute(update(table).where(table.c.key == key).values(**better))


def _question_row(key: str, question: Question) -> dict[str, Any]:
    return {
        "key": key,
        "text_key": question_key(normalised(question.text)),
        "spot": spot_of(key),
        "question": asdict(question),
        "topic": question.topic,
        "known": question.answer,
        "gold": None,
    }
