"""Which prompt template a model obeys, found by a short calibration run.

Asks a few of our own questions (never an evaluation set's) in every template, without a budget and under each budget;
drops the worse half of the templates after the first third of the questions; chooses by the rule in
`tale_core.calibration.rule`. What was found is remembered by `tale_core.calibration.saved`. Pure over the client
protocol.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tale_core.calibration.rule import (
    LEAST_QUESTIONS,
    TOLERANCE,
    Answer,
    TemplateFigures,
    Verdict,
    choose,
    figures,
    kept,
    reference,
)
from tale_core.calibration.saved import (
    FORMAT,
    SpentTokens,
    StoredChoice,
    StoredFigures,
    read_choices,
    template_for,
    user_file,
)
from tale_core.calls.budget_ledger import Ledger, Limits, Spent
from tale_core.calls.cache import AnswerCache, RecentAnswers
from tale_core.calls.events import CallFinished
from tale_core.calls.probing import Probe, ProbeKey, Prober
from tale_core.calls.streams import merge
from tale_core.datasets import shipped
from tale_core.errors import InputError, LimitReachedError, ModelError, StoreError
from tale_core.files import write_whole
from tale_core.grading import infer_kind, known_answer
from tale_core.i18n import t, to_stored
from tale_core.prompts import messages as prompts
from tale_core.prompts.messages import TEMPLATES, TOOL_FREE
from tale_core.settings import Settings
from tale_core.types import CallRecord, Client, Found, Language, Question, Sampling, Source

if TYPE_CHECKING:
    from tale_core.calibration.rule import TemplateFigures

__all__ = [
    "AnswerMeasured",
    "Calibration",
    "CalibrationEvent",
    "CalibrationPlan",
    "TemplatesDropped",
    "calibrate",
    "default_questions",
    "read_choices",
    "remember",
    "template_for",
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
        templates: Names of `prompts.TEMPLATES`; of equals the earlier is chosen.
        budgets: Tokens; two at least, or nobody could tell whether the length follows the number.
        tolerance: Share of right answers that a budget may cost (see the rule).
        limits: Hard limits of the whole run.
        slots: Answers at the same time.
    """

    questions: tuple[Question, ...] = field(default_factory=default_questions)
    templates: tuple[str, ...] = TOOL_FREE
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
        for name in self.templates:
            prompts.template(name)
        if not self.templates or len(set(self.templates)) < len(self.templates):
            named = ", ".join(self.templates) or t("none")
            raise InputError(t("The templates are {names}.", names=named), t("Name one or more, each once."))
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

    @property
    def first_part(self) -> int:
        """Questions after which templates are dropped: a third, rounded up."""
        return math.ceil(len(self.questions) / 3)


@dataclass(frozen=True, slots=True)
class AnswerMeasured:
    """An answer ended. `spent` is the run's total; `planned` is how many answers the run still is to have."""

    template: str
    question: Question
    call: CallRecord
    done: int
    planned: int
    spent: Spent


