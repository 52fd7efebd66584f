"""Asks a sample of the requests both ways, one after the other and within limits, and says whether the answers agree.

Where the client got the plain answer the changed request is asked beside it; where it got the changed one, the plain
request. What was found chooses the change that save mode uses.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tale_core.errors import TaleError
from tale_core.grading import equivalent, infer_kind
from tale_core.grading.extract import extract
from tale_core.models.endpoints import preset_at
from tale_core.models.tokens import count
from tale_core.proxy.change import Change, Changed, applied, broken, change, question_of, usual
from tale_core.proxy.figures import best, findings
from tale_core.proxy.kept import keep
from tale_core.proxy.plan import ProxyPlan
from tale_core.proxy.reading import Read
from tale_core.proxy.wish import Wish
from tale_core.store import Pair, TrafficStore
from tale_core.store.traffic import Verdict
from tale_core.types import Price, Question, Usage

WAITING = 100
"""Requests that wait to be asked a second time; more are passed over."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered.

    Attributes:
        body: The plain request.
        how: The change that was made; None where none was.
        answer: What the client got.
        plain: The plain answer, where it was asked for since the changed one did not do.
        dropped: Output tokens of that one.
    """

    body: dict[str, Any]
    how: Change | None
    budget: int | None
    answer: Read
    plain: Read | None
    dropped: int
    fallback: str
    headers: list[tuple[bytes, bytes]]
    query: bytes
    origin: str = "observed"


Ask = Callable[[Mapping[str, Any], Answered], Awaitable[Read | None]]
"""Sends a body as a request came; None where no answer came."""


class Pairs:
    """The second requests of one endpoint.

    Args:
        plan: How many, and within which limits.
        store: Where they are counted.
        ask: Sends one.
        rng: Draws the sample.
    """

    def __init__(self, plan: ProxyPlan, store: TrafficStore, ask: Ask, rng: random.Random | None = None) -> None:
        self._plan, self._store, self._send = plan, store, ask
        self._rng = rng or random.Random()
        self._waiting: asyncio.Queue[Answered] = asyncio.Queue(WAITING)
        self._worker: asyncio.Task[None] | None = None
        self._best: dict[str, Change | None] = {}
        self._usual: dict[str, tuple[Change, ...]] = {}
        self._turn: dict[str, int] = {}

    async def choice(self, wished: Wish) -> Change | None:
        """The change that is made to a request without a wish for a certain one; None leaves it as it is."""
        if self._plan.mode != "save" and not wished.best:
            return None
        model = wished.model
        if model not in self._best:
            await asyncio.to_thread(self._choose, model)
        if self._best[model] is None and wished.best:
            return (await self._candidates(model))[0]
        return self._best[model]

    def offer(self, answered: Answered) -> None:
        """A request was answered: by chance it is asked a second time."""
        if self._rng.random() >= self._plan.sample or self._waiting.full():
            return
        self._waiting.put_nowait(answered)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def settled(self) -> None:
        """Wait until none is waiting or under way."""
        await self._waiting.join()

    async def aclose(self) -> None:
        """Ask no more; what is under way is given up, and stays booked with the most that it can have cost."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            answered = await self._waiting.get()
            try:
                await self.ask(answered)
            except TaleError as e:
                log.warning("A request could not be asked a second time: %s", e)
            finally:
                self._waiting.task_done()

    async def ask(self, answered: Answered) -> None:
        """Ask it a second time, if a limit does not forbid it."""
        model = str(answered.body["model"])
        how, other = answered.how, Changed(answered.body, answered.budget)
        if how is None:
            candidates = await self._candidates(model)
            turn = self._turn[model] = self._turn.get(model, -1) + 1
            how = candidates[turn % len(candidates)]
            made = await asyncio.to_thread(applied, how, answered.body, model=model, base_url=self._plan.upstream)
            if made is None:
                return
            other = made
        origin = "saved" if answered.how else answered.origin
        pair = Pair(uuid.uuid4().hex, self._plan.upstream, model, how.name, origin,
                    budget=other.budget, fallback=answered.fallback)  # fmt: skip
        if answered.plain is None:
            second = await self._asked(pair, other.body, answered)
        else:
            second, pair = answered.answer, replace(pair, spent_usd=0.0)
            await asyncio.to_thread(self._store.begin_pair, pair)
        if second is not None:
            await asyncio.to_thread(self._settle, pair, how, answered, second)

    async def _asked(self, pair: Pair, body: Mapping[str, Any], answered: Answered) -> Read | None:
        """The second answer; None where a limit forbids it, or none came."""
        price = price_of(self._plan.upstream, pair.model)
        most = Usage(*most_tokens(body, answered.answer))
        begun = replace(pair, spent_tokens=most.prompt_tokens + most.completion_tokens,
                        spent_usd=price.cost(most) if price else None)  # fmt: skip
        if not await asyncio.to_thread(self._may, begun, price):
            return None
        await asyncio.to_thread(self._store.begin_pair, begun)
        second = await self._send(body, answered)
        if second is None or second.completion_tokens is None:
            # What a failed request was charged nobody says: it stays booked with the most.
            await asyncio.to_thread(self._store.end_pair, replace(begun, status="broken", verdict="failed"))
            return None
        return second

    def _may(self, pair: Pair, price: Price | None) -> bool:
        limits, spent = self._plan.limits, self._store.spent(self._plan.upstream)
        dear = price is None or spent.usd is None or spent.usd + (pair.spent_usd or 0) > (limits.max_cost_usd or 0)
        if limits.max_cost_usd is not None and dear:
            return False
        if limits.max_tokens is not None and spent.tokens + pair.spent_tokens > limits.max_tokens:
            return False
        return limits.max_calls is None or spent.calls < limits.max_calls

    def _settle(self, pair: Pair, how: Change, answered: Answered, second: Read) -> None:
        price = price_of(pair.upstream, pair.model)
        asked = answered.plain is None
        used = Usage(second.prompt_tokens or 0, second.completion_tokens or 0) if asked else Usage(0, 0)
        plain, changed = (second, answered.answer) if answered.how else (answered.answer, second)
        tokens, estimated = same_counts(plain, changed, pair.model)
        fallback = answered.fallback or ("" if answered.how else broken(answered.body, changed, how))
        question = question_of(answered.body)
        pair = replace(
            pair, status="done", plain_tokens=tokens[0], estimated=estimated, fallback=fallback,
            changed_tokens=_with_fallback(tokens, answered, fallback),
            verdict="agree" if fallback else judge(question, plain.text, changed.text),
            spent_tokens=used.prompt_tokens + used.completion_tokens, spent_usd=price.cost(used) if price else None,
        )  # fmt: skip
        if self._plan.keep is not None:
            until = datetime.now(UTC) + self._plan.keep
            pair = replace(pair, session_id=keep(self._store.store, pair, question, plain, changed), kept_until=until)
        self._store.end_pair(pair)
        self._store.forget_texts()
        self._choose(pair.model)

    def _choose(self, model: str) -> None:
        found = findings(self._store.pairs(upstream=self._plan.upstream, model=model))
        names = {one.name for one in self._plan.changes}
        fit = best([one for one in found if not names or one.strategy in names], self._plan.agree)
        self._best[model] = None if fit is None else change(fit.strategy)

    async def _candidates(self, model: str) -> tuple[Change, ...]:
        if self._plan.changes:
            return self._plan.changes
        if model not in self._usual:
            self._usual[model] = await asyncio.to_thread(usual, model)
        return self._usual[model]


