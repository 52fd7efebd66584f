from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, event

from tale_core.errors import StoreError, StoreLockedError
from tale_core.process import current_owner
from tale_core.store import (
    CallStore,
    ExperimentStore,
    Store,
    UnitRecord,
    new_session_id,
    open_store,
    repository,
)
from tests.store import samples

Python = Callable[[str], subprocess.Popen[str]]

WRITER = """
from tale_core.store import open_store
from tests.store import samples
store = open_store()
session = store.create_session(samples.session())
call = samples.begun(store, samples.call(session.id))
text = ""
for i in range(10_000_000):
    text = (text + f"word{i} ")[-2000:]
    samples.written(store, call, text=text, completion_tokens=i + 1)
    if i == 20:
        print(session.id, flush=True)
"""


def killed_writer(python: Python) -> tuple[str, subprocess.Popen[str]]:
    """The session of a process killed while it wrote an answer, and that process, not yet waited for."""
    process = python(WRITER)
    assert process.stdout is not None
    session_id = process.stdout.readline().strip()
    assert session_id
    process.send_signal(signal.SIGKILL)
    return session_id, process


def test_a_kill_in_the_middle_of_an_answer_reads_as_interrupted_with_its_partial_text(python: Python) -> None:
    session_id, process = killed_writer(python)
    process.wait()
    read = open_store().get_session(session_id)
    (call,) = read.calls
    assert (read.status, call.status) == ("interrupted", "interrupted")
    assert call.text.startswith("word0 word1 ") or len(call.text) == 2000
    assert call.completion_tokens is not None and call.completion_tokens > 20
    assert call.text.endswith(f"word{call.completion_tokens - 1} ")


def test_a_killed_process_that_nobody_waited_for_counts_as_gone(store: Store, python: Python) -> None:
    session_id, process = killed_writer(python)
    deadline = time.monotonic() + 30
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert store.list_sessions()[0].status == "interrupted"
    assert store.get_session(session_id).status == "interrupted"


def test_a_session_of_a_living_process_stays_running(store: Store, python: Python) -> None:
    process = python(WRITER)
    assert process.stdout is not None
    theirs = process.stdout.readline().strip()
    ours = store.create_session(samples.session()).id
    assert store.reconcile_interrupted() == []
    assert store.get_session(theirs).status == store.get_session(ours).status == "running"


@pytest.mark.parametrize(
    ("owner", "silent", "interrupted"),
    [
        ("elsewhere:1:1.0", False, False),
        ("elsewhere:1:1.0", True, True),
        ("no owner of ours", False, False),
        ("no owner of ours", True, True),
        ("{host}:{pid}:1.0", False, True),
        ("{host}:99999999999999999999:1.0", False, True),
        ("{host}:-1:1.0", False, True),
        ("{me}", True, False),
    ],
)
def test_who_counts_as_gone(store: Store, other_program: Engine, owner: str, silent: bool, interrupted: bool) -> None:
    name = owner.format(host=socket.gethostname(), pid=os.getpid(), me=current_owner())
    session = store.create_session(samples.session(owner=name))
    if silent:
        fall_silent(other_program)
    assert store.reconcile_interrupted() == ([session.id] if interrupted else [])
    assert store.reconcile_interrupted() == []
    assert store.get_session(session.id).status == ("interrupted" if interrupted else "running")


def fall_silent(other_program: Engine) -> None:
    with other_program.begin() as connection:
        connection.exec_driver_sql("UPDATE session SET heartbeat_at = '2020-01-01 00:00:00.000000'")


def test_a_heartbeat_keeps_the_session_of_another_host_running(store: Store, other_program: Engine) -> None:
    kept, lost = (store.create_session(samples.session(owner="elsewhere:1:1.0")).id for _ in range(2))
    fall_silent(other_program)
    store.heartbeat([])
    store.heartbeat([kept, "ask-nothing"])
    assert store.reconcile_interrupted() == [lost]
    assert store.get_session(kept).status == "running"


