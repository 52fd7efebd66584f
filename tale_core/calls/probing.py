"""One question asked in many ways: what a search, a sweep and a calibration ask of a `Caller`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tale_core.budgets.kinds import ASKED, Kind
from tale_core.calls.budget_ledger import Ledger, Limits, Spent
from tale_core.calls.cache import AnswerCache
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallEvent
from tale_core.calls.record import Step, answer_step, direct_step
from tale_core.calls.streams import merge
from tale_core.errors import RequestRejectedError
from tale_core.prompts import messages as prompts
from tale_core.types import Client, Level, ProbePhase, Question, Sampling

ProbeRole = Literal["vanilla", "direct", "probe"]


class ProbeKey(NamedTuple):
    """Names an answer inside one search or sweep; the key of its events."""

    role: ProbeRole
    budget: Level | None = None
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


class Prober:
    """Asks one question in many ways.

    Args:
        question: With its kind set; graded when its answer is known.
        client: Whom to ask.
        template: Prompt template.
        kind: Of the budgets of its probes.
        sampling: Shared by all answers; repeat i samples with seed + i.
        session_id: Written into every record.
        cache: Answers of earlier runs; None asks for every one anew.
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
        kind: Kind = ASKED,
        sampling: Sampling,
        session_id: str = "",
        cache: AnswerCache | None = None,
        limits: Limits | None = None,
        ledger: Ledger | None = None,
        slots: int = 1,
    ) -> None:
        limits = limits or Limits()
        limits.check_price(client.price, client.model)
        self._question, self._sampling, self._slots, self._kind = question, sampling, slots, kind
        self._template = prompts.template(template).name
        ledger = ledger or Ledger(limits, client.price, sampling.max_tokens)
        self._caller = Caller(client, ledger, session_id=session_id, cache=cache)

    @property
    def spent(self) -> Spent:
        """What has been paid for so far, by every prober of the same ledger."""
        return self._caller.spent

    async def answers(self, *probes: Probe, refusals: bool = False) -> AsyncGenerator[CallEvent, None]:
        """Ask for these answers, as many at the same time as there are slots; those known already cost nothing.

        A key given twice is asked for once, as first given. With `refusals` a level that the endpoint does not have
        ends as a failed call, and the others go on.

        Raises:
            LimitReachedError: The next call could break a limit. Nothing was sent for it.
            ModelError: A call failed; its `CallFinished` came first.
        """
        unique = {p.key: p for p in reversed(probes)}
        wanted = [p for p in probes if unique[p.key] is p]
        steps = ((p.key, probe_step(self._question, p, self._template, self._sampling, self._kind)) for p in wanted)
        streams = (self._caller.stream(key, step, self._question, repeat=key.repeat) for key, step in steps)
        if refusals:
            streams = (_or_refused(stream) for stream in streams)
        async with aclosing(merge(*streams, at_once=self._slots)) as events:
            async for event in events:
                yield event


async def _or_refused(stream: AsyncGenerator[CallEvent, None]) -> AsyncGenerator[CallEvent, None]:
    """A call whose request may be refused: its `CallFinished` says so, and nothing is raised."""
    with suppress(RequestRejectedError):
        async with aclosing(stream) as events:
            async for event in events:
                yield event


def probe_step(question: Question, probe: Probe, template: str, sampling: Sampling, kind: Kind = ASKED) -> Step:
    """What to ask for this answer."""
    role, budget, _ = probe.key
    if role == "direct":
        return direct_step(question, sampling=sampling, phase=probe.phase, cap=probe.cap)
    return answer_step(
        role, question, template=template, sampling=sampling, budget=budget, kind=kind, phase=probe.phase,
        cap=probe.cap,
    )  # fmt: skip
