"""What a run may spend and what it has spent: limits, the ledger that keeps them, and a meter on a running answer.

A call asks the ledger for room before it is made and books what it took afterwards. Below stand the words for it on
pages and terminals: tokens, thinking apart, dollars.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tale_core.errors import InputError, LimitReachedError
from tale_core.i18n import N_, t, tn
from tale_core.types import CallRecord, Client, Price, Usage

Why = Literal["plan", "cut", "calls", "tokens", "cost"]
"""What set the cap of a call: the plan's max_tokens, the caller, or a limit of the run."""
PROMPT_SLACK = 32
"""Tokens that a chat template adds to a prompt at most; raised when an endpoint reports a larger difference."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of a whole run. None means no limit.

    Attributes:
        max_calls: Calls that are sent.
        max_tokens: Prompt and completion tokens together.
        max_cost_usd: Dollars, by the endpoint's published price.

    Raises:
        InputError: One of them is not positive.
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None

    def __post_init__(self) -> None:
        for value, said in (
            (self.max_calls, N_("The cap on calls is {given}.")),
            (self.max_tokens, N_("The cap on tokens is {given}.")),
            (self.max_cost_usd, N_("The cap on dollars is {given}.")),
        ):
            if value is not None and not value > 0:
                raise InputError(t(said, given=value), t("Give a number above 0, or none."))

    def check_price(self, price: Price | None, model: str) -> None:
        """Check that a limit on money can be kept.

        Raises:
            InputError: There is one, and the model's price is unknown.
        """
        if self.max_cost_usd is not None and price is None:
            usd = self.max_cost_usd
            raise InputError(
                t("A limit of ${usd:g} was set, but the price of {model!r} is unknown.", usd=usd, model=model),
                t("Limit the tokens instead."),
            )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has paid for, cut and failed answers included.

    Attributes:
        cost_usd: None when the price is unknown.
        reused: Answers that were known from earlier and cost nothing now.
        estimated: True when a count is ours and not the endpoint's.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    reused: int = 0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def of(cls, calls: Iterable[CallRecord]) -> Spent:
        """What these calls have cost; those that still run are not counted yet."""
        spent = cls()
        for call in calls:
            if call.status != "running":
                spent = spent.plus(call)
        return spent

    def plus(self, call: CallRecord) -> Spent:
        """With one more ended call."""
        if call.source == "cached":
            return replace(self, reused=self.reused + 1)
        cached = call.cached_prompt_tokens
        usage = Usage(call.prompt_tokens or 0, call.completion_tokens or 0, cached_prompt_tokens=cached)
        cost = None if self.cost_usd is None or call.price is None else self.cost_usd + call.price.cost(usage)
        return replace(
            self,
            calls=self.calls + 1,
            prompt_tokens=self.prompt_tokens + usage.prompt_tokens,
            completion_tokens=self.completion_tokens + usage.completion_tokens,
            cost_usd=cost,
            estimated=self.estimated or call.usage_estimated,
        )


class Meter:
    """Notices an endpoint that writes past its cap, because it does not know or honour max_tokens.

    One that honours it ends by itself and reports its own count; our count may differ from it, and pieces may be more
    or less than a token. So an answer is past the cap when its pieces and our count say so, or our count by far.
    """

    def __init__(self, cap: int, client: Client) -> None:
        self._cap, self._far, self._client = cap, cap * 5 // 4 + 16, client
        self._text: list[str] = []
        self._bytes = 0
        # A token is a byte or more, and mostly about four: before that, counting could tell nothing.
        self._next_count = 3 * self._far

    async def past(self, piece: str) -> bool:
        """Take a new piece; True when the answer is past its cap."""
        if not piece:
            return False
        self._text.append(piece)
        self._bytes += len(piece.encode("utf-8", "replace"))
        many = len(self._text) > self._cap
        if many and len(self._text) == self._cap + 1:
            self._next_count = 0
        if self._bytes < self._next_count:
            return False
        tokens = await self._client.count_tokens("".join(self._text))
        allowed = self._cap if many else self._far
        self._next_count = self._bytes + allowed - tokens + 1
        return tokens > allowed


class Room(NamedTuple):
    """What a call may use."""

    max_tokens: int | None
    why: Why


class _Flight(NamedTuple):
    """A call in flight: its prompt's tokens by our count, and the most it can come to."""

    counted: int
    most: Usage


