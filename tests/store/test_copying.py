"""A whole database into another kind of database and back, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tale_core import cli
from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.store import CallStore, ExperimentStore, Store, UnitRecord, copy_database, open_store, table_sums
from tale_core.store.archive import copying
from tale_core.store.tables import Base
from tale_core.types import Price, Question
from tests.store import samples

EMPTY = "0" * 64
# Both kinds of database stand in every test here.
pytestmark = pytest.mark.sqlite_only("both directions are in each test")


@pytest.fixture
def server(new_database: Callable[[], str]) -> Store:
    return open_store(new_database())


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Store]:
    return lambda name: open_store(f"sqlite:///{tmp_path / name}")


def filled(store: Store) -> str:
    """Put something into the tables; the id of a session that was deleted again had the highest call number."""
    for i in range(7):
        call = samples.call("", status="done", text=f"$ {i} – 课堂 \U0001f600", price=Price(0.15, 0.6, "2026-01"))
        session = samples.session(status="done", created_at=datetime(2026, 1, 1, 12, i, 0, 123456, UTC), calls=(call,))
        store.create_session(session)
    experiments = ExperimentStore(store)
    record = samples.session(id="experiment-x", kind="experiment", plan={"a": [1.5, None, {"b": "ü"}]})
    experiments.create(record, [Question("What?", answer="1", options=("x",))])
    (call_id,) = CallStore(store).write([samples.call(record.id, status="done", unit="0/0/vanilla", step=0)])
    CallStore(store).write(
        [UnitRecord(record.id, "0/0/vanilla", 0, "vanilla", 0, "done", True, answer_call_id=call_id)]
    )
    store.finish_session(record.id, "done")
    gone = store.create_session(samples.session(calls=(samples.call(""),)))
    samples.gone(store, gone.id)
    return record.id


def test_everything_arrives_in_both_directions_and_numbers_go_on(server: Store, file: Callable[[str], Store]) -> None:
    first, back = file("first.db"), file("back.db")
    experiment = filled(first)
    sent = copy_database(first, server)
    assert copy_database(server, back) == sent == table_sums(first) == table_sums(server) == table_sums(back)
    assert sent["session"].rows == 8 and sent["call"].rows == 8 and sent["experiment_unit"].rows == 1
    assert first.list_sessions() == server.list_sessions() == back.list_sessions()
    for one in first.list_sessions():
        assert first.get_session(one.id) == server.get_session(one.id) == back.get_session(one.id)
    assert ExperimentStore(server).figures(experiment) == ExperimentStore(back).figures(experiment)
    # The ninth call was deleted: its number is given nowhere again.
    given_next = [
        s.create_session(samples.session(calls=(samples.call(""),))).calls[0].id for s in (first, server, back)
    ]
    assert given_next == [10, 10, 10]


def test_any_row_arrives(server: Store, file: Callable[[str], Store]) -> None:
    first = file("first.db")

    @settings(
        max_examples=8, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(records=st.lists(samples.sessions, min_size=1, max_size=4))
    def fill(records: list[Any]) -> None:
        for record in records:
            first.create_session(record)

    fill()
    assert copy_database(first, server) == table_sums(server) == table_sums(first)


def test_a_checksum_tells_one_changed_letter_and_not_the_order(file: Callable[[str], Store]) -> None:
    one, two, three = file("1.db"), file("2.db"), file("3.db")
    assert {s.checksum for s in table_sums(one).values()} == {EMPTY}
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    a, b = (samples.session(id=f"ask-{x}", created_at=moment, updated_at=moment, status="done") for x in "ab")
    for store, records in ((one, (a, b)), (two, (b, a))):
        for record in records:
            store.create_session(record)
        with store.writing() as connection:
            connection.exec_driver_sql("UPDATE session SET heartbeat_at = '2026-01-01 00:00:00.000000'")
    assert table_sums(one) == table_sums(two)
    copy_database(one, three)
    three.update_session("ask-a", budget_raw="x")
    assert table_sums(three)["session"] != table_sums(one)["session"]


def test_a_target_that_is_not_empty_is_refused_and_left_as_it_is(server: Store, file: Callable[[str], Store]) -> None:
    first = file("first.db")
    filled(first)
    server.create_session(samples.session())
    before = table_sums(server)
    with pytest.raises(InputError, match="not empty: session"):
        copy_database(first, server)
    with pytest.raises(InputError, match="same"):
        copy_database(first, first)
    assert table_sums(server) == before


def test_what_is_running_in_the_source_is_refused(server: Store, file: Callable[[str], Store]) -> None:
    first = file("first.db")
    first.create_session(samples.session())
    with pytest.raises(InputError, match="1 session is running"):
        copy_database(first, server)


@pytest.mark.parametrize("way", ["to a server", "to a file"])
def test_a_failure_in_the_middle_leaves_the_target_empty(
    server: Store, file: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    first = file("first.db")
    filled(first)
    target = server if way == "to a server" else file("target.db")
    whole = copying.copy_table

    def breaks(old: Any, new: Any, table: Any, progress: Any) -> Any:
        done = whole(old, new, table, progress)
        if table.name == "call":
            new.exec_driver_sql("SELECT * FROM no_such_table")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(copying, "copy_table", breaks)
        with pytest.raises(StoreError):
            copy_database(first, target)
    assert {s.rows for s in table_sums(target).values()} == {0}
    assert copy_database(first, target) == table_sums(first)


@pytest.mark.parametrize("way", ["to a server", "to a file"])
def test_what_arrives_changed_is_not_kept(server: Store, file: Callable[[str], Store], way: str) -> None:
    first = file("first.db")
    filled(first)
    target = server if way == "to a server" else file("target.db")
    change = "UPDATE call SET text = 'lost' WHERE id = new.id;"
    with target.writing() as connection:
        if target is server:
            body = f"BEGIN {change} RETURN NULL; END"
            connection.exec_driver_sql(f"CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
            connection.exec_driver_sql(
                "CREATE TRIGGER lose AFTER INSERT ON call FOR EACH ROW WHEN (new.id = 3) EXECUTE FUNCTION lose()"
            )
        else:
            connection.exec_driver_sql(f"CREATE TRIGGER lose AFTER INSERT ON call WHEN new.id = 3 BEGIN {change} END")
    with pytest.raises(StoreError, match="table call is not what was sent"):
        copy_database(first, target)
    assert {s.rows for s in table_sums(target).values()} == {0}


def test_the_command_copies_and_says_what(
    new_database: Callable[[], str], file: Callable[[str], Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(file("first.db"))
    source, target = f"sqlite:///{tmp_path / 'first.db'}", new_database()
    assert cli.main(["db", "copy", source, target, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verified"] and found["tables"]["session"]["rows"] == 8
    assert set(found["tables"]) == {table.name for table in Base.metadata.sorted_tables}
    assert cli.main(["db", "copy", source, target]) == 2
    told = capsys.readouterr()
    assert "not empty" in told.err and target.split(":")[2].split("@")[0] not in told.err
    missing = tmp_path / "missing.db"
    assert cli.main(["db", "copy", f"sqlite:///{missing}", target]) == 1
    assert not missing.exists()
    with pytest.raises(NotFoundError):
        open_store(f"sqlite:///{missing}", create=False)
