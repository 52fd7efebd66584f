"""A sweep as the person watching it sees it."""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.calls.run import StudyView
from tale_core.elasticity.engine import SweepPlan, SweepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView(StudyView):
    """A picture of one sweep, running or stored.

    Attributes:
        result: What it found so far; None before the first answer.
    """

    plan: SweepPlan
    finished: int = 0
    planned: int = 0
    result: SweepResult | None = None
