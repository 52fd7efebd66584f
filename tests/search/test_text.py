"""A search in words: nothing is claimed that was not seen, and an answer that we cut is never called wrong."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import get_args

import pytest

from tale_core.calls.budget_ledger import Spent, spent_words, worst_price
from tale_core.runs.documents import search_csv, search_document
from tale_core.search.engine import StopReason
from tale_core.search.text import (
    NOT_SEARCHED,
    chart_title,
    finding,
    outcome_words,
    phase_caption,
    qualifications,
    step_words,
    stop_words,
)
from tale_core.types import Outcome, Price
from tests.pages import search_samples as samples

REASONS: tuple[StopReason, ...] = get_args(StopReason)


def test_the_finding_names_the_budget_and_both_costs() -> None:
    expected = "A budget of 41 is enough: 37 tokens instead of 258, 86 % fewer, still right."
    assert finding(samples.view()) == expected


def test_a_mean_over_samples_is_called_one() -> None:
    view = samples.view()
    assert view.result is not None
    view = replace(view, plan=replace(view.plan, samples=3), result=replace(view.result, optimal_tokens=37.5))
    assert "37.5 tokens on average instead of 258" in finding(view)


def test_nothing_found_is_said_without_blaming_the_question() -> None:
    assert finding(samples.nothing_works()) == "No budget below the vanilla answer worked."
    cut_short = samples.view(samples.steps()[:1], reason="limit-calls")
    assert finding(cut_short) == "No budget below the vanilla answer had worked when the search stopped."


@pytest.mark.parametrize("reason", NOT_SEARCHED)
def test_a_question_that_is_not_searched_says_why_and_only_a_wrong_answer_is_called_wrong(reason: StopReason) -> None:
    outcome = {"vanilla-wrong": Outcome.WRONG, "vanilla-truncated": Outcome.TRUNCATED}.get(reason, Outcome.UNPARSED)
    said = finding(samples.view(samples.steps((), outcome=outcome), reason=reason))
    assert said == NOT_SEARCHED[reason]
    assert ("wrong" in said) == (reason == "vanilla-wrong")


@pytest.mark.parametrize("reason", REASONS)
def test_every_stop_reason_is_a_sentence_of_its_own(reason: StopReason) -> None:
    words = stop_words(reason)
    assert words.endswith(".") and reason not in words
    assert [r for r in REASONS if stop_words(r) == words] == [reason]


def test_what_a_further_search_could_save_is_told_only_when_it_is_something() -> None:
    assert "at most 25 tokens more" in stop_words("limit-calls", possible_gain=24.6)
    assert "at most 1 token more" in stop_words("small-gain", possible_gain=1.2)
    assert "save at most" not in stop_words("converged", possible_gain=0.3)
    assert "save at most" not in stop_words("vanilla-wrong", possible_gain=50)


@pytest.mark.parametrize("make", [samples.interrupted, samples.failed])
def test_a_search_that_did_not_finish_says_so_and_keeps_what_it_found(make: object) -> None:
    said = finding(make())  # type: ignore[operator]
    assert said.startswith("The search did not finish. So far: a budget of 64 is enough: 71 tokens")
    assert finding(replace(make(), steps=())) == "The search did not finish. Nothing was found yet."  # type: ignore[operator]


def test_the_caption_says_what_is_tried_and_between_which_bounds() -> None:
    view = samples.halfway()
    assert phase_caption(view) == "Closing in: budgets from 33 to 63 are still open; trying the middle, 48."
    assert phase_caption(view, 0).startswith("First without a budget")
    assert "from 1 to 257" in phase_caption(view, 1) and "the middle, 129" in phase_caption(view, 1)
    off_middle = phase_caption(samples.view(), 5)
    assert "trying 41" in off_middle and "middle" not in off_middle
    assert "stay right and cost less than 86 tokens" in phase_caption(samples.elastic(), 6)
    assert phase_caption(samples.preparing()) == "Getting the model ready…"


def test_a_cut_answer_is_unknown_and_never_wrong_in_any_words() -> None:
    view = samples.elastic()
    (cut,) = (s for s in view.steps if s.cut)
    said = " ".join([step_words(cut), outcome_words(cut), *qualifications(view)]).lower()
    assert "unknown" in said and "could not win" in said
    assert "wrong" not in said.replace("unknown, not wrong", "")


@pytest.mark.parametrize("outcome", [Outcome.TRUNCATED, Outcome.UNPARSED, Outcome.UNGRADED, Outcome.ERROR])
def test_an_answer_that_was_not_judged_wrong_is_not_called_wrong(outcome: Outcome) -> None:
    step = replace(samples.steps()[3], outcome=outcome)
    said = f"{step_words(step)} {outcome_words(step)} {step_words(samples.steps((), outcome=outcome)[0])}"
    assert "Wrong" not in said and "is wrong" not in said


def test_a_smaller_budget_that_cost_more_is_told_as_token_elasticity() -> None:
    view = samples.elastic()
    assert "157 tokens, while the best has 86 (token elasticity)" in step_words(view.steps[3])
    assert "budgets from 32 to 56 made the model spend at least as much" in " ".join(qualifications(view))


def test_what_is_left_to_try_is_what_lies_inside_of_the_bracket() -> None:
    assert step_words(samples.steps()[3]).endswith("Left to try: 33 to 63.")
    closed = replace(samples.steps()[3], low=40, high=41)
    assert step_words(closed).endswith("Nothing is left to try.")
    assert step_words(replace(closed, high=42)).endswith("Left to try: 41.")


def test_samples_and_reused_answers_are_told_with_the_step() -> None:
    step = replace(samples.steps()[1], samples=3, right=2, reused=True)
    assert "2 of 3 answers were right." in step_words(step) and "not paid for again" in step_words(step)


def test_an_unknown_price_is_never_shown_as_nothing() -> None:
    assert "unknown price" in spent_words(Spent(3, 100, 50, None)) and "$" not in spent_words(Spent(3, 100, 50, None))
    assert "$0.0123" in spent_words(Spent(3, 100, 50, 0.0123))
    assert spent_words(Spent(1, 10, 5, 0.0, reused=2)).startswith("1 call, 5 answer tokens")
    assert "2 answers reused, not paid for" in spent_words(Spent(1, 10, 5, 0.0, reused=2))
    assert "about 50 answer tokens" in spent_words(Spent(3, 100, 50, None, estimated=True))


def test_answers_that_no_model_wrote_now_are_told() -> None:
    view = samples.view()
    simulated = replace(view.calls[0], record=replace(view.calls[0].record, source="simulated"))
    view = replace(view, calls=(simulated, *view.calls[1:]), spent=replace(view.spent, reused=2, estimated=True))
    said = " ".join(qualifications(view))
    assert "Some answers are simulated" in said and "2 answers were known from an earlier session" in said
    assert "estimates" in said


def test_the_charts_title_tells_the_finding_up_to_its_last_step() -> None:
    view = samples.view()
    assert chart_title(view, 0) == "Vanilla: 258 tokens, right"
    assert chart_title(view, 1) == "After 1 try: from 258 tokens down to 118"
    assert chart_title(view) == "After 6 tries: from 258 tokens down to 37"
    assert chart_title(samples.nothing_works()) == "After 2 tries: nothing beat 258 tokens"
    assert chart_title(samples.preparing()) == "No answer yet"


def test_the_document_has_the_promised_keys_and_is_json() -> None:
    document = json.loads(json.dumps(search_document(samples.elastic())))
    assert (document["optimal_budget"], document["optimal_tokens"]) == (60, 62)
    assert {"session", "mode", "stop_reason", "vanilla", "probes", "spent"} <= document.keys()
    assert document["vanilla"]["completion_tokens"] == 258 and document["vanilla"]["outcome"] == "correct"
    assert {"calls", "prompt_tokens", "completion_tokens"} <= document["spent"].keys()
    cut = document["probes"][3]
    assert (cut["phase"], cut["budget"], cut["completion_tokens"]) == ("bisect", 48, 86)
    assert (cut["outcome"], cut["cut"]) == ("ungraded", True)


def test_a_search_without_a_result_has_nulls_and_no_invented_optimum() -> None:
    document = search_document(samples.interrupted())
    assert document["optimal_budget"] is None and document["stop_reason"] is None
    assert document["best_so_far"] == {"budget": 64, "tokens": 71}
    assert search_document(samples.preparing())["vanilla"] is None


def test_no_cell_of_the_csv_is_a_formula() -> None:
    view = samples.view(question=replace(samples.QUESTION, text="=HYPERLINK(1)"), model="@evil")
    rows = list(csv.DictReader(io.StringIO(search_csv(view))))
    assert [r["budget"] for r in rows] == ["", "129", "64", "32", "48", "41", "36"]
    assert not [c for r in rows for c in r.values() if c.startswith(("=", "+", "-", "@"))]
    assert rows[0]["question"] == "'=HYPERLINK(1)" and rows[0]["model"] == "'@evil"


@pytest.mark.parametrize(
    ("usd", "price", "words"),
    [
        (0.5, Price(1.0, 2.0, "2026-11-01"), "$0.5000 (price of 2026-11-01)"),
        (0.0, Price(0.0, 0.0, "runs on this machine"), "$0 (runs on this machine)"),
        (None, Price(1.0, 2.0, "2026-11-01"), "no upper bound: set max_tokens in Settings"),
        (None, None, "unknown price"),
    ],
)
def test_a_worst_price_has_its_day_or_its_reason(usd: float | None, price: Price | None, words: str) -> None:
    assert worst_price(usd, price) == words
