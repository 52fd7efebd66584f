"""What a running experiment tells, as frozen objects. None of them is kept by the runner."""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.calls.budget_ledger import Spent
from tale_core.calls.events import CallFinished, RateLimited
from tale_core.experiments.results import ExperimentResults
from tale_core.store import UnitRecord


@dataclass(frozen=True, slots=True)
class ExperimentStarted:
    """The experiment is stored and its first calls are about to be sent.

    Attributes:
        finished: Units that ended well before a resume.
    """

    experiment_id: str
    planned: int
    finished: int


@dataclass(frozen=True, slots=True)
class UnitFinished:
    """A question was answered by a strategy, or that failed; it is stored."""

    unit: UnitRecord


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        finished: Units that ended well, those before a resume included.
        failed: Units that failed in this run.
        planned: Units in all; when what failed alone is tried again, those that were there and those.
        eta_s: Seconds left at the pace so far; None before there is one.
        concurrency: Calls that may run at the same time now.
    """

    finished: int
    failed: int
    planned: int
    spent: Spent
    eta_s: float | None
    concurrency: int


@dataclass(frozen=True, slots=True)
class ExperimentDone:
    """The end, stored.

    Attributes:
        stop: Why not every unit is done, in words; None when every unit is.
    """

    results: ExperimentResults
    stop: str | None


ExperimentEvent = ExperimentStarted | CallFinished | UnitFinished | Progress | RateLimited | ExperimentDone
