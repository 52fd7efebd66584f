"""A calibration chooses the template that the model obeys and pays for no more than it may."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tale_core.calibration.rule import Answer, choose, figures, kept, reference, sign_flip_p
from tale_core.calibration.run import (
    AnswerMeasured,
    Calibration,
    CalibrationEvent,
    CalibrationPlan,
    TemplatesDropped,
    calibrate,
    default_questions,
    remember,
)
from tale_core.calls.budget_ledger import Limits
from tale_core.datasets import shipped
from tale_core.errors import InputError, RateLimitedError
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.prompts.messages import TOOL_FREE
from tale_core.settings import get_settings
from tale_core.types import Outcome, Price, Sampling
from tests.support.template_models import Behaviour, jumps, model, obeys, spoiled

QUESTIONS = default_questions(6, ("en",))
OUTCOMES = [o for o in Outcome if o is not Outcome.ERROR]


def plan(**changes: object) -> CalibrationPlan:
    return replace(CalibrationPlan(questions=QUESTIONS), **changes)  # type: ignore[arg-type]


async def events(plan: CalibrationPlan, client: ScriptedClient) -> list[CalibrationEvent]:
    return [e async for e in calibrate(plan, client)]


async def result(plan: CalibrationPlan, client: ScriptedClient) -> Calibration:
    *before, last = await events(plan, client)
    assert isinstance(last, Calibration) and not any(isinstance(e, Calibration) for e in before)
    return last


@pytest.mark.parametrize(
    ("behaviour", "templates", "chosen", "curve"),
    [
        (obeys("words"), tuple(TOOL_FREE), "words", "follows"),
        (obeys("tokens"), tuple(TOOL_FREE), "plain", "follows"),  # The shortest of four prompts.
        (obeys("tokens"), ("words", "lines", "paper"), "paper", "follows"),
        (obeys("lines"), tuple(TOOL_FREE), "lines", "follows"),
        (obeys("steps"), tuple(TOOL_FREE), "steps", "follows"),
        (obeys(), ("words", "paper"), "words", "flat"),
        (jumps("tokens", right=False, then=obeys("words")), tuple(TOOL_FREE), "words", "follows"),
        (jumps("tokens", right=True, then=obeys("words")), tuple(TOOL_FREE), "words", "follows"),
        (jumps("tokens", right=True, then=obeys()), tuple(TOOL_FREE), "plain", "switch"),
        (jumps("tokens", "words", "steps", right=False, then=obeys("lines")), tuple(TOOL_FREE), "lines", "follows"),
    ],
)
async def test_the_template_that_the_model_obeys_is_chosen(
    behaviour: Behaviour, templates: tuple[str, ...], chosen: str, curve: str
) -> None:
    found = await result(plan(templates=templates), model(behaviour, QUESTIONS))
    assert found.verdict is not None and (found.verdict.template, found.verdict.fallback) == (chosen, False)
    assert next(f for f in found.templates if f.name == chosen).curve == curve
    assert chosen in found.finding and found.stopped is None


async def test_the_papers_template_stays_when_every_budget_spoils_the_answers() -> None:
    found = await result(plan(templates=("words", "lines")), model(spoiled(obeys("words")), QUESTIONS))
    assert found.verdict is not None and (found.verdict.template, found.verdict.fallback) == ("paper", True)
    assert "100 points" in found.verdict.reason


async def test_a_model_that_is_never_right_gets_no_choice_by_its_tokens() -> None:
    found = await result(plan(), ScriptedClient(lambda r: "[[123456789]]"))
    assert found.verdict is not None and found.verdict.fallback and "even without a budget" in found.verdict.reason


@pytest.mark.parametrize("order", [("words", "lines"), ("lines", "words")])
def test_equal_templates_are_decided_by_their_order(order: tuple[str, str]) -> None:
    same = [Answer(q, b, Outcome.CORRECT, 50, 20) for q in range(6) for b in (None, 25, 60)]
    assert choose(figures(dict.fromkeys(order, same), budgets=(25, 60), tolerance=0.1)).template == order[0]


async def test_half_of_the_templates_are_dropped_after_a_third_and_the_result_says_so() -> None:
    everything = await events(plan(), model(obeys("words"), QUESTIONS))
    (dropped,) = [e for e in everything if isinstance(e, TemplatesDropped)]
    found = everything[-1]
    assert isinstance(found, Calibration)
    assert dropped.after == 2 and len(dropped.templates) == 4
    assert {f.name: f.dropped_after for f in found.templates} == {
        name: 2 if name in dropped.templates else None for name in TOOL_FREE
    }
    for f in found.templates:
        assert f.budgeted.n == 2 * (2 if f.dropped_after else 6)
        assert (f.curve is None) == (f.name in dropped.templates)  # Two questions are too few to say.
    answers = [e for e in everything if isinstance(e, AnswerMeasured)]
    assert answers[-1].done == answers[-1].planned == len(answers)


async def test_the_best_vanilla_template_is_measured_on_though_its_budgets_are_dropped() -> None:
    # Right without a budget in the paper's template only, and wrong there under every budget.
    def does(name: str, budget: int | None):
        right = (name == "paper") == (budget is None)
        return obeys("words")(name, budget)._replace(right=right)

    found = await result(plan(templates=("paper", "words", "calculations")), model(does, QUESTIONS))
    paper = found.templates[0]
    assert found.reference == "paper" and paper.dropped_after == 2
    assert (paper.vanilla.n, paper.budgeted.n) == (6, 4)
    assert found.verdict is not None and found.verdict.template == "words"
    assert found.templates[1].difference is not None and found.templates[1].difference.mean == 0


async def test_every_call_is_counted_and_a_shared_prompt_is_paid_for_once() -> None:
    client = model(obeys("words"), QUESTIONS)
    found = await result(plan(templates=("words", "steps"), slots=1), client)
    prompts = [r.messages[-1].content for r in client.requests]
    assert len(set(prompts)) == len(prompts) == found.spent.calls == 6 * 5
    assert found.spent.reused == 6
    assert all(f.vanilla.n == 6 for f in found.templates)
    vanilla, budgeted = found.templates[0].vanilla, found.templates[0].levels
    assert vanilla.tokens is not None and 120 <= vanilla.tokens.mean <= 122
    assert [level.budget for level in budgeted] == [25, 60] and found.source == "simulated"
    assert found.spent.completion_tokens >= 6 * (120 + 25 + 60)


@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize("limits", [Limits(max_calls=10), Limits(max_tokens=1500), Limits(max_cost_usd=0.002)])
async def test_a_limit_ends_the_run_without_a_choice(limits: Limits, slots: int) -> None:
    client = model(obeys("words"), QUESTIONS, price=Price(1.0, 3.0, "2026-01-01"))
    found = await result(plan(limits=limits, slots=slots, sampling=Sampling(max_tokens=300)), client)
    assert found.verdict is None and found.stopped in ("calls", "tokens", "cost")
    assert found.spent.calls == len(client.requests) > 0
    assert limits.max_calls is None or len(client.requests) <= limits.max_calls
    assert limits.max_tokens is None or found.spent.tokens <= limits.max_tokens
    assert found.spent.cost_usd is not None
    assert limits.max_cost_usd is None or found.spent.cost_usd <= limits.max_cost_usd
    assert found.finding.startswith("No template was chosen")
    with pytest.raises(InputError, match="did not come to its end"):
        remember(found, get_settings())


async def test_an_answer_that_a_limit_cut_is_paid_for_and_judges_no_template() -> None:
    client = ScriptedClient(lambda r: " then" * 200 + " [[43]]")
    limits = Limits(max_tokens=250)
    found = await result(plan(limits=limits, templates=("plain",), slots=1), client)
    assert found.stopped == "tokens" and found.spent.calls == 1 and found.spent.tokens <= 250
    assert found.templates[0].vanilla.n == 0 and not found.templates[0].vanilla.outcomes


async def test_a_failing_model_ends_the_run_with_every_call_booked() -> None:
    working = model(obeys("words"), QUESTIONS)
    assert callable(working.script)
    script, calls = working.script, 0

    def sometimes(request):
        nonlocal calls
        calls += 1
        return Reply(error=RateLimitedError("Too many requests.")) if calls == 5 else script(request)

    client = ScriptedClient(sometimes)
    found = await result(plan(), client)
    assert found.stopped == "error" and found.error is not None and "Too many requests" in found.finding
    assert found.verdict is None and found.spent.calls == len(client.requests) < 20
    assert client.open_streams == 0


async def test_closing_the_stream_stops_the_spending() -> None:
    client = model(obeys("words"), QUESTIONS, delay_s=0.001)
    async with aclosing(calibrate(plan(), client)) as stream:
        async for event in stream:
            assert isinstance(event, AnswerMeasured)
            await asyncio.sleep(0.02)  # The other places are in the middle of an answer by now.
            break
    sent = len(client.requests)
    await asyncio.sleep(0.05)
    assert client.open_streams == 0 and client.closed_early > 0 and len(client.requests) == sent < 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"templates": ()}, "one or more"),
        ({"templates": ("words", "words")}, "each once"),
        ({"templates": ("nope",)}, "no prompt template"),
        ({"questions": QUESTIONS[:3]}, "4 or more"),
        ({"questions": (*QUESTIONS, replace(QUESTIONS[0], answer=None))}, "no known answer"),
        ({"budgets": (25,)}, "two or more"),
        ({"budgets": (25, 25)}, "different"),
        ({"budgets": (0, 25)}, "from 1"),
        ({"tolerance": float("nan")}, "from 0 to 1"),
        ({"slots": 0}, "from 1"),
        ({"limits": Limits(max_cost_usd=1.0)}, "unknown"),
    ],
)
async def test_a_wrong_plan_is_refused_before_anything_is_sent(changes: dict[str, object], words: str) -> None:
    client = ScriptedClient(["[[1]]"])
    with pytest.raises(InputError, match=words):
        await events(plan(**changes), client)
    assert not client.requests


def test_the_default_questions_are_fixed_easy_mixed_and_our_own() -> None:
    assert [q.id for q in default_questions()] == [
        "en-arith-001", "zh-money-002", "en-rate-002", "zh-geom-001", "en-time-003", "zh-pct-004",
        "en-count-001", "zh-nt-002", "en-alg-003", "zh-word-002", "en-prob-006", "zh-sci-002",
    ]  # fmt: skip
    most = default_questions(82)
    assert len({q.id for q in most}) == 82 and set(most) <= set(shipped())
    assert {q.kind for q in most} == {"number"} and {q.difficulty for q in most} == {1, 2, 3}
    assert {q.language for q in default_questions(6, ("en",))} == {"en"}
    for n in (0, 83):
        with pytest.raises(InputError, match="from 1 to 82"):
            default_questions(n)


# The rule, on plain answers.

LEVEL = st.tuples(st.integers(1, 400), st.booleans())
NOISELESS = st.lists(st.tuples(LEVEL, LEVEL, LEVEL, st.integers(10, 60)), min_size=1, max_size=8)
NAMES = tuple(TOOL_FREE)


def answered(kind, questions: range) -> list[Answer]:
    vanilla, small, large, prompt = kind
    levels = zip((None, 25, 60), (vanilla, small, large), strict=True)
    found = [(b, Outcome.CORRECT if right else Outcome.WRONG, tokens) for b, (tokens, right) in levels]
    return [Answer(q, b, outcome, tokens, prompt) for q in questions for b, outcome, tokens in found]


@given(kinds=NOISELESS, n=st.integers(4, 15))
def test_dropping_never_drops_the_best_of_noiseless_models(kinds, n) -> None:
    rule = {"budgets": (25, 60), "tolerance": 0.1}
    everything = {NAMES[i]: answered(kind, range(n)) for i, kind in enumerate(kinds)}
    best = choose(figures(everything, **rule))

    third = {name: [a for a in found if a.question < -(-n // 3)] for name, found in everything.items()}
    left = kept(figures(third, **rule), answers=third, **rule)
    base = reference(third)
    halved = {
        name: found
        if name in left
        else third[name] + [a for a in found if name == base and a.budget is None and a not in third[name]]
        for name, found in everything.items()
    }
    dropped = {name: -(-n // 3) for name in everything if name not in left}
    assert choose(figures(halved, dropped=dropped, **rule))[::2] == best[::2]
    assert best.fallback or best.template in left


@given(data=st.data(), n=st.integers(1, 7), count=st.integers(1, 4), tolerance=st.sampled_from([0.0, 0.1, 0.3]))
@hypothesis_settings(deadline=None)
def test_the_choice_never_has_a_clearly_lower_accuracy(data, n, count, tolerance) -> None:
    one = st.sampled_from(OUTCOMES)
    answers = {
        name: [
            Answer(q, b, data.draw(one), data.draw(st.integers(1, 300)), 20) for q in range(n) for b in (None, 25, 60)
        ]
        for name in NAMES[:count]
    }
    verdict = choose(figures(answers, budgets=(25, 60), tolerance=tolerance))
    base = reference(answers)

    def differences(name: str) -> list[float]:
        """Worked out anew, in another way than the rule's."""
        seen = []
        for q in range(n):
            of = [a for a in answers[name] if a.question == q and a.budget and a.outcome is not Outcome.UNGRADED]
            to = [a for a in answers[base or name] if a.question == q and a.budget is None]
            if of and to[0].outcome is not Outcome.UNGRADED:
                share = sum(a.outcome is Outcome.CORRECT for a in of) / len(of)
                seen.append(share - (to[0].outcome is Outcome.CORRECT))
        return seen

    def right_enough(name: str) -> bool:
        found = differences(name)
        flips = [sum(f * s for f, s in zip(found, signs, strict=True)) for signs in product((1, -1), repeat=len(found))]
        as_low = sum(total <= sum(found) + 1e-9 for total in flips) / len(flips)
        return bool(found) and sum(found) / len(found) >= -tolerance - 1e-9 and as_low >= 0.1

    some_right = any(a.budget is None and a.outcome is Outcome.CORRECT for f in answers.values() for a in f)
    assert verdict.fallback == (not some_right or not any(map(right_enough, answers)))
    assert verdict.fallback or right_enough(verdict.template)


@given(st.lists(st.fractions(-1, 1, max_denominator=4), max_size=8))
def test_the_exact_test_counts_every_flip_of_signs(values) -> None:
    flips = [sum(v * s for v, s in zip(values, signs, strict=True)) for signs in product((1, -1), repeat=len(values))]
    assert sign_flip_p(values) == pytest.approx(sum(f <= sum(values) for f in flips) / len(flips))


def test_truncated_and_unparsed_answers_are_shown_apart() -> None:
    three = (Outcome.TRUNCATED, Outcome.UNPARSED, Outcome.UNGRADED, Outcome.CORRECT)
    answers = {"words": [Answer(q, b, o, 30, 20) for q, o in enumerate(three) for b in (None, 25, 60)]}
    (found,) = figures(answers, budgets=(25, 60), tolerance=0.1)
    assert (found.vanilla.n, found.vanilla.right) == (3, 1) and Outcome.WRONG not in found.vanilla.outcomes
    assert found.vanilla.outcomes == dict.fromkeys(three, 1)
    assert found.levels[0].within == 0.0 and found.levels[1].within == 1.0 and found.vanilla.within is None
