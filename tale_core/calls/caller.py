"""The one way in which a request is made: known already or sent, cut, tried again, graded and booked.

A `Caller` serves every kind of run (Ask, search, sweep, calibration, experiment): it looks an answer up before it pays
for it (`cache`), keeps hard limits on calls, tokens and money (`budget_ledger`), lets in as many calls as the endpoint
bears (`concurrency`), tries again what may pass (`retry`), cuts an answer that can no longer win, and books every
token, those of cut and failed answers too. What happens is told as `events`; `recorder` stores them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from tale_core.budgets.forcing import FORCED, Now, answered, prompt_bound
from tale_core.budgets.kinds import bounded, least_cap
from tale_core.calls.budget_ledger import Ledger, Meter, Room, Spent
from tale_core.calls.cache import AnswerCache, RecentAnswers, reused_call, tells
from tale_core.calls.concurrency import Throttle
from tale_core.calls.events import CallAnswered, CallDelta, CallEvent, CallFinished, CallStarted, RateLimited
from tale_core.calls.record import Step, begun_call, booked_call, failed_call, graded_call, stopped_call
from tale_core.calls.retry import LOST_WORKERS, OVERLOAD, RetryPolicy
from tale_core.errors import LimitReachedError, ModelError
from tale_core.types import CallRecord, Client, Completion, Found, Question, Sampling

REMEMBERED = 1024
"""Latest answers kept in memory: those of the questions in work, with room to spare."""

MOST_UNTOLD = 2048
"""Completion tokens of an early exit under a limit where nobody gave a cap: its bound grows with the square of them."""
MOST_ENDLESS = 32_768
"""The same without a limit."""


class RunStoppedError(Exception):
    """The run takes no further calls; what is in flight ends by itself."""


class Caller:
    """Makes the calls of one run.

    Args:
        client: Whom to ask.
        ledger: Keeps the limits, and what was spent.
        session_id: Written into every record.
        cache: Answers of earlier runs; None asks for every one anew.
        retry: Which failures are tried again.
        throttle: Decides how many calls run at the same time; None lets all in.
        watched: Somebody may want an answer before its end; see `answer_now`.

    Attributes:
        stopping: No further calls are taken, and none is tried again.
    """

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        *,
        session_id: str = "",
        cache: AnswerCache | None = None,
        retry: RetryPolicy = LOST_WORKERS,
        throttle: Throttle | None = None,
        watched: bool = False,
    ) -> None:
        self._client, self._ledger, self._id, self._cache = client, ledger, session_id, cache
        self._retry, self._throttle, self._watched = retry, throttle, watched
        self._now: dict[Hashable, Now | None] = {}
        self._recent = RecentAnswers(limit=REMEMBERED)
        self._in_flight: dict[str | None, asyncio.Future[None]] = {}
        self._answered = False
        self.stopping = False

    @property
    def ledger(self) -> Ledger:
        """Keeps the limits, and what was spent."""
        return self._ledger

    @property
    def spent(self) -> Spent:
        """What has been paid for so far, by every caller of the same ledger."""
        return self._ledger.spent

    def answer_now(self) -> None:
        """Close the thoughts of the running answers and force the answers out; only of a caller that is watched."""
        for now in filter(None, self._now.values()):
            now.want()

    async def stream(
        self,
        key: Hashable,
        step: Step,
        question: Question,
        *,
        repeat: int = 0,
        unit: str | None = None,
        index: int | None = None,
    ) -> AsyncGenerator[CallEvent, None]:
        """Make one call; calls of one fingerprint at the same time are made once and shared.

        Args:
            key: Names the call in the events.
            step: What to ask.
            question: With its kind set; the answer is graded when its known answer is there.
            repeat: Samples with seed + repeat.
            unit: The unit of an experiment that asks.
            index: The call's place in its unit, from 0.

        Yields:
            Its events; the last is `CallFinished`, before an error is raised as well.

        Raises:
            LimitReachedError: The call could break a limit. Nothing was sent for it.
            ModelError: It failed, and trying again did not help.
            RunStoppedError: The run takes no further calls.
        """
        if self.stopping:
            raise RunStoppedError
        step = _seeded(step, repeat)
        call = replace(self._begun(step, repeat), unit=unit, step=index)
        async with self._alone(call.cache_key):
            found = await self._cached(call, step)
            events = (
                self._made(key, call, step, question) if found is None else self._reused(key, call, found, question)
            )
            async with aclosing(events):
                async for event in events:
                    yield event

    def _begun(self, step: Step, repeat: int) -> CallRecord:
        return begun_call(
            step.role,
            step.request,
            self._client,
            session_id=self._id,
            template=step.template,
            version=step.version,
            budget=step.budget,
            repeat=repeat,
            phase=step.phase,
            sample=step.sample,
        )

    @asynccontextmanager
    async def _alone(self, fingerprint: str | None) -> AsyncGenerator[None, None]:
        """One call of a fingerprint at a time: the second finds what the first has made."""
        while (other := self._in_flight.get(fingerprint)) is not None:
            await asyncio.shield(other)
        mine = self._in_flight[fingerprint] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._in_flight[fingerprint]
            mine.set_result(None)

    async def _cached(self, call: CallRecord, step: Step) -> Found | None:
        """This call as it was made before, or None when it has to be paid for."""
        close, max_tokens = bounded(step.request.sampling)
        if close is None:
            caps = (max_tokens, self._ledger.max_tokens)
            max_tokens = min((cap for cap in caps if cap is not None), default=None)
        # The cache first: the very step that asks may have ended before a stop.
        found = await self._cache.find(call) if self._cache is not None else None
        found = found or await self._recent.find(call)
        return found if found is not None and tells(found.call, cap=step.cap, max_tokens=max_tokens) else None

    async def _reused(
        self, key: Hashable, call: CallRecord, found: Found, question: Question
    ) -> AsyncGenerator[CallEvent, None]:
        if found.own:
            yield CallFinished(key, found.call, self.spent)
            return
        again = reused_call(found.call, call)
        yield CallStarted(key, again)
        again = await self._graded(replace(again, status="done"), question)
        self._ledger.book(None, again)
        yield CallFinished(key, again, self.spent)

    async def _made(
        self, key: Hashable, call: CallRecord, step: Step, question: Question
    ) -> AsyncGenerator[CallEvent, None]:
        """Send the call, again where that may help."""
        prompt = 0
        if self._ledger.counting:
            prompt = await self._client.count_tokens("\n".join(m.content for m in call.messages))
            call = replace(call, prompt_tokens=prompt)
        tries, requests, waited = 0, 0, 0.0
        while True:
            tries += 1
            begun = call
            try:
                async with aclosing(self._sent(key, call, step, question, prompt=prompt, before=requests)) as events:
                    async for event in events:
                        begun = event.call if isinstance(event, CallStarted) else begun
                        yield event
                return
            except ModelError as e:
                failure = e
            requests += failure.attempts
            wait = self._retry.wait_s(failure, tries=tries, waited_s=waited, answered=self._answered)
            wait = None if self.stopping else wait
            failed = replace(failed_call(begun, failure), attempts=requests)
            if failure.partial is None:
                failed = replace(failed, prompt_tokens=None)
            if failure.partial is not None or self._retry.book_empty:
                self._ledger.book(None, failed)
            yield CallFinished(key, failed, self.spent, again=wait is not None)
            if wait is None:
                raise failure
            if wait:
                yield RateLimited(wait, self._throttle.limit if self._throttle else None, failure.message)
                waited += wait
                await asyncio.sleep(wait)

    async def _sent(
        self, key: Hashable, call: CallRecord, step: Step, question: Question, *, prompt: int, before: int
    ) -> AsyncGenerator[CallEvent, None]:
        """One request to its end; `before` were sent for it before. An endpoint that ignores its cap is closed."""
        flight = object()
        try:
            begun = await self._throttle.enter() if self._throttle else 0
            try:
                if self.stopping:
                    raise RunStoppedError
                room = await self._room(flight, step, prompt)
                request = replace(step.request, sampling=replace(step.request.sampling, max_tokens=room.max_tokens))
                call = replace(call, sampling=request.sampling, created_at=datetime.now(UTC))
                yield CallStarted(key, call)
                text: list[str] = []
                reasoning: list[str] = []
                if step.cap is not None and (room.max_tokens is None or step.cap < room.max_tokens):
                    room = Room(step.cap, "cut")  # It was not sent: the stream is closed there.
                meter = None if room.max_tokens is None else Meter(room.max_tokens, self._client)
                done: Completion | None = None
                now = self._now[key] = Now() if self._watched else None
                close, _ = bounded(step.request.sampling)
                async with aclosing(answered(self._client, request, close, now=now)) as stream:
                    async for item in stream:
                        if isinstance(item, Completion):
                            done = item
                            break
                        text.append(item.text)
                        reasoning.append(item.reasoning)
                        yield CallDelta(key, item.text, item.reasoning)
                        if meter is not None and await meter.past(item.text + item.reasoning):
                            break
                if done is not None:
                    call = booked_call(call, done)
                    if now is not None and now.wanted and FORCED in call.adjustments:
                        call = replace(call, cache_key=None)  # Nobody else asked for it to end there.
                else:
                    call = await stopped_call(call, self._client, text="".join(text), reasoning="".join(reasoning))
                    call = replace(call, finish_reason="length")
            except OVERLOAD as e:
                if self._throttle:
                    self._throttle.overloaded(begun, wait_s=getattr(e, "retry_after_s", None))
                raise
            finally:  # Its place is free as soon as the answer is there: grading and storing it hold nobody up.
                self._now.pop(key, None)
                if self._throttle:
                    self._throttle.leave()
            self._went_well(call, begun)
            call = replace(call, attempts=call.attempts + before, cut=_was_cut(call, room))
            yield CallAnswered(key, call, question)
            call = await self._graded(call, question)
            self._ledger.book(flight, call)
            self._recent.keep(call)
            yield CallFinished(key, call, self.spent)
        finally:
            await self._ledger.free(flight)
        if call.cut and room.why != "cut":
            raise LimitReachedError(room.why)

    async def _room(self, flight: Hashable, step: Step, prompt: int) -> Room:
        """The cap to send.

        A kind of budget that decides by itself where an answer ends is never sent the caller's own cap: an enforced
        answer would be forced out before its level, and a provider wants its thinking budget below max_tokens.
        """
        said = step.request.sampling
        least = least_cap(said)
        if least is None:
            caps = [one for one in (step.cap, said.max_tokens) if one is not None]
            room = await self._ledger.room(flight, prompt=prompt, cap=min(caps, default=None))
            # A cap of the request's own (an estimate's, say) is part of the plan, not a cut.
            return room._replace(why="plan") if room.why == "cut" and room.max_tokens != step.cap else room
        close, cap = bounded(said)
        if close is not None and cap is None:
            # Without a cap a model that never stops would be asked for parts for ever.
            cap = least if close.at is not None else MOST_UNTOLD if self._ledger.counting else MOST_ENDLESS
        room = await self._ledger.room(flight, prompt=prompt_bound(close, prompt, cap), cap=cap, own=True)
        if room.why != "plan" and room.max_tokens is not None and room.max_tokens < least:
            raise LimitReachedError(room.why)
        return room

    def _went_well(self, call: CallRecord, begun: int) -> None:
        self._answered = True
        if self._throttle is None:
            return
        # The client may have tried again itself; a setting that it left out is no sign of overload, nor is that another
        # endpoint of a group had to do it.
        if call.attempts > 1 and not call.adjustments and call.endpoint == self._client.endpoint:
            self._throttle.overloaded(begun)
        else:
            self._throttle.good()

    async def _graded(self, call: CallRecord, question: Question) -> CallRecord:
        return call if call.cut else await graded_call(call, question)


def _seeded(step: Step, repeat: int) -> Step:
    seed = step.request.sampling.seed
    if seed is None or not repeat:
        return step
    sampling: Sampling = replace(step.request.sampling, seed=seed + repeat)
    return replace(step, request=replace(step.request, sampling=sampling))


def _was_cut(call: CallRecord, room: Room) -> bool:
    """Whether the search or a limit ended this answer, not the plan's max_tokens or the endpoint's own limit."""
    reached = call.usage_estimated or room.max_tokens is None or (call.completion_tokens or 0) >= room.max_tokens
    return call.finish_reason == "length" and room.why != "plan" and reached
