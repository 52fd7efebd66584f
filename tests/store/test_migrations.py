from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, make_url

from tale_core.errors import StoreError, StoreLockedError
from tale_core.settings import get_settings
from tale_core.store import Store, open_store
from tale_core.store.database import migrate
from tale_core.store.tables import Base
from tests.store import samples

MIGRATIONS = Path(migrate.__file__).parents[1] / "migrations"


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        options = {"compare_type": True, "include_name": migrate.is_ours}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, Base.metadata))


def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store, other_program: Engine) -> None:
    assert differences(other_program) == []


def test_deleting_a_session_cascades_and_call_ids_are_never_reused_in_the_migrated_schema(
    store: Store, other_program: Engine, backend: str
) -> None:
    # Alembic's comparison sees neither on SQLite.
    with other_program.connect() as connection:
        (key,) = inspect(connection).get_foreign_keys("call")
        if backend == "sqlite":
            created = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'call'").scalar_one()
            assert "AUTOINCREMENT" in created
    assert key["options"] == {"ondelete": "CASCADE"}


@pytest.mark.sqlite_only("about files of the program, not about a database")
def test_head_is_the_newest_revision_and_every_revision_is_named_so_that_it_sorts() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [migrate.HEAD]
    oldest_first = [revision.revision for revision in reversed(list(script.walk_revisions()))]
    assert oldest_first == [f"tale_{i:04}" for i in range(1, len(oldest_first) + 1)]


@pytest.mark.empty_database
def test_a_migration_that_fails_half_way_leaves_an_empty_database_that_can_be_opened_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = migrate.run_alembic

    def fails_at_the_end(connection: Any) -> None:
        whole(connection)
        assert "call" in inspect(connection).get_table_names()
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    with monkeypatch.context() as patch:
        patch.setattr(migrate, "run_alembic", fails_at_the_end)
        with pytest.raises(StoreError):
            open_store()
    url = make_url(get_settings().resolved_database_url)
    assert not migrate.is_current(url, "", lock_timeout_s=1)
    assert open_store().count_sessions() == 0


@pytest.mark.sqlite_only("the lock is a file beside the database's own")
@pytest.mark.empty_database
def test_somebody_elses_migration_past_the_limit_is_a_locked_store(database: Path) -> None:
    from filelock import FileLock

    database.parent.mkdir()
    with FileLock(f"{database}.migrate.lock"), pytest.raises(StoreLockedError, match="preparing"):
        open_store(lock_timeout_s=0.2)


@pytest.mark.empty_database
def test_somebody_elses_migration_on_a_server_past_the_limit_is_a_locked_store(
    backend: str, other_program: Engine
) -> None:
    if backend == "sqlite":
        return  # Its lock is a file; see above.
    with other_program.connect() as other:
        other.exec_driver_sql(f"SELECT pg_advisory_lock({migrate.POSTGRESQL_LOCK})")
        with pytest.raises(StoreLockedError):
            open_store(lock_timeout_s=0.2)
    assert open_store().count_sessions() == 0


@pytest.mark.empty_database
def test_processes_that_open_a_fresh_database_at_once_all_succeed(
    python: Callable[[str], subprocess.Popen[str]],
) -> None:
    code = (
        "from tale_core.store import open_store\n"
        "from tests.store import samples\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "open_store().create_session(samples.session())\n"
    )
    processes = [python(code) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate() for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, results, strict=True)] == [(0, "")] * 3
    store = open_store()
    assert store.count_sessions() == 3
    store.create_session(samples.session())
