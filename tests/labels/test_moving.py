"""Labels and labelled answers that come with an archive, or out of the trash: as if they had been here all along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from tale_core.errors import StoppedError
from tale_core.labels import Labeling, rederive
from tale_core.store import (
    Archive,
    Change,
    LabelKind,
    QueueFilter,
    Store,
    Trash,
    answer_key,
    export_archive,
    import_archive,
    mark_target,
    open_store,
    question_key,
)
from tale_core.store.labels.tables import annotators, label_events, labels
from tale_core.types import Outcome, Question
from tests.labels import samples
from tests.labels import test_studies as studies
from tests.labels.test_studies import found, searched

DOGS = Question("How many legs have 3 dogs?", kind="number")
CATS = Question("How many legs have 3 cats?", kind="number")
TWELVE, TEN = "So [[12]].", "So [[10]]."
NONE = (Outcome.UNGRADED, None)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Labeling]:
    """Another machine's labels."""
    opened = open_store(f"sqlite:///{tmp_path / 'there.db'}")
    yield Labeling(opened)
    opened.close()


def judged(labeling: Labeling, verdict: str, of: str = TWELVE, name: str = "Ada", question: Question = CATS) -> None:
    said(labeling, name, "verdict", answer_key(question_key(question.text), of, cut=False), verdict, question)


def answered(labeling: Labeling, gold: str, name: str = "Ada") -> None:
    said(labeling, name, "gold", question_key(CATS.text), gold, CATS)


def said(labeling: Labeling, name: str, kind: LabelKind, target: str, value: str, question: Question) -> None:
    labeling.sync()
    labeling.commit([Change(labeling.sit_down(name), kind, target, question_key(question.text), value, replace=True)])


def moved(source: Store, to: Store, tmp_path: Path, *, ids: Sequence[str] | None = None, **options: Any) -> None:
    export_archive(source, tmp_path / "some.tale", ids=ids, overwrite=True)
    with Archive(tmp_path / "some.tale") as opened:
        import_archive(to, opened, rederive=rederive, **options)


def test_labels_of_an_archive_are_about_answers_that_are_here_too(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    mine = samples.asked(store, CATS, TWELVE, TEN)
    labeling.sync()
    samples.asked(there.store, CATS, TWELVE)
    judged(there, "right")
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, mine) == [(Outcome.CORRECT, "verdict"), NONE]
    answered(there, "10")
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, mine) == [(Outcome.CORRECT, "verdict"), (Outcome.CORRECT, "gold")]


