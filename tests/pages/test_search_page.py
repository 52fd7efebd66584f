"""The Search page: what it refuses, what it shows of every search, and how a search is watched and resumed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

from tale_core.models.choice import ModelChoice
from tale_core.runs.runner import runner
from tale_core.search.engine import StopReason
from tale_core.search.text import stop_words
from tale_core.settings import REPO_ROOT
from tale_core.types import SessionRecord
from tests.pages import search_samples as samples
from tests.pages.app_page import QUESTION, endpoint, opened, press_again, session_id, started, store, stored, words
from tests.store.samples import gone
from tests.support import bad_endpoint
from tests.support.bad_endpoint import BadEndpoint
from ui import shell
from ui.common import run_parts
from ui.common.answer import RAW, set_text
from ui.search import result as search_result

REASONS: tuple[StopReason, ...] = get_args(StopReason)
BUDGET = re.compile(r"less than (\d+) tokens")


def searching(*, session: str | None = None, use: ModelChoice | None = None, **state: object) -> AppTest:
    """The Search page, drawn once, in a browser session of its own, with a model that nothing has to be fetched for."""
    return opened("pages/Search.py", session=session, use=use or endpoint("http://127.0.0.1:9/v1", "ok"), **state)


def search(at: AppTest, *, answer: str = "42") -> AppTest:
    """Fill the form and press Search; returns when the search has ended."""
    at.text_area(key="question").input(QUESTION)
    at.text_input(key="answer").input(answer)
    return at.button(key="search").click().run()


def shown(at: AppTest) -> str:
    """The words below the form."""
    return words(at.main).split("cap calls or tokens instead.", 1)[1]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The model "obedient" spends 100 tokens without a budget, else what it is asked for, and is wrong below 30.

    Budgets below 50 are answered when the gate is open.
    """
    gate = threading.Event()
    gate.set()

    def obedient(h: Any, body: dict[str, Any]) -> None:
        found = BUDGET.search(str(body["messages"]))
        tokens = int(found[1]) if found else 100
        cap = body.get("max_tokens") or 9999
        with h.stream() as s:
            s.text(["Half ", "of it. "])
            while tokens < 50 and not gate.wait(0.02) and not h.bad.stopping.is_set():
                s.raw(b": still there\n\n")
            s.text(["[[42]]" if tokens >= 30 else "[[7]]"])
            s.chunk(finish="length" if tokens > cap else "stop")
            s.usage({"prompt_tokens": 11, "completion_tokens": min(tokens, cap)})
            s.done()

    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "obedient", obedient)
    yield gate
    gate.set()


def test_the_empty_page_is_a_form_with_one_thing_to_press() -> None:
    at = searching()
    assert not at.exception and not at.warning
    assert "What is the smallest budget that still works?" in words(at.main)
    assert at.text_input(key="answer").placeholder == "required"
    assert not at.button(key="search").disabled
    assert [b.key for b in at.main.button] == ["search", "evidence_mine", "play"]


@pytest.mark.parametrize(
    ("question", "answer", "said"), [("", "42", "question is empty"), (QUESTION, "", "known answer")]
)
def test_what_is_missing_is_said_and_nothing_is_started(
    bad: BadEndpoint, question: str, answer: str, said: str
) -> None:
    at = searching(use=endpoint(bad.base_url, "ok"))
    at.text_area(key="question").input(question)
    at.text_input(key="answer").input(answer)
    at.button(key="search").click().run()
    assert said in words(at.error[0]) and not at.exception
    assert store().count_sessions() == 0 and bad.requests == []


def test_a_question_typed_on_ask_is_there_on_search() -> None:
    at = AppTest.from_file(str(REPO_ROOT / "app.py"), default_timeout=60).run()
    at.text_area(key="question").input("How much is 2 + 2?")
    at.text_input(key="answer").input("4").run()
    at.switch_page("pages/Search.py").run()
    assert not at.exception
    assert (at.text_area(key="question").value, at.text_input(key="answer").value) == ("How much is 2 + 2?", "4")


def test_money_is_not_limited_where_its_price_is_unknown_and_the_page_says_why(bad: BadEndpoint) -> None:
    at = searching(use=endpoint(bad.base_url, "ok"))
    assert at.number_input(key="search_max_cost").disabled
    assert "The price of this model is unknown, so money cannot be capped" in words(at.main)


