"""What to try next: the search modes as generators that are sent what the last budget told.

A mode works on numbers alone (budgets, tokens, right or not): no client, no question, no grading. So it can be worked
by hand, replayed, and run on thousands of simulated questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tale_core.search.expected_value import Belief, worthwhile
from tale_core.types import ProbePhase

Mode = Literal["tale", "paper", "reference"]
Ending = Literal["converged", "small-gain", "no-response", "first-failure"]
OVERSHOOT = 1.5
"""Actual tokens over the budget from which an answer is taken for one of the elastic region."""
STEPS = 32
"""A step upwards is this part of the budget."""
TIE = 1.15
"""A level that costs up to this factor of a larger one is taken to cost the same: what is below it may cost less."""


class Want(NamedTuple):
    """A budget to try.

    Attributes:
        budget: In tokens; of words the place among them, from 1.
        cap: Tokens at which an answer can no longer win and may be cut; None wants it whole.
    """

    budget: int
    phase: ProbePhase
    cap: int | None = None


class Seen(NamedTuple):
    """What a budget told; `tokens` of a cut answer is a lower bound, and `right` is then False: unknown.

    Attributes:
        held: The tokens that the budget limits, where that is not all of them (a limit on thinking); else None.
        refused: The endpoint has no such level.
    """

    right: bool
    tokens: float
    cut: bool = False
    held: float | None = None
    refused: bool = False


@dataclass(slots=True)
class Bounds:
    """The bracket and the best so far. A budget becomes the best only when its answer was right and cost less.

    Attributes:
        vanilla: Tokens of the vanilla answer.
        low: The search goes on above it: a budget that failed or cost more, or 0.
        low_tokens: Actual tokens at `low`; None when they say nothing about the bracket (the elastic region).
        high: The search goes on below it: a budget that worked, or the vanilla answer's tokens.
        high_tokens: Actual tokens at `high`.
        best: The best budget, tried and right; None while there is none.
        best_tokens: Its actual tokens; the vanilla answer's while there is none.
        elastic: Lowest and highest budget that cost more than a larger one.
        tried: Every budget asked for.
        response: A budget has made the answer shorter than vanilla.
        floor: The largest budget that is too small for the endpoint; 0 where there is no such.
    """

    vanilla: int
    low: int = 0
    low_tokens: float | None = 0.0
    high: int = 0
    high_tokens: float = 0.0
    best: int | None = None
    best_tokens: float = 0.0
    elastic: tuple[int, int] | None = None
    tried: set[int] = field(default_factory=set)
    response: bool = False
    floor: int = 0

    def __post_init__(self) -> None:
        self.low = self.floor
        self.high, self.high_tokens, self.best_tokens = self.vanilla, float(self.vanilla), float(self.vanilla)

    def take(self, budget: int, seen: Seen, *, ties: bool = False, wary: bool = False) -> bool:
        """Learn from an answer to a budget inside the bracket; True when the budget is the new best.

        Args:
            budget: Below the best one.
            seen: What it told.
            ties: Accept a smaller budget that costs just as much.
            wary: An answer far over its budget is taken for a sign of elasticity: the search goes on above it, though
                it is the best so far.
        """
        self.tried.add(budget)
        self.response |= seen.tokens < self.vanilla and not seen.cut
        known = seen.right and not seen.cut
        if known and (seen.tokens < self.best_tokens or (ties and seen.tokens == self.best_tokens)):
            self.best, self.best_tokens = budget, seen.tokens
            if wary and (seen.tokens if seen.held is None else seen.held) > OVERSHOOT * budget:
                self._note_elastic(budget)
                self.low, self.low_tokens = budget, None
            else:
                self.high, self.high_tokens = budget, seen.tokens
            return True
        if known and self.best is not None and budget > self.best:
            self.high, self.high_tokens = budget, seen.tokens  # It costs more than the best one below it.
            return False
        costlier = seen.cut or seen.tokens > self.best_tokens
        if costlier:
            self._note_elastic(budget)
        if budget > self.low:
            self.low, self.low_tokens = budget, None if costlier else seen.tokens
        return False

    def _note_elastic(self, budget: int) -> None:
        low, high = self.elastic or (budget, budget)
        self.elastic = (min(low, budget), max(high, budget))

    @property
    def cap(self) -> int:
        """Tokens at which an answer can no longer win."""
        return max(1, math.ceil(self.best_tokens))

    def cost(self, budget: float) -> float:
        """Expected actual tokens under a budget of the bracket: between what its two ends cost."""
        if self.low_tokens is None or self.high == self.low:
            return self.high_tokens / self.high * budget
        at = (budget - self.low) / (self.high - self.low)
        return self.low_tokens + at * (self.high_tokens - self.low_tokens)

    @property
    def possible_gain(self) -> float:
        """Tokens that a budget still in the bracket could save at most, as far as the ends tell."""
        return max(0.0, self.best_tokens - self.cost(self.low + 1)) if self.high - self.low > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a mode may be told; only `tale` listens.

    Attributes:
        worth: See `tale_core.search.expected_value.worthwhile`.
        belief: Where the optimum is likely to be; with an estimate the search starts there.
        greedy: Lower the best budget to what its answer cost. Where a budget is kept to and not asked for, that tells
            nothing; there the best one is raised instead, as long as that makes it cheaper.
    """

    worth: float = 20.0
    belief: Belief = field(default_factory=Belief)
    greedy: bool = True


