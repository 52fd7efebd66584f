"""The questions of the measurements: new to the server's prompt cache each time, and equally long for both sides.

Words prompts as an Ask does, so that the bare client sends the very same bodies.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from tale_core.ask.plan import AskPlan
from tale_core.grading import infer_kind
from tale_core.models.client.params import Learnt, body
from tale_core.models.endpoints import Endpoint
from tale_core.prompts import messages as prompts
from tale_core.types import Message, Question, Request, Sampling

BUDGET = 5000
"""Large enough that no model thinks of being brief."""
TEMPLATE = "plain"
"""The one that asks for no format: a model that jumps to its answer would end before the cap."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question, asked twice by an Ask: vanilla and with a budget."""

    question: Question
    tokens: int

    def plan(self, *, together: bool) -> AskPlan:
        """The Ask: a fixed budget, so that no estimator is called."""
        return AskPlan(
            question=self.question,
            estimator=f"fixed:{BUDGET}",
            template=TEMPLATE,
            sampling=Sampling(temperature=0.0, max_tokens=self.tokens),
            together=together,
        )

    def messages(self) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """What the Ask sends: vanilla, budgeted."""
        question = replace(self.question, kind=infer_kind(self.question))
        kind = question.kind or "number"
        vanilla = prompts.answer_messages(question, template_name=TEMPLATE, kind=kind)
        return vanilla, prompts.answer_messages(question, template_name=TEMPLATE, kind=kind, budget=BUDGET)

    def bodies(self, endpoint: Endpoint) -> tuple[dict[str, Any], dict[str, Any]]:
        """The two requests as JSON bodies."""
        sampling = self.plan(together=False).sampling
        vanilla, budgeted = (body(Request(m, sampling), endpoint, Learnt()) for m in self.messages())
        return vanilla, budgeted


class Cases:
    """An endless supply of questions that differ in a number of four digits near their beginning.

    Both embedded models' tokenizers take a digit for a token, so all prompts are equally long, and nothing after that
    number can come from the prompt cache.
    """

    def __init__(self, *, tokens: int, seed: int) -> None:
        self._tokens = tokens
        self._numbers = iter(random.Random(seed).sample(range(1000, 10_000), 9000))

    def next(self) -> Case:
        """A question that was not asked before."""
        text = (
            f"A school with {next(self._numbers)} pupils plans a science fair. Explain step by step how to plan it, in "
            "at least thirty numbered points of several sentences each."
        )
        return Case(Question(text, kind="text"), self._tokens)
