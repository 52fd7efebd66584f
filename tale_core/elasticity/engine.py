"""Token elasticity: what a model really spends when it is asked to spend less.

A sweep asks one question under a grid of budgets, k repeats each, with the vanilla and the direct answer as reference
lines. Pure over the client protocol. Its plan, levels and events are in `plan`, the statistics in `tale_core.stats`,
the sentence for people in `finding`.
Source: arXiv 2412.18547, section 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from tale_core.budgets.kinds import ASKED, Kind
from tale_core.calls.budget_ledger import Spent
from tale_core.calls.cache import AnswerCache
from tale_core.calls.events import CallFinished
from tale_core.calls.probing import Probe, ProbeKey, Prober
from tale_core.elasticity.finding import finding, is_one_measurement
from tale_core.elasticity.plan import (
    MAX_BUDGET,
    MAX_LEVELS,
    MAX_REPEATS,
    CheckedSweep,
    Rebound,
    SweepDone,
    SweepEvent,
    SweepPlan,
    SweepPoint,
    SweepProgress,
    SweepResult,
)
from tale_core.errors import LimitReachedError
from tale_core.grading import infer_kind, known_answer
from tale_core.i18n import SOURCE, use_language
from tale_core.stats import ideal_range, mean_if_all, mean_interval, rise_below, wilson
from tale_core.types import CallRecord, Client, Level, Outcome

__all__ = [
    "MAX_BUDGET",
    "MAX_LEVELS",
    "MAX_REPEATS",
    "Rebound",
    "SweepDone",
    "SweepEvent",
    "SweepPlan",
    "SweepPoint",
    "SweepProgress",
    "SweepResult",
    "so_far",
    "sweep",
]
SIGNIFICANT = 0.05


async def sweep(
    plan: CheckedSweep, client: Client, *, session_id: str = "", cache: AnswerCache | None = None
) -> AsyncGenerator[SweepEvent, None]:
    """Run a sweep; see the module's docstring. The vanilla answers come first, then all others together.

    Raises:
        InputError: A limit on money and no published price; nothing was sent.
        ModelError: A call failed.
    """
    plan = replace(plan, question=replace(plan.question, kind=infer_kind(plan.question)))
    prober = Prober(
        plan.question,
        client,
        template=plan.template,
        kind=plan.kind,
        sampling=plan.sampling,
        session_id=session_id,
        cache=cache if plan.reuse else None,
        limits=plan.limits,
        slots=plan.slots,
    )
    tally = _Tally(plan)
    stop_reason = "done"
    try:
        for probes in (tally.vanilla, tally.others):
            # An endpoint may have fewer levels than were asked for: those it refuses are told, the others go on.
            refusals = probes == tally.others and plan.kind.SENT == "parameter"
            async with aclosing(prober.answers(*probes(), refusals=refusals)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, CallFinished):
                        tally.calls[cast(ProbeKey, event.key)] = event.call
                        yield SweepProgress(await tally.result(event.spent), len(tally.calls), tally.planned)
    except LimitReachedError as e:
        stop_reason = f"limit-{e.which}"
    yield SweepDone(await tally.result(prober.spent, stop_reason=stop_reason))


def so_far(plan: SweepPlan, calls: Mapping[ProbeKey, CallRecord], spent: Spent) -> SweepResult:
    """What a sweep that goes on knew when it had these answers; for replaying one."""
    tally = _Tally(plan)
    tally.calls = dict(calls)
    tally.others()
    return tally.measured(tally.calls, spent, "running")


class _Tally:
    """The answers of a sweep so far, and what they tell."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._graded = known_answer(plan.question) is not None
        # A geometric grid needs the vanilla answer's tokens first.
        self._grid = plan.known_grid
        self.calls: dict[ProbeKey, CallRecord] = {}

    @property
    def planned(self) -> int:
        """Answers; of a geometric grid not yet known the most there can be."""
        levels = self._plan.points if self._grid is None else len(self._grid)
        return self._plan.repeats * (levels + 2)

    def vanilla(self) -> list[Probe]:
        return [Probe(ProbeKey("vanilla", None, i), "vanilla") for i in range(self._plan.repeats)]

    def others(self) -> list[Probe]:
        """Direct, then the budgets from the largest down, so that the curve grows from one side."""
        if self._grid is None:
            self._grid = self._plan.grid(self._vanilla())
        keys = [ProbeKey("direct"), *(ProbeKey("probe", budget) for budget in self._grid)]
        return [Probe(key._replace(repeat=i), "sweep") for key in keys for i in range(self._plan.repeats)]

    async def result(self, spent: Spent, *, stop_reason: str = "running") -> SweepResult:
        """What is known now. In a thread: the statistics of many repeats take longer than a stream may wait."""
        return await asyncio.to_thread(self.measured, dict(self.calls), spent, stop_reason)

    def measured(self, calls: dict[ProbeKey, CallRecord], spent: Spent, stop_reason: str) -> SweepResult:
        points = self._points(calls)
        sources = [c.source for c in calls.values()]
        alike = is_one_measurement(self._plan)
        result = SweepResult(
            points=points,
            ideal_range=_ideal_range(points),
            rebound=_rebound(self._plan, points, judge=stop_reason != "running" and not alike),
            compliance=_share(
                [w for k, c in calls.items() if (w := _within(self._plan.kind, k.budget, c)) is not None]
            ),
            finding="",
            complete=sum(_has_ended(c) for c in calls.values()) == self.planned,
            stop_reason=stop_reason,
            spent=spent,
            sources={source: sources.count(source) for source in sorted(set(sources))},
        )
        with use_language(SOURCE):  # It is stored and goes into files; a page says it in its reader's language.
            return replace(result, finding=finding(self._plan, result, known=self._graded))

    def _points(self, calls: dict[ProbeKey, CallRecord]) -> tuple[SweepPoint, ...]:
        levels = [ProbeKey("vanilla"), ProbeKey("direct"), *(ProbeKey("probe", b) for b in self._grid or ())]
        found = [
            (k, [calls[r] for i in range(self._plan.repeats) if (r := k._replace(repeat=i)) in calls]) for k in levels
        ]
        kind = self._plan.kind
        return _in_order(kind, [_point(kind, key, answers, graded=self._graded) for key, answers in found if answers])

    def _vanilla(self) -> float:
        """What the vanilla answers cost of what the budget limits, as far as that is known; 1 without any."""
        keys = (ProbeKey("vanilla", None, i) for i in range(self._plan.repeats))
        known = [self.calls[key] for key in keys if key in self.calls and _tokens(self.calls[key]) is not None]
        tokens = [c.completion_tokens or 0 for c in known]
        limited = [held for c in known if (held := self._plan.kind.held(c)) is not None]
        if self._plan.kind is not ASKED and limited:
            tokens = limited
        return sum(tokens) / len(tokens) if tokens else 1


