"""The nouns of labelling as the store knows them. Frozen, JSON-safe values; no query and no row.

Use them from `tale_core.store`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tale_core.errors import NotFoundError
from tale_core.i18n import t
from tale_core.types import Question, SessionRecord

LabelKind = Literal["verdict", "gold", "mark", "skip"]
LabelAction = Literal["set", "import", "settle", "undo"]
Verdict = Literal["right", "wrong", "unsure"]
SETTLED = ""
"""The holder of a settled label; no annotator has this name."""
MAX_NAME = 60
MAX_GOLD = 2_000


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that somebody says.

    Attributes:
        kind: "verdict" on an answer (or "unsure" about a question), "gold" for a question, "mark" for the sentence at
            which an answer is settled, "skip" for now.
        target: The answer's key, `mark_target` of it for a mark, or the question's key for its known answer.
        value: "right", "wrong", "unsure", the known answer, or the number of the sentence from 1; None for a skip.
        settle: It decides a disagreement, and wins over what everybody said.
        replace: An earlier label of this person is changed; else it stands and the change is ignored, so that the
            second press of a key, or a tab that is behind, does nothing.
        seen: For a skip, the event of the earlier skip that was in front of this person (0: none); where another one
            stands by now, the change is ignored likewise.
    """

    annotator: str
    kind: LabelKind
    target: str
    question_key: str
    value: str | None = None
    settle: bool = False
    replace: bool = False
    seen: int = 0


class Graded(NamedTuple):
    """What the grader makes of an answer."""

    outcome: str
    extracted: str | None
    extracted_by: str | None


Grades = Mapping[tuple[str, str], Mapping[str, Graded]]
"""For a question and a known answer: the grade of every stored answer, by its key."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer to be graded."""

    key: str
    text: str
    finish_reason: str | None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class ToGrade:
    """Answers to be graded against a known answer.

    Attributes:
        question: As it was asked, with the answer it came with.
        gold: The known answer that people gave.
    """

    question_key: str
    question: Question
    gold: str
    answers: tuple[StoredAnswer, ...]


class GradesNeeded(Exception):
    """Nothing was written: these answers have to be graded first."""

    def __init__(self, wanted: Iterable[ToGrade]) -> None:
        super().__init__("answers have to be graded")
        self.wanted = tuple(wanted)


class Share(NamedTuple):
    """Right answers out of those that could be judged."""

    right: int
    n: int


class AccuracyMoved(NamedTuple):
    """What became of one strategy of one experiment."""

    session_id: str
    dataset: str
    strategy: str
    before: Share
    after: Share


@dataclass(slots=True)
class Moved:
    """What a label has moved.

    Attributes:
        events: Deeds that were written; 0 when there was nothing to do.
        answers: Stored answers whose outcome is another now.
        right: How many more of them are right now (negative: fewer).
        regraded: Stored answers that were graded against a known answer that somebody gave or took back.
        sessions: Sessions that show another outcome.
        accuracies: Strategies of experiments whose accuracy moved.
        examples: Answers that are right and whole now and were not, less those that were and are not: what
            fine-tuning chooses its rows among.
        rows: Likewise of searches that teach an estimator.
    """

    events: int = 0
    answers: int = 0
    right: int = 0
    regraded: int = 0
    sessions: int = 0
    accuracies: list[AccuracyMoved] = field(default_factory=list)
    examples: int = 0
    rows: int = 0


class Rederived(NamedTuple):
    """What a search or sweep finds now that its answers' outcomes are others."""

    result: dict[str, Any] | None
    rows: int
    """Training rows more (or less) than before."""


Rederive = Callable[[SessionRecord], Rederived]


def no_target(key: str) -> NotFoundError:
    """The error for a target that is not there."""
    return NotFoundError(
        t("There is no answer or question {key!r} to label.", key=key[:12]), t("It may have been deleted.")
    )


def resolved(said: Mapping[str, str]) -> str | None:
    """What counts: the settled label, else what everybody agrees on; None where nobody decided or people disagree."""
    if SETTLED in said:
        return said[SETTLED]
    values = set(said.values())
    return values.pop() if len(values) == 1 else None


def passing(annotator: str) -> str:
    """The holder of "not now" about a disagreement: beside what this person said. No name begins with a space."""
    return f" {annotator}"
