"""The search for a question's optimal budget: the budget with the lowest actual cost that keeps the answer right.

`search` is an async iterator of events, pure over the client protocol. What it tries next is decided by a mode (see
`tale_core.search_modes`): `paper` is the paper's bisection and greedy descent, `reference` the public repository's
halving, `tale` ours. Questions that vanilla gets wrong are not searched. Sources: arXiv 2412.18547, Alg. 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tale_core.errors import LimitReachedError
from tale_core.grading import infer_kind
from tale_core.probing import Probe, ProbeCache, ProbeEvent, ProbeFinished, ProbeKey, Prober, Spent
from tale_core.search_modes import MODES, Bounds, Mode, Options, Seen
from tale_core.search_plan import SearchPlan
from tale_core.search_samples import Samples
from tale_core.search_value import Belief
from tale_core.spending import Ledger
from tale_core.types import Client, Outcome, ProbePhase

__all__ = ["SearchDone", "SearchEvent", "SearchPlan", "SearchResult", "SearchStep", "StopReason", "search"]

StopReason = Literal[
    "converged",
    "small-gain",
    "no-response",
    "first-failure",
    "nothing-below",
    "vanilla-wrong",
    "vanilla-truncated",
    "vanilla-unparsed",
    "vanilla-refused",
    "limit-calls",
    "limit-tokens",
    "limit-cost",
]


@dataclass(frozen=True, slots=True)
class SearchStep:
    """What one budget told.

    Attributes:
        index: 0 for the vanilla answer, then 1, 2, …
        phase: The part of the search that asked for it.
        budget: The budget tried; None for the vanilla answer.
        outcome: Of the samples together: correct when the rule says so, ungraded when all that could tell was cut.
        tokens: Actual completion tokens, the mean over the samples; of a cut answer a lower bound.
        cut: It was stopped because it could no longer win.
        elastic: This smaller budget cost at least as much as the best larger one: token elasticity.
        low: Lower bound after this step (tokens, exclusive): the search goes on above it.
        high: Upper bound after this step (tokens): the best budget so far, or the vanilla answer's tokens.
        best_budget: The best budget so far, or None.
        best_tokens: Its actual tokens; the vanilla answer's while there is none.
        samples: Answers asked for.
        right: How many of them were right.
        reused: Known from earlier, not paid for now.
    """

    index: int
    phase: ProbePhase
    budget: int | None
    outcome: Outcome
    tokens: float
    cut: bool
    elastic: bool
    low: int
    high: int
    best_budget: int | None
    best_tokens: float
    samples: int = 1
    right: int = 0
    reused: bool = False

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it."""
        return asdict(self) | {"outcome": self.outcome.value}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> SearchStep:
        """The step of a document that `document` made."""
        return cls(**(document | {"outcome": Outcome(document["outcome"])}))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        optimal_budget: The best budget that was tried and right; None when none beat the vanilla answer.
        optimal_tokens: Actual completion tokens under it (mean over samples); the vanilla answer's when there is none.
        vanilla_tokens: Actual completion tokens of the vanilla answer; None when it could not be had.
        possible_gain: Tokens that a further search could save at most, as far as is known; 0 when none is left.
        elastic: Lowest and highest budget tried that cost more than a larger one (token elasticity), or None.
    """

    mode: Mode
    optimal_budget: int | None
    optimal_tokens: float | None
    stop_reason: StopReason
    vanilla_tokens: float | None
    possible_gain: float
    elastic: tuple[int, int] | None
    spent: Spent

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> SearchResult:
        """The result of a document that `document` made."""
        elastic = document["elastic"]
        nested = {"elastic": tuple(elastic) if elastic else None, "spent": Spent(**document["spent"])}
        return cls(**(document | nested))


@dataclass(frozen=True, slots=True)
class SearchDone:
    """The search ended."""

    result: SearchResult


SearchEvent = ProbeEvent | SearchStep | SearchDone


async def search(
    plan: SearchPlan,
    client: Client,
    *,
    session_id: str = "",
    cache: ProbeCache | None = None,
    shared: Ledger | None = None,
) -> AsyncGenerator[SearchEvent, None]:
    """Find the optimal budget of a question; see the module's docstring.

    The last event is `SearchDone`. Closing the iterator closes the requests in flight, so that spending stops. `shared`
    keeps the limits of several searches together, beside those of the plan.

    Raises:
        InputError: The plan is wrong; nothing was sent.
        ModelError: A call failed; what was found so far has been yielded.
    """
    plan.validate()
    question = replace(plan.question, kind=infer_kind(plan.question))
    prober = Prober(
        question,
        client,
        template=plan.template,
        sampling=plan.sampling,
        session_id=session_id,
        cache=cache if plan.reuse else None,
        limits=plan.limits,
        ledger=Ledger(plan.limits, client.price, plan.sampling.max_tokens, above=shared),
        slots=plan.slots,
    )
    course = _Course(plan, prober)
    try:
        async with aclosing(course.run()) as events:
            async for event in events:
                yield event
    except LimitReachedError as e:
        course.ending = LIMITS[e.which]
    yield SearchDone(course.result())


LIMITS: dict[str, StopReason] = {"calls": "limit-calls", "tokens": "limit-tokens", "cost": "limit-cost"}


class _Course:
    """One search on its way."""

    def __init__(self, plan: SearchPlan, prober: Prober) -> None:
        self._plan, self._prober = plan, prober
        self._bounds: Bounds | None = None
        self._vanilla: float | None = None
        self._index = 0
        self.ending: StopReason = "nothing-below"

    async def run(self) -> AsyncGenerator[SearchEvent, None]:
        samples = Samples(self._plan.samples, self._plan.rule)
        async with aclosing(self._ask(samples, ProbeKey("vanilla"), "vanilla", None)) as events:
            async for event in events:
                yield event
        self._vanilla = samples.tokens
        self._bounds = bounds = Bounds(math.ceil(samples.tokens))
        bounds.best_tokens = bounds.high_tokens = samples.tokens
        yield self._step(samples, "vanilla", None)
        if not samples.passed:
            self.ending = VANILLA.get(samples.outcome, "vanilla-refused")
            return
        belief = Belief(estimate=self._plan.start, spread=self._plan.spread, ratios=self._plan.earlier)
        planner = MODES[self._plan.mode](bounds, Options(worth=self._plan.worth, belief=belief))
        want = next(planner, None)
        while want is not None:
            samples = Samples(self._plan.samples, self._plan.rule)
            async with aclosing(self._ask(samples, ProbeKey("probe", want.budget), want.phase, want.cap)) as events:
                async for event in events:
                    yield event
            tokens, was_best = samples.tokens, bounds.best_tokens
            try:
                after = planner.send(Seen(samples.passed, tokens, samples.cut))
            except StopIteration as end:
                self.ending, after = end.value, None
            yield self._step(samples, want.phase, want.budget, elastic=samples.cut or tokens > was_best)
            want = after
        if bounds.best is None and self.ending == "converged":
            self.ending = "nothing-below"

    async def _ask(
        self, samples: Samples, key: ProbeKey, phase: ProbePhase, cap: int | None
    ) -> AsyncGenerator[ProbeEvent, None]:
        # With repeats the mean decides, and one long answer does not: only a single sample may be cut.
        cap = cap if self._plan.samples == 1 else None
        while count := samples.next_batch:
            first = len(samples.calls)
            probes = [Probe(key._replace(repeat=first + i), phase, cap) for i in range(count)]
            async with aclosing(self._prober.answers(*probes)) as events:
                async for event in events:
                    if isinstance(event, ProbeFinished) and event.call.status == "done":
                        samples.calls.append(event.call)
                    yield event

    def _step(self, samples: Samples, phase: ProbePhase, budget: int | None, *, elastic: bool = False) -> SearchStep:
        bounds = self._bounds
        assert bounds is not None
        self._index += 1
        return SearchStep(
            index=self._index - 1,
            phase=phase,
            budget=budget,
            outcome=samples.outcome,
            tokens=samples.tokens,
            cut=samples.cut,
            elastic=elastic,
            low=bounds.low,
            high=bounds.high,
            best_budget=bounds.best,
            best_tokens=bounds.best_tokens,
            samples=len(samples.calls),
            right=samples.right,
            reused=samples.reused,
        )

    def result(self) -> SearchResult:
        bounds = self._bounds
        failed = self.ending in VANILLA.values()
        return SearchResult(
            mode=self._plan.mode,
            optimal_budget=bounds.best if bounds else None,
            optimal_tokens=None if bounds is None or failed else bounds.best_tokens,
            stop_reason=self.ending,
            vanilla_tokens=self._vanilla,
            possible_gain=bounds.possible_gain if bounds and not failed else 0.0,
            elastic=bounds.elastic if bounds else None,
            spent=self._prober.spent,
        )


VANILLA: dict[Outcome, StopReason] = {
    Outcome.WRONG: "vanilla-wrong",
    Outcome.TRUNCATED: "vanilla-truncated",
    Outcome.UNPARSED: "vanilla-unparsed",
    Outcome.ERROR: "vanilla-refused",
}
