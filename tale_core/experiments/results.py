"""The results of an experiment, read from what is stored, finished or not. The rows are made in `table`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tale_core.calls.budget_ledger import Spent
from tale_core.errors import StoreError
from tale_core.experiments import import_notes as imported
from tale_core.experiments.import_notes import ImportInfo
from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.table import StrategyRow, rows_of
from tale_core.i18n import t
from tale_core.store import ExperimentStore, Store
from tale_core.types import Status


@dataclass(frozen=True, slots=True)
class ExperimentResults:
    """What an experiment has found so far.

    Attributes:
        rows: In the plan's order.
        spent: What was paid for, failed and stopped calls included; reused answers cost nothing.
        imported: Where its answers come from, if it was not run here: then those that are there are all that there are.
    """

    experiment_id: str
    dataset: str
    model: str
    endpoint: str
    status: Status
    questions: int
    repeats: int
    planned: int
    finished: int
    failed: int
    spent: Spent
    rows: tuple[StrategyRow, ...]
    imported: ImportInfo | None = None

    @property
    def complete(self) -> bool:
        """Every unit is done."""
        return self.finished == self.planned


def stored_plan(store: Store, experiment_id: str) -> ExperimentPlan:
    """The plan of a stored experiment, ready to be resumed; trained estimators have to be put in again.

    Raises:
        NotFoundError: No such experiment.
        StoreError: It is no experiment, or cannot be read.
    """
    experiments = ExperimentStore(store)
    document = experiments.head(experiment_id).plan
    try:
        return ExperimentPlan.from_document(document, experiments.questions(experiment_id), resume_of=experiment_id)
    except (KeyError, TypeError, ValueError) as e:
        raise StoreError(
            t("The plan of experiment {id!r} cannot be read ({error}).", id=experiment_id, error=type(e).__name__),
            t("It was written by another version of this program."),
        ) from None


def results(store: Store, experiment_id: str, *, paid_once: Mapping[str, int] | None = None) -> ExperimentResults:
    """The results of a stored experiment, finished or not.

    Args:
        store: Where it is.
        experiment_id: Which one.
        paid_once: Tokens that a strategy took once before any question (training, searches), for the break-even.

    Raises:
        NotFoundError: No such experiment.
        StoreError: It is no experiment, or cannot be read.
    """
    experiments = ExperimentStore(store)
    head = experiments.head(experiment_id)
    plan, figures = head.plan, experiments.figures(experiment_id)
    try:
        questions, repeats, names = int(plan["questions"]), int(plan["repeats"]), list(plan["strategies"])
    except (KeyError, TypeError, ValueError):
        raise StoreError(
            t("The plan of experiment {id!r} cannot be read.", id=experiment_id), t("Begin a new one.")
        ) from None
    info, finished = imported.read(plan), sum(f.status == "done" for f in figures)
    rows = rows_of(figures, names, planned=questions * repeats, paid_once=paid_once)
    return ExperimentResults(
        experiment_id=experiment_id,
        dataset=str(plan.get("dataset", "")),
        model=head.model,
        endpoint=head.endpoint,
        status=head.status,
        questions=questions,
        repeats=repeats,
        planned=finished if info else questions * repeats * len(names),
        finished=finished,
        failed=sum(f.status == "failed" for f in figures),
        spent=Spent(*experiments.spent(experiment_id)),
        rows=tuple(replace(row, planned=row.n) for row in rows) if info else rows,
        imported=info,
    )
