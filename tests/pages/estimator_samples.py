"""Searches in the store, and estimators trained from them once for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from tale_core.estimators import saved
from tale_core.estimators.predictor import TrainedEstimator
from tale_core.estimators.rows import TrainingRow
from tale_core.estimators.saved import SavedEstimator
from tale_core.estimators.training import train
from tale_core.i18n import language
from tale_core.prompts import messages as prompts
from tale_core.store import open_store
from tale_core.types import CallRecord, Language, Question, Sampling, SessionRecord
from tests.estimators.simulated import MODEL, TEMPLATE, rows

NAMED = {"model": MODEL, "template": TEMPLATE}
WHEN = "2026-11-02T10:00:00+00:00"


def session(row: TrainingRow, name: str) -> SessionRecord:
    """The finished search that a row was read from."""
    done = {name: getattr(row, name) for name in ("optimal_budget", "optimal_tokens", "vanilla_tokens")}
    return SessionRecord(
        id=name, question=row.question, model=row.model, endpoint="http://x/v1", estimator="", kind="search",
        status="done", template=row.template, plan={"mode": row.mode}, result={"done": done},
    )  # fmt: skip


def keep(rows_: Iterable[TrainingRow]) -> None:
    """Store rows as the searches, and the model's own estimates as the calls, that they come from."""
    store, calls = open_store(), []
    for number, row in enumerate(rows_):
        store.create_session(session(row, f"search-{number}"))
        calls += [_estimate(row)] if row.zero_shot is not None else []
    if calls:
        asked = SessionRecord("x-0", Question("a data set"), MODEL, "http://x/v1", "", kind="experiment", status="done")
        store.create_session(replace(asked, calls=tuple(calls)))


def _estimate(row: TrainingRow) -> CallRecord:
    return CallRecord(
        "x-0", "estimate", "done", row.model, "http://x/v1", prompts.ESTIMATE_TEMPLATE, prompts.ESTIMATE_VERSION,
        prompts.estimate_messages(row.question), Sampling(), text=f"Budget: [[{row.zero_shot}]]",
    )  # fmt: skip


def regressed() -> TrainedEstimator:
    """Learnt from 30 searches; a linear model beats the constant. What it says of itself is in the language of now."""
    return _regressed(language())


def mapped() -> TrainedEstimator:
    """The model's own estimate, calibrated."""
    return _mapped(language())


def constant() -> TrainedEstimator:
    """The model says the same for every question, so one budget for all is kept."""
    return _constant(language())


def put(estimator: TrainedEstimator) -> SavedEstimator:
    """Save it into this test's folder."""
    return saved.save(estimator)


@cache
def _regressed(_: Language) -> TrainedEstimator:
    return train("regression", rows(30, zero=None), trained_on=WHEN, **NAMED)


@cache
def _mapped(_: Language) -> TrainedEstimator:
    return train("calibrated", rows(24), trained_on=WHEN, **NAMED)


@cache
def _constant(_: Language) -> TrainedEstimator:
    return train("calibrated", rows(24, zero="same"), trained_on=WHEN, **NAMED)
