"""Which wording of the budget sentence a model obeys, found by a short calibration run.

Asks a few of our own questions (never an evaluation set's) in every wording, without a budget and under each budget;
drops the worse half of the wordings after the first third of the questions; chooses by the rule in
`tale_core.wording_rule`. What was found is remembered by `tale_core.wording_memory`. Pure over the client protocol:
knows no store and no page.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import cycle
from typing import Literal, cast

from tale_core import prompts
from tale_core.datasets import shipped
from tale_core.errors import InputError, LimitReachedError, ModelError
from tale_core.grading import infer_kind, known_answer
from tale_core.i18n import t
from tale_core.probing import Limits, Probe, ProbeFinished, ProbeKey, Prober, Spent
from tale_core.spending import Ledger
from tale_core.streams import merge
from tale_core.types import CallRecord, Client, Language, Question, Sampling, Source
from tale_core.wording_memory import WordingChoice, read_choices, remember, wording_for
from tale_core.wording_rule import (
    LEAST_QUESTIONS,
    TOLERANCE,
    Answer,
    Verdict,
    WordingFigures,
    choose,
    figures,
    kept,
    reference,
)

__all__ = [
    "AnswerMeasured",
    "Calibration",
    "CalibrationPlan",
    "WordingChoice",
    "WordingEvent",
    "WordingsDropped",
    "calibrate",
    "default_questions",
    "read_choices",
    "remember",
    "wording_for",
]

QUESTIONS = 12
BUDGETS = (25, 60)
MAX_TOKENS = 600
"""Cap on an answer: these questions need a third of it, and an answer that runs away is paid for eight times."""
StopReason = Literal["calls", "tokens", "cost", "error"]


def default_questions(n: int = QUESTIONS, languages: Sequence[Language] = ("en", "zh")) -> tuple[Question, ...]:
    """Shipped questions with a whole or decimal number as answer, difficulty 1 to 3.

    Always the same: languages and difficulties take turns, so that the first third is as mixed as the whole; of those
    that fit, the first in the file whose topic was taken least.

    Raises:
        InputError: There are not so many.
    """
    left = [q for q in shipped() if _suits(q) and q.language in languages]
    if not 0 < n <= len(left):
        raise InputError(t("{n} questions were asked for.", n=n), t("Give a number from 1 to {most}.", most=len(left)))
    taken: list[Question] = []
    for turn in zip(cycle(dict.fromkeys(languages)), cycle((1, 2, 3)), strict=False):
        if len(taken) == n:
            break
        if fitting := [q for q in left if (q.language, q.difficulty) == turn]:
            best = min(fitting, key=lambda q: sum(t.topic == q.topic for t in taken))
            taken.append(best)
            left.remove(best)
    return tuple(taken)


def _suits(q: Question) -> bool:
    return q.kind == "number" and q.difficulty in (1, 2, 3) and "/" not in (q.answer or "")


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What to measure.

    Attributes:
        questions: With known answers.
        wordings: Names of `prompts.TEMPLATES`; of equals the earlier is chosen.
        budgets: Tokens; two at least, or nobody could tell whether the length follows the number.
        tolerance: Share of right answers that a budget may cost (see the rule).
        limits: Hard limits of the whole run.
        slots: Answers at the same time.
    """

    questions: tuple[Question, ...] = field(default_factory=default_questions)
    wordings: tuple[str, ...] = tuple(prompts.TEMPLATES)
    budgets: tuple[int, ...] = BUDGETS
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=MAX_TOKENS))
    tolerance: float = TOLERANCE
    limits: Limits = field(default_factory=Limits)
    slots: int = 4

    def validate(self) -> None:
        """Check everything that can be checked before anything is sent.

        Raises:
            InputError: With what is allowed.
        """
        for name in self.wordings:
            prompts.template(name)
        if not self.wordings or len(set(self.wordings)) < len(self.wordings):
            named = ", ".join(self.wordings) or t("none")
            raise InputError(t("The wordings are {names}.", names=named), t("Name one or more, each once."))
        if len(self.questions) < LEAST_QUESTIONS:
            raise InputError(
                t("{n} questions were given.", n=len(self.questions)), t("Give {least} or more.", least=LEAST_QUESTIONS)
            )
        if any(known_answer(q) is None for q in self.questions):
            raise InputError(t("A question has no known answer."), t("Right answers are counted, so each needs one."))
        if min(self.budgets, default=0) < 1 or len(set(self.budgets)) < max(2, len(self.budgets)):
            raise InputError(
                t("The budgets are {budgets}.", budgets=list(self.budgets)),
                t("Give two or more different ones, each from 1."),
            )
        if not 0 <= self.tolerance <= 1:
            raise InputError(t("The tolerance is {share:g}.", share=self.tolerance), t("Give a share from 0 to 1."))
        if self.slots < 1:
            raise InputError(t("{n} slots were given.", n=self.slots), t("Give a whole number from 1."))
        self.limits.validate()

    @property
    def first_part(self) -> int:
        """Questions after which wordings are dropped: a third, rounded up."""
        return math.ceil(len(self.questions) / 3)


