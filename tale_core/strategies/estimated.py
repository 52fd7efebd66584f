"""Strategies that find a budget for each question first: by the model's own word, by training, by a search."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import ClassVar

from tale_core.budgets import kinds as budgets
from tale_core.calls.budget_ledger import Spent
from tale_core.calls.events import CallFinished
from tale_core.calls.probing import Probe, ProbeKey, probe_step
from tale_core.calls.record import Step
from tale_core.errors import InputError
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET
from tale_core.estimators.zero_shot import estimate_sampling, fallback_words, named_budget
from tale_core.i18n import N_, t
from tale_core.prompts import messages as prompts
from tale_core.search.engine import Course
from tale_core.search.plan import SearchPlan
from tale_core.strategies.base import Attempt, BudgetPredictor, Offer, QuestionCaller, Strategy, run_step
from tale_core.types import CallRecord, Question, Request

MOST_PROBES = 24
"""Budgets that the oracle tries for one question at most."""


@dataclass(frozen=True, slots=True)
class TaleZeroShot(Strategy):
    """The paper's TALE-EP: the model names a budget, then answers under it."""

    PATTERN = "tale-zero-shot"
    TITLE = N_("TALE, zero-shot")
    HINT = N_("The model names a budget for the question, then keeps to it.")
    USUAL = True
    calls = (2, 2)
    assumed_tokens = FALLBACK_BUDGET

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """Two calls: the estimate is counted like any other."""
        estimate, budget, problem = await _zero_shot(question, caller)
        budget = budget or FALLBACK_BUDGET
        answer = await caller.call(run_step("budgeted", question, caller, budget))
        return Attempt(answer, (estimate,), budget, fallback_words(problem) if problem else None)


@dataclass(frozen=True, slots=True)
class TalePredicted(Strategy):
    """A trained estimator names the budget; where it reads the model's own estimate, that call is made and counted."""

    KIND: ClassVar[str]
    HINT = N_("An estimator that was trained on searches names the budget.")
    USUAL = True
    TRAINED = True
    assumed_tokens = FALLBACK_BUDGET
    predictor: BudgetPredictor | None = None

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """It, where one is trained."""
        return (cls.PATTERN,) if cls.KIND in offer.trained else ()

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        if predictor := estimators.get(f"{cls.KIND}{at}"):
            return cls(predictor=predictor)
        raise InputError(
            t(
                "The strategy {name!r} is not available until an estimator is trained for the model and the template.",
                name=name + at,
            ),
            t("Train one, or choose tale-zero-shot."),
        )

    @property
    def calls(self) -> tuple[int, int]:  # type: ignore[override]
        """Two where the estimator reads the model's own estimate."""
        return (2, 2) if self.predictor and self.predictor.needs_zero_shot else (1, 1)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, or two with the model's own estimate."""
        assert self.predictor is not None, "made by `strategy` alone"
        extra: tuple[CallRecord, ...] = ()
        zero_shot: int | None = None
        if self.predictor.needs_zero_shot:
            estimate, zero_shot, _ = await _zero_shot(question, caller)
            extra = (estimate,)
        # In a thread: the first prediction may import scikit-learn, and answers of others are streaming.
        predicted, problem = await asyncio.to_thread(self.predictor.budget, question, zero_shot)
        budget = min(MAX_BUDGET, max(1, round(predicted)))
        answer = await caller.call(run_step("budgeted", question, caller, budget))
        return Attempt(answer, extra, budget, problem)


@dataclass(frozen=True, slots=True)
class TaleRegression(TalePredicted):
    """A regression that reads the question."""

    PATTERN = "tale-regression"
    TITLE = N_("TALE, regression")
    KIND = "regression"


@dataclass(frozen=True, slots=True)
class TaleCalibrated(TalePredicted):
    """The model's own estimate, corrected by what searches found."""

    PATTERN = "tale-calibrated"
    TITLE = N_("TALE, calibrated")
    KIND = "calibrated"


@dataclass(frozen=True, slots=True)
class Oracle(Strategy):
    """The optimum that a search finds (see `tale_core.search.modes`); every other answer of the search is extra."""

    PATTERN = "oracle"
    TITLE = N_("Searched optimum")
    HINT = N_(
        "A search finds the best budget of each question. It uses the known answer, so it shows what is "
        "possible, not what a method without it can reach."
    )
    calls = (1, 1 + MOST_PROBES)
    needs_answer = True

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call when vanilla is not right, else as many as the search takes."""
        made: dict[ProbeKey, CallRecord] = {}

        async def answers(*probes: Probe) -> AsyncGenerator[CallFinished, None]:
            for probe in probes:
                if len(made) > MOST_PROBES:
                    raise _EnoughError
                made[probe.key] = await caller.call(probe_step(question, probe, caller.template, caller.sampling, kind))
                yield CallFinished(probe.key, made[probe.key], Spent())

        kind = budgets.kind(caller.knob)
        plan = SearchPlan(question, knob=kind.NAME, template=caller.template, sampling=caller.sampling)
        course = Course(plan, answers)
        with suppress(_EnoughError):
            async with aclosing(course.run()) as events:
                async for _ in events:
                    pass
        found = course.result(Spent())
        budget = found.optimal_budget if isinstance(found.optimal_budget, int) else None
        best = made[ProbeKey("probe", budget) if budget else ProbeKey("vanilla")]
        return Attempt(best, tuple(c for c in made.values() if c is not best), budget)


class _EnoughError(Exception):
    """As many budgets as the oracle may try were tried."""


async def _zero_shot(question: Question, caller: QuestionCaller) -> tuple[CallRecord, int | None, str | None]:
    """The model's own estimate: the call, the budget it names, and why it names none."""
    request = Request(prompts.estimate_messages(question), estimate_sampling(caller.sampling))
    call = await caller.call(Step("estimate", request, prompts.ESTIMATE_TEMPLATE, prompts.ESTIMATE_VERSION))
    budget, problem = named_budget(call.text, call.finish_reason, tokens=call.completion_tokens)
    return call, budget, problem
