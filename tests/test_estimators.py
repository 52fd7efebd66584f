import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.errors import InputError
from tale_core.estimators import FALLBACK_BUDGET, MAX_BUDGET, ZeroShot, estimator, parse_budget
from tale_core.estimators.zero_shot import SAMPLING, estimate_sampling
from tale_core.types import Completion, Question, Sampling, Usage

CASES = json.loads((Path(__file__).parent / "cases" / "budgets.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["raw"][:30] or "empty")
def test_a_budget_is_read_or_the_reason_is_given(case):
    parsed = parse_budget(case["raw"])
    assert parsed.budget == case.get("budget")
    if "problem" in case:
        assert case["problem"] in parsed.problem
    else:
        assert parsed.problem is None


@given(st.text(max_size=200))
def test_any_text_gives_a_usable_budget_or_a_reason_never_both(raw):
    budget, problem = parse_budget(raw)
    assert (budget is None) != (problem is None)
    assert budget is None or 1 <= budget <= MAX_BUDGET


@given(st.integers(1, MAX_BUDGET))
def test_every_allowed_budget_in_brackets_is_read_back(n):
    assert parse_budget(f"Budget: [[{n}]]").budget == n
    assert parse_budget(f"[[{n:,}]]").budget == n


def _completion(text, finish="stop"):
    return Completion(text, Usage(50, 8), finish, 0.1, 0.2)


def test_an_unreadable_estimate_falls_back_to_the_stated_default_and_says_why():
    estimate = ZeroShot().read(_completion("no idea"))
    assert estimate.budget == FALLBACK_BUDGET
    assert estimate.problem == f"the model named no number of tokens; using {FALLBACK_BUDGET} tokens instead"
    assert estimate.completion.usage.completion_tokens == 8


def test_an_estimate_cut_by_max_tokens_says_so():
    assert "still writing" in ZeroShot().read(_completion("hmm", "length")).problem


def test_a_readable_estimate_has_no_problem():
    estimate = ZeroShot().read(_completion("Budget: [[31]]"))
    assert (estimate.budget, estimate.problem, estimate.raw) == (31, None, "Budget: [[31]]")


@pytest.mark.parametrize(
    "name", ["fixed:0", "fixed:-3", "fixed:", "fixed:x", "fixed:20001", "fixed:²", "fixed:1e3", "nope"]
)
def test_a_wrong_estimator_name_says_what_is_allowed(name):
    with pytest.raises(InputError, match="fixed:50"):
        estimator(name)


def test_a_fixed_budget_is_read_from_its_name():
    assert estimator("fixed:50").budget == 50


@pytest.mark.parametrize(
    ("raw", "budget"),
    [
        ("<think>A first guess would be [[5]].</think>Budget: 45 tokens", 45),
        ("maybe [[5]], no</think>\n[[45]]", 45),
        ("[THINK]12 tokens?[/THINK]45", 45),
        ("<|channel|>analysis<|message|>[[5]]<|end|><|start|>assistant<|channel|>final<|message|>[[45]]", 45),
        ("<think>It could be [[5]] or", None),
    ],
)
def test_a_budget_is_read_from_the_answer_and_never_from_the_thought(raw, budget):
    assert parse_budget(raw).budget == budget


def test_the_estimators_call_keeps_within_the_run():
    assert estimate_sampling(None) == SAMPLING
    assert estimate_sampling(Sampling()).max_tokens == estimate_sampling(Sampling(max_tokens=None)).max_tokens == 1024
    small = estimate_sampling(Sampling(temperature=1.0, max_tokens=256, reasoning_effort="low"))
    assert (small.max_tokens, small.reasoning_effort, small.temperature) == (256, "low", 0.1)
    request = ZeroShot().request(Question("What is 2 + 2?"), Sampling(max_tokens=256))
    assert request.sampling.max_tokens == 256


@pytest.mark.parametrize(
    ("shape", "filler"),
    [("{}", "1"), ("{} tokens", "1"), ("{}x", "1,"), ("[[{}x", " "), ("[[-{}x", " "), ("5{}x", " "), ("5 .{}x", "\n"),
     ("{}", "[[1 "), ("{}", "budget 1,"), ("[[budget:{}x", " "), ("{}", "1 ,"), ("-{}", "-1.")],
)  # fmt: skip
def test_a_text_of_any_shape_is_read_in_one_pass(shape, filler):
    started = time.process_time()
    for _ in range(10):
        parse_budget(shape.format(filler * 10_000))
    assert time.process_time() - started < 1
