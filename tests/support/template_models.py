"""Simulated models for calibrations: what they write depends on the template and the budget alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tale_core.calibration.run import BUDGETS
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.prompts.messages import TEMPLATES
from tale_core.types import Question, Request

VANILLA = 120


class Does(NamedTuple):
    tokens: int
    right: bool = True


Behaviour = Callable[[str, int | None], Does]
"""What it does in a template (its name) under a budget."""


def obeys(*units: str) -> Behaviour:
    """Keeps to a budget in these units, ignores every other."""

    def does(name: str, budget: int | None) -> Does:
        return Does(budget if budget is not None and TEMPLATES[name].unit.name in units else VANILLA)

    return does


def jumps(*units: str, right: bool, then: Behaviour) -> Behaviour:
    """Asked for a budget in these units it writes the bare answer; else as `then`."""

    def does(name: str, budget: int | None) -> Does:
        if budget is not None and TEMPLATES[name].unit.name in units:
            return Does(5, right)
        return then(name, budget)

    return does


def spoiled(then: Behaviour) -> Behaviour:
    """As `then`, but wrong under every budget."""
    return lambda name, budget: Does(then(name, budget).tokens, budget is None)


def model(
    behaviour: Behaviour, questions: Iterable[Question], *, budgets: tuple[int, ...] = BUDGETS, **options: object
) -> ScriptedClient:
    """A client that knows the right answers and recognises each prompt."""
    prompts: dict[str, tuple[str, int | None, Question]] = {}
    for question in questions:
        for name, template in reversed(TEMPLATES.items()):
            for budget in (None, *budgets):
                prompts[template.render(question, budget=budget)] = (name, budget, question)

    def reply(request: Request) -> Reply:
        name, budget, question = prompts[request.messages[-1].content]
        done = behaviour(name, budget)
        answer = question.answer if done.right else "123456789"
        # Brackets and a whole number are five tokens of the scripted tokenizer; a decimal has two more.
        return Reply(" then" * (done.tokens - 5) + f" [[{answer}]]")

    return ScriptedClient(reply, **options)  # type: ignore[arg-type]
