"""Starting, stopping and resuming a training in a process of its own, which outlives the app that started it.

Everything that is to be known about a running training is read from there, so that any process can follow, stop and
resume it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psutil

from tale_core.errors import InputError, TuningError
from tale_core.i18n import joined, t
from tale_core.models.adapters import registry as adapters
from tale_core.process import owner_is_gone, owner_of
from tale_core.process import start as start_process
from tale_core.settings import REPO_ROOT
from tale_core.tuning import runs
from tale_core.tuning.examples import Examples
from tale_core.tuning.install import require
from tale_core.tuning.plan import TunePlan
from tale_core.tuning.run_state import RunState
from tale_core.tuning.runs import TuneRun
from tale_core.types import Status

RESUMABLE = ("interrupted", "failed", "cancelled")
MAX_PROCESSES = 64
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)
"""A process of another host is none that can be ended from here."""


def start(plan: TunePlan, examples: Examples, *, measure_only: bool = False, processes: int = 1) -> TuneRun:
    """Begin a training.

    Args:
        plan: What to train.
        examples: What to train on.
        measure_only: Only say what it would take; `resume` then trains.
        processes: One for each GPU, started by accelerate.

    Raises:
        TuningUnavailableError: What it needs is not installed.
        InputError: The plan is wrong, or another training is running.
        TuningError: Its folder cannot be written.
    """
    _check_free()
    run = runs.create(plan, examples, measure_only=measure_only)
    _spawn(run, processes)
    return run


def resume(run: TuneRun, *, processes: int = 1) -> TuneRun:
    """Go on from the newest checkpoint; after a measurement, begin to train.

    Raises:
        TuningUnavailableError: What it needs is not installed.
        InputError: It is running, or there is nothing left to do.
        TuningError: Its folder cannot be written.
    """
    _check_free()
    state = run.state()
    if not can_go_on(state):
        raise InputError(t("The training {name!r} is finished.", name=run.id), t("Begin a new one."))
    adapters.check_name(run.plan.name)
    run.forget_last()
    run.write(
        replace(
            state, status="running", phase="starting", measure_only=False, error=None, message="", owner="", eta_s=None
        )
    )
    _spawn(run, processes)
    return run


def _check_free() -> None:
    require()
    if (other := running()) is not None:
        raise InputError(
            t("The training of {name!r} is running.", name=other.plan.name), t("Stop it first, or wait for its end.")
        )


def can_go_on(state: RunState) -> bool:
    """Whether a resume has something to do: it ended early, or was measured and never trained."""
    return state.status in RESUMABLE or (state.measure_only and state.status == "done")


def stop(run: TuneRun) -> None:
    """Ask it to stop after the step that runs; a checkpoint is kept. Harmless when it has ended."""
    run.ask_to_stop()


def end(run: TuneRun) -> None:
    """End its process at once; what came after its last checkpoint is lost. Harmless when it has ended."""
    run.ask_to_stop()
    owner = run.spawned_by() or run.state().owner
    if not owner or not run.state().running or owner_is_gone(owner, heartbeat_at=_NEVER, now=datetime.now(UTC)):
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(owner.rsplit(":", 2)[1]))
        for one in (*process.children(recursive=True), process):  # With several GPUs accelerate is their parent.
            with contextlib.suppress(psutil.Error):
                one.kill()


def running() -> TuneRun | None:
    """The training that is running on this machine, or None."""
    return next((run for run in runs.listing() if run.state().running), None)


def follow(run: TuneRun, *, every_s: float = 0.5) -> Iterator[RunState]:
    """Yield how far it is, again and again, to its end."""
    while True:
        state = run.state()
        yield state
        if not state.running:
            return
        time.sleep(every_s)


def command(run: TuneRun, processes: int) -> list[str]:
    """The worker's command line; with several processes accelerate starts one for each GPU."""
    module = "tale_core.tuning.worker"
    if processes == 1:
        return [sys.executable, "-m", module, str(run.path)]
    if not 1 <= processes <= MAX_PROCESSES:
        raise InputError(
            t("{count} processes were asked for.", count=processes),
            t("Give 1 to {most}: one for each GPU.", most=MAX_PROCESSES),
        )
    launch = ["-m", "accelerate.commands.launch", "--num_processes", str(processes), "-m", module]
    return [sys.executable, *launch, str(run.path)]


def _spawn(run: TuneRun, processes: int) -> None:
    try:
        with run.log.open("ab") as log:
            process = start_process(command(run, processes), cwd=REPO_ROOT, log=log)
    except OSError as e:
        run.write(replace(run.state(), status="failed", phase="ended", error=str(e)))
        raise runs.no_room(run.path, e) from e
    with contextlib.suppress(psutil.Error, TuningError):  # It has ended already, or there is no room for the name.
        run.spawned(owner_of(process.pid))
    given = (run, process, run.spawned_by())
    threading.Thread(target=_collect, args=given, name="tale-tune-reaper", daemon=True).start()


def _collect(run: TuneRun, process: subprocess.Popen[bytes], mine: str) -> None:
    """Wait for the process and, if it left no end behind, write what can be said.

    A process writes its end before it is gone; by then somebody may have resumed the training, in another process.
    """
    code = process.wait()
    state = run.state()
    if run.spawned_by() != mine or state.status not in ("running", "interrupted"):
        return
    words = run.last_words()
    error: str | None
    status: Status
    if code in (-9, 137) and run.stop_file.exists():
        error, status = None, "cancelled"
    elif code in (-9, 137):
        error = t("It was ended by the system or by somebody; most often that means too little memory.")
        status = "interrupted"
    else:
        error, status = joined(t("Its process ended (code {code}).", code=code), words), "failed"
    with contextlib.suppress(TuningError):
        run.write(replace(state, status=status, phase="ended", error=error, message="", eta_s=None))
