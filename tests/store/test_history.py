"""The list of sessions: what it holds, how it is paged, and that no list query reads what it does not show."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

from tale_core.errors import StoreError
from tale_core.store import History, Place, SessionFilter, Store, text_search
from tale_core.store.text_search import PlainSearch, ilike, like, terms
from tale_core.types import Outcome, Question
from tests.pages import experiment_samples
from tests.store import samples

DAY = timedelta(days=1)
START = datetime(2026, 5, 1, tzinfo=UTC)


def kept(store: Store, question: str = "How many legs?", *answers: str, **fields: Any) -> str:
    """A session that has ended, with these answers; its id."""
    outcome = fields.pop("outcome", Outcome.CORRECT)
    calls = tuple(samples.call("", status="done", text=text, outcome=outcome) for text in answers)
    record = samples.session(**{"status": "done", "question": Question(question), "calls": calls} | fields)
    return store.create_session(record).id


def found(store: Store, text: str = "", **wanted: Any) -> list[str]:
    return [e.summary.id for e in History(store).listing(SessionFilter(text=text, **wanted), limit=100).entries]


def test_a_list_is_walked_page_by_page_in_both_directions(store: Store) -> None:
    # Three share a moment: the id breaks the tie.
    moments = [START + DAY * (i // 3) for i in range(10)]
    ids = [kept(store, created_at=moment) for moment in moments]
    newest_first = [id for _, id in sorted(zip(moments, ids, strict=True), reverse=True)]
    history = History(store)
    pages = [history.listing(limit=4)]
    while (older := pages[-1].older) is not None:
        pages.append(history.listing(limit=4, after=older))
    assert [[e.summary.id for e in p.entries] for p in pages] == [
        newest_first[:4], newest_first[4:8], newest_first[8:],
    ]  # fmt: skip
    assert [p.newer is not None for p in pages] == [False, True, True]
    back = history.listing(limit=4, before=pages[2].newer)
    assert back.entries == pages[1].entries and back.older is not None and back.newer is not None
    first = history.listing(limit=4, before=back.newer)
    assert first.entries == pages[0].entries and first.newer is None and first.older is not None
    assert {p.count for p in pages} == {10}


def test_a_session_that_comes_meanwhile_moves_no_page(store: Store) -> None:
    for i in range(6):
        kept(store, created_at=START + DAY * i)
    place = History(store).listing(limit=3).older
    before = History(store).listing(limit=3, after=place).entries
    kept(store)
    assert History(store).listing(limit=3, after=place).entries == before


def test_a_place_of_a_deleted_session_is_still_a_place(store: Store) -> None:
    ids = [kept(store, created_at=START + DAY * i) for i in range(4)]
    place = Place(START + DAY * 2, ids[2])
    samples.gone(store, ids[2])
    assert [e.summary.id for e in History(store).listing(after=place).entries] == [ids[1], ids[0]]


def test_each_filter_leaves_what_it_says(store: Store) -> None:
    fields: dict[str, dict[str, Any]] = {
        "a": {}, "b": {"kind": "search"}, "c": {"model": "small"}, "d": {"status": "failed"},
        "e": {"source": "recorded"}, "f": {"outcome": Outcome.WRONG}, "g": {},
    }  # fmt: skip
    names = {
        kept(store, name, "an answer", created_at=START + DAY * i, **own): name
        for i, (name, own) in enumerate(fields.items())
    }
    estimate = samples.call("", "estimate", status="done", outcome=Outcome.UNGRADED)
    names[kept(store, calls=(estimate,), created_at=START, kind="sweep")] = ""  # An estimate is no answer.
    filters: list[tuple[dict[str, Any], str]] = [
        ({"kind": "search"}, "b"), ({"model": "small"}, "c"), ({"status": "failed"}, "d"),
        ({"source": "recorded"}, "e"), ({"outcome": Outcome.WRONG}, "f"), ({"since": START + DAY * 5}, "fg"),
        ({"until": START + DAY}, "a"), ({"since": START + DAY * 6, "until": START + DAY * 7}, "g"),
        ({"kind": "search", "status": "failed"}, ""), ({"outcome": Outcome.UNGRADED}, ""),
    ]  # fmt: skip
    for wanted, expected in filters:
        assert "".join(sorted(names[id] for id in found(store, **wanted))) == expected, wanted


def test_models_are_named_once(store: Store) -> None:
    assert History(store).models() == []
    for model in ("b", "a", "b", "c", "a"):
        kept(store, model=model)
    assert History(store).models() == ["a", "b", "c"]


def test_a_filter_is_counted_up_to_where_it_helps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tale_core.store.history.COUNTED", 3)
    for _ in range(5):
        kept(store)
    assert History(store).listing(limit=1).count == 5  # All of them are cheap to count.
    assert History(store).listing(SessionFilter(status="done"), limit=1).count == 4


def test_an_experiment_tells_how_far_it_is(store: Store) -> None:
    experiment_samples.kept(experiment_samples.plan(4), answers=7)
    entry = History(store).listing().entries[0]
    assert (entry.summary.kind, entry.asked, entry.answered) == ("experiment", 4, 7)


# --- texts


@pytest.fixture(params=["trigrams", "walking", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, backend: str) -> str:
    """The three ways to look for a text; all find the same."""
    if request.param == "walking":
        if backend != "sqlite":
            pytest.skip("PostgreSQL's planner decides by itself when to walk")
        monkeypatch.setattr(text_search, "FEW", -1)
    elif request.param == "plain":
        has = like if backend == "sqlite" else ilike
        monkeypatch.setattr(text_search, "search_of", lambda connection: PlainSearch(has))
    return str(request.param)


WHERE_TEXTS_STAND = {
    "课堂": "z", "课": "z", "堂里有 42": "z", "课堂里有42个人": "z", "人": "z",
    "legs": "a", "LEGS": "a", "eg": "a", "three cats": "a", "cats three": "a", '"cats three"': "",
    "9": "b", "[[9]]": "b", "]]": "be", "100%": "b", "a_b": "b", "axb": "", "thinking": "b",
    "phi-3": "b", "legs phi-3": "", "not there": "", "\x00\ud800": "", "seventeen": "e", "gsm": "e",
}  # fmt: skip


def test_a_text_is_found_wherever_it_stands(store: Store, way: str) -> None:
    names = {
        kept(store, "How many legs have three cats?", "12"): "a",
        kept(store, "Is a_b 100% sure?", model="phi-3", calls=(
            samples.call("", status="done", text="It is [[9]]", reasoning_text="I was thinking aloud"),
        )): "b",
        kept(store, "课堂里有42个人"): "z",
    }  # fmt: skip
    plan = experiment_samples.plan(2)
    asked = (plan.questions[0], Question("What is seventeen?"))
    names[experiment_samples.kept(replace(plan, questions=asked))] = "e"
    assert {
        text: "".join(sorted(names[id] for id in found(store, text))) for text in WHERE_TEXTS_STAND
    } == WHERE_TEXTS_STAND


def test_nothing_that_is_typed_is_an_expression(store: Store, way: str) -> None:
    kept(store, 'say "NEAR(a b)" AND -c* ^d OR {e} : f+')
    for text in (
        '"',
        '""',
        "'",
        "NEAR(a",
        "AND",
        "OR",
        "-c*",
        "^d",
        "{e}",
        ":",
        "f+",
        'a"b',
        "*",
        '"NEAR(a b)',
        "(",
        "\\",
    ):
        found(store, text)
    assert len(found(store, "-c* ^d")) == len(found(store, '"NEAR(a b)"')) == 1
    assert len(found(store, '""')) == 1  # Nothing is asked for.


def test_every_way_finds_what_reading_finds(store: Store) -> None:
    letters = st.text("abAB课堂 1%_\"'", min_size=1, max_size=6)
    texts = [("ab课", "堂1"), ("AbA b", "课堂"), ("1%_", "a\"b'"), ("bb", "课 堂 "), ("", "aaab1")]
    ids = {kept(store, question, answer, model="-"): (question, answer) for question, answer in texts}

    @settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate])
    @given(text=letters)
    def check(text: str) -> None:
        wanted = [term.lower() for term in terms(text)]
        expected = {id for id, own in ids.items() if all(any(w in o.lower() for o in (*own, "-")) for w in wanted)}
        assert set(found(store, text)) == expected

    check()


def test_an_answer_is_found_when_it_has_ended_and_not_while_it_grows(store: Store) -> None:
    session = store.create_session(samples.session())
    call = samples.begun(store, samples.call(session.id))
    samples.written(store, call, text="a growing pumpkin")
    assert found(store, "pumpkin") == []
    samples.written(store, call, status="done", text="a grown pumpkin")
    assert found(store, "grown pumpkin") == [session.id] and found(store, "growing") == []


def test_the_index_follows_every_change(store: Store, database: Path) -> None:
    session = store.create_session(samples.session())
    call = samples.begun(store, samples.call(session.id, text="one"))
    store.finish_session(session.id, "interrupted")
    assert found(store, "one") == [session.id]
    samples.written(store, call, status="done", text="two")  # Its process was alive after all.
    store.update_session(session.id, question=Question("three"))
    assert found(store, "one") == [] and found(store, "two three") == [session.id]
    experiment = experiment_samples.kept()
    whole(database)
    samples.gone(store, experiment)
    samples.gone(store, session.id)
    assert found(store, "two") == found(store, "three") == found(store, "six times") == []
    whole(database)
    if not database.exists():
        return
    with closing(sqlite3.connect(database)) as connection:
        for index in ("fts_question", "fts_answer"):
            assert connection.execute(f"SELECT count(*) FROM {index}_terms").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM fts_key").fetchone() == (0,)


def whole(database: Path) -> None:
    """Compare the index with the texts, as SQLite does it; PostgreSQL keeps its own."""
    if not database.exists():
        return
    with closing(sqlite3.connect(database)) as connection:
        for index in ("fts_question", "fts_answer"):
            connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")


@pytest.mark.sqlite_only("about the index in the file")
def test_a_database_from_before_is_indexed_when_it_is_opened(tmp_path: Path) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    from tale_core.store import open_store
    from tale_core.store.database.migrate import run_alembic

    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        run_alembic(connection, "tale_0003")
        columns = {c: "''" for c in ("owner", "estimator", "template", "budget_raw", "endpoint", "question_language")}
        columns |= {c: "'2026-05-01 00:00:00.000000'" for c in ("created_at", "updated_at", "heartbeat_at")}
        columns |= {"id": "'ask-old'", "status": "'done'", "model": "'m'", "source": "'live'", "together": "1"}
        columns |= {"guesses": "'{}'", "question_options": "'[]'", "question_text": "'an old question'"}
        connection.execute(text(f"INSERT INTO session ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"))
    assert found(open_store(url), "old question") == ["ask-old"]
    whole(tmp_path / "old.db")


def test_a_search_that_takes_too_long_is_stopped_in_words(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        kept(store, f"question {i}", "some words " * 2000)
    monkeypatch.setattr(text_search, "FEW", -1)
    monkeypatch.setattr(text_search, "LIMIT_S", -1.0)
    monkeypatch.setattr(text_search, "STEPS", 10)
    with pytest.raises(StoreError, match="took too long"):
        found(store, "not there")
    monkeypatch.setattr(text_search, "LIMIT_S", 5.0)
    assert found(store, "not there") == []  # The connection is as good as before.


# --- plans


def plans(store: Store, **asked: Any) -> list[str]:
    """How SQLite will carry out each statement that a listing makes, one line a step."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        History(store).listing(SessionFilter(**asked.pop("wanted", {})), **asked)
        History(store).models()
        store.list_sessions(limit=12)
        store.list_sessions(limit=12, kind="sweep")
    finally:
        event.remove(store.engine, "before_cursor_execute", note)
    lines = []
    with store.reading() as connection:
        for statement, parameters in seen:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            lines += [row[3] for row in rows]
    return lines