def test_a_search_is_found_told_and_stored(bad: BadEndpoint, gate: threading.Event) -> None:
    at = search(searching(use=endpoint(bad.base_url, "obedient")))
    assert not at.exception and not at.error
    found = at.subheader[0].value
    assert found.startswith("A budget of ") and "tokens instead of 100" in found
    budget = int(found.split()[3])
    assert 30 <= budget < 50
    session = stored(at)
    assert (session.kind, session.status) == ("search", "done")
    assert session.result is not None and session.result["done"]["optimal_budget"] == budget
    assert "unknown price" in shown(at) and "$0" not in shown(at)
    before = len(bad.requests)
    again = searching(session=session.id)
    assert again.subheader[0].value == found and len(bad.requests) == before


def test_the_settings_of_the_form_reach_the_search(bad: BadEndpoint, gate: threading.Event) -> None:
    at = searching(use=endpoint(bad.base_url, "obedient"))
    at.selectbox(key="search_mode").select("reference")
    at.number_input(key="search_max_calls").set_value(2)
    search(at)
    plan = stored(at).plan
    assert plan["mode"] == "reference" and plan["limits"]["max_calls"] == 2
    assert "The search stopped at its cap on calls." in words(at.main)
    assert bad.count("obedient") == 2


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_to_stop_is_told_in_words(reason: StopReason) -> None:
    made = samples.steps((), outcome=samples.WRONG) if reason.startswith("vanilla") else samples.steps()
    at = searching(session=samples.saved(samples.view(made, reason=reason, gain=0)))
    assert not at.exception
    assert stop_words(reason) in words(at.main) and reason not in words(at.main)


def test_a_done_search_shows_chart_steps_and_spend() -> None:
    at = searching(session=samples.saved(samples.view()))
    assert not at.exception
    assert "A budget of 41 is enough: 37 tokens instead of 258, 86 % fewer, still right." in shown(at)
    table = at.table[0].value
    assert list(table["Budget"]) == ["–", "129", "64", "32", "48", "41", "36"]
    assert list(table["Actual tokens"]) == ["258", "118", "71", "29", "52", "37", "31"]
    assert "Wrong" in table["Outcome"].iloc[3] and "No readable answer" in table["Outcome"].iloc[6]
    assert "Spent in all: 7 calls, 596 answer tokens" in words(at.main).replace("*", "")
    assert "budget 41: 37 tokens, right" in words(at.main)  # The chart's description.
    assert len(at.main.get("download_button")) == 2


def test_a_cut_answer_is_told_apart_from_a_wrong_one() -> None:
    at = searching(session=samples.saved(samples.elastic()))
    outcomes = list(at.table[0].value["Outcome"])
    assert "Cut off: could not win" in words(at.main)
    assert not [o for o in outcomes if "Wrong" in o] and "≥ 86" in list(at.table[0].value["Actual tokens"])


def test_the_replay_shows_what_was_known_then() -> None:
    at = searching(session=samples.saved(samples.view()))
    assert "Probe 6 of 6" in words(at.main) and len(at.table[0].value) == 7
    at.slider(key="step_of_search-sample").set_value(3).run()
    assert not at.exception
    said = words(at.main)
    assert "Probe 3 of 6" in said and "After 3 tries: from 258 tokens down to 71" in said
    assert "budgets from 1 to 63 are still open; trying the middle, 32." in said
    assert len(at.table[0].value) == 4
    at.slider(key="step_of_search-sample").set_value(0).run()
    assert "First without a budget" in words(at.main)


def test_playing_starts_over_goes_step_by_step_and_stops_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_result, "PLAY_S", 1000.0)  # The test is the clock.
    at = searching(session=samples.saved(samples.limit_reached()))
    at.button(key="play").click().run()
    seen = [at.slider(key="step_of_search-sample").value]
    for _ in range(4):
        assert at.button(key="play").label == "Pause"
        at.session_state["play_due"] = 0.0
        at.run()
        seen.append(at.slider(key="step_of_search-sample").value)
    assert seen == [0, 1, 2, 3, 3] and at.button(key="play").label == "Play" and not at.exception


def test_moving_the_slider_pauses() -> None:
    at = searching(session=samples.saved(samples.view()))
    at.button(key="play").click().run()
    assert at.button(key="play").label == "Pause"
    at.slider(key="step_of_search-sample").set_value(2).run()
    at.run()
    assert at.button(key="play").label == "Play" and at.slider(key="step_of_search-sample").value == 2


