"""A training as a job in the background: it saves what it learnt itself, so leaving the page loses nothing.

One at a time in this process: a training keeps a core busy for seconds, and thirty students may press at once. Draws no
widget. scikit-learn is imported when a training begins.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from tale_core.calls.recorder import failed_words
from tale_core.errors import StoppedError, TaleError
from tale_core.estimators import saved
from tale_core.estimators.predictor import TrainedEstimator
from tale_core.estimators.report import Aim
from tale_core.estimators.rows import TrainingRow, fingerprint
from tale_core.i18n import t
from tale_core.runs.runner import Job, runner

_log = logging.getLogger(__name__)
_one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tale-train")
Status = Literal["waiting", "training", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be trained; `rows` are of one model and prompt template."""

    kind: str
    aim: Aim
    model: str
    template: str
    rows: tuple[TrainingRow, ...]

    @property
    def id(self) -> str:
        """The same for the same request: asking again while it runs shows what runs."""
        facts = [self.kind, self.aim, self.model, self.template, fingerprint(self.rows)]
        return f"train-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class TrainingView:
    """A training as it stands.

    Attributes:
        began: `time.monotonic()` of the request, or of the moment when its turn came.
        found: What was saved; None unless it is done.
    """

    asked: Asked
    status: Status = "waiting"
    began: float = field(default_factory=time.monotonic)
    error: str = ""
    found: saved.SavedEstimator | None = None

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status in ("waiting", "training")


class TrainingRun:
    """One training, as `tale_core.runs.runner` runs it."""

    def __init__(self, asked: Asked, changed: Callable[[], None]) -> None:
        self.id = asked.id
        self._asked, self._changed = asked, changed
        self._view = TrainingView(asked)
        self._stopped = False

    def view(self) -> TrainingView:
        """The picture as it stands; safe to call from any thread."""
        return self._view

    async def run(self) -> TrainingView:
        """Train and save; once cancelled nothing is saved."""
        try:
            # The thread speaks the language of this task.
            train = partial(copy_context().run, self._train)
            found = await asyncio.get_running_loop().run_in_executor(_one_at_a_time, train)
            self._set(status="done", found=found)
        except asyncio.CancelledError:
            self._stopped = True
            self._set(status="cancelled")
            raise
        except TaleError as e:
            self._set(status="failed", error=str(e))
        except Exception as e:  # The page has to learn that it ended, whatever it was.
            _log.exception("a training failed")
            self._set(status="failed", error=failed_words(e))
        return self._view

    def _set(self, **changes: Any) -> None:
        self._view = replace(self._view, **changes)
        self._changed()

    def _train(self) -> saved.SavedEstimator:
        if self._stopped:
            raise StoppedError(t("The training was stopped before its turn."))
        self._set(status="training", began=time.monotonic())
        estimator = trained(self._asked)
        if self._stopped:
            raise StoppedError(t("The training was stopped; nothing was saved."))
        return saved.save(estimator)


def trained(asked: Asked) -> TrainedEstimator:
    """The estimator, learnt and not saved yet."""
    from tale_core.estimators.training import train

    now = datetime.now(UTC).isoformat(timespec="seconds")
    return train(asked.kind, asked.rows, model=asked.model, template=asked.template, trained_on=now, aim=asked.aim)


TrainingJob = Job[TrainingView]


def start_training(asked: Asked) -> TrainingJob:
    """Train in the background; the same request again, while it runs, is the job that runs."""
    return running_training(asked.id) or runner().start(partial(TrainingRun, asked))


def running_training(job_id: str) -> TrainingJob | None:
    """The training of this name; None when it has ended."""
    job = runner().get(job_id) if job_id else None
    return job if job is not None and isinstance(job.view(), TrainingView) else None
