"""The Ask page against an endpoint that behaves well."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from tale_core.datasets import featured
from tale_core.types import Outcome, Question, SessionRecord
from tests.pages.app_page import (
    QUESTION,
    ask,
    endpoint,
    opened,
    press_again,
    result,
    session_id,
    started,
    store,
    stored,
    unfollowed,
    words,
)
from tests.support.bad_endpoint import BadEndpoint
from ui.ask import result as ask_result

BEFORE_THE_GATE = [f"word{i} " for i in range(30)]


def test_the_first_page_is_a_form_without_any_error(bad: BadEndpoint) -> None:
    at = opened(use=endpoint(bad.base_url, "ok"))
    assert not at.exception and not at.error and not at.warning
    assert at.text_area(key="question").value in ("", None)
    assert not at.button(key="ask").disabled
    assert "Now your own question" in words(at.main) and "Recorded: qwen2.5-coder-1.5b" in words(at.main)
    assert bad.requests == []


def test_an_empty_question_is_refused_in_words_and_nothing_is_stored(bad: BadEndpoint) -> None:
    at = opened(use=endpoint(bad.base_url, "ok"))
    for text in ("", "  \n "):
        ask(at, text)
        assert not at.exception
        assert [words(e) for e in at.error] and "The question is empty." in words(at.main)
        assert "session" not in at.query_params
    assert store().count_sessions() == 0 and bad.requests == []


def test_a_question_far_too_long_is_refused_and_nothing_is_sent(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")), "x" * 20_001)
    assert "The question has 20,001 characters." in words(at.main)
    assert store().count_sessions() == 0 and bad.requests == []


def test_an_ask_ends_with_a_verdict_a_budget_and_both_answers(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")))
    shown = result(at)
    assert not at.exception and not at.error
    assert "Both right: 9 tokens both times" in words(at.subheader)
    assert "Budget: 42 tokens" in shown and "the model's own estimate" in shown
    assert "Vanilla" in shown and "Budgeted" in shown
    assert [t.value for t in at.text].count("The answer is [[42]].") == 3  # The estimate's own words, and both answers.
    assert shown.count("Right") == 2 and "budget 42" in shown
    session = stored(at)
    assert session.status == "done" and session.question.text == QUESTION
    assert {c.role: (c.status, c.outcome, c.completion_tokens) for c in session.calls} == {
        "estimate": ("done", Outcome.UNGRADED, 9),
        "vanilla": ("done", Outcome.CORRECT, 9),
        "budgeted": ("done", Outcome.CORRECT, 9),
    }
    assert bad.count("ok") == 3


def test_an_unknown_price_is_never_shown_as_nothing(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")))
    assert "unknown price" in result(at) and "$0" not in result(at)


def test_an_answer_nobody_knows_is_not_graded(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")), answer="")
    assert "Right" not in result(at) and "Wrong" not in result(at)
    assert {c.outcome for c in stored(at).calls} == {Outcome.UNGRADED}


def test_one_table_holds_both_answers_and_their_difference(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "obeys")), budget=40)
    table = at.table[0].value
    columns = ["Metric", ":gray[■]\N{NO-BREAK SPACE}Vanilla", ":blue[■]\N{NO-BREAK SPACE}Budgeted", "Difference"]
    assert list(table.columns) == columns and len(at.table) == 1
    rows = {row["Metric"]: list(row)[1:] for _, row in table.iterrows()}
    assert rows["Output tokens"] == ["120", "36", r"−84 \(70 % fewer\)"]
    assert rows["Finished because"] == ["the model was done", "the model was done", "–"]
    assert "of which answer" not in rows and rows["of which prompt"] == ["11", "11", "0"]


def test_the_words_that_one_prompt_alone_has_are_marked(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "obeys")), budget=40)
    (marked,) = (m.value for m in at.markdown if "-background[" in m.value)
    assert marked.count("-background[") == 1 and ":blue-background[and use less than 40 tokens]" in marked


@pytest.mark.parametrize(
    ("one", "other", "alone"),
    [
        ("Think step by step:", "Think step by step and use less than 9 tokens:", ("", " and use less than 9 tokens")),
        ("请一步一步思考：", "请一步一步思考，用少于 9 个 token：", ("", "，用少于 9 个 token")),
        ("use 150 tokens", "use 15 tokens", ("150", "15")),
        ("use 15", "use 150", ("15", "150")),
        ("a", "b", ("a", "b")),
        ("same", "same", ("", "")),
        ("aa aa", "aa aa aa", ("", " aa")),
        ("", "all of it", ("", "all of it")),
    ],
)
def test_what_differs_is_whole_words(one: str, other: str, alone: tuple[str, str]) -> None:
    before, after = ask_result.shared_parts(one, other)
    assert (one[before : len(one) - after], other[before : len(other) - after]) == alone


def test_the_ladder_holds_every_try_and_leads_on_with_the_question(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "obeys")), budget=40)
    ask(at, budget=15)
    ask(at, "Another question?", budget=99)
    at = ask(at, budget=60)
    said = result(at)
    assert "vanilla :green[✓] **120** · 60 :green[✓] **54** · 40 :green[✓] **36** · 15 :red[✗] **90**" in said
    links = [link.proto.page for link in at.main.get("page_link")]
    assert links == ["Search", "Elasticity"]
    assert at.switch_page("pages/Search.py").run().text_area(key="question").value == QUESTION


def test_a_budget_that_broke_the_answer_says_so_first(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "obeys")), budget=15)
    assert "\nThe budget broke it: 90 instead of 120 tokens, now wrong" in words(at.subheader)


def test_a_link_shows_the_same_again_and_asks_nobody(bad: BadEndpoint) -> None:
    first = ask(opened(use=endpoint(bad.base_url, "ok")))
    before = len(bad.requests)
    again = opened(session=session_id(first), use=endpoint(bad.base_url, "ok"))
    assert not again.exception
    head = "Try another budget"
    assert result(again).split(head)[0] == result(first).split(head)[0]
    assert again.text_area(key="question").value == QUESTION and again.text_input(key="answer").value == "42"
    again.run()
    assert len(bad.requests) == before and store().count_sessions() == 1


@pytest.mark.parametrize("name", ["nobody", "' OR 1=1 --", "../../etc/passwd", "<b>x</b>", "x" * 3000, "%00\u202e"])
def test_an_unknown_session_is_told_in_plain_words(bad: BadEndpoint, name: str) -> None:
    at = opened(session=name, use=endpoint(bad.base_url, "ok"))
    assert not at.exception and not at.error
    assert "There is no session of this name" in words(at.warning[0])
    assert not at.button(key="ask").disabled


def test_a_second_click_while_an_ask_runs_starts_nothing(bad: BadEndpoint, gate: threading.Event) -> None:
    at = opened(use=endpoint(bad.base_url, "gated"))
    job = started(at, partial(ask, budget=20))
    assert at.button(key="ask").disabled
    with unfollowed():
        other = opened(session=job.id)
    assert other.button(key="ask").disabled and other.text_area(key="question").value == QUESTION
    assert bad.wait_for(lambda: bad.open_streams == 2)
    assert bad.count("gated") == 2 and store().count_sessions() == 1
    gate.set()
    assert job.wait(20).status == "done"


def test_a_second_click_that_overtakes_the_first_ones_page_starts_nothing(
    bad: BadEndpoint, gate: threading.Event
) -> None:
    at = opened(use=endpoint(bad.base_url, "gated"))
    job = started(at, partial(ask, budget=20))
    press_again(at, "ask")
    assert bad.wait_for(lambda: bad.open_streams == 2) and bad.count("gated") == 2
    assert session_id(at) == job.id and store().count_sessions() == 1


def test_another_question_may_be_asked_while_one_runs(bad: BadEndpoint, gate: threading.Event) -> None:
    at = opened(use=endpoint(bad.base_url, "gated"))
    job = started(at, partial(ask, budget=20))
    at.query_params.clear()
    with unfollowed():
        ask(at.run(), "How much is 7 times 6?")
    assert session_id(at) != job.id
    # A session's row is on its way before anything is sent, and nobody waits for it.
    assert bad.wait_for(lambda: bad.open_streams == 4 and store().count_sessions() == 2)


def test_whoever_opens_the_link_of_a_running_ask_follows_it_to_its_end(bad: BadEndpoint, gate: threading.Event) -> None:
    at = opened(use=endpoint(bad.base_url, "gated"))
    job = started(at, partial(ask, budget=20))
    threading.Timer(0.5, gate.set).start()
    other = opened(session=job.id)  # Returns when there is nothing left to follow.
    assert not other.exception and not other.button(key="ask").disabled
    assert "Both right" in other.subheader[0].value
    assert bad.count("gated") == 2 and store().count_sessions() == 1


def test_a_stopped_ask_says_so_and_keeps_what_it_cost(bad: BadEndpoint, gate: threading.Event) -> None:
    at = opened(use=endpoint(bad.base_url, "gated"))
    job = started(at, partial(ask, budget=20))
    assert bad.wait_for(lambda: bad.open_streams == 2)
    while min((c.pieces for c in job.view().calls.values()), default=0) < len(BEFORE_THE_GATE):
        assert not gate.wait(0.01)
    job.cancel()
    assert job.wait(20).status == "cancelled"
    assert bad.wait_for(lambda: bad.disconnects == ["gated", "gated"])
    at.run()
    shown = result(at)
    assert not at.exception and not at.error
    assert "Both answers were stopped" in at.subheader[0].value
    assert shown.count("Stopped") == 2 and "it was stopped" in shown and "word29" in shown
    for call in stored(at).calls:
        assert (call.status, call.finish_reason, call.outcome) == ("cancelled", "cancelled", Outcome.UNGRADED)
        assert call.usage_estimated and (call.completion_tokens or 0) >= 30


def test_another_budget_does_not_pay_for_vanilla_again(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")))
    first = stored(at)
    assert bad.count("ok") == 3 and "kept and not paid for again" in words(at.main)
    at.number_input(key=f"budget_of_{first.id}").set_value(30)
    at.button(key="rerun_budget").click().run()
    again = stored(at)
    assert not at.exception and again.id != first.id and again.parent_id == first.id
    assert bad.count("ok") == 4 and "less than 30 tokens" in str(bad.requests[-1].body)
    assert "Budget: 30 tokens" in result(at) and "set by you" in result(at)
    assert "The vanilla answer is cached" in result(at)
    (old,) = (c for c in first.calls if c.role == "vanilla")
    (new,) = (c for c in again.calls if c.role == "vanilla")
    assert new.source == "cached" and (new.text, new.latency_s) == (old.text, old.latency_s)


def test_a_vanilla_answer_of_another_model_is_not_reused(bad: BadEndpoint) -> None:
    first = ask(opened(use=endpoint(bad.base_url, "ok")))
    at = opened(session=session_id(first), use=endpoint(bad.base_url, "no-usage"))
    assert "not paid for again" not in words(at.main)
    at.button(key="rerun_budget").click().run()
    assert bad.count("no-usage") == 2 and {c.source for c in stored(at).calls} == {"live"}


def test_guesses_made_before_the_start_are_scored(bad: BadEndpoint) -> None:
    at = opened(use=endpoint(bad.base_url, "ok"))
    at.toggle(key="guess_first").set_value(True).run()
    at.number_input(key="guess_vanilla").set_value(18)
    at.number_input(key="guess_budgeted").set_value(9)
    ask(at)
    assert "vanilla: you guessed 18, it took 9. Score 50 of 100." in words(at.info[0])
    assert "budgeted: you guessed 9, it took 9. Score 100 of 100." in words(at.info[0])
    assert stored(at).guesses == {"vanilla": 18, "budgeted": 9}


def test_recent_sessions_are_in_the_sidebar_and_lead_to_their_link(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")), "How much is $6 times **7**?")
    assert "Recent sessions" in words(at.sidebar)
    link = at.sidebar.button(key=f"open_{session_id(at)}")
    assert link.label.startswith(r"How much is \$6 times \*\*")
    away = opened(use=endpoint(bad.base_url, "ok"))
    away.sidebar.button(key=f"open_{session_id(at)}").click().run()
    assert not away.exception and session_id(away) == session_id(at) and bad.count("ok") == 3


def test_an_example_fills_question_and_answer_and_keeps_its_options(bad: BadEndpoint) -> None:
    at = opened(use=endpoint(bad.base_url, "ok"))
    box = at.selectbox(key="example")
    box.set_value(next(q for q in featured() if q.answer)).run()
    assert not at.exception
    assert at.text_area(key="question").value and at.text_input(key="answer").value
    assert at.selectbox(key="example").value is None


@pytest.mark.parametrize(
    ("kind", "page", "said"), [("search", "Search", "a search"), ("sweep", "Elasticity", "a sweep")]
)
def test_a_session_of_another_kind_is_told_with_a_link_to_its_page(
    bad: BadEndpoint, kind: Any, page: str, said: str
) -> None:
    question = Question(text="What is 6 times 7?", answer="42", language="en", source="typed")
    store().create_session(
        SessionRecord(id="other", question=question, model="m", endpoint="e", estimator="", kind=kind, status="done")
    )
    at = opened(session="other", use=endpoint(bad.base_url, "ok"))
    assert not at.exception and not at.error
    assert f"This link leads to {said}, not to an Ask session." in words(at.main)
    (link,) = at.main.get("page_link")
    assert link.proto.label == f"Open it under {page}"


def test_the_chosen_model_stays_chosen_from_page_to_page(bad: BadEndpoint) -> None:
    at = opened(use=endpoint(bad.base_url, "ok"))
    chosen = at.selectbox(key="model").value
    for path in ("pages/Settings.py", "pages/Search.py", "pages/Settings.py", "pages/Elasticity.py", "app.py"):
        at.switch_page(path).run()
        assert not at.exception
        if path != "pages/Settings.py":
            assert at.selectbox(key="model").value == chosen
    other = next(key for key in at.selectbox(key="model").options if key != chosen)
    at.selectbox(key="model").select(other).run()
    assert at.switch_page("pages/Search.py").run().selectbox(key="model").value == at.session_state["chosen_model"]
    assert at.session_state["chosen_model"] != chosen


def test_the_kind_of_budget_is_chosen_on_the_page_and_stands_in_the_plan(bad: BadEndpoint) -> None:
    at = opened(use=endpoint(bad.base_url, "ok"))
    at.radio(key="ask_knob").set_value("effort").run()
    assert at.selectbox(key="ask_level").options
    at.selectbox(key="ask_level").select("low")
    at = ask(at, QUESTION)
    assert not at.exception and stored(at).estimator == "effort:low"
