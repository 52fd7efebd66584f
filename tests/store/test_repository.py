from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from sqlalchemy import event

from tale_core.errors import InputError, NotFoundError, StoreError
from tale_core.i18n import t, use_language
from tale_core.process import current_owner
from tale_core.store import Store
from tale_core.types import CallRecord, Message, Outcome, Price, Question, Sampling, SessionRecord
from tests.store import samples

# Shrinking a record of seventy fields through a database takes minutes and tells little more than the first failure.
EXAMPLES = settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate])


def stored_as(record: SessionRecord, read: SessionRecord) -> SessionRecord:
    """What `record` must read back as: with the ids that the database gave to its calls."""
    calls = tuple(
        replace(before, id=after.id, session_id=record.id)
        for before, after in zip(record.calls, read.calls, strict=True)
    )
    return replace(record, calls=calls)


def test_every_field_of_a_session_and_its_calls_comes_back(store: Store) -> None:
    @EXAMPLES
    @given(record=samples.sessions)
    def check(record: SessionRecord) -> None:
        created = store.create_session(record)
        read = store.get_session(record.id)
        assert created == read == stored_as(record, read)
        assert [c.id for c in read.calls] == sorted(c.id for c in read.calls)
        assert all(c.id > 0 for c in read.calls)
        assert {c.created_at.utcoffset() for c in read.calls if c.created_at} <= {timedelta(0)}

    check()


def test_every_field_of_a_finished_call_comes_back(store: Store) -> None:
    session = store.create_session(samples.session())

    @EXAMPLES
    @given(record=samples.calls.filter(lambda c: c.status != "running"))
    def check(record: CallRecord) -> None:
        open_call = replace(
            record, id=0, session_id=session.id, status="running", text="", price=None, outcome=Outcome.UNGRADED
        )
        started = samples.begun(store, open_call)
        samples.written(store, replace(record, id=started.id))
        assert store.get_session(session.id).calls[-1] == replace(record, id=started.id, session_id=session.id)

    check()


def test_a_new_session_gets_its_times_and_this_process_as_owner(store: Store) -> None:
    before = datetime.now(UTC)
    created = store.create_session(samples.session())
    assert created.created_at is not None
    assert before <= created.created_at <= datetime.now(UTC)
    assert created.updated_at == created.created_at
    assert created.owner == current_owner()


def test_a_taken_id_is_refused_and_the_first_session_stays(store: Store) -> None:
    first = store.create_session(samples.session())
    with pytest.raises(StoreError, match="already"):
        store.create_session(samples.session(id=first.id, model="other"))
    assert store.get_session(first.id) == first


def test_update_session_changes_the_named_fields_and_nothing_else(store: Store) -> None:
    before = store.create_session(samples.session())
    question = replace(before.question, answer="13", kind="number")
    store.update_session(before.id, budget=50, budget_raw="[[50]]", guesses={"vanilla": 300}, question=question)
    after = store.get_session(before.id)
    assert after.updated_at is not None and before.updated_at is not None
    assert after.updated_at >= before.updated_at
    changed = {"budget": 50, "budget_raw": "[[50]]", "guesses": {"vanilla": 300}, "question": question}
    assert after == replace(before, **changed, updated_at=after.updated_at)


def test_unknown_fields_are_type_errors_that_name_them(store: Store) -> None:
    session = store.create_session(samples.session())
    wrong: dict[str, Any] = {"status": "running"}
    with pytest.raises(TypeError, match="status"):
        store.update_session(session.id, **wrong)


def test_moments_of_any_time_zone_come_back_in_utc_and_sort_by_the_moment(store: Store) -> None:
    late = datetime(2026, 5, 1, 23, 30, tzinfo=timezone(timedelta(hours=-8)))
    early = datetime(2026, 5, 2, 4, 0, tzinfo=timezone(timedelta(hours=9)))
    ids = [store.create_session(samples.session(created_at=moment)).id for moment in (early, late)]
    assert [s.id for s in store.list_sessions()] == ids[::-1]
    assert [s.id for s in store.list_sessions(before=late)] == ids[:1]
    read = store.get_session(ids[1]).created_at
    assert read == late and read.utcoffset() == timedelta(0)


def test_naive_datetimes_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="time zone"):
        store.create_session(samples.session(created_at=datetime(2026, 1, 1)))
    assert store.count_sessions() == 0


def test_a_number_too_large_for_a_column_is_refused_in_words(store: Store) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        store.create_session(samples.session(budget=10**30))
    assert store.count_sessions() == 0


