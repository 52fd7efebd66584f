"""Knobs of endpoints with a known truth: each is named right, and the optimum under it is found."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tale_core.budgets.forcing import Now, answered
from tale_core.budgets.kinds import ASKED, KINDS, kind, set_in
from tale_core.budgets.native import LEVEL, NativeKnob, merged, native
from tale_core.calls.record import fingerprint
from tale_core.elasticity.engine import SweepDone, SweepPlan, SweepResult, sweep
from tale_core.elasticity.knob import KnobFinding, dead_zone, knob_finding, slopes
from tale_core.errors import InputError, RequestRejectedError
from tale_core.models.endpoints import Endpoint
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.search.engine import SearchDone, SearchPlan, SearchResult, search
from tale_core.types import Client, Completion, Delta, Message, Question, Request, Sampling
from tests.support.knobs import KnobClient, Spending, ThinkingModel, at, nowhere

QUESTION = Question("How many legs have 3 cats?", answer="42")
WARM = Sampling(temperature=1.0, max_tokens=None)
FIVE = ("none", "low", "medium", "high", "xhigh")


def told(*thinking: int, right_from: int = 0, visible: int = 30) -> dict[str, Spending]:
    """The levels none, low, … with so many tokens of thinking."""
    return {
        level: Spending(tokens, visible, i >= right_from)
        for i, (level, tokens) in enumerate(zip(FIVE, thinking, strict=False))
    }


@dataclass(frozen=True)
class Family:
    """A provider's way to set a knob, what its model does, and what a sweep has to say of it."""

    knob: NativeKnob
    reads: Any
    thinks: ThinkingModel
    real: bool | None
    alike: tuple[tuple[object, ...], ...] = ()
    rebound: object = None
    budgets: tuple[int, ...] = ()


FAMILIES = {
    "OpenAI: every level is another": Family(
        NativeKnob("effort", "reasoning_effort", levels=FIVE),
        at("reasoning_effort"),
        ThinkingModel.of_words(told(0, 100, 300, 800, 2000), usual="medium"),
        real=True,
    ),
    "OpenRouter: low and medium are alike": Family(
        NativeKnob("effort", "reasoning.effort", levels=FIVE[:4]),
        at("reasoning", "effort"),
        ThinkingModel.of_words(told(0, 200, 200, 900), usual="medium"),
        real=True,
        alike=(("low", "medium"),),
    ),
    "DeepSeek: two levels that are the same": Family(
        NativeKnob("effort", "reasoning_effort", levels=("low", "high", "max"), beside={"thinking.type": "enabled"}),
        at("reasoning_effort"),
        ThinkingModel.of_words(
            {"low": Spending(400, 40), "high": Spending(400, 40), "max": Spending(1500, 40)}, usual="high"
        ),
        real=True,
        alike=(("high", "low"),),
    ),
    "Ollama: the lowest level rebounds": Family(
        NativeKnob("effort", "think", levels=FIVE[1:4]),
        at("think"),
        ThinkingModel.of_words(
            {"low": Spending(500, 60), "medium": Spending(150, 40), "high": Spending(900, 40)}, usual="medium"
        ),
        real=True,
        rebound="low",
    ),
    "vLLM: a number that is dropped silently": Family(
        NativeKnob("thinking", "chat_template_kwargs.thinking_token_budget"),
        at("thinking_token_budget"),
        ThinkingModel.of_numbers(usual=600, spread=0.1),
        real=False,
        alike=((),),
        budgets=(40, 80, 160, 320),
    ),
    "Anthropic: a number above a floor": Family(
        NativeKnob("thinking", "thinking.budget_tokens", least=1024, beside={"thinking.type": "enabled"}),
        at("thinking", "budget_tokens"),
        ThinkingModel.of_numbers(usual=9000, spread=0.1),
        real=True,
        budgets=(1024, 2048, 4096, 8192),
    ),
    "Gemini: a number under which it says the more": Family(
        NativeKnob("thinking", "extra_body.google.thinking_config.thinking_budget", most=24576),
        at("extra_body", "google", "thinking_config", "thinking_budget"),
        ThinkingModel.of_numbers(usual=700, turning=128, spread=0.1),
        real=True,
        alike=((64, 512),),  # One spends on words what the other spends on thinking.
        rebound=32,
        budgets=(32, 64, 128, 256, 512),
    ),
    "verbosity: taken, and never read": Family(
        NativeKnob("verbosity", "verbosity", levels=FIVE[1:4]),
        nowhere,
        ThinkingModel.of_numbers(usual=300, spread=0.1),
        real=False,
        alike=((),),
    ),
}


