"""The Fine-tune page in its states, without a training: what there is to learn from, a run that failed, an adapter."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from tale_core.models.adapters import registry as adapters
from tale_core.tuning import runs
from tale_core.tuning.plan import TunePlan
from tale_core.tuning.run_state import Estimate, Loss
from tests.tuning import samples

ESTIMATE = Estimate(1260.0, 5_500_000_000, 20.0, 63, 3, "float32", "cpu")
WORDS = (
    *(said(i) for said in (samples.short, samples.long) for i in range(2, 24)),
    *(samples.question(i).text for i in range(2, 24)),
    "brief-1", "brief-2", "brief", "words", "tuned", "alpha", "SFT", "DPO", "LoRA", "GGUF", "PEFT", "llama.cpp",
    "Ollama", "transformers", "vLLM",
)  # fmt: skip
"""What belongs to no language of ours: the samples' texts, and names of methods, files and programs."""
ROWS = [
    {"strategy": name, "n": 200, "accuracy": right, "accuracy_low": right - 0.05, "accuracy_high": right + 0.05,
     "output_tokens": tokens, "output_tokens_low": tokens - 5, "output_tokens_high": tokens + 5}
    for name, right, tokens in (("vanilla", 0.52, 303.0), ("tuned:brief-1", 0.5, 71.0))
]  # fmt: skip


def learnt() -> dict[str, str]:
    for i in range(2, 24):
        samples.searched(i)
    return {}


def trained() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        one = samples.adapter(Path(folder), "brief-1", data={"examples": 19})
    told = {"experiment": "gone", "dataset": "gsm8k", "questions": 200, "at": "2026-11-20T10:00:00", "rows": ROWS}
    adapters.change(one, results=[told])
    return {"adapter": "brief-1"}


def failed() -> dict[str, str]:
    run = runs.create(TunePlan(name="brief-2", base=samples.BASE), samples.examples())
    for step in (1, 2, 3):
        run.append(Loss(step, step / 3, 2.0 / step))
        run.append(Loss(step, step / 3, 2.5 / step, held_out=True))
    ended = replace(run.state(), status="failed", phase="ended", step=3, steps=9, error="磁盘已满。")
    run.write(replace(ended, estimate=ESTIMATE))
    return {"training": run.id}
