"""The Elasticity page: form and sheet, every state of a stored sweep, a live one, others laid over it."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.elasticity import text as elasticity_words
from tale_core.models.choice import ModelChoice
from tale_core.runs.documents import sweep_csv, sweep_document
from tale_core.text import safe_cell
from tale_core.types import Question
from tests.pages import sweep_samples as samples
from tests.pages.app_page import (
    QUESTION,
    endpoint,
    opened,
    press_again,
    sent,
    session_id,
    started,
    store,
    stored,
    words,
)
from tests.support.bad_endpoint import BadEndpoint
from tests.support.counting_endpoint import CountingEndpoint, Reply
from ui.elasticity.form import WARM

PAGE = "pages/Elasticity.py"


def page(*, session: str | None = None, use: ModelChoice | None = None, **state: object) -> AppTest:
    """The Elasticity page, drawn once, in a browser session of its own."""
    return opened(PAGE, session=session, use=use, **state)


def kept(name: str, **changes: Any) -> str:
    """Store a sample; its link's id."""
    return store().create_session(samples.session(samples.SAMPLES[name](), f"sweep-{name}", **changes)).id


def shown(name: str, **changes: Any) -> AppTest:
    at = page(session=kept(name, **changes))
    assert not at.exception
    return at


def charts(at: AppTest) -> list[dict[str, Any]]:
    return [json.loads(node.proto.spec) for node in at.main if node.type == "plotly_chart"]


def measure(at: AppTest, *, budgets: str = "50, 10", repeats: int = 1, **caps: int) -> AppTest:
    """Fill the form and press Measure; returns when the sweep has ended."""
    at.text_area(key="question").input(QUESTION)
    at.text_input(key="answer").input("42")
    at.radio(key="sweep_grid").set_value("own").run()
    at.text_input(key="sweep_own").input(budgets)
    at.number_input(key="sweep_repeats").set_value(repeats)
    for name, value in caps.items():
        at.number_input(key=f"sweep_{name}").set_value(value)
    return at.run().button(key="measure").click().run()


def test_the_first_page_is_a_form_with_its_sheet_and_asks_nobody(bad: BadEndpoint) -> None:
    at = page(use=endpoint(bad.base_url, "ok"))
    text = words(at.main)
    assert not at.exception and not at.error and not at.warning
    assert "What happens when it is asked for less?" in text and "smaller and smaller budgets" in text
    assert "at most 30: 8 budgets, vanilla and direct, 3 times each" in text
    assert "unknown price" in text and "$0 (" not in text
    assert "unknown until the first answer" in text and "estimate by tiktoken" in text
    assert "assumed, since this model has not answered this question yet" in text
    assert not at.button(key="measure").disabled and bad.requests == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [("", "The list of budgets is empty."), ("50, many", "'many' is not a whole number"), ("0", "out of range")],
)
def test_a_bad_list_is_told_in_words_and_cannot_be_measured(bad: BadEndpoint, typed: str, told: str) -> None:
    at = page(use=endpoint(bad.base_url, "ok"))
    at.radio(key="sweep_grid").set_value("own").run()
    at.text_input(key="sweep_own").input(typed).run()
    assert not at.exception and told in words(at.error)
    assert "such as 200, 100, 50, 20" in words(at.error)
    assert at.button(key="measure").disabled and store().count_sessions() == 0


def test_an_empty_question_is_refused_in_words_and_nothing_is_stored(bad: BadEndpoint) -> None:
    at = page(use=endpoint(bad.base_url, "ok")).button(key="measure").click().run()
    assert not at.exception and "The question is empty." in words(at.error)
    assert store().count_sessions() == 0 and bad.requests == []


