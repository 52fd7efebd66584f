"""Training examples: the shortest right answers of the store, each with its question, split by question.

An example's target is a right, complete answer under the searched optimum: of a search the answer under the budget that
it found, of an experiment the cheapest right answer among the budgets and templates that it tried; where a person has
marked the sentence at which an answer is settled, also that answer up to there, closed (`tuning.data`). For DPO the
rejected answer is the vanilla one. A question is always on one side of the split alone, and a set of questions that is
kept for evaluation is never trained on.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tale_core.errors import InputError
from tale_core.grading import grade
from tale_core.grading.lines import evaluated, reader, work_out
from tale_core.i18n import t
from tale_core.settings import PROGRAM
from tale_core.types import TUNED, Outcome, Question, Writes

if TYPE_CHECKING:  # Whoever follows a training needs no database.
    from tale_core.store import StoredAnswer

Against = Literal["vanilla", "wrong"]
MORE = f"{PROGRAM} run DATASET --strategies vanilla,fixed:25,fixed:50,fixed:100 --template words"
MARKED = "mark"
"""What an example names as its template when it is an answer up to the sentence that a person marked."""
MIN_EXAMPLES = 8
"""Examples below which nothing is trained: fewer teach a format at best."""


def leak_key(question: Question) -> str:
    """Names a question, whatever its spacing, case and punctuation (32 hex digits).

    Two questions that differ in a sign alone share a key: better one example less than a leak.
    """
    text = "\n".join((question.text, *question.options))
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Rejected:
    """An answer that a preference pair rejects."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the answer to learn.

    Attributes:
        target_tokens: Output tokens of the target when the model wrote it.
        budget: Tokens that it was asked to stay under then; None for templates without a number.
        template: Template that it was asked in then; the example itself asks as `plain_messages` does.
        vanilla: The model's complete answer without a budget, where there is one; DPO rejects it.
        wrong: An answer that is brief and wrong, or an adapter's that never ended, where there is one; DPO can reject
            it too.
    """

    question: Question
    target: str
    target_tokens: int
    budget: int | None
    template: str
    session_id: str
    vanilla: Rejected | None = None
    wrong: Rejected | None = None

    @property
    def key(self) -> str:
        """Names the question, whatever its spacing and case."""
        return leak_key(self.question)

    @property
    def writes(self) -> Writes:
        """Words, or lines for the calculator."""
        return "lines" if evaluated(self.template) else "words"

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Example:
        """The example of a document that `document` made.

        Raises:
            KeyError, TypeError: It is no such document.
        """
        fields = dict(document)
        question = question_from(fields.pop("question"))
        vanilla, wrong = (Rejected(**value) if (value := fields.pop(name)) else None for name in ("vanilla", "wrong"))
        return cls(question=question, vanilla=vanilla, wrong=wrong, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which answers become examples.

    Attributes:
        per_question: Different right answers of one question, the shortest first: mixed budgets.
        least_tokens: Shorter answers are passed over: a model that jumps to the result was right by luck or by heart.
        most_tokens: Longer ones too; None takes any length below the vanilla answer's.
        held_out: Share of the questions that is kept from training, for the loss and the accuracy on unseen questions.
        sessions: Only answers of these sessions and experiments; empty means all.
    """

    per_question: int = 1
    least_tokens: int = 1
    most_tokens: int | None = None
    held_out: float = 0.15
    sessions: tuple[str, ...] = ()

    def validate(self) -> None:
        """Check the numbers.

        Raises:
            InputError: One is out of range.
        """
        if not 1 <= self.per_question <= 20:
            raise InputError(
                t("{count} answers a question were asked for.", count=self.per_question),
                t("Give 1 to 20."),
            )
        if not 0 <= self.held_out <= 0.5:
            raise InputError(
                t("A share of {share} was to be kept aside.", share=self.held_out),
                t("Give a number from 0 to 0.5."),
            )
        if self.least_tokens < 1 or (self.most_tokens is not None and self.most_tokens < self.least_tokens):
            raise InputError(
                t(
                    "Answers of {least} to {most} tokens were asked for.",
                    least=self.least_tokens,
                    most=self.most_tokens,
                ),
                t("Give the smaller number first, from 1."),
            )