def test_a_sign_of_life_while_it_is_being_judged_keeps_a_session_running(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.create_session(samples.session())

    def judged_gone_too_early(*_: Any, **__: Any) -> bool:
        store.heartbeat([session.id])
        return True

    monkeypatch.setattr(repository, "owner_is_gone", judged_gone_too_early)
    assert store.reconcile_interrupted() == []
    monkeypatch.setattr(repository, "owner_is_gone", lambda *_, **__: True)
    assert store.reconcile_interrupted() == [session.id]


def test_a_process_taken_for_dead_can_still_bring_its_answer_home(store: Store) -> None:
    session = store.create_session(samples.session(owner=f"{socket.gethostname()}:{os.getpid()}:1.0"))
    call = samples.begun(store, samples.call(session.id))
    assert store.reconcile_interrupted() == [session.id]
    samples.written(store, call, text="12")
    samples.written(store, call, status="done", text="12")
    assert store.finish_session(session.id, "done")
    read = store.get_session(session.id)
    assert (read.status, read.calls[0].status, read.calls[0].text) == ("done", "done", "12")


def test_eight_threads_lose_no_row_and_meet_no_lock(store: Store) -> None:
    session = store.create_session(samples.session())

    def work(worker: int) -> list[int]:
        ids = []
        for i in range(30):
            call = samples.begun(store, samples.call(session.id, repeat_index=worker * 100 + i))
            samples.written(store, call, text=f"{worker}")
            samples.written(store, call, status="done", text=f"{worker}/{i}", completion_tokens=i)
            store.heartbeat([session.id])
            if i % 10 == 0:
                store.list_sessions()
            ids.append(call.id)
        return ids

    with ThreadPoolExecutor(8) as pool:
        ids = [call_id for future in [pool.submit(work, n) for n in range(8)] for call_id in future.result()]
    calls = store.get_session(session.id).calls
    assert sorted(ids) == [c.id for c in calls]
    assert sorted(c.text for c in calls) == sorted(f"{n}/{i}" for n in range(8) for i in range(30))
    assert {c.status for c in calls} == {"done"}


def test_a_database_locked_past_the_limit_says_so_and_can_still_be_read(other_program: Engine) -> None:
    store = open_store(lock_timeout_s=0.2)
    session = store.create_session(samples.session())
    dead = store.create_session(samples.session(owner=f"{socket.gethostname()}:{os.getpid()}:1.0"))
    with other_program.begin():
        started = time.monotonic()
        with pytest.raises(StoreLockedError, match="another process"):
            store.update_session(session.id, budget=1)
        # Far from SQLAlchemy's and SQLite's own limits (30 s and 5 s), near enough for a busy machine.
        assert time.monotonic() - started < 4
        assert store.get_session(session.id) == session
        assert store.get_session(dead.id).status == "running"
    store.update_session(session.id, budget=1)
    assert store.get_session(dead.id).status == "interrupted"


def test_a_writer_that_reads_first_waits_for_another_writer(store: Store, other_program: Engine) -> None:
    session = store.create_session(samples.session())
    with other_program.connect() as other:
        transaction = other.begin()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(samples.begun, store, samples.call(session.id), again=True)
            time.sleep(0.2)
            assert not waiting.done()
            other.exec_driver_sql("UPDATE session SET budget = 5")
            transaction.commit()
            assert waiting.result().id == 1
    assert store.get_session(session.id).budget == 5


@pytest.mark.sqlite_only("only SQLite can be told that its disk is full")
def test_a_full_disk_is_said_in_words_and_what_was_stored_stays(store: Store) -> None:
    session = store.create_session(samples.session())
    call = samples.begun(store, samples.call(session.id))
    samples.written(store, call, text="before")
    store.close()

    def few_pages(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")

    event.listen(store.engine, "connect", few_pages)
    with pytest.raises(StoreError, match="is full") as caught:
        samples.written(store, call, text="x" * 100_000)
    assert caught.value.hint
    assert store.get_session(session.id).calls[0].text == "before"


def test_of_two_that_take_over_an_experiment_at_once_one_is_refused(store: Store) -> None:
    experiments = ExperimentStore(store)
    for _ in range(5):
        record = samples.session(id=new_session_id("experiment"), kind="experiment")
        experiments.create(record, [record.question])
        store.finish_session(record.id, "failed")
        start = threading.Barrier(2)

        def take_over(of: str = record.id, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                experiments.reopen(of)
            except StoreError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(lambda _: take_over(), range(2))) == [False, True]


def test_a_try_whose_end_is_not_known_is_not_stored_twice(store: Store) -> None:
    session = store.create_session(samples.session())
    assert store.create_session(session, again=True) == session
    begun = samples.call(session.id, created_at=datetime.now(UTC))
    stored = samples.begun(store, begun)
    assert samples.begun(store, begun, again=True) == stored
    assert samples.begun(store, replace(begun, repeat_index=1), again=True).id != stored.id
    experiments, record = ExperimentStore(store), samples.session(id=new_session_id("experiment"), kind="experiment")
    experiments.create(record, [record.question])
    batch: list[Any] = [
        samples.call(record.id, status="done", unit="0/0/vanilla", step=0, created_at=datetime.now(UTC)),
        UnitRecord(record.id, "0/0/vanilla", 0, "vanilla", 0, "done", False),
    ]
    ids = CallStore(store).write(batch)
    assert CallStore(store).write(batch, again=True) == ids
    with pytest.raises(StoreError):
        CallStore(store).write(batch)
    assert len(store.get_session(record.id).calls) == 1
