"""SFT and DPO with LoRA, through TRL and PEFT, in whatever process calls it.

The prompt is `plain_messages` in the model's own chat template, which is what the strategy `tuned` sends; the loss is
on the answer alone. Nothing here decides where results go: `Hooks` take what happens, `worker` runs it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tale_core.errors import TuningError
from tale_core.i18n import t
from tale_core.prompts.messages import plain_messages
from tale_core.tuning.base import Base
from tale_core.tuning.examples import Example, Examples, pairs
from tale_core.tuning.measuring import measure
from tale_core.tuning.plan import TrainingSettings, TunePlan
from tale_core.tuning.run_state import Estimate
from tale_core.tuning.watching import BEST, Hooks, watching


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out.

    Attributes:
        stopped: It was asked to stop; there is a checkpoint to go on from.
        left_out: Examples longer than max_length.
        held_out_loss: The lowest, with its epoch; None without held-out examples.
    """

    stopped: bool
    steps: int
    left_out: int
    precision: str
    device: str
    held_out_loss: float | None
    best_epoch: float | None
    seconds: float


class Training:
    """One training, loaded and ready.

    Args:
        plan: What to train.
        base: Prepared.
        examples: What to train on.
        folder: For checkpoints.
        hooks: Told what happens.
        parent: PEFT folder to go on from.

    Raises:
        TuningError: No example is short enough.
    """

    def __init__(
        self, plan: TunePlan, base: Base, examples: Examples, folder: Path, hooks: Hooks, parent: Path | None = None
    ) -> None:
        self.plan, self._hooks, self._folder = plan, hooks, folder
        self.precision, self.device = precision(), device()
        _set_threads(plan.settings)
        tokenizer, network = _load(base, self.precision, parent)
        self._train, long = _rows(plan, examples.train, tokenizer)
        self._held_out, _ = _rows(plan, examples.held_out, tokenizer)
        self.left_out = long
        if not self._train:
            raise TuningError(
                t(
                    "Every example is longer than max_length ({max_length} tokens).",
                    max_length=plan.settings.max_length,
                ),
                t("Raise it."),
            )
        self._callback = watching(hooks, folder, best=plan.settings.best and bool(self._held_out))
        self._trainer = self._make(network, tokenizer)

    def measure(self) -> Estimate:
        """Time a few passes, forward and back, and say what the whole will take. The model is as before."""
        return measure(
            self._trainer,
            self.plan.settings,
            held_out=len(self._held_out),
            precision=self.precision,
            device=self.device,
        )

    def run(self, resume: Path | None, into: Path) -> Trained:
        """Train to the end and write the adapter as a PEFT folder.

        Args:
            resume: Checkpoint to go on from.
            into: The folder to write.

        Raises:
            OSError: A checkpoint or the adapter cannot be written.
        """
        begun = time.monotonic()
        self._trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        callback = self._callback
        if not callback.stopped:
            self._write(into)
        return Trained(
            stopped=callback.stopped,
            steps=int(self._trainer.state.global_step),
            left_out=self.left_out,
            precision=self.precision,
            device=self.device,
            held_out_loss=callback.best_loss,
            best_epoch=callback.best_epoch,
            seconds=time.monotonic() - begun,
        )

    def _write(self, into: Path) -> None:
        best = self._folder / BEST
        if self._callback.best and (best / "adapter_config.json").is_file():
            shutil.copytree(best, into, dirs_exist_ok=True)
            return
        if self._trainer.is_world_process_zero():
            network = self._trainer.accelerator.unwrap_model(self._trainer.model)
            network.save_pretrained(into, selected_adapters=["default"], safe_serialization=True)

    def _make(self, network: Any, tokenizer: Any) -> Any:
        from datasets import Dataset
        from transformers import set_seed
        from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

        score_answers_alone()
        settings, dpo = self.plan.settings, self.plan.method == "dpo"
        options = _options(settings, self._folder, len(self._train), self.precision, evaluate=bool(self._held_out))
        if dpo:
            losses: dict[str, Any] = {"loss_type": ["sigmoid"]}
            if settings.sft_weight:
                losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, settings.sft_weight]}
            config = DPOConfig(**options, **losses, beta=settings.beta, precompute_ref_log_probs=True)
        else:
            config = SFTConfig(**options, completion_only_loss=True, packing=False)
        made: dict[str, Any] = {
            "model": network,
            "args": config,
            "processing_class": tokenizer,
            "train_dataset": Dataset.from_list(self._train),
            "eval_dataset": Dataset.from_list(self._held_out) if self._held_out else None,
            "callbacks": [self._callback],
        }
        if not hasattr(network, "peft_config"):
            made["peft_config"] = _lora(settings)
        set_seed(settings.seed)  # LoRA's first numbers are drawn while the trainer is made.
        trainer = (DPOTrainer if dpo else SFTTrainer)(**made)
        from transformers.trainer_callback import PrinterCallback

        trainer.remove_callback(PrinterCallback)
        return trainer