def endpoint(knob: NativeKnob) -> Endpoint:
    return Endpoint("http://127.0.0.1:9/v1", "thinker", knobs=(knob,))


def plan_of(family: Family, *, repeats: int) -> SweepPlan:
    knob = family.knob
    plan = SweepPlan(QUESTION, knob=knob.knob, levels=knob.levels, budgets=family.budgets, repeats=repeats)
    return replace(plan, sampling=WARM)


async def searched(plan: SearchPlan, client: Client) -> SearchResult:
    last = [event async for event in search(plan, client)][-1]
    assert isinstance(last, SearchDone)
    return last.result


async def swept(plan: SweepPlan, client: KnobClient) -> tuple[SweepResult, KnobFinding]:
    last = [event async for event in sweep(plan, client)][-1]
    assert isinstance(last, SweepDone)
    finding = knob_finding(plan, last.result)
    assert finding is not None
    return last.result, finding


@pytest.mark.parametrize("name", FAMILIES)
async def test_each_knob_is_named_for_what_it_is(name: str) -> None:
    family = FAMILIES[name]
    plan = plan_of(family, repeats=12)
    result, found = await swept(plan, KnobClient(family.thinks, endpoint(family.knob), family.reads))
    assert (found.real, found.dropped, found.n) == (family.real, family.real is False, 12)
    groups = {frozenset(group) for group in found.alike}
    if family.alike == ((),):
        assert groups == {frozenset(family.knob.levels or family.budgets)}
    else:
        assert groups == {frozenset(group) for group in family.alike}
    rebound = result.rebound if result.rebound and result.rebound.significant else None
    assert (rebound.budget if rebound else None) == family.rebound
    assert f"n = {found.n}" in found.sentence
    assert all(p.thinking_tokens_mean is not None for p in result.points)
    assert result.complete and not result.spent.estimated


async def test_levels_of_five_answers_are_said_as_people_say_it() -> None:
    knob = NativeKnob("effort", "reasoning_effort", levels=FIVE[:4])
    thinks = ThinkingModel.of_words(told(0, 300, 300, 300), usual="medium")
    plan = replace(SweepPlan(QUESTION, knob="effort", levels=knob.levels, repeats=12), sampling=WARM)
    result, found = await swept(plan, KnobClient(thinks, endpoint(knob), at("reasoning_effort")))
    assert found.sentence.startswith("none and ") and "differ; " in found.sentence
    assert "low" in found.sentence and "do not, n = 12." in found.sentence
    assert found.alike == (tuple(p.budget for p in reversed(result.points) if p.budget not in (None, "none")),)
    assert result.finding.startswith(found.sentence)


@pytest.mark.parametrize(
    ("repeats", "spread", "real"), [(1, 0.0, None), (2, 0.9, None), (3, 0.0, False), (3, 0.1, False)]
)
async def test_a_knob_is_called_unreal_only_where_an_effect_is_ruled_out(
    repeats: int, spread: float, real: bool | None
) -> None:
    knob = NativeKnob("effort", "reasoning_effort", levels=FIVE[:4])
    thinks = ThinkingModel.of_words(told(300, 300, 300, 300), usual="low", spread=spread)
    plan = replace(SweepPlan(QUESTION, knob="effort", levels=knob.levels, repeats=repeats), sampling=WARM)
    _, found = await swept(plan, KnobClient(thinks, endpoint(knob), nowhere))
    assert (found.real, found.dropped) == (real, real is False)


async def test_budgets_that_the_model_never_needs_tell_nothing_about_the_knob() -> None:
    knob = NativeKnob("thinking", "thinking.budget_tokens", least=1024)
    plan = SweepPlan(QUESTION, knob="thinking", budgets=(1024, 4096), repeats=6, sampling=WARM)
    client = KnobClient(
        ThinkingModel.of_numbers(usual=300, spread=0.1), endpoint(knob), at("thinking", "budget_tokens")
    )
    _, found = await swept(plan, client)
    assert (found.real, found.dropped) == (None, False)
    assert "No level asked for clearly less" in found.sentence


async def test_the_curve_has_its_elasticities_and_its_dead_zone() -> None:
    knob = NativeKnob("thinking", "thinking_token_budget")
    plan = SweepPlan(QUESTION, knob="thinking", budgets=(50, 100, 200, 400, 800, 1600), repeats=1, sampling=WARM)
    thinks = ThinkingModel.of_numbers(usual=270, visible=10)
    result, _ = await swept(plan, KnobClient(thinks, endpoint(knob), at("thinking_token_budget")))
    assert dead_zone(result) == (400, 1600)
    assert [round(one.elasticity, 1) for one in slopes(result)] == [0.9, 0.9, 0.6, 0.0, 0.0]
    assert result.compliance == 1.0, "thinking is held against the limit, not the whole answer"


