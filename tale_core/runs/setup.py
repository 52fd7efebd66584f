"""Making TALE work for a model: the template that it obeys, searches, and an estimator learnt from them, within a cap.

How far a model is stands in what is stored: the calibration that was remembered, the searches of that template, the
estimator. So the same request goes on where it was stopped, and pays for no answer twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any, Literal, NamedTuple

from tale_core.calibration.run import (
    MAX_TOKENS,
    AnswerMeasured,
    Calibration,
    CalibrationPlan,
    calibrate,
    default_questions,
    remember,
)
from tale_core.calibration.saved import TemplateChoice, read_choices, template_for, user_file
from tale_core.calls.budget_ledger import Limits, Spent
from tale_core.calls.recorder import Recorder, failed_words
from tale_core.calls.stored_answers import StoredAnswers
from tale_core.datasets.ours import shipped
from tale_core.errors import InputError, SetupError, TaleError, TrainingError
from tale_core.estimators import saved
from tale_core.estimators.rows import MIN_ROWS, TrainingRow, middle_budget, rows_from_store
from tale_core.estimators.saved import SavedEstimator
from tale_core.experiments.create import create_experiment
from tale_core.experiments.plan import CheckedExperiment, ExperimentPlan, Unit
from tale_core.i18n import t
from tale_core.models.choice import ModelChoice
from tale_core.process import stopped_status
from tale_core.prompts.messages import TEMPLATES, TOOL_FREE
from tale_core.runs.searches import INTERRUPTION, Searches, Tally, in_order
from tale_core.search.engine import SearchPlan
from tale_core.search.view import SearchView
from tale_core.settings import get_settings
from tale_core.store import CallStore, Store, UnitRecord, new_session_id
from tale_core.types import Client, Price, Question, Sampling, Status, Usage

Stage = Literal["preparing", "template", "searches", "estimator", "ended"]
KIND = "regression"
"""Of the estimator: it reads the question alone, so that a budget costs no call."""
EXPECTED_TOKENS = 250
"""Of a vanilla answer, before this model has given one."""
PROMPT_TOKENS = 90
SHORTER = 0.7
"""Tokens of the answers that a setup asks for, as a share of a vanilla one's: most have a budget."""
CALLS_A_SEARCH = 8
WITHOUT_OPTIMUM = 1.5
"""Searches that are begun for each that finds an optimum: some questions are too hard for the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """What is to be reached, and what it may cost.

    Attributes:
        questions: To search, with known answers.
        calibration: Questions of our own that the templates are compared on.
        searches: Optimal budgets that the estimator is to learn from, earlier ones included.
        limits: On tokens and money, of this run alone. One of them has to be there.
        at_once: Answers, and searches, at the same time.
        again: Find the template anew even if it is known.
    """

    questions: tuple[Question, ...] = field(default_factory=shipped)
    calibration: int = 12
    searches: int = 30
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    at_once: int = 4
    again: bool = False

    def validate(self, price: Price | None, model: str) -> None:
        """Check everything that can be wrong before anything is spent.

        Raises:
            InputError: With what is allowed.
        """
        self.limits.check_price(price, model)
        if self.limits.max_tokens is None and self.limits.max_cost_usd is None:
            raise InputError(t("There is no cap."), t("Say how many tokens or dollars may be spent."))
        if not MIN_ROWS <= self.searches <= 10_000:
            raise InputError(
                t("{n} searches were asked for.", n=self.searches), t("Give {least} to 10,000.", least=MIN_ROWS)
            )
        if not 1 <= self.at_once <= 256:
            raise InputError(t("{n} at the same time were asked for.", n=self.at_once), t("Give 1 to 256."))
        if not any((q.answer or "").strip() for q in self.questions):
            raise InputError(t("No question has a known answer."), t("A search needs it."))
        self.calibrated(self.limits).validate()

    def calibrated(self, left: Limits) -> CalibrationPlan:
        """The calibration, within what is left of the cap."""
        cap = min(MAX_TOKENS, self.sampling.max_tokens or MAX_TOKENS)
        return CalibrationPlan(
            questions=default_questions(self.calibration), templates=TOOL_FREE, limits=left, slots=self.at_once,
            sampling=replace(self.sampling, max_tokens=cap),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far a model is.

    Attributes:
        template: What a calibration found; None before one.
        rows: Searches of that template that found an optimum.
        estimator: The one in use for model and template; None without one.
    """

    model: str
    template: TemplateChoice | None
    rows: tuple[TrainingRow, ...]
    estimator: SavedEstimator | None

    @property
    def budget(self) -> int | None:
        """The middle of the optima: one budget for all where nothing better is learnt."""
        return middle_budget(self.rows) if self.rows else None

    @property
    def use(self) -> str | None:
        """The name of what hands out a budget now; None where nothing does."""
        return KIND if self.estimator else None if self.budget is None else f"fixed:{self.budget}"

    def complete(self, plan: SetupPlan) -> bool:
        """Whether the plan has nothing left to do."""
        one = self.estimator
        return not plan.again and one is not None and (one.shipped or one.metadata.rows >= plan.searches)

    def sentences(self) -> list[str]:
        """What was found, for people: of the template, the searches, the budgets."""
        found = [t("Which prompt template this model obeys is not known yet.")]
        if self.template is not None:
            title = t(TEMPLATES[self.template.template].english_title)
            found = [t("Template: {title}. {reason}", title=title, reason=self.template.entry.reason)]
        if self.rows:
            before, after = (sum(getattr(r, n) for r in self.rows) for n in ("vanilla_tokens", "optimal_tokens"))
            found.append(
                t("{n} searches: under the best budget that was found an answer takes {percent:.0f} % fewer tokens.",
                  n=len(self.rows), percent=100 * (1 - after / before))
            )  # fmt: skip
        if self.estimator is not None:
            found.append(t("A budget for a new question: {reason}", reason=self.estimator.metadata.report.reason))
        elif self.budget is not None:
            found.append(t("One budget for all questions, the middle of what was found: {n} tokens.", n=self.budget))
        return found


