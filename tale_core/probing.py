"""Measured answers: the one place where a search or a sweep asks the model.

A `Prober` knows which answers are known already (never paid twice), cuts an answer that can no longer win, keeps hard
limits on calls, tokens and money (see `spending`), runs independent answers at the same time, and books every token,
the cut ones too. Pure over the client protocol: what is known from earlier comes through `ProbeCache`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from tale_core import prompts
from tale_core.calls import begun_call, booked_call, failed_call, graded_call, replayed_call, stopped_call
from tale_core.errors import InputError, LimitReachedError, ModelError, WorkerLostError
from tale_core.i18n import t
from tale_core.spending import PROMPT_SLACK, Ledger, Limits, Meter, Room, Spent
from tale_core.streams import merge
from tale_core.types import (
    CallRecord,
    Client,
    Completion,
    Outcome,
    ProbePhase,
    Question,
    Request,
    Sampling,
)

__all__ = [
    "PROMPT_SLACK",
    "Limits",
    "Probe",
    "ProbeCache",
    "ProbeDelta",
    "ProbeEvent",
    "ProbeFinished",
    "ProbeKey",
    "ProbeRole",
    "ProbeStarted",
    "Prober",
    "Spent",
]
ProbeRole = Literal["vanilla", "direct", "probe"]
LOST_TRIES = 4
"""How often an answer is asked for in all, when each time the worker of a cluster that asked went away."""


class ProbeKey(NamedTuple):
    """Names an answer inside one search or sweep."""

    role: ProbeRole
    budget: int | None = None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """An answer that is wanted.

    Attributes:
        cap: Completion tokens at which the answer can no longer win; it is cut there. None lets it end by itself.
    """

    key: ProbeKey
    phase: ProbePhase
    cap: int | None = None


class ProbeCache(Protocol):
    """Answers known from earlier runs."""

    async def find(self, cache_key: str) -> CallRecord | None:
        """A finished call of this fingerprint (see `tale_core.calls.fingerprint`), a complete one before a cut one."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeStarted:
    """An answer is about to be asked for, or shown again."""

    key: ProbeKey
    call: CallRecord


@dataclass(frozen=True, slots=True)
class ProbeDelta:
    """New text of a running answer."""

    key: ProbeKey
    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class ProbeFinished:
    """An answer ended: done (whole or cut), or failed; the record holds every number, `spent` the run's total.

    After one that failed with its worker another `ProbeStarted` of the same key may follow: it is asked for again.
    """

    key: ProbeKey
    call: CallRecord
    spent: Spent


ProbeEvent = ProbeStarted | ProbeDelta | ProbeFinished


