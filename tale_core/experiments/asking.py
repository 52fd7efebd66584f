"""Every call of an experiment: known already or sent, cut, retried, graded, booked and stored.

The counterpart of `tale_core.probing` for many questions. Calls of one fingerprint are made once and then shared, also
between calls that are wanted at the same moment. Holds the text of calls in flight only. Knows the client protocol and
the journal; knows no strategy.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tale_core.calls import (
    begun_call,
    booked_call,
    cancelled_call,
    failed_call,
    graded_call,
    stopped_call,
)
from tale_core.errors import LimitReachedError, ModelError
from tale_core.experiments.events import CallFinished, ExperimentEvent, RateLimited
from tale_core.experiments.journal import Journal
from tale_core.experiments.known import Known
from tale_core.experiments.patience import OVERLOAD, Patience
from tale_core.experiments.plan import ExperimentPlan, Unit
from tale_core.experiments.throttle import Throttle
from tale_core.spending import Ledger, Meter, Room
from tale_core.strategies import Step
from tale_core.types import CallRecord, Client, Completion, Question, Request, Sampling

FLUSH_S = 0.5
"""Seconds between writes of a growing answer: what a kill can lose of the spend, beside the tokens in flight."""


class RunStoppedError(Exception):
    """The experiment takes no further calls; what is in flight ends by itself."""


@dataclass(slots=True)
class _Live:
    """A call in flight.

    Attributes:
        question: What was asked, once the answer is whole: it has yet to be graded and stored.
    """

    record: CallRecord
    question: Question | None = None
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    pieces: int = 0
    stored_pieces: int = 0
    saved: asyncio.Future[int] | None = None


class Asker:
    """Makes the calls of one experiment.

    Args:
        plan: What is run.
        client: Whom to ask.
        known: Answers that need not be paid for.
        journal: Where ended calls go.
        ledger: Keeps the limits.
        throttle: Decides how many calls run at the same time.
        experiment_id: Written into every record.
        patience: How often a call is tried again.
        tell: Takes events.
    """

    def __init__(
        self,
        plan: ExperimentPlan,
        client: Client,
        *,
        known: Known,
        journal: Journal,
        ledger: Ledger,
        throttle: Throttle,
        experiment_id: str,
        patience: Patience,
        tell: Callable[[ExperimentEvent], Awaitable[None]],
    ) -> None:
        self._plan, self._client, self._known, self._journal = plan, client, known, journal
        self._ledger, self._throttle, self._id, self._patience = ledger, throttle, experiment_id, patience
        self._tell = tell
        limits = plan.limits
        self._counting = limits.max_tokens is not None or limits.max_cost_usd is not None
        self._keys = itertools.count()
        self._live: dict[int, _Live] = {}
        self._flying: dict[str | None, asyncio.Future[None]] = {}
        self._answered = False
        self.stopping = False

    async def call(self, unit: Unit, question: Question, index: int, step: Step) -> CallRecord:
        """The ended call, stored; see `tale_core.strategies.Caller.call`.

        Args:
            unit: Who asks.
            question: With its kind set.
            index: The call's place in its unit, from 0.
            step: What to ask.

        Raises:
            ModelError: It failed, and trying again did not help.
            LimitReachedError: It could break a limit of the experiment.
            StoreError: It could not be stored.
            RunStoppedError: The experiment takes no further calls.
        """
        if self.stopping:
            raise RunStoppedError
        call, step = self._begun(unit, index, step)
        async with self._alone(call.cache_key):
            done = await self._reused(call, question, step) or await self._made(call, question, step)
        self._known.remember(done)
        return done

    async def flush_for_ever(self) -> None:
        """Write growing answers until cancelled; a call that ends within FLUSH_S is written once, at its end."""
        while True:
            await asyncio.sleep(FLUSH_S)
            for live in self._live.values():
                if live.record.finish_reason is None and live.pieces > live.stored_pieces:
                    self._flush(live)

    async def book_stopped(self) -> None:
        """Book the calls whose streams a stop has closed, with what they had written; a whole answer is an answer."""
        for key, live in list(self._live.items()):
            if live.question is not None:
                record = live.record if live.record.cut else await graded_call(live.record, live.question)
            else:
                text, reasoning = "".join(live.text), "".join(live.reasoning)
                record = await cancelled_call(live.record, self._client, text=text, reasoning=reasoning)
            await self._save(key, record)

    def _begun(self, unit: Unit, index: int, step: Step) -> tuple[CallRecord, Step]:
        sampling = step.request.sampling
        seed = None if sampling.seed is None else sampling.seed + unit.repeat
        step = replace(step, request=replace(step.request, sampling=replace(sampling, seed=seed)))
        call = begun_call(
            step.role,
            step.request,
            self._client,
            session_id=self._id,
            template=step.template,
            version=step.version,
            budget=step.budget,
            repeat=unit.repeat,
            phase=step.phase,
        )
        return replace(call, unit=unit.key, step=index), step

    @asynccontextmanager
    async def _alone(self, key: str | None) -> AsyncGenerator[None, None]:
        """One call of a fingerprint at a time: the second finds what the first has made."""
        while (other := self._flying.get(key)) is not None:
            await asyncio.shield(other)
        mine = self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._flying[key]
            mine.set_result(None)

    async def _reused(self, call: CallRecord, question: Question, step: Step) -> CallRecord | None:
        """This call as it was made before, or None when it has to be paid for."""
        found = await self._known.find(call, cap=step.cap, max_tokens=self._max_tokens(step.request.sampling))
        if found is None or found.own:
            return found.call if found else None
        again = self._known.again(found.call, call)
        again = again if again.cut else await graded_call(again, question)
        again = replace(again, id=await self._journal.put(again))
        self._ledger.book(None, again)
        await self._tell(CallFinished(again))
        return again

    async def _made(self, call: CallRecord, question: Question, step: Step) -> CallRecord:
        """Send the call, again where that may help."""
        prompt = 0
        if self._counting:
            prompt = await self._client.count_tokens("\n".join(m.content for m in call.messages))
            call = replace(call, prompt_tokens=prompt)
        tries, waited = 0, 0.0
        while True:
            tries += 1
            try:
                return await self._sent(call, question, step, prompt=prompt, tries=tries)
            except ModelError as e:
                failure = e
            wait = self._patience.wait_s(failure, tries=tries, waited_s=waited, answered=self._answered)
            if wait is None or self.stopping:
                await self._gave_up(replace(call, attempts=tries), failure)
                raise failure
            await self._tell(RateLimited(wait, self._throttle.limit, failure.message))
            waited += wait
            await asyncio.sleep(wait)

    async def _sent(self, call: CallRecord, question: Question, step: Step, *, prompt: int, tries: int) -> CallRecord:
        """One request to its end."""
        key = next(self._keys)
        try:
            done, room = await self._asked(key, call, step, prompt)
            done = replace(done, attempts=done.attempts + tries - 1, cut=was_cut(done, room))
            self._live[key].record, self._live[key].question = done, question
            if not done.cut:
                done = await graded_call(done, question)
            done = await self._save(key, done)
        except ModelError as e:
            await self._failed(key, e, tries)
            raise
        finally:
            await self._ledger.free(key)
        if done.cut and room.why != "cut":
            raise LimitReachedError(room.why)
        return done

    async def _asked(self, key: int, call: CallRecord, step: Step, prompt: int) -> tuple[CallRecord, Room]:
        """The answer and what it might use. Its place is free as soon as it is there: storing it holds nobody up."""
        begun = await self._throttle.enter()
        try:
            if self.stopping:
                raise RunStoppedError
            room = await self._room(key, step, prompt)
            request = replace(step.request, sampling=replace(step.request.sampling, max_tokens=room.max_tokens))
            self._live[key] = _Live(replace(call, sampling=request.sampling, created_at=datetime.now(UTC)))
            done = await self._streamed(self._live[key], request)
        except OVERLOAD as e:
            self._throttle.overloaded(begun, wait_s=getattr(e, "retry_after_s", None))
            raise
        finally:
            self._throttle.leave()
        self._answered = True
        # The client may have tried again itself; a setting that it left out is no sign of overload, nor is that another
        # endpoint of a group had to do it.
        if done.attempts > 1 and not done.adjustments and done.endpoint == self._client.endpoint:
            self._throttle.overloaded(begun)
        else:
            self._throttle.good()
        return done, room

    async def _room(self, key: int, step: Step, prompt: int) -> Room:
        caps = [cap for cap in (step.cap, step.request.sampling.max_tokens) if cap is not None]
        room = await self._ledger.room(key, prompt=prompt, cap=min(caps, default=None))
        # A cap of the request's own (an estimate's, say) is part of the plan, not a cut.
        return room._replace(why="plan") if room.why == "cut" and room.max_tokens != step.cap else room

    async def _streamed(self, live: _Live, request: Request) -> CallRecord:
        """The record of the answer. An endpoint that ignores its cap is closed."""
        cap = request.sampling.max_tokens
        meter = None if cap is None else Meter(cap, self._client)
        async with aclosing(self._client.stream(request)) as stream:
            async for item in stream:
                if isinstance(item, Completion):
                    return booked_call(live.record, item)
                live.text.append(item.text)
                live.reasoning.append(item.reasoning)
                live.pieces += 1
                if meter is not None and await meter.past(item.text + item.reasoning):
                    break
        text, reasoning = "".join(live.text), "".join(live.reasoning)
        stopped = await stopped_call(live.record, self._client, text=text, reasoning=reasoning)
        return replace(stopped, finish_reason="length")

    async def _save(self, key: int, record: CallRecord) -> CallRecord:
        """Store and book an ended call; from here on a stop loses nothing of it."""
        live = self._live[key]
        if live.saved is not None:
            record = replace(record, id=await asyncio.shield(live.saved))
        del self._live[key]
        self._ledger.book(key, record)
        record = replace(record, id=await self._journal.put(record))
        await self._tell(CallFinished(record))
        return record

    async def _failed(self, key: int, error: ModelError, tries: int) -> None:
        """Book what a failed request has cost; one that brought nothing leaves no trace but the count of attempts."""
        live = self._live.get(key)
        if live is not None and (error.partial is not None or live.saved is not None):
            record = failed_call(live.record, error)
            await self._save(key, replace(record, attempts=record.attempts + tries - 1))
        self._live.pop(key, None)

    async def _gave_up(self, call: CallRecord, error: ModelError) -> None:
        if error.partial is None:
            failed = replace(failed_call(call, error), prompt_tokens=None)
            await self._tell(CallFinished(replace(failed, id=await self._journal.put(failed))))

    def _flush(self, live: _Live) -> None:
        live.stored_pieces = live.pieces
        text, reasoning = "".join(live.text), "".join(live.reasoning)
        now = replace(live.record, text=text, reasoning_text=reasoning, completion_tokens=live.pieces)
        if live.saved is None:
            live.saved = self._journal.post(now)
        elif live.saved.done() and live.saved.exception() is None:
            self._journal.post(replace(now, id=live.saved.result()))

    def _max_tokens(self, sampling: Sampling) -> int | None:
        known = [cap for cap in (sampling.max_tokens, self._plan.sampling.max_tokens) if cap is not None]
        return min(known, default=None)


def was_cut(call: CallRecord, room: Room) -> bool:
    """Whether the search or a limit ended this answer, not the plan's max_tokens or the endpoint's own limit."""
    reached = call.usage_estimated or room.max_tokens is None or (call.completion_tokens or 0) >= room.max_tokens
    return call.finish_reason == "length" and room.why != "plan" and reached