class Cost(NamedTuple):
    """What is left to do will take about this; dollars are None when the price is unknown."""

    calls: int
    tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class SetupView:
    """A setup as it stands.

    Attributes:
        searches: How many are wanted in the end.
        done: Answers of the templates, or optima found; of `planned`.
        error: Why it stopped before its end, in words.
    """

    setup_id: str
    status: Status
    phase: Stage
    readiness: Readiness
    searches: int
    spent: Spent = field(default_factory=Spent)
    done: int = 0
    planned: int = 0
    error: str | None = None
    notice: str | None = None

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status == "running"


def readiness(store: Store, choice: ModelChoice) -> Readiness:
    """How far this model is.

    Raises:
        StoreError: The store cannot be read.
    """
    found = template_for(choice.model, get_settings())
    if found is None:
        return Readiness(choice.model, None, (), None)
    named = {"model": choice.model, "template": found.template}
    one = None
    with suppress(InputError):
        one = saved.find(saved.Use(KIND, **named))
    return Readiness(choice.model, found, tuple(rows_from_store(store, **named)), one)


def cost(plan: SetupPlan, at: Readiness, *, price: Price | None, vanilla: list[int]) -> Cost:
    """What is left to do takes about so much.

    Args:
        plan: What is to be reached.
        at: How far it is.
        price: Of the model.
        vanilla: Tokens of answers without a budget, as far as the model has given any.
    """
    if at.complete(plan):
        return Cost(0, 0, 0.0)
    calls = 0
    if at.template is None or plan.again:
        calibration = plan.calibrated(Limits())
        first, each = calibration.first_part, 1 + len(calibration.budgets)
        calls += each * (first * len(TOOL_FREE) + (plan.calibration - first) * -(-len(TOOL_FREE) // 2))
    rows = 0 if plan.again else len(at.rows)
    calls += round(CALLS_A_SEARCH * WITHOUT_OPTIMUM * max(0, plan.searches - rows))
    answer = round(SHORTER * (median(vanilla) if vanilla else EXPECTED_TOKENS))
    usd = None if price is None else price.cost(Usage(calls * PROMPT_TOKENS, calls * answer))
    return Cost(calls, calls * (PROMPT_TOKENS + answer), usd)


def setup_id(choice: ModelChoice) -> str:
    """The same for the same model: whoever comes back while it runs finds it."""
    return f"setup-{hashlib.sha256(f'{choice.model} {choice.endpoint}'.encode()).hexdigest()[:16]}"


class SetupRun:
    """One setup, as `tale_core.runs.runner` runs it; a failure is in the view, never raised.

    Raises:
        InputError: The plan is wrong.
    """

    def __init__(
        self,
        plan: SetupPlan,
        *,
        store: Store,
        open_client: Callable[[], Awaitable[Client]],
        choice: ModelChoice,
        on_change: Callable[[], None] = lambda: None,
        price: Price | None = None,
    ) -> None:
        plan.validate(price, choice.model)
        self.plan, self.id = plan, setup_id(choice)
        self._store, self._open_client, self._choice, self._on_change = store, open_client, choice, on_change
        self._before = Spent()
        self._view = SetupView(self.id, "running", "preparing", readiness(store, choice), plan.searches)

    def view(self) -> SetupView:
        """The picture as it stands; safe to call from any thread."""
        return self._view

    def notice(self, words: str) -> None:
        """Show what is being waited for."""
        self._set(notice=words)

    async def run(self) -> SetupView:
        """Run to the end; cancelling the task stops the spending."""
        status: Status = "failed"
        error: str | None = None
        try:
            if not self._view.readiness.complete(self.plan):
                await self._go()
            status = "done"
        except asyncio.CancelledError:
            status = stopped_status()
        except TaleError as e:
            error = str(e)
        except Exception as e:
            error = failed_words(e)
            raise
        finally:
            self._set(status=status, phase="ended", error=error, notice=None)
        return self._view

    async def _go(self) -> None:
        read_choices(user_file(get_settings()))  # A file that cannot be added to is told before anything is spent.
        if self._view.readiness.template is None or self.plan.again:
            await self._find_template()
        await self._search()
        await self._train()

    async def _find_template(self) -> None:
        """Calibrate; every answer is kept in an experiment, so that a second try knows it."""
        self._set(phase="template", done=0, planned=0)
        plan = self.plan.calibrated(self._left())
        kept = _kept(plan)
        cache = None if self.plan.again else StoredAnswers(self._store)
        recorder: Recorder[Any] = Recorder(self._store, new_session_id("experiment"), many=True)
        found: Calibration | None = None
        client: Client | None = None

        async def work() -> Status:
            nonlocal found, client
            here = {"model": self._choice.model, "endpoint": self._choice.endpoint}
            await recorder.write(
                lambda _again: create_experiment(kept, self._store, **here, experiment_id=recorder.session_id)
            )
            client = await self._open_client()
            keep = partial(_keep, recorder, kept)
            async with aclosing(calibrate(plan, client, cache=cache, keep=keep)) as events:
                async for event in events:
                    if isinstance(event, AnswerMeasured):
                        self._set(spent=event.spent, done=event.done, planned=event.planned, notice=None)
                    elif isinstance(event, Calibration):
                        found = event
            return "done" if found is not None and found.verdict is not None else "failed"

        status, error = await recorder.live(work, client=lambda: client)
        if status in ("cancelled", "interrupted"):
            raise asyncio.CancelledError
        if found is None or found.verdict is None:
            why = found.error if found is not None and found.stopped == "error" else error
            raise SetupError(why) if why else self._cap()
        self._before = self._view.spent
        await asyncio.to_thread(remember, found, get_settings())
        await self._look()

    async def _search(self) -> None:
        """Search until there are enough optima, or the cap is reached."""
        template = self._template()
        # Those of other settings too: every one of them is a row to learn from.
        known = await asyncio.to_thread(self._store.searched_questions, model=self._choice.model, template=template)
        todo, rows = in_order(self.plan.questions, known=[text for text, _ in known]), len(self._view.readiness.rows)
        wanted = self.plan.searches - rows
        self._set(phase="searches", done=rows, planned=self.plan.searches)
        if wanted <= 0 or not todo:
            return
        tally = Tally("", len(todo), rows)

        def show(view: SearchView) -> None:
            self._set(done=rows + tally.found, spent=_both(self._before, tally.spent), notice=None)

        one = SearchPlan(todo[0], template=template, sampling=self.plan.sampling, limits=self._left(max_calls=40))
        searches = Searches(
            todo, one, self._choice, self._store, tally, open_client=self._open_client, show=show, enough=wanted
        )
        await searches.run(max(1, self.plan.at_once // 2))
        await self._look()
        if tally.stopped == INTERRUPTION:
            raise asyncio.CancelledError
        if tally.stopped and tally.failed:
            raise SetupError(tally.stopped, t("The same request goes on from here."))
        if tally.stopped and len(self._view.readiness.rows) < MIN_ROWS:
            raise self._cap()

    async def _train(self) -> None:
        """Learn budgets; where nothing can be learnt, the middle of the optima is what there is."""
        self._set(phase="estimator", done=0, planned=0)
        at = self._view.readiness
        if not at.rows:
            raise SetupError(
                t("No search found a budget that works: the answers are wrong without one, or as long with one."),
                t("Give easier questions, or a larger model."),
            )
        with suppress(TrainingError):  # Too few, or all the same: one budget for all stands.
            await asyncio.to_thread(learn, at)
        await self._look()

    async def _look(self) -> None:
        self._set(readiness=await asyncio.to_thread(readiness, self._store, self._choice))

    def _template(self) -> str:
        found = self._view.readiness.template
        assert found is not None, "calibrated"
        return found.template

    def _left(self, *, max_calls: int | None = None) -> Limits:
        """What is left of the cap."""
        limits, spent = self.plan.limits, self._view.spent
        tokens = None if limits.max_tokens is None else limits.max_tokens - spent.tokens
        usd = None if limits.max_cost_usd is None else limits.max_cost_usd - (spent.cost_usd or 0.0)
        if (tokens is not None and tokens <= 0) or (usd is not None and usd <= 0):
            raise self._cap()
        return Limits(max_calls=max_calls, max_tokens=tokens, max_cost_usd=usd)

    def _cap(self) -> SetupError:
        return SetupError(t("The cap is reached."), t("The same request with another cap goes on from here."))

    def _set(self, **changes: Any) -> None:
        self._view = replace(self._view, **changes)
        self._on_change()


def _kept(plan: CalibrationPlan) -> CheckedExperiment:
    """The experiment that a calibration's answers are kept in: what was asked, as its strategies."""
    ways = ("vanilla", *(f"fixed:{budget}" for budget in plan.budgets))
    return ExperimentPlan(
        questions=plan.questions, strategies=tuple(f"{way}@{name}" for name in plan.templates for way in ways),
        dataset="templates", sampling=plan.sampling, limits=plan.limits, concurrency=plan.slots,
    ).checked()  # fmt: skip


def _keep(recorder: Recorder[Any], plan: ExperimentPlan, event: AnswerMeasured) -> None:
    """Post an answer to the writer, with the unit whose answer it is."""
    call, budget = event.call, event.call.requested_budget
    way = f"{'vanilla' if budget is None else f'fixed:{budget}'}@{event.template}"
    position = next(i for i, q in enumerate(plan.questions) if q.text == event.question.text)
    unit = Unit(position, 0, way)
    call = replace(call, id=0, session_id=recorder.session_id, unit=unit.key, step=0)
    record = UnitRecord(recorder.session_id, unit.key, position, way, 0, "done", True, budget=budget)
    kept = CallStore(recorder.store)

    def write(again: bool) -> None:
        (stored,) = kept.write([call], again=again)
        if call.status == "done" and not call.cut:
            kept.write([replace(record, answer_call_id=stored)], again=again)

    recorder.writer.do(write)


def learn(at: Readiness) -> None:
    """Train and save an estimator, unless one has learnt from as many searches."""
    from tale_core.estimators.training import train

    assert at.template is not None, "searched with it"
    if at.estimator is not None and not at.estimator.shipped and at.estimator.metadata.rows >= len(at.rows):
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    saved.save(train(KIND, at.rows, model=at.model, template=at.template.template, trained_on=now))


def _both(a: Spent, b: Spent) -> Spent:
    usd = None if a.cost_usd is None or b.cost_usd is None else a.cost_usd + b.cost_usd
    return Spent(
        a.calls + b.calls, a.prompt_tokens + b.prompt_tokens, a.completion_tokens + b.completion_tokens, usd,
        a.reused + b.reused, a.estimated or b.estimated,
    )  # fmt: skip
