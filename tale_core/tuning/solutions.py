"""Worked solutions of a data set as answers to learn from, written the way that a brief model should answer.

Where a model's own short answers are too often wrong, the solutions that came with the questions are short and right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tale_core.datasets import Loaded
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.models import tokens
from tale_core.store import StoredAnswer
from tale_core.tuning.examples import leak_key, may_be_rejected
from tale_core.types import Outcome, Question

TEMPLATE = "solution"
"""What an example names as its template when no model wrote its answer."""
_CALCULATOR = re.compile(r"<<[^<>]*>>")


def target(solution: str, answer: str) -> str:
    """A solution as an answer: without GSM8K's marks for a calculator, the final answer in double brackets at its end.

    Args:
        solution: Without the final answer.
        answer: The known one.
    """
    lines = (" ".join(line.split()) for line in _CALCULATOR.sub("", solution).splitlines())
    return "\n".join((*filter(None, lines), f"[[{answer}]]"))


def require(loaded: Loaded) -> None:
    """Check that a data set has worked solutions.

    Raises:
        InputError: It has none.
    """
    if not loaded.solutions:
        raise InputError(
            t("The answers of {set} have no worked solutions.", set=loaded.name),
            t("A solution stands in the answer, before ####: “2 + 3 = 5 pens. #### 5”."),
        )


def answers(
    questions: Sequence[Question], solutions: Mapping[str, str], stored: Iterable[StoredAnswer] = ()
) -> list[StoredAnswer]:
    """What `examples.build` takes: each solution as the one right answer of its question.

    Args:
        questions: Of a data set.
        solutions: Id of a question -> its worked solution.
        stored: The model's own answers. Of the same questions those that a preference may reject are kept; its right
            ones are not, because the solutions are to be learnt.
    """
    solved = [q for q in questions if q.answer is not None and solutions.get(str(q.id))]
    keys = {leak_key(q) for q in solved}
    rejected = [a for a in stored if may_be_rejected(a) and leak_key(a.question) in keys]
    return [*rejected, *(_right(q, target(solutions[str(q.id)], str(q.answer))) for q in solved)]


def _right(question: Question, text: str) -> StoredAnswer:
    return StoredAnswer(
        question, text, tokens.count(text), Outcome.CORRECT, whole=True, vanilla=False, template=TEMPLATE, budget=None,
        optimum=None, temperature=0.0, session_id="", kind="solution",
    )  # fmt: skip