PLACE = Place(START, "ask-x")
ASKED: list[dict[str, Any]] = [
    {}, {"after": PLACE}, {"before": PLACE}, {"wanted": {"kind": "search"}, "after": PLACE},
    {"wanted": {"model": "m"}}, {"wanted": {"status": "failed"}, "before": PLACE}, {"wanted": {"source": "live"}},
    {"wanted": {"outcome": Outcome.WRONG}, "after": PLACE}, {"wanted": {"since": START, "until": START + DAY}},
    {"wanted": {"kind": "ask", "model": "m", "status": "done", "outcome": Outcome.ERROR, "since": START}},
]  # fmt: skip


@pytest.mark.sqlite_only("about SQLite's query plans")
@pytest.mark.parametrize("few", [20_000, -1], ids=["rare", "common"])
@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_no_list_query_reads_a_table_through_or_sorts_it(
    store: Store, asked: dict[str, Any], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tale_core.store.history.FEW", few)
    rare = few > 0 and "outcome" in asked.get("wanted", {})  # What an index has found may be sorted: it is little.
    for line in plans(store, **asked):
        assert not line.startswith("SCAN") or "USING" in line or reads_few(line), line
        assert rare or "ORDER BY" not in line, line
        assert "AUTOMATIC" not in line, line


@pytest.mark.sqlite_only("about SQLite's query plans")
@pytest.mark.parametrize("text", ["legs", "42", "课堂", "some words"])
def test_a_rare_text_is_looked_up_in_the_index(store: Store, text: str) -> None:
    kept(store, f"{text} stands here")
    lines = plans(store, wanted={"text": text})
    assert any("VIRTUAL TABLE INDEX" in line for line in lines)
    for line in lines:
        virtual = "VIRTUAL TABLE INDEX" in line and not line.endswith("INDEX 0:")
        assert not line.startswith("SCAN") or "USING" in line or virtual or reads_few(line), line


def reads_few(line: str) -> bool:
    """A step over rows that a limit or a recursion has made already, or over none of a table."""
    return line in ("SCAN page", "SCAN names", "SCAN CONSTANT ROW") or line.startswith("SCAN (subquery")


@pytest.mark.sqlite_only("about SQLite's query plans")
def test_the_answers_of_a_page_are_looked_up_for_its_rows_alone(store: Store) -> None:
    lines = plans(store)
    assert [line for line in lines if "vanilla" in line and "SEARCH" in line]
    assert not [line for line in lines if line.startswith(("SCAN vanilla", "SCAN budgeted", "SCAN call"))]


@pytest.mark.empty_database  # A plan follows what is known of a table; of a shared one, that is the tests' before.
def test_on_a_server_a_text_is_looked_up_in_the_trigram_indexes(store: Store, backend: str) -> None:
    if backend == "sqlite":
        return
    kept(store, "legs stands here")
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "ILIKE" in statement:
            seen.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    assert found(store, "legs")
    event.remove(store.engine, "before_cursor_execute", note)
    with store.reading() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # It holds one row: reading it would be faster.
        plan = "".join(
            str(line) for statement, parameters in seen
            for line in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
        )  # fmt: skip
    for index in ("session_question", "session_model", "call_text", "call_reasoning", "experiment_question"):
        assert f"trgm_{index}" in plan


@pytest.mark.empty_database
def test_without_the_extension_texts_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    if backend == "sqlite":
        return
    from tale_core.settings import get_settings
    from tale_core.store import open_store

    engine = create_engine(get_settings().resolved_database_url, poolclass=NullPool)
    with engine.begin() as connection:  # As on a server where we may not add it.
        for command in (
            "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not you'; END $$",
            "CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION no()",
        ):
            connection.exec_driver_sql(command)
    store = open_store()
    with store.reading() as connection:
        assert not connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'").all()
    kept(store, "How many legs?", "课堂 42")
    assert len(found(store, "LEGS 课堂")) == len(found(store, "42")) == 1