@dataclass(frozen=True, slots=True)
class AnswerMeasured:
    """An answer ended. `spent` is the run's total; `planned` is how many answers the run still is to have."""

    wording: str
    question: Question
    call: CallRecord
    done: int
    planned: int
    spent: Spent


@dataclass(frozen=True, slots=True)
class WordingsDropped:
    """These wordings are not measured further."""

    wordings: tuple[str, ...]
    after: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found.

    Attributes:
        wordings: Figures of every wording, in the plan's order, the dropped ones too.
        reference: The wording whose vanilla answers the others are compared with; None when there was none.
        verdict: The choice; None when the run did not come to its end.
        spent: Every call, the dropped wordings' too.
        stopped: What ended the run before its end; `error` holds the words when a call failed.
        source: Of the answers; "simulated" when no model was behind them, None without an answer.
    """

    model: str
    endpoint: str
    plan: CalibrationPlan
    wordings: tuple[WordingFigures, ...]
    reference: str | None
    verdict: Verdict | None
    spent: Spent
    created_at: datetime
    stopped: StopReason | None = None
    error: str | None = None
    source: Source | None = None

    @property
    def finding(self) -> str:
        """The result in words."""
        if self.verdict is None:
            why = self.error or f"the limit on {self.stopped} was reached"
            return f"No wording was chosen for {self.model}: the run did not come to its end, because {why}"
        return f"Use the wording {self.verdict.wording!r} with {self.model}. {self.verdict.reason}"


WordingEvent = AnswerMeasured | WordingsDropped | Calibration


async def calibrate(plan: CalibrationPlan, client: Client) -> AsyncGenerator[WordingEvent, None]:
    """Measure the wordings; the last event is the `Calibration`.

    Closing the stream closes the requests in flight. A limit or a failing model ends the run with what was measured
    and without a choice.

    Raises:
        InputError: The plan is wrong, or a limit on money and no published price. Nothing was sent.
    """
    plan.validate()
    run = _Run(plan, client)
    questions = range(len(plan.questions))
    async with aclosing(run.measure(questions[: plan.first_part])) as events:
        async for event in events:
            yield event
    if dropped := run.drop():
        yield dropped
    async with aclosing(run.measure(questions[plan.first_part :])) as events:
        async for event in events:
            yield event
    yield run.result()


class _Seen:
    """Answers of this run by fingerprint: two wordings may share their vanilla prompt."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRecord] = {}

    async def find(self, cache_key: str) -> CallRecord | None:
        return self.calls.get(cache_key)


