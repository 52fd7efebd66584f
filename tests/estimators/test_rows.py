import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.errors import InputError
from tale_core.estimators.rows import (
    MIN_ROWS,
    TooFewRowsError,
    TrainingRow,
    fingerprint,
    require_rows,
    rows_from_sessions,
    rows_from_store,
    select_rows,
)
from tale_core.estimators.rows_file import read_rows, rows_from_jsonl, rows_to_jsonl
from tale_core.prompts import messages as prompts
from tale_core.store import open_store
from tale_core.types import CallRecord, Question, Sampling, SessionRecord
from tests.estimators.simulated import MODEL, TEMPLATE, rows

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
FOUND = {"optimal_budget": 24, "optimal_tokens": 30.0, "vanilla_tokens": 120.0}


def search(text="2 + 2?", *, done=FOUND, minutes=0, **changes):
    values = {"model": "m", "endpoint": "e", "estimator": "", "template": "paper", "status": "done", **changes}
    values.setdefault("plan", {"mode": "tale"})
    return SessionRecord(
        id=f"search-{text}-{minutes}", question=Question(text), kind="search", result={"done": done},
        created_at=NOON + timedelta(minutes=minutes), **values,
    )  # fmt: skip


def asked(text="2 + 2?", *, raw="Budget: [[9]]", **changes):
    values = {"model": "m", "endpoint": "e", "estimator": "zero-shot", "status": "done", "budget": 9, **changes}
    return SessionRecord(id=f"ask-{text}", question=Question(text), budget_raw=raw, created_at=NOON, **values)


def test_a_finished_search_is_a_row_with_the_models_own_estimate_of_the_same_question():
    (row,) = rows_from_sessions([search(), asked(), asked("other?", raw="[[77]]")])
    assert (row.optimal_budget, row.optimal_tokens, row.vanilla_tokens, row.zero_shot) == (24, 30.0, 120.0, 9)
    assert (row.model, row.template, row.mode) == ("m", "paper", "tale")


def test_an_estimate_that_was_fallen_back_to_is_not_the_models_own():
    (row,) = rows_from_sessions([search(), asked(raw="no idea", budget=100, budget_problem="none named")])
    assert row.zero_shot is None


@pytest.mark.parametrize(
    "done",
    [None, {}, FOUND | {"optimal_budget": None}, FOUND | {"optimal_budget": 0}, FOUND | {"optimal_tokens": "30"},
     FOUND | {"optimal_budget": True}, FOUND | {"vanilla_tokens": float("nan")}, FOUND | {"optimal_budget": 10**9},
     FOUND | {"stop_reason": "limit-calls"}, FOUND | {"stop_reason": "limit-cost"}],
)  # fmt: skip
def test_a_search_without_an_optimum_is_no_row(done):
    assert rows_from_sessions([search(done=done)]) == []


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted", "running"])
def test_a_search_that_did_not_end_well_is_no_row(status):
    assert rows_from_sessions([search(status=status)]) == []


def test_of_two_searches_of_one_question_the_newest_counts():
    newer = search(done=FOUND | {"optimal_budget": 40}, minutes=5)
    assert [r.optimal_budget for r in rows_from_sessions([newer, search()])] == [40]


def test_what_earlier_searches_of_a_question_found_stands_beside_it_in_a_file_too():
    first, between, last = (
        search(done=FOUND | {"optimal_budget": b}, minutes=m) for b, m in ((70, 1), (25, 2), (40, 3))
    )
    other = search("3 + 3?", minutes=9)
    found = rows_from_sessions([last, other, first, between])
    assert [(r.optimal_budget, r.earlier) for r in found] == [(40, (70, 25)), (found[1].optimal_budget, ())]
    kept = rows_from_jsonl(rows_to_jsonl(found))
    assert [replace(row, session_id="") for row in found] == kept
    assert fingerprint(found) != fingerprint([replace(found[0], earlier=()), found[1]])


@pytest.mark.parametrize("earlier", [[0], [10**9], [5] * 101, ["x"], 7])
def test_a_file_whose_earlier_searches_are_none_is_refused(earlier):
    line = json.dumps(json.loads(rows_to_jsonl(rows(1))) | {"earlier": earlier})
    with pytest.raises(InputError, match=r"line 1.*earlier"):
        rows_from_jsonl(line)


