"""Makes a recording: runs a recipe on a model, stored like any other session, while a tape listens."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psutil

from tale_core import __version__
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun
from tale_core.errors import RecordingError
from tale_core.i18n import t
from tale_core.lessons.recipes import Recipe
from tale_core.lessons.recorded import Made, Recording
from tale_core.lessons.tape import Taping
from tale_core.models.choice import ModelChoice
from tale_core.runs.study import StudyRun
from tale_core.store import Store
from tale_core.types import Client


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
    run = AskRun(plan, **shared) if isinstance(plan, AskPlan) else StudyRun(plan, **shared)
    view = await run.run()
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


def machine_words() -> str:
    """What this machine is, without its name."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return f"{platform.system()} {platform.machine()}, {cores} core{'s' if cores != 1 else ''}"