class Passed(NamedTuple):
    """Why questions gave no example: counts of questions."""

    excluded: int
    without_right: int
    not_shorter: int
    outside: int


@dataclass(frozen=True, slots=True)
class Examples:
    """What there is to train on.

    Attributes:
        train: Trained on.
        held_out: Of other questions; never trained on.
        passed: Why other questions gave none.
        questions: Every question of the held-out side with a known answer, also those without an example: an accuracy
            on those alone that were answered right would flatter.
        source: The command that made them; "" where that is not known. It does not change what they teach.
    """

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    passed: Passed = field(default=Passed(0, 0, 0, 0))
    questions: tuple[Question, ...] = ()
    source: str = ""

    @property
    def fingerprint(self) -> str:
        """Which data it is: sha256 over everything that training reads."""
        lines = [json.dumps([e.document() for e in part], sort_keys=True) for part in (self.train, self.held_out)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def marked(self) -> int:
        """Examples to train on that are answers up to the sentence that a person marked."""
        return sum(e.template == MARKED for e in self.train)

    @property
    def train_keys(self) -> tuple[str, ...]:
        """The questions that are trained on: an evaluation on them would prove nothing."""
        return tuple(sorted({e.key for e in self.train}))

    @property
    def writes(self) -> Writes:
        """What an adapter that learns them writes; how it is asked and read follows from it."""
        return next((e.writes for e in (*self.train, *self.held_out)), "words")

    def require(self, *, pairs: bool = False, parent: Writes | None = None) -> None:
        """Check that there is enough to train on, and that one adapter can learn it.

        Args:
            pairs: Preferences are to be learnt.
            parent: What the adapter writes that the training goes on from; None begins anew.

        Raises:
            InputError: There is not, with what to do.
        """
        ways = {e.writes for e in (*self.train, *self.held_out)}
        if len(ways) > 1:
            raise InputError(
                t("Some of the examples are lines for the calculator, the others are words."),
                t("Train an adapter with either: it answers in one way."),
            )
        if parent is not None and ways - {parent}:
            raise InputError(
                t("The adapter to go on from writes words, and the examples are lines for the calculator.")
                if self.writes == "lines"
                else t("The adapter to go on from writes lines for the calculator, and the examples are words."),
                t("Begin anew, or sample that adapter's own answers."),
            )
        usable = [e for e in self.train if e.vanilla or e.wrong] if pairs else self.train
        if len(usable) >= MIN_EXAMPLES:
            return
        what = t("pairs of a short right answer and another one") if pairs else t("short right answers")
        raise InputError(
            t(
                "There are {count} {what}; at least {least} are needed.",
                count=len(usable),
                what=what,
                least=MIN_EXAMPLES,
            ),
            t("Search more questions, or answer a data set with several budgets: {command}.", command=MORE),
        )


def build(answers: Iterable[StoredAnswer], selection: Selection, *, exclude: Collection[str] = ()) -> Examples:
    """The examples in answers.

    Args:
        answers: Of one model, oldest first; of equals the newest counts.
        selection: Which of them.
        exclude: Keys of questions that are kept for an evaluation.
    """
    selection.validate()
    by_question: dict[str, list[StoredAnswer]] = defaultdict(list)
    for answer in answers:
        by_question[leak_key(answer.question)].append(answer)
    found: list[Example] = []
    counts = dict.fromkeys(Passed._fields, 0)
    for key in sorted(by_question):
        examples, why = ([], "excluded") if key in exclude else _of_question(by_question[key], selection)
        found += examples
        if not examples:
            counts[why] += 1
    held = {key for key in by_question if key not in exclude and is_held_out(key, selection.held_out)}
    return Examples(
        train=tuple(e for e in found if e.key not in held),
        held_out=tuple(e for e in found if e.key in held),
        passed=Passed(**counts),
        questions=tuple(q for key in sorted(held) if (q := by_question[key][-1].question).answer is not None),
    )


def is_held_out(key: str, share: float) -> bool:
    """Whether a question is kept from training; the same for ever, whatever else is in the data."""
    return int(hashlib.sha256(f"held-out {key}".encode()).hexdigest()[:8], 16) < share * 2**32


def _of_question(answers: Sequence[StoredAnswer], selection: Selection) -> tuple[list[Example], str]:
    """The examples of one question; with none, the field of `Passed` that says why."""
    vanilla = next((a for a in reversed(answers) if a.vanilla and a.whole), None)
    short = [a for a in answers if not a.vanilla and a.whole and a.optimum is not False]
    right = [a for a in short if a.outcome is Outcome.CORRECT]
    if not right:
        return [], "without_right"
    shorter = [a for a in right if vanilla is None or a.tokens < vanilla.tokens]
    if not shorter:
        return [], "not_shorter"
    most = selection.most_tokens if selection.most_tokens is not None else max(a.tokens for a in shorter)
    fits = [a for a in shorter if selection.least_tokens <= a.tokens <= most]
    distinct = {" ".join(a.text.split()): a for a in fits}
    ordered = sorted(distinct.values(), key=lambda a: (a.tokens, a.text))
    own = (a for a in ordered if a.kind != "mark" and comes_to_its_value(a))
    # A mark is somebody's work: it counts beside what the model found by itself.
    chosen = [*islice(own, selection.per_question), *(a for a in ordered if a.kind == "mark")]
    wrong = _wrong([a for a in answers if may_be_rejected(a) and not a.vanilla and a.optimum is not False])
    rejected = Rejected(vanilla.text, vanilla.tokens) if vanilla else None
    return [_example(a, rejected, wrong) for a in chosen], "outside"


def may_be_rejected(answer: StoredAnswer) -> bool:
    """Whether a preference may reject it: a vanilla answer, a wrong one, or an adapter's that never came to an end.

    A model that learnt to be brief and still runs into the cap goes round in a loop: that is no wrong answer, but what
    it has to unlearn.
    """
    if answer.vanilla or answer.whole:
        return answer.vanilla or answer.outcome is Outcome.WRONG
    return answer.outcome is Outcome.TRUNCATED and _own(answer)


def comes_to_its_value(answer: StoredAnswer | Example) -> bool:
    """Whether lines come to a value, the known one where there is one; words are as they were graded."""
    text, question = answer.target if isinstance(answer, Example) else answer.text, answer.question
    if not evaluated(answer.template):
        return True
    if question.answer is None:
        return work_out(text).answer is not None
    return grade(text, question, finish_reason="stop", read=reader(answer.template)).outcome is Outcome.CORRECT


def _own(answer: StoredAnswer) -> bool:
    return answer.template.startswith(TUNED)


def _wrong(answers: Sequence[StoredAnswer]) -> Rejected | None:
    """The longest of them: it shows its steps, so that there is something to be rejected.

    An adapter's own come first: what a training that goes on from it has to unlearn is what it says itself.
    """
    own = [a for a in answers if _own(a)]
    longest = max(own or answers, key=lambda a: (a.tokens, a.text), default=None)
    return Rejected(longest.text, longest.tokens) if longest else None


def _example(a: StoredAnswer, vanilla: Rejected | None, wrong: Rejected | None) -> Example:
    return Example(a.question, a.text.strip(), a.tokens, a.budget, a.template, a.session_id, vanilla, wrong)


class Pair(NamedTuple):
    """A preference pair."""

    example: Example
    rejected: Rejected
    against: Against


def pairs(examples: Iterable[Example], against: Sequence[Against] = ("vanilla",)) -> list[Pair]:
    """Preference pairs: the target is chosen; the vanilla answer, or a brief wrong one, is rejected."""
    found: list[Pair] = []
    for example in examples:
        both: tuple[tuple[Against, Rejected | None], ...] = (("vanilla", example.vanilla), ("wrong", example.wrong))
        found += [Pair(example, r, name) for name, r in both if name in against and r and r.text != example.target]
    return found


def question_from(fields: Mapping[str, Any]) -> Question:
    """A question that was written as JSON."""
    return Question(**dict(fields) | {"options": tuple(fields.get("options", ()))})