class _Run:
    def __init__(self, plan: CalibrationPlan, client: Client) -> None:
        self._plan, self._client, self._seen = plan, client, _Seen()
        self._questions = tuple(replace(q, kind=infer_kind(q)) for q in plan.questions)
        self._ledger = Ledger(plan.limits, client.price, plan.sampling.max_tokens)
        self._prober(0, plan.wordings[0])  # Refuses a limit on money without a price before anything is sent.
        self._answers: dict[str, list[Answer]] = {name: [] for name in plan.wordings}
        self._active = list(plan.wordings)
        self._dropped: dict[str, int] = {}
        self._vanilla_only: str | None = None
        self._done = 0
        self._planned = len(self._questions) * len(plan.wordings) * (1 + len(plan.budgets))
        self._stopped: StopReason | None = None
        self._error: str | None = None
        self._source: Source | None = None

    def measure(self, questions: Sequence[int]) -> AsyncGenerator[AnswerMeasured, None]:
        """Ask these questions in every wording that is left."""
        budgeted = [self._ask(q, name, (None, *self._plan.budgets)) for q in questions for name in self._active]
        vanilla = [self._ask(q, self._vanilla_only, (None,)) for q in questions] if self._vanilla_only else []
        return merge(*budgeted, *vanilla, at_once=self._plan.slots)

    def drop(self) -> WordingsDropped | None:
        """Halve the wordings. The reference keeps its vanilla answers: the others are compared with them."""
        if self._stopped or len(self._active) <= 1:
            return None
        found, after = self._figures(), self._plan.first_part
        self._active = kept(found, budgets=self._plan.budgets, tolerance=self._plan.tolerance, answers=self._answers)
        gone = tuple(name for name in self._plan.wordings if name not in self._active)
        if not gone:
            return None
        self._dropped = dict.fromkeys(gone, after)
        best = reference(self._answers)
        self._vanilla_only = best if best in gone else None
        left = len(self._questions) - after
        per_question = len(self._active) * (1 + len(self._plan.budgets)) + (self._vanilla_only is not None)
        self._planned = self._done + left * per_question
        return WordingsDropped(gone, after)

    def result(self) -> Calibration:
        """What was found."""
        found = self._figures()
        return Calibration(
            model=self._client.model,
            endpoint=self._client.endpoint,
            plan=self._plan,
            wordings=found,
            reference=reference(self._answers),
            verdict=None if self._stopped else choose(found),
            spent=self._ledger.spent,
            created_at=datetime.now(UTC),
            stopped=self._stopped,
            error=self._error,
            source=self._source,
        )

    def _figures(self) -> tuple[WordingFigures, ...]:
        plan = self._plan
        return figures(self._answers, budgets=plan.budgets, tolerance=plan.tolerance, dropped=self._dropped)

    def _prober(self, question: int, wording: str) -> Prober:
        return Prober(
            self._questions[question],
            self._client,
            template=wording,
            sampling=self._plan.sampling,
            cache=self._seen,
            limits=self._plan.limits,
            ledger=self._ledger,
        )

    async def _ask(
        self, question: int, wording: str, budgets: Sequence[int | None]
    ) -> AsyncGenerator[AnswerMeasured, None]:
        """One question in one wording. A limit or a failure lets the answers in flight end, so that they are booked."""
        prober = self._prober(question, wording)
        for budget in budgets:
            if self._stopped:
                return
            probe = Probe(ProbeKey("vanilla" if budget is None else "probe", budget), "sweep")
            try:
                async with aclosing(prober.answers(probe)) as events:
                    async for event in events:
                        if isinstance(event, ProbeFinished):
                            yield self._measured(question, wording, event.call)
            except LimitReachedError as e:
                self._stopped = cast(StopReason, e.which)
            except ModelError as e:
                self._stopped, self._error = "error", str(e)

    def _measured(self, question: int, wording: str, call: CallRecord) -> AnswerMeasured:
        tokens, prompt = call.completion_tokens, call.prompt_tokens
        # An answer that a limit cut, or that failed, tells nothing about the wording.
        if call.status == "done" and not call.cut and tokens is not None and prompt is not None:
            answer = Answer(question, call.requested_budget, call.outcome, tokens, prompt)
            self._answers[wording].append(answer)
            self._done += 1
            if call.source != "cached":
                self._source = call.source
                self._seen.calls[call.cache_key or ""] = call
        where = self._questions[question]
        return AnswerMeasured(wording, where, call, self._done, self._planned, self._ledger.spent)