@dataclass(frozen=True, slots=True)
class TemplatesDropped:
    """These templates are not measured further."""

    templates: tuple[str, ...]
    after: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found.

    Attributes:
        templates: Figures of every template, in the plan's order, the dropped ones too.
        reference: The template whose vanilla answers the others are compared with; None when there was none.
        verdict: The choice; None when the run did not come to its end.
        spent: Every call, the dropped templates' too.
        stopped: What ended the run before its end; `error` holds the words when a call failed.
        source: Of the answers; "simulated" when no model was behind them, None without an answer.
    """

    model: str
    endpoint: str
    plan: CalibrationPlan
    templates: tuple[TemplateFigures, ...]
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
            return f"No template was chosen for {self.model}: the run did not come to its end, because {why}"
        return f"Use the template {self.verdict.template!r} with {self.model}. {self.verdict.reason}"


CalibrationEvent = AnswerMeasured | TemplatesDropped | Calibration


async def calibrate(
    plan: CalibrationPlan,
    client: Client,
    *,
    cache: AnswerCache | None = None,
    keep: Callable[[AnswerMeasured], object] = lambda event: None,
) -> AsyncGenerator[CalibrationEvent, None]:
    """Measure the templates; the last event is the `Calibration`.

    Args:
        plan: What to measure.
        client: Whom to ask.
        cache: Answers from earlier runs, which cost nothing; None knows none.
        keep: Told every answer in the moment in which it ends: a stop takes away the events that wait.

    Closing the stream closes the requests in flight. A limit or a failing model ends the run with what was measured
    and without a choice.

    Raises:
        InputError: The plan is wrong, or a limit on money and no published price. Nothing was sent.
    """
    plan.validate()
    run = _Run(plan, client, cache, keep)
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


class _Known(RecentAnswers):
    """The answers of this run, since two templates may share their vanilla prompt, and those of earlier ones."""

    def __init__(self, earlier: AnswerCache | None) -> None:
        super().__init__()
        self._earlier = earlier

    async def find(self, call: CallRecord) -> Found | None:
        """See `AnswerCache.find`."""
        found = await super().find(call)
        return found or (await self._earlier.find(call) if self._earlier is not None else None)


class _Run:
    def __init__(
        self,
        plan: CalibrationPlan,
        client: Client,
        cache: AnswerCache | None,
        keep: Callable[[AnswerMeasured], object],
    ) -> None:
        self._plan, self._client, self._keep = plan, client, keep
        self._recent = _Known(cache)
        self._questions = tuple(replace(q, kind=infer_kind(q)) for q in plan.questions)
        self._ledger = Ledger(plan.limits, client.price, plan.sampling.max_tokens)
        self._prober(0, plan.templates[0])  # Refuses a limit on money without a price before anything is sent.
        self._answers: dict[str, list[Answer]] = {name: [] for name in plan.templates}
        self._active = list(plan.templates)
        self._dropped: dict[str, int] = {}
        self._vanilla_only: str | None = None
        self._done = 0
        self._planned = len(self._questions) * len(plan.templates) * (1 + len(plan.budgets))
        self._stopped: StopReason | None = None
        self._error: str | None = None
        self._source: Source | None = None

    def measure(self, questions: Sequence[int]) -> AsyncGenerator[AnswerMeasured, None]:
        """Ask these questions in every template that is left."""
        budgeted = [self._ask(q, name, (None, *self._plan.budgets)) for q in questions for name in self._active]
        vanilla = [self._ask(q, self._vanilla_only, (None,)) for q in questions] if self._vanilla_only else []
        return merge(*budgeted, *vanilla, at_once=self._plan.slots)

    def drop(self) -> TemplatesDropped | None:
        """Halve the templates. The reference keeps its vanilla answers: the others are compared with them."""
        if self._stopped or len(self._active) <= 1:
            return None
        found, after = self._figures(), self._plan.first_part
        self._active = kept(found, budgets=self._plan.budgets, tolerance=self._plan.tolerance, answers=self._answers)
        gone = tuple(name for name in self._plan.templates if name not in self._active)
        if not gone:
            return None
        self._dropped = dict.fromkeys(gone, after)
        best = reference(self._answers)
        self._vanilla_only = best if best in gone else None
        left = len(self._questions) - after
        per_question = len(self._active) * (1 + len(self._plan.budgets)) + (self._vanilla_only is not None)
        self._planned = self._done + left * per_question
        return TemplatesDropped(gone, after)

    def result(self) -> Calibration:
        """What was found."""
        found = self._figures()
        return Calibration(
            model=self._client.model,
            endpoint=self._client.endpoint,
            plan=self._plan,
            templates=found,
            reference=reference(self._answers),
            verdict=None if self._stopped else choose(found),
            spent=self._ledger.spent,
            created_at=datetime.now(UTC),
            stopped=self._stopped,
            error=self._error,
            source=self._source,
        )

    def _figures(self) -> tuple[TemplateFigures, ...]:
        plan = self._plan
        return figures(self._answers, budgets=plan.budgets, tolerance=plan.tolerance, dropped=self._dropped)

    def _prober(self, question: int, template: str) -> Prober:
        return Prober(
            self._questions[question],
            self._client,
            template=template,
            sampling=self._plan.sampling,
            cache=self._recent,
            limits=self._plan.limits,
            ledger=self._ledger,
        )

    async def _ask(
        self, question: int, template: str, budgets: Sequence[int | None]
    ) -> AsyncGenerator[AnswerMeasured, None]:
        """One question in one template. After a limit or a failure what is in flight ends and is booked."""
        prober = self._prober(question, template)
        for budget in budgets:
            if self._stopped:
                return
            probe = Probe(ProbeKey("vanilla" if budget is None else "probe", budget), "sweep")
            try:
                async with aclosing(prober.answers(probe)) as events:
                    async for event in events:
                        if isinstance(event, CallFinished):
                            yield self._measured(question, template, event.call)
            except LimitReachedError as e:
                self._stopped = cast(StopReason, e.which)
            except ModelError as e:
                self._stopped, self._error = "error", str(e)

    def _measured(self, question: int, template: str, call: CallRecord) -> AnswerMeasured:
        tokens, prompt = call.completion_tokens, call.prompt_tokens
        # An answer that a limit cut, or that failed, tells nothing about the template.
        if call.status == "done" and not call.cut and tokens is not None and prompt is not None:
            figures = (question, call.requested_budget, call.outcome, tokens, prompt)
            answer = Answer(*figures, refused=call.refused, visible=call.visible_tokens)
            self._answers[template].append(answer)
            self._done += 1
            if call.source != "cached":
                self._source = call.source
                self._recent.keep(call)
            self._source = self._source or "cached"
        where = self._questions[question]
        measured = AnswerMeasured(template, where, call, self._done, self._planned, self._ledger.spent)
        self._keep(measured)
        return measured


def remember(calibration: Calibration, settings: Settings) -> Path:
    """Write a finished calibration into the user's file, in the place of an earlier one of the same model.

    Returns:
        The file.

    Raises:
        InputError: The calibration has no choice, or the file that is there cannot be trusted (it is left as it is).
        StoreError: The file cannot be written.
    """
    path = user_file(settings)
    models = read_choices(path) | {calibration.model: entry_of(calibration)}
    document = {"format": FORMAT, "models": {name: entry.model_dump(by_alias=True) for name, entry in models.items()}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n", private=True)
    except OSError as e:
        raise StoreError(
            t("{path} cannot be written: {why}.", path=path, why=e.strerror),
            t("Check the data folder (TALE_DATA_DIR)."),
        ) from e
    return path


def entry_of(calibration: Calibration) -> StoredChoice:
    """The entry that is remembered of a calibration.

    Raises:
        InputError: It has no choice, because it did not come to its end.
    """
    if calibration.verdict is None:
        raise InputError(t("This calibration did not come to its end."), t("Only a finished one is remembered."))
    name, spent = calibration.verdict.template, calibration.spent
    return StoredChoice(
        template=name,
        version=TEMPLATES[name].version,
        model=calibration.model,
        endpoint=calibration.endpoint,
        date=calibration.created_at.date().isoformat(),
        n=len(calibration.plan.questions),
        budgets=list(calibration.plan.budgets),
        fallback=calibration.verdict.fallback,
        reason=to_stored(calibration.verdict.reason),
        source=calibration.source,
        figures=[StoredFigures(**_stored(f)) for f in calibration.templates],
        spent=SpentTokens(
            calls=spent.calls,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            estimated=spent.estimated,
        ),
    )


def _stored(f: TemplateFigures) -> dict[str, Any]:
    under, plain = f.budgeted, f.vanilla
    return {
        "name": f.name,
        "n": under.n,
        "accuracy": under.accuracy and under.accuracy.mean,
        "tokens": under.tokens and under.tokens.mean,
        "all_in": under.all_in,
        "within": under.within,
        "curve": f.curve,
        "vanilla_n": plain.n,
        "vanilla_accuracy": plain.accuracy and plain.accuracy.mean,
        "vanilla_tokens": plain.tokens and plain.tokens.mean,
        "dropped_after": f.dropped_after,
    }