def test_the_store_gives_rows_and_finds_own_estimates_wherever_they_were_asked_for():
    store = open_store()
    store.create_session(search())
    store.create_session(search("3 + 3?", minutes=1, model="other"))
    store.create_session(search("4 + 4?", minutes=2, status="failed"))
    call = CallRecord(
        "x", "estimate", "done", "m", "e", prompts.ESTIMATE_TEMPLATE, prompts.ESTIMATE_VERSION,
        prompts.estimate_messages(Question("2 + 2?")), Sampling(), text="Budget: [[31]]",
    )  # fmt: skip
    store.create_session(
        SessionRecord("x", Question("a data set"), "m", "e", "", kind="experiment", calls=(call,), status="done")
    )
    found = rows_from_store(store)
    assert [(r.question.text, r.model, r.zero_shot) for r in found] == [("2 + 2?", "m", 31), ("3 + 3?", "other", None)]
    assert len(rows_from_store(store, model="m", template="paper")) == 1
    assert rows_from_store(store, model="m", template="other") == []


def test_only_one_model_and_template_is_selected_and_each_question_once():
    mine = rows(3)
    others = [replace(mine[0], model="x"), replace(mine[1], template="words")]
    again = replace(mine[2], optimal_budget=77)
    found = select_rows([*mine, *others, again], model=MODEL, template=TEMPLATE)
    assert len(found) == 3 and found[2].optimal_budget == 77


def test_too_few_rows_say_how_many_there_are_and_what_to_use_meanwhile():
    few = rows(MIN_ROWS - 1)
    middle = sorted(r.optimal_budget for r in few)[len(few) // 2]
    with pytest.raises(TooFewRowsError, match=f"has 19 .* at least 20 .*zero-shot, or fixed:{middle} "):
        require_rows(few, model=MODEL, template=TEMPLATE)
    with pytest.raises(TooFewRowsError, match=r"has 0 .*Until then use the estimator zero-shot\.$"):
        require_rows([], model=MODEL, template=TEMPLATE)


def test_the_fingerprint_follows_the_data_and_not_the_order():
    some = rows(5)
    assert fingerprint(some) == fingerprint(some[::-1]) != fingerprint([*some[1:], replace(some[0], zero_shot=1)])


@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=4).map(tuple),
    st.integers(1, 20_000),
    st.floats(1, 1e6),
    st.none() | st.integers(1, 20_000),
)
def test_rows_survive_a_file(text, options, budget, tokens, zero):
    row = TrainingRow(Question(text, options=options), budget, tokens, tokens, "m", "paper", zero, "tale")
    assert rows_from_jsonl(rows_to_jsonl([row, row])) == [row, row]


def test_a_session_of_this_machine_is_not_written_to_a_file():
    assert "search-secret" not in rows_to_jsonl([replace(rows(1)[0], session_id="search-secret")])


GOOD = json.loads(rows_to_jsonl(rows(1)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimal_budget": 0}, "line 2: optimal_budget is 0"),
        ({"optimal_budget": 20_001}, "optimal_budget is 20001"),
        ({"optimal_budget": "many"}, "line 2: optimal_budget"),
        ({"zero_shot": -1}, "zero_shot is −1"),
        ({"vanilla_tokens": 0.5}, "vanilla_tokens is 0.5"),
        ({"question": {"text": "  "}}, "question.text must have"),
        ({"question": {}}, "question.text"),
        ({"model": " "}, "model and template"),
    ],
)
def test_a_wrong_row_names_its_line_and_what_is_wrong(change, words):
    text = json.dumps(GOOD) + "\n" + json.dumps(GOOD | change)
    with pytest.raises(InputError, match=words):
        rows_from_jsonl(text)


@pytest.mark.parametrize("line", ["{", "[]", "null", "[" * 100_000, '{"optimal_tokens": NaN}'])
def test_a_line_that_is_no_row_is_an_input_error(line):
    with pytest.raises(InputError, match="line 1"):
        rows_from_jsonl(line)


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="not UTF-8"):
        read_rows(tmp_path / "latin.jsonl")
