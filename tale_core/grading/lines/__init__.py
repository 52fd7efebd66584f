"""Lines of assignments: an answer that names its numbers, and a calculator that works them out.

`reading` makes Python of what models write, `calculator` works it out; no code of an answer ever runs. Used where an
answer is graded (`reader`) and where it is drawn (`work_out`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tale_core.grading.extract import extract
from tale_core.grading.lines.calculator import Line, Worked, work_out
from tale_core.types import TUNED, AnswerKind, Extraction, Writes

__all__ = ["TEMPLATE", "Line", "Worked", "evaluated", "reader", "tuned_template", "work_out"]

TEMPLATE: Final = "assignments"
"""The template whose answers are worked out; calls keep its name, so that they are graded again in the same way."""
Reader = Callable[[str, AnswerKind, tuple[str, ...]], Extraction]
"""Finds the answer in a text."""


def evaluated(template: str | None) -> bool:
    """Whether answers to a prompt of this name are lines for the calculator; an adapter's says so at its end."""
    return template is not None and template.rpartition("/")[2].partition("-concise")[0] == TEMPLATE


def tuned_template(adapter: str, writes: Writes) -> str:
    """The name that the answers of an adapter are stored under; it outlives the adapter."""
    return f"{TUNED}{adapter}/{TEMPLATE}" if writes == "lines" else f"{TUNED}{adapter}"


def reader(template: str | None) -> Reader:
    """What finds the answer in a text that was written to a prompt of this name."""
    return _value if evaluated(template) else extract


def _value(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Extraction:
    value = work_out(text).answer
    return Extraction(value, "none" if value is None else "lines")
