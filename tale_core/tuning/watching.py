"""A training is looked over: what it tells after each step, when it saves, when it stops, and its best epoch.

Imports transformers when called.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAVE_EVERY_S = 120.0
"""Seconds between checkpoints: what a kill costs at most."""
BEST = "best"


@dataclass(frozen=True, slots=True)
class Step:
    """What a step told."""

    step: int
    steps: int
    epoch: float
    loss: float | None = None
    held_out_loss: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the training tells, and asks.

    Attributes:
        say: Takes what happens now, in words.
        stepped: Takes every step.
        stopping: Whether it is to stop; asked after every step.
    """

    say: Callable[[str], None]
    stepped: Callable[[Step], None]
    stopping: Callable[[], bool]


def _callback_base() -> Any:
    from transformers import TrainerCallback

    return TrainerCallback


def watching(hooks: Hooks, folder: Path, *, best: bool) -> Any:
    """The trainer's callback; a function, since its base class comes with transformers."""

    class Callback(_callback_base()):  # type: ignore[misc]
        """Tells every step, saves by time, stops when asked, keeps the best epoch."""

        def __init__(self) -> None:
            self.best, self.stopped = best, False
            self.best_loss, self.best_epoch = _remembered(folder)
            self._saved = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            if hooks.stopping():
                self.stopped = state.global_step < state.max_steps
                control.should_training_stop = control.should_save = True
            elif time.monotonic() - self._saved >= SAVE_EVERY_S:
                control.should_save = True
            if control.should_save:
                self._saved = time.monotonic()
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if state.is_world_process_zero and logs and ("loss" in logs or "eval_loss" in logs):
                hooks.stepped(
                    Step(
                        step=state.global_step,
                        steps=state.max_steps,
                        epoch=float(state.epoch or 0.0),
                        loss=logs.get("loss"),
                        held_out_loss=logs.get("eval_loss"),
                        learning_rate=logs.get("learning_rate"),
                    )
                )

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: Any = None, model: Any = None, **_: Any
        ) -> None:
            loss = (metrics or {}).get("eval_loss")
            if not self.best or loss is None or (self.best_loss is not None and loss >= self.best_loss):
                return
            self.best_loss, self.best_epoch = float(loss), float(state.epoch or 0.0)
            if state.is_world_process_zero:
                target = folder / BEST
                getattr(model, "module", model).save_pretrained(target, selected_adapters=["default"])
                note = {"loss": self.best_loss, "epoch": self.best_epoch}
                (target / "best.json").write_text(json.dumps(note), encoding="utf-8")

    return Callback()


def _remembered(folder: Path) -> tuple[float | None, float | None]:
    """The best epoch before a resume."""
    try:
        note = json.loads((folder / BEST / "best.json").read_text(encoding="utf-8"))
        return float(note["loss"]), float(note["epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