def test_labels_that_are_here_are_about_answers_that_come(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    samples.asked(store, CATS, TWELVE)
    judged(labeling, "wrong")
    answered(labeling, "10")
    unseen, seen = (samples.asked(there.store, CATS, TWELVE, TEN) for _ in range(2))
    there.sync()
    late = samples.asked(there.store, CATS, TEN)
    moved(there.store, store, tmp_path)
    for one in (unseen, seen):
        assert samples.outcomes(store, one) == [(Outcome.WRONG, "verdict"), (Outcome.CORRECT, "gold")]
    assert samples.outcomes(store, late) == [(Outcome.CORRECT, "gold")], "it was in no index"


def test_a_question_that_comes_with_an_answer_is_not_asked_for_one(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    samples.asked(store, CATS, TWELVE)
    samples.asked(there.store, replace(CATS, answer="12", topic="cats"), TWELVE)
    ada = labeling.sit_down("Ada")
    for one in (labeling, there):
        one.sync()
    before = labeling.next(ada, QueueFilter())
    assert before is not None and before.question.answer is None
    moved(there.store, store, tmp_path)
    after = labeling.next(ada, QueueFilter())
    assert after is None or after.question.answer == "12"
    assert labeling.queue.choices()["topics"] == ["cats"]


def test_people_who_disagree_from_two_machines_have_decided_nothing(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    mine, came = samples.asked(store, CATS, TWELVE), samples.asked(there.store, CATS, TWELVE)
    for here, name, verdict, gold in ((labeling, "Ada", "right", "12"), (there, "Ben", "wrong", "10")):
        judged(here, verdict, name=name)
        answered(here, gold, name=name)
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, mine) == samples.outcomes(store, came) == [NONE]


def test_what_was_said_elsewhere_and_is_not_in_the_archive_decides_nothing_here(
    store: Store, there: Labeling, tmp_path: Path
) -> None:
    came = samples.asked(there.store, CATS, TWELVE, TEN)
    judged(there, "right")
    answered(there, "10")
    with there.store.writing() as connection:  # As archives of some sessions were once.
        connection.execute(delete(labels))
        connection.execute(delete(label_events))
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, came) == [NONE, NONE]


def test_a_session_comes_back_from_the_trash_to_what_is_said_by_then(store: Store, labeling: Labeling) -> None:
    id = samples.asked(store, CATS, TWELVE, TEN)
    samples.asked(store, CATS, TWELVE)
    ada = labeling.sit_down("Ada")
    judged(labeling, "right")
    Trash(store).delete([id])
    labeling.undo(ada)
    Trash(store, rederive).undo(id)
    assert samples.outcomes(store, id) == [NONE, NONE]
    Trash(store).delete([id])
    answered(labeling, "10")
    Trash(store, rederive).undo(id)
    assert samples.outcomes(store, id) == [(Outcome.WRONG, "gold"), (Outcome.CORRECT, "gold")]
    Trash(store).delete([id])
    judged(labeling, "right", name="Ben")
    Trash(store, rederive).undo(id)
    assert samples.outcomes(store, id) == [(Outcome.CORRECT, "verdict"), (Outcome.CORRECT, "gold")]


def test_a_search_that_comes_back_has_found_what_its_answers_say_by_then(store: Store, labeling: Labeling) -> None:
    id = searched(store, {None: "12", 60: "12", 30: "12"})
    last = store.get_session(id).calls[-1]
    assert found(store, id).optimal_budget == 30
    samples.asked(store, studies.CATS, last.text)
    Trash(store).delete([id])
    judged(labeling, "wrong", of=last.text, question=studies.CATS)
    Trash(store, rederive).undo(id)
    assert found(store, id).optimal_budget == 60


def test_an_import_that_stops_takes_what_its_labels_said_along(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    mine = samples.asked(store, CATS, TWELVE, TEN)
    labeling.sync()
    samples.asked(there.store, CATS, TWELVE)
    judged(there, "right")
    answered(there, "10")

    def meanwhile() -> bool:
        """Somebody says something else, and what has come by now disagrees."""
        judged(labeling, "wrong", name="Cem")
        return True

    with pytest.raises(StoppedError):
        moved(there.store, store, tmp_path, stop=meanwhile)
    assert samples.outcomes(store, mine) == [(Outcome.WRONG, "verdict"), NONE]


def test_what_a_person_says_last_stands_wherever_it_was_said(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    for one in (store, there.store):
        samples.asked(one, CATS, TWELVE, TEN)
    mine = store.list_sessions()[0].id
    for first, then, of in ((labeling, there, TWELVE), (there, labeling, TEN)):
        judged(first, "right", of=of)
        judged(then, "wrong", of=of)

    def halt() -> bool:
        return True

    before = rows(store)
    with pytest.raises(StoppedError):
        moved(there.store, store, tmp_path, stop=halt)
    assert rows(store) == before
    assert samples.outcomes(store, mine) == [(Outcome.CORRECT, "verdict"), (Outcome.WRONG, "verdict")]
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, mine) == [(Outcome.WRONG, "verdict"), (Outcome.WRONG, "verdict")]


def test_what_was_taken_back_elsewhere_is_taken_back_here_and_only_once(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    mine = samples.asked(store, CATS, TWELVE, TEN)
    judged(labeling, "right")
    judged(labeling, "right", of=TEN)
    moved(store, there.store, tmp_path)
    there.undo("ada")
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, mine) == [(Outcome.CORRECT, "verdict"), NONE]
    there.undo("ada")
    labeling.undo("ada")
    moved(there.store, store, tmp_path)
    assert samples.outcomes(store, mine) == [NONE, NONE]


def test_some_sessions_take_along_what_was_said_of_them_and_nothing_else(
    store: Store, labeling: Labeling, there: Labeling, tmp_path: Path
) -> None:
    mine = samples.asked(store, CATS, TWELVE)
    samples.asked(store, CATS, TEN)
    other = samples.asked(store, DOGS, TWELVE)
    question, mark = question_key(CATS.text), mark_target(answer_key(question_key(CATS.text), TWELVE, cut=False), "so")
    judged(labeling, "wrong", name="Eve")
    labeling.undo("eve")
    said(labeling, "Ada", "mark", mark, "1", CATS)
    judged(labeling, "right", name="Ben")
    labeling.commit([Change(labeling.sit_down("Cem"), "gold", question, question, "10", settle=True)])
    judged(labeling, "right", of=TEN, name="Dan")
    judged(labeling, "right", name="Fay", question=DOGS)
    moved(store, there.store, tmp_path, ids=[mine])
    whole = rows(store)
    some = {name: {row for row in of if not set(row) & {"dan", "fay"}} for name, of in whole.items()}
    assert rows(there.store) == some and len(some["label"]) == 3 and len(some["label_event"]) == 5
    assert samples.outcomes(there.store, mine) == samples.outcomes(store, mine) == [(Outcome.CORRECT, "verdict")]
    there.undo("ben")
    assert samples.outcomes(there.store, mine) == [(Outcome.WRONG, "gold")], "what they said can be taken back there"
    moved(store, there.store, tmp_path, ids=[other])
    assert {row[0] for row in rows(there.store)["annotator"]} == {"ada", "ben", "cem", "eve", "fay"}


def rows(store: Store) -> dict[str, set[tuple[Any, ...]]]:
    """Who said what, without the numbers that a database gives."""
    with store.reading() as connection:
        return {
            table.name: {
                tuple(row)
                for row in connection.execute(
                    select(*(c for c in table.columns if c.name not in ("id", "event_id", "undoes", "created_at")))
                    if table is not annotators else select(table.c.id)
                )
            }
            for table in (annotators, label_events, labels)
        }  # fmt: skip