def test_a_finished_call_stays_as_it_ended(store: Store) -> None:
    session = store.create_session(samples.session())
    call = samples.begun(store, samples.call(session.id))
    samples.written(store, call, status="done", text="36", completion_tokens=9, outcome=Outcome.CORRECT)
    ended = store.get_session(session.id).calls
    samples.written(store, call, text="late")
    samples.written(store, call, status="failed", error="late")
    assert store.get_session(session.id).calls == ended
    assert ended[0].status == "done"


def test_a_finished_session_stays_as_it_ended(store: Store) -> None:
    session = store.create_session(samples.session())
    assert store.finish_session(session.id, "failed", error="no answer")
    assert not store.finish_session(session.id, "done")
    with pytest.raises(ValueError, match="running"):
        store.finish_session(session.id, "running")
    read = store.get_session(session.id)
    assert (read.status, read.error) == ("failed", "no answer")


def test_finishing_a_session_leaves_no_call_running_and_keeps_its_text(store: Store) -> None:
    session = store.create_session(samples.session())
    call = samples.begun(store, samples.call(session.id))
    samples.written(store, call, text="so far", reasoning_text="thinking", completion_tokens=3)
    store.finish_session(session.id, "cancelled")
    (read,) = store.get_session(session.id).calls
    stopped = (read.status, read.text, read.reasoning_text, read.completion_tokens)
    assert stopped == ("interrupted", "so far", "thinking", 3)


def test_what_is_not_there_is_said_to_be_not_there(store: Store) -> None:
    for lookup in (
        lambda: store.get_session("ask-nothing"),
        lambda: store.get_session("\x00\ud800" * 500),
        lambda: store.update_session("ask-nothing", budget=1),
        lambda: store.finish_session("ask-nothing", "done"),
        lambda: store.export_session("ask-nothing"),
    ):
        with pytest.raises(NotFoundError, match="There is no session") as caught:
            lookup()
        assert len(str(caught.value)) < 500


def test_a_deleted_session_takes_its_calls_along_and_their_ids_are_not_used_again(store: Store) -> None:
    session, other = store.create_session(samples.session()), store.create_session(samples.session())
    call = samples.begun(store, samples.call(session.id))
    samples.gone(store, session.id)
    assert store.count_sessions() == 1
    fresh = samples.begun(store, samples.call(other.id))
    assert fresh.id > call.id
    samples.written(store, call, text="late")
    assert store.get_session(other.id).calls == (fresh,)


def test_sessions_are_listed_newest_first_and_in_pages(store: Store) -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    ids = [store.create_session(samples.session(created_at=start + timedelta(days=i))).id for i in (2, 0, 1, 4, 3)]
    newest_first = [ids[i] for i in (3, 4, 0, 2, 1)]
    assert [s.id for s in store.list_sessions()] == newest_first
    assert [s.id for s in store.list_sessions(limit=2)] == newest_first[:2]
    assert [s.id for s in store.list_sessions(limit=2, offset=2)] == newest_first[2:4]
    assert [s.id for s in store.list_sessions(before=start + timedelta(days=2))] == newest_first[3:]
    assert store.count_sessions() == 5


def test_the_search_takes_its_text_literally_and_ignores_case(store: Store) -> None:
    wanted = store.create_session(samples.session(question=Question("What is 50% of a_b?"))).id
    store.create_session(samples.session(question=Question("What is 500 of axb?")))
    assert [s.id for s in store.list_sessions(query="WHAT IS 50%")] == [wanted]
    assert [s.id for s in store.list_sessions(query="a_b")] == [wanted]
    assert store.list_sessions(query="nothing like it") == []
    assert len(store.list_sessions(query="")) == 2


@pytest.mark.parametrize("reason", ["content_filter", "error"])
def test_a_summary_tells_a_refusal_from_a_failure(store: Store, reason: Any) -> None:
    session = store.create_session(samples.session())
    for role in ("vanilla", "budgeted"):
        call = samples.begun(store, samples.call(session.id, role))
        filtered = reason == "content_filter" and role == "budgeted"
        samples.written(
            store, call, status="done", completion_tokens=0, outcome=Outcome.ERROR,
            finish_reason=reason if filtered else "error",
        )  # fmt: skip
    (summary,) = store.list_sessions()
    assert (summary.budgeted_outcome, summary.vanilla_refused) == (Outcome.ERROR, False)
    assert summary.budgeted_refused is (reason == "content_filter")


