"""Questions x strategies: what became of every answer, for a picture of single outcomes. It draws nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tale_core.calls.outcomes import TICKS, BadgeColor, outcome_kind
from tale_core.i18n import joined, t, tn
from tale_core.store import UnitFigures
from tale_core.types import Outcome, Question

MOST_ROWS = 500
"""Questions that a browser draws fluently; the first ones."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The answers of one strategy to one question, one a repeat.

    Attributes:
        sign: What stands in it; of several repeats how many of them are right.
        color: Of their outcome; grey where the repeats differ.
        words: The same in words, with the tokens.
    """

    sign: str
    color: BadgeColor
    words: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole picture.

    Attributes:
        strategies: The columns.
        questions: The text of each row, in the plan's order.
        cells: For each row a cell for each column; None where nothing was asked.
        left_out: Questions after the last row.
    """

    strategies: tuple[str, ...]
    questions: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    left_out: int


def matrix(figures: Iterable[UnitFigures], questions: Sequence[Question], strategies: Sequence[str]) -> Matrix:
    """The picture of an experiment's ended units, failed ones included.

    Args:
        figures: Of the units.
        questions: The plan's.
        strategies: The plan's.
    """
    found: dict[tuple[int, str], list[UnitFigures]] = defaultdict(list)
    for unit in figures:
        if unit.position < MOST_ROWS:
            found[unit.position, unit.strategy].append(unit)
    shown = questions[:MOST_ROWS]
    cells = tuple(
        tuple(_cell(units) if (units := found.get((at, name))) else None for name in strategies)
        for at in range(len(shown))
    )
    texts = tuple(" ".join(question.text.split()) for question in shown)
    return Matrix(tuple(strategies), texts, cells, len(questions) - len(shown))


def _cell(units: list[UnitFigures]) -> Cell:
    kinds = [outcome_kind(_outcome(unit), refused=unit.refused) for unit in units]
    counted = [unit.output_tokens for unit in units if unit.output_tokens is not None]
    tokens = tn("{n} token", "{n} tokens", round(sum(counted) / len(counted))) if counted else ""
    color: BadgeColor = kinds[0].color if len(set(kinds)) == 1 else "gray"
    if len(units) == 1:
        sign = TICKS.get(_outcome(units[0]), kinds[0].sign)
        return Cell(sign, color, t(", ").join([t(kinds[0].label), *([tokens] if tokens else [])]))
    right = sum(_outcome(unit) is Outcome.CORRECT for unit in units)
    words = t("{right} of {n} right", right=right, n=len(units))
    mean = t("{tokens} on average", tokens=tokens) if tokens else ""
    return Cell(f"{right}/{len(units)}", color, joined(words, mean and f"({mean})"))


def _outcome(unit: UnitFigures) -> Outcome:
    return Outcome.ERROR if unit.outcome is None else unit.outcome
