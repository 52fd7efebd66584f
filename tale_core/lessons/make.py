"""Makes a recording: runs a recipe on a model, stored like any other session, while a tape listens."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import psutil

from tale_core import __version__
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun, AskView
from tale_core.ask.settle import SettlePlan, SettleRun
from tale_core.errors import RecordingError
from tale_core.i18n import t
from tale_core.lessons.recipes import Recipe
from tale_core.lessons.recorded import Made, Recording, bundled
from tale_core.lessons.tape import Taping
from tale_core.models.choice import ModelChoice
from tale_core.runs.study import StudyRun
from tale_core.store import Store, new_session_id
from tale_core.types import CallRecord, Client, Role, SessionRecord


async def make(
    recipe: Recipe, choice: ModelChoice, *, store: Store, open_client: Callable[[], Awaitable[Client]], command: str
) -> Recording:
    """Run a recipe and record it; cancelling stops the spending.

    Args:
        recipe: What to run.
        choice: The model.
        store: Where the session is stored as well.
        open_client: Makes the client.
        command: What makes this recording again, for its provenance.

    Raises:
        InputError: The plan is wrong.
        RecordingError: The run did not end well, or could not be stored.
    """
    plan, taping = recipe.plan(), Taping()
    shared: dict[str, Any] = {
        "store": store, "open_client": open_client, "model": choice.model, "endpoint": choice.endpoint,
        "on_event": taping,
    }  # fmt: skip
    run: AskRun | SettleRun | StudyRun
    if recipe.of is not None and isinstance(plan, AskPlan):
        run = SettleRun(SettlePlan(store.create_session(_taken(recipe.of, plan, choice, taping))), **shared)
    else:
        run = AskRun(plan, **shared) if isinstance(plan, AskPlan) else StudyRun(plan, **shared)
    view = await run.run()
    if isinstance(view, AskView) and view.cannot:
        raise RecordingError(
            t("The run of {name} ended {status}: {why}", name=repr(recipe.name), status=view.status, why=view.cannot),
            t("Record it again."),
        )
    if view.not_saved:
        raise RecordingError(
            t("The run of {name} could not be stored: {why}", name=repr(recipe.name), why=view.not_saved),
            t("Record it again."),
        )
    made = Made(
        model=view.model,
        endpoint=view.endpoint,
        on=datetime.now(UTC).date(),
        machine=machine_words(),
        program=__version__,
        command=command,
    )
    note = {"en": recipe.note.en, "zh": recipe.note.zh}
    return taping.recording(store.get_session(run.id), name=recipe.name, note=note, made=made)  # type: ignore[arg-type]


def _taken(of: str, plan: AskPlan, choice: ModelChoice, taping: Taping) -> SessionRecord:
    """An Ask whose two answers are those of a bundled sweep, each timed from its own asking.

    Raises:
        RecordingError: The sweep does not hold them, or they are another model's.
    """
    budget = int(plan.estimator.partition(":")[2])
    sweep = bundled().get(of)
    pairs = [] if sweep is None else zip(sweep.session.calls, sweep.tapes, strict=True)
    wanted = {("vanilla", None): "vanilla", ("probe", budget): "budgeted"}
    calls: list[CallRecord] = []
    for call, tape in pairs:
        role = wanted.get((call.role, call.requested_budget))
        if role is not None and call.repeat_index == 0 and call.model == choice.model:
            moved = tape.model_copy(update={"start_ms": 0, "end_ms": tape.end_ms - tape.start_ms})
            calls.append(replace(call, id=0, role=cast(Role, role), phase=None))
            taping.known(role, moved)
    if sweep is None or len(calls) != len(wanted):
        raise RecordingError(
            t("There are no recorded answers of {model} in {name} without a budget and under {budget}.",
              model=choice.model, name=repr(of), budget=budget),
            t("Record {name} first, or give another budget.", name=repr(of)),
        )  # fmt: skip
    return SessionRecord(
        new_session_id(), sweep.session.question, choice.model, choice.endpoint, plan.estimator, status="done",
        budget=budget, budget_raw=str(budget), template=plan.template, together=False, calls=tuple(calls),
    )  # fmt: skip


def machine_words() -> str:
    """What this machine is, without its name."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return f"{platform.system()} {platform.machine()}, {cores} core{'s' if cores != 1 else ''}"
