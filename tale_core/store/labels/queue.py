"""`LabelQueue`: what to label next, and how far everybody is; each answered in one query.

Nobody's place is stored: it is the first answer, in this annotator's own shuffled order, that the annotator has not
labelled. So a refresh, another tab and an undo find it by themselves. Skipped answers come again at the end. Where the
work is shared, an answer that enough others have decided, or have in front of them (a claim, which runs out), is left
to them. Filters go by what the grader thought, never by verdicts: one person's verdict must not take an answer out of
another's queue. It writes claims alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from tale_core.access.who import asking
from tale_core.store import queries, records
from tale_core.store.labels.index import label_seen, question_of, seen
from tale_core.store.labels.keys import MARK, SPOTS, mark_target, marked_answer, order_of
from tale_core.store.labels.store import LabelStore
from tale_core.store.labels.tables import annotators, label_claims, label_events, label_items, label_questions, labels
from tale_core.store.labels.types import (
    SETTLED,
    AnnotatorCounts,
    AnnotatorLabel,
    LabelKind,
    LabelTarget,
    QueueCounts,
    QueueFilter,
    QueueKind,
    ReadAnswer,
    passing,
)
from tale_core.store.repository import Store
from tale_core.store.tables import calls
from tale_core.types import GUESSED, Outcome, Question

CLAIM = timedelta(minutes=5)
"""How long an answer is kept for the person who has it on the screen."""
DOUBTFUL_METHODS = (*sorted(GUESSED), "whole")
_DOUBTFUL = (Outcome.UNPARSED.value, Outcome.UNGRADED.value)
_DECIDED = ("right", "wrong")
_item, _question = label_items.c, label_questions.c


class LabelQueue:
    """The queues of a store.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._labels = store, LabelStore(store)

    def next(self, annotator: str, wanted: QueueFilter) -> LabelTarget | None:
        """What this annotator should look at now, claimed where the work is shared; None at the end of the queue."""
        if wanted.kind == "answers" and wanted.overlap:
            with self._labels.writing() as connection:
                key = connection.execute(_next(annotator, wanted).limit(1)).scalar()
                _claim(connection, annotator, key)
                return _target(connection, key, annotator, wanted.kind)
        with self._store.reading() as connection:
            key = connection.execute(_next(annotator, wanted).limit(1)).scalar()
            return _target(connection, key, annotator, wanted.kind)

    def ahead(self, annotator: str, wanted: QueueFilter, *, limit: int) -> list[LabelTarget]:
        """What this annotator would be shown one after the other, for looking ahead; claims nothing."""
        with self._store.reading() as connection:
            keys = connection.execute(_next(annotator, wanted).limit(limit)).scalars().all()
            found = (_target(connection, key, annotator, wanted.kind) for key in keys)
            return [target for target in found if target is not None]

    def counts(self, annotator: str, wanted: QueueFilter) -> QueueCounts:
        """How far this annotator is in a queue."""
        left = _left(annotator, wanted, claims=False).subquery()
        skipped = func.coalesce(func.sum(case((left.c.skipped.is_not(None), 1), else_=0)), 0)
        with self._store.reading() as connection:
            rest, again = connection.execute(select(func.count(), skipped).select_from(left)).one()
            everything = select(func.count()).select_from(_all(annotator, wanted).subquery())
            total = connection.execute(everything).scalar_one()
            taken = select(label_events.c.undoes).where(label_events.c.undoes.is_not(None))
            mine = (label_events.c.annotator == annotator, label_events.c.action != "undo")
            done = (
                select(func.count(), func.max(label_events.c.id))
                .select_from(label_events)
                .where(*mine, label_events.c.id.not_in(taken))
            )
            return QueueCounts(total, rest, int(again), *connection.execute(done).one())

    def any_labels(self) -> bool:
        """Whether anybody has labelled anything."""
        with self._store.reading() as connection:
            return connection.execute(select(labels.c.target).limit(1)).first() is not None

    def choices(self) -> dict[str, list[str]]:
        """What can be filtered by: "models", "outcomes" and "topics" that stored answers have."""
        with self._store.reading() as connection:

            def distinct(column: Any) -> list[str]:
                of = _item.question_key == _question.key
                rows = select(column).select_from(label_items.join(label_questions, of)).where(seen()).distinct()
                return sorted(str(v) for v in connection.execute(rows).scalars() if v is not None)

            return {
                "models": distinct(_item.model),
                "outcomes": distinct(_item.outcome),
                "topics": distinct(_question.topic),
            }

    def annotators(self) -> list[AnnotatorCounts]:
        """Every annotator with what stands of theirs, by name."""

        def count(condition: ColumnElement[bool]) -> Any:
            return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

        verdict = labels.c.kind == "verdict"
        sums = [count(and_(verdict, labels.c.value == v)) for v in ("right", "wrong", "unsure")]
        statement = (
            select(annotators.c.id, annotators.c.name, *sums, *(count(labels.c.kind == k) for k in ("gold", "mark")))
            .select_from(annotators.outerjoin(labels, labels.c.holder == annotators.c.id))
            .group_by(annotators.c.id, annotators.c.name)
            .order_by(annotators.c.name)
        )
        with self._store.reading() as connection:
            return [AnnotatorCounts(row[0], row[1], *map(int, row[2:])) for row in connection.execute(statement)]

    def verdicts(self) -> dict[str, dict[str, str]]:
        """What every annotator decided: right or wrong, by answer, for each annotator. Settled labels are nobody's."""
        return self._all("verdict")

    def _all(self, kind: LabelKind) -> dict[str, dict[str, str]]:
        statement = select(labels.c.holder, labels.c.target, labels.c.value).where(
            labels.c.kind == kind, labels.c.holder != SETTLED, labels.c.target != labels.c.question_key
        )
        found: dict[str, dict[str, str]] = {}
        with self._store.reading() as connection:
            for holder, target, value in connection.execute(statement):
                found.setdefault(holder, {})[target] = value
        return found

    def readings(self, question_key: str, *, limit: int = 12) -> list[ReadAnswer]:
        """What the grader read in the stored answers to a question, the commonest first."""
        count = func.count()
        statement = (
            select(_item.extracted, count)
            .where(_item.question_key == question_key, seen())
            .group_by(_item.extracted)
            .order_by(count.desc(), _item.extracted)
            .limit(limit)
        )
        with self._store.reading() as connection:
            return [ReadAnswer(row[0], row[1]) for row in connection.execute(statement)]

    def alike(self, annotator: str, target: LabelTarget) -> tuple[str, ...]:
        """The answers to the question from which the grader reads the same, less those this person has judged.

        The target itself is among them, and first.
        """
        same = and_(_item.question_key == target.question_key, _item.extracted == target.extracted, seen())
        judged = select(labels.c.target).where(labels.c.holder == annotator, labels.c.kind == "verdict")
        statement = select(_item.answer_key).where(same, _item.answer_key.not_in(judged)).distinct()
        with self._store.reading() as connection:
            found = {row[0] for row in connection.execute(statement)}
        return (target.key, *sorted(found - {target.key}))

    def by_text(self, text_keys: Iterable[str]) -> dict[str, list[tuple[str, Question, str | None]]]:
        """Stored questions by the key of their text: key, question (with the answer it came with), people's answer."""
        found: dict[str, list[tuple[str, Question, str | None]]] = {}
        wanted = sorted(set(text_keys))
        here = true() if asking().sees_all else _question.key.in_(select(_item.question_key).where(seen()))
        with self._store.reading() as connection:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                columns = (_question.text_key, _question.key, _question.question, _question.known, _question.gold)
                for row in connection.execute(select(*columns).where(_question.text_key.in_(part), here)):
                    question = replace(question_of(row.question), answer=row.known)
                    found.setdefault(row.text_key, []).append((row.key, question, row.gold))
        return found

    def stored_keys(self, answer_keys: Iterable[str]) -> dict[str, str]:
        """Those of these answers, or of what marks are about, that are stored; with the keys of their questions."""
        found: dict[str, str] = {}
        by_answer: dict[str, list[str]] = {}
        for target in answer_keys:
            by_answer.setdefault(marked_answer(target), []).append(target)
        wanted = sorted(by_answer)
        with self._store.reading() as connection:
            for start in range(0, len(wanted), 500):
                part = _item.answer_key.in_(wanted[start : start + 500])
                rows = connection.execute(select(_item.answer_key, _item.question_key).where(part, seen()).distinct())
                found |= {target: row[1] for row in rows for target in by_answer[row[0]]}
        return found

    def golds_said(self, question_keys: Iterable[str]) -> dict[str, dict[str, str]]:
        """Known answers that people gave to these questions, by annotator; "" is a settled one."""
        return self._labelled("gold", question_keys)

    def verdicts_said(self, answer_keys: Iterable[str]) -> dict[str, dict[str, str]]:
        """Verdicts that people gave on these answers, by annotator; "" is a settled one."""
        return self._labelled("verdict", answer_keys)

    def marks_said(self, targets: Iterable[str]) -> dict[str, dict[str, str]]:
        """Sentences that people marked, for these `mark_target`s, by annotator; "" is a settled one."""
        return self._labelled("mark", targets)

    def marks(self) -> dict[str, dict[str, str]]:
        """What every annotator marked: the number of the sentence by target. Settled marks are nobody's."""
        return self._all("mark")

    def _labelled(self, kind: LabelKind, targets: Iterable[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        wanted = sorted(set(targets))
        with self._store.reading() as connection:
            for start in range(0, len(wanted), 500):
                part = labels.c.target.in_(wanted[start : start + 500])
                rows = connection.execute(
                    select(labels.c.target, labels.c.holder, labels.c.value).where(part, labels.c.kind == kind)
                )
                for target, holder, value in rows:
                    found.setdefault(target, {})[holder] = value
        return found


def _mine(annotator: str, target: Any) -> ColumnElement[bool]:
    return and_(labels.c.target == target, labels.c.holder == annotator)


def _next(annotator: str, wanted: QueueFilter) -> Any:
    """The keys in the order to show them: the annotator's own, and after all others what was skipped, oldest first."""
    left = _left(annotator, wanted).subquery()
    times, plus = order_of(annotator)
    # Some spots are plain integers, whose product with another PostgreSQL would not take.
    order = (cast(left.c.spot, BigInteger) * times + plus) % SPOTS
    return select(left.c.key).order_by(case((left.c.skipped.is_(None), 0), else_=1), left.c.skipped, order, left.c.key)


def _left(annotator: str, wanted: QueueFilter, *, claims: bool = True) -> Select[Any]:
    """Key, spot and the event of a skip (or None) of everything that this annotator has still to look at.

    Args:
        annotator: Whose queue.
        wanted: Which queue.
        claims: Leave out what others have in front of them.
    """
    everything = _all(annotator, wanted).subquery()
    statement = (
        select(everything.c.key, everything.c.spot, labels.c.event_id.label("skipped"))
        .select_from(everything.outerjoin(labels, _mine(annotator, everything.c.key)))
        .where(or_(labels.c.target.is_(None), labels.c.kind == "skip"))
    )
    if wanted.kind == "settle":
        # The person settling has labelled it, or not: it is there until it is settled.
        return select(everything.c.key, everything.c.spot, labels.c.event_id.label("skipped")).select_from(
            everything.outerjoin(labels, _mine(passing(annotator), everything.c.key))
        )
    if wanted.kind == "answers":
        settled = select(labels.c.target).where(labels.c.holder == SETTLED)
        statement = statement.where(everything.c.key.not_in(settled))
        if wanted.overlap:
            statement = statement.where(everything.c.key.not_in(_taken(annotator, wanted.overlap, claims=claims)))
    return statement


def _taken(annotator: str, overlap: int, *, claims: bool) -> Select[Any]:
    """Answers that enough others have decided or, where claims count, have in front of them."""
    decided = select(labels.c.target.label("key")).where(
        labels.c.holder.not_in((annotator, SETTLED)), labels.c.kind == "verdict", labels.c.value.in_(_DECIDED)
    )
    claimed = select(label_claims.c.target.label("key")).where(
        label_claims.c.annotator != annotator, label_claims.c.expires_at > queries.now()
    )
    both = (decided.union_all(claimed) if claims else decided).subquery()
    return select(both.c.key).group_by(both.c.key).having(func.count() >= overlap)


def _all(annotator: str, wanted: QueueFilter) -> Select[Any]:
    """Key and spot of everything in a queue, done or not."""
    if wanted.kind == "questions":
        return _questions(annotator, wanted)
    if wanted.kind == "settle":
        return _disagreements()
    statement = select(_item.answer_key.label("key"), func.min(_item.spot).label("spot")).group_by(_item.answer_key)
    statement = statement.where(seen())
    if wanted.models:
        statement = statement.where(_item.model.in_(wanted.models))
    if wanted.outcomes:
        statement = statement.where(_item.outcome.in_(wanted.outcomes))
    if wanted.topics:
        of_topic = select(_question.key).where(_question.topic.in_(wanted.topics))
        statement = statement.where(_item.question_key.in_(of_topic))
    if wanted.which == "doubtful":
        statement = statement.where(or_(_item.outcome.in_(_DOUBTFUL), _item.extracted_by.in_(DOUBTFUL_METHODS)))
    if wanted.which == "disagree":
        statement = statement.where(_item.question_key.in_(_disputed()))
    return statement


def _disputed() -> Select[Any]:
    """Questions whose answers are some right and some not, or, with none right, say different things."""
    right = func.sum(case((_item.outcome == Outcome.CORRECT.value, 1), else_=0))
    different = func.count(_item.extracted.distinct())
    return (
        select(_item.question_key)
        .where(seen())
        .group_by(_item.question_key)
        .having(or_(and_(right > 0, right < func.count()), and_(right == 0, different > 1)))
    )


def _questions(annotator: str, wanted: QueueFilter) -> Select[Any]:
    mine = select(labels.c.target).where(labels.c.holder == annotator)
    answers = select(_item.question_key).where(seen())
    if wanted.models:
        answers = answers.where(_item.model.in_(wanted.models))
    statement = select(_question.key.label("key"), _question.spot.label("spot")).where(
        _question.known.is_(None), or_(_question.gold.is_(None), _question.key.in_(mine)), _question.key.in_(answers)
    )
    return statement.where(_question.topic.in_(wanted.topics)) if wanted.topics else statement


def _disagreements() -> Select[Any]:
    """Targets about which people who decided say different things, and which nobody has settled."""
    decided = or_(labels.c.kind.in_(("gold", "mark")), and_(labels.c.kind == "verdict", labels.c.value.in_(_DECIDED)))
    settled = select(labels.c.target).where(labels.c.holder == SETTLED)
    spot = func.min(labels.c.event_id).label("spot")
    return (
        select(labels.c.target.label("key"), spot)
        .where(decided, labels.c.target.not_in(settled), label_seen())
        .group_by(labels.c.target)
        .having(func.min(labels.c.value) != func.max(labels.c.value))
    )


def _claim(connection: Connection, annotator: str, key: str | None) -> None:
    """Keep this answer for this annotator, and no other one."""
    claim, now = label_claims.c, queries.now()
    connection.execute(
        delete(label_claims).where(
            or_(claim.expires_at <= now, and_(claim.annotator == annotator, claim.target != (key or "")))
        )
    )
    if key is None:
        return
    mine = (claim.target == key, claim.annotator == annotator)
    if not connection.execute(update(label_claims).where(*mine).values(expires_at=now + CLAIM)).rowcount:
        connection.execute(insert(label_claims).values(target=key, annotator=annotator, expires_at=now + CLAIM))


def _target(connection: Connection, key: str | None, annotator: str, kind: QueueKind) -> LabelTarget | None:
    if key is None:
        return None
    item = _stored(connection, key)
    question_key = str(item["question_key"]) if item is not None else key
    row = connection.execute(select(label_questions).where(_question.key == question_key)).mappings().first()
    if row is None:
        return None
    found = LabelTarget(
        key, kind, question_key, replace(question_of(row["question"]), answer=row["gold"] or row["known"]), row["gold"],
        labels=_labels_of(connection, key) if kind == "settle" else (),
        skipped=_skipped(connection, key, annotator, kind),
    )  # fmt: skip
    if item is None:
        return found
    call = connection.execute(select(calls).where(calls.c.id == item["call_id"])).mappings().one()
    same = and_(_item.answer_key == item["answer_key"], seen())
    copies = connection.execute(select(func.count()).select_from(label_items).where(same))
    return replace(
        found,
        call=records.call_record(dict(call)),
        strategy=item["strategy"],
        extracted=item["extracted"],
        extracted_by=item["extracted_by"],
        outcome=Outcome(item["outcome"]),
        copies=copies.scalar_one(),
    )


def _stored(connection: Connection, key: str) -> Any:
    """The first stored answer that a target is about; for a mark, with the very thought that was marked."""
    of_answer = select(label_items).where(_item.answer_key == marked_answer(key), seen()).order_by(_item.call_id)
    if not key.startswith(MARK):
        return connection.execute(of_answer.limit(1)).mappings().first()
    thoughts = of_answer.add_columns(calls.c.reasoning_text).join(calls, calls.c.id == _item.call_id)
    found = connection.execute(thoughts).mappings()
    return next((row for row in found if mark_target(row["answer_key"], row["reasoning_text"]) == key), None)


def _skipped(connection: Connection, key: str, annotator: str, kind: QueueKind) -> int:
    mine = _mine(passing(annotator) if kind == "settle" else annotator, key)
    found = connection.execute(select(labels.c.event_id).where(mine, labels.c.kind == "skip")).scalar()
    return int(found or 0)


def _labels_of(connection: Connection, key: str) -> tuple[AnnotatorLabel, ...]:
    rows = connection.execute(
        select(annotators.c.name, labels.c.value)
        .select_from(labels.outerjoin(annotators, annotators.c.id == labels.c.holder))
        .where(labels.c.target == key, labels.c.kind.in_(("verdict", "gold", "mark")))
        .order_by(annotators.c.name)
    )
    return tuple(AnnotatorLabel(row[0], row[1]) for row in rows)