def test_a_search_of_one_answer_has_nothing_to_replay() -> None:
    at = searching(session=samples.saved(samples.vanilla_wrong()))
    assert not at.exception and not at.main.slider
    assert "wrong even without a budget, so there is nothing to search" in at.subheader[0].value


@pytest.mark.parametrize("status", ["interrupted", "failed", "cancelled"])
def test_a_search_that_did_not_finish_can_be_resumed_without_paying_again(
    bad: BadEndpoint, gate: threading.Event, status: str
) -> None:
    use = endpoint(bad.base_url, "obedient")
    first = search(searching(use=use))
    done = stored(first)
    calls = bad.count("obedient")
    assert done.result is not None
    # The same search as a crash before its last answer would have left it.
    torn = replace(
        done, id="search-torn", status=status, result={"steps": done.result["steps"][:-1], "done": None},
        calls=tuple(replace(c, id=0) for c in done.calls[:-1]),
    )  # fmt: skip
    gone(store(), done.id)
    store().create_session(torn)
    at = searching(session="search-torn", use=use)
    assert "The search did not finish. So far: a budget of" in words(at.main)
    assert "Finished answers are not paid for again." in words(at.main)
    at.button(key="resume").click().run()
    assert not at.exception and session_id(at) != "search-torn"
    again = stored(at)
    assert again.parent_id == "search-torn" and again.status == "done"
    assert again.result is not None
    assert again.result["done"]["optimal_budget"] == done.result["done"]["optimal_budget"]
    assert bad.count("obedient") == calls + 1
    assert f"{calls - 1} answers were known from an earlier session and reused." in words(at.main)


def test_a_search_of_a_model_that_is_not_at_hand_says_what_to_do_to_resume_it() -> None:
    at = searching(session=samples.saved(samples.failed()))
    assert at.button(key="resume").disabled
    assert "add that model in Settings to resume" in words(at.main)
    assert "Nothing answered at" in words(at.error[0])


def test_a_finished_search_offers_no_resuming() -> None:
    at = searching(session=samples.saved(samples.view()))
    assert "resume" not in [b.key for b in at.main.button]


def test_whoever_comes_back_follows_the_same_search_to_its_end(bad: BadEndpoint, gate: threading.Event) -> None:
    gate.clear()
    at = searching(use=endpoint(bad.base_url, "obedient"))
    job = started(at, search)
    assert at.button(key="search").disabled
    threading.Timer(0.5, gate.set).start()
    other = searching(session=job.id)  # Returns when there is nothing left to follow.
    assert not other.exception and "A budget of" in other.subheader[0].value
    assert other.text_area(key="question").value == QUESTION
    assert store().count_sessions() == 1


def test_a_stopped_search_keeps_what_it_found_and_can_be_resumed(bad: BadEndpoint, gate: threading.Event) -> None:
    gate.clear()
    at = searching(use=endpoint(bad.base_url, "obedient"))
    job = started(at, search)
    while len(job.view().steps) < 2:
        assert job.view().running and not gate.wait(0.02)
    job.cancel()
    assert job.wait(20).status == "cancelled"
    at.run()
    assert "This search was stopped." in words(at.main) and "The search did not finish." in words(at.main)
    assert not at.button(key="resume").disabled and bad.wait_for(lambda: bad.open_streams == 0)


def test_a_second_click_starts_nothing(bad: BadEndpoint, gate: threading.Event) -> None:
    gate.clear()
    at = searching(use=endpoint(bad.base_url, "obedient"))
    job = started(at, search)
    press_again(at, "search")
    assert session_id(at) == job.id and store().count_sessions() == 1


