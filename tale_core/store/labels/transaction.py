"""One labelling transaction: what is said becomes events and what stands, and all that depends on it is put right.

Used by `tale_core.store.labels.store`. It grades nothing and opens no transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, case, delete, func, insert, or_, select, update

from tale_core.access.who import asking
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.store import queries, records
from tale_core.store.labels.index import question_of, seen
from tale_core.store.labels.keys import marked_answer
from tale_core.store.labels.tables import label_claims, label_events, label_items, label_questions, labels
from tale_core.store.labels.types import (
    MAX_GOLD,
    SETTLED,
    AccuracyMoved,
    Change,
    Grades,
    GradesNeeded,
    LabelAction,
    Moved,
    Rederive,
    Share,
    StoredAnswer,
    ToGrade,
    no_target,
    passing,
    resolved,
)
from tale_core.store.tables import calls, experiment_units, sessions
from tale_core.types import REFUSAL, Outcome

_VERDICTS = {"right": Outcome.CORRECT, "wrong": Outcome.WRONG}
_CHUNK = 500
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
K = TypeVar("K", str, int)


class LabelWork:
    """One transaction: events and labels first, then everything that follows from them."""

    def __init__(self, connection: Connection, grades: Grades, rederive: Rederive | None) -> None:
        self._db, self._grades, self._rederive = connection, grades, rederive
        self.answers: set[str] = set()
        self.questions: set[str] = set()
        self._moved = Moved()

    # What is said

    def say(self, change: Change, batch: str | None) -> None:
        """Write one change as an event and as what stands."""
        holder = change.annotator
        if change.settle:
            holder = passing(change.annotator) if change.kind == "skip" else SETTLED
        self._check(change)
        there = self._db.execute(
            select(labels.c.kind, labels.c.value, labels.c.event_id).where(
                labels.c.target == change.target, labels.c.holder == holder
            )
        ).first()
        same = there is not None and (there.kind, there.value) == (change.kind, change.value)
        decided = there is not None and there.kind != "skip"
        if change.kind == "skip" and there is not None and there.event_id != change.seen:
            return
        if (same and change.kind != "skip") or (decided and not change.replace and not change.settle):
            return
        action: LabelAction = "settle" if change.settle else "import" if batch else "set"
        event = self._event(change.annotator, action, change.kind, change, holder, change.value, batch=batch)
        self._stand(change.target, holder, change.kind, change.value, change.question_key, change.annotator, event)
        self._db.execute(
            delete(label_claims).where(
                label_claims.c.target == change.target, label_claims.c.annotator == change.annotator
            )
        )
        self._touch(change.kind, change.target, change.question_key)

    def _check(self, change: Change) -> None:
        of_question = change.target == change.question_key
        known = label_items.c.question_key if of_question else label_items.c.answer_key
        there = select(known).where(known == marked_answer(change.target), seen())
        if of_question and asking().sees_all:  # Its answers may be gone.
            there = select(label_questions.c.key).where(label_questions.c.key == change.target)
        if self._db.execute(there.limit(1)).first() is None:
            raise no_target(change.target)
        if change.kind == "verdict" and change.value not in ("right", "wrong", "unsure"):
            raise InputError(t("There is no verdict {value!r}.", value=change.value), t("Say right, wrong or unsure."))
        if change.kind == "mark" and not _NUMBER.fullmatch(change.value or ""):
            raise InputError(
                t("There is no sentence {value!r}.", value=change.value), t("Give its number, counted from 1.")
            )
        if change.kind == "gold" and not (change.value and change.value.strip() and len(change.value) <= MAX_GOLD):
            raise InputError(
                t("A known answer is missing or too long."),
                t("Give 1 to {most:,} characters: a short final answer.", most=MAX_GOLD),
            )

    def take_back(self, annotator: str, event: int | None) -> None:
        """Undo the annotator's last event, or the whole batch that it belongs to; only if it is `event`, if given."""
        taken = select(label_events.c.undoes).where(label_events.c.undoes.is_not(None))
        mine = (
            label_events.c.annotator == annotator, label_events.c.action != "undo", label_events.c.id.not_in(taken),
        )  # fmt: skip
        newest = label_events.c.id.desc()
        last = self._db.execute(select(label_events).where(*mine).order_by(newest).limit(1)).mappings().first()
        if last is None or (event is not None and last["id"] != event):
            return
        batch = [dict(last)]
        if last["batch"] is not None:
            whole = select(label_events).where(*mine, label_events.c.batch == last["batch"]).order_by(newest)
            batch = [dict(row) for row in self._db.execute(whole).mappings()]
        for one in batch:
            self._take_back(annotator, one)

    def _take_back(self, annotator: str, event: Mapping[str, Any]) -> None:
        target, holder = event["target"], event["holder"]
        change = Change(annotator, event["kind"], target, event["question_key"])
        self._event(annotator, "undo", event["kind"], change, holder, event["value"], undoes=event["id"])
        here = (labels.c.target == target, labels.c.holder == holder)
        standing = self._db.execute(select(labels.c.event_id).where(*here)).scalar_one_or_none()
        if standing != event["id"]:
            return  # Somebody else has settled it anew since.
        taken = select(label_events.c.undoes).where(label_events.c.undoes.is_not(None))
        before = (
            self._db.execute(
                select(label_events)
                .where(
                    label_events.c.target == target, label_events.c.holder == holder, label_events.c.action != "undo",
                    label_events.c.id < event["id"], label_events.c.id.not_in(taken),
                )
                .order_by(label_events.c.id.desc())
                .limit(1)
            ).mappings().first()
        )  # fmt: skip
        if before is None:
            self._db.execute(delete(labels).where(*here))
        else:
            self._stand(
                target, holder, before["kind"], before["value"], before["question_key"], before["annotator"],
                before["id"],
            )  # fmt: skip
            self._touch(before["kind"], target, before["question_key"])
        self._touch(event["kind"], target, event["question_key"])

    def _event(
        self, annotator: str, action: LabelAction, kind: str, change: Change, holder: str, value: str | None,
        *, batch: str | None = None, undoes: int | None = None,
    ) -> int:  # fmt: skip
        self._moved.events += 1
        key = self._db.execute(
            insert(label_events).values(
                created_at=queries.now(), annotator=annotator, action=action, kind=kind, target=change.target,
                question_key=change.question_key, holder=holder, value=value, batch=batch, undoes=undoes,
            )
        ).inserted_primary_key  # fmt: skip
        assert key is not None
        return int(key[0])

    def _stand(
        self, target: str, holder: str, kind: str, value: str | None, question: str, annotator: str, event: int
    ) -> None:
        values = {
            "kind": kind, "value": value, "question_key": question, "annotator": annotator, "event_id": event,
            "created_at": queries.now(),
        }  # fmt: skip
        here = (labels.c.target == target, labels.c.holder == holder)
        if not self._db.execute(update(labels).where(*here).values(**values)).rowcount:
            self._db.execute(insert(labels).values(target=target, holder=holder, **values))

    def _touch(self, kind: str, target: str, question: str) -> None:
        if kind == "gold":
            self.questions.add(question)
        elif kind == "verdict" and target != question:
            self.answers.add(target)

    # What follows

    def with_gold(self, keys: set[str]) -> set[str]:
        """Those of these questions whose known answer people gave."""
        table = label_questions
        return {
            key
            for part in _parts(keys)
            for key in self._db.execute(
                select(table.c.key).where(table.c.key.in_(part), table.c.gold.is_not(None))
            ).scalars()
        }

    def finish(self) -> Moved:
        """Put right every row that depends on what was said; return what moved."""
        self._regrade()
        self._put_right()
        return self._moved

    def _regrade(self) -> None:
        standing = {key: self._gold(key) for key in sorted(self.questions)}
        wanted = [self._to_grade(key, gold) for key, gold in standing.items() if gold is not None]
        if missing := [one for one in wanted if one.answers]:
            raise GradesNeeded(missing)
        table = label_items
        for key, gold in standing.items():
            self._db.execute(update(label_questions).where(label_questions.c.key == key).values(gold=gold))
            if gold is None:
                base = {n: table.c[f"base_{n}"] for n in ("outcome", "extracted", "extracted_by")}
                self._db.execute(update(table).where(table.c.question_key == key).values(**base))
            else:
                for answer, grade in self._grades[key, gold].items():
                    self._db.execute(update(table).where(table.c.answer_key == answer).values(**grade._asdict()))
            found = self._db.execute(select(table.c.answer_key).where(table.c.question_key == key)).scalars().all()
            self._moved.regraded += len(found)
            self.answers |= set(found)

    def _to_grade(self, key: str, gold: str) -> ToGrade:
        """The answers to a question that are not graded against this known answer yet, each text once."""
        graded, item = self._grades.get((key, gold), {}), label_items.c
        first = select(func.min(item.call_id)).where(item.question_key == key).group_by(item.answer_key)
        there = self._db.execute(select(item.answer_key, item.call_id).where(item.call_id.in_(first)))
        missing = {call_id: answer for answer, call_id in there if answer not in graded}
        answers = [
            StoredAnswer(missing[row.id], row.text, row.finish_reason, row.prompt_template)
            for part in _parts(missing)
            for row in self._db.execute(
                select(calls.c.id, calls.c.text, calls.c.finish_reason, calls.c.prompt_template).where(
                    calls.c.id.in_(part)
                )
            )
        ]
        asked = select(label_questions.c.question).where(label_questions.c.key == key)
        question = question_of(self._db.execute(asked).scalar_one())
        return ToGrade(key, question, gold, tuple(answers))

    def _gold(self, question: str) -> str | None:
        found = self._db.execute(
            select(labels.c.holder, labels.c.value).where(labels.c.target == question, labels.c.kind == "gold")
        ).all()
        return resolved({row.holder: str(row.value) for row in found})

    def _put_right(self) -> None:
        """Give every call that these answers stand in the outcome that it has now."""
        changed: list[dict[str, Any]] = []
        for part in _parts(self.answers):
            changed += self._changed(part)
        if not changed:
            return
        touched = sorted({row["session_id"] for row in changed})
        before = self._accuracies(touched)
        examples = self._examples({row["answer_key"] for row in changed})
        for row in changed:
            self._db.execute(update(calls).where(calls.c.id == row["id"]).values(**row["values"]))
        moved = self._moved
        others = [r for r in changed if r["outcome"] != r["values"]["outcome"]]
        moved.answers = len(others)
        moved.right = sum((r["values"]["outcome"] == "correct") - (r["outcome"] == "correct") for r in others)
        moved.sessions = len({r["session_id"] for r in others})
        moved.examples = self._examples({row["answer_key"] for row in changed}) - examples
        moved.accuracies = self._accuracies_moved(before, self._accuracies(touched))
        for part in _parts(touched):
            self._db.execute(update(sessions).where(sessions.c.id.in_(part)).values(updated_at=queries.now()))
        self._find_anew(touched)

    def _changed(self, answers: Sequence[str]) -> list[dict[str, Any]]:
        verdicts = self._verdicts(answers)
        item = label_items.c
        rows = self._db.execute(
            select(
                item.answer_key, item.outcome.label("g_outcome"), item.extracted.label("g_extracted"),
                item.extracted_by.label("g_by"), label_questions.c.gold, calls.c.id, calls.c.session_id,
                calls.c.outcome, calls.c.extracted, calls.c.extracted_by, calls.c.labelled,
            )
            .select_from(
                label_items.join(calls, calls.c.id == item.call_id)
                .join(label_questions, label_questions.c.key == item.question_key)
            )
            .where(item.answer_key.in_(answers))
        ).mappings()  # fmt: skip
        changed = []
        for row in rows:
            verdict = verdicts.get(row["answer_key"])
            values = {
                "outcome": _VERDICTS[verdict].value if verdict else row["g_outcome"],
                "extracted": row["g_extracted"],
                "extracted_by": row["g_by"],
                "labelled": "verdict" if verdict else "gold" if row["gold"] is not None else None,
            }
            if any(row[name] != value for name, value in values.items()):
                changed.append({**row, "values": values})
        return changed

    def _verdicts(self, answers: Sequence[str]) -> dict[str, str]:
        found = self._db.execute(
            select(labels.c.target, labels.c.holder, labels.c.value).where(
                labels.c.target.in_(answers), labels.c.kind == "verdict", labels.c.value.in_(list(_VERDICTS))
            )
        )
        said: dict[str, dict[str, str]] = {}
        for target, holder, value in found:
            said.setdefault(target, {})[holder] = value
        return {target: value for target, of in said.items() if (value := resolved(of)) is not None}

    def _accuracies(self, ids: Sequence[str]) -> dict[tuple[str, str], Share]:
        """Right and judged answers of every strategy of these experiments; what counts is that of `types.judged`."""
        unit, found = experiment_units, dict[tuple[str, str], Share]()
        judged = (
            calls.c.outcome != Outcome.UNGRADED.value,
            or_(calls.c.outcome != Outcome.ERROR.value, calls.c.finish_reason == REFUSAL),
            or_(unit.c.graded, calls.c.labelled.is_not(None)),
        )
        right = func.sum(case((calls.c.outcome == Outcome.CORRECT.value, 1), else_=0))
        for part in _parts(ids):
            rows = self._db.execute(
                select(unit.c.session_id, unit.c.strategy, right, func.count())
                .select_from(unit.join(calls, calls.c.id == unit.c.answer_call_id))
                .where(unit.c.session_id.in_(part), unit.c.status == "done", *judged)
                .group_by(unit.c.session_id, unit.c.strategy)
            )
            found |= {(row[0], row[1]): Share(int(row[2]), int(row[3])) for row in rows}
        return found

    def _accuracies_moved(
        self, before: Mapping[tuple[str, str], Share], after: Mapping[tuple[str, str], Share]
    ) -> list[AccuracyMoved]:
        none = Share(0, 0)
        moved = [of for of in sorted({*before, *after}) if before.get(of, none) != after.get(of, none)]
        plans: dict[str, Any] = {}
        for part in _parts({session_id for session_id, _ in moved}):
            rows = self._db.execute(select(sessions.c.id, sessions.c.plan).where(sessions.c.id.in_(part)))
            plans |= {row.id: row.plan for row in rows}
        return [
            AccuracyMoved(
                session_id, str(plans[session_id].get("dataset", "")), strategy,
                before.get((session_id, strategy), none), after.get((session_id, strategy), none),
            )
            for session_id, strategy in moved
        ]  # fmt: skip

    def _examples(self, answers: set[str]) -> int:
        """How many of these answers fine-tuning may choose among: right, whole, and not empty."""
        whole = (calls.c.outcome == Outcome.CORRECT.value, calls.c.finish_reason == "stop", calls.c.text != "")
        return sum(
            self._db.execute(
                select(func.count(label_items.c.answer_key.distinct()))
                .select_from(label_items.join(calls, calls.c.id == label_items.c.call_id))
                .where(label_items.c.answer_key.in_(part), *whole)
            ).scalar_one()
            for part in _parts(answers)
        )

    def _find_anew(self, ids: Sequence[str]) -> None:
        """Searches and sweeps whose answers changed have found something else."""
        if self._rederive is None:
            return
        studies = [
            found
            for part in _parts(ids)
            for found in self._db.execute(
                select(sessions.c.id).where(sessions.c.id.in_(part), sessions.c.kind.in_(("search", "sweep")))
            ).scalars()
        ]
        for session_id in studies:
            found = self._rederive(queries.read_session(self._db, session_id))
            self._moved.rows += found.rows
            changed = records.columns({"result": found.result})
            self._db.execute(update(sessions).where(sessions.c.id == session_id).values(**changed))


def _parts(keys: Iterable[K]) -> Iterator[list[K]]:
    """Databases take only so many values in one statement."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
