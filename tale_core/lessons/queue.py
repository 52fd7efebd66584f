"""A fair queue for calls to one model: round robin over students, caps per student and for the room, a pause.

A call waits for a turn; the students who wait take turns, one call each, so that nobody who asks ten things keeps
others waiting. What a call can cost at most is set aside when it gets its turn, so that no cap is ever exceeded.
`GatedClient` makes any run wait: the run itself does not know. Its methods run in one event loop; `place`, `busy` and
`waiting` may be called from any thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol
from uuid import uuid4

from tale_core.calls.budget_ledger import PROMPT_SLACK, Meter
from tale_core.errors import SentAwayError, ShareUsedError
from tale_core.i18n import t
from tale_core.models.client.wrapper import ClientAround
from tale_core.types import Client, Completion, Delta, Request, Usage


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent. None means no limit. Tokens are of prompts and answers together."""

    student_calls: int | None = None
    student_tokens: int | None = None
    room_calls: int | None = None
    room_tokens: int | None = None


class Cost(NamedTuple):
    """Calls and tokens, spent or set aside."""

    calls: int = 0
    tokens: int = 0

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.calls + other.calls, self.tokens + other.tokens)


class Book(Protocol):
    """Writes down what calls cost, so that a restart knows it."""

    async def begin(self, call_id: str, who: str, *, prompt: int, completion: int) -> None:
        """A call is about to be sent; the tokens are the most it can come to."""
        ...

    async def end(self, call_id: str, *, prompt: int, completion: int) -> None:
        """A call has ended and cost this."""
        ...


@dataclass(eq=False, slots=True)
class _Ticket:
    """A call that waits, then runs.

    Attributes:
        prompt: Tokens of its prompt at most, the chat template's included.
        most: What is set aside while it runs: the most it can cost.
    """

    who: str
    prompt: int
    wanted: int | None
    turn: asyncio.Future[int | None]
    most: Cost = field(default_factory=lambda: Cost())


