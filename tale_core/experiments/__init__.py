"""Experiments: data sets × strategies × repeats, run headless, resumed after a crash, and their results.

`plan` says what to run, `runner` runs it, `asking` makes the calls (`tale_core.calls` limits, retries and writes them),
`results` and `table` read them, `export` and `html_report` put them into files, `run` keeps the picture that a page
shows.
"""

from tale_core.calls.events import CallFinished, RateLimited
from tale_core.experiments.create import create_experiment
from tale_core.experiments.events import ExperimentDone, ExperimentEvent, ExperimentStarted, Progress, UnitFinished
from tale_core.experiments.plan import ExperimentPlan, Unit
from tale_core.experiments.results import ExperimentResults, results, stored_plan
from tale_core.experiments.runner import run_experiment
from tale_core.experiments.table import Difference, StrategyRow, rows_of

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
