"""Listens to a run and notes when every piece of text came.

`Taping` is handed to a run as its listener; afterwards it turns the stored session into a recording. The run itself is
not changed by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from tale_core.ask.plan import AskEvent
from tale_core.calls.events import CallDelta, CallFinished, CallStarted
from tale_core.elasticity.engine import SweepEvent
from tale_core.errors import RecordingError
from tale_core.i18n import t
from tale_core.lessons.recorded import Made, Recording, Tape, as_recorded
from tale_core.search.engine import SearchEvent, SearchStep
from tale_core.types import CallRecord, Language, SessionRecord

Event = AskEvent | SearchEvent | SweepEvent


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
