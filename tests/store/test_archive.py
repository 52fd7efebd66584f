"""Archives: what goes in comes out on another machine, and what is damaged or hostile brings nothing."""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from tale_core.errors import InputError, StoppedError, StoreError
from tale_core.i18n import t, use_language
from tale_core.process import current_owner
from tale_core.store import (
    Archive,
    ExperimentStore,
    SessionFilter,
    Store,
    Trash,
    export_archive,
    import_archive,
    look,
    open_store,
    tidy,
)
from tale_core.store.archive import importing
from tale_core.store.archive.belonging import kin
from tale_core.store.tables import Base, imported_rows, imports, trash
from tale_core.types import Message, Question
from tests.pages import experiment_samples
from tests.store import samples
from tests.store.test_history import found, kept, whole
from tests.store.test_trash import rows_of_everything, same


def bring(store: Store, path: Path, **options: Any) -> importing.Imported:
    with Archive(path) as opened:
        look(store, opened)
    with Archive(path) as opened:
        return import_archive(store, opened, **options)


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as zipped:
        return {info.filename: zipped.read(info) for info in zipped.infolist()}


def test_every_table_is_archived_or_says_why_not() -> None:
    # A table that refers to a session joins by itself. One that stands beside sessions joins too: when this fails,
    # decide whether its rows may leave the machine, and add it here or give it {"archive": False}.
    assert {one.name for one in kin()} == {
        "session", "call", "experiment_question", "experiment_unit",
        "annotator", "label_question", "label_item", "label_event", "label",
    }  # fmt: skip
    assert {name for name, table in Base.metadata.tables.items() if not table.info.get("archive", True)} == {
        "trash", "import_run", "import_row", "label_claim", "audit", "kept_key", "room",
        "room_seat", "room_guess", "room_call", "room_strike", "traffic", "traffic_pair",
    }  # fmt: skip


def test_parents_come_before_their_children() -> None:
    seen: set[str] = set()
    for one in kin():
        assert {reference.to for reference in one.references} <= seen | {one.name}
        seen.add(one.name)


def test_any_session_comes_out_as_it_went_in(store: Store, other: Store, archive: Path) -> None:
    @settings(max_examples=25, deadline=None, database=None, phases=[Phase.generate])
    @given(records=st.lists(samples.sessions, min_size=1, max_size=3))
    def check(records: list[Any]) -> None:
        for record in records:
            calls = tuple(replace(c, status="done") for c in record.calls)
            store.create_session(replace(record, calls=calls))
        export_archive(store, archive, overwrite=True)
        bring(other, archive)
        for record in records:
            ours, theirs = store.get_session(record.id), other.get_session(record.id)
            assert same(replace(ours, owner=""), theirs)

    check()


def test_an_experiment_and_its_texts_are_found_on_the_other_machine(store: Store, other: Store, archive: Path) -> None:
    kept(other, "already here", "some answer")  # So that the numbers of calls are taken.
    id = experiment_samples.kept(failed=2)
    made = export_archive(store, archive)
    assert made.manifest.whole and made.manifest.sessions == 1 and made.size == archive.stat().st_size
    assert bring(other, archive) == importing.Imported(new=1)
    ours, theirs = ExperimentStore(store), ExperimentStore(other)
    assert theirs.figures(id) == ours.figures(id) and theirs.questions(id) == ours.questions(id)
    assert found(other, "asked as number 7") == [id] == found(other, "Answered by vanilla")
    whole(Path(other.where))


def test_a_dry_run_tells_what_would_come_and_stores_nothing(store: Store, other: Store, archive: Path) -> None:
    new, here, newer = kept(store, kind="search"), kept(store), kept(store)
    export_archive(store, archive)
    bring(other, archive)
    Trash(other).delete([new])
    store.update_session(newer, budget=7)
    export_archive(store, archive, overwrite=True)
    before = rows_of_everything(other)
    with Archive(archive) as opened:
        told = look(other, opened)
    assert (told.total, told.new, told.here, told.changed, told.running) == (3, 1, 2, 1, 0)
    assert told.sessions == {"search": 1, "ask": 2} and told.whole and here
    assert rows_of_everything(other) == before


def test_what_is_here_is_kept_or_replaced_as_chosen(store: Store, other: Store, archive: Path) -> None:
    id = kept(store, "the archive's", "a")
    kept(other, "the one here", "b", id=id)
    export_archive(store, archive)
    assert bring(other, archive) == importing.Imported(skipped=1)
    assert other.get_session(id).question.text == "the one here"
    assert bring(other, archive, existing="replace") == importing.Imported(replaced=1)
    assert same(other.get_session(id), replace(store.get_session(id), owner=""))
    assert found(other, "the one here") == [] and Trash(other).pending() == []
    with other.reading() as connection:
        assert connection.execute(select(trash)).all() == connection.execute(select(imports)).all() == []


