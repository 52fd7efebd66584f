"""TALE-EP's zero-shot estimator: ask the model itself (paper, Fig. 5; T = 0.1, seed 1024).

Its call is counted like any other: the estimate carries the completion with its tokens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from tale_core.estimators.base import FALLBACK_BUDGET, ParsedBudget, parse_budget
from tale_core.i18n import t
from tale_core.prompts import messages as prompts
from tale_core.types import Client, Completion, Delta, Estimate, FinishReason, Question, Request, Sampling

SAMPLING = Sampling(temperature=0.1, seed=1024, max_tokens=1024)
"""The paper's sampling. The cap leaves room for models that reason before they answer."""


def estimate_sampling(run: Sampling | None) -> Sampling:
    """The paper's sampling within what the run allows: no cap above the run's, and the run's effort.

    An endpoint with little room refuses a larger cap, and a model is asked with one effort throughout. The temperature
    is the paper's; an endpoint that takes one value alone says so, and the client leaves it out from then on.
    """
    if run is None:
        return SAMPLING
    caps = [cap for cap in (SAMPLING.max_tokens, run.max_tokens) if cap is not None]
    return replace(SAMPLING, max_tokens=min(caps), reasoning_effort=run.reasoning_effort)


def named_budget(text: str, finish_reason: FinishReason | None, *, tokens: int | None) -> ParsedBudget:
    """The budget that the model names in the estimator's call, or why it names none.

    Args:
        text: Its answer.
        finish_reason: Why it ended.
        tokens: How many it wrote, thinking included.
    """
    parsed = parse_budget(text)
    if parsed.problem and finish_reason == "length":
        return ParsedBudget(None, t("the model was still writing after {n} tokens", n=tokens))
    return parsed


def fallback_words(problem: str) -> str:
    """Why there is no estimate, and what is used instead."""
    return t("{problem}; using {budget} tokens instead", problem=problem, budget=FALLBACK_BUDGET)


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """Asks the model for its own budget; falls back to FALLBACK_BUDGET, and says so, when the words hold none."""

    name: str = "zero-shot"
    asks_model: bool = True

    def request(self, question: Question, run: Sampling | None = None) -> Request:
        """The estimator's request."""
        return Request(prompts.estimate_messages(question), estimate_sampling(run))

    async def estimate(
        self, question: Question, client: Client, *, run: Sampling | None = None
    ) -> AsyncGenerator[Delta | Estimate, None]:
        """See `Estimator.estimate`."""
        async with aclosing(client.stream(self.request(question, run))) as stream:
            async for item in stream:
                yield self.read(item) if isinstance(item, Completion) else item

    def read(self, completion: Completion) -> Estimate:
        """The estimate in the model's answer, or the stated fallback with the reason."""
        tokens = completion.usage.completion_tokens
        budget, problem = named_budget(completion.text, completion.finish_reason, tokens=tokens)
        return Estimate(
            estimator=self.name,
            budget=budget or FALLBACK_BUDGET,
            raw=completion.text,
            problem=fallback_words(problem) if problem else None,
            completion=completion,
        )