def precision() -> str:
    """The arithmetic of this machine: bfloat16 where the processor has it, else float32, which is faster there.

    It does not depend on how busy the machine is: the same seed gives the same adapter.
    """
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    has = (getattr(torch.cpu, f"_is_{name}_supported", lambda: False)() for name in ("avx512_bf16", "amx_tile"))
    return "bfloat16" if any(has) else "float32"


def device() -> str:
    """What it computes on: "cpu", or the GPU's name."""
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else "cpu"


def _set_threads(settings: TrainingSettings) -> None:
    import torch

    # A fixed number: with another one, sums are added in another order.
    torch.set_num_threads(settings.threads or psutil.cpu_count(logical=False) or 1)


def score_answers_alone() -> None:
    """Have TRL compute the log-probabilities of the answer's tokens alone, on a processor too.

    Its loss is on these anyhow. It picks them out only where it has Triton, because compilers elsewhere would compile
    anew for each number of tokens; nothing is compiled here, and the prompt is often the longer part of an example
    against a vocabulary of 150,000. The name is private to the pinned TRL: without it, training is slower and the same.
    """
    import trl.trainer.utils as trl_utils

    if hasattr(trl_utils, "_use_triton"):
        trl_utils._use_triton = lambda device: True


def _load(base: Base, arithmetic: str, parent: Path | None) -> tuple[Any, Any]:
    """Tokenizer and network; with `parent`, the network with that adapter to be trained on."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    dtype = torch.bfloat16 if arithmetic == "bfloat16" else torch.float32
    network: Any = AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype, local_files_only=True)
    network.config.use_cache = False
    if parent is not None:
        from peft import PeftModel

        network = PeftModel.from_pretrained(network, str(parent), is_trainable=True)
    return tokenizer, network


def _lora(settings: TrainingSettings) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _options(settings: TrainingSettings, folder: Path, rows: int, arithmetic: str, *, evaluate: bool) -> dict[str, Any]:
    import torch

    world = int(os.environ.get("WORLD_SIZE", "1"))
    collected = max(1, settings.batch // (settings.micro_batch * world))
    steps = settings.epochs * -(-rows // (collected * settings.micro_batch * world))
    return {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.micro_batch,
        "per_device_eval_batch_size": settings.micro_batch,
        "gradient_accumulation_steps": collected,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "warmup_steps": round(settings.warmup * steps),
        "lr_scheduler_type": "cosine",
        "max_grad_norm": settings.max_grad_norm,
        "max_length": settings.max_length,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": arithmetic == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "activation_checkpointing": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "logging_steps": 1,
        "logging_first_step": True,
        "save_strategy": "no",  # The callback saves, by time.
        "save_total_limit": 2,
        "eval_strategy": "epoch" if evaluate else "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": True,
    }


def _rows(plan: TunePlan, examples: Sequence[Example], tokenizer: Any) -> tuple[list[dict[str, Any]], int]:
    """What the trainers read, and how many examples were too long."""
    rows: list[dict[str, Any]] = []
    long = 0
    if plan.method == "dpo":
        wanted = [(p.example, p.rejected.text) for p in pairs(examples, plan.settings.against)]
    else:
        wanted = [(e, "") for e in examples]
    for example, rejected in wanted:
        asked = plain_messages(example.question, writes=example.writes)
        prompt = [{"role": m.role, "content": m.content} for m in asked]
        answers = [{"role": "assistant", "content": text} for text in (example.target, rejected) if text]
        if max(_length(tokenizer, [*prompt, answer]) for answer in answers) > plan.settings.max_length:
            long += 1
        elif rejected:
            rows.append({"prompt": prompt, "chosen": [answers[0]], "rejected": [answers[1]]})
        else:
            rows.append({"prompt": prompt, "completion": [answers[0]]})
    return rows, long


def _length(tokenizer: Any, messages: list[dict[str, str]]) -> int:
    return len(tokenizer(tokenizer.apply_chat_template(messages, tokenize=False)).input_ids)