def test_a_session_that_runs_here_is_left_alone_and_one_that_ran_there_is_interrupted(
    store: Store, other: Store, archive: Path
) -> None:
    id = kept(store)
    other.create_session(samples.session(id=id))
    there = store.create_session(samples.session())
    samples.begun(store, samples.call(there.id, text="half"))
    export_archive(store, archive)
    with Archive(archive) as opened:
        assert look(other, opened).running == 1
    assert bring(other, archive, existing="replace") == importing.Imported(new=1, skipped=1)
    assert other.get_session(id).status == "running"
    read = other.get_session(there.id)
    assert (read.status, read.calls[0].status, read.calls[0].text) == ("interrupted", "interrupted", "half")
    assert found(other, "half") == [there.id]


def test_a_selection_holds_what_was_asked_for(store: Store, other: Store, archive: Path) -> None:
    ids = [kept(store, f"question {i}", "answer", kind="search" if i % 2 else "ask") for i in range(6)]
    made = export_archive(store, archive, wanted=SessionFilter(kind="search"))
    assert made.manifest.sessions == 3 and not made.manifest.whole
    export_archive(store, archive, ids=ids[:2], overwrite=True)
    assert bring(other, archive).new == 2 and sorted(found(other)) == sorted(ids[:2])
    with pytest.raises(InputError, match="No session is left"):
        export_archive(store, archive, ids=["ask-nothing"], overwrite=True)
    assert bring(other, archive).skipped == 2  # The archive that was there is as it was.


def test_an_export_replaces_nothing_unasked_and_leaves_no_half_file(store: Store, archive: Path) -> None:
    for i in range(3):
        kept(store, f"question {i}")
    export_archive(store, archive)
    before = archive.read_bytes()
    with pytest.raises(InputError, match="already"):
        export_archive(store, archive)
    with pytest.raises(StoppedError):
        stopping(store, archive)
    with pytest.raises(StoreError, match="cannot be written"):
        export_archive(store, archive.parent / "no" / "such" / "folder.zip")
    assert archive.read_bytes() == before and list(archive.parent.glob(".*")) == []
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def stopping(store: Store, archive: Path) -> None:
    from tale_core.store.archive import writing as archive_writing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_writing, "AT_ONCE", 1)
        export_archive(store, archive, overwrite=True, stop=lambda: True)


def test_no_key_no_password_and_no_trace_of_the_machine_is_in_an_archive(store: Store, archive: Path) -> None:
    endpoint = "https://user:hunter2@host/v1?api-key=hunter2"
    id = kept(store, endpoint=endpoint, error="http://user:hunter2@host refused")
    store.create_session(samples.session(calls=(samples.call("", endpoint=endpoint, status="done"),)))
    assert id
    export_archive(store, archive)
    for name, text in contents(archive).items():
        assert b"hunter2" not in text and current_owner().encode() not in text, name
        assert str(store.where).encode() not in text


def test_an_error_is_read_in_the_readers_language_wherever_an_archive_took_it(
    store: Store, other: Store, archive: Path
) -> None:
    old, new = kept(store, error="On fire."), kept(store, error=t("Give a key."))
    with use_language("zh"):
        export_archive(store, archive)
    bring(other, archive)
    assert (other.get_session(old).error, other.get_session(new).error) == ("On fire.", "Give a key.")
    with use_language("zh"):
        assert (other.get_session(old).error, other.get_session(new).error) == ("On fire.", "请给出密钥。")


