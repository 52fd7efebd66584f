"""A training's folder and its process: found again by anybody, stopped, killed, resumed, out of room."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tale_core.errors import AdapterFileError, InputError, NotFoundError, TuningError, TuningUnavailableError
from tale_core.models.adapters import registry as adapters
from tale_core.tuning import export, install, job, runs, training, worker
from tale_core.tuning.base import Base
from tale_core.tuning.plan import TrainingSettings, TunePlan, paper_settings
from tale_core.tuning.run_state import Estimate, Loss, RunState
from tale_core.tuning.runs import TuneRun
from tale_core.tuning.training import Trained
from tale_core.tuning.watching import Step
from tests.tuning import samples

ESTIMATE = Estimate(60.0, 2_000_000_000, 5.0, 12, 3, "float32", "cpu")


def plan(name: str = "brief", **more: object) -> TunePlan:
    return TunePlan(name=name, base=samples.BASE, **more)


def made(**more: object) -> TuneRun:
    return runs.create(plan(), samples.examples(), **more)


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "find_spec", lambda name: object())


def process(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let this code be the worker; it gets the run as `run`, and `state(...)` writes one."""
    head = (
        "import sys, time; from pathlib import Path; from dataclasses import replace\n"
        "from tale_core.tuning import runs; from tale_core.tuning.run_state import RunState\n"
        "run = runs.find(Path(sys.argv[1]).name)\n"
        "from tale_core.process import current_owner\n"
        "def state(**f): run.write(replace(run.state(), owner=current_owner(), **f))\n"
    )
    monkeypatch.setattr(job, "command", lambda run, processes: [sys.executable, "-c", head + code, str(run.path)])


def test_a_training_is_found_again_with_everything_it_was_asked_for():
    asked = plan(settings=TrainingSettings(epochs=2, targets=("q_proj",), against=("vanilla", "wrong")), note="mine")
    run = runs.create(asked, samples.examples())
    again = runs.find(run.id)
    assert again.plan == asked and again.examples() == samples.examples() and again.state().running
    assert [r.id for r in runs.listing()] == [run.id]


@pytest.mark.parametrize("run_id", ["", "../x", "tune-", "tune-000000000000", "tune-zzzzzzzzzzzz", "/etc"])
def test_what_is_no_training_is_not_found(run_id):
    with pytest.raises(NotFoundError):
        runs.find(run_id)


def test_a_damaged_state_is_told_and_does_not_hide_the_others():
    run = made()
    (run.path / "state.json").write_text("{")
    assert run.state().status == "failed" and "damaged" in run.state().error
    other = made()
    (other.path / "plan.json").write_text("[]")
    assert [r.id for r in runs.listing()] == [run.id]


def test_the_loss_curve_passes_over_half_a_line_and_the_last_of_a_step_counts():
    run = made()
    for step, loss in ((1, 3.0), (2, 2.0), (2, 1.9)):
        run.append(Loss(step, step / 10, loss))
    run.append(Loss(2, 0.2, 2.5, held_out=True))
    with (run.path / "losses.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    assert [(one.step, one.loss, one.held_out) for one in run.losses()] == [
        (1, 3.0, False),
        (2, 1.9, False),
        (2, 2.5, True),
    ]


def test_only_whole_checkpoints_count():
    run = made()
    for step, whole in ((5, True), (10, True), (100, False)):
        folder = run.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if whole:
            (folder / "trainer_state.json").write_text("{}")
    assert run.checkpoint().name == "checkpoint-10"