def test_the_sheet_follows_grid_repeats_and_caps(bad: BadEndpoint) -> None:
    at = page(use=endpoint(bad.base_url, "ok"), max_tokens=100)
    at.radio(key="sweep_grid").set_value("own").run()
    at.text_input(key="sweep_own").input("60, 40")
    at.number_input(key="sweep_repeats").set_value(2)
    at.number_input(key="sweep_max_calls").set_value(5)
    text = words(at.run().main)
    assert "8: 2 budgets, vanilla and direct, 2 times each" in text
    assert "stops at 5 calls" in text and "runs to max_tokens (100), or to the hard cap" in text
    kept_, worst = (int(n.replace(",", "")) for n in re.findall(r"about ([\d,]+) if .* at most ([\d,]+)", text)[0])
    prompts = int(re.findall(r"about ([\d,]+) \(estimate by tiktoken", text)[0].replace(",", ""))
    assert (kept_ - prompts, worst - prompts) == (2 * (100 + 60 + 40 + 40), 5 * 100)


def test_repeats_at_temperature_0_are_said_to_tell_nothing() -> None:
    at = page()
    assert at.number_input(key="sweep_temperature").value == WARM
    at.number_input(key="sweep_temperature").set_value(0.0).run()
    assert "all 3 repeats of a budget are the same measurement" in words(at.main)
    at.number_input(key="sweep_repeats").set_value(1).run()
    assert "chance and effect cannot be told apart" in words(at.main)


def test_a_model_on_this_machine_costs_no_money_and_has_no_money_cap() -> None:
    at = page()
    assert "$0 (runs on this machine)" in words(at.main)
    assert at.number_input(key="sweep_max_cost").disabled


def test_a_finished_sweep_says_its_finding_first_then_curve_table_and_files() -> None:
    at = shown("rebound")
    text = words(at.main)
    # Told by the page, in its reader's language, and not the sentence that was stored.
    assert "Asked for less, the model writes less down to a budget of 50 (86 tokens" in words(at.subheader)
    (chart,) = charts(at)
    titles = chart["layout"]["title"]["text"].replace("<br>", " ")
    assert titles == "Asked for less than 50 tokens, it costs more again"
    notes = " ".join(a["text"] for a in chart["layout"]["annotations"])
    for word in ("ideal range<br>32–100 tokens", "asked for", "vanilla: 258 tokens", "71 tokens more", "p = 0.012"):
        assert word in notes
    assert "Budget asked for, tokens" in json.dumps(chart, ensure_ascii=False)
    table = text.replace("\xa0", " ").replace("\u2060", "")
    assert "157 [97–217]" in table and "33 % [6 %–79 %], n = 3" in table and "1 right, 2 wrong" in table
    assert "Save as CSV" in text and "Save as JSON" in text and "camera" in text
    assert "Resume" not in text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("flat", "About 263 tokens, whatever is asked for"),
        ("one_repeat", "it may cost more again"),
        ("full", "Between 111 and 522 tokens were spent"),
        ("halfway", "from 212 down to 121 tokens"),
    ],
)
def test_the_chart_says_no_more_than_was_found(name: str, told: str) -> None:
    (chart,) = charts(shown(name))
    assert told in chart["layout"]["title"]["text"].replace("<br>", " ")


def test_one_answer_under_each_budget_has_no_band_and_says_so() -> None:
    at = shown("one_repeat")
    assert "there is no interval, and chance cannot be judged" in words(at.main)
    assert "may be chance" in json.dumps(charts(at)[0]) and '"toself"' not in json.dumps(charts(at)[0])


def test_answers_that_nobody_graded_have_no_panel_of_right_ones() -> None:
    at = shown("ungraded")
    assert "not graded" in words(at.main) and "yaxis2" not in charts(at)[0]["layout"]
    assert "yaxis2" in charts(shown("rebound"))[0]["layout"]


@pytest.mark.parametrize("name", ["interrupted", "limited"])
def test_a_sweep_that_ended_early_keeps_its_curve_and_offers_to_go_on(name: str) -> None:
    at = shown(name)
    text = words(at.main)
    assert charts(at) and " of 30 answers are there" in text and "Resume" in text
    assert at.button(key="resume").disabled and "that model is needed to resume" in text


def test_a_failed_sweep_says_why_and_draws_nothing() -> None:
    at = shown("failed")
    assert "The endpoint refused the key." in words(at.error)
    assert not charts(at) and "there is nothing to draw" in words(at.main)