def _has_ended(call: CallRecord) -> bool:
    """Whether it is an answer, or a level that the endpoint does not have: asking again would bring nothing more."""
    return (call.status == "done" and not call.cut) or (call.role == "probe" and call.status == "failed")


def _in_order(kind: Kind, points: Sequence[SweepPoint]) -> tuple[SweepPoint, ...]:
    """As they were asked for; words by what they cost, which their names do not tell."""
    if kind.NUMBERS:
        return tuple(points)
    named = [p for p in points if p.kind == "budget"]
    rest = [p for p in points if p.kind != "budget"]
    return (*rest, *sorted(named, key=lambda p: -(p.tokens_mean or 0)))


def _tokens(call: CallRecord) -> int | None:
    """What an answer cost, or None when it failed or a limit of the sweep cut it."""
    failed = call.outcome is Outcome.ERROR and not call.refused
    return None if call.status != "done" or call.cut or failed else call.completion_tokens


def _within(kind: Kind, budget: Level | None, call: CallRecord) -> bool | None:
    tokens = None if _tokens(call) is None else kind.held(call)
    if not isinstance(budget, int) or tokens is None or (call.finish_reason == "length" and tokens <= budget):
        return None
    return tokens <= budget


def _share(found: list[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def _point(kind: Kind, level: ProbeKey, calls: list[CallRecord], *, graded: bool) -> SweepPoint:
    tokens = tuple(t for c in calls if (t := _tokens(c)) is not None)
    mean = mean_interval(tokens)
    counted = [c for c in calls if _tokens(c) is not None]
    outcomes = [c.outcome for c in calls]
    judged = [j for c in calls if (graded or c.labelled) and (j := c.judged) is not None]
    right = wilson(sum(judged), len(judged))
    return SweepPoint(
        kind="budget" if level.role == "probe" else level.role,
        budget=level.budget,
        repeats=len(calls),
        tokens=tokens,
        tokens_mean=mean and mean.mean,
        tokens_low=mean and mean.low,
        tokens_high=mean and mean.high,
        outcomes={o: outcomes.count(o) for o in Outcome if o in outcomes},
        graded=len(judged),
        accuracy=right and right.mean,
        accuracy_low=right and right.low,
        accuracy_high=right and right.high,
        within=_share([w for c in calls if (w := _within(kind, level.budget, c)) is not None]),
        visible_tokens_mean=mean_if_all(c.visible_tokens for c in counted),
        thinking_tokens_mean=mean_if_all(c.thinking_tokens for c in counted),
        refused=sum(c.refused for c in calls),
        dropped=sum(kind.dropped(c) for c in calls) if level.role == "probe" else 0,
        held=mean_if_all(kind.held(c) for c in counted),
    )


def _ideal_range(points: tuple[SweepPoint, ...]) -> tuple[int, int] | None:
    """W* of the budgets under which most answers are right; none where most vanilla answers are not."""
    right = [p for p in points if p.accuracy is not None and p.accuracy > 0.5 and p.tokens_mean is not None]
    if not any(p.kind == "vanilla" for p in right):
        return None
    return ideal_range({p.budget: p.tokens_mean or 0 for p in right if isinstance(p.budget, int)})


def _rebound(plan: SweepPlan, points: Sequence[SweepPoint], *, judge: bool) -> Rebound | None:
    """A smaller budget that cost more; of words, one that should cost less by its place in the plan."""
    place: dict[Level, int] = {level: i for i, level in enumerate(plan.levels, start=1)}
    tokens = {p.budget: p.tokens for p in points if p.budget is not None}
    rise = rise_below({b if isinstance(b, int) else place[b]: t for b, t in tokens.items()}, judge=judge)
    if rise is None:
        return None
    named = {number: level for level, number in place.items()}
    budget, turning = (named.get(b, b) for b in (rise.budget, rise.turning))
    return Rebound(budget, turning, rise.extra, rise.p, rise.p is not None and rise.p < SIGNIFICANT)


def judged_again(plan: SweepPlan, result: SweepResult, calls: Sequence[CallRecord]) -> SweepResult:
    """What a sweep has found with the outcomes that its answers have now; what they cost does not change.

    Args:
        plan: Of the sweep.
        result: What it found when it ran.
        calls: Its answers, with labels.
    """
    known = known_answer(plan.question) is not None
    points = tuple(_judged_again(plan.kind, point, calls, graded=known) for point in result.points)
    again = replace(result, points=points, ideal_range=_ideal_range(points))
    graded = known or any(c.labelled for c in calls)
    return replace(again, finding=finding(plan, again, known=graded))


def _judged_again(kind: Kind, point: SweepPoint, calls: Sequence[CallRecord], *, graded: bool) -> SweepPoint:
    level = ProbeKey("probe" if point.kind == "budget" else point.kind, point.budget)
    mine = [c for c in calls if (c.role, c.level) == level[:2] and c.status in ("done", "failed")]
    return _point(kind, level, mine, graded=graded) if len(mine) == point.repeats else point
