"""The regression estimator: a budget from the question's words and structure, learnt from searches. Costs no call."""

from __future__ import annotations

from collections.abc import Sequence

from tale_core.estimators import training
from tale_core.estimators.candidates import BOOSTING, CALIBRATED, NEIGHBOURS, RIDGE, ZERO_SHOT
from tale_core.estimators.predictor import TrainedEstimator
from tale_core.estimators.report import Aim
from tale_core.estimators.rows import TrainingRow, require_rows, select_rows

_CONTEST = training.Contest("regression", (RIDGE, BOOSTING, NEIGHBOURS), (ZERO_SHOT, CALIBRATED))


def train(
    rows: Sequence[TrainingRow],
    *,
    model: str,
    template: str,
    trained_on: str = "",
    aim: Aim = "median",
    seed: int = training.SEED,
) -> TrainedEstimator:
    """Train on the searches of one model and wording.

    Args:
        rows: Of any models and wordings; those of others are left out.
        model: The model whose optima are predicted.
        template: The wording they were searched with.
        trained_on: When, in ISO 8601; stored, and part of the version.
        aim: Hand out the middle prediction, or one that is enough for nine questions out of ten.
        seed: The same rows and seed give the same estimator.

    Raises:
        TooFewRowsError: Fewer than MIN_ROWS rows.
        TrainingError: Too many rows, or all optima or all questions the same.
    """
    mine = select_rows(rows, model=model, template=template)
    require_rows(mine, model=model, template=template)
    return training.run(_CONTEST, mine, model=model, template=template, trained_on=trained_on, aim=aim, seed=seed)