def test_a_sweep_is_measured_stored_and_found_again_by_its_link(bad: BadEndpoint) -> None:
    at = measure(page(use=endpoint(bad.base_url, "ok")))
    assert not at.exception and not at.error
    session = stored(at)
    assert (session.kind, session.status, len(session.calls)) == ("sweep", "done", 4)
    assert bad.count("ok") == 4 and len(charts(at)) == 1 and at.subheader
    again = page(session=session.id)
    assert not again.exception and again.subheader[0].value == at.subheader[0].value
    assert again.text_area(key="question").value == QUESTION and again.text_input(key="sweep_own").value == "50, 10"
    assert bad.count("ok") == 4


def test_a_sweep_over_efforts_says_on_the_page_whether_they_are_real() -> None:
    def thinks(body: dict[str, Any]) -> Reply:
        thought = {"low": 100, "high": 700}.get(body.get("reasoning_effort", ""), 300) + body["seed"] % 5
        return Reply("[[42]]", completion_tokens=thought + 4, reasoning_tokens=thought)

    with CountingEndpoint(of_body=thinks) as thinker:
        at = page(use=endpoint(thinker.base_url, "thinker"), sweep_knob="effort", sweep_levels=["high", "low"])
        at.text_area(key="question").input(QUESTION)
        at.text_input(key="answer").input("42")
        at.run().button(key="measure").click().run()
    assert not at.exception and not at.error
    assert stored(at).plan["levels"] == ["low", "high"]
    assert at.subheader[0].value.replace("\\", "").startswith("All levels differ: low and high, n = 3.")
    (chart,) = charts(at)
    assert [trace["name"] for trace in chart["data"] if trace["type"] == "bar"] == ["answer", "thinking"]
    assert "Reasoning effort" in words(at.main)


def test_a_cap_ends_it_and_going_on_pays_nothing_twice(bad: BadEndpoint) -> None:
    at = measure(page(use=endpoint(bad.base_url, "ok")), max_calls=3)
    first = stored(at)
    assert bad.count("ok") == 3 and "the cap counts anew" in words(at.main)
    at.button(key="resume").click().run()
    assert not at.exception
    assert bad.count("ok") == 4 and stored(at).parent_id == first.id
    assert "3 answers were known from earlier and not paid for again" in words(at.main)
    assert "The sweep that this one resumed" in words(at.main)


def test_a_second_click_starts_nothing_and_whoever_has_the_link_follows_to_the_end(
    bad: BadEndpoint, gate: threading.Event
) -> None:
    at = page(use=endpoint(bad.base_url, "gated"))
    job = started(at, measure)
    assert at.button(key="measure").disabled
    press_again(at, "measure")
    assert session_id(at) == job.id and store().count_sessions() == 1
    threading.Timer(0.3, gate.set).start()
    other = page(session=job.id)  # Returns when there is nothing left to follow.
    assert not other.exception and other.subheader and not other.button(key="measure").disabled
    assert job.wait(20).status == "done" and bad.count("gated") == 4


def test_a_stopped_sweep_says_so_and_offers_to_go_on(bad: BadEndpoint, gate: threading.Event) -> None:
    at = page(use=endpoint(bad.base_url, "gated"))
    job = started(at, measure)
    assert bad.wait_for(lambda: bad.open_streams == 1)
    job.cancel()
    assert job.wait(20).status == "cancelled"
    at.run()
    assert not at.exception and "This sweep was stopped." in words(at.info)
    assert not at.button(key="resume").disabled


def test_progress_says_how_many_answers_are_there_and_how_long_it_may_take() -> None:
    view = samples.halfway()
    told = elasticity_words.progress(view, now=samples.BEGAN + timedelta(seconds=24))
    assert told == "12 of 30 answers, about 36 s left"
    begun = replace(view, finished=0, calls=())
    assert "time left unknown until the first answer" in elasticity_words.progress(begun, now=samples.BEGAN)