class Prober:
    """Asks one question in many ways.

    Args:
        question: With its kind set; graded when its answer is known.
        client: Whom to ask.
        template: Prompt template.
        sampling: Shared by all answers; repeat i samples with seed + i.
        session_id: Written into every record.
        cache: What is known from earlier runs; None knows nothing.
        limits: Hard limits.
        ledger: Keeps the limits of several probers together; by default each keeps `limits` for itself.
        slots: At most so many answers at the same time.

    Raises:
        InputError: A limit on money and no published price.
    """

    def __init__(
        self,
        question: Question,
        client: Client,
        *,
        template: str = prompts.DEFAULT_TEMPLATE,
        sampling: Sampling,
        session_id: str = "",
        cache: ProbeCache | None = None,
        limits: Limits | None = None,
        ledger: Ledger | None = None,
        slots: int = 1,
    ) -> None:
        self.limits = limits or Limits()
        self.limits.validate()
        if self.limits.max_cost_usd is not None and client.price is None:
            raise InputError(
                t(
                    "A limit of ${limit:g} was set, but the price of {model!r} is unknown.",
                    limit=self.limits.max_cost_usd,
                    model=client.model,
                ),
                t("Limit the tokens instead."),
            )
        self._question, self._client = question, client
        self._template = prompts.template(template)
        self._sampling, self._session_id, self._cache, self._slots = sampling, session_id, cache, slots
        self._known: dict[ProbeKey, CallRecord] = {}
        self._ledger = ledger or Ledger(self.limits, client.price, sampling.max_tokens)

    @property
    def spent(self) -> Spent:
        """What has been paid for so far, by every prober of the same ledger."""
        return self._ledger.spent

    async def answers(self, *probes: Probe) -> AsyncGenerator[ProbeEvent, None]:
        """Ask for these answers, as many at the same time as there are slots; those known already cost nothing.

        A key given twice is asked for once, as first given.

        Raises:
            LimitReachedError: The next call could break a limit. Nothing was sent for it.
            ModelError: A call failed; its `ProbeFinished` came first.
        """
        unique = {p.key: p for p in reversed(probes)}
        wanted = [p for p in probes if unique[p.key] is p]
        async with aclosing(merge(*(self._answer(p) for p in wanted), at_once=self._slots)) as events:
            async for event in events:
                yield event

    async def _answer(self, probe: Probe) -> AsyncGenerator[ProbeEvent, None]:
        for left in reversed(range(LOST_TRIES)):
            try:
                async with aclosing(self._asked_once(probe)) as events:
                    async for event in events:
                        yield event
                return
            except WorkerLostError:
                if not left:
                    raise

    async def _asked_once(self, probe: Probe) -> AsyncGenerator[ProbeEvent, None]:
        call, request = self._begin(probe)
        if (known := await self._find(probe, call)) is not None:
            yield ProbeStarted(probe.key, known)
            yield self._finished(probe.key, await self._graded(replace(known, status="done")))
            return
        prompt = await self._client.count_tokens("\n".join(m.content for m in request.messages))
        room = await self._ledger.room((self, probe.key), prompt=prompt, cap=probe.cap)
        try:
            request = replace(request, sampling=replace(request.sampling, max_tokens=room.max_tokens))
            call = replace(call, sampling=request.sampling)
            yield ProbeStarted(probe.key, call)
            async with aclosing(self._ask(probe, call, request)) as stream:
                async for item in stream:
                    if isinstance(item, CallRecord):
                        call = item
                    else:
                        yield item
            call = replace(call, cut=_was_cut(call, room))
            yield self._finished(probe.key, await self._graded(call))
        except ModelError as e:
            yield self._finished(probe.key, failed_call(call, e))
            raise
        finally:
            await self._ledger.free((self, probe.key))
        if call.cut and room.why != "cut":
            raise LimitReachedError(room.why)

    def _begin(self, probe: Probe) -> tuple[CallRecord, Request]:
        role, budget, repeat = probe.key
        kind = self._question.kind or "number"
        if role == "direct":
            messages = prompts.direct_messages(self._question, kind=kind)
            template, version = prompts.DIRECT_TEMPLATE, prompts.DIRECT_VERSION
        else:
            template, version = self._template.name, self._template.version
            messages = prompts.answer_messages(self._question, template_name=template, kind=kind, budget=budget)
        seed = self._sampling.seed
        request = Request(messages, replace(self._sampling, seed=None if seed is None else seed + repeat))
        call = begun_call(
            role,
            request,
            self._client,
            session_id=self._session_id,
            template=template,
            version=version,
            budget=budget,
            repeat=repeat,
            phase=probe.phase,
        )
        return call, request

    async def _find(self, probe: Probe, call: CallRecord) -> CallRecord | None:
        """This answer as it is known already, or None when it has to be paid for."""
        stored = self._known.get(probe.key)
        if stored is None and self._cache is not None and call.cache_key is not None:
            stored = await self._cache.find(call.cache_key)
        if stored is None or not _answers(stored, probe, self._sampling.max_tokens):
            return None
        role, _, repeat = probe.key
        replayed = replayed_call(stored, session_id=self._session_id)
        return replace(replayed, role=role, phase=probe.phase, repeat_index=repeat)

    async def _ask(
        self, probe: Probe, call: CallRecord, request: Request
    ) -> AsyncGenerator[ProbeDelta | CallRecord, None]:
        """The pieces of an answer, then its record. An endpoint that ignores its cap is closed."""
        text: list[str] = []
        reasoning: list[str] = []
        cap = request.sampling.max_tokens
        meter = None if cap is None else Meter(cap, self._client)
        async with aclosing(self._client.stream(request)) as stream:
            async for item in stream:
                if isinstance(item, Completion):
                    yield booked_call(call, item)
                    return
                text.append(item.text)
                reasoning.append(item.reasoning)
                yield ProbeDelta(probe.key, item.text, item.reasoning)
                if meter is not None and await meter.past(item.text + item.reasoning):
                    break
        stopped = await stopped_call(call, self._client, text="".join(text), reasoning="".join(reasoning))
        yield replace(stopped, finish_reason="length")

    async def _graded(self, call: CallRecord) -> CallRecord:
        if call.cut:
            return replace(call, outcome=Outcome.UNGRADED)
        return await graded_call(call, self._question)

    def _finished(self, key: ProbeKey, call: CallRecord) -> ProbeFinished:
        if call.status == "done":
            self._known[key] = call
        self._ledger.book((self, key), call)
        return ProbeFinished(key, call, self.spent)


def _was_cut(call: CallRecord, room: Room) -> bool:
    """Whether the search or a limit ended this answer, not the plan's max_tokens or the endpoint's own limit."""
    reached = call.usage_estimated or room.max_tokens is None or (call.completion_tokens or 0) >= room.max_tokens
    return call.finish_reason == "length" and room.why != "plan" and reached


def _answers(stored: CallRecord, probe: Probe, max_tokens: int | None) -> bool:
    """Whether a known call tells what this probe asks."""
    tokens = stored.completion_tokens
    if tokens is None:
        return False
    if stored.cut:
        return probe.cap is not None and tokens >= probe.cap
    if stored.finish_reason == "length":
        return stored.sampling.max_tokens == max_tokens or (probe.cap is not None and tokens >= probe.cap)
    # An answer that ended by itself is the same under any cap on tokens that it stayed below.
    return max_tokens is None or tokens <= max_tokens