def test_a_click_is_taken_between_two_pictures_that_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Stop is, while an endpoint takes its time and there is nothing new to draw."""
    view, went_on = samples.halfway(), []

    class Watched:
        id = "search-same"

        def view(self) -> Any:
            return view

        def stop(self) -> None:
            raise AssertionError("nobody pressed Stop")

        def watch(self, *, interval_s: float) -> Iterator[Any]:
            yield view
            ctx = get_script_run_ctx()
            assert ctx is not None and ctx.script_requests is not None
            ctx.script_requests.request_stop()
            yield view
            went_on.append(True)
            monkeypatch.setattr(runner(), "get", lambda session_id: None)

    monkeypatch.setattr(search_result.LiveSearch, "update", lambda self, view: None)
    monkeypatch.setattr(runner(), "get", lambda session_id: Watched())
    samples.saved(samples.elastic(), "search-same")
    searching(session="search-same")
    assert not went_on


def test_the_live_picture_is_drawn_at_every_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [samples.preparing(), *[samples.halfway()] * 3, samples.elastic()]

    class Watched:
        id = "search-live"

        def view(self) -> Any:
            return views[1]

        def stop(self) -> None:
            raise AssertionError("nobody pressed Stop")

        def watch(self, *, interval_s: float) -> Iterator[Any]:
            yield from views
            monkeypatch.setattr(runner(), "get", lambda session_id: None)

    seen: list[Any] = []
    said: list[run_parts.Now] = []
    draw, update = run_parts.Now.draw, search_result.LiveSearch.update
    monkeypatch.setattr(run_parts.Now, "draw", lambda now: (draw(now), said.append(now)))
    monkeypatch.setattr(search_result.LiveSearch, "update", lambda self, view: (update(self, view), seen.append(view)))
    monkeypatch.setattr(runner(), "get", lambda session_id: Watched())
    samples.saved(samples.elastic(), "search-live")
    at = searching(session="search-live")
    assert not at.exception and seen == views
    assert len(said) == len(set(said)) == 3, "what stands there already is not drawn again"
    assert "A budget of 60 is enough" in at.subheader[0].value


def test_a_hostile_question_and_answer_stay_text() -> None:
    hostile = "<script>alert(1)</script> ![x](http://127.0.0.1:9/p.png) costs $5 and $6 **bold** :red[x]"
    view = samples.view(question=replace(samples.QUESTION, text=hostile))
    first = view.calls[0]
    written = replace(first, record=replace(first.record, text=hostile))
    at = searching(session=samples.saved(replace(view, calls=(written, *view.calls[1:]))))
    at.slider(key="step_of_search-sample").set_value(0).run()
    assert not at.exception
    assert at.text_area(key="question").value == hostile
    # Its Markdown is set, and nothing else of it is.
    assert str(set_text(hostile)).strip() in [m.value.strip() for m in at.main.markdown]
    for markdown in (*at.main.markdown, *at.main.caption, *at.main.subheader):
        assert "![x]" not in markdown.value and not re.search(r"(?<!\\)<script", markdown.value)
    assert r"\<script\>" in at.sidebar.button(key="open_search-sample").label
    at.session_state[RAW] = True
    assert [t.value for t in at.run().text] == [hostile]


@pytest.mark.parametrize(
    ("kind", "page", "said"), [("ask", "Ask", "an Ask session"), ("sweep", "Elasticity", "a sweep")]
)
def test_a_session_of_another_kind_is_told_with_a_link_to_its_page(kind: Any, page: str, said: str) -> None:
    other = SessionRecord(
        id="other", question=samples.QUESTION, model="m", endpoint="e", estimator="fixed:20", kind=kind, status="done"
    )
    store().create_session(other)
    at = searching(session="other")
    assert not at.exception and not at.error
    assert f"This link leads to {said}, not to a search." in words(at.main)
    (link,) = at.main.get("page_link")
    assert link.proto.label == f"Open it under {page}"


@pytest.mark.parametrize("name", ["nobody", "' OR 1=1 --", "x" * 3000])
def test_an_unknown_session_is_told_in_plain_words(name: str) -> None:
    at = searching(session=name)
    assert not at.exception and "There is no session of this name" in words(at.warning[0])


def test_a_search_that_cannot_be_read_is_told_and_the_form_still_works() -> None:
    name = samples.saved(samples.view())
    store().update_session(name, result={"steps": [{"index": 0}], "done": None})
    at = searching(session=name)
    assert not at.exception and "cannot be read" in words(at.warning[0])
    assert not at.button(key="search").disabled


@pytest.mark.parametrize(
    ("kind", "path"), [("ask", "app.py"), ("search", "pages/Search.py"), ("sweep", "pages/Elasticity.py")]
)
def test_recent_sessions_lead_to_the_page_of_their_kind(monkeypatch: pytest.MonkeyPatch, kind: Any, path: str) -> None:
    store().create_session(
        SessionRecord(id="other", question=samples.QUESTION, model="m", endpoint="e", estimator="", kind=kind)
    )
    went: list[Any] = []
    monkeypatch.setattr(shell.st, "switch_page", lambda page, **how: went.append((page, how)))
    at = searching()
    at.sidebar.button(key="open_other").click().run()
    assert went == [(path, {"query_params": {"session": "other"}})]
