"""Grading in an event loop: at once where it is quick, in a thread where it may take time."""

from __future__ import annotations

import threading

import pytest

from tale_core import grading
from tale_core.grading import compare, grade, graded
from tale_core.grading.expressions import WouldWaitError, at_once, math_equal
from tale_core.types import Outcome, Question

NUMBER = Question("What is 6 times 7?", answer="42", kind="number")
SURD = Question("How long is the diagonal?", answer="\\sqrt{8}", kind="number")


@pytest.fixture
def where(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The thread of each time something was graded."""
    threads: list[str] = []

    def noted(text: str, question: Question, **told: object) -> object:
        threads.append("loop" if threading.current_thread() is threading.main_thread() else "other")
        return grade(text, question, **told)  # type: ignore[arg-type]

    monkeypatch.setattr(grading, "grade", noted)
    return threads


@pytest.mark.parametrize(("text", "outcome"), [("[[42]]", Outcome.CORRECT), ("[[41]]", Outcome.WRONG)])
async def test_a_number_is_compared_at_once(text: str, outcome: Outcome, where: list[str]) -> None:
    assert (await graded(text, NUMBER, finish_reason="stop")).outcome is outcome
    assert where == ["loop"]


async def test_expressions_that_ask_another_process_are_compared_in_a_thread(
    where: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tale_core.grading.expressions.shared_checker.same", lambda gold, given: True)
    assert (await graded("[[2\\sqrt{2}]]", SURD, finish_reason="stop")).outcome is Outcome.CORRECT
    assert where == ["loop", "other"]


async def test_a_long_answer_is_graded_in_a_thread(where: list[str]) -> None:
    assert (await graded("word " * 1000 + "[[42]]", NUMBER, finish_reason="stop")).outcome is Outcome.CORRECT
    assert where == ["other"]


def test_outside_of_such_a_block_the_process_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tale_core.grading.expressions.shared_checker.same", lambda gold, given: True)
    with at_once(), pytest.raises(WouldWaitError):
        compare.math_equal("\\sqrt{8}", "2\\sqrt{2}")
    assert math_equal("\\sqrt{8}", "2\\sqrt{2}") is True
