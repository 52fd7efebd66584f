"""Experiments: data sets × strategies × repeats, run headless, resumed after a crash, and their results.

`plan` says what to run, `runner` runs it, `asking` makes the calls, `throttle` adapts how many at a time, `journal`
writes them, `results` and `rows` read them, `document` and `report` put them into files, `job` is for whoever watches.
"""

from tale_core.experiments.events import (
    CallFinished,
    ExperimentDone,
    ExperimentEvent,
    ExperimentStarted,
    Progress,
    RateLimited,
    UnitFinished,
)
from tale_core.experiments.opening import create_experiment
from tale_core.experiments.plan import ExperimentPlan, Unit
from tale_core.experiments.results import ExperimentResults, results, stored_plan
from tale_core.experiments.rows import Difference, StrategyRow, rows_of
from tale_core.experiments.runner import run_experiment

__all__ = [
    "CallFinished",
    "Difference",
    "ExperimentDone",
    "ExperimentEvent",
    "ExperimentPlan",
    "ExperimentResults",
    "ExperimentStarted",
    "Progress",
    "RateLimited",
    "StrategyRow",
    "Unit",
    "UnitFinished",
    "create_experiment",
    "results",
    "rows_of",
    "run_experiment",
    "stored_plan",
]