@pytest.mark.parametrize("seed", range(8))
async def test_a_search_over_numbers_ends_within_a_twentieth_of_the_optimum(seed: int) -> None:
    rng = random.Random(seed)
    usual, floor = rng.randint(200, 4000), rng.choice([1, 32, 128, 1024])
    thinks = ThinkingModel.of_numbers(usual=usual, visible=rng.randint(10, 200), right_from=rng.randint(0, usual - 50))
    client = KnobClient(thinks, endpoint(NativeKnob("thinking", "thinking_token_budget")), at("thinking_token_budget"))
    worth = SearchPlan.usual_worth("thinking")
    found = await searched(SearchPlan(QUESTION, knob="thinking", lowest=floor, worth=worth, sampling=WARM), client)
    right = [s.tokens for n in range(floor, thinks.usual.tokens) if (s := thinks.under(n)).right]
    assert found.optimal_tokens is not None
    assert found.optimal_tokens <= 1.05 * min([*right, thinks.usual.tokens])
    assert all(body.get("thinking_token_budget", floor) >= floor for body in client.bodies)
    assert len(client.bodies) < 14


@pytest.mark.parametrize("name", [name for name, one in FAMILIES.items() if one.knob.levels and one.real])
async def test_a_search_over_words_ends_within_a_twentieth_of_the_optimum(name: str) -> None:
    family = FAMILIES[name]
    levels = {level: family.thinks.under(level) for level in family.knob.levels}
    client = KnobClient(family.thinks, endpoint(family.knob), family.reads)
    knob = family.knob
    plan = SearchPlan(QUESTION, knob=knob.knob, levels=knob.levels, samples=3, sampling=WARM)
    found = await searched(plan, client)
    got = levels[str(found.optimal_budget)].tokens if found.optimal_budget else family.thinks.usual.tokens
    assert got <= 1.05 * min(s.tokens for s in levels.values() if s.right)
    assert found.knob == "effort" and SearchResult.from_document(found.document()) == found


@pytest.mark.parametrize(
    ("costs", "best"),
    [
        ((630, 90, 1190, 10, 160), "high"),  # A ladder whose names say nothing about its order.
        ((800, 400, 200, 100, 50), "xhigh"),  # All of it the other way round.
        ((50, 50, 400, 800, 1600), "none"),  # A tie goes to the one that is named first.
    ],
)
async def test_words_are_ordered_by_what_they_cost_and_not_by_their_names(costs: tuple[int, ...], best: str) -> None:
    levels = {word: Spending(cost, 30) for word, cost in zip(FIVE, costs, strict=True)}
    usual = FIVE[costs.index(max(costs))]
    client = KnobClient(
        ThinkingModel.of_words(levels, usual=usual, spread=0.0),
        endpoint(NativeKnob("effort", "reasoning_effort", levels=FIVE)), at("reasoning_effort"),
    )  # fmt: skip
    found = await searched(SearchPlan(QUESTION, knob="effort", levels=FIVE, samples=3, sampling=WARM), client)
    assert found.optimal_budget == best


async def test_a_knob_that_the_endpoint_refuses_ends_a_search_at_once() -> None:
    def reply(request: Request) -> Reply:
        return Reply("so so so so so so so [[42]]")

    class Refusing(ScriptedClient):
        async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
            async for item in super().stream(request):
                yield replace(item, adjustments=(kind("effort").REFUSED,)) if isinstance(item, Completion) else item

    client = Refusing(reply)
    found = await searched(SearchPlan(QUESTION, knob="effort", levels=FIVE, samples=3, sampling=WARM), client)
    assert (found.stop_reason, found.optimal_budget) == ("knob-refused", None)
    plan = SweepPlan(QUESTION, knob="effort", levels=FIVE, repeats=2, sampling=WARM)
    last = [event async for event in sweep(plan, client)][-1]
    assert isinstance(last, SweepDone)
    told = knob_finding(plan, last.result)
    assert told is not None and (told.real, told.dropped) == (False, True)


