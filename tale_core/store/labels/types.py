"""The nouns of labelling as the store knows them. Frozen, JSON-safe values; no query and no row.

Use them from `tale_core.store`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tale_core.errors import NotFoundError
from tale_core.i18n import t
from tale_core.store.labels.keys import MARK, mark_target
from tale_core.types import CallRecord, Outcome, Question, SessionRecord

LabelKind = Literal["verdict", "gold", "mark", "skip"]
LabelAction = Literal["set", "import", "settle", "undo"]
Verdict = Literal["right", "wrong", "unsure"]
QueueKind = Literal["answers", "questions", "settle"]
AnswerGroup = Literal["doubtful", "disagree", "all"]
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


class Came(NamedTuple):
    """What came or went without anybody's saying anything here.

    Attributes:
        sessions: Sessions that came, by id.
        targets: Answers and questions about which labels came or went; others among them do no harm.
    """

    sessions: Sequence[str]
    targets: Sequence[str] = ()


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


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which queue.

    Attributes:
        kind: Answers to judge, questions without a known answer, or disagreements to settle.
        which: Of the answers: where the grader is unsure (it read nothing, fell back to the last number or took free
            text, or could not compare), where the answers to a question disagree, or all.
        models: Empty for all; likewise `outcomes` (as the grader saw them) and `topics`.
        overlap: How many people decide each answer; 0: everybody labels everything.
    """

    kind: QueueKind = "answers"
    which: AnswerGroup = "doubtful"
    models: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    overlap: int = 1


class AnnotatorLabel(NamedTuple):
    """What one person says about a target; `name` is None for a settled label."""

    name: str | None
    value: str


@dataclass(frozen=True, slots=True)
class LabelTarget:
    """What is in front of an annotator.

    Attributes:
        question: With the answer that counts as known: `gold` if people gave one, else the one it came with.
        call: One of the stored answers with this text; None for a question.
        strategy: What asked for that answer; "" for a question.
        extracted: What the grader read.
        outcome: The grader's, against the known answer that counts.
        copies: Stored answers with the very same text.
        labels: What everybody says; empty but for disagreements.
        skipped: The event by which this annotator skipped it; 0 where it was not skipped.
    """

    key: str
    kind: QueueKind
    question_key: str
    question: Question
    gold: str | None
    call: CallRecord | None = None
    strategy: str = ""
    extracted: str | None = None
    extracted_by: str | None = None
    outcome: Outcome | None = None
    copies: int = 0
    labels: tuple[AnnotatorLabel, ...] = ()
    skipped: int = 0

    @property
    def of_mark(self) -> bool:
        """It is about the sentence at which the answer is settled, which people marked differently."""
        return self.key.startswith(MARK)

    @property
    def mark_key(self) -> str:
        """What a mark on this answer is about; "" without an answer."""
        if self.of_mark or self.call is None:
            return self.key if self.of_mark else ""
        return mark_target(self.key, self.call.reasoning_text)


class QueueCounts(NamedTuple):
    """How far one annotator is: what the queue holds in all, what is left, of that skipped, and what can be undone.

    Attributes:
        undoable: Deeds that can be taken back.
        last: The event of the last of them; None when there is none.
    """

    total: int
    left: int
    skipped: int
    undoable: int
    last: int | None = None


class AnnotatorCounts(NamedTuple):
    """What one annotator has done: verdicts by kind, known answers given and sentences marked."""

    annotator: str
    name: str
    right: int
    wrong: int
    unsure: int
    golds: int
    marks: int


class ReadAnswer(NamedTuple):
    """What the grader read in the answers to a question, and how many say so."""

    extracted: str | None
    answers: int
