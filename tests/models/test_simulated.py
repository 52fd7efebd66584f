"""The simulated model writes exactly what its curve says, and behaves like a client."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.grading import grade
from tale_core.models.testing.scripted import count
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel, requested_budget
from tale_core.prompts import messages as prompts
from tale_core.types import Client, Completion, Delta, Message, Outcome, Question, Request, Sampling

QUESTION = Question("How many legs have 3 cats and 15 birds?", answer="42", kind="number")
MODELS = st.integers(0, 10_000).map(lambda seed: SimulatedModel.stated(random.Random(seed)))


def ask(
    budget: int | None = None, *, question: Question = QUESTION, template: str = "paper", **sampling: int
) -> Request:
    kind = question.kind or "number"
    messages = prompts.answer_messages(question, template_name=template, kind=kind, budget=budget)
    return Request(messages, replace(Sampling(), **sampling))


async def run(client: Client, request: Request) -> tuple[list[Delta], Completion]:
    events = [e async for e in client.stream(request)]
    done = events.pop()
    assert isinstance(done, Completion)
    return [e for e in events if isinstance(e, Delta)], done


@pytest.mark.parametrize("template", sorted(prompts.TEMPLATES))
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_it_reads_the_budget_from_every_template_and_language(template: str, language: str) -> None:
    question = replace(QUESTION, language=language)  # type: ignore[arg-type]
    client = SimulatedClient(SimulatedModel.monotone(vanilla=200))
    # 120 tokens are a whole number of words, of steps and of lines.
    _, budgeted = await run(client, ask(120, question=question, template=template))
    _, vanilla = await run(client, ask(question=question, template=template))
    direct = Request(prompts.direct_messages(question, kind="number"))
    assert [c.usage.completion_tokens for c in (budgeted, vanilla, (await run(client, direct))[1])] == [108, 200, 5]


def test_a_prompt_without_a_budget_has_none() -> None:
    assert requested_budget("How many tokens are less than 5?") is None
    assert requested_budget("use less than 70 tokens") == 70


@settings(deadline=None)
@given(curve=MODELS, budget=st.integers(1, 1000), chunk=st.integers(1, 60), cap=st.integers(1, 1000))
async def test_usage_is_what_its_own_tokenizer_counts_however_it_is_cut(
    curve: SimulatedModel, budget: int, chunk: int, cap: int
) -> None:
    client = SimulatedClient(curve, chunk=chunk)
    deltas, done = await run(client, ask(budget, max_tokens=cap))
    assert done.text == "".join(d.text for d in deltas)
    assert done.usage.completion_tokens == count(done.text) == min(cap, curve.cost(budget))
    assert done.usage.prompt_tokens == await client.count_tokens(client.requests[0].messages[0].content)
    assert done.finish_reason == ("length" if curve.cost(budget) > cap else "stop")
    assert done.source == "simulated"
    if done.finish_reason == "stop":
        expected = Outcome.CORRECT if curve.right(budget) else Outcome.WRONG
        assert grade(done.text, QUESTION, finish_reason="stop").outcome is expected


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("13", Question("?", answer="13", kind="number")),
        ("-2.5", Question("?", answer="-2.5", kind="number")),
        ("A", Question("?", answer="A", kind="choice", options=("x", "y", "z"))),
        ("C", Question("?", answer="C", kind="choice", options=("x", "y", "z"))),
        ("New York", Question("?", answer="New York", kind="text")),
    ],
)
async def test_right_and_wrong_answers_of_every_kind_are_graded_so(answer: str, question: Question) -> None:
    for right, outcome in ((True, Outcome.CORRECT), (False, Outcome.WRONG)):
        client = SimulatedClient(SimulatedModel.flat(vanilla=60, right=right), answer=answer)
        _, done = await run(client, ask(question=question))
        assert grade(done.text, question, finish_reason="stop").outcome is outcome
        assert done.usage.completion_tokens == count(done.text) == 60


async def test_very_short_answers_are_still_exact() -> None:
    for tokens in range(1, 8):
        _, done = await run(SimulatedClient(SimulatedModel(tokens, lambda b: b, lambda b: True)), ask())
        assert count(done.text) == tokens
        assert grade(done.text, QUESTION, finish_reason="stop").outcome is Outcome.CORRECT


async def test_noise_comes_from_the_seed_and_the_budget_alone() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=500).noisy(spread=0.2), chunk=50)
    sizes = [(await run(client, ask(50, seed=seed)))[1].usage.completion_tokens for seed in (1, 2, 3, 1)]
    assert sizes[0] == sizes[3]
    assert len(set(sizes)) == 3
    other = (await run(client, ask(60, seed=1)))[1].usage.completion_tokens
    assert other != sizes[0]


def test_a_slip_turns_some_right_answers_wrong() -> None:
    curve = SimulatedModel.flat().noisy(spread=0.0, slip=0.3)
    right = sum(curve.answer(50, seed=seed)[1] for seed in range(1000))
    assert 620 < right < 780
    assert {curve.answer(50, seed=seed)[0] for seed in range(20)} == {258}


@settings(deadline=None)
@given(curve=MODELS)
def test_the_stated_population_is_as_stated(curve: SimulatedModel) -> None:
    v = curve.vanilla
    assert 60 <= v <= 900 and curve.right(v) and curve.vanilla_right
    enough = next(b for b in range(1, v + 1) if curve.right(b))
    assert 0.03 * v - 1 <= enough <= 0.90 * v + 1
    costs = [curve.cost(b) for b in range(1, v + 1)]
    obeyed = [min(v, max(12, round(0.9 * b))) for b in range(1, v + 1)]
    turn = next(b for b in range(1, v + 1) if costs[b - 1 :] == obeyed[b - 1 :])
    assert turn <= 0.25 * v + 1
    assert all(1 <= c <= v for c in costs)


@settings(deadline=None)
@given(curve=MODELS)
def test_no_right_budget_costs_less_than_the_optimum(curve: SimulatedModel) -> None:
    budget, cost = curve.optimum()
    right = [curve.cost(b) for b in range(1, curve.vanilla + 1) if curve.right(b)]
    assert cost == min([curve.vanilla, *right])
    assert (cost == curve.vanilla) if budget is None else (curve.right(budget) and curve.cost(budget) == cost)


def test_a_model_that_ignores_budgets_has_no_optimum_below_vanilla() -> None:
    assert SimulatedModel.flat(vanilla=100).optimum() == (None, 100)
    assert SimulatedModel.monotone(right_from=300, vanilla=100).optimum() == (None, 100)
    assert SimulatedModel.rebounding().optimum() == (32, 29)


async def test_leaving_early_closes_and_is_noted() -> None:
    client = SimulatedClient(SimulatedModel.flat())
    stream = client.stream(ask())
    await anext(stream)
    assert (client.open_streams, client.most_open) == (1, 1)
    await stream.aclose()
    assert (client.open_streams, client.closed_early, client.completions) == (0, 1, [])
    await client.aclose()
    assert client.closed


async def test_it_can_ignore_max_tokens_as_some_endpoints_do() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=50), ignores_max_tokens=True)
    _, done = await run(client, Request((Message("user", "?"),), Sampling(max_tokens=10)))
    assert (done.usage.completion_tokens, done.finish_reason) == (50, "stop")
