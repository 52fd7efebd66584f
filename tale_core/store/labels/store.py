"""`LabelStore`: what people say about answers, and what it moves, each in one transaction.

A label is about an answer (a question and a text) or about a question (its known answer). Every deed is an event that
is only appended; `label` holds what stands; the outcomes of all calls that a label is about are put right in the same
transaction, so that every table, chart and export that reads calls shows it at once. What the grader thought is kept
beside it and comes back when the label goes.

A verdict counts when everybody who decided agrees, or when it was settled; it beats the grader. A known answer
likewise; all stored answers to its question are graded against it. Grading is done by the caller (the store has no
grader): where it is missing `GradesNeeded` says for what.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, insert, text

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.store import queries
from tale_core.store.labels.index import add_new, has_new
from tale_core.store.labels.keys import annotator_key, normalised
from tale_core.store.labels.tables import annotators
from tale_core.store.labels.transaction import LabelWork
from tale_core.store.labels.types import MAX_NAME, Change, Grades, Moved, Rederive
from tale_core.store.repository import Store

_POSTGRESQL_LOCK = 0x7A1F


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
                    work.finish()
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
                moved = work.finish()
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
            return work.finish()
