"""The Experiments page: form, data and sheet, every state of a stored experiment, single answers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tale_core.settings import get_settings
from tale_core.strategies import Offer, title_of
from tale_core.strategies import offered as offered_names
from tale_core.types import Question
from tests.pages import experiment_samples as samples
from tests.pages import sweep_samples
from tests.pages.app_page import endpoint, opened, sent, store, words
from tests.pages.experiment_page import (
    HOSTILE,
    PAGE,
    box,
    cells,
    charts,
    experiment_id,
    page,
    read,
    sheet,
    shown,
    upload,
)
from tests.support.bad_endpoint import BadEndpoint
from ui.experiments import answers as experiments_answers
from ui.experiments import data as experiments_data
from ui.experiments.result import exported

# --- the form


def test_the_first_page_is_a_form_with_its_sheet_and_asks_nobody(bad: BadEndpoint) -> None:
    at = page(use=endpoint(bad.base_url, "ok"))
    text = words(at.main)
    assert not at.exception and not at.error and not at.warning
    assert "What does each strategy cost, and what does it get right?" in text
    assert at.multiselect(key="exp_strategies").value == ["direct", "vanilla", "tale-zero-shot"]
    assert at.text_input(key="exp_fixed").value == "50"
    told = sheet(at)
    assert "80: 20 questions × 4 strategies" in told and "Calls: 100" in told, "the estimator's calls count too"
    assert "unknown price" in told and "$0" not in told and "unknown until the first answer" in told
    assert "There is no experiment yet." in text
    assert not at.button(key="run").disabled and bad.requests == [] and store().count_sessions() == 0


def test_the_sheet_follows_strategies_repeats_and_caps(bad: BadEndpoint) -> None:
    at = page(use=endpoint(bad.base_url, "ok"), max_tokens=100)
    at.number_input(key="exp_limit").set_value(5)
    at.multiselect(key="exp_strategies").set_value(["vanilla"])
    at.text_input(key="exp_fixed").input("50, 20")
    at.number_input(key="exp_repeats").set_value(2)
    at.number_input(key="exp_max_tokens").set_value(400).run()
    assert "30: 5 questions × 3 strategies × 2 repeats" in sheet(at)
    assert "at most 400" in sheet(at) and "stops at 400 tokens" in sheet(at)
    assert "all 2 repeats are the same measurement" in words(at.main)


def test_a_model_on_this_machine_costs_no_money_and_has_no_money_cap() -> None:
    at = page()
    assert "Worst price: $0 (runs on this machine)\n" in sheet(at) and at.number_input(key="exp_max_cost").disabled


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("exp_fixed", "50, many", "'many' is not a whole number"),
        ("exp_fixed", "0", "out of range"),
        ("exp_offset", 5000, "The offset 5,000 is behind the last question"),
        ("exp_strategies", [], "Strategies are missing"),
    ],
)
def test_what_cannot_be_run_is_told_in_words(bad: BadEndpoint, key: str, value: Any, told: str) -> None:
    at = page(use=endpoint(bad.base_url, "ok"), exp_fixed="")
    kinds = {"exp_fixed": at.text_input, "exp_offset": at.number_input, "exp_strategies": at.multiselect}
    kinds[key](key=key).set_value(value).run()
    assert not at.exception and told in words(at.main)
    assert at.button(key="run").disabled and store().count_sessions() == 0


def test_strategies_that_need_training_are_offered_only_when_there_is_an_estimator(bad: BadEndpoint) -> None:
    at = page(use=endpoint(bad.base_url, "ok"))
    offered = " ".join(at.multiselect(key="exp_strategies").options)
    assert "calibrated" not in offered and "regression" not in offered and "Native effort: low" in offered
    embedded = page().multiselect(key="exp_strategies").options
    assert "Native effort" not in " ".join(embedded)
    titles = [title_of(name) for name in offered_names(Offer())]
    assert embedded[: len(titles)] == titles, "the page offers what the registry holds"


# --- the data


def test_only_sets_whose_files_are_here_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [o for o in page().selectbox(key="exp_dataset").options if "GSM8K" in o] == []
    (tmp_path / "gsm8k_dev.jsonl").write_text('{"question": "What is 1 + 1?", "answer": "#### 2"}\n')
    monkeypatch.setenv("TALE_DATASETS_DIR", str(tmp_path))
    get_settings.cache_clear()
    at = page()
    assert [o for o in at.selectbox(key="exp_dataset").options if "GSM8K" in o] == [
        "GSM8K, grade-school word problems (test) · 1,319"
    ]
    at.selectbox(key="exp_dataset").set_value("gsm8k").run()
    assert not at.exception and "1 question, all with a known answer" in words(at.main)


def test_a_file_is_read_its_columns_guessed_and_its_bad_rows_listed() -> None:
    at = upload(page(), "mine.csv", "problem,gold,topic\nWhat is 1 + 1?,2,sums\n,3,sums\nWhat is 2 + 2?,4,sums\n")
    text = words(at.main)
    assert not at.exception and "2 questions, all with a known answer, from mine.csv" in text
    boxes = {box.label: box.value for box in at.selectbox}
    assert (boxes["Question"], boxes["Known answer"], boxes["Topic"], boxes["Id"]) == ("problem", "gold", "topic", "")
    assert "1 rows were passed over" in text and "Line 3: " in text
    assert "at most 5,000 rows and 10 MB" in text and not at.button(key="run").disabled


def test_columns_of_unusual_names_are_asked_for_and_then_read() -> None:
    at = upload(page(), "mine.csv", "frage,antwort\nWas ist 1 + 1?,2\n")
    assert not at.exception and "No column looks like the questions. Choose it." in words(at.info)
    assert at.button(key="run").disabled
    boxes = {box.label: box for box in at.selectbox}
    boxes["Question"].set_value("frage")
    boxes["Known answer"].set_value("antwort")
    assert "1 question, all with a known answer" in words(at.run().main) and not at.button(key="run").disabled


def test_the_sheet_shows_how_the_known_answers_of_a_file_were_understood() -> None:
    rows = "question,A,B,C,answer\nWhich is three?,1,,3,C\nWhich is two?,2,4,6,A\n"
    at = upload(page(), "mine.csv", rows)
    text = words(at.main)
    assert not at.exception and "The first questions, and their known answers as they were understood" in text
    assert "Which is three? → C) 3" in text and "Which is two? → A) 2" in text


def test_numbers_that_may_name_two_options_are_asked_about_before_anything_is_read() -> None:
    rows = "question,A,B,C,answer\nWhich?,x,y,z,1\n"
    at = upload(page(), "mine.csv", rows)
    assert "can be read in several ways" in words(at.info) and at.button(key="run").disabled
    box = next(b for b in at.selectbox if b.label == "The numbers of the known answers are")
    assert box.value is None and [*box.options] == [
        "the option's place counted from 0", "the option's place counted from 1",
    ]  # fmt: skip
    box.set_value("0").run()
    assert "1 question, all with a known answer" in words(at.main) and not at.button(key="run").disabled


def test_of_two_columns_of_known_answers_one_is_chosen_by_whoever_has_the_file() -> None:
    at = upload(page(), "mine.csv", "question,label,target\nWhat is 1 + 1?,2,3\n")
    assert "Several columns may hold the known answers. Choose one, or none." in words(at.info)
    assert at.button(key="run").disabled
    next(b for b in at.selectbox if b.label == "Known answer").set_value("label").run()
    assert "1 question, all with a known answer" in words(at.main) and not at.button(key="run").disabled


def test_a_layout_that_says_by_itself_what_is_right_asks_for_no_columns() -> None:
    text = "Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2\nWhich?,9,6,18\n"
    at = upload(page(), "mine.csv", text)
    assert "1 question, all with a known answer" in words(at.main)
    assert not [b for b in at.selectbox if b.label == "Known answer"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "", "No question could be read"),
        ("x.jsonl", "{broken", "broken JSON"),
        ("x.json", "[]", "No question could be read"),
        (f"{HOSTILE}.csv", f"question,answer,{HOSTILE}\n,1,2\n", "No question could be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_words(name: str, text: str, told: str) -> None:
    at = upload(page(), name, text)
    assert not at.exception and told in words(at.info) and at.button(key="run").disabled
    assert not re.search(r"(?<!\\)<img|\u202e", sent(at.info))
    assert "\u202e" not in sent(at.selectbox) + sent(at.multiselect)


@pytest.mark.parametrize(
    ("there", "question", "answer"),
    [
        (["question", "answer"], "question", "answer"),
        (["Problem", "Solution", "level"], "Problem", "Solution"),
        (["question", "x"], "question", ""),
        (["x", "gold"], "", "gold"),
        (["prompt", "text", "answer"], "", "answer"),
        (["x", "y"], "", ""),
        ([], "", ""),
    ],
)
def test_a_mapping_is_guessed_as_far_as_the_names_allow(there: list[str], question: str, answer: str) -> None:
    found = experiments_data.guessed(there)
    assert (found["question"], found["answer"]) == (question, answer)


# --- a stored experiment


def test_a_finished_experiment_says_its_finding_first_then_chart_table_and_files() -> None:
    at = shown()
    text = words(at.main)
    assert at.subheader[0].value.startswith("Fixed budget of 50 tokens spends least without being surely less accurate")
    (chart,) = charts(at)
    title = "Fixed budget of 50 tokens: 62 % fewer output tokens, 0.0 points right"
    assert chart["layout"]["title"]["text"] == title and f"**{title}**" in text
    assert chart["layout"]["xaxis"]["title"]["text"] == "Output tokens a question"
    assert chart["layout"]["xaxis"]["tickformat"] == ",~f", "half a token is no whole one, said twice"
    main = cells(at, 2)
    assert main["Strategy"] == ["Direct answer", "Vanilla", "Fixed budget of 50 tokens"]
    assert main["Right"] == ["25.0 %, n = 12", "91.7 %, n = 12", "91.7 %, n = 12"]
    assert main["95 % of right"][1] == "64.6–98.5 %" and main["Output tokens"][1] == "121.0"
    assert main["All-in tokens"] == ["30.0", "141.0", "66.0"] and main["Cost a question"] == ["unknown price"] * 3
    assert main["What became of them"] == ["3 right, 9 wrong", "11 right, 1 cut off", "11 right, 1 wrong"]
    assert "called cut off, not wrong" in text and "only large differences can be told from chance" in text
    for label in ("Save as CSV", "JSON Lines", "Parquet", "Report (HTML)"):
        assert label in text
    assert "Resume" not in text and "Retry only what failed" not in text


def test_differences_from_vanilla_have_intervals_and_p_values() -> None:
    against = cells(shown(), 3)
    assert against["Against vanilla"] == ["Direct answer", "Fixed budget of 50 tokens"] and against["Pairs"] == [
        "12",
        "12",
    ]
    assert against["Right, points"][0].startswith("−66.7 [") and against["p (right)"] == ["0.016", "1"]
    assert against["Only it right / only vanilla"] == ["0 / 8", "0 / 0"]
    assert against["Output saved"][1] == "62.0 %" and against["All-in saved"][1] == "53.2 %"


def test_without_vanilla_nothing_is_compared_and_that_is_said() -> None:
    at = shown(a_plan=samples.plan(names=("direct", "fixed:50")))
    assert "without vanilla nothing can be compared" in at.subheader[0].value
    assert "Against vanilla" not in words(at.main) and len(charts(at)) == 1


def test_the_papers_numbers_stand_beside_it_when_wanted() -> None:
    at = shown()
    assert "arXiv 2412.18547" not in words(at.main)
    at.toggle(key="exp_paper").set_value(True).run()
    paper = cells(at, 2)
    assert paper["Right"][:3] == ["28.29 %", "81.35 %", "84.46 %"] and paper["Model"][0] == "GPT-4o-mini"
    other = page(experiment=samples.kept(replace(samples.plan(), dataset="mine")), exp_paper=True)
    assert "The paper did not measure mine." in words(other.main)


def test_every_mark_has_its_intervals_its_familys_colour_and_the_front_is_no_dashed_line() -> None:
    (chart,) = charts(shown())
    front, *marks = chart["data"]
    assert front["name"] == "Pareto front" and "dash" not in front["line"]
    assert {m["name"]: m["marker"]["color"] for m in marks}["Vanilla"] == "#56657a"
    assert {m["name"]: m["marker"]["color"] for m in marks}["Fixed budget of 50 tokens"] == "#0b7d74"
    assert all(m["error_x"]["array"] and m["error_y"]["array"] for m in marks)
    assert front["x"][:2] == [10.0, 46.0], "vanilla is beaten by fixed:50 and not on the front"


@pytest.mark.parametrize(
    ("status", "told"),
    [("interrupted", "This experiment was interrupted"), ("cancelled", "This experiment was stopped.")],
)
def test_an_experiment_that_ended_early_keeps_its_table_and_offers_to_go_on(status: Any, told: str) -> None:
    at = shown(status=status, answers=20)
    text = words(at.main)
    assert told in text and "20 of 36 answers are there." in text and cells(at, 2)["Answers"][0] == "7 of 12"
    assert at.button(key="resume").label == "Resume" and at.button(key="resume").disabled
    assert "It ran on scripted at http://127.0.0.1:9/v1: add that model in Settings to resume." in text


def test_one_that_runs_in_another_program_is_followed_and_cannot_be_resumed() -> None:
    at = shown(status="running", answers=10)
    assert "runs in another program" in words(at.main) and "10 of 36 answers are there." in words(at.main)
    assert not [b for b in at.button if b.key == "resume"]


def test_one_without_an_answer_says_why_and_draws_nothing() -> None:
    at = shown(status="failed", answers=0, error="The endpoint refused the key.")
    assert "The endpoint refused the key." in words(at.error) and "there is nothing to compare" in words(at.main)
    assert not charts(at)


@pytest.mark.parametrize("name", ["nobody", "' OR 1=1 --", "<b>x</b>"])
def test_an_unknown_experiment_is_told_in_plain_words(name: str) -> None:
    at = page(experiment=name)
    assert not at.exception and "There is no experiment of this name" in words(at.warning)


def test_a_link_to_another_kind_of_session_leads_to_its_page() -> None:
    kept = store().create_session(sweep_samples.session(sweep_samples.rebound(), "sweep-x")).id
    at = page(experiment=kept)
    assert not at.exception and "leads to a sweep, not to an experiment" in words(at.info)
    assert "Open it under Elasticity" in words(at.main)


def test_the_lists_of_all_pages_lead_to_an_experiment() -> None:
    kept = samples.kept()
    at = opened()
    at.query_params["session"] = kept
    at = at.switch_page(PAGE).run()
    assert not at.exception and at.subheader and experiment_id(at) == kept and "session" not in at.query_params
    other = opened()
    assert not other.exception and [b for b in other.sidebar.button if b.key == f"open_{kept}"]


def test_earlier_experiments_are_listed_and_opened() -> None:
    kept = [samples.kept(samples.plan(3), model=f"model {i}") for i in range(13)]
    at = page()
    listed = [b for b in at.main.button if (b.key or "").startswith("experiment_")]
    assert [b.key for b in listed] == [f"experiment_{k}" for k in reversed(kept[1:])]
    listed[0].click().run()
    assert not at.exception and experiment_id(at) == kept[-1] and at.subheader
    at.button(key="all_experiments").click().run()
    assert "experiment" not in at.query_params and "Earlier experiments" in words(at.main)


# --- single answers


def test_two_answers_to_a_question_stand_side_by_side_with_the_words_that_differ_marked() -> None:
    at = shown()
    assert "One strategy" not in words(at.main)
    at.toggle(key="exp_answers").set_value(True).run()
    text = words(at.main)
    assert not at.exception and "Answered by :gray-background[vanilla.]" in text
    assert "Answered by :blue-background[fixed.]" in text and "So number 0 makes [[42]]." in text
    assert "120 output tokens" in text and "45 output tokens** · budget 50" in text
    at.toggle(key="exp_differ").set_value(True).run()
    assert box(at, "Question").options == ["2. What is six times seven, asked as number 1?"]
    assert "Cut off" in words(at.main) and "Wrong" in words(at.main)
    box(at, "One strategy").set_value("fixed:50").run()
    assert "Both have the same outcome on every question." in words(at.main)


def test_an_answer_that_failed_or_was_not_asked_says_so() -> None:
    at = shown(status="failed", answers=3, failed=1, error="x")
    at.toggle(key="exp_answers").set_value(True).run()
    assert "The endpoint failed (500)." in words(at.error)
    box(at, "Question").set_value(5).run()
    assert not at.exception and words(at.main).count("Not asked.") == 3


def test_what_models_files_and_names_say_is_shown_literally() -> None:
    plan = replace(
        samples.plan(3), dataset=HOSTILE, questions=tuple(Question(f"{HOSTILE} {i}", answer="42") for i in range(3))
    )
    kept = samples.kept(plan, model=HOSTILE, text=f"{{strategy}} {HOSTILE} {{strategy}}{HOSTILE}")
    at = page(experiment=kept, exp_answers=True, exp_paper=True)
    raw = sent(at.main)
    assert not at.exception and "\u202e" not in raw and "⟨U+202E⟩" in raw and ":gray-background[" in raw
    for markdown in [*(m.value for m in at.markdown), *(c.value for c in at.caption), *(s.value for s in at.subheader)]:
        assert not re.search(r"(?<!\\)(<img|\]\(javascript|:red\[)", markdown)
    (chart,) = charts(at)
    assert "<img" not in json.dumps([chart["layout"], [t.get("name") for t in chart["data"]]])


words_of = some.text(alphabet="ab [](){}<>$*_:#`~|\\\n.-+!&0\u202e", max_size=60)


@given(words_of, words_of)
def test_a_marked_answer_has_every_word_of_the_answer_in_its_order(one: str, other: str) -> None:
    marked = experiments_answers.marked_lines(one, other)
    if marked is None:
        assert one == other or not one or not other
        return
    for text, shown_, color in ((one, marked[0], "gray"), (other, marked[1], "blue")):
        plain = re.sub(rf"(?<!\\):{color}-background\[((?:[^\\\]]|\\.)*)\]", r"\1", shown_.replace("&nbsp;", ""))
        assert read(plain).split() == experiments_answers.sanitize(text).split()


def test_answers_that_are_too_long_are_not_compared() -> None:
    assert experiments_answers.marked_lines("a " * 1_501, "b") is None
    assert experiments_answers.marked_lines("a" * 20_001, "b") is None
    assert experiments_answers.marked_lines("same", "same") is None


# --- files


def test_the_files_hold_a_row_for_each_answer_and_no_formula() -> None:
    kept = samples.kept(samples.plan(2), text="=cmd()", model="=cmd|' /C calc'!A0")
    csv = exported(kept, "csv").decode()
    assert len(csv.splitlines()) == 7 and "'=cmd|" in csv and ",=" not in csv
    assert len([json.loads(line) for line in exported(kept, "jsonl").splitlines()]) == 6
    assert exported(kept, "parquet").startswith(b"PAR1")
    assert "Content-Security-Policy" in exported(kept, "html").decode()
