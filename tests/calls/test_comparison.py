from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.budgets.forcing import FORCED
from tale_core.calls.comparison import change_words, compare, guess_score, race_axis, speed_words, tokens_per_second
from tale_core.i18n import use_language
from tale_core.types import Outcome
from tests.store.samples import call as a_call


def call(role, prompt, completion, outcome=Outcome.CORRECT, **changes):
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion}
    return a_call("s", role, **{"status": "done", "outcome": outcome, "finish_reason": "stop", **tokens, **changes})


def test_savings_are_counted_on_the_answer_and_all_in():
    found = compare(call("vanilla", 50, 250), call("budgeted", 60, 80), call("estimate", 90, 10))
    assert found.output_saving == pytest.approx(1 - 80 / 250)
    assert (found.vanilla_all_in, found.budgeted_all_in) == (300, 240)
    assert found.all_in_saving == pytest.approx(0.2)
    assert found.sentence == "Both right: 80 instead of 250 tokens, 68 % fewer; 20 % fewer tokens all-in."


def test_the_estimators_tokens_can_turn_a_saving_into_a_loss():
    found = compare(call("vanilla", 50, 60), call("budgeted", 60, 30), call("estimate", 150, 10))
    assert found.all_in_saving < 0 < found.output_saving
    assert (
        "30 instead of 60 tokens, 50 % fewer" in found.sentence and "2.3 times as many tokens all-in" in found.sentence
    )


def test_outcomes_that_differ_are_both_named():
    found = compare(call("vanilla", 1, 10), call("budgeted", 1, 5, Outcome.UNPARSED), None)
    assert found.sentence.startswith("The budget broke it: 5 instead of 10 tokens, now without a readable answer")


@pytest.mark.parametrize(
    ("v", "b", "words"),
    [
        ((224, "correct"), (79, "correct"), "Both right: 79 instead of 224 tokens, 65 % fewer."),
        ((224, "wrong"), (79, "wrong"), "Both wrong: 79 instead of 224 tokens, 65 % fewer."),
        ((224, "correct"), (300, "correct"), "Both right: 300 instead of 224 tokens, 34 % more."),
        ((100, "correct"), (100, "correct"), "Both right: 100 tokens both times."),
        ((900, "correct"), (899, "correct"), "Both right: 899 instead of 900 tokens, about as many."),
        ((100, "correct"), (300, "correct"), "Both right: 300 instead of 100 tokens, 3.0 times as many."),
        ((224, "correct"), (113, "wrong"), "The budget broke it: 113 instead of 224 tokens, now wrong."),
        ((224, "correct"), (9, "truncated"), "The budget broke it: 9 instead of 224 tokens, now cut off."),
        ((24, "correct"), (9, "ungraded"), "Vanilla right, budgeted not graded: 9 instead of 24 tokens, 62 % fewer."),
        ((224, "wrong"), (79, "correct"), "The budget mended it: 79 instead of 224 tokens, wrong before, now right."),
        ((224, "truncated"), (79, "wrong"), "Vanilla cut off, budgeted wrong: 79 instead of 224 tokens, 65 % fewer."),
        ((24, "ungraded"), (9, "correct"), "Vanilla not graded, budgeted right: 9 instead of 24 tokens, 62 % fewer."),
        ((224, "ungraded"), (79, "ungraded"), "79 instead of 224 tokens, 65 % fewer."),
    ],
)  # fmt: skip
def test_the_outcome_is_said_before_the_saving(v, b, words):
    vanilla, budgeted = (call(r, None, n, Outcome(o)) for r, (n, o) in (("vanilla", v), ("budgeted", b)))
    assert compare(vanilla, budgeted, None).sentence == words


@pytest.mark.parametrize("v", Outcome)
@pytest.mark.parametrize("b", Outcome)
def test_every_pair_of_outcomes_is_worded_in_both_languages(v, b):
    pair = call("vanilla", 1, 224, v), call("budgeted", 1, 113, b)
    for spoken in ("en", "zh"):
        with use_language(spoken):
            said = compare(*pair, None).sentence
        assert "113" in said and "224" in said and said.endswith((".", "。")) and "{" not in said
        assert (spoken == "zh") is any("一" <= c <= "龥" for c in said)


