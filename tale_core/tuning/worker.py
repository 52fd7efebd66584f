"""A training's own process: `python -m tale_core.tuning.worker RUN_FOLDER`, started by `job` or by accelerate.

It outlives the process that started it. It writes how far it is into the run's folder and ends with the adapter in the
registry, or with an error in words and its last checkpoint. Everything that it needs is in the run's folder and its
plan.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tale_core.errors import TaleError
from tale_core.i18n import t
from tale_core.models.adapters import check as adapter_check
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.process import current_owner
from tale_core.tuning import runs
from tale_core.tuning.base import Base, check_memory, prepare_base
from tale_core.tuning.examples import Examples
from tale_core.tuning.export import shape_of, strip_base, write_gguf
from tale_core.tuning.install import require
from tale_core.tuning.run_state import Loss, Phase
from tale_core.tuning.runs import TuneRun

BEAT_S = 1.0
MOST_KEPT = 1_000
"""Held-out questions that an adapter's description keeps, to be evaluated on."""
NICE = 5
"""Trainings yield to people who use the app meanwhile."""


class Reporter:
    """Keeps the run's state and writes it, at most once in BEAT_S unless something important changed.

    Args:
        run: Whose state.
        silent: Another process of the same training writes it.
    """

    def __init__(self, run: TuneRun, *, silent: bool = False) -> None:
        self.run, self._silent = run, silent
        before = run.state()
        self.state = replace(
            before, status="running", phase="starting", error=None, owner=current_owner(), message="", adapter=""
        )
        self._written = self._stepped_at = 0.0
        self._first = 0
        self._asked = threading.Event()
        self.change()

    def phase(self, phase: Phase, message: str = "") -> None:
        """Something else begins."""
        self.change(phase=phase, message=message)

    def say(self, message: str) -> None:
        """What happens now."""
        if time.monotonic() - self._written >= BEAT_S:
            self.change(message=message)

    def change(self, **fields: Any) -> None:
        """Change fields and write them."""
        self.state = replace(self.state, **fields)
        self._written = time.monotonic()
        if not self._silent:
            self.run.write(self.state)

    def stepped(self, step: Any) -> None:
        """Take a `training.Step`."""
        if self._silent:
            return
        now = time.monotonic()
        if not self._stepped_at:
            self._stepped_at, self._first = now, step.step
        done = step.step - self._first
        eta = (now - self._stepped_at) / done * (step.steps - step.step) if done > 0 else self.state.eta_s
        if step.loss is not None:
            self.run.append(Loss(step.step, step.epoch, step.loss, learning_rate=step.learning_rate))
        if step.held_out_loss is not None:
            self.run.append(Loss(step.step, step.epoch, step.held_out_loss, held_out=True))
        loss = self.state.loss if step.loss is None else step.loss
        self.change(step=step.step, steps=step.steps, epoch=step.epoch, loss=loss, eta_s=eta, message="")

    def stopping(self) -> bool:
        """Whether somebody wants it to stop."""
        return self._asked.is_set() or self.run.stop_file.exists()

    def ask(self, *_: Any) -> None:
        """Stop after this step (a signal's handler)."""
        self._asked.set()