class Ledger:
    """Keeps the limits: what is spent, and what the calls in flight may still use.

    Args:
        limits: Of this run.
        price: Of the model's tokens; None when unknown.
        max_tokens: The plan's cap on an answer.
        above: Keeps the limits of several runs together, this one among them; its own are kept as well.

    Attributes:
        spent: What has been paid for so far.
    """

    def __init__(
        self, limits: Limits, price: Price | None, max_tokens: int | None, *, above: Ledger | None = None
    ) -> None:
        self.spent = Spent(cost_usd=0.0 if price is not None else None)
        self.max_tokens = max_tokens
        self._limits, self._price, self._above = limits, price, above
        self._in_flight: dict[Hashable, _Flight] = {}
        self._freed = asyncio.Condition()
        self._slack = PROMPT_SLACK

    @property
    def counting(self) -> bool:
        """A limit needs the prompt's tokens before a call."""
        mine = self._limits.max_tokens is not None or self._limits.max_cost_usd is not None
        return mine or (self._above is not None and self._above.counting)

    def book(self, key: Hashable, call: CallRecord) -> None:
        """An ended call has cost this; what it may still use is freed by `free`."""
        self.spent = self.spent.plus(call)
        if key in self._in_flight and call.prompt_tokens is not None:
            self._slack = max(self._slack, call.prompt_tokens - self._in_flight[key].counted)
        if self._above is not None:
            self._above.book(key, call)

    async def free(self, key: Hashable) -> None:
        """This call will use nothing more."""
        async with self._freed:
            self._in_flight.pop(key, None)
            self._freed.notify_all()
        if self._above is not None:
            await self._above.free(key)

    async def room(self, key: Hashable, *, prompt: int, cap: int | None, own: bool = False) -> Room:
        """What this call may use; waits for calls in flight while they may still leave more.

        Args:
            key: Names the call until `free`.
            prompt: Its prompt's tokens as we count them, without what a chat template adds.
            cap: Completion tokens that the caller wants at most.
            own: That is the plan's own cap for such a call, and not to be less than the plan's for others.

        Raises:
            LimitReachedError: It could break a limit.
        """
        async with self._freed:
            while True:
                room = self._within(prompt + self._slack, Room(cap, "plan") if own else self._wanted(cap))
                if room.why in ("plan", "cut") or not self._in_flight:
                    break
                await self._freed.wait()
            if room.max_tokens is not None and room.max_tokens < 1:
                raise LimitReachedError(room.why)
            self._in_flight[key] = _Flight(prompt, Usage(prompt + self._slack, room.max_tokens or 0))
        if self._above is None:
            return room
        try:
            over = await self._above.room(key, prompt=prompt, cap=room.max_tokens, own=own)
        except BaseException:
            await self.free(key)
            raise
        return room if over.why in ("plan", "cut") else over

    def _wanted(self, cap: int | None) -> Room:
        if cap is not None and (self.max_tokens is None or cap < self.max_tokens):
            return Room(cap, "cut")
        return Room(self.max_tokens, "plan")

    def _within(self, prompt: int, room: Room) -> Room:
        limits, spent, flying = self._limits, self.spent, [f.most for f in self._in_flight.values()]
        if limits.max_calls is not None and spent.calls + len(self._in_flight) >= limits.max_calls:
            return Room(0, "calls")
        if limits.max_tokens is not None:
            left = limits.max_tokens - spent.tokens - sum(u.prompt_tokens + u.completion_tokens for u in flying)
            room = _narrower(room, left - prompt, "tokens")
        if limits.max_cost_usd is not None and self._price is not None and spent.cost_usd is not None:
            price = self._price
            left_usd = limits.max_cost_usd - spent.cost_usd - sum(price.cost(u) for u in flying)
            left_usd -= price.cost(Usage(prompt, 0))
            if price.output_per_mtok > 0:
                room = _narrower(room, int(left_usd / price.output_per_mtok * 1e6), "cost")
            elif left_usd < 0:
                room = Room(0, "cost")
        return room


