"""Token elasticity: what a model really spends when it is asked to spend less.

A sweep asks one question under a grid of budgets, k repeats each, with the vanilla and the direct answer as reference
lines. Pure over the client protocol. Its nouns are in `elasticity_types`, the statistics in `elasticity_stats`, the
sentence for people in `elasticity_finding`, several sweeps of one model together in `elasticity_profile`.
Source: arXiv 2412.18547, section 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from tale_core.elasticity_finding import finding, is_one_measurement
from tale_core.elasticity_profile import Profile, ProfilePoint, profile
from tale_core.elasticity_stats import ideal_range, mean_interval, rise_below, wilson
from tale_core.elasticity_types import (
    MAX_BUDGET,
    MAX_LEVELS,
    MAX_REPEATS,
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
from tale_core.probing import Probe, ProbeCache, ProbeFinished, ProbeKey, Prober, Spent
from tale_core.types import CallRecord, Client, Outcome

__all__ = [
    "MAX_BUDGET",
    "MAX_LEVELS",
    "MAX_REPEATS",
    "Profile",
    "ProfilePoint",
    "Rebound",
    "SweepDone",
    "SweepEvent",
    "SweepPlan",
    "SweepPoint",
    "SweepProgress",
    "SweepResult",
    "profile",
    "so_far",
    "sweep",
]
SIGNIFICANT = 0.05
_GRADED = (Outcome.CORRECT, Outcome.WRONG, Outcome.TRUNCATED, Outcome.UNPARSED)


async def sweep(
    plan: SweepPlan, client: Client, *, session_id: str = "", cache: ProbeCache | None = None
) -> AsyncGenerator[SweepEvent, None]:
    """Run a sweep; see the module's docstring. The vanilla answers come first, then all others together.

    Raises:
        InputError: The plan is wrong; nothing was sent.
        ModelError: A call failed.
    """
    plan.validate()
    plan = replace(plan, question=replace(plan.question, kind=infer_kind(plan.question)))
    prober = Prober(
        plan.question,
        client,
        template=plan.template,
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
            async with aclosing(prober.answers(*probes())) as events:
                async for event in events:
                    yield event
                    if isinstance(event, ProbeFinished):
                        tally.calls[event.key] = event.call
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
        self._grid: tuple[int, ...] | None = plan.grid(0) if plan.budgets else None
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
        tokens = self._tokens(ProbeKey("vanilla"))
        if self._grid is None:
            self._grid = self._plan.grid(sum(tokens) / len(tokens) if tokens else 1)
        keys = [ProbeKey("direct"), *(ProbeKey("probe", budget) for budget in self._grid)]
        return [Probe(key._replace(repeat=i), "sweep") for key in keys for i in range(self._plan.repeats)]

    async def result(self, spent: Spent, *, stop_reason: str = "running") -> SweepResult:
        """What is known now. In a thread: the statistics of many repeats take longer than a stream may wait."""
        return await asyncio.to_thread(self.measured, dict(self.calls), spent, stop_reason)

    def measured(self, calls: dict[ProbeKey, CallRecord], spent: Spent, stop_reason: str) -> SweepResult:
        points = self._points(calls)
        budgets = [p for p in points if p.kind == "budget" and p.budget is not None]
        sources = [c.source for c in calls.values()]
        alike = is_one_measurement(self._plan)
        result = SweepResult(
            points=points,
            ideal_range=_ideal_range(points),
            rebound=_rebound(budgets, judge=stop_reason != "running" and not alike),
            compliance=_share([w for key, c in calls.items() if (w := _within(key.budget, c)) is not None]),
            finding="",
            complete=sum(c.status == "done" and not c.cut for c in calls.values()) == self.planned,
            stop_reason=stop_reason,
            spent=spent,
            sources={source: sources.count(source) for source in sorted(set(sources))},
        )
        with use_language(SOURCE):  # It is stored and goes into files; a page says it in its reader's language.
            return replace(result, finding=finding(result, known=self._graded, alike=alike))

    def _points(self, calls: dict[ProbeKey, CallRecord]) -> tuple[SweepPoint, ...]:
        levels = [ProbeKey("vanilla"), ProbeKey("direct"), *(ProbeKey("probe", b) for b in self._grid or ())]
        found = [
            (k, [calls[r] for i in range(self._plan.repeats) if (r := k._replace(repeat=i)) in calls]) for k in levels
        ]
        return tuple(_point(key, answers, graded=self._graded) for key, answers in found if answers)

    def _tokens(self, level: ProbeKey) -> list[int]:
        keys = (level._replace(repeat=i) for i in range(self._plan.repeats))
        return [t for key in keys if key in self.calls and (t := _tokens(self.calls[key])) is not None]


def _tokens(call: CallRecord) -> int | None:
    """What an answer cost, or None when it failed or a limit of the sweep cut it."""
    return None if call.status != "done" or call.cut or call.outcome is Outcome.ERROR else call.completion_tokens


def _within(budget: int | None, call: CallRecord) -> bool | None:
    tokens = _tokens(call)
    if budget is None or tokens is None or (call.finish_reason == "length" and tokens <= budget):
        return None
    return tokens <= budget


def _share(found: list[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def _point(level: ProbeKey, calls: list[CallRecord], *, graded: bool) -> SweepPoint:
    tokens = tuple(t for c in calls if (t := _tokens(c)) is not None)
    mean = mean_interval(tokens)
    outcomes = [c.outcome for c in calls]
    n = sum(o in _GRADED for o in outcomes) if graded else 0
    right = wilson(outcomes.count(Outcome.CORRECT), n)
    return SweepPoint(
        kind="budget" if level.role == "probe" else level.role,
        budget=level.budget,
        repeats=len(calls),
        tokens=tokens,
        tokens_mean=mean and mean.mean,
        tokens_low=mean and mean.low,
        tokens_high=mean and mean.high,
        outcomes={o: outcomes.count(o) for o in Outcome if o in outcomes},
        graded=n,
        accuracy=right and right.mean,
        accuracy_low=right and right.low,
        accuracy_high=right and right.high,
        within=_share([w for c in calls if (w := _within(level.budget, c)) is not None]),
    )


def _ideal_range(points: tuple[SweepPoint, ...]) -> tuple[int, int] | None:
    """W* of the budgets under which most answers are right; none where most vanilla answers are not."""
    right = [p for p in points if p.accuracy is not None and p.accuracy > 0.5 and p.tokens_mean is not None]
    if not any(p.kind == "vanilla" for p in right):
        return None
    return ideal_range({p.budget: p.tokens_mean for p in right if p.budget is not None and p.tokens_mean is not None})


def _rebound(points: list[SweepPoint], *, judge: bool) -> Rebound | None:
    rise = rise_below({p.budget: p.tokens for p in points if p.budget is not None}, judge=judge)
    if rise is None:
        return None
    return Rebound(rise.budget, rise.turning, rise.extra, rise.p, rise.p is not None and rise.p < SIGNIFICANT)


def judged_again(plan: SweepPlan, result: SweepResult, calls: Sequence[CallRecord]) -> SweepResult:
    """What a sweep has found with the outcomes that its answers have now; what they cost does not change.

    Args:
        plan: Of the sweep.
        result: What it found when it ran.
        calls: Its answers, with labels.
    """
    graded = known_answer(plan.question) is not None or any(c.labelled for c in calls)
    points = tuple(_judged_again(point, calls, graded=graded) for point in result.points)
    again = replace(result, points=points, ideal_range=_ideal_range(points))
    alike = plan.sampling.temperature == 0 and plan.repeats > 1
    return replace(again, finding=finding(again, known=graded, alike=alike))


def _judged_again(point: SweepPoint, calls: Sequence[CallRecord], *, graded: bool) -> SweepPoint:
    level = ProbeKey("probe" if point.kind == "budget" else point.kind, point.budget)
    mine = [c for c in calls if (c.role, c.requested_budget) == level[:2] and c.status in ("done", "failed")]
    return _point(level, mine, graded=graded) if len(mine) == point.repeats else point
