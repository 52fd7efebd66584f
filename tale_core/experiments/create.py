"""An experiment's beginning: its row and its questions are stored, or a stopped one is taken over."""

from __future__ import annotations

import re
from dataclasses import replace

from tale_core.errors import InputError
from tale_core.experiments.plan import CheckedExperiment, ExperimentPlan
from tale_core.i18n import N_, t
from tale_core.store import ExperimentStore, Store, new_session_id
from tale_core.types import Question, SessionRecord

TITLE = N_("{dataset}: {questions} questions")
IMPORTED_TITLE = N_("{dataset}: {questions} questions, imported")


def experiment_title(stored: str) -> str:
    """The title of an experiment in the reader's language; it is stored in English, since people search for it."""
    found = re.fullmatch(r"(?P<dataset>.{1,200}): (?P<questions>\d+) questions(?P<imported>, imported)?", stored)
    return t(IMPORTED_TITLE if found["imported"] else TITLE, **found.groupdict()) if found else stored


def create_experiment(
    plan: CheckedExperiment, store: Store, *, model: str, endpoint: str, experiment_id: str | None = None
) -> CheckedExperiment:
    """Store a new experiment, or take over the one to resume.

    Args:
        plan: What to run.
        store: Where it goes.
        model: The name of the model; a resume needs the same.
        endpoint: Where it runs.
        experiment_id: The id of a new experiment; made up when None.

    Returns:
        The plan with `resume_of` naming the stored experiment.

    Raises:
        InputError: It goes on with something else.
        StoreError: It is running somewhere, or the store fails.
    """
    experiments = ExperimentStore(store)
    if plan.resume_of is not None:
        plan.check_same(experiments.head(plan.resume_of).plan)
        check_retry(plan, store)
        experiments.reopen(plan.resume_of)
        return plan
    record = SessionRecord(
        id=experiment_id or new_session_id("experiment"),
        kind="experiment",
        question=Question(TITLE.format(dataset=plan.dataset, questions=len(plan.questions)), source=plan.dataset),
        plan=plan.document(),
        model=model,
        endpoint=endpoint,
        estimator="",
        template=plan.template,
    )
    experiments.create(record, plan.questions)
    return CheckedExperiment(replace(plan, resume_of=record.id))


def check_retry(plan: ExperimentPlan, store: Store) -> None:
    """Check that there is something to try again, when that alone is asked for.

    Raises:
        InputError: No answer has failed.
    """
    if plan.only_failed and plan.resume_of and not ExperimentStore(store).failed_units(plan.resume_of):
        raise InputError(
            t("No answer of experiment {id!r} has failed.", id=plan.resume_of),
            t("Resume it without asking for failed ones only."),
        )
