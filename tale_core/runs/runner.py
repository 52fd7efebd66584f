"""Long work that outlives a page: one background event loop, and the jobs that run in it.

A page starts a job and watches it; closing the tab, refreshing or opening the link elsewhere changes nothing, and a
page that comes back re-attaches by the session's id.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

from tale_core import process as shutdown
from tale_core.access.who import CAP_DAYS, asking, asking_as
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun, AskView
from tale_core.ask.settle import SettlePlan, SettleRun
from tale_core.elasticity.engine import SweepPlan
from tale_core.elasticity.view import SweepView
from tale_core.errors import InputError
from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.run import ExperimentRun, ExperimentView
from tale_core.i18n import language, t, use_language
from tale_core.models.choice import ModelChoice, open_client
from tale_core.models.client.retry import NO_RETRY, RetryPolicy
from tale_core.process import new_loop
from tale_core.runs.study import StudyRun
from tale_core.search.engine import SearchPlan
from tale_core.search.view import SearchView
from tale_core.store import Store, spent
from tale_core.types import Language

END_S = 8.0
"""Seconds that the jobs have to write their end when the process ends; a container is given ten by default."""
WATCH_S = 0.08
"""Seconds between two pictures of a running answer: twelve a second look fluent and cost little."""
DRAWING_SHARE = 4.0
"""For how many times as long as a page took to draw a picture it then leaves the others alone."""

STOP_S = 1.0
"""Seconds that Stop waits for the end of a run before the page is drawn again."""

log = logging.getLogger(__name__)


class View(Protocol):
    """A picture of a run."""

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        ...


T = TypeVar("T")
V_co = TypeVar("V_co", bound=View, covariant=True)
P_contra = TypeVar("P_contra", contravariant=True)


class Run(Protocol[V_co]):
    """What can run in the background."""

    id: str

    def view(self) -> V_co:
        """The picture as it stands; safe to call from any thread."""
        ...

    async def run(self) -> V_co:
        """Run to the end; cancelling the task that awaits this stops the spending."""
        ...


class Job(Generic[V_co]):
    """A running Ask, search, sweep or experiment, seen from other threads.

    Args:
        make_run: Makes the run from the callback that it has to call after every change.
    """

    def __init__(self, make_run: Callable[[Callable[[], None]], Run[V_co]]) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._run = make_run(self._touch)
        self._task: asyncio.Task[V_co] | None = None
        self._cancelled = False
        self.id = self._run.id
        self.asker = asking()

    def _touch(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    async def main(self) -> None:
        """Run in the background loop."""
        self._task = asyncio.ensure_future(self._run.run())
        await asyncio.sleep(0)  # A task cancelled before its first step never runs, not even its own clean-up.
        if self._cancelled:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def view(self) -> V_co:
        """The picture as it stands."""
        return self._run.view()

    def cancel(self) -> None:
        """Stop the spending at once; harmless when the job has ended."""
        self._cancelled = True
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Cancel, and give the end up to `timeout_s` seconds to be written.

        A page that comes back from here draws the end at once. Drawing the run once more would take the processor from
        an embedded server that still has to notice.
        """
        self.cancel()
        self.wait(timeout_s)

    @property
    def may_answer_now(self) -> bool:
        """Whether its answers can be closed before their end."""
        return hasattr(self._run, "answer_now")

    def answer_now(self) -> None:
        """Close the thoughts of its running answers and force the answers out; harmless when it has ended."""
        if self._task is not None and self.may_answer_now:
            self._task.get_loop().call_soon_threadsafe(cast(Any, self._run).answer_now)

    def watch(self, *, interval_s: float = WATCH_S, beat_s: float = 0.2) -> Iterator[V_co]:
        """Yield a picture now, then after changes but no oftener than `interval_s`, or every `beat_s`, to the last.

        A page can take a click, Stop above all, only between two pictures: the beat bounds how long that waits. Where
        drawing takes long, because many pages are drawn at the same time, pictures come less often: without that every
        page that follows would make the others later, and thereby follow for longer.
        """
        seen = -1
        while True:
            with self._changed:
                if self._version == seen:
                    self._changed.wait(beat_s)
                seen = self._version
            view, began = self.view(), time.monotonic()
            yield view
            if not view.running:
                return
            drawing_s = time.monotonic() - began
            time.sleep(max(interval_s, min(DRAWING_SHARE * drawing_s, beat_s)))

    def wait(self, timeout_s: float | None = None) -> V_co:
        """Block until the job has ended or `timeout_s` seconds have passed; the picture then."""
        with self._changed:
            self._changed.wait_for(lambda: not self.view().running, timeout=timeout_s)
        return self.view()