def test_a_summary_shows_the_latest_answer_of_each_role(store: Store) -> None:
    session = store.create_session(samples.session(budget=50))
    for role, tokens, outcome in (
        ("estimate", 7, Outcome.UNGRADED),
        ("vanilla", 200, Outcome.WRONG),
        ("vanilla", 300, Outcome.CORRECT),
        ("budgeted", 60, Outcome.TRUNCATED),
    ):
        call = samples.begun(store, samples.call(session.id, role))
        samples.written(store, call, status="done", completion_tokens=tokens, outcome=outcome)
    store.create_session(samples.session())
    unanswered, summary = store.list_sessions()
    assert not summary.vanilla_refused and not unanswered.vanilla_refused
    assert (summary.vanilla_tokens, summary.vanilla_outcome) == (300, Outcome.CORRECT)
    assert (summary.budgeted_tokens, summary.budgeted_outcome) == (60, Outcome.TRUNCATED)
    assert (summary.question_text, summary.budget) == (session.question.text, 50)
    assert (unanswered.vanilla_tokens, unanswered.vanilla_outcome) == (None, None)


def test_a_list_takes_the_same_number_of_queries_however_long_it_is(store: Store) -> None:
    def queries_of_a_list() -> int:
        statements: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(store.engine, "before_cursor_execute", note)
        store.list_sessions(limit=50)
        event.remove(store.engine, "before_cursor_execute", note)
        return sum(s.startswith("SELECT") for s in statements)

    store.create_session(samples.session())
    alone = queries_of_a_list()
    for _ in range(15):
        session = store.create_session(samples.session())
        samples.begun(store, samples.call(session.id))
    assert queries_of_a_list() == alone == 2


def test_an_export_is_json_with_all_provenance_and_no_trace_of_the_machine(store: Store) -> None:
    call = samples.call("", price=Price(0.15, 0.6, "2026-01-01"), text="$36 – ja", sampling=Sampling(seed=7))
    session = store.create_session(samples.session(calls=(call,)))
    document = json.loads(json.dumps(store.export_session(session.id)))
    assert document["format"] == 1
    exported = document["session"]
    assert set(exported) == set(asdict(session)) - {"owner"}
    assert set(exported["calls"][0]) == {f.name for f in fields(CallRecord)}
    assert exported["calls"][0]["sampling"]["seed"] == 7
    price = {"input_per_mtok": 0.15, "output_per_mtok": 0.6, "as_of": "2026-01-01"}
    unknown = {"cached_input_per_mtok": None, "cache_write_per_mtok": None}
    assert exported["calls"][0]["price"] == price | unknown
    assert datetime.fromisoformat(exported["created_at"]) == session.created_at
    assert current_owner() not in json.dumps(document)


def test_hostile_model_output_is_stored_with_replacement_characters(store: Store) -> None:
    hostile = "a\x00b\ud800c"
    question = Question(hostile, options=(hostile,))
    session = store.create_session(samples.session(question=question, guesses={hostile: 1}))
    call = samples.begun(store, samples.call(session.id, messages=(Message("user", hostile),)))
    samples.written(store, call, text=hostile, reasoning_text=hostile)
    read = store.get_session(session.id)
    assert read.question == Question("a\ufffdb\ufffdc", options=("a\ufffdb\ufffdc",))
    assert read.guesses == {"a\ufffdb\ufffdc": 1}
    assert read.calls[0].messages[0].content == read.calls[0].text == "a\ufffdb\ufffdc"
    assert store.list_sessions(query="a\x00b\ud800")[0].id == session.id


def test_an_error_is_read_in_the_readers_language_and_exported_in_english(store: Store) -> None:
    said = {"en": "No address was given. Give a key.", "zh": "没有给出地址。请给出密钥。"}
    with use_language("zh"):
        error = str(InputError(t("No address was given."), t("Give a key.")))
        session = store.create_session(samples.session())
        call = samples.begun(store, samples.call(session.id))
        samples.written(store, call, status="failed", error=error)
        store.update_session(session.id, budget_problem=t("Give a key."))
        assert store.finish_session(session.id, "failed", error=error)
    for language, words in said.items():
        with use_language(language):
            read = store.get_session(session.id)
            assert read.error == read.calls[0].error == words and words.endswith(read.budget_problem or "-")
            exported = store.export_session(session.id)["session"]
            assert json.loads(json.dumps(exported["error"])) == said["en"]


@pytest.mark.sqlite_only("looks into the file")
def test_no_password_of_an_address_reaches_the_file(store: Store, database: Path) -> None:
    endpoint = "https://user:hunter2@host/v1?api-key=hunter2"
    session = store.create_session(samples.session(endpoint=endpoint, error=f"{endpoint.split('?')[0]} refused"))
    call = samples.begun(store, samples.call(session.id, endpoint=endpoint))
    samples.written(store, call, status="failed", error="http://user:hunter2@host/v1 refused")
    another = store.create_session(samples.session(error=t("Model: {name}", name=endpoint.split("?")[0])))
    assert store.get_session(another.id).error == "Model: https://host/v1"
    assert store.get_session(session.id).endpoint == "https://host/v1"
    store.close()
    files = list(database.parent.iterdir())
    assert database in files
    assert not any(b"hunter2" in file.read_bytes() for file in files)
