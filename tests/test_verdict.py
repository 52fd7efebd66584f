from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.types import CallRecord, Message, Outcome, Sampling
from tale_core.verdict import change_words, compare, guess_score, tokens_per_second


def call(role, prompt, completion, outcome=Outcome.CORRECT, **changes):
    record = CallRecord(
        session_id="s", role=role, status="done", model="m", endpoint="e", prompt_template="paper", prompt_version=1,
        messages=(Message("user", "q"),), sampling=Sampling(), prompt_tokens=prompt, completion_tokens=completion,
        outcome=outcome, finish_reason="stop",
    )  # fmt: skip
    return replace(record, **changes)


def test_savings_are_counted_on_the_answer_and_all_in():
    found = compare(call("vanilla", 50, 250), call("budgeted", 60, 80), call("estimate", 90, 10))
    assert found.output_saving == pytest.approx(1 - 80 / 250)
    assert (found.vanilla_all_in, found.budgeted_all_in) == (300, 240)
    assert found.all_in_saving == pytest.approx(0.2)
    assert found.sentence == "68 % fewer output tokens, both right; 20 % fewer tokens all-in."


def test_the_estimators_tokens_can_turn_a_saving_into_a_loss():
    found = compare(call("vanilla", 50, 60), call("budgeted", 60, 30), call("estimate", 150, 10))
    assert found.all_in_saving < 0 < found.output_saving
    assert "50 % fewer output tokens" in found.sentence and "2.3 times as many tokens all-in" in found.sentence


def test_outcomes_that_differ_are_both_named():
    found = compare(call("vanilla", 1, 10), call("budgeted", 1, 5, Outcome.UNPARSED), None)
    assert "vanilla right, budgeted without a readable answer" in found.sentence


def test_a_cut_vanilla_answer_makes_the_saving_a_lower_bound():
    vanilla = call("vanilla", 1, 100, Outcome.TRUNCATED, finish_reason="length")
    found = compare(vanilla, call("budgeted", 1, 50), None)
    assert found.lower_bound and found.sentence.startswith("At least 50 % fewer output tokens, vanilla cut off")


def test_unknown_counts_are_never_taken_for_zero():
    found = compare(call("vanilla", None, None), call("budgeted", 1, 50), None)
    assert found.output_saving is None and found.all_in_saving is None and found.vanilla_all_in is None
    assert "no token counts" in found.sentence


@pytest.mark.parametrize(
    ("v", "b", "words"),
    [
        ("failed", "done", "The vanilla answer failed"),
        ("done", "cancelled", "The budgeted answer was stopped"),
        ("cancelled", "cancelled", "Both answers were stopped"),
        ("interrupted", "interrupted", "Both answers were interrupted"),
    ],
)
def test_an_answer_that_did_not_end_is_not_compared(v, b, words):
    found = compare(call("vanilla", 1, 100, status=v), call("budgeted", 1, 50, status=b), None)
    assert found.output_saving is None and found.sentence.startswith(words)


def test_ungraded_answers_are_compared_on_tokens_alone():
    found = compare(call("vanilla", 10, 90, Outcome.UNGRADED), call("budgeted", 10, 40, Outcome.UNGRADED), None)
    assert found.sentence == "56 % fewer output tokens; 50 % fewer tokens all-in."


@pytest.mark.parametrize(
    ("saving", "words"),
    [(0.684, "68 % fewer x"), (-0.12, "12 % more x"), (0.001, "as many x"), (-4.0, "5.0 times as many x")],
)
def test_a_saving_is_said_in_words(saving, words):
    assert change_words(saving, "x") == words


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_guess_scores_from_0_to_100_and_100_only_when_near(guess, actual):
    score = guess_score(guess, actual)
    assert 0 <= score <= 100
    assert score == guess_score(actual, guess)
    assert (guess != actual) or score == 100


def test_speed_leaves_the_wait_for_the_first_token_out():
    assert tokens_per_second(call("vanilla", 1, 101, ttft_s=1.0, latency_s=6.0)) == pytest.approx(20)
    assert tokens_per_second(call("vanilla", 1, 1, ttft_s=1.0, latency_s=1.0)) is None
