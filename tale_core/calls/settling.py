"""Where was the answer already there? A finished answer is closed at each of its steps, and asked what it is by then.

The thought of a finished answer is cut at the ends of its sentences and the answer forced out of each part
(`tale_core.budgets.forcing`). From the first place on from which the answer stays the same, the rest was not needed for
it. The beginning of the prompt is the same each time, so a server that keeps it reads little anew.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tale_core.budgets.forcing import forced
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallEvent
from tale_core.calls.record import Step
from tale_core.grading import equivalent, infer_kind
from tale_core.i18n import t
from tale_core.types import GUESSED, TUNED, CallRecord, Client, Outcome, Question, Request

MOST_PLACES: Final = 16
"""Places at which one answer is closed, at most."""
_END = re.compile(r"[.!?](?=\s)\s*|[。！？]+|\n+")


class ForcedKey(NamedTuple):
    """Names a probe among the calls of its session."""

    place: int


@dataclass(frozen=True, slots=True)
class Probed:
    """What the model would have answered at one place.

    Attributes:
        at_token: Output tokens up to there.
        same: It is the answer that it gave in the end.
        tokens: All that asking it took, the prompt as well.
    """

    at_token: int
    answer: str | None
    same: bool
    outcome: Outcome
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Where an answer was settled.

    Attributes:
        at_token: Output tokens after which the answer stays the same; `of_tokens` where that is only at its end.
        of_tokens: Output tokens of all of it.
        answer: Which answer; None where none was ever read.
        probes: In the order of their places.
    """

    at_token: int
    of_tokens: int
    answer: str | None
    probes: tuple[Probed, ...]

    @property
    def share_after(self) -> float:
        """How much of it came after the answer was settled, from 0 to 1."""
        return 1 - self.at_token / self.of_tokens if self.of_tokens else 0.0

    @property
    def sentence(self) -> str:
        """The finding, complete and without jargon."""
        values = {"at": self.at_token, "of": self.of_tokens, "percent": round(100 * self.share_after)}
        if self.answer is None:
            return t("No answer could be read, neither at its end nor before.")
        if self.at_token >= self.of_tokens:
            return t("All of it was needed: before its last step the model would have answered otherwise.")
        if self.at_token == 0:
            return t("None of it was needed: asked at once, the model gives the same answer.")
        return t(
            "The answer was there after {at:,} of {of:,} tokens and stayed the same: {percent} % came after it.",
            **values,
        )


def places(call: CallRecord) -> tuple[int, ...]:
    """Where an answer is closed, in letters of its trace: at its beginning, and at ends of sentences on its way.

    Also at its end, where it announces no answer by itself: then what is forced out there is the one that counts.
    """
    trace = trace_of(call)
    ends = sentence_ends(trace)
    if len(ends) < MOST_PLACES // 4:  # One long sentence, or none: then between words.
        ends = [m.end() for m in re.finditer(r"\s+", trace) if trace[m.end() :].strip() and m.start()]
    step = max(1.0, len(ends) / (MOST_PLACES - 1))
    end = () if announced(call) or not trace.strip() else (len(trace),)
    some = (ends[round(i * step)] for i in range(MOST_PLACES - 1) if round(i * step) < len(ends))
    return (0, *dict.fromkeys((*some, *end)))


def sentence_ends(trace: str) -> list[int]:
    """Where its sentences and lines end, in letters, with what stands before the next one; its own end is not one."""
    return [m.end() for m in _END.finditer(trace) if trace[: m.end()].strip() and trace[m.end() :].strip()]


def settled_place(call: CallRecord, found: Settled) -> int:
    """The letter of the trace at which an answer was settled; its length where that is only at its end."""
    known = zip(places(call), found.probes, strict=False)
    return next((end for end, probe in known if probe.at_token >= found.at_token), len(trace_of(call)))


def closed_at(call: CallRecord, end: int) -> Request:
    """The request that closes an answer after so many letters of its trace and forces the answer out."""
    cool = None if call.sampling.temperature is None else 0.0
    request = Request(
        call.messages,
        replace(call.sampling, temperature=cool),
        call.prompt_template.removeprefix(TUNED) if call.prompt_template.startswith(TUNED) else "",
    )
    thought = len(call.reasoning_text)
    return forced(request, text=call.text[: max(0, end - thought)], reasoning=call.reasoning_text[:end])


def probe_at(call: CallRecord, calls: Sequence[CallRecord], end: int) -> CallRecord | None:
    """What the model answered when this answer was closed there; None where nobody asked."""
    wanted = closed_at(call, end).messages
    return next((c for c in calls if c.role == "forced" and c.status == "done" and c.messages == wanted), None)


async def settle(
    call: CallRecord, question: Question, caller: Caller, client: Client
) -> AsyncGenerator[CallEvent, None]:
    """Close a finished answer at each of its places, one after the other.

    Args:
        call: The answer.
        question: With its kind set.
        caller: Makes the calls.
        client: Counts tokens.

    Raises:
        CannotContinueError: The endpoint does not continue messages.
        ModelError: A call failed.
        LimitReachedError: A cap is reached.
    """
    trace = trace_of(call)
    whole = await client.count_tokens(trace)
    for place, end in enumerate(places(call)):
        tokens = await client.count_tokens(trace[:end])
        step = _step(call, end, round(tokens * _written(call) / whole) if whole else 0)
        async with aclosing(caller.stream(ForcedKey(place), step, question)) as events:
            async for event in events:
                yield event


def _step(call: CallRecord, end: int, at_token: int) -> Step:
    return Step("forced", closed_at(call, end), call.prompt_template, call.prompt_version, at_token)


def probes_of(call: CallRecord, calls: Sequence[CallRecord]) -> list[CallRecord]:
    """The probes among the calls of a session that close this answer, in the order of their places."""
    begun = len(call.messages)
    mine = [c for c in calls if c.role == "forced" and c.status == "done" and c.messages[:begun] == call.messages]
    by_place = {c.messages[-1].content: c for c in mine}
    wanted = [closed_at(call, end).messages[-1].content for end in places(call)]
    return [by_place[text] for text in wanted if text in by_place] if wanted and wanted[-1] in by_place else []


def settled(call: CallRecord, calls: Sequence[CallRecord], question: Question) -> Settled | None:
    """Where an answer was settled, from the calls of its session; None where that was not asked, or not to its end."""
    made = probes_of(call, calls)
    if not made:
        return None
    kind, options = infer_kind(question), question.options
    answer = call.extracted if announced(call) else made[-1].extracted

    def same(probe: CallRecord) -> bool:
        if probe.outcome == call.outcome == Outcome.CORRECT:
            return True
        given = probe.extracted
        return given is not None and answer is not None and equivalent(given, answer, kind, options) is True

    probes = tuple(Probed(c.requested_budget or 0, c.extracted, same(c), c.outcome, _all_in(c)) for c in made)
    at = _written(call)
    for probe in reversed(probes):
        if not probe.same:
            break
        at = probe.at_token
    return Settled(at, _written(call), answer, probes)


def announced(call: CallRecord) -> bool:
    """Whether the answer says which value it comes to, so that there is no need to guess."""
    return call.extracted is not None and call.extracted_by not in (None, "none", "whole", *GUESSED)


def _all_in(call: CallRecord) -> int | None:
    known = (call.prompt_tokens, call.completion_tokens)
    return None if None in known else sum(n or 0 for n in known)


def _written(call: CallRecord) -> int:
    return call.completion_tokens or 0


def trace_of(call: CallRecord) -> str:
    """All that was written, the thought first."""
    return call.reasoning_text + call.text