def test_a_full_disk_is_told_with_what_to_do(monkeypatch):
    run = made()
    before = run.state()
    monkeypatch.setattr(Path, "write_text", lambda *a, **k: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
    with pytest.raises(TuningError, match=r"is full.*resume: it goes on from its last checkpoint"):
        run.write(RunState(step=7))
    assert run.state() == before
    with pytest.raises(TuningError, match="full"):
        made()
    assert len(list(runs.folder().iterdir())) == 1, "nothing half made is left"


def test_without_torch_nothing_starts_and_the_command_is_told(monkeypatch):
    monkeypatch.setattr(install, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(TuningUnavailableError, match=r"torch\..*pip install torch==2\.13\.0 && pip install -r"):
        job.start(plan(), samples.examples())
    assert runs.listing() == []


def test_a_process_that_ends_well_is_followed_to_its_end(monkeypatch, installed):
    process(
        monkeypatch, "state(step=3, steps=4, phase='training'); state(status='done', phase='ended', adapter='brief')"
    )
    run = job.start(plan(), samples.examples())
    seen = list(job.follow(run, every_s=0.02))
    assert seen[-1].status == "done" and seen[-1].adapter == "brief" and seen[0].running
    with pytest.raises(InputError, match="finished"):
        job.resume(run)


def test_a_process_that_dies_without_a_word_is_told_with_its_log(monkeypatch, installed):
    process(monkeypatch, "print('the reason', file=sys.stderr); sys.exit(3)")
    run = job.start(plan(), samples.examples())
    until(lambda: run.state().status == "failed")
    assert "code 3" in run.state().error and "the reason" in run.state().error


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_training_is_interrupted_and_goes_on(monkeypatch, installed):
    process(monkeypatch, "state(step=3, steps=9, phase='training'); time.sleep(60)")
    run = job.start(plan(), samples.examples())
    until(lambda: run.state().step == 3)
    with pytest.raises(InputError, match="is running"):
        job.start(plan("other"), samples.examples())
    with pytest.raises(InputError, match="is running"):
        runs.delete(run)
    os.kill(int(run.state().owner.rsplit(":", 2)[1]), signal.SIGKILL)
    until(lambda: run.state().status == "interrupted" and run.state().error is not None)
    assert "memory" in run.state().error and run.state().step == 3 and job.running() is None
    process(monkeypatch, "state(status='done', phase='ended', step=9)")
    job.resume(run)
    until(lambda: run.state().status == "done")
    runs.delete(run)
    assert runs.listing() == []


def test_a_stop_is_asked_for_by_anybody_and_a_resume_forgets_it(monkeypatch, installed):
    process(
        monkeypatch,
        "while not run.stop_file.exists(): time.sleep(0.01)\nstate(status='cancelled', phase='ended')",
    )
    run = job.start(plan(), samples.examples())
    job.stop(runs.find(run.id))
    until(lambda: run.state().status == "cancelled")
    process(monkeypatch, "state(status='done', phase='ended', error=str(run.stop_file.exists()))")
    job.resume(run)
    until(lambda: run.state().status == "done")
    assert run.state().error == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_what_does_not_stop_when_asked_is_ended_and_can_go_on(monkeypatch, installed):
    ignores = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); state(step=1); time.sleep(60)"
    process(monkeypatch, ignores)
    run = job.start(plan(), samples.examples())
    until(lambda: run.state().step == 1)
    job.stop(run)
    assert run.state().running
    job.end(run)
    until(lambda: run.state().status == "cancelled")
    assert run.state().error is None and job.running() is None
    job.end(run)  # It has ended: nothing happens.
    process(monkeypatch, "state(status='done', phase='ended')")
    job.resume(run)
    until(lambda: run.state().status == "done")


def test_after_a_measurement_the_same_run_trains(monkeypatch, installed):
    process(monkeypatch, "state(status='done', phase='ended')")
    run = job.start(plan(), samples.examples(), measure_only=True)
    until(lambda: not run.state().running)
    run.write(replace(run.state(), estimate=ESTIMATE))
    job.resume(run)
    until(lambda: not run.state().running)
    assert not run.state().measure_only and run.state().estimate == ESTIMATE


def test_a_process_that_leaves_late_says_nothing_about_the_one_that_goes_on(monkeypatch, installed):
    leaves = "state(status='done', phase='ended')\nwhile not (run.path / 'leave').exists(): time.sleep(0.01)"
    process(monkeypatch, leaves)
    run = job.start(plan(), samples.examples(), measure_only=True)
    until(lambda: not run.state().running)
    go = "(run.path / 'leave').touch()"
    process(monkeypatch, f"state(step=1, phase='training'); {go}; time.sleep(0.5); state(status='done', phase='ended')")
    job.resume(run)
    assert {state.status for state in job.follow(run, every_s=0.02)} == {"running", "done"}


def test_several_processes_are_started_by_accelerate():
    run = made()
    assert job.command(run, 1)[1:3] == ["-m", "tale_core.tuning.worker"]
    assert job.command(run, 2)[2:5] == ["accelerate.commands.launch", "--num_processes", "2"]
    with pytest.raises(InputError):
        job.command(run, 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epochs": 0}, "epochs is 0"), ({"learning_rate": 1.0}, "learning_rate"), ({"targets": ()}, "Choose from"),
        ({"targets": ("lm_head",)}, "lm_head"), ({"batch": 10, "micro_batch": 3}, "multiple"),
        ({"micro_batch": 17}, "no multiple of 17"), ({"micro_batch": 0}, "micro_batch is 0"),
        ({"against": ("x",)}, "cannot be rejected"), ({"threads": 0}, "threads"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_in_words(changed, words):
    with pytest.raises(InputError, match=words):
        plan(settings=replace(TrainingSettings(), **changed)).validate()


def test_the_papers_settings_are_the_defaults():
    sft, dpo = paper_settings("sft"), paper_settings("dpo")
    assert (sft.rank, sft.alpha, sft.targets, sft.epochs, sft.batch) == (8, 32, ("q_proj", "v_proj"), 3, 16)
    assert (sft.learning_rate, sft.weight_decay) == (1e-4, 0.01)
    assert (dpo.epochs, dpo.batch, dpo.learning_rate, dpo.weight_decay, dpo.beta) == (2, 16, 3e-5, 0.001, 0.5)
    assert dpo.max_grad_norm == 5.0


def test_going_on_from_an_adapter_keeps_its_shape(tmp_path):
    samples.adapter(tmp_path, "sft", settings={"rank": 8, "alpha": 32, "targets": ["v_proj", "q_proj"]})
    plan("dpo", method="dpo", parent="sft").validate()
    with pytest.raises(InputError, match="keeps them"):
        plan("dpo", parent="sft", settings=replace(TrainingSettings(), rank=16)).validate()
    samples.adapter(tmp_path, "foreign", base="qwen2.5-coder-1.5b", settings={"rank": 8})
    with pytest.raises(InputError, match="is for qwen"):
        plan("dpo", parent="foreign").validate()


# --- the worker, with a training that is none


class Fake:
    """A training that does what a test wants."""

    ending: object = None
    stopped = False

    def __init__(self, plan, base, examples, folder, hooks, parent=None) -> None:
        self.hooks = hooks

    def measure(self) -> Estimate:
        return ESTIMATE

    def run(self, resume, into) -> Trained:
        Fake.resumed = resume
        self.hooks.stepped(Step(1, 2, 0.5, loss=2.0, learning_rate=1e-4))
        self.hooks.stepped(Step(2, 2, 1.0, held_out_loss=1.5))
        if isinstance(Fake.ending, BaseException):
            raise Fake.ending
        into.mkdir()
        (into / "adapter_config.json").write_text("{}")
        (into / "adapter_model.safetensors").write_bytes(b"x")
        return Trained(self.hooks.stopping(), 2, 0, "float32", "cpu", 1.5, 1.0, 3.0)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, installed: None, tmp_path: Path) -> None:
    Fake.ending = None
    folder = tmp_path / "model"
    folder.mkdir()
    monkeypatch.setattr(training, "Training", Fake)
    monkeypatch.setattr(worker, "prepare_base", lambda named, say: Base("", "", folder, "Some/Model"))
    monkeypatch.setattr(worker, "shape_of", lambda folder: export.Shape("llama", 1, 1, 1))
    monkeypatch.setattr(worker, "write_gguf", lambda peft, target, shape, **told: target.write_bytes(samples.lora()))
    monkeypatch.setattr(os, "nice", lambda n: 0)
    monkeypatch.setattr(signal, "signal", lambda *a: None)


def work(run: TuneRun) -> int:
    before = dict(os.environ)
    try:
        return worker.main([str(run.path)])
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_a_training_ends_with_the_adapter_in_the_registry(faked):
    run = made()
    assert work(run) == 0
    state, one = run.state(), adapters.find("brief")
    assert (state.status, state.adapter, state.estimate, state.step) == ("done", "brief", ESTIMATE, 2)
    assert [(o.loss, o.held_out) for o in run.losses()] == [(2.0, False), (1.5, True)]
    assert one.about.data["fingerprint"] == samples.examples().fingerprint and one.about.method == "sft"
    assert one.about.data["questions"] == list(samples.examples().train_keys)
    assert len(one.about.data["held_out_questions"]) == 3 and one.about.training["held_out_loss"] == 1.5
    assert json.loads((one.peft / "adapter_config.json").read_text())["base_model_name_or_path"] == "Some/Model"


def test_a_measurement_trains_nothing(faked):
    run = made(measure_only=True)
    assert work(run) == 0
    assert run.state().estimate == ESTIMATE and run.state().status == "done" and run.losses() == ()
    assert adapters.listing().adapters == ()


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full.*resume"),
        (OSError(errno.EACCES, "Permission denied"), "cannot be written: Permission denied"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), "not enough memory"),
        (RuntimeError("odd"), "RuntimeError: odd"),
        (AdapterFileError("holds numbers that are none", "Train again"), "numbers that are none"),
    ],
)
def test_what_ends_a_training_early_is_told_and_it_goes_on_from_its_checkpoint(faked, ending, words):
    Fake.ending = ending
    run = made()
    assert work(run) == 1
    state = run.state()
    assert state.status == "failed" and re.search(words, state.error)
    assert adapters.listing().adapters == () and not list(adapters.folder().glob("*"))
    saved = run.checkpoints / "checkpoint-2"
    saved.mkdir(parents=True)
    (saved / "trainer_state.json").write_text("{}")
    Fake.ending = None
    run.write(replace(state, status="running", owner=""))
    assert work(run) == 0 and Fake.resumed == saved
    assert adapters.find("brief") and not run.checkpoints.exists()


def test_a_stop_keeps_the_checkpoint_and_makes_no_adapter(faked):
    run = made()
    run.write(replace(run.state(), estimate=ESTIMATE))
    real = Fake.run

    def stopped(self, resume, into):
        run.ask_to_stop()
        return real(self, resume, into)

    Fake.run = stopped
    try:
        assert work(run) == 0
    finally:
        Fake.run = real
    assert run.state().status == "cancelled" and adapters.listing().adapters == ()