@pytest.mark.parametrize(
    ("template", "budget", "cause", "name"),
    [
        ("tuned:brief", None, "Fine-tuning", "fine-tuned"),
        ("assignments", None, "Lines", "lines"),
        ("assignments", 40, "The budget", "budgeted"),
    ],
)
def test_what_is_no_budget_is_not_called_one(template, budget, cause, name):
    brief = call("budgeted", 1, 40, Outcome.WRONG, prompt_template=template, requested_budget=budget)
    broke = compare(call("vanilla", 1, 90), brief, None).sentence
    assert broke.startswith(f"{cause} broke it: 40 instead of 90 tokens, now wrong")
    mended = compare(call("vanilla", 1, 90, Outcome.WRONG), replace(brief, outcome=Outcome.CORRECT), None).sentence
    assert mended.startswith(f"{cause} mended it: 40 instead of 90 tokens, wrong before, now right")
    ungraded = compare(call("vanilla", 1, 90), replace(brief, outcome=Outcome.UNGRADED), None).sentence
    assert ungraded.startswith(f"Vanilla right, {name} not graded: 40 instead of 90 tokens")
    failed = compare(call("vanilla", 1, 90), replace(brief, status="failed"), None).sentence
    assert failed == f"The {name} answer failed: there is nothing to compare."


def test_a_cut_vanilla_answer_makes_the_saving_a_lower_bound():
    vanilla = call("vanilla", 1, 100, Outcome.TRUNCATED, finish_reason="length")
    found = compare(vanilla, call("budgeted", 1, 50), None)
    assert found.lower_bound and found.sentence.startswith(
        "The budget mended it: 50 instead of 100 tokens or more, cut off before, now right; at least "
    )


def test_unknown_counts_are_never_taken_for_zero():
    found = compare(call("vanilla", None, None), call("budgeted", 1, 50), None)
    assert found.output_saving is None and found.all_in_saving is None and found.vanilla_all_in is None
    assert "no token counts" in found.sentence
    assert not compare(
        replace(call("vanilla", None, None), usage_estimated=True), call("budgeted", 1, 50), None
    ).estimated


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
    assert found.sentence == "40 instead of 90 tokens, 56 % fewer; 50 % fewer tokens all-in."


@pytest.mark.parametrize(
    ("saving", "words"),
    [(0.684, "68 % fewer x"), (-0.12, "12 % more x"), (0.001, "as many x"), (-4.0, "5.0 times as many x")],
)
def test_a_saving_is_said_in_words(saving, words):
    assert change_words(saving, "x") == words


@pytest.mark.parametrize(
    ("expected", "end"),
    [
        (None, 300),
        (0, 300),
        (3, 20),
        (24, 25),
        (100, 100),
        (101, 150),
        (224, 250),
        (318, 400),
        (999, 1000),
        (1001, 1500),
    ],
)
def test_the_axis_of_a_race_is_the_expected_length_rounded_up(expected, end):
    assert race_axis(expected) == end


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_guess_scores_from_0_to_100_and_100_only_when_near(guess, actual):
    score = guess_score(guess, actual)
    assert 0 <= score <= 100
    assert score == guess_score(actual, guess)
    assert (guess != actual) or score == 100


def test_speed_leaves_the_wait_for_the_first_token_out():
    assert tokens_per_second(call("vanilla", 1, 101, ttft_s=1.0, latency_s=6.0)) == pytest.approx(20)
    assert tokens_per_second(call("vanilla", 1, 1, ttft_s=1.0, latency_s=1.0)) is None
    assert [speed_words(n) for n in (None, 0.04, 1.2, 20.3)] == ["", "", "1.2 tokens/s", "20 tokens/s"]


def test_an_answer_that_was_forced_out_would_have_cost_more():
    vanilla, budgeted = call("vanilla", 9, 60, adjustments=(FORCED,)), call("budgeted", 9, 40)
    assert compare(vanilla, budgeted, None).lower_bound and "or more" in compare(vanilla, budgeted, None).sentence
    assert not compare(vanilla, call("budgeted", 9, 40, adjustments=(FORCED,)), None).lower_bound
