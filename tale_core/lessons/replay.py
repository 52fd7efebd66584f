"""A recording at a moment: the same pictures that a live run gives, so that the same code draws them.

Pure: time comes in as a number. `at` gives the picture at so many milliseconds; `Player` is a tape deck that knows
where it stands at a moment of any clock.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from tale_core.ask.run import AskView
from tale_core.ask.run import view_of as ask_view
from tale_core.calls.budget_ledger import Spent
from tale_core.calls.probing import ProbeKey
from tale_core.calls.recorder import CallView, stored_view
from tale_core.calls.run import Common
from tale_core.elasticity.engine import SweepPlan, so_far
from tale_core.elasticity.view import SweepView
from tale_core.lessons.recorded import Recording, Tape
from tale_core.runs.views import view_of as study_view
from tale_core.search.engine import SearchPlan, SearchStep
from tale_core.search.view import SearchView
from tale_core.types import CallRecord, Outcome, Role

ReplayView = AskView | SearchView | SweepView
SPEEDS: Final = (1.0, 2.0, 4.0)
"""How many times faster than it was."""


@dataclass(frozen=True, slots=True)
class Player:
    """A tape deck. Every change gives a new one; `now` is any clock's seconds, the same clock each time.

    Attributes:
        duration_ms: Of the recording.
        at_ms: Where it stood when `since` was taken.
        since: When it began to play; None while it is paused.
        speed: Milliseconds of the recording per millisecond of the clock.
    """

    duration_ms: int
    at_ms: float = 0.0
    since: float | None = None
    speed: float = 1.0

    def position(self, now: float) -> float:
        """Milliseconds from the start; never past the end, never backwards."""
        played = 0.0 if self.since is None else max(0.0, now - self.since) * 1000 * self.speed
        return min(float(self.duration_ms), self.at_ms + played)

    def playing(self, now: float) -> bool:
        """It moves: not paused, and not at its end."""
        return self.since is not None and self.position(now) < self.duration_ms

    def play(self, now: float) -> Player:
        """Go on from here; from the start when it is at its end."""
        here = self.position(now)
        return replace(self, at_ms=0.0 if here >= self.duration_ms else here, since=now)

    def pause(self, now: float) -> Player:
        """Stay here."""
        return replace(self, at_ms=self.position(now), since=None)

    def at_speed(self, speed: float, now: float) -> Player:
        """The same place, another speed."""
        return replace(self, at_ms=self.position(now), since=None if self.since is None else now, speed=speed)

    def step(self, moments: tuple[int, ...], now: float) -> Player:
        """Pause at the next of these moments; at the end when none is left."""
        here = self.position(now)
        following = (float(m) for m in moments if m > here)
        return replace(self, at_ms=next(following, float(self.duration_ms)), since=None)

    def to_end(self) -> Player:
        """Everything at once."""
        return replace(self, at_ms=float(self.duration_ms), since=None)


def at(recording: Recording, ms: float) -> ReplayView:
    """The picture at this moment; from the end on the picture of the stored session."""
    if ms >= recording.duration_ms:
        return whole(recording)
    if recording.kind == "ask":
        return _ask(recording, ms)
    return _study(recording, ms)


def whole(recording: Recording) -> ReplayView:
    """The picture of the whole recording."""
    return ask_view(recording.session) if recording.kind == "ask" else study_view(recording.session)


def call_at(call: CallRecord, tape: Tape, ms: float) -> CallView | None:
    """One call at this moment; None before it was asked for."""
    if ms < tape.start_ms:
        return None
    if ms >= tape.end_ms:
        return stored_view(call)
    times = list(accumulate((piece[0] for piece in tape.pieces), initial=tape.start_ms))[1:]
    pieces = bisect_right(times, ms)
    letters = sum(piece[1] for piece in tape.pieces[:pieces])
    thought = sum(piece[2] for piece in tape.pieces[:pieces])
    thinking = sum(not piece[1] and piece[2] > 0 for piece in tape.pieces[:pieces])
    return CallView(
        _unfinished(call), call.text[:letters], call.reasoning_text[:thought], pieces, thinking,
        elapsed_s=(ms - tape.start_ms) / 1000, writing_s=(ms - times[0]) / 1000 if pieces else None,
    )  # fmt: skip


def _unfinished(call: CallRecord) -> CallRecord:
    """The record as it was while the answer was being written: nothing in it tells what came later."""
    return replace(
        call,
        status="running",
        text="",
        reasoning_text="",
        prompt_tokens=None,
        completion_tokens=None,
        reasoning_tokens=None,
        ttft_s=None,
        latency_s=None,
        finish_reason=None,
        cost_usd=None,
        cut=False,
        outcome=Outcome.UNGRADED,
        extracted=None,
        extracted_by=None,
    )


def _calls(recording: Recording, ms: float) -> list[CallView]:
    pairs = zip(recording.session.calls, recording.tapes, strict=True)
    return [view for call, tape in pairs if (view := call_at(call, tape, ms)) is not None]


def _ask(recording: Recording, ms: float) -> AskView:
    end = ask_view(recording.session)
    calls: dict[Role, CallView] = {v.record.role: v for v in _calls(recording, ms) if v.record.role != "forced"}
    estimate = calls.get("estimate")
    answering = "estimate" not in end.calls or (estimate is not None and estimate.record.status == "done")
    return replace(
        end,
        status="running",
        phase="answering" if answering else "estimating",
        calls=calls,
        budget=end.budget if answering else None,
        budget_raw=end.budget_raw if answering else "",
        budget_problem=end.budget_problem if answering else None,
        expected=end.calls["vanilla"].record.completion_tokens if "vanilla" in end.calls else None,
    )


def _study(recording: Recording, ms: float) -> SearchView | SweepView:
    session = recording.session
    calls = _calls(recording, ms)
    ended = [view.record for view in calls if view.record.status == "done"]
    common = Common(
        session_id=session.id,
        status="running",
        phase="running",
        question=session.question,
        model=session.model,
        endpoint=session.endpoint,
        calls=tuple(calls),
        spent=Spent.of(ended),
        parent_id=None,
        error=None,
        created_at=session.created_at,
    )
    found = session.result or {}
    if recording.kind == "search":
        known = bisect_right(recording.marks, ms)
        steps = tuple(SearchStep.from_document(step) for step in found.get("steps", ())[:known])
        return SearchView(**common, plan=SearchPlan.from_document(session.plan), steps=steps)
    plan = SweepPlan.from_document(session.plan)
    result = so_far(plan, {_key(call): call for call in ended}, common["spent"]) if ended else None
    planned = int(found.get("planned", 0)) if any(c.role == "vanilla" for c in ended) else 0
    return SweepView(**common, plan=plan, finished=len(ended), planned=planned, result=result)


def _key(call: CallRecord) -> ProbeKey:
    assert call.role in ("vanilla", "direct", "probe"), call.role  # `_check` of a sweep's session has no other.
    return ProbeKey(call.role, call.level, call.repeat_index)