@pytest.mark.sqlite_only("another process opens the file")
def test_an_archive_is_written_and_read_without_being_held_in_memory(store: Store, other: Store, archive: Path) -> None:
    big = "".join(chr(33 + i * 7 % 90) for i in range(300_000))
    for i in range(60):
        # A long prompt, which is not searched: what is measured is the archive, not the index.
        kept(store, f"question {i}", calls=(samples.call("", status="done", messages=(Message("user", big),)),))
    export_archive(store, archive)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tale_core.store import Archive, export_archive, import_archive, look, open_store\n"
        "here, there = open_store(sys.argv[1]), open_store(sys.argv[2])\n"
        "path = Path(sys.argv[3])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "export_archive(here, path, overwrite=True)\n"
        "with Archive(path) as a: look(there, a)\n"
        "with Archive(path) as a: import_archive(there, a)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    urls = [f"sqlite:///{s.where}" for s in (store, other)]
    command = [sys.executable, "-c", code, *urls, str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert int(done.stdout) < 14_000  # KiB, of 18 MB of text.
    assert len(found(other)) == 60


# --- nothing half


@pytest.fixture
def many(store: Store, archive: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An archive that comes in several transactions."""
    monkeypatch.setattr(importing, "AT_ONCE", 4)
    ids = [kept(store, f"question {i}", "answer", "other") for i in range(12)]
    export_archive(store, archive)
    return ids


def test_an_import_that_is_stopped_or_fails_leaves_everything_as_it_was(
    other: Store, archive: Path, many: list[str]
) -> None:
    kept(other, "the one here", "mine", id=many[3])
    before, session = rows_of_everything(other), other.get_session(many[3])
    done: list[int] = []
    with pytest.raises(StoppedError):
        bring(other, archive, existing="replace", progress=done.append, stop=lambda: len(done) > 5)
    assert done == [1, 2, 3, 4, 5, 6]
    assert rows_of_everything(other) == before and same(other.get_session(many[3]), session)

    def full(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO session") and len(done) > 9:
            done.clear()  # Once.
            raise StoreError("the disk is full")

    event.listen(other.engine, "before_cursor_execute", full)
    done.clear()
    with pytest.raises(StoreError, match="full"):
        bring(other, archive, existing="replace", progress=done.append)
    event.remove(other.engine, "before_cursor_execute", full)
    assert rows_of_everything(other) == before and same(other.get_session(many[3]), session)
    whole(Path(other.where))
    assert bring(other, archive, existing="replace") == importing.Imported(new=11, replaced=1)


def test_an_import_that_could_not_be_undone_at_once_is_undone_later(
    other: Store, archive: Path, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any) -> None:
        raise StoreError("the disk is full")

    done: list[int] = []
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(importing, "undo", cannot)
        bring(other, archive, progress=done.append, stop=lambda: len(done) > 3)
    assert len(found(other)) == 4
    tidy(other)
    assert set(rows_of_everything(other).values()) == {0} and many


def test_what_a_killed_import_has_brought_is_taken_out_again(
    store: Store, other: Store, archive: Path, many: list[str], python: Callable[[str], subprocess.Popen[str]]
) -> None:
    kept(other, "the one here", "mine", id=many[-1])
    before = rows_of_everything(other)
    process = python(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tale_core.store import Archive, import_archive, open_store\n"
        "from tale_core.store.archive import importing\n"
        "importing.AT_ONCE = 4\n"
        "url, path = sys.stdin.readline().split()\n"
        "def progress(n):\n"
        "    if n == 6: print('going', flush=True); time.sleep(60)\n"
        "with Archive(Path(path)) as a:\n"
        "    import_archive(open_store(url), a, existing='replace', progress=progress)\n"
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"sqlite:///{other.where} {archive}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "going\n"
    tidy(other)
    assert len(found(other)) == 6 + (many[-1] not in found(other, "answer"))  # It is alive: nothing is touched.
    process.kill()
    process.wait()
    other.close()
    again = open_store(f"sqlite:///{other.where}")
    assert rows_of_everything(again) == before and again.get_session(many[-1]).question.text == "the one here"
    with again.reading() as connection:
        assert connection.execute(select(imported_rows)).all() == []
    again.close()


def test_an_import_taken_for_dead_stops_and_brings_nothing(
    other: Store, archive: Path, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged_gone(done: int) -> None:
        if done == 3:
            monkeypatch.setattr(importing, "owner_is_gone", lambda *_, **__: True)
            tidy(other)

    with pytest.raises(StoreError, match="taken for dead"):
        bring(other, archive, progress=judged_gone)
    assert set(rows_of_everything(other).values()) == {0} and many


def test_others_write_while_an_import_goes_on(store: Store, other: Store, archive: Path, many: list[str]) -> None:
    impatient = open_store(f"sqlite:///{other.where}", lock_timeout_s=0.5)
    ids = []

    def write(_: int) -> None:
        ids.append(kept(impatient, "written meanwhile", "x"))

    assert bring(other, archive, progress=write).new == 12
    assert sorted(found(other, "written meanwhile")) == sorted(ids)
    impatient.close()


def test_a_session_keeps_its_time_and_place_in_the_list(store: Store, other: Store, archive: Path) -> None:
    old = kept(store, created_at=store.get_session(kept(store)).created_at - timedelta(days=400))  # type: ignore[operator]
    export_archive(store, archive)
    bring(other, archive)
    assert found(other)[-1] == old and found(other) == found(store)
    assert other.get_session(old).question == Question("How many legs?")
