"""The calibrated estimator: the model's own estimate, corrected by what searches found.

A monotone map (isotonic, in logarithms), the middle ratio, or, when the model's estimate tells nothing (it says the
same for nearly every question), honestly the middle optimum, and then the model is not asked at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from tale_core.estimators import training
from tale_core.estimators.candidates import CALIBRATED, ZERO_SHOT
from tale_core.estimators.predictor import TrainedEstimator
from tale_core.estimators.report import Aim
from tale_core.estimators.rows import ESTIMATED, TrainingRow, require_rows, select_rows
from tale_core.estimators.words import NEVER_ASKED

_CONTEST = training.Contest("calibrated", (CALIBRATED,), (ZERO_SHOT,))


def train(
    rows: Sequence[TrainingRow],
    *,
    model: str,
    template: str,
    trained_on: str = "",
    aim: Aim = "median",
    seed: int = training.SEED,
) -> TrainedEstimator:
    """Train on the searches of one model and wording whose questions the model has named a budget for.

    See `regression.train`.
    """
    mine = select_rows(rows, model=model, template=template)
    asked = [row for row in mine if row.zero_shot is not None]
    require_rows(asked, model=model, template=template, what=ESTIMATED)
    left = len(mine) - len(asked)
    notes = [NEVER_ASKED.format(n=left)] if left else []
    return training.run(
        _CONTEST, asked, model=model, template=template, trained_on=trained_on, aim=aim, seed=seed, notes=notes
    )
