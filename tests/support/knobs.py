"""A simulated model that thinks, behind an endpoint with a knob: what each level spends, and what is right, is known.

For tests and benchmarks of sweeps and searches over providers' knobs. The client makes the body that would be sent and
reads the level out of it as the endpoint would, so that a knob that is sent at the wrong place has no effect.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tale_core.models.client import params
from tale_core.models.endpoints import Endpoint
from tale_core.models.testing.scripted import count
from tale_core.models.testing.simulated import requested_budget
from tale_core.types import Completion, Delta, Level, Price, Request, Usage


class Spending(NamedTuple):
    """What one answer takes, and whether it is right."""

    thinking: int
    visible: int
    right: bool = True

    @property
    def tokens(self) -> int:
        """All of it."""
        return self.thinking + self.visible


@dataclass(frozen=True, slots=True)
class ThinkingModel:
    """What a model does with one question under each level of a knob.

    Attributes:
        usual: Without a level.
        under: Under a level.
        spread: Standard deviation of the tokens from repeat to repeat, as a share of them.
    """

    usual: Spending
    under: Callable[[Level], Spending]
    spread: float = 0.0

    @classmethod
    def of_words(cls, levels: Mapping[str, Spending], *, usual: str, spread: float = 0.1) -> ThinkingModel:
        """One whose knob has these words; `usual` is the one that holds where none is set."""
        return cls(levels[usual], lambda level: levels[str(level)], spread)

    @classmethod
    def of_numbers(
        cls, *, usual: int = 600, visible: int = 40, right_from: int = 0, turning: int = 0, spread: float = 0.0
    ) -> ThinkingModel:
        """One that thinks nine tenths of what it may, and is right from `right_from` tokens of thinking.

        Below `turning` it thinks the less and says the more: it rebounds.
        """

        def under(level: Level) -> Spending:
            thinking = min(usual, round(0.9 * int(level)))
            return Spending(thinking, visible + 6 * max(0, turning - int(level)), thinking >= right_from)

        return cls(Spending(usual, visible), under, spread)

    def answer(self, level: Level | None, seed: int | None) -> Spending:
        """What one answer takes; the same for the same level and seed."""
        spent = self.usual if level is None else self.under(level)
        if not self.spread:
            return spent
        factor = max(0.1, random.Random(f"{seed}/{level}").gauss(1.0, self.spread))
        return Spending(round(spent.thinking * factor), max(4, round(spent.visible * factor)), spent.right)


def at(*path: str) -> Callable[[Mapping[str, Any]], Level | None]:
    """An endpoint that reads its knob at this place of a request's body."""

    def read(body: Mapping[str, Any]) -> Level | None:
        found: Any = body
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, int | str) else None

    return read


def nowhere(body: Mapping[str, Any]) -> Level | None:
    """An endpoint that takes any parameter and reads none."""
    return None


@dataclass
class KnobClient:
    """Implements `tale_core.types.Client`.

    Args:
        thinks: What the model does.
        described: The endpoint, with its knobs as they are described.
        reads: Where it finds the level in a body; the budget of a prompt's sentence where `None`.
        answer: The right answer.
        hides: The endpoint tells no thinking apart.

    Attributes:
        bodies: Every body that would have been sent.
    """

    thinks: ThinkingModel
    described: Endpoint
    reads: Callable[[Mapping[str, Any]], Level | None] | None = None
    answer: str = "42"
    hides: bool = False
    price: Price | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def model(self) -> str:
        """As described."""
        return self.described.model

    @property
    def endpoint(self) -> str:
        """As described."""
        return self.described.label

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """The answer: the thinking, then the text, cut at max_tokens."""
        started, body = time.monotonic(), params.body(request, self.described, params.Learnt())
        self.bodies.append(body)
        prompt = request.messages[-1].content
        level = requested_budget(prompt) if self.reads is None else self.reads(body)
        spent = self.thinks.answer(level, request.sampling.seed)
        end = f" [[{self.answer if spent.right else '13'}]]"
        text = " so" * max(0, spent.visible - count(end)) + end
        cap = request.sampling.max_tokens
        cut = cap is not None and spent.tokens > cap
        thinking = min(spent.thinking, cap) if cut and cap is not None else spent.thinking
        await asyncio.sleep(0)
        reasoning, text = " hm" * thinking, "" if cut else text
        yield Delta(text, reasoning)
        yield Completion(
            text=text,
            usage=Usage(
                count(prompt), cap if cut and cap is not None else spent.tokens, None if self.hides else thinking
            ),
            finish_reason="length" if cut else "stop",
            ttft_s=0.0,
            latency_s=time.monotonic() - started,
            reasoning_text="" if self.hides else reasoning,
            source="simulated",
        )

    async def count_tokens(self, text: str) -> int:
        """A word or a punctuation mark is a token."""
        return count(text)

    async def aclose(self) -> None:
        """Nothing is open."""