Planner = Generator[Want, Seen, Ending]
Make = Callable[[Bounds, Options], Planner]


def reference(bounds: Bounds, options: Options) -> Planner:
    """The public repository's: halve while the answer is right and cheaper, stop at the first failure."""
    budget = bounds.vanilla // 2
    while budget > bounds.floor:
        if not bounds.take(budget, (yield Want(budget, "bisect"))):
            return "first-failure"
        budget //= 2
    return "converged"


def paper(bounds: Bounds, options: Options) -> Planner:
    """The paper's: bisection to the end on both sides (Alg. 1) with token elasticity, then greedy descent (Alg. 2)."""
    while bounds.high - bounds.low > 1:
        budget = (bounds.low + bounds.high) // 2
        bounds.take(budget, (yield Want(budget, "bisect")), ties=True)
    if options.greedy:
        yield from _descend(bounds, floor=bounds.floor, cut=False)
    return "converged"


def _descend(bounds: Bounds, *, floor: int, cut: bool) -> Generator[Want, Seen, None]:
    """Lower the best budget to what its answer really cost, while it stays right and that cost falls."""
    for _ in range(bounds.vanilla.bit_length()):  # A cost that falls token by token must not make calls without end.
        if bounds.best is None:
            return
        budget = min(bounds.best - 1, int(bounds.best_tokens))
        if budget <= floor or budget in bounds.tried:
            return
        if not bounds.take(budget, (yield Want(budget, "greedy", bounds.cap if cut else None))):
            return


def tale(bounds: Bounds, options: Options) -> Planner:
    """Ours: halve to the first failure, then try what pays, cutting every answer that can no longer win.

    The halving contains every budget that `reference` tries, so the result never costs more than its. With an estimate
    the search starts there instead. A model that does not react to two budgets is not asked for a third.
    """
    estimate = options.belief.estimate
    if estimate is None:
        yield from _halve(bounds)
    free = 0 if estimate is None else 3
    while bounds.high - bounds.low > 1:
        if len(bounds.tried) >= 2 and not bounds.response:
            return "no-response"
        budget = _first(estimate, bounds) if estimate and not bounds.tried else _next(bounds, options)
        if budget is None:
            if not options.greedy:
                yield from _climb(bounds)
            return "small-gain"
        if free <= 0:
            budget = _inner_third(budget, bounds)
        free -= 1
        bounds.take(budget, (yield Want(budget, "bisect", bounds.cap)), wary=True)
    if options.greedy:
        yield from _descend(bounds, floor=bounds.low, cut=True)
    return "converged"


