"""TALE-EP's zero-shot estimator: ask the model itself (paper, Fig. 5; T = 0.1, seed 1024).

Its call is counted like any other: the estimate carries the completion with its tokens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from tale_core import prompts
from tale_core.estimators.base import FALLBACK_BUDGET, ParsedBudget, parse_budget
from tale_core.i18n import t
from tale_core.types import Client, Completion, Delta, Estimate, Question, Request, Sampling

SAMPLING = Sampling(temperature=0.1, seed=1024, max_tokens=1024)
"""The paper's sampling. The cap leaves room for models that reason before they answer."""


def named_budget(completion: Completion) -> ParsedBudget:
    """The budget that the model names in the estimator's call, or why it names none."""
    parsed = parse_budget(completion.text)
    if parsed.problem and completion.finish_reason == "length":
        return ParsedBudget(None, t("the model was still writing after {n} tokens", n=SAMPLING.max_tokens))
    return parsed


def fallback_words(problem: str) -> str:
    """Why there is no estimate, and what is used instead."""
    return t("{problem}; using {budget} tokens instead", problem=problem, budget=FALLBACK_BUDGET)


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """Asks the model for its own budget; falls back to FALLBACK_BUDGET, and says so, when the words hold none."""

    name: str = "zero-shot"
    asks_model: bool = True

    def request(self, question: Question) -> Request:
        """The estimator's request."""
        return Request(prompts.estimate_messages(question), SAMPLING)

    async def estimate(self, question: Question, client: Client) -> AsyncGenerator[Delta | Estimate, None]:
        """See `Estimator.estimate`."""
        async with aclosing(client.stream(self.request(question))) as stream:
            async for item in stream:
                yield self.read(item) if isinstance(item, Completion) else item

    def read(self, completion: Completion) -> Estimate:
        """The estimate in the model's answer, or the stated fallback with the reason."""
        budget, problem = named_budget(completion)
        return Estimate(
            estimator=self.name,
            budget=budget or FALLBACK_BUDGET,
            raw=completion.text,
            problem=fallback_words(problem) if problem else None,
            completion=completion,
        )
