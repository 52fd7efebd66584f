"""What `tune` says: its JSON documents, and examples and costs in sentences. Starts nothing, writes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tale_core.models.adapters import Adapter
from tale_core.models.weights_progress import megabytes
from tale_core.presheet import duration
from tale_core.tuning.examples import Examples
from tale_core.tuning.run_state import Estimate
from tale_core.tuning.runs import TuneRun


def examples_document(found: Examples, model: str) -> dict[str, Any]:
    """JSON-safe."""
    tokens = [e.target_tokens for e in found.train]
    vanilla = [e.vanilla.tokens for e in found.train if e.vanilla]
    return {
        "model": model,
        "fingerprint": found.fingerprint,
        "train": len(found.train),
        "train_questions": len(found.train_keys),
        "held_out": len(found.held_out),
        "pairs": sum(e.vanilla is not None for e in found.train),
        "target_tokens_mean": sum(tokens) / len(tokens) if tokens else None,
        "vanilla_tokens_mean": sum(vanilla) / len(vanilla) if vanilla else None,
        "passed_over": found.passed._asdict(),
    }


def examples_words(found: Examples) -> str:
    """What there is to train on, in a sentence or two."""
    tokens = [e.target_tokens for e in found.train]
    mean = f" of {sum(tokens) / len(tokens):.0f} tokens on average" if tokens else ""
    vanilla = [e.vanilla.tokens for e in found.train if e.vanilla]
    against = f" (vanilla: {sum(vanilla) / len(vanilla):.0f})" if vanilla else ""
    passed = found.passed
    return (
        f"{len(found.train)} examples of {len(found.train_keys)} questions{mean}{against}, {len(found.held_out)} held "
        f"out. Passed over: {passed.without_right} questions without a right short answer, {passed.not_shorter} where "
        f"it is no shorter, {passed.outside} outside the lengths, {passed.excluded} kept for evaluation."
    )


def estimate_words(estimate: Estimate) -> str:
    """What a training will take, in a sentence."""
    return (
        f"{estimate.steps} steps of about {duration(estimate.seconds_per_step)}, {duration(estimate.seconds)} in all, "
        f"with {megabytes(estimate.memory)} of memory ({estimate.precision} on {estimate.device}; "
        f"{estimate.measured} passes timed)."
    )


def run_document(run: TuneRun) -> dict[str, Any]:
    """JSON-safe."""
    state = run.state()
    told = asdict(state)
    for name in ("owner", "message"):
        told.pop(name)
    named = {"run": run.id, "name": run.plan.name, "base": run.plan.base, "method": run.plan.method}
    return named | told | {"settings": asdict(run.plan.settings), "losses": [asdict(one) for one in run.losses()]}


def adapter_document(a: Adapter) -> dict[str, Any]:
    """JSON-safe: the description, with where it is."""
    told = a.about.model_dump()
    for name in ("questions", "held_out_questions"):
        if (listed := told["data"].pop(name, None)) is not None:
            told["data"][f"{name}_count"] = len(listed)
    return told | {"key": a.key, "shipped": a.shipped, "folder": str(a.folder), "peft": a.peft.is_dir()}