class FairQueue:
    """The queue of one room.

    Args:
        slots: Calls at the same time.
        caps: See `Caps`; they may be changed at any time and hold from the next turn on.
        spent: What each student has spent before, students who have left among them.
        paused: Begin paused.
    """

    def __init__(
        self, slots: int, *, caps: Caps | None = None, spent: Mapping[str, Cost] | None = None, paused: bool = False
    ) -> None:
        self._slots, self._caps, self._paused = slots, caps or Caps(), paused
        self._spent: dict[str, Cost] = dict(spent or {})
        # Each student has calls waiting; the order of the keys is the order of turns.
        self._waiting: dict[str, deque[_Ticket]] = {}
        self._running: list[_Ticket] = []
        self._closed = False
        self._slack = PROMPT_SLACK

    # Seen from any thread: each takes one snapshot of a container.

    def place(self, who: str) -> int | None:
        """How many calls are served before this student's next one, itself included; None when none waits."""
        order = list(self._waiting)
        return order.index(who) + 1 if who in order else None

    def waiting(self) -> dict[str, int]:
        """Calls that wait, by student, in the order of their turns."""
        return {who: len(tickets) for who, tickets in list(self._waiting.items())}

    def busy(self) -> dict[str, int]:
        """Calls that run, by student."""
        found: dict[str, int] = {}
        for ticket in list(self._running):
            found[ticket.who] = found.get(ticket.who, 0) + 1
        return found

    def spent(self) -> dict[str, Cost]:
        """What every student has spent; running calls count when they have ended."""
        return dict(self._spent)

    @property
    def paused(self) -> bool:
        """No call gets a turn."""
        return self._paused

    # In the loop.

    def pause(self) -> None:
        """Give nobody a turn; calls that run go on to their end."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._serve()

    def set_caps(self, caps: Caps) -> None:
        """Change the caps; who waited for room may go on."""
        self._caps = caps
        self._serve()

    def close(self) -> None:
        """Send everybody away."""
        self._closed = True
        for who in list(self._waiting):
            self.send_away(who)

    def send_away(self, who: str) -> None:
        """Drop what this student has waiting: their place is free at once."""
        for ticket in self._waiting.pop(who, ()):
            if not ticket.turn.done():
                ticket.turn.set_exception(SentAwayError(t("Your place in the queue was given up.")))

    async def enter(self, who: str, *, prompt: int, wanted: int | None) -> _Ticket:
        """Wait for a turn; a caller that got one must `leave`. Cancelling frees the place.

        Args:
            who: The student.
            prompt: The prompt's tokens as we count them.
            wanted: Completion tokens asked for at most; None leaves it to the endpoint.

        Raises:
            ShareUsedError: A cap would be exceeded.
            SentAwayError: The room was closed, or the student's place was given up.
        """
        if self._closed:
            raise SentAwayError(t("The room is closed."))
        ticket = _Ticket(who, prompt + self._slack, wanted, asyncio.get_running_loop().create_future())
        if isinstance(verdict := self._room(ticket), ShareUsedError):
            raise verdict  # At once: nobody waits for a refusal.
        self._waiting.setdefault(who, deque()).append(ticket)
        self._serve()
        try:
            await ticket.turn
        except BaseException:
            self._forget(ticket)
            raise
        return ticket

    def leave(self, ticket: _Ticket, cost: Cost, *, prompt: int = 0) -> None:
        """A call has ended and cost this, `prompt` of its tokens in the prompt; the next one gets the turn."""
        self._running.remove(ticket)
        self._slack += max(0, prompt - ticket.prompt)  # Its chat template adds more than we knew.
        self._spent[ticket.who] = self._spent.get(ticket.who, Cost()).plus(cost)
        self._serve()

    def _forget(self, ticket: _Ticket) -> None:
        """It gave up, perhaps in the very moment in which it got its turn."""
        if ticket in self._running:
            self._running.remove(ticket)
        elif ticket in (tickets := self._waiting.get(ticket.who, deque())):
            tickets.remove(ticket)
            if not tickets:
                del self._waiting[ticket.who]
        self._serve()

    def _serve(self) -> None:
        """Give turns while there are slots: one call a student, then the next student."""
        if self._paused:
            return
        for who in list(self._waiting):
            while len(self._running) < self._slots:
                served = self._serve_one(who)
                if served != "refused":
                    break
        if len(self._running) < self._slots and any(self._can_go(who) for who in self._waiting):
            self._serve()

    def _can_go(self, who: str) -> bool:
        return isinstance(self._room(self._waiting[who][0]), _Go)

    def _serve_one(self, who: str) -> Literal["served", "refused", "waits"]:
        tickets = self._waiting.get(who)
        if not tickets:
            return "waits"
        ticket = tickets[0]
        verdict = self._room(ticket)
        if verdict is None:
            return "waits"
        tickets.popleft()
        if not tickets:
            del self._waiting[who]
        if ticket.turn.done():  # Cancelled, and not yet forgotten.
            return "refused"
        if isinstance(verdict, ShareUsedError):
            ticket.turn.set_exception(verdict)
            return "refused"
        if tickets:  # The next one comes when everybody else had a turn.
            self._waiting[who] = self._waiting.pop(who)
        ticket.most = Cost(1, ticket.prompt + (verdict.max_tokens or 0))
        self._running.append(ticket)
        ticket.turn.set_result(verdict.max_tokens)
        return "served"

    def _room(self, ticket: _Ticket) -> _Go | ShareUsedError | None:
        """What this call may use; None while calls that run may still leave more."""
        caps, most = self._caps, ticket.wanted
        mine = [r.most for r in self._running if r.who == ticket.who]
        limits: tuple[tuple[Literal["student", "room"], int | None, int | None, Cost, list[Cost]], ...] = (
            ("student", caps.student_calls, caps.student_tokens, self._spent.get(ticket.who, Cost()), mine),
            ("room", caps.room_calls, caps.room_tokens, self._total(), [r.most for r in self._running]),
        )
        for whose, calls, tokens, spent, flying in limits:
            if calls is not None and spent.calls + len(flying) >= calls:
                return None if spent.calls < calls and flying else ShareUsedError("calls", whose)
            if tokens is None:
                continue
            left = tokens - spent.tokens - sum(cost.tokens for cost in flying) - ticket.prompt
            if left < (1 if most is None else most) and flying:
                return None
            if left < 1:
                return ShareUsedError("tokens", whose)
            most = left if most is None else min(most, left)
        return _Go(most)

    def _total(self) -> Cost:
        total = Cost()
        for cost in self._spent.values():
            total = total.plus(cost)
        return total


class _Go(NamedTuple):
    """A call may be sent.

    Attributes:
        max_tokens: Its completion tokens at most.
    """

    max_tokens: int | None


class GatedClient(ClientAround):
    """A client whose every call waits for its turn; implements `tale_core.types.Client`.

    Args:
        client: The model.
        queue: The room's.
        who: The student.
        book: Told what every call costs; None keeps it in memory alone.
        on_wait: Called with words while the call waits.
    """

    def __init__(
        self,
        client: Client,
        queue: FairQueue,
        who: str,
        *,
        book: Book | None = None,
        on_wait: Callable[[str], None] = lambda words: None,
    ) -> None:
        super().__init__(client)
        self._queue, self._who, self._book, self._on_wait = queue, who, book, on_wait

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Wait for a turn, then answer; see `Client.stream`.

        Raises:
            ShareUsedError: A cap would be exceeded; nothing was sent.
            SentAwayError: The room was closed or the place given up; nothing was sent.
            ModelError: As the model's.
        """
        prompt = await self._client.count_tokens("\n".join(m.content for m in request.messages))
        self._on_wait(t("Waiting for a turn…"))
        ticket = await self._queue.enter(self._who, prompt=prompt, wanted=request.sampling.max_tokens)
        running, call_id = _RunningCall(prompt), uuid4().hex
        try:
            max_tokens = ticket.turn.result()
            if self._book is not None:
                most = ticket.most.tokens - ticket.prompt
                await self._book.begin(call_id, self._who, prompt=ticket.prompt, completion=most)
            running.began = time.monotonic()
            allowed = replace(request, sampling=replace(request.sampling, max_tokens=max_tokens))
            async with aclosing(_metered(self._client, allowed, running)) as stream:
                async for item in stream:
                    yield item
        finally:
            await _to_its_end(self._ended(call_id, ticket, running))

    async def _ended(self, call_id: str, ticket: _Ticket, running: _RunningCall) -> None:
        usage = Usage(0, 0)
        try:
            usage = await running.paid(self._client)
            if self._book is not None:
                await self._book.end(call_id, prompt=usage.prompt_tokens, completion=usage.completion_tokens)
        finally:
            cost = Cost(1 if running.began else 0, usage.prompt_tokens + usage.completion_tokens)
            self._queue.leave(ticket, cost, prompt=usage.prompt_tokens)


