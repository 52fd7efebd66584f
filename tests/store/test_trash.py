"""Deleting for now: what goes with a session, what comes back, what is refused, and when it is final."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from tale_core.errors import NotFoundError, StoreError
from tale_core.store import UNDO_FOR, ExperimentStore, History, SessionFilter, Store, Trash, open_store, queries
from tale_core.store.tables import Base, calls, trash
from tale_core.types import SessionRecord
from tests.pages import experiment_samples
from tests.store import samples
from tests.store.test_history import found, kept, whole


def same(one: SessionRecord, other: SessionRecord) -> bool:
    """The same but for the numbers that the database gives to calls."""
    return [replace(c, id=0) for c in one.calls] == [replace(c, id=0) for c in other.calls] and (
        replace(one, calls=()) == replace(other, calls=())
    )


def rows_of_everything(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return {
            name: len(connection.execute(select(table)).all())
            for name, table in Base.metadata.tables.items()
            if name != "trash"
        }


def test_a_deleted_session_is_nowhere_and_comes_back_whole(store: Store, database: Path) -> None:
    id = kept(store, "A question about pumpkins", "an answer", "another")
    before = store.get_session(id)
    (deleted,), refused = Trash(store).delete([id])
    assert refused == [] and (deleted.session_id, deleted.title) == (id, "A question about pumpkins")
    with pytest.raises(NotFoundError):
        store.get_session(id)
    assert found(store, "pumpkins") == found(store) == [] and store.count_sessions() == 0
    assert set(rows_of_everything(store).values()) == {0}
    Trash(store).undo(id)
    assert same(store.get_session(id), before)
    assert found(store, "pumpkins another") == [id] and Trash(store).pending() == []
    whole(database)


def test_an_experiment_comes_back_with_its_questions_and_units(store: Store) -> None:
    id = experiment_samples.kept(failed=2)
    experiments = ExperimentStore(store)
    before, rows = store.get_session(id), rows_of_everything(store)
    figures, questions = experiments.figures(id), experiments.questions(id)
    kept(store, calls=(samples.call("", status="done"),))  # A later call: the numbers of before are not the next ones.
    Trash(store).delete([id])
    Trash(store).undo(id)
    assert same(store.get_session(id), before)
    assert experiments.figures(id) == figures and experiments.questions(id) == questions
    assert rows_of_everything(store)["experiment_unit"] == rows["experiment_unit"]


def test_the_numbers_of_calls_are_never_given_again(store: Store) -> None:
    id = kept(store, "q", "a", "b")
    calls = store.get_session(id).calls
    old = {c.id for c in calls}
    Trash(store).delete([id])
    Trash(store).undo(id)
    assert not old & {c.id for c in store.get_session(id).calls}
    for call in calls:
        samples.written(store, call, text="late")  # Meets nothing.
    assert "late" not in {c.text for c in store.get_session(id).calls}


def test_a_running_session_is_refused_and_the_others_go(store: Store) -> None:
    running, ended = store.create_session(samples.session()).id, kept(store)
    done, refused = Trash(store).delete([running, ended, running, "ask-nothing"])
    assert [d.session_id for d in done] == [ended]
    assert [r.session_id for r in refused] == [running, "ask-nothing"]
    assert "still running" in refused[0].why and "not there" in refused[1].why
    assert store.get_session(running).status == "running"


def test_a_deletion_becomes_final_when_the_trash_is_emptied(store: Store) -> None:
    mine, other = kept(store), kept(store)
    Trash(store).delete([mine, other])
    assert Trash(store).finish([mine]) == 1 and Trash(store).finish([]) == 0
    assert [d.session_id for d in Trash(store).pending()] == [other]
    with pytest.raises(NotFoundError, match="final"):
        Trash(store).undo(mine)
    Trash(store).undo(other)
    with pytest.raises(NotFoundError, match="undone already"):
        Trash(store).undo(other)


def test_a_deletion_becomes_final_at_its_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = kept(store)
    (deleted,), _ = Trash(store).delete([id])
    assert deleted.final_at - deleted.deleted_at == UNDO_FOR == timedelta(days=30)
    now = deleted.final_at - timedelta(seconds=1)
    monkeypatch.setattr(queries, "now", lambda: now)
    assert Trash(store).expire() == 0 and len(Trash(store).pending()) == 1
    now = deleted.final_at
    assert Trash(store).pending() == [] and rows(store) == 0


def rows(store: Store) -> int:
    with store.reading() as connection:
        return len(connection.execute(select(trash.c.session_id)).all())


def test_whoever_opens_the_store_throws_away_what_is_final(store: Store) -> None:
    Trash(store).delete([kept(store), kept(store)])
    with store.writing() as connection:
        first = connection.execute(select(trash.c.session_id)).scalars().first()
        over = trash.update().where(trash.c.session_id == first).values(final_at=queries.now())
        connection.execute(over)
    store.close()
    assert rows(open_store()) == 1


def test_undo_does_not_write_over_a_session_that_is_there_again(store: Store) -> None:
    id = kept(store, "first")
    Trash(store).delete([id])
    kept(store, "second", id=id)
    with pytest.raises(StoreError, match="there again"):
        Trash(store).undo(id)
    assert store.get_session(id).question.text == "second"
    Trash(store).delete([id])
    Trash(store).undo(id)
    assert store.get_session(id).question.text == "second"  # The newer deletion counts.


def test_a_kill_leaves_a_session_there_or_in_the_trash(
    store: Store, python: Callable[[str], subprocess.Popen[str]]
) -> None:
    ids = [kept(store, f"question {i}", "words " * 200) for i in range(60)]
    process = python(
        "import os, sys\n"
        "from tale_core.store import Trash, open_store\n"
        "trash = Trash(open_store())\n"
        "for n, id in enumerate(sys.stdin.readline().split()):\n"
        "    trash.delete([id])\n"
        "    if n == 5: print('going', flush=True)\n"
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(" ".join(ids) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "going\n"
    process.kill()
    process.wait()
    gone = {d.session_id for d in Trash(store).pending(limit=100)}
    there = set(found(store))
    assert gone | there == set(ids) and not gone & there and len(gone) > 5
    for id in gone:
        Trash(store).undo(id)
    assert {len(store.get_session(id).calls) for id in ids} == {1}


def test_a_failure_in_the_middle_deletes_nothing_and_undoes_nothing(store: Store) -> None:
    id = kept(store, "q", "a")

    def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT INTO trash", "DELETE FROM trash")) and broken:
            raise StoreError("the disk is full")

    event.listen(store.engine, "before_cursor_execute", fail)
    broken = True
    with pytest.raises(StoreError, match="full"):
        Trash(store).delete([id])
    broken = False
    assert found(store, "q") == [id] and Trash(store).pending() == []
    Trash(store).delete([id])
    broken = True
    with pytest.raises(StoreError, match="full"):
        Trash(store).undo(id)
    broken = False
    assert found(store) == [] and len(Trash(store).pending()) == 1
    Trash(store).undo(id)
    with store.reading() as connection:
        assert len(connection.execute(select(calls)).all()) == 1


def test_history_offers_what_can_be_undone_and_not_what_an_import_put_away(store: Store) -> None:
    id = kept(store)
    Trash(store).delete([id])
    with store.writing() as connection:
        connection.execute(trash.update().values(import_id="import-x"))
    assert Trash(store).pending() == [] and Trash(store).finish([id]) == 0
    assert History(store).listing(SessionFilter()).count == 0