class Runner:
    """One background thread with an event loop, and the jobs that are running in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._jobs: dict[str, Job[Any]] = {}
        self._registered = False

    def start(self, make_run: Callable[[Callable[[], None]], Run[V_co]]) -> Job[V_co]:
        """Start a run, in the language of the person who starts it, and as theirs.

        Raises:
            InputError: The plan is wrong, or what it resumes is running; nothing was started.
        """
        job = Job(make_run)
        with self._lock:
            if job.id in self._jobs:  # Only an experiment keeps its id when it is resumed.
                raise InputError(t("It is running already."), t("Open it to watch it, or wait until it has ended."))
            self._jobs[job.id] = job
        asyncio.run_coroutine_threadsafe(self._until_done(job, language()), self.loop())
        return job

    def get(self, session_id: str) -> Job[Any] | None:
        """The running job of this session; None when it has ended, runs elsewhere, or is another person's."""
        with self._lock:
            job = self._jobs.get(session_id)
        return job if job is None or asking().sees_all or asking().account == job.asker.account else None

    def loop(self) -> asyncio.AbstractEventLoop:
        """The background loop, started at first use. At the process's end its jobs are stopped in order."""
        with self._lock:
            if self._loop is None:
                self._loop = new_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="tale-jobs", daemon=True)
                self._thread.start()
                if not self._registered:
                    self._registered = True
                    shutdown.at_exit(self._end)
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the background loop and wait for its result; it speaks the caller's language.

        A caller that is interrupted while waiting (Ctrl-C, a notebook's stop button) stops the work, which may still
        write its end.
        """
        spoken, asker, ended = language(), asking(), threading.Event()

        async def speaking() -> T:
            try:
                with use_language(spoken), asking_as(asker):
                    return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(speaking(), self.loop())
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            ended.wait(END_S)
            raise

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel every job, give them up to `timeout_s` seconds to write their end, and stop the loop."""
        with self._lock:
            jobs, loop, thread = list(self._jobs.values()), self._loop, self._thread
            self._loop = self._thread = None
        for job in jobs:
            job.cancel()
        until = time.monotonic() + timeout_s
        for job in jobs:
            job.wait(max(0.0, until - time.monotonic()))
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout_s)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _end(self) -> None:
        """The process ends: the spending stops, and what was running can be resumed."""
        shutdown.begin()
        with self._lock:
            running = len(self._jobs)
        if running:
            log.info("ending: %d running jobs are stopped and can be resumed", running)
        self.close(END_S)

    async def _until_done(self, job: Job[Any], spoken: Language) -> None:
        try:
            with use_language(spoken), asking_as(job.asker):
                await job.main()
        finally:
            with self._lock:
                self._jobs.pop(job.id, None)


AskJob = Job[AskView]


class Starter(Protocol[P_contra, V_co]):
    """Starts what a plan says in the background."""

    def __call__(
        self,
        plan: P_contra,
        choice: ModelChoice,
        *,
        store: Store,
        secrets: Mapping[str, object] | None = None,
        key: str | None = None,
    ) -> Job[V_co]:
        """Start it.

        Args:
            plan: What to ask.
            choice: Whom to ask.
            store: Where every call is written.
            secrets: What secrets.toml holds.
            key: The API key as typed for this session.

        Raises:
            InputError: The plan is wrong; nothing was started.
        """
        ...


def _start(
    ready: Callable[[Any, str], Callable[..., Run[Any]]],
    plan: Any,
    choice: ModelChoice,
    *,
    store: Store,
    secrets: Mapping[str, object] | None = None,
    key: str | None = None,
    retry: RetryPolicy | None = None,
) -> Job[Any]:
    _check_share(store)
    make = ready(plan, choice.model)

    def made(changed: Callable[[], None]) -> Run[Any]:
        run: Any = make(
            store=store,
            open_client=lambda: open_client(choice, secrets=secrets, key=key, notice=run.notice, retry=retry),
            model=choice.model,
            endpoint=choice.endpoint,
            on_change=changed,
        )
        return cast(Run[Any], run)

    return runner().start(made)


def _asked(plan: AskPlan | SettlePlan, model: str) -> Callable[..., Run[AskView]]:
    return partial(SettleRun, plan) if isinstance(plan, SettlePlan) else partial(AskRun, plan.checked(model=model))


def _studied(plan: SearchPlan | SweepPlan, _model: str) -> Callable[..., StudyRun]:
    return partial(StudyRun, plan.checked())


def _experiment(plan: ExperimentPlan, _model: str) -> Callable[..., ExperimentRun]:
    """One that is running here already is refused: attach to it by its id."""
    if plan.resume_of is not None and runner().get(plan.resume_of) is not None:
        raise InputError(
            t("Experiment {name!r} is running.", name=plan.resume_of), t("Stop it first, or wait for its end.")
        )
    return partial(ExperimentRun, plan.checked())


def _check_share(store: Store) -> None:
    """Whoever has spent what their account may spend begins nothing new; what runs goes on within its own limits.

    Raises:
        InputError: They have.
    """
    asker = asking()
    if asker.usd is None and asker.tokens is None:
        return
    paid = spent(store, asker.account)
    for used, most, unit in ((paid.usd, asker.usd, "USD"), (paid.tokens, asker.tokens, t("tokens"))):
        if most is not None and used >= most:
            raise InputError(
                t("Your account has spent {n} of {most} {unit} in {days} days.",
                  n=f"{used:,.2f}" if unit == "USD" else f"{used:,}", most=f"{most:,}", unit=unit, days=CAP_DAYS),
                t("Wait, or ask an owner of this server for more."),
            )  # fmt: skip


start_ask: Starter[AskPlan | SettlePlan, AskView] = partial(_start, _asked)
start_search: Starter[SearchPlan, SearchView] = partial(_start, _studied)
start_sweep: Starter[SweepPlan, SweepView] = partial(_start, _studied)
# Its client does not try again by itself: the experiment does, with fewer calls at a time.
start_experiment: Starter[ExperimentPlan, ExperimentView] = partial(_start, _experiment, retry=NO_RETRY)

the_runner = Runner()


def runner() -> Runner:
    """The process's runner."""
    return the_runner
