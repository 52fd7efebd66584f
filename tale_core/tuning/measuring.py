"""What a training will take, measured: a few passes over its own examples, forward and back, timed.

Changes nothing in the trainer. Imports torch when called.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import psutil

from tale_core.tuning.plan import TrainingSettings
from tale_core.tuning.run_state import Estimate

PASSES = 3
FORWARD_SHARE = 0.4
"""Of a pass forward and back, about what the pass forward takes: for the loss on held-out examples."""


def measure(trainer: Any, settings: TrainingSettings, *, held_out: int, precision: str, device: str) -> Estimate:
    """Time PASSES passes: the longest example, which decides the memory, and two of the middle.

    Args:
        trainer: Made, not run.
        settings: Of the training.
        held_out: Examples whose loss is looked at after each epoch.
        precision: Named in the result.
        device: Likewise.
    """
    import torch

    rows = sorted((trainer.train_dataset[i] for i in range(len(trainer.train_dataset))), key=_tokens)
    lengths = [_tokens(row) for row in rows]
    chosen = [rows[-1], *rows[len(rows) // 2 : len(rows) // 2 + PASSES - 1]]
    network = trainer.model
    was_training = network.training
    network.train()
    with torch.random.fork_rng():
        seconds = sum(_timed(trainer, [row] * settings.micro_batch) for row in chosen)
    network.zero_grad(set_to_none=True)
    network.train(was_training)
    _forget_metrics(trainer)
    per_token = seconds / (settings.micro_batch * sum(_tokens(row) for row in chosen))
    forward = FORWARD_SHARE * held_out * (sum(lengths) / len(lengths))
    steps = settings.epochs * -(-len(rows) // settings.batch)
    whole = per_token * settings.epochs * (sum(lengths) + forward)
    return Estimate(
        seconds=whole,
        memory=_memory(network),
        seconds_per_step=per_token * sum(lengths) * settings.epochs / steps,
        steps=steps,
        measured=len(chosen),
        precision=precision,
        device=device,
    )


def _timed(trainer: Any, rows: list[Any]) -> float:
    import torch

    begun = time.monotonic()
    inputs = trainer._prepare_inputs(trainer.data_collator(rows))
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic() - begun


def _forget_metrics(trainer: Any) -> None:
    """TRL averages what it saw since it logged last; these passes are no part of the training."""
    for metrics in getattr(trainer, "_metrics", {}).values():
        metrics.clear()
    trainer._total_train_tokens = 0


def _tokens(row: Any) -> int:
    """Tokens that one example sends through the model; a preference pair sends its prompt twice."""
    if "input_ids" in row:
        return len(row["input_ids"])
    names: Iterable[str] = ("prompt_ids", "prompt_ids", "chosen_ids", "rejected_ids")
    if "completion_ids" in row:
        names = ("prompt_ids", "completion_ids")
    return sum(len(row[name]) for name in names)


def _memory(network: Any) -> int:
    """The highest so far, and the optimiser's two numbers for each that is trained."""
    import torch

    trained: int = sum(int(p.numel()) for p in network.parameters() if p.requires_grad)
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated()) + 8 * trained
    try:
        import resource
        import sys

        unit = 1 if sys.platform == "darwin" else 1024
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:  # Windows
        highest = psutil.Process().memory_info().rss
    return int(highest) + 8 * trained
