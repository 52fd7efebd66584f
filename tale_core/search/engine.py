"""The search for a question's optimal budget: the budget with the lowest actual cost that keeps the answer right.

`search` is an async iterator of events. What it tries next is decided by a mode (see
`tale_core.search.modes`): `paper` is the paper's bisection and greedy descent, `reference` the public repository's
halving, `tale` ours. Questions that vanilla gets wrong are not searched. Sources: arXiv 2412.18547, Alg. 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from tale_core.budgets.kinds import ASKED
from tale_core.calls.budget_ledger import Ledger, Spent
from tale_core.calls.cache import AnswerCache
from tale_core.calls.events import CallEvent, CallFinished
from tale_core.calls.probing import Probe, ProbeKey, Prober
from tale_core.errors import LimitReachedError
from tale_core.grading import infer_kind
from tale_core.search.expected_value import Belief
from tale_core.search.modes import MODES, Bounds, Mode, Options, Seen, ladder
from tale_core.search.plan import CheckedSearch, SearchPlan
from tale_core.search.samples import Samples
from tale_core.stats import mean_if_all
from tale_core.types import Client, Level, Outcome, ProbePhase

__all__ = ["SearchDone", "SearchEvent", "SearchPlan", "SearchResult", "SearchStep", "StopReason", "search"]

StopReason = Literal[
    "converged",
    "small-gain",
    "no-response",
    "first-failure",
    "nothing-below",
    "knob-refused",
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
        budget: The budget tried, in tokens or the provider's word; None for the vanilla answer.
        outcome: Of the samples together: correct when the rule says so, ungraded when all that could tell was cut.
        tokens: Actual completion tokens, the mean over the samples; of a cut answer a lower bound.
        cut: It was stopped because it could no longer win.
        elastic: This smaller budget cost at least as much as the best larger one: token elasticity.
        low: Lower bound after this step (tokens, exclusive; of words the place): the search goes on above it.
        high: Upper bound after this step (likewise): the best budget so far, or the vanilla answer's tokens.
        best_budget: The best budget so far, or None.
        best_tokens: Its actual tokens; the vanilla answer's while there is none.
        samples: Answers asked for.
        right: How many of them were right.
        reused: Known from earlier, not paid for now.
        visible_tokens: The part of `tokens` that is the answer itself; None when unknown of one of the samples.
        thinking_tokens: The part that is thinking, likewise.
    """

    index: int
    phase: ProbePhase
    budget: Level | None
    outcome: Outcome
    tokens: float
    cut: bool
    elastic: bool
    low: int
    high: int
    best_budget: Level | None
    best_tokens: float
    samples: int = 1
    right: int = 0
    reused: bool = False
    visible_tokens: float | None = None
    thinking_tokens: float | None = None

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
        knob: The kind of budget.
    """

    mode: Mode
    optimal_budget: Level | None
    optimal_tokens: float | None
    stop_reason: StopReason
    vanilla_tokens: float | None
    possible_gain: float
    elastic: tuple[int, int] | None
    spent: Spent
    knob: str = "asked"

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


SearchEvent = CallEvent | SearchStep | SearchDone


async def search(
    plan: CheckedSearch,
    client: Client,
    *,
    session_id: str = "",
    cache: AnswerCache | None = None,
    shared: Ledger | None = None,
) -> AsyncGenerator[SearchEvent, None]:
    """Find the optimal budget of a question; see the module's docstring.

    The last event is `SearchDone`. Closing the iterator closes the requests in flight, so that spending stops. `shared`
    keeps the limits of several searches together, beside those of the plan.

    Raises:
        InputError: A limit on money and no published price; nothing was sent.
        ModelError: A call failed; what was found so far has been yielded.
    """
    question = replace(plan.question, kind=infer_kind(plan.question))
    prober = Prober(
        question,
        client,
        template=plan.template,
        kind=plan.kind,
        sampling=plan.sampling,
        session_id=session_id,
        cache=cache if plan.reuse else None,
        limits=plan.limits,
        ledger=Ledger(plan.limits, client.price, plan.sampling.max_tokens, above=shared),
        slots=plan.slots,
    )

    def answers(*probes: Probe) -> AsyncGenerator[CallEvent, None]:
        # Words may be more than the endpoint has: those it refuses are passed over, and the vanilla answer is not.
        words = not plan.kind.NUMBERS and all(p.key.role == "probe" for p in probes)
        return prober.answers(*probes, refusals=words)

    course = Course(plan, answers)
    try:
        async with aclosing(course.run()) as events:
            async for event in events:
                yield event
    except LimitReachedError as e:
        course.ending = LIMITS[e.which]
    yield SearchDone(course.result(prober.spent))


LIMITS: dict[str, StopReason] = {"calls": "limit-calls", "tokens": "limit-tokens", "cost": "limit-cost"}


class Answers(Protocol):
    """Asks for answers; the last event of each is its `CallFinished`."""

    def __call__(self, *probes: Probe) -> AsyncGenerator[CallEvent, None]: ...


class Course:
    """One search on its way, whatever asks for the answers.

    Attributes:
        ending: Why it ended.
    """

    def __init__(self, plan: SearchPlan, answers: Answers) -> None:
        self._plan, self._answers = plan, answers
        self._bounds: Bounds | None = None
        self._vanilla: float | None = None
        self._index = 0
        self.ending: StopReason = "nothing-below"

    async def run(self) -> AsyncGenerator[SearchEvent, None]:
        """Ask, learn, ask again.

        Raises:
            LimitReachedError: A limit is reached; `result` says what was found before.
            ModelError: A call failed.
        """
        samples = Samples(self._plan.samples, self._plan.rule)
        async with aclosing(self._ask(samples, ProbeKey("vanilla"), "vanilla", None)) as events:
            async for event in events:
                yield event
        self._vanilla = samples.tokens
        self._bounds = bounds = self._start(samples.tokens)
        bounds.best_tokens = bounds.high_tokens = samples.tokens
        yield self._step(samples, "vanilla", None)
        if not samples.passed:
            self.ending = VANILLA.get(samples.outcome, "vanilla-refused")
            return
        belief = Belief(estimate=self._plan.start, spread=self._plan.spread, ratios=self._plan.earlier)
        options = Options(worth=self._plan.worth, belief=belief, greedy=self._plan.kind is ASKED)
        planner = (MODES[self._plan.mode] if self._plan.kind.NUMBERS else ladder)(bounds, options)
        want = next(planner, None)
        while want is not None:
            samples = Samples(self._plan.samples, self._plan.rule)
            level = self._level(want.budget)
            async with aclosing(self._ask(samples, ProbeKey("probe", level), want.phase, want.cap)) as events:
                async for event in events:
                    yield event
            was_best = bounds.best_tokens
            try:
                after = planner.send(self._seen(samples))
            except StopIteration as end:
                self.ending, after = end.value, None
            if not samples.calls:  # The endpoint has no such level.
                want = after
                continue
            # Words may be tried above the best one as well: only a smaller one that costs more is elastic.
            smaller = self._plan.kind.NUMBERS or want.budget < (bounds.best or 0)
            elastic = samples.cut or (smaller and samples.tokens > was_best)
            yield self._step(samples, want.phase, level, elastic=elastic)
            if any(self._plan.kind.dropped(call) for call in samples.calls):
                self.ending, bounds.best, bounds.best_tokens = "knob-refused", None, self._vanilla or 0.0
                return
            want = after
        if bounds.best is None and self.ending == "converged":
            self.ending = "nothing-below"

    def _start(self, vanilla: float) -> Bounds:
        """The bracket before anything was tried: numbers from the floor to the vanilla tokens, or the words' places."""
        plan = self._plan
        if plan.kind.NUMBERS:
            return Bounds(math.ceil(vanilla), floor=min(plan.lowest - 1, math.ceil(vanilla)))
        return Bounds(len(plan.levels) + 1)

    def _level(self, budget: int | None) -> Level | None:
        """What a mode's number stands for: itself, or the word at that place."""
        return budget if budget is None or self._plan.kind.NUMBERS else self._plan.levels[budget - 1]

    def _seen(self, samples: Samples) -> Seen:
        """What the answers under one level tell a mode."""
        if not samples.calls:
            return Seen(False, math.inf, refused=True)
        asked = self._plan.kind is ASKED
        held = None if asked else mean_if_all(self._plan.kind.held(call) for call in samples.calls)
        return Seen(samples.passed, samples.tokens, samples.cut, held)

    async def _ask(
        self, samples: Samples, key: ProbeKey, phase: ProbePhase, cap: int | None
    ) -> AsyncGenerator[CallEvent, None]:
        # With repeats the mean decides, and one long answer does not: only a single sample may be cut.
        cap = cap if self._plan.samples == 1 else None
        while count := samples.next_batch:
            first = len(samples.calls)
            probes = [Probe(key._replace(repeat=first + i), phase, cap) for i in range(count)]
            async with aclosing(self._answers(*probes)) as events:
                async for event in events:
                    if isinstance(event, CallFinished) and event.call.status == "done":
                        samples.calls.append(event.call)
                    yield event
            if len(samples.calls) == first:
                return

    def _step(self, samples: Samples, phase: ProbePhase, budget: Level | None, *, elastic: bool = False) -> SearchStep:
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
            best_budget=self._level(bounds.best),
            best_tokens=bounds.best_tokens,
            samples=len(samples.calls),
            right=samples.right,
            reused=samples.reused,
            visible_tokens=mean_if_all(c.visible_tokens for c in samples.calls),
            thinking_tokens=mean_if_all(c.thinking_tokens for c in samples.calls),
        )

    def result(self, spent: Spent) -> SearchResult:
        """What was found, for what was spent."""
        bounds = self._bounds
        failed = self.ending in VANILLA.values()
        return SearchResult(
            mode=self._plan.mode,
            optimal_budget=self._level(bounds.best) if bounds else None,
            optimal_tokens=None if bounds is None or failed else bounds.best_tokens,
            stop_reason=self.ending,
            vanilla_tokens=self._vanilla,
            possible_gain=bounds.possible_gain if bounds and not failed and self._plan.kind.NUMBERS else 0.0,
            elastic=bounds.elastic if bounds else None,
            spent=spent,
            knob=self._plan.knob,
        )


VANILLA: dict[Outcome, StopReason] = {
    Outcome.WRONG: "vanilla-wrong",
    Outcome.TRUNCATED: "vanilla-truncated",
    Outcome.UNPARSED: "vanilla-unparsed",
    Outcome.ERROR: "vanilla-refused",
}