def _narrower(room: Room, tokens: int, why: Literal["tokens", "cost"]) -> Room:
    return room if room.max_tokens is not None and room.max_tokens <= tokens else Room(max(0, tokens), why)


def spent_words(spent: Spent) -> str:
    """What a search has paid for so far; an unknown price is unknown, never 0."""
    if not spent.calls and not spent.reused:
        return t("nothing yet")
    reused = tn("{n} answer reused, not paid for", "{n} answers reused, not paid for", spent.reused)
    if not spent.calls:
        return t("nothing; {reused}", reused=reused)
    values = {"answer": spent.completion_tokens, "prompt": spent.prompt_tokens}
    if spent.estimated:
        tokens = t("about {answer:,} answer tokens and about {prompt:,} prompt tokens", **values)
    else:
        tokens = t("{answer:,} answer tokens and {prompt:,} prompt tokens", **values)
    paid = {"calls": tn("{n} call", "{n} calls", spent.calls), "tokens": tokens, "money": money(spent.cost_usd)}
    if spent.reused:
        return t("{calls}, {tokens}, {money}; {reused}", **paid, reused=reused)
    return t("{calls}, {tokens}, {money}", **paid)


def apart_words(visible: float | None, thinking: float | None, *, about: bool = False) -> list[str]:
    """Output tokens apart: those of the answer, those of the thinking. Nothing where there is no thinking.

    Args:
        visible: Of the answer itself; a mean is rounded.
        thinking: Of the thinking.
        about: The split is our own reading.
    """
    if not thinking or visible is None:
        return []
    values = {"answer": round(visible), "thinking": round(thinking)}
    if about:
        return [t("answer about {answer:,}", **values), t("thinking about {thinking:,}", **values)]
    return [t("answer {answer:,}", **values), t("thinking {thinking:,}", **values)]


def call_apart(call: CallRecord) -> list[str]:
    """`apart_words` of one call."""
    about = call.usage_estimated or call.reasoning_estimated
    return apart_words(call.visible_tokens, call.thinking_tokens, about=about)


def apart_columns(parts: Iterable[tuple[float | None, float | None]]) -> dict[str, list[str]]:
    """Two more columns of a table, answer and thinking; none where no row has any thinking.

    Args:
        parts: Tokens of answer and thinking of each row, means perhaps.
    """
    rows = list(parts)
    if not any(thinking for _, thinking in rows):
        return {}
    return {
        t("of which answer"): [part_words(visible) for visible, _ in rows],
        t("of which thinking"): [part_words(thinking) for _, thinking in rows],
    }


def part_words(mean: float | None) -> str:
    """Tokens of a part of the output, a mean perhaps, in a cell of a table."""
    if mean is None:
        return "–"
    return f"{mean:,.0f}" if float(mean).is_integer() else f"{mean:,.1f}"


def money(usd: float | None) -> str:
    """Dollars in words; an unknown price is unknown, never 0."""
    if usd is None:
        return t("unknown price")
    if usd == 0:
        return t("$0 (runs on this machine)")
    return f"${usd:.6f}".rstrip("0") if usd < 0.01 else f"${usd:.4f}"


def worst_price(usd: float | None, price: Price | None) -> str:
    """What a job costs at most, with the day that its price was read; what is free has a reason and no day.

    Args:
        usd: Dollars at most; None when there is no bound, or no known price.
        price: Of the model's tokens; None when unknown.
    """
    if price is None or usd == 0:
        return money(usd)
    if usd is None:
        return t("no upper bound: set max_tokens in Settings")
    return t("{money} (price of {date})", money=money(usd), date=price.as_of)