async def test_levels_that_the_endpoint_does_not_have_are_told_and_the_others_go_on() -> None:
    def reply(request: Request) -> Reply:
        effort = request.sampling.reasoning_effort
        if effort in ("none", "xhigh"):
            return Reply(error=RequestRejectedError(f"Unsupported value: {effort!r}"))
        return Reply("[[42]]", reasoning="hm " * {"low": 10, "medium": 40, "high": 90}.get(effort or "medium", 40))

    plan = SweepPlan(QUESTION, knob="effort", levels=FIVE, repeats=3, sampling=WARM)
    last = [event async for event in sweep(plan, ScriptedClient(reply))][-1]
    assert isinstance(last, SweepDone) and last.result.complete
    told = knob_finding(plan, last.result)
    assert told is not None and told.real and set(told.refused) == {"none", "xhigh"}
    assert "refuses" in told.more
    found = await searched(SearchPlan(QUESTION, knob="effort", levels=FIVE, samples=3, sampling=WARM),
                           ScriptedClient(reply))  # fmt: skip
    assert found.optimal_budget == "low"


@pytest.mark.parametrize(
    ("knob", "level", "body"),
    [
        (NativeKnob("effort", "output_config.effort", beside={"thinking.type": "adaptive"}), "low",
         {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}),
        (NativeKnob("thinking", "thinking.budget_tokens", beside={"thinking.type": "enabled"},
                    off={"thinking.type": "disabled"}), 0, {"thinking": {"type": "disabled"}}),
        (NativeKnob("thinking", "a", beside={"b": LEVEL}), 7, {"a": 7, "b": 7}),
        (NativeKnob("effort", "think", off={"think": False}), "none", {"think": False}),
    ],
)  # fmt: skip
def test_a_level_stands_where_the_description_says(knob: NativeKnob, level: Any, body: dict[str, Any]) -> None:
    assert knob.parts(level) == body
    assert merged({"thinking": {"type": "x", "keep": 1}}, {"thinking": {"type": "y"}}) == {
        "thinking": {"type": "y", "keep": 1}
    }
    assert native((knob,), knob.knob) is knob and native((), "effort") is not None and native((), "asked") is None


@pytest.mark.parametrize(
    ("name", "level", "words"),
    [
        ("effort", "extreme", "Choose from: none"),
        ("thinking", "many", "not a whole number"),
        ("thinking", "512", "from 1,024 to"),
        ("enforced", "0", "from 1 to"),
        ("verbosity", "none", "low, medium, high"),
        ("colour", "red", "asked, effort, thinking, enforced"),
    ],
)
def test_a_level_that_cannot_be_is_refused_in_words(name: str, level: str, words: str) -> None:
    described = NativeKnob("thinking", "thinking.budget_tokens", least=1024) if name == "thinking" else None
    with pytest.raises(InputError, match=words):
        kind(name).read(level, described)


def test_every_kind_says_what_it_sends_and_costs_and_is_carried_by_a_sampling() -> None:
    for one in KINDS:
        assert one.TITLE and one.HINT.endswith(".") and one.COSTS.endswith(".")
        level = one.read("50" if one.NUMBERS else "low")
        sampling = one.in_sampling(Sampling(), level)
        assert (one.in_prompt(level) == 50) == (one is ASKED)
        if sampling.knob:
            assert set_in(sampling) == (one, level)
        assert (sampling == Sampling()) == (one is ASKED)


def test_documents_from_before_there_were_kinds_are_read_as_asked_ones() -> None:
    plan, search_plan = SweepPlan(QUESTION, budgets=(10,)), SearchPlan(QUESTION)
    for one, new in ((plan, ("knob", "levels")), (search_plan, ("knob", "levels", "lowest"))):
        document = json.loads(json.dumps(one.document()))
        document = {key: value for key, value in document.items() if key not in new}
        del document["sampling"]["knob"]
        assert type(one).from_document(document) == one
    levels = SweepPlan(QUESTION, knob="effort", levels=("low", "high"))
    assert SweepPlan.from_document(json.loads(json.dumps(levels.document()))) == levels
    client = ScriptedClient([])
    request = Request((Message("user", "?"),), Sampling())
    before = {"temperature": 0.0, "top_p": None, "seed": 1024, "reasoning_effort": None}
    parts = json.dumps([client.model, client.endpoint, [["user", "?"]], before, 0], sort_keys=True)
    assert fingerprint(request, client) == hashlib.sha256(parts.encode("ascii")).hexdigest()


async def test_an_answer_that_only_a_person_may_stop_is_sent_as_it_is() -> None:
    client = ScriptedClient(lambda request: Reply(" so" * 40))
    request = Request((Message("user", "?"),), Sampling(max_tokens=20, knob="thinking:90"))
    items = [item async for item in answered(client, request, now=Now())]
    assert client.requests == [request]
    last = items[-1]
    assert isinstance(last, Completion) and (last.finish_reason, last.adjustments) == ("length", ())
