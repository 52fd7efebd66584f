"""Makes a recording: runs a recipe on a model, stored like any other session, while a tape listens."""

from __future__ import annotations

import platform
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import psutil

from tale_core import __version__
from tale_core.ask.plan import AskEvent, AskPlan
from tale_core.ask.run import AskRun, AskView
from tale_core.ask.settle import SettlePlan, SettleRun
from tale_core.calls.events import CallDelta, CallFinished, CallStarted
from tale_core.elasticity.engine import SweepEvent
from tale_core.errors import RecordingError
from tale_core.i18n import t
from tale_core.lessons.recipes import Recipe
from tale_core.lessons.recorded import Made, Recording, Tape, as_recorded, bundled
from tale_core.models.choice import ModelChoice
from tale_core.runs.study import StudyRun
from tale_core.search.engine import SearchEvent, SearchStep
from tale_core.store import Store, new_session_id
from tale_core.types import CallRecord, Client, Language, Role, SessionRecord

Event = AskEvent | SearchEvent | SweepEvent


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


@dataclass(slots=True)
class _Call:
    """One call as it was heard; times in milliseconds from the start."""

    start: int
    end: int | None = None
    last: int = 0
    pieces: list[tuple[int, int, int]] = field(default_factory=list)


class Taping:
    """A listener for `AskRun` and `StudyRun`.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._calls: dict[Hashable, _Call] = {}
        self._marks: list[int] = []
        self._offset = 0

    def __call__(self, event: Event) -> None:
        """Take an event, when it happens."""
        now = self._now()
        match event:
            case CallStarted(key, _):
                self._calls[key] = _Call(now, last=now)
            case CallDelta(key, text, reasoning):
                self._grow(key, text, reasoning, now)
            case CallFinished(key):
                self._calls.setdefault(key, _Call(now, last=now)).end = now
            case SearchStep():
                self._marks.append(now)
            case _:
                pass

    def known(self, key: Hashable, tape: Tape) -> None:
        """A call that was taped before; what is heard comes after its end."""
        self._calls[key] = _Call(tape.start_ms, tape.end_ms, tape.end_ms, list(tape.pieces))
        self._offset = max(self._offset, tape.end_ms)

    def _now(self) -> int:
        now = self._clock()
        self._began = now if self._began is None else self._began
        return self._offset + round((now - self._began) * 1000)

    def _grow(self, key: Hashable, text: str, reasoning: str, now: int) -> None:
        call = self._calls[key]
        call.pieces.append((now - call.last, len(text), len(reasoning)))
        call.last = now

    def recording(self, session: SessionRecord, *, name: str, note: Mapping[Language, str], made: Made) -> Recording:
        """The stored session with its tapes.

        Args:
            session: As the store holds it, its calls in the order they were started.
            name: Of the recording.
            note: Why it was chosen, by language.
            made: Where it comes from.

        Raises:
            RecordingError: The run did not end well, so that there is nothing whole to replay.
        """
        heard = list(self._calls.values())
        if session.status != "done" or len(heard) != len(session.calls) or any(call.end is None for call in heard):
            why = session.error or t("not every answer is whole.")
            raise RecordingError(
                t("The run of {name} ended {status}: {why}", name=repr(name), status=session.status, why=why),
                t("Record it again."),
            )
        recorded = as_recorded(session)
        tapes = [_tape(call, record) for call, record in zip(heard, recorded.calls, strict=True)]
        return Recording(name, dict(note), made, recorded, tuple(tapes), tuple(self._marks))


def _tape(call: _Call, record: CallRecord) -> Tape:
    """Its timing, fitted to the text that was booked: what a client trims at the end is taken off the last pieces."""
    text, reasoning = len(record.text), len(record.reasoning_text)
    pieces = []
    for after, letters, thought in call.pieces:
        taken, reasoned = min(letters, text), min(thought, reasoning)
        text, reasoning = text - taken, reasoning - reasoned
        pieces.append((after, taken, reasoned))
    if (text or reasoning) and call.end is not None:
        pieces.append((max(0, call.end - call.last), text, reasoning))
    return Tape(start_ms=call.start, end_ms=call.end or call.start, pieces=tuple(pieces))