def _with_fallback(tokens: tuple[int, int], answered: Answered, fallback: str) -> int:
    """Output tokens of the changed way, with what it threw away."""
    if answered.how is not None:
        return tokens[1] + answered.dropped
    return tokens[1] + (tokens[0] if fallback else 0)


def most_tokens(body: Mapping[str, Any], plain: Read) -> tuple[int, int]:
    """The most tokens of prompt and answer: by the client's own limit, else twice what the first answer took."""
    prompt = plain.prompt_tokens or count(str(body.get("messages", "")))
    capped = body.get("max_completion_tokens") or body.get("max_tokens")
    answer = capped if isinstance(capped, int) and capped > 0 else 2 * (plain.completion_tokens or 1000)
    return prompt + 50, answer


def same_counts(plain: Read, changed: Read, model: str) -> tuple[tuple[int, int], bool]:
    """Output tokens of both answers, counted in the same way: by us where one of them was."""
    if plain.estimated or changed.estimated:
        return (count(plain.text, model), count(changed.text, model)), True
    return (plain.completion_tokens or 0, changed.completion_tokens or 0), False


def price_of(upstream: str, model: str) -> Price | None:
    """What the upstream's tokens cost; None when unknown."""
    known = preset_at(upstream)
    found = known.model(model) if known else None
    return found.price if found else None


def judge(question: Question, plain: str, changed: str) -> Verdict:
    """Whether two answers give the same result; "unread" where one has no result that a grader can find."""
    if plain.strip() == changed.strip():
        return "agree" if plain.strip() else "unread"
    kind = infer_kind(question)
    first, second = extract(plain, kind, question.options), extract(changed, kind, question.options)
    if first.value is None or second.value is None or "whole" in (first.method, second.method):
        return "unread"
    same = equivalent(second.value, first.value, kind, question.options)
    return {True: "agree", False: "differ", None: "unread"}[same]  # type: ignore[return-value]