def train(run: TuneRun, reporter: Reporter) -> None:
    """Train, from the newest checkpoint if there is one, and take the adapter into the registry.

    Raises:
        TaleError: It cannot go on; the state has still to be written.
        OSError: A file cannot be written.
    """
    require()
    from tale_core.tuning.training import Training
    from tale_core.tuning.watching import Hooks

    plan = run.plan
    adapters.check_name(plan.name)
    reporter.phase("preparing", t("Looking for the model…"))
    base = prepare_base(plan.base, reporter.say)
    shape = shape_of(base.folder)
    check_memory(base)
    parent = adapters.find(plan.parent).peft if plan.parent else None
    examples = run.examples()
    reporter.phase("loading", t("Loading the model for training…"))
    hooks = Hooks(reporter.say, reporter.stepped, reporter.stopping)
    training = Training(plan, base, examples, run.checkpoints, hooks, parent)
    if reporter.state.estimate is None:
        reporter.phase("measuring", t("Timing a few passes over your examples…"))
        estimate = training.measure()
        reporter.change(estimate=estimate, steps=estimate.steps, memory=estimate.memory)
    if reporter.state.measure_only or reporter.stopping():
        reporter.change(status="done" if reporter.state.measure_only else "cancelled", phase="ended", message="")
        return
    reporter.phase("training")
    into = run.path / adapters.PEFT
    done = training.run(run.checkpoint(), into)
    if done.stopped:
        reporter.change(status="cancelled", phase="ended", message="", eta_s=None)
        return
    if reporter._silent:
        return
    reporter.phase("exporting", t("Writing the adapter…"))
    strip_base(into, base.hub)
    gguf = run.path / adapters.GGUF
    description = f"TALE-PT, {plan.method}, {len(examples.train)} examples"
    write_gguf(into, gguf, shape, about=description, writes=examples.writes)
    made = adapters.save(about(run, base, examples, asdict(done)), gguf, into)
    _fits(made, base)
    run.tidy()
    reporter.change(status="done", phase="ended", message="", adapter=plan.name, eta_s=None)


def about(run: TuneRun, base: Base, examples: Examples, trained: dict[str, Any]) -> dict[str, Any]:
    """The adapter's description."""
    plan = run.plan
    tokens = [e.target_tokens for e in examples.train]
    vanilla = [e.vanilla.tokens for e in examples.train if e.vanilla]
    return {
        "name": plan.name,
        "base": base.name,
        "base_sha256": base.sha256,
        "base_folder": "" if base.name else base.folder.name,
        "method": plan.method,
        "writes": examples.writes,
        "parent": plan.parent,
        "note": plan.note,
        "created": run.state().started_at,
        "data": {
            "fingerprint": examples.fingerprint,
            "source": examples.source,
            "examples": len(examples.train),
            "held_out": len(examples.held_out),
            "target_tokens_mean": sum(tokens) / len(tokens) if tokens else None,
            "vanilla_tokens_mean": sum(vanilla) / len(vanilla) if vanilla else None,
            "questions": list(examples.train_keys),
            "held_out_questions": [asdict(q) for q in examples.questions[:MOST_KEPT]],
        },
        "settings": asdict(plan.settings),
        "training": trained,
    }


def _fits(made: Adapter, base: Base) -> None:
    """What was written must be what the server will load; otherwise say so now.

    Raises:
        AdapterFileError: It does not fit its own base: a mistake of ours, told before anybody uses it.
    """
    if not base.name:
        return
    from tale_core.models.embedded.catalog import embedded_model
    from tale_core.models.weights.fetch import ensure_weights

    weights = ensure_weights(embedded_model(base.name))
    adapters.verified(made, adapter_check.base_header(weights))


def fail(reporter: Reporter, error: BaseException) -> None:
    """Write why it ended."""
    if isinstance(error, OSError):
        error = runs.no_room(reporter.run.path, error)
    words = str(error) if isinstance(error, TaleError) else _unforeseen(error)
    traceback.print_exception(error)
    reporter.change(status="failed", phase="ended", error=words, message="", eta_s=None)


def _unforeseen(error: BaseException) -> str:
    if isinstance(error, MemoryError) or "not enough memory" in str(error) or "out of memory" in str(error).lower():
        return t("There was not enough memory. Close other programs, or choose a smaller micro batch or max_length.")
    kind = type(error).__name__
    return t("The training ended with {kind}: {words}. The log has the details.", kind=kind, words=str(error)[:300])


def main(argv: list[str] | None = None) -> int:
    """Run the training of a folder; 0 when it ended as asked."""
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    folder = Path((argv or sys.argv[1:])[0])
    run = runs.find(folder.name)
    reporter = Reporter(run, silent=os.environ.get("RANK", "0") != "0")
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), reporter.ask)
    if hasattr(os, "nice"):
        os.nice(NICE)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ["HF_HOME"] = str(run.path / "hf")
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    try:
        train(run, reporter)
    except Exception as e:
        try:
            fail(reporter, e)
        except TaleError as error:  # A full disk has no room for this either.
            print(f"the end could not be written: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