def test_two_sweeps_are_laid_over_it_each_with_a_colour_and_a_line_of_its_own() -> None:
    other = Question("How much is 17 times 3?", answer="51")
    first, second = kept("flat", model="second"), kept("full", model="third", question=other)
    at = shown("rebound")
    at.multiselect(key="overlay_sweep-rebound").set_value([first]).run()
    (chart,) = charts(at)
    assert "Budget asked for, tokens" in json.dumps(chart, ensure_ascii=False)
    at.multiselect(key="overlay_sweep-rebound").set_value([first, second]).run()
    (chart,) = charts(at)
    named = [t for t in chart["data"] if t.get("showlegend", True) and "name" in t]
    assert len(named) == 3 and {"This sweep"} < {t["name"] for t in named}
    assert len({t["line"]["color"] for t in named}) == len({t["line"]["dash"] for t in named}) == 3
    assert "Spent, % of vanilla" in json.dumps(chart, ensure_ascii=False)
    assert "everything is a share of each one's own answer without a budget" in words(at.main)
    assert "second · paper" in words(at.main)
    # In the legend stands what tells them apart: the template is the same.
    assert [t["name"].split(" · ")[0] for t in named if t["name"] != "This sweep"] == ["second", "third"]
    assert not any("paper" in t["name"] for t in named)


def test_texts_of_others_are_shown_literally() -> None:
    hostile = "<img src=x onerror=alert(1)> $x^2$ [a](javascript:alert(1)) \u202eevil"
    kept("flat", model=hostile, question=Question(hostile, answer="1"))
    at = shown("rebound", model="mine", question=Question(hostile, answer="1"))
    at.multiselect(key="overlay_sweep-rebound").set_value(["sweep-flat"]).run()
    assert not at.exception and "\u202e" not in sent(at.main)
    (chart,) = charts(at)
    drawn = json.dumps([chart["layout"]["title"], [t.get("name") for t in chart["data"]]])
    assert "<img" not in drawn and "&lt;img" in drawn


def test_a_link_to_another_kind_of_session_leads_to_its_page() -> None:
    store().create_session(replace(samples.session(samples.rebound(), "ask-x"), kind="ask", plan={}, result=None))
    at = page(session="ask-x")
    assert not at.exception and "leads to an Ask session, not to a sweep" in words(at.info)
    assert "Open it under Ask" in words(at.main)


@pytest.mark.parametrize("name", ["nobody", "' OR 1=1 --", "<b>x</b>"])
def test_an_unknown_session_is_told_in_plain_words(name: str) -> None:
    at = page(session=name)
    assert not at.exception and "There is no session of this name" in words(at.warning)


def test_the_json_document_has_the_keys_that_do_not_change() -> None:
    document = json.loads(json.dumps(sweep_document(samples.rebound())))
    assert {"session", "points", "ideal_range", "rebound"} <= set(document)
    keys = "budget repeats tokens_mean tokens_low tokens_high accuracy accuracy_low accuracy_high"
    assert set(keys.split()) <= set(document["points"][0])
    assert document["ideal_range"] == [32, 100] and document["rebound"]["budget"] == 10
    assert document["points"][0]["budget"] is None and sweep_document(samples.failed())["points"] == []


def test_no_cell_of_the_csv_is_a_formula() -> None:
    view = replace(samples.rebound(), model="=cmd|' /C calc'!A0", question=Question("@SUM(1)"))
    text = sweep_csv(view)
    assert "'=cmd" in text and "'@SUM" in text and ",=" not in text and ",@" not in text
    assert len(text.splitlines()) == 10
    plain = ("-1", "+1", "-3.5e2", "-1,234.50", "-12%", "-.5", "a=b", -1, None)
    assert [safe_cell(v) for v in plain] == list(plain)
    unsafe = ("=1", "+cmd", "@x", "-2+3+cmd|' /C calc'!A0", "-1-1", "-1,2", "-1\n", "--1", "-", "\tx", "\r=1", "\n=1",
              "\uff1d1", "-1%%", "-1/2")  # fmt: skip
    assert [safe_cell(v) for v in unsafe] == [f"'{v}" for v in unsafe]