@dataclass(slots=True)
class _RunningCall:
    """What is known of a call that runs.

    Attributes:
        prompt: Its prompt's tokens by our count.
        began: When it was sent (monotonic seconds); 0 before.
        usage: What the endpoint reported at its end.
    """

    prompt: int
    began: float = 0.0
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    usage: Usage | None = None

    async def paid(self, client: Client) -> Usage:
        """What was paid: of an answer that was closed on the way our own count, since nobody reported one."""
        if self.usage is not None or not self.began:
            return self.usage or Usage(0, 0)
        written = len(self.text)
        with suppress(Exception):
            written = await client.count_tokens("".join(self.text) + "".join(self.reasoning))
        return Usage(self.prompt, written, estimated=True)


async def _metered(client: Client, request: Request, running: _RunningCall) -> AsyncGenerator[Delta | Completion, None]:
    """The answer; closed where it goes on past its max_tokens, because the endpoint does not honour that."""
    cap = request.sampling.max_tokens
    meter = None if cap is None else Meter(cap, client)
    async with aclosing(client.stream(request)) as stream:
        async for item in stream:
            if isinstance(item, Completion):
                running.usage = item.usage
                yield item
                return
            running.text.append(item.text)
            running.reasoning.append(item.reasoning)
            yield item
            if meter is not None and await meter.past(item.text + item.reasoning):
                break
        else:
            return
    running.usage = replace(await running.paid(client), estimated=True)
    yield Completion(
        "".join(running.text),
        running.usage,
        "length",
        None,
        time.monotonic() - running.began,
        reasoning_text="".join(running.reasoning),
    )


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await to its end, even if cancelled meanwhile: what was spent must be booked."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as e:
            cancelled = e
        except Exception:
            break
    if cancelled is not None:
        raise cancelled
    task.result()
