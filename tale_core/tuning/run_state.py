"""How far a training is: what its process writes and everybody else reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tale_core.types import Status

Phase = Literal["starting", "preparing", "loading", "measuring", "training", "exporting", "ended"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will take, measured on the machine with its own examples.

    Attributes:
        seconds: Of training, without loading the model.
        memory: Bytes, the highest so far and what the rest adds.
        seconds_per_step: One step of a whole batch.
        steps: In all.
        measured: Passes that were timed.
        precision: Arithmetic that was faster here: "float32" or "bfloat16".
        device: "cpu", or the GPU's name.
    """

    seconds: float
    memory: int
    seconds_per_step: float
    steps: int
    measured: int
    precision: str
    device: str


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a training is.

    Attributes:
        measure_only: It was asked what it would take, not to train.
        step: Steps done.
        steps: Steps in all; 0 until it is known.
        loss: The newest.
        message: What happens now, in words.
        adapter: Name of the adapter that came out.
        error: Why it ended early, in words.
        owner: The process, see `tale_core.process`.
    """

    status: Status = "running"
    phase: Phase = "starting"
    measure_only: bool = False
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    eta_s: float | None = None
    memory: int = 0
    estimate: Estimate | None = None
    message: str = ""
    adapter: str = ""
    error: str | None = None
    owner: str = ""
    started_at: str = ""
    updated_at: str = ""

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class Loss:
    """A line of the loss curve.

    Attributes:
        held_out: The loss is that of the held-out examples.
    """

    step: int
    epoch: float
    loss: float
    held_out: bool = False
    learning_rate: float | None = None
    at: str = ""
