"""Strategies by name: what each asks for, in which order, and what counts as its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.calls.record import booked_call, fingerprint, graded_call
from tale_core.cli.main import main
from tale_core.errors import InputError
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET
from tale_core.models.testing.scripted import ScriptedClient, count
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.strategies import (
    KINDS,
    MOST_PROBES,
    NAMES,
    USUAL,
    Offer,
    Step,
    hint_of,
    kind_of,
    offered,
    strategies,
    strategy,
    title_of,
    tool_of,
    trained_for,
    usual,
)
from tale_core.strategies.several import SURE, sure_enough
from tale_core.types import CallRecord, Completion, FinishReason, Outcome, Question, Sampling, Usage
from tests.tuning import samples

SUM = Question("What is six times seven?", answer="42", kind="number")
SAMPLING = Sampling(temperature=0.3, seed=5, max_tokens=900)


@dataclass
class Asked:
    """A caller that answers from a function of the step and keeps what it was asked."""

    reply: object = "[[42]]"
    template: str = "paper"
    sampling: Sampling = SAMPLING
    knob: str = "asked"
    steps: list[Step] = field(default_factory=list)
    confidence: float | None = None
    sure: tuple[tuple[float, bool], ...] = ()
    cut: tuple[int, ...] = ()

    async def sure_and_right(self, template: str) -> tuple[tuple[float, bool], ...]:
        return self.sure

    async def call(self, step: Step) -> CallRecord:
        self.steps.append(step)
        text = self.reply(step) if callable(self.reply) else self.reply
        call = CallRecord(
            session_id="", role=step.role, status="running", model="m", endpoint="e", prompt_template=step.template,
            prompt_version=step.version, messages=step.request.messages, sampling=step.request.sampling,
            id=len(self.steps), requested_budget=step.budget, phase=step.phase,
        )  # fmt: skip
        reason: FinishReason = "length" if len(self.steps) in self.cut else "stop"
        done = Completion(text, Usage(10, count(text)), reason, 0.1, 0.2)
        done = replace(done, confidence=self.confidence if step.request.logprobs else None)
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


async def test_an_estimator_is_used_for_the_template_it_was_trained_for():
    other = Halves("regression", needs_zero_shot=False, answers=(12, None))
    with pytest.raises(InputError, match="for the model and the template"):
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


@pytest.mark.parametrize(
    ("values", "adapted"),
    [(["42", "42"], [True, True]), (["41", "42", "42"], [True] * 3), (["1", "2", "3"], [True] * 3 + [False])],
)
async def test_an_adapters_answers_are_voted_on_and_the_model_without_it_decides_where_they_differ(
    tmp_path, values, adapted
):
    one = samples.adapter(tmp_path, writes="lines")
    left = iter(values)
    caller = Asked(lambda step: f"answer = {next(left)}" if step.request.adapter else "[[42]]")
    found = strategy("tuned-vote:brief")
    attempt = await found.answer(SUM, caller)
    assert [step.request.adapter for step in caller.steps] == [one.key if own else "" for own in adapted]
    alone = Asked("answer = 42")
    await strategy("tuned:brief").answer(SUM, alone)
    assert caller.steps[0] == alone.steps[0] and attempt.answer.outcome is Outcome.CORRECT
    assert len({step.request.sampling.seed for step in caller.steps[: len(values)]}) == len(values)
    assert found.calls[0] <= 1 + len(attempt.extra) == len(adapted) <= found.calls[1]
    assert tool_of("tuned-vote:brief") == "calculator" and "vote of 3" in title_of("tuned-vote:brief")


async def test_lines_are_asked_for_by_examples_and_graded_by_what_they_come_to():
    caller = Asked("six = 6\nseven = 7\nanswer = six * seven")
    attempt = await strategy("lines").answer(SUM, caller)
    (step,) = caller.steps
    assert (step.role, step.template, step.budget, step.request.sampling) == ("budgeted", "assignments", None, SAMPLING)
    assert [m.role for m in step.request.messages] == ["user", "assistant"] * 6 + ["user"]
    answer = attempt.answer
    assert (answer.outcome, answer.extracted, answer.extracted_by) == (Outcome.CORRECT, "42", "lines")
    assert attempt.extra == () and strategy("lines").calls == (1, 1)


@pytest.mark.parametrize("text", ["It is [[42]].", "answer = six * 7", "answer = 42 / 0", "answer = __import__('os')"])
async def test_what_the_calculator_cannot_work_out_is_unparsed_and_not_wrong(text):
    answer = (await strategy("lines").answer(SUM, Asked(text))).answer
    assert (answer.outcome, answer.extracted, answer.extracted_by) == (Outcome.UNPARSED, None, "none")


async def test_a_template_of_assignments_tells_a_budget_in_lines():
    caller = Asked("answer = 6 * 7")
    attempt = await strategy("fixed:60@assignments").answer(SUM, caller)
    assert "in at most 6 lines" in caller.steps[0].request.messages[-1].content
    assert attempt.answer.outcome is Outcome.CORRECT and attempt.budget == 60
    concise = (await strategy("concise@assignments").answer(SUM, caller)).answer
    assert (concise.outcome, concise.extracted_by) == (Outcome.CORRECT, "lines")


def votes(*values: str, vanilla: str = "[[42]]"):
    """Answers in lines with these values, one after the other."""
    left = iter(values)
    return lambda step: f"answer = {next(left)}" if step.template == "assignments" else vanilla


@pytest.mark.parametrize(
    ("samples", "values", "templates", "read"),
    [
        (3, ["42", "42"], ["assignments"] * 2, "42"),  # Decided: the third is not asked.
        (3, ["41", "42", "42"], ["assignments"] * 3, "42"),
        (3, ["41", "40", "42"], ["assignments"] * 3 + ["paper"], "42"),
        (2, ["41", "42"], ["assignments"] * 2 + ["paper"], "42"),
        (2, ["42.0", "84 / 2"], ["assignments"] * 2, "42"),
        (3, ["six", "42", "42"], ["assignments"] * 3, "42"),
        (3, ["six", "six", "42"], ["assignments"] * 2 + ["paper"], "42"),  # Lost: two of three can agree no more.
        (5, ["1", "2", "3", "4"], ["assignments"] * 4 + ["paper"], "42"),
    ],
)
async def test_a_vote_takes_what_most_samples_come_to_else_the_vanilla_answer(samples, values, templates, read):
    caller = Asked(votes(*values))
    attempt = await strategy(f"lines-vote:{samples}").answer(SUM, caller)
    assert [s.template for s in caller.steps] == templates and attempt.answer.extracted == read
    assert attempt.answer.role == ("vanilla" if templates[-1] == "paper" else "budgeted")
    calls = (attempt.answer, *attempt.extra)
    assert {c.id for c in calls} == set(range(1, len(templates) + 1))  # Every call is counted, each once.
    least, most = strategy(f"lines-vote:{samples}").calls
    assert least <= len(calls) <= most


async def test_the_samples_of_a_vote_differ_in_their_seeds_and_the_first_is_that_of_lines():
    caller, alone = Asked(votes("1", "2", "3")), Asked("answer = 1")
    await strategy("lines-vote:3").answer(SUM, caller)
    await strategy("lines").answer(SUM, alone)
    first, second, third, vanilla = (s.request for s in caller.steps)
    assert first == alone.steps[0].request and vanilla.sampling == SAMPLING
    assert second.sampling.temperature == third.sampling.temperature == 0.7
    assert len({first.sampling.seed, second.sampling.seed, third.sampling.seed}) == 3
    left_to_endpoint = replace(SAMPLING, temperature=None, seed=None)
    caller = Asked(votes("1", "2", "3"), sampling=left_to_endpoint)
    await strategy("lines-vote:3").answer(SUM, caller)
    assert {s.request.sampling for s in caller.steps} == {left_to_endpoint}
    # Without a seed nothing in the request tells one from another: none may be served as another.
    client = ScriptedClient(lambda request: "")
    keys = {fingerprint(s.request, client, sample=s.sample) for s in caller.steps[:3]}
    assert len(keys) == 3 and fingerprint(first, client) == fingerprint(first, client, sample=2)


@pytest.mark.parametrize(
    ("samples", "answers", "calls"),
    [
        (3, ["So [[42]]", "It is 42."], 2),
        (3, ["[[41]]", "[[42]]", "[[42.0]]"], 3),
        (5, ["[[1]]", "[[2]]", "[[3]]", "[[4]]"], 5),  # Lost: the vanilla answer counts.
    ],
)
async def test_short_answers_are_voted_on_as_lines_are_and_end_once_they_agree(samples, answers, calls):
    left = iter(answers)
    caller = Asked(lambda step: next(left) if step.template == "paper-concise" else "[[42]]")
    attempt = await strategy(f"vote:{samples}").answer(SUM, caller)
    assert len(caller.steps) == 1 + len(attempt.extra) == calls
    assert "be concise" in caller.steps[0].request.messages[0].content
    assert attempt.answer.outcome is Outcome.CORRECT
    assert attempt.answer.role == ("vanilla" if calls == 5 else "budgeted")


async def test_an_answer_that_was_cut_off_has_no_vote():
    left = iter(["So [[41]] or", "So [[41]] or", "[[42]]"])
    caller = Asked(lambda step: next(left) if step.template == "paper-concise" else "[[42]]", cut=(1, 2))
    attempt = await strategy("vote:3").answer(SUM, caller)
    assert attempt.answer.role == "vanilla" and len(attempt.extra) == 2


KNOWN = tuple((0.5 + i / 100, i >= 20) for i in range(40))  # Right from a confidence of 0.7 on.


@pytest.mark.parametrize(
    ("confidence", "sure", "roles", "told"),
    [
        (0.75, KNOWN, ["budgeted"], None),
        (0.65, KNOWN, ["budgeted", "vanilla"], None),
        (0.75, KNOWN[:20], ["budgeted", "vanilla"], "stated default"),
        (0.95, (), ["budgeted"], "0 labelled answers"),
        (None, KNOWN, ["budgeted", "vanilla"], "no log-probabilities"),
    ],
)
async def test_a_cascade_asks_again_when_the_model_is_unsure_by_what_labelled_rows_taught(
    confidence, sure, roles, told
):
    caller = Asked(confidence=confidence, sure=sure)
    attempt = await strategy("cascade").answer(SUM, caller)
    assert [s.role for s in caller.steps] == roles and attempt.answer.role == roles[-1]
    assert [s.request.logprobs for s in caller.steps] == [True, False][: len(roles)]
    assert len(attempt.extra) == len(roles) - 1
    assert attempt.problem is None if told is None else told in attempt.problem
    if len(roles) == 2:
        plain = Asked()
        await strategy("vanilla").answer(SUM, plain)
        assert caller.steps[1].request == plain.steps[0].request


def test_the_threshold_of_a_cascade_parts_right_from_wrong_and_needs_enough_of_both():
    assert sure_enough(KNOWN) == (0.7, None)
    for rows in (
        (),
        KNOWN[:29],
        tuple((c, True) for c, _ in KNOWN),
        tuple((c, i < 4) for i, (c, _) in enumerate(KNOWN)),
    ):
        threshold, why = sure_enough(rows)
        assert threshold == SURE and "stated default" in why


@pytest.mark.parametrize(("name", "knob"), [("enforced:50", "enforced:50"), ("early-exit", "early-exit:48")])
async def test_a_forced_answer_has_the_vanilla_prompt_and_says_in_its_sampling_when_it_is_forced(name, knob):
    plain, caller = Asked(), Asked()
    await strategy("vanilla@words").answer(SUM, plain)
    attempt = await strategy(f"{name}@words").answer(SUM, caller)
    (step,) = caller.steps
    assert step.request.messages == plain.steps[0].request.messages
    assert step.request.sampling == replace(SAMPLING, knob=knob)
    assert attempt.extra == () and step.role == "budgeted"


async def test_a_vote_falls_back_to_prose_where_the_runs_own_template_is_one_of_lines():
    caller = Asked(votes("1", "2"), template="assignments")
    attempt = await strategy("lines-vote:2").answer(SUM, caller)
    assert attempt.answer.prompt_template == "paper" and attempt.answer.outcome is Outcome.CORRECT


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
        ("lines@words", "prompt of its own"),
        ("lines:3", "no strategy"),
        ("lines-vote", "no number of votes"),
        ("lines-vote:1", "from 2 to 15: lines-vote:3"),
        ("lines-vote:16", "from 2 to 15"),
        ("lines-vote:³", "no number of votes"),
        ("lines-vote:-3", "no number of votes"),
        ("vote:1", "from 2 to 15: vote:3"),
        ("enforced:0", "from 1 to"),
        ("thinking:-1", "whole number of tokens"),
        ("verbosity:loud", "low, medium, high"),
        ("enforced:many", "whole number of tokens"),
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
        name = {
            "fixed:N": "fixed:50",
            "effort:LEVEL": "effort:low",
            "lines-vote:K": "lines-vote:3",
            "vote:K": "vote:3",
            "enforced:N": "enforced:50",
            "thinking:N": "thinking:1024",
            "verbosity:LEVEL": "verbosity:low",
        }.get(name, name)
        if name in ("tuned:NAME", "tuned-vote:NAME"):
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
        ("tale-regression@words", "TALE, regression, template words"),
        ("tale-zero-shot@paper", "TALE, zero-shot, template paper"),
        ("tuned:gone", "Fine-tuned: gone"),
        ("tuned-vote:gone", "Fine-tuned: gone, vote of 3"),
        ("lines", "Lines, evaluated by a calculator"),
        ("vanilla@assignments", "Vanilla, template assignments, evaluated by a calculator"),
        ("lines-vote:5", "Lines, vote of 5, evaluated by a calculator"),
        ("cascade", "Cascade: brief, then vanilla if unsure"),
        ("vote:5", "Short answers, vote of 5"),
        ("enforced:60@words", "Enforced budget of 60 tokens, template words"),
        ("early-exit", "Early exit"),
        ("of-tomorrow", "of-tomorrow"),
    ],
)
def test_a_strategy_has_a_name_for_people_whatever_is_trained_or_deleted(name, title):
    assert title_of(name) == title


EVERYTHING = Offer(trained=("regression", "calibrated"), efforts=("low", "high"), adapters=("brief",))
TRAINED = {"calibrated": Halves(), "regression": Halves("regression")}


def test_pages_offer_each_strategy_of_the_registry_but_budgets_for_which_they_ask_numbers():
    names = offered(EVERYTHING)
    assert len(names) == len(set(names)) and None not in {kind_of(name) for name in names}
    asked = {"fixed:N", "enforced:N", "thinking:N", "verbosity:LEVEL"}
    assert {kind.PATTERN for kind in KINDS if kind not in {kind_of(name) for name in names}} == asked


def test_what_is_offered_can_be_asked_for_and_explains_itself(tmp_path):
    samples.adapter(tmp_path)
    for name in offered(EVERYTHING):
        found = strategy(name, TRAINED)
        assert (found.name, found.title, found.hint) == (name, title_of(name), hint_of(name))


def test_what_is_not_there_is_not_offered():
    bare = offered(Offer())
    absent = ("fixed:", "effort:", "tuned", "tale-regression", "tale-calibrated")
    assert not any(name.startswith(absent) for name in bare)
    assert set(usual(Offer())) == set(USUAL) <= set(bare) and set(usual(EVERYTHING)) <= set(offered(EVERYTHING))


def test_the_command_line_tells_of_each_strategy_of_the_registry(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert f"{', '.join(NAMES)};" in capsys.readouterr().out


def test_only_trained_strategies_look_for_an_estimator():
    assert trained_for(["direct", "fixed:50@words", "effort:low", "of-tomorrow"], "m", "paper") == {}
