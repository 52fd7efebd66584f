"""A simulated model: what it writes under every budget, and whether that is right, is known beforehand.

For tests and benchmarks of searches and sweeps, where the true optimum must be known; no endpoint is behind it and its
answers are marked "simulated". Reads the budget out of the prompt as a model does.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tale_core.models.testing.scripted import count
from tale_core.prompts import messages as prompts
from tale_core.prompts.messages import LINES, SHORT_LINES, STEPS, TOKENS, WORDS, Unit
from tale_core.types import Completion, Delta, Price, Question, Request, Usage

_LIMITS: tuple[tuple[Unit, re.Pattern[str]], ...] = (
    (TOKENS, re.compile(r"less than (\d+) tokens|少于\s*(\d+)\s*tokens")),
    (WORDS, re.compile(r"at most (\d+) words?|最多用 (\d+) 个词")),
    (STEPS, re.compile(r"at most (\d+) short steps?|最多用 (\d+) 个简短的步骤")),
    (SHORT_LINES, re.compile(r"Python[^\n]*at most (\d+) lines?|Python[^\n]*最多 (\d+) 行")),
    (LINES, re.compile(r"at most (\d+) lines?|最多 (\d+) 行")),
)
_DIRECT = tuple(
    prompts.direct_messages(Question("?", language=lang))[0].content.strip().splitlines()[-1] for lang in ("en", "zh")
)
_FILLER = " then"


class Optimum(NamedTuple):
    """The truth that a search looks for; budget None (and the vanilla answer's cost) where no budget beats vanilla."""

    budget: int | None
    cost: int


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """What a model does with one question.

    Attributes:
        vanilla: Tokens of its answer without a budget.
        cost: Tokens of its answer under a budget.
        right: Whether its answer under a budget is right.
        direct_tokens: Tokens of its answer without any explanation.
        spread: Standard deviation of the tokens from repeat to repeat, as a share of them.
        slip: How often a right answer goes wrong by chance, 0 to 1.
    """

    vanilla: int
    cost: Callable[[int], int]
    right: Callable[[int], bool]
    vanilla_right: bool = True
    direct_tokens: int = 5
    spread: float = 0.0
    slip: float = 0.0

    @classmethod
    def stated(cls, rng: random.Random) -> SimulatedModel:
        """One of a stated population: it obeys a budget, stays right down to some budget, and rebounds below another.

        V = 60 to 900 tokens; right from a budget of T = 3 to 90 % of V; it writes 90 % of the budget, at least 12
        tokens and at most V; below R = 1 to 25 % of V it writes 2 T + 4 (R - budget), at most V.
        """
        vanilla = rng.randint(60, 900)
        enough = max(1, round(vanilla * rng.uniform(0.03, 0.90)))
        turn = max(1, round(vanilla * rng.uniform(0.01, 0.25)))

        def cost(budget: int) -> int:
            if budget < turn:
                return min(vanilla, 2 * enough + 4 * (turn - budget))
            return min(vanilla, max(12, round(0.9 * budget)))

        return cls(vanilla, cost, lambda budget: budget >= enough)

    @classmethod
    def monotone(cls, *, vanilla: int = 258, right_from: int = 40) -> SimulatedModel:
        """It writes 90 % of any budget, and is right from `right_from` tokens."""
        return cls(vanilla, lambda b: min(vanilla, max(1, round(0.9 * b))), lambda b: b >= right_from)

    @classmethod
    def rebounding(cls, *, vanilla: int = 258, right_from: int = 20, turning: int = 32) -> SimulatedModel:
        """It obeys down to `turning` and writes the more the less it is asked for below that (paper, section 3)."""

        def cost(budget: int) -> int:
            obeyed = max(1, round(0.9 * max(budget, turning)))
            return min(vanilla, obeyed + 5 * max(0, turning - budget))

        return cls(vanilla, cost, lambda b: b >= right_from)

    @classmethod
    def flat(cls, *, vanilla: int = 258, right: bool = True) -> SimulatedModel:
        """It ignores every budget."""
        return cls(vanilla, lambda _: vanilla, lambda _: right, vanilla_right=right)

    def noisy(self, *, spread: float = 0.15, slip: float = 0.0) -> SimulatedModel:
        """The same model, whose tokens (and, with `slip`, right answers) vary with the request's seed."""
        return replace(self, spread=spread, slip=slip)

    def optimum(self) -> Optimum:
        """The lowest cost of a right budget below vanilla's, without noise, by trying all; the largest such budget."""
        costs = ((self.cost(b), -b) for b in range(1, self.vanilla + 1) if self.right(b))
        cost, budget = min(costs, default=(self.vanilla, 0))
        return Optimum(-budget, cost) if cost < self.vanilla else Optimum(None, self.vanilla)

    def answer(self, budget: int | None, *, direct: bool = False, seed: int | None = None) -> tuple[int, bool]:
        """Tokens of an answer, and whether it is right; the same for the same budget and seed."""
        if direct:
            tokens, right = self.direct_tokens, self.right(self.direct_tokens)
        elif budget is None:
            tokens, right = self.vanilla, self.vanilla_right
        else:
            tokens, right = self.cost(budget), self.right(budget)
        if self.spread or self.slip:
            rng = random.Random(f"{seed}/{budget}/{direct}")
            tokens = max(1, round(tokens * max(0.0, rng.gauss(1.0, self.spread))))
            right = right and rng.random() >= self.slip
        return tokens, right


@dataclass
class SimulatedClient:
    """Implements `tale_core.types.Client`.

    Args:
        curve: What it does with the question.
        answer: The right answer; it stands in brackets at the end of every right answer.
        chunk: Tokens in each piece; larger is faster.
        delay_s: Seconds before each piece.
        ignores_max_tokens: Behave as an endpoint that knows no cap.

    Attributes:
        requests: Every request, in order.
        completions: Every answer that was streamed to its end.
        open_streams: Answers being streamed now.
        most_open: The most that were streamed at the same time.
        closed_early: Answers whose consumer went away before the end.
    """

    curve: SimulatedModel
    answer: str = "42"
    model: str = "simulated"
    endpoint: str = "simulated"
    price: Price | None = None
    chunk: int = 1
    delay_s: float = 0.0
    ignores_max_tokens: bool = False
    requests: list[Request] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    open_streams: int = 0
    most_open: int = 0
    closed_early: int = 0
    closed: bool = False

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer to a request, cut at its max_tokens."""
        self.requests.append(request)
        started = time.monotonic()
        tokens = self._tokens(request)
        cap = None if self.ignores_max_tokens else request.sampling.max_tokens
        taken = tokens if cap is None else tokens[:cap]
        first: float | None = None
        finished = False
        self.open_streams += 1
        self.most_open = max(self.most_open, self.open_streams)
        try:
            for at in range(0, len(taken), self.chunk):
                # Also with no delay: a real answer lets other tasks run between its pieces.
                await asyncio.sleep(self.delay_s)
                first = first if first is not None else time.monotonic() - started
                yield Delta("".join(taken[at : at + self.chunk]))
            finished = True
        finally:
            self.open_streams -= 1
            self.closed_early += not finished
        done = Completion(
            text="".join(taken),
            usage=Usage(sum(count(m.content) for m in request.messages), len(taken), 0),
            finish_reason="length" if len(taken) < len(tokens) else "stop",
            ttft_s=first,
            latency_s=time.monotonic() - started,
            source="simulated",
        )
        self.completions.append(done)
        yield done

    async def count_tokens(self, text: str) -> int:
        """A word or a punctuation mark is a token, as in the usage of the answers."""
        return count(text)

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _tokens(self, request: Request) -> list[str]:
        prompt = request.messages[-1].content
        direct = any(sentence in prompt for sentence in _DIRECT)
        tokens, right = self.curve.answer(requested_budget(prompt), direct=direct, seed=request.sampling.seed)
        return _written(tokens, self.answer if right else _wrong(self.answer))


def requested_budget(prompt: str) -> int | None:
    """The budget in tokens that a prompt of any template and language asks for; None when it asks for none."""
    for unit, limit in _LIMITS:
        if found := limit.findall(prompt):
            return round(int("".join(found[-1])) * unit.tokens)
    return None


def _written(tokens: int, answer: str) -> list[str]:
    """Exactly so many tokens; where the brackets do not fit the bare answer ends it, where that does not fit none."""
    pieces = re.findall(r"\s*(?:\w+|[^\w\s])", answer.strip())
    for end in ([" [", "[", *pieces, "]", "]"], [" " + pieces[0], *pieces[1:]]):
        if len(end) <= tokens:
            return [_FILLER] * (tokens - len(end)) + end
    return [_FILLER] * tokens


def _wrong(answer: str) -> str:
    """Another answer of the same kind."""
    if re.fullmatch(r"[A-Z]", answer):
        return "B" if answer == "A" else "A"
    if not any(c.isdigit() for c in answer):
        return "nothing"
    return "17" if answer == "13" else "13"
