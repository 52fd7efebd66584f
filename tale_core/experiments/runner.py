"""`run_experiment`: questions × strategies × repeats against one model, stored call by call and resumed.

A pool of workers pulls units from an iterator, so nothing grows with their number.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tale_core.calls.budget_ledger import Ledger, Spent
from tale_core.calls.caller import Caller, RunStoppedError
from tale_core.calls.concurrency import Throttle
from tale_core.calls.events import CallFinished, RateLimited
from tale_core.calls.recorder import Recorder, failed_words, to_the_end
from tale_core.calls.retry import FATAL, RetryPolicy
from tale_core.calls.stored_answers import StoredAnswers
from tale_core.errors import InputError, LimitReachedError, ModelError, StoreError, TaleError
from tale_core.experiments.create import create_experiment
from tale_core.experiments.events import (
    ExperimentDone,
    ExperimentEvent,
    ExperimentStarted,
    Progress,
    UnitFinished,
)
from tale_core.experiments.plan import CheckedExperiment, Unit
from tale_core.experiments.results import results
from tale_core.grading import infer_kind, known_answer
from tale_core.i18n import t
from tale_core.labels import catch_up
from tale_core.process import stopped_status
from tale_core.store import CallStore, ExperimentStore, Store, UnitRecord, through_outage
from tale_core.store.answers import stored_answers
from tale_core.store.labels.keys import question_key
from tale_core.strategies import Attempt, Step, Strategy
from tale_core.strategies.several import threshold_document
from tale_core.text import seconds_left
from tale_core.types import CallRecord, Client, Outcome, Question, Sampling, Status

FAILURES_IN_A_ROW = 8
"""Units that fail one after the other, with none between that works, until the experiment stops."""

log = logging.getLogger(__name__)


async def run_experiment(
    plan: CheckedExperiment, client: Client, store: Store, *, retry: RetryPolicy | None = None, created: bool = False
) -> AsyncGenerator[ExperimentEvent, None]:
    """Run an experiment to its end; everything is stored on the way, and its last state at the end.

    A call whose answer is known (the same fingerprint: model, endpoint, prompt, sampling, repeat) is not sent again: it
    is stored for its unit with source "cached", counts in that strategy's all-in tokens with its original numbers, and
    not in what the run has spent. Closing the generator or cancelling its task stops the spending at once.

    Args:
        plan: With `resume_of` the experiment goes on where it stopped: finished calls are not repeated, failed units
            are tried again; with `only_failed` they alone.
        client: Whom to ask; best one that does not retry by itself, so that every "too many requests" is seen here.
        store: Where everything goes.
        retry: How often a call is tried again.
        created: `create_experiment` was called for this plan already.

    Yields:
        Events; the last is `ExperimentDone`.

    Raises:
        InputError: The plan is not for this model, or does not fit the experiment that it resumes.
        StoreError: The store fails: nothing more is spent.
    """
    if not created:
        plan.check_price(client.price, client.model)
        plan.check_model(client.model)
        plan = await asyncio.to_thread(create_experiment, plan, store, model=client.model, endpoint=client.endpoint)
    run = _Run(plan, client, store, retry or RetryPolicy())
    async with aclosing(run.events()) as events:
        async for event in events:
            yield event


@dataclass(slots=True)
class _UnitCaller:
    """The `QuestionCaller` of one unit."""

    run: _Run
    unit: Unit
    question: Question
    template: str
    sampling: Sampling
    knob: str
    made: int = 0

    async def sure_and_right(self, template: str) -> Sequence[tuple[float, bool]]:
        return await self.run.sure_and_right(template)

    async def call(self, step: Step) -> CallRecord:
        index = self.made
        self.made += 1
        return await self.run.call(self.unit, self.question, index, step)


class _Run:
    def __init__(self, plan: CheckedExperiment, client: Client, store: Store, retry: RetryPolicy) -> None:
        assert plan.resume_of is not None, "stored first"
        self._plan, self._client, self._store, self._retry = plan, client, store, retry
        self.id = plan.resume_of
        self._strategies: dict[str, Strategy] = plan.by_name()
        self._experiments = ExperimentStore(store)
        self._recorder: Recorder[int] = Recorder(store, self.id, at_end=catch_up, many=True)
        self._keys = itertools.count()
        self._throttle = Throttle(start=plan.start or plan.concurrency, most=plan.concurrency)
        self._ledger = Ledger(plan.limits, client.price, plan.sampling.max_tokens)
        # Bounded: a consumer that is slow slows the calls, instead of filling the memory.
        self._queue: asyncio.Queue[ExperimentEvent | BaseException | None] = asyncio.Queue(maxsize=256)
        self._finished = self._failed = self._in_a_row = self._timed = 0
        self._wanted = plan.planned
        self._stop: TaleError | None = None
        self._began = time.monotonic()
        self._caller: Caller
        self._reading, self._sure = asyncio.Lock(), dict[str, list[tuple[float, bool]]]()

    async def sure_and_right(self, template: str) -> Sequence[tuple[float, bool]]:
        """Read once, before the run's own answers could tell anything about its questions."""
        async with self._reading:
            if template not in self._sure:
                asked = {question_key(q.text, q.options) for q in self._plan.questions}
                known = await asyncio.to_thread(stored_answers, self._store, model=self._client.model)
                self._sure[template] = [
                    (one.confidence, one.outcome is Outcome.CORRECT)
                    for one in known
                    if one.confidence is not None and one.template == template
                    and one.outcome in (Outcome.CORRECT, Outcome.WRONG)
                    and question_key(one.question.text, one.question.options) not in asked
                ]  # fmt: skip
            return self._sure[template]

    async def events(self) -> AsyncGenerator[ExperimentEvent, None]:
        status: Status = "failed"
        error: str | None = None
        helpers: list[asyncio.Task[None]] = []
        try:
            units = await self._prepare()
            yield ExperimentStarted(self.id, self._plan.planned, self._finished)
            most = self._plan.concurrency
            # Half as many again: an answer that is being graded or written leaves its place to the next call.
            workers = [asyncio.create_task(self._work(units)) for _ in range(most + most // 2)]
            helpers = [*workers, asyncio.create_task(self._recorder.flush_for_ever())]
            async for event in self._from_workers(len(workers)):
                yield event
            error = self._why_not_all()
            status = "failed" if error is not None else "done" if self._finished >= self._plan.planned else "cancelled"
        except (asyncio.CancelledError, GeneratorExit):
            status = stopped_status()
            raise
        except TaleError as e:
            error = str(e)
            raise
        except Exception as e:
            log.exception("experiment %s failed unexpectedly", self.id)
            error = failed_words(e)
            raise
        finally:
            await to_the_end(self._close(helpers, status, error))
        yield self._progress()
        found = await asyncio.to_thread(through_outage, lambda _again: results(self._store, self.id))
        yield ExperimentDone(found, error)

    async def _prepare(self) -> Iterator[Unit]:
        """Take up what is stored, and check that it belongs to this model."""
        head = await asyncio.to_thread(self._experiments.head, self.id)
        if head.model != self._client.model:
            raise InputError(
                t(
                    "Experiment {id!r} was begun with the model {theirs!r}, not {mine!r}.",
                    id=self.id,
                    theirs=head.model,
                    mine=self._client.model,
                ),
                t("Choose that model, or begin a new experiment."),
            )
        self._plan.check_price(self._client.price, self._client.model)
        done: set[str] = await asyncio.to_thread(self._experiments.done_units, self.id)
        sums = await asyncio.to_thread(self._experiments.spent, self.id)
        self._finished = len(done)
        if sums.calls or sums.reused:
            self._ledger.spent = Spent(*sums)
        look_up = bool(sums.calls or sums.reused) or (
            self._plan.reuse
            and await asyncio.to_thread(
                CallStore(self._store).any_of, model=self._client.model, endpoint=self._client.endpoint
            )
        )
        stored = StoredAnswers(self._store, self.id, anywhere=self._plan.reuse, strict=True) if look_up else None
        self._caller = Caller(
            self._client,
            self._ledger,
            session_id=self.id,
            cache=stored,
            retry=self._retry,
            throttle=self._throttle,
        )
        self._began = time.monotonic()
        if not self._plan.only_failed:
            return (unit for unit in self._plan.units() if unit.key not in done)
        failed = await asyncio.to_thread(self._experiments.failed_units, self.id)
        self._wanted = len(done) + len(failed)
        return (unit for unit in self._plan.units() if unit.key in failed)

    async def call(self, unit: Unit, question: Question, index: int, step: Step) -> CallRecord:
        """The ended call, stored; see `tale_core.strategies.QuestionCaller.call`."""
        stored: CallRecord | None = None
        events = self._caller.stream(next(self._keys), step, question, repeat=unit.repeat, unit=unit.key, index=index)
        async with aclosing(events):
            async for event in events:
                stored = await self._recorder.take(event)
                if isinstance(event, RateLimited):
                    await self._queue.put(event)
                elif isinstance(event, CallFinished) and stored is not None and stored.id != event.call.id:
                    await self._queue.put(replace(event, call=stored))
        assert stored is not None, "the last event is the end of the call"
        return stored

    async def _from_workers(self, running: int) -> AsyncGenerator[ExperimentEvent, None]:
        while running:
            item = await self._queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
                if isinstance(item, UnitFinished):
                    yield self._progress()

    async def _work(self, units: Iterator[Unit]) -> None:
        """Do one unit after the other until there is none, or none may be begun any more."""
        try:
            while self._stop is None and (unit := next(units, None)) is not None:
                await self._unit(unit)
        except Exception as e:
            self._caller.stopping = True
            await self._queue.put(e)
        await self._queue.put(None)

    async def _unit(self, unit: Unit) -> None:
        question = self._plan.questions[unit.position]
        question = replace(question, kind=infer_kind(question))
        caller = _UnitCaller(self, unit, question, self._plan.template, self._plan.sampling, self._plan.knob)
        try:
            attempt = await self._strategies[unit.strategy].answer(question, caller)
        except RunStoppedError:
            return
        except LimitReachedError as e:
            self._end_early(e)
            return
        except ModelError as e:
            await self._unit_failed(unit, question, e)
            return
        self._finished += 1
        self._timed += 1
        self._in_a_row = 0
        await self._unit_ended(self._record(unit, question, attempt))

    async def _unit_failed(self, unit: Unit, question: Question, error: ModelError) -> None:
        self._failed += 1
        self._in_a_row += 1
        record = self._record(unit, question, None)
        await self._unit_ended(replace(record, status="failed", error=str(error)))
        if isinstance(error, FATAL) or self._in_a_row >= FAILURES_IN_A_ROW:
            self._end_early(error)

    async def _unit_ended(self, record: UnitRecord) -> None:
        await self._recorder.writer.put(record)
        await self._queue.put(UnitFinished(record))

    def _record(self, unit: Unit, question: Question, attempt: Attempt | None) -> UnitRecord:
        return UnitRecord(
            session_id=self.id,
            unit=unit.key,
            position=unit.position,
            strategy=unit.strategy,
            repeat_index=unit.repeat,
            status="done",
            graded=known_answer(question) is not None,
            answer_call_id=attempt.answer.id if attempt else None,
            budget=attempt.budget if attempt else None,
            problem=attempt.problem if attempt else None,
        )

    def _end_early(self, why: TaleError) -> None:
        """Begin nothing more; what is in flight is paid for and may end."""
        self._stop = self._stop or why
        self._caller.stopping = True

    def _progress(self) -> Progress:
        left = seconds_left(
            finished=self._finished + self._failed,
            planned=self._wanted,
            timed=self._timed + self._failed,
            elapsed_s=time.monotonic() - self._began,
        )
        spent = self._ledger.spent
        return Progress(self._finished, self._failed, self._wanted, spent, left, self._throttle.limit)

    def _why_not_all(self) -> str | None:
        if self._finished >= self._wanted:
            return None
        if self._stop is not None:
            return str(self._stop)
        return t(
            "{failed} of {planned} answers failed. Resume the experiment to try them again.",
            failed=self._failed,
            planned=self._plan.planned,
        )

    async def _close(self, helpers: list[asyncio.Task[None]], status: Status, error: str | None) -> None:
        """Close every stream, book what was written, write the end."""
        for task in helpers:
            task.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        with suppress(StoreError):  # What could not be written is reported where it was met first.
            for call in await self._recorder.book_stopped(self._client):
                self._ledger.book(None, call)
        found: dict[str, Any] = {"finished": self._finished, "failed": self._failed}
        found |= {"calls": self._ledger.spent.calls, "ended_at": datetime.now(UTC).isoformat()}
        if self._sure:  # Where the threshold of a cascade came from.
            found["thresholds"] = {name: threshold_document(rows) for name, rows in self._sure.items()}
        await self._recorder.end(status, error, result=found)
