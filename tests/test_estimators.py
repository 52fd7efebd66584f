import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.errors import InputError
from tale_core.estimators import FALLBACK_BUDGET, MAX_BUDGET, ZeroShot, estimator, parse_budget
from tale_core.types import Completion, Usage

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
