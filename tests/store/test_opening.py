from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, make_url

from tale_core.errors import NotFoundError, StoreError, StoreVersionError
from tale_core.settings import Settings, get_settings
from tale_core.store import Store, open_store
from tale_core.store.database import opening
from tests.store import samples

Python = Callable[[str], subprocess.Popen[str]]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.sqlite_only("about the file")
def test_folder_and_files_are_for_the_user_alone_whatever_the_umask(database: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store()
        store.create_session(samples.session())
        files = {file.name: mode(file) for file in database.parent.iterdir()}
    finally:
        os.umask(before)
    assert mode(database.parent) == 0o700
    assert {"tale.db", "tale.db-wal", "tale.db-shm"} <= set(files)
    assert set(files.values()) == {0o600}
    store.close()


@pytest.mark.sqlite_only("about where the file is")
def test_opening_twice_gives_the_same_store_and_another_address_another(tmp_path: Path) -> None:
    first = open_store()
    assert open_store() is first
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    assert other is not first
    assert open_store(settings=Settings(data_dir=tmp_path / "third")) not in (first, other)
    assert (tmp_path / "third" / "tale.db").exists()


@pytest.mark.sqlite_only("about its PRAGMAs")
def test_connections_are_set_up_for_many_readers_and_one_writer(store: Store) -> None:
    with store.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.sqlite_only("about the file")
def test_a_database_deleted_meanwhile_is_made_anew(database: Path) -> None:
    first = open_store()
    session = first.create_session(samples.session())
    for file in database.parent.iterdir():
        file.unlink()
    again = open_store()
    assert again.count_sessions() == 0
    with pytest.raises(NotFoundError):
        again.get_session(session.id)


def test_what_was_written_is_there_after_closing(store: Store) -> None:
    session = store.create_session(samples.session())
    store.close()
    assert store.get_session(session.id) == session


@pytest.mark.sqlite_only("about the file")
@pytest.mark.parametrize("name", ["with space", "50%20", "a?b", "a#b", "ünï", "it's"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    settings = Settings(data_dir=tmp_path / name)
    store = open_store(settings=settings)
    store.create_session(samples.session())
    store.close()
    assert open_store(settings=settings).count_sessions() == 1


def refused_by_server(url: str, kind: type[StoreError]) -> str:
    with pytest.raises(kind) as caught:
        open_store()
    assert make_url(url).password not in str(caught.value)
    assert "TALE_DATABASE_URL" in str(caught.value)
    return str(caught.value)


def refused(database: Path, kind: type[StoreError]) -> str:
    """Opening fails and leaves the file byte-identical; returns the message."""
    before = database.read_bytes()
    with pytest.raises(kind) as caught:
        open_store()
    assert database.read_bytes() == before
    assert str(database) in str(caught.value)
    assert "TALE_DATABASE_URL" in str(caught.value)
    return str(caught.value)


@pytest.mark.sqlite_only("about the file")
@pytest.mark.parametrize(
    "content", [b"not a database at all\n" * 100, b"\x00" * 8192, b"x", b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(database: Path, content: bytes) -> None:
    database.parent.mkdir()
    database.write_bytes(content)
    assert "not a database" in refused(database, StoreError)
    assert [file.name for file in database.parent.iterdir()] == ["tale.db"]


@pytest.mark.sqlite_only("about the file")
def test_a_database_cut_short_is_refused_and_left_as_it_is(store: Store, database: Path) -> None:
    store.create_session(samples.session())
    store.close()
    whole = database.read_bytes()
    database.unlink()
    database.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(database, StoreError)


def test_a_newer_database_is_refused_and_left_as_it_is(
    store: Store, database: Path, other_program: Engine, backend: str
) -> None:
    store.close()
    with other_program.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'tale_9999'")
    if backend == "sqlite":
        moved = database.with_name("moved.db")
        database.rename(moved)
        database.write_bytes(moved.read_bytes())
        message = refused(database, StoreVersionError)
    else:
        message = refused_by_server(get_settings().resolved_database_url, StoreVersionError)
    assert "newer version" in message
    assert "tale_9999" in message


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE session (id INTEGER)",
        "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0001')",
        "CREATE TABLE alembic_version (version_num TEXT); CREATE TABLE call (id INTEGER)",
    ],
)
@pytest.mark.empty_database
def test_the_database_of_another_program_is_refused_and_left_as_it_is(
    database: Path, other_program: Engine, backend: str, script: str
) -> None:
    database.parent.mkdir()
    with other_program.begin() as connection:
        for statement in script.split(";"):
            connection.exec_driver_sql(statement)
    if backend == "sqlite":
        assert "not a database of this program" in refused(database, StoreVersionError)
        return
    url = get_settings().resolved_database_url
    assert "not a database of this program" in refused_by_server(url, StoreVersionError)
    with other_program.connect() as connection:
        assert "session_id" not in str(inspect(connection).get_table_names())


@pytest.mark.sqlite_only("about the file")
def test_an_empty_file_is_taken_for_a_new_database(database: Path) -> None:
    database.parent.mkdir()
    database.touch()
    assert open_store().count_sessions() == 0


@pytest.mark.sqlite_only("no database is opened")
@pytest.mark.parametrize(
    "url", ["nonsense", "sqlite://", "sqlite:///:memory:", "sqlite:////x.db?mode=ro", "nodb://host/x"]
)
def test_a_url_that_cannot_work_is_refused_in_words(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.hint


@pytest.mark.sqlite_only("no database is opened")
def test_a_refused_url_does_not_repeat_its_password() -> None:
    for url in ("nodb://user:hunter2@host/x", "user:hunter2@host"):
        with pytest.raises(StoreError) as caught:
            open_store(url)
        assert "hunter2" not in str(caught.value)


@pytest.mark.sqlite_only("about the file")
def test_a_file_in_the_place_of_the_folder_is_refused_in_words(database: Path) -> None:
    database.parent.write_text("a file")
    with pytest.raises(StoreError, match="TALE_DATA_DIR"):
        open_store()


@pytest.mark.sqlite_only("about the file")
def test_a_folder_in_the_place_of_the_file_is_refused_in_words(database: Path) -> None:
    database.mkdir(parents=True)
    with pytest.raises(StoreError, match="it is a folder"):
        open_store()


@pytest.mark.sqlite_only("about the file")
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_is_refused_in_words(database: Path, python: Python) -> None:
    database.parent.mkdir()
    database.parent.chmod(0o555)
    process = python(
        "import os\n"
        "from tale_core.store import open_store\n"
        "from tale_core.errors import StoreError\n"
        # Permissions do not bind the superuser.
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: open_store()\n"
        "except StoreError as e: print(e)\n"
    )
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert str(database) in out
    assert "Permission denied" in out
    assert "TALE_DATA_DIR" in out


def test_opening_a_current_database_imports_neither_alembic_nor_filelock(store: Store, python: Python) -> None:
    store.create_session(samples.session())
    process = python(
        "import sys\n"
        "from tale_core.store import open_store\n"
        "assert open_store().count_sessions() == 1\n"
        "print([m for m in ('alembic', 'filelock', 'mako', 'sqlmodel') if m in sys.modules])\n"
    )
    out, err = process.communicate()
    # SQLAlchemy's own dialect for PostgreSQL needs no Alembic either.
    assert (out, err) == ("['sqlmodel']\n", "")


@pytest.mark.sqlite_only("about words")
def test_no_password_of_an_address_is_shown_wherever_it_stands() -> None:
    url = make_url(
        "postgresql+psycopg://me:in-front@db/tale?password=behind&sslmode=require&sslpassword=also&passfile=f"
    )
    assert opening.shown_address(url) == "postgresql+psycopg://me:***@db/tale?sslmode=require"


@pytest.mark.sqlite_only("about words")
def test_a_driver_without_its_library_is_told_with_what_installs_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install -r requirements-postgres\.txt"):
        open_store("postgresql+psycopg://me@db/tale")
