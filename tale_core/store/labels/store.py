"""`LabelStore`: what people say about answers, and what it moves, each in one transaction.

A label is about an answer (a question and a text) or about a question (its known answer). Every deed is an event that
is only appended; `label` holds what stands; the outcomes of all calls that a label is about are put right in the same
transaction, so that every table, chart and export that reads calls shows it at once. What the grader thought is kept
beside it and comes back when the label goes.

A verdict counts when everybody who decided agrees, or when it was settled; it beats the grader. A known answer
likewise; all stored answers to its question are graded against it. Grading is done outside of the transaction
(`store.labels.grades`): where it is missing `GradesNeeded` says for what.

Answers and labels also come and go without anybody's saying anything here: with an archive, or out of the trash.
`follow` does that, and what is said decides about them as if they had been here when it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, insert, or_, select, text

from tale_core.access.who import OWNER, asking_as
from tale_core.errors import InputError, StoreError
from tale_core.i18n import t
from tale_core.store import queries
from tale_core.store.labels.grades import until_graded
from tale_core.store.labels.index import add_new, complete_questions, has_new
from tale_core.store.labels.keys import annotator_key, normalised
from tale_core.store.labels.standing import stand_anew
from tale_core.store.labels.tables import annotators, label_items, label_questions, labels
from tale_core.store.labels.transaction import LabelWork
from tale_core.store.labels.types import MAX_NAME, Came, Change, Grades, Moved, Rederive
from tale_core.store.repository import Store
from tale_core.store.tables import calls

_POSTGRESQL_LOCK = 0x7A1F
_AT_ONCE = 500
_GRADE = ("outcome", "extracted", "extracted_by")


class _Undone(Exception):
    """Carries what would have moved out of a transaction that is to be rolled back."""

    def __init__(self, moved: Moved) -> None:
        self.moved = moved


class LabelStore:
    """The labels in a store; the same errors as `Store`, whose connections it uses.

    Args:
        store: The database.
        rederive: Finds anew what a search or sweep has found; None leaves their results alone.
    """

    def __init__(self, store: Store, rederive: Rederive | None = None) -> None:
        self.store = store
        self._rederive = rederive

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other labelling runs beside, on every database."""
        with self.store.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
            yield connection

    def add_annotator(self, name: str) -> str:
        """Note a person's name; the same name in other letters is the same person.

        Returns:
            The annotator's key.

        Raises:
            InputError: No name, or a very long one.
        """
        shown = normalised(name)
        if not shown or len(shown) > MAX_NAME or not shown.isprintable():
            raise InputError(
                t("The name {name!r} cannot be used.", name=shown[:80]),
                t("Give 1 to {most} visible characters.", most=MAX_NAME),
            )
        key = annotator_key(shown)
        with self.store.reading() as connection:
            if queries.exists(connection, annotators, key):
                return key
        with self.writing() as connection:
            if not queries.exists(connection, annotators, key):
                connection.execute(insert(annotators).values(id=key, name=shown, created_at=queries.now()))
        return key

    def sync(self, grades: Grades) -> int:
        """Bring the index up to date, and the labels that are there to answers that are new.

        Returns:
            How many answers were new.

        Raises:
            GradesNeeded: New answers to questions whose known answer people gave.
        """
        with self.store.reading() as connection:
            if not has_new(connection):
                return 0
        count = 0
        while True:
            with self.writing() as connection:
                added = add_new(connection)
                if added:
                    work = LabelWork(connection, grades, self._rederive)
                    work.answers |= {answer for _, answer in added}
                    work.questions |= work.with_gold({question for question, _ in added})
                    _finished(work)
            if not added:
                return count
            count += len(added)

    def commit(
        self, changes: Sequence[Change], grades: Grades, *, batch: str | None = None, dry: bool = False
    ) -> Moved:
        """Write what somebody says, all of it or nothing, and put right what it moves.

        Args:
            changes: In order.
            grades: What was graded so far; see `GradesNeeded`.
            batch: Names changes that are undone together.
            dry: Write nothing; only say what would move.

        Raises:
            GradesNeeded: Nothing was written; grade these and call again.
            NotFoundError: A target that is not there.
        """
        try:
            with self.writing() as connection:
                work = LabelWork(connection, grades, self._rederive)
                for change in changes:
                    work.say(change, batch)
                moved = _finished(work)
                if dry:
                    raise _Undone(moved)
                return moved
        except _Undone as e:
            return e.moved

    def undo(self, annotator: str, grades: Grades, *, event: int | None = None) -> Moved:
        """Take back this person's last deed (an import as a whole); again and again, back to the first.

        Args:
            annotator: Whose deed.
            grades: What was graded so far; see `GradesNeeded`.
            event: Only if this is the last one: a key that is pressed twice takes back once.

        Raises:
            GradesNeeded: As for `commit`.
        """
        with self.writing() as connection:
            work = LabelWork(connection, grades, self._rederive)
            work.take_back(annotator, event)
            return _finished(work)

    def follow(self, deed: Callable[[Connection], Came]) -> None:
        """Bring answers or labels, or take labels away, and put right in the same transaction what depends on them.

        Args:
            deed: Does it, and says what came and went. It is done again after grading, the first time being undone.
        """

        def once(grades: Grades) -> None:
            with self.writing() as connection:
                work = LabelWork(connection, grades, self._rederive)
                came = deed(connection)
                for start in range(0, len(came.targets), _AT_ONCE):
                    stand_anew(connection, came.targets[start : start + _AT_ONCE])
                _add_touched(work, connection, came)
                _finished(work)

        until_graded(once)

    def catch_up(self) -> None:
        """Bring labels to answers that are new, if there are any; a store that fails is left for the next time."""
        try:
            with self.store.reading() as connection:
                any_labels = connection.execute(select(labels.c.target).limit(1)).first() is not None
            if any_labels:
                until_graded(self.sync)
        except StoreError:
            return


def _finished(work: LabelWork) -> Moved:
    """Put right what depends on it: a label is about all answers that are the same, whosever sessions they are in."""
    with asking_as(OWNER):
        return work.finish()


def _add_touched(work: LabelWork, connection: Connection, came: Came) -> None:
    """The answers and questions whose outcomes may not be what is said here any more."""
    item, question = label_items.c, label_questions.c
    said = select(labels.c.target)
    touched = or_(
        calls.c.labelled.is_not(None), item.answer_key.in_(said), item.question_key.in_(said),
        *(item[name].is_distinct_from(item[f"base_{name}"]) for name in _GRADE),
    )  # fmt: skip
    for start in range(0, len(came.sessions), _AT_ONCE):
        ids = came.sessions[start : start + _AT_ONCE]
        complete_questions(connection, ids)
        answers = select(item.answer_key, item.question_key).join_from(label_items, calls)
        for row in connection.execute(answers.where(calls.c.session_id.in_(ids), touched)):
            work.answers.add(row.answer_key)
            work.questions.add(row.question_key)
    for start in range(0, len(came.targets), _AT_ONCE):
        part = came.targets[start : start + _AT_ONCE]
        work.answers.update(part)
        work.questions.update(connection.execute(select(question.key).where(question.key.in_(part))).scalars())
