"""Strategies by name: what each asks for, in which order, and what counts as its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.calls import booked_call, graded_call
from tale_core.errors import InputError
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET
from tale_core.models.scripted import count
from tale_core.models.simulated import SimulatedClient, SimulatedModel
from tale_core.strategies import MOST_PROBES, NAMES, Step, strategies, strategy, title_of
from tale_core.types import CallRecord, Completion, Outcome, Question, Sampling, Usage
from tests.tuning import samples

SUM = Question("What is six times seven?", answer="42", kind="number")
SAMPLING = Sampling(temperature=0.3, seed=5, max_tokens=900)


@dataclass
class Asked:
    """A caller that answers from a function of the step and keeps what it was asked."""

    reply: object = "[[42]]"
    template: str = "paper"
    sampling: Sampling = SAMPLING
    steps: list[Step] = field(default_factory=list)

    async def call(self, step: Step) -> CallRecord:
        self.steps.append(step)
        text = self.reply(step) if callable(self.reply) else self.reply
        call = CallRecord(
            session_id="", role=step.role, status="running", model="m", endpoint="e", prompt_template=step.template,
            prompt_version=step.version, messages=step.request.messages, sampling=step.request.sampling,
            id=len(self.steps), requested_budget=step.budget, phase=step.phase,
        )  # fmt: skip
        done = Completion(text, Usage(10, count(text)), "stop", 0.1, 0.2)
        return await graded_call(booked_call(call, done), SUM)


@dataclass
class Halves:
    name: str = "calibrated"
    version: str = "1"
    needs_zero_shot: bool = True
    answers: tuple[int, str | None] | None = None

    def budget(self, question: Question, zero_shot: int | None) -> tuple[int, str | None]:
        return self.answers or ((zero_shot // 2, None) if zero_shot else (77, "it named none"))


def says(budget: str, answer: str = "[[42]]"):
    return lambda step: budget if step.role == "estimate" else answer


@pytest.mark.parametrize(
    ("name", "role", "prompt", "budget"),
    [
        ("direct", "direct", "without any explanation", None),
        ("vanilla", "vanilla", "step by step", None),
        ("fixed:50", "budgeted", "less than 50 tokens", 50),
        ("fixed:50@words", "budgeted", "in at most 38 words", 50),
        ("fixed:50@plain", "budgeted", "less than 50 tokens: What", 50),
        ("concise", "budgeted", "be concise", None),
        ("chain-of-draft", "budgeted", "minimum draft", None),
    ],
)
async def test_a_strategy_of_one_call_asks_in_its_own_words(name, role, prompt, budget):
    caller = Asked()
    attempt = await strategy(name).answer(SUM, caller)
    (step,) = caller.steps
    assert (step.role, step.budget, attempt.budget) == (role, budget, budget)
    assert prompt in step.request.messages[0].content
    assert step.request.sampling == SAMPLING
    assert attempt.answer.outcome is Outcome.CORRECT and attempt.extra == ()
    assert strategy(name).calls == (1, 1)


async def test_native_effort_changes_the_setting_and_not_the_prompt():
    plain, effort = Asked(), Asked()
    await strategy("vanilla").answer(SUM, plain)
    await strategy("effort:low").answer(SUM, effort)
    assert effort.steps[0].request.messages == plain.steps[0].request.messages
    assert effort.steps[0].request.sampling == replace(SAMPLING, reasoning_effort="low")


async def test_zero_shot_counts_its_estimate_as_extra_and_answers_under_it():
    caller = Asked(says("Budget: [[31]]"))
    attempt = await strategy("tale-zero-shot").answer(SUM, caller)
    assert [s.role for s in caller.steps] == ["estimate", "budgeted"]
    assert (attempt.budget, attempt.problem) == (31, None)
    assert [c.role for c in attempt.extra] == ["estimate"] and attempt.answer.requested_budget == 31
    assert caller.steps[0].request.sampling.temperature == 0.1  # the paper's


async def test_an_estimate_that_names_no_number_becomes_the_stated_default_and_says_so():
    attempt = await strategy("tale-zero-shot").answer(SUM, Asked(says("I would rather not.")))
    assert attempt.budget == FALLBACK_BUDGET and "named no number" in attempt.problem


async def test_a_calibrated_estimate_pays_for_the_zero_shot_call_first():
    caller = Asked(says("[[60]]"))
    attempt = await strategy("tale-calibrated", {"calibrated": Halves()}).answer(SUM, caller)
    assert [s.role for s in caller.steps] == ["estimate", "budgeted"]
    assert attempt.budget == 30 and len(attempt.extra) == 1


async def test_a_predictor_is_told_when_the_model_named_nothing_and_its_own_words_are_kept():
    attempt = await strategy("tale-calibrated", {"calibrated": Halves()}).answer(SUM, Asked(says("no idea")))
    assert (attempt.budget, attempt.problem) == (77, "it named none")


async def test_a_regression_that_reads_the_question_alone_costs_no_call():
    caller = Asked()
    one = strategy("tale-regression", {"regression": Halves("regression", needs_zero_shot=False, answers=(44, None))})
    attempt = await one.answer(SUM, caller)
    assert [s.role for s in caller.steps] == ["budgeted"] and attempt.budget == 44 and one.calls == (1, 1)


async def test_an_estimator_is_used_for_the_wording_it_was_trained_for():
    other = Halves("regression", needs_zero_shot=False, answers=(12, None))
    with pytest.raises(InputError, match="for the model and wording"):
        strategy("tale-regression@words", {"regression": other})
    attempt = await strategy("tale-regression@words", {"regression@words": other}).answer(SUM, Asked())
    assert attempt.budget == 12


@given(st.integers(-(10**9), 10**9))
async def test_whatever_a_predictor_says_the_budget_in_the_prompt_is_one(predicted):
    one = strategy(
        "tale-regression", {"regression": Halves("regression", needs_zero_shot=False, answers=(predicted, None))}
    )
    attempt = await one.answer(SUM, Asked())
    assert 1 <= attempt.budget <= MAX_BUDGET


@pytest.mark.parametrize("name", ["tale-calibrated", "tale-regression", "tale-calibrated@words"])
def test_what_has_to_be_trained_first_says_so(name):
    with pytest.raises(InputError, match="not available until"):
        strategy(name)


async def test_a_tuned_model_is_asked_the_plain_question_with_its_adapter_switched_on(tmp_path):
    one = samples.adapter(tmp_path)
    caller = Asked()
    attempt = await strategy("tuned:brief").answer(SUM, caller)
    (step,) = caller.steps
    assert step.request.messages[0].content == SUM.text and step.request.adapter == one.key
    assert (step.template, step.budget, attempt.budget) == (f"tuned:{one.key}", None, None)
    with pytest.raises(InputError, match="no adapter 'other'"):
        strategy("tuned:other")
    with pytest.raises(InputError, match="prompt of its own"):
        strategy("tuned:brief@words")


def simulated(model: SimulatedModel) -> Asked:
    client = SimulatedClient(model, answer="42")

    def reply(step: Step) -> str:
        cap = step.cap
        tokens = client._tokens(step.request)
        return "".join(tokens if cap is None else tokens[:cap])

    return Asked(reply)


async def test_the_oracle_answers_with_the_cheapest_right_probe_and_counts_the_others():
    caller = simulated(SimulatedModel.rebounding())
    attempt = await strategy("oracle").answer(SUM, caller)
    right = [c for c in (attempt.answer, *attempt.extra) if c.outcome is Outcome.CORRECT]
    assert attempt.answer.completion_tokens == min(c.completion_tokens for c in right)
    assert attempt.answer.completion_tokens < caller_vanilla(caller)
    assert len(attempt.extra) + 1 == len(caller.steps) <= 1 + MOST_PROBES


def caller_vanilla(caller: Asked) -> int:
    return count(caller.reply(caller.steps[0]))


async def test_the_oracle_does_not_search_a_question_that_vanilla_gets_wrong():
    caller = Asked("[[41]]")
    attempt = await strategy("oracle").answer(SUM, caller)
    assert len(caller.steps) == 1 and attempt.answer.role == "vanilla" and attempt.budget is None
    assert strategy("oracle").needs_answer


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "There is no strategy"),
        ("vanila", "Choose from: direct"),
        ("fixed", "not a fixed budget"),
        ("fixed:0", "whole number"),
        ("fixed:-5", "whole number"),
        ("fixed:zehn", "whole number"),
        ("fixed:99999999999999999999", "whole number"),
        ("effort:extreme", "effort:low"),
        ("vanilla@polite", "no prompt template"),
        ("direct@words", "prompt of its own"),
        ("vanilla@words@plain", "no prompt template"),
        ("x" * 10_000, "There is no strategy"),
    ],
)
def test_a_wrong_name_says_what_is_allowed(name, words):
    with pytest.raises(InputError, match=words) as e:
        strategy(name)
    assert len(str(e.value)) < 600


def test_a_list_keeps_its_order_and_each_strategy_once():
    names = [s.name for s in strategies(" vanilla, fixed:050,fixed:50 ,direct,vanilla@words,vanilla")]
    assert names == ["vanilla", "fixed:50", "direct", "vanilla@words"]
    with pytest.raises(InputError, match="No strategies"):
        strategies(" , ")


def test_every_strategy_explains_itself():
    for name in NAMES:
        name = {"fixed:N": "fixed:50", "effort:LEVEL": "effort:low"}.get(name, name)
        if name == "tuned:NAME":
            continue
        found = strategy(name, {"calibrated": Halves(), "regression": Halves("regression")})
        assert found.name == name and found.title and found.hint.endswith(".")
        assert 1 <= found.calls[0] <= found.calls[1]
    assert strategy("fixed:50@words").hint.count(".") >= 2


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("vanilla", "Vanilla"),
        ("fixed:50", "Fixed budget of 50 tokens"),
        ("tale-calibrated", "TALE, calibrated"),
        ("tale-regression@words", "TALE, regression, wording words"),
        ("tale-zero-shot@paper", "TALE, zero-shot, wording paper"),
        ("tuned:gone", "Fine-tuned: gone"),
        ("of-tomorrow", "of-tomorrow"),
    ],
)
def test_a_strategy_has_a_name_for_people_whatever_is_trained_or_deleted(name, title):
    assert title_of(name) == title