def _climb(bounds: Bounds) -> Generator[Want, Seen, None]:
    """Raise the best budget in small steps while that makes it cheaper: it may lie just below the turning point.

    Only where a smaller budget has cost more.
    """
    while bounds.best is not None and bounds.elastic is not None:
        at = bounds.best + max(1, bounds.best // STEPS)
        if at >= bounds.vanilla or at in bounds.tried or not bounds.take(at, (yield Want(at, "greedy", bounds.cap))):
            return


def ladder(bounds: Bounds, options: Options) -> Planner:
    """Levels that are words, in the order in which they should cost less: bisected, with ties to the cheaper one.

    What they really cost may follow another order. A level that costs clearly more than a larger one is a rebound: the
    search goes on above it. At the end the neighbours of the cheapest right one are tried, until none costs less; and
    all others where what was measured contradicts the order of the names, which then says nothing about them either.
    """
    rungs, right = list(range(1, bounds.high)), {0: math.inf}
    measured: dict[int, float] = {}

    def take(at: int, seen: Seen) -> bool:
        bounds.tried.add(at)
        if seen.refused:
            rungs.remove(at)
            return False
        measured[at] = seen.tokens
        if seen.right:
            right[at] = seen.tokens
            if seen.tokens < bounds.best_tokens:
                bounds.best, bounds.best_tokens = at, seen.tokens
        return at in right

    while open_ := [at for at in rungs if bounds.low < at < bounds.high]:
        at = open_[(len(open_) - 1) // 2]
        dearest = right.get(bounds.high, math.inf)
        if take(at, (yield Want(at, "bisect"))) and right[at] <= TIE * dearest:
            bounds.high = at
        elif at in rungs:
            bounds.low = at
    while (near := _neighbour(rungs, bounds.tried, min(right, key=lambda at: (right[at], at)))) is not None:
        take(near, (yield Want(near, "greedy")))
    while _out_of_order(measured) and (rest := [at for at in rungs if at not in bounds.tried]):
        take(rest[0], (yield Want(rest[0], "greedy")))
    return "converged"


def _out_of_order(measured: dict[int, float]) -> bool:
    """A level costs clearly more than a larger one."""
    return any(measured[low] > TIE * measured[high] for low in measured for high in measured if low < high)


def _neighbour(rungs: list[int], tried: set[int], best: int) -> int | None:
    """The level next to the best one that nobody has tried; the lower one first."""
    if best not in rungs:
        return None
    place = rungs.index(best)
    return next((at for at in rungs[max(0, place - 1) : place + 2] if at not in tried), None)


def _first(estimate: float, bounds: Bounds) -> int:
    return min(max(bounds.low + 1, round(estimate)), bounds.vanilla - 1)


def _next(bounds: Bounds, options: Options) -> int | None:
    # The best answer overshot its budget: it is right here, so what is sought is where the model begins to comply, and
    # a budget as large as the best answer's tokens cannot win.
    overshot = bounds.best == bounds.low
    high = min(bounds.high, max(bounds.cap, bounds.low + 1)) if overshot else bounds.high
    return worthwhile(
        bounds.low,
        high,
        cost=bounds.cost,
        best=bounds.best_tokens,
        vanilla=bounds.vanilla,
        belief=Belief(logarithmic=True) if overshot else options.belief,
        worth=options.worth,
    )


def _halve(bounds: Bounds) -> Generator[Want, Seen, None]:
    budget = bounds.vanilla // 2
    while budget > bounds.floor:
        if not bounds.take(budget, (yield Want(budget, "bisect", bounds.cap))):
            return
        budget //= 2


def _inner_third(budget: int, bounds: Bounds) -> int:
    """Keep a probe in the middle third of the bracket, so that the number of calls stays logarithmic."""
    third = (bounds.high - bounds.low) // 3
    return min(max(budget, bounds.low + max(1, third)), bounds.high - max(1, third))


MODES: dict[str, Make] = {"tale": tale, "paper": paper, "reference": reference}
