"""The whole stack as the page uses it: a job in the background loop, the store on disk, a watcher in another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.clock import MeasurementError, Stream, Timed
from benchmarks.requests import Case
from tale_core.ask.run import AskRun, AskView
from tale_core.models.choice import embedded_choice, open_client
from tale_core.runs.runner import AskJob, Runner
from tale_core.store import Store
from tale_core.types import ANSWERS, AnswerRole

PATIENCE_S = 600.0


@dataclass(slots=True)
class _Asked:
    """One Ask and the times of what becomes visible in its view."""

    case: Case
    started: float
    streams: dict[AnswerRole, Stream] = field(default_factory=lambda: {role: Stream() for role in ANSWERS})
    pieces: dict[AnswerRole, int] = field(default_factory=lambda: dict.fromkeys(ANSWERS, 0))
    ended_s: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self, run: AskRun) -> None:
        """Note what is new, without the picture that only the page needs."""
        now = time.perf_counter() - self.started
        received = run.pieces
        for role in ANSWERS:
            if received.get(role, 0) > self.pieces[role]:
                self.pieces[role] = received[role]
                self.streams[role].text(now)
        if run.ended:
            self.ended_s = now
            self.ended.set()

    def watch(self, job: AskJob) -> None:
        """Look at the job as the page does, at its pace."""
        for view in job.watch():
            now = time.perf_counter() - self.started
            for role in ANSWERS:
                if self.streams[role].seen_s is None and (call := view.calls.get(role)) and call.text:
                    self.streams[role].seen_s = now


class WholeStack:
    """Asks through everything that stands between the button and the screen, the screen excepted."""

    def __init__(self, model: str, store: Store) -> None:
        self._choice = embedded_choice(model)
        self._store = store
        self._runner = Runner()

    def run(self, cases: Sequence[Case], *, together: bool) -> Timed:
        """Submit an Ask for every case at once and wait for all of them.

        Raises:
            MeasurementError: One of them failed, was not stored, or sent other messages than the bare client.
        """
        started, cpu = time.perf_counter(), time.process_time()
        asked = [_Asked(case, started) for case in cases]
        jobs = [self._start(one, together=together) for one in asked]
        watchers = [threading.Thread(target=a.watch, args=(j,)) for a, j in zip(asked, jobs, strict=True)]
        for watcher in watchers:
            watcher.start()
        if not all(one.ended.wait(PATIENCE_S) for one in asked):
            raise MeasurementError(f"an Ask did not end within {PATIENCE_S:.0f} s")
        cpu_s = time.process_time() - cpu
        for watcher in watchers:
            watcher.join()
        for one, job in zip(asked, jobs, strict=True):
            _settle(one, job.view())
        streams = tuple(one.streams[role] for one in asked for role in ANSWERS)
        return Timed(streams, max(one.ended_s for one in asked), cpu_s, together)

    def close(self) -> None:
        """End the background loop."""
        self._runner.close()

    def _start(self, asked: _Asked, *, together: bool) -> AskJob:
        plan = asked.case.plan(together=together)

        def make_run(notify: Callable[[], None]) -> AskRun:
            def changed() -> None:
                asked.look(run)
                notify()

            run = AskRun(
                plan.checked(model=self._choice.model),
                store=self._store,
                open_client=lambda: open_client(self._choice),
                model=self._choice.model,
                endpoint=self._choice.endpoint,
                on_change=changed,
            )
            return run

        return self._runner.start(make_run)


def _settle(asked: _Asked, view: AskView) -> None:
    """Take over the server's counts, and check that it was the same work as the bare client's."""
    if view.status != "done" or view.error or view.not_saved:
        raise MeasurementError(view.error or view.not_saved or f"an Ask ended as {view.status}")
    for role, messages in zip(ANSWERS, asked.case.messages(), strict=True):
        record = view.calls[role].record
        if record.messages != messages:
            raise MeasurementError(f"the {role} call sent other messages than the bare client")
        if record.usage_estimated or not record.completion_tokens or not record.prompt_tokens:
            raise MeasurementError(f"the server did not report the tokens of the {role} call")
        asked.streams[role].tokens = record.completion_tokens
        asked.streams[role].prompt_tokens = record.prompt_tokens
