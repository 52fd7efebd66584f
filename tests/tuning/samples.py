"""Answers in the store to learn from, and adapters of any shape, made without a model."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tale_core.experiments import ExperimentPlan
from tale_core.experiments.create import create_experiment
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.store import CallStore, Store, UnitRecord, new_session_id, open_store
from tale_core.tuning.examples import Example, Examples, Rejected
from tale_core.types import CallRecord, Message, Outcome, Question, Sampling, SessionRecord

BASE = "smollm2-135m"


def question(i: int, j: int = 5) -> Question:
    return Question(f"{i} pens and {j} more. How many?", answer=str(i + j))


def short(i: int, j: int = 5) -> str:
    return f"{i} + {j} = {i + j}. [[{i + j}]]"


def long(i: int, j: int = 5) -> str:
    return f"Let us think. At first {i} pens. Then {j} more. So there are {i + j}."


def call(session_id: str, role: str, text: str, tokens: int, **more: Any) -> CallRecord:
    told: dict[str, Any] = {
        "status": "done", "model": BASE, "endpoint": "embedded", "prompt_template": "words", "prompt_version": 1,
        "messages": (Message("user", "?"),), "sampling": Sampling(), "text": text, "completion_tokens": tokens,
        "prompt_tokens": 20, "finish_reason": "stop", "outcome": Outcome.CORRECT,
    }  # fmt: skip
    return CallRecord(session_id=session_id, role=role, **{**told, **more})


def searched(i: int, *, optimal: int = 25, store: Store | None = None, calls: Iterable[CallRecord] = ()) -> str:
    """A finished search: vanilla 40 tokens, the optimum 12, a smaller budget that failed."""
    name = new_session_id("search")
    made = calls or (
        call(name, "vanilla", long(i), 40),
        call(name, "probe", short(i), 12, requested_budget=optimal),
        call(name, "probe", "[[0]]", 3, requested_budget=10, outcome=Outcome.WRONG),
    )
    done = {"optimal_budget": optimal, "optimal_tokens": 12, "vanilla_tokens": 40}
    record = SessionRecord(
        id=name, question=question(i), model=BASE, endpoint="embedded", estimator="", kind="search", status="done",
        template="words", result={"done": done}, calls=tuple(made),
    )  # fmt: skip
    (store or open_store()).create_session(record)
    return name


def examples(count: int = 12, held_out: int = 3) -> Examples:
    """Examples without a store: sums that the small model can learn in a few steps."""
    made = [
        Example(question(i), short(i), 12, 25, "words", "search-x", Rejected(long(i), 40))
        for i in range(2, 2 + count + held_out)
    ]
    kept = tuple(made[count:])
    return Examples(tuple(made[:count]), kept, questions=tuple(e.question for e in kept))


SampledAnswer = tuple[str, int, Outcome]
"""An answer: text, tokens, what grading said."""


def asked(about: Question, calls: Iterable[CallRecord]) -> str:
    """A finished Ask with these calls."""
    name = new_session_id("ask")
    record = SessionRecord(
        id=name, question=about, model=BASE, endpoint="embedded", estimator="", kind="ask", status="done",
        template="words", calls=tuple(replace(one, session_id=name) for one in calls),
    )  # fmt: skip
    open_store().create_session(record)
    return name


def sampled(
    answers: dict[int, list[SampledAnswer]],
    *,
    strategies: tuple[str, ...] = ("concise",),
    repeats: int = 4,
    **more: Any,
) -> str:
    """An experiment in the store that has come as far as these answers, by question and sample."""
    store, numbers = open_store(), list(answers)
    plan = ExperimentPlan(
        questions=tuple(question(i) for i in numbers), strategies=strategies, repeats=repeats,
        sampling=Sampling(temperature=0.8),
    )  # fmt: skip
    name = create_experiment(plan, store, model=BASE, endpoint="embedded").resume_of or ""
    units = [
        (f"{p}/{r}/{strategies[0]}", p, r, said) for p, i in enumerate(numbers) for r, said in enumerate(answers[i])
    ]
    ids = CallStore(store).write([
        call(name, "budgeted", text, tokens, unit=unit, step=0, outcome=outcome, source="cached",
                     finish_reason="length" if outcome is Outcome.TRUNCATED else "stop", **more)
        for unit, _, _, (text, tokens, outcome) in units
    ])  # fmt: skip
    CallStore(store).write([
        UnitRecord(name, unit, position, strategies[0], repeat, "done", True, answer_call_id=call_id)
        for call_id, (unit, position, repeat, _) in zip(ids, units, strict=True)
    ])  # fmt: skip
    return name


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(key: str, kind: int, packed: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + packed


def string(key: str, said: str) -> bytes:
    return value(key, 8, text(said))


Tensors = dict[str, "np.ndarray[Any, Any]"]


def gguf(
    values: list[bytes],
    tensors: Tensors,
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
    kind: int = 0,
) -> bytes:
    """A GGUF file by hand; `counts` lies about the number of tensors and values, `kind` about their type."""
    n_tensors, n_values = counts or (len(tensors), len(values))
    head = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_values) + b"".join(values)
    infos, data = b"", b""
    for name, array in tensors.items():
        infos += text(name) + struct.pack("<I", array.ndim) + b"".join(struct.pack("<Q", d) for d in array.shape[::-1])
        infos += struct.pack("<IQ", kind, len(data))
        raw = array.astype("<f4").tobytes()
        data += raw + b"\0" * (-len(raw) % 32)
    whole = head + infos
    return whole + b"\0" * (-len(whole) % 32) + data


def lora(
    architecture: str = "llama",
    *,
    rows: int = 6,
    columns: int = 4,
    rank: int = 2,
    alpha: float = 32.0,
    values: Iterable[bytes] = (),
    **more: Any,
) -> bytes:
    """A small adapter of one projection."""
    told = [
        string("general.architecture", architecture), string("general.type", "adapter"),
        string("adapter.type", "lora"), value("adapter.lora.alpha", 6, struct.pack("<f", alpha)), *values,
    ]  # fmt: skip
    name = "blk.0.attn_q.weight"
    return gguf(told, {f"{name}.lora_a": np.ones((rank, columns)), f"{name}.lora_b": np.zeros((rows, rank))}, **more)


def base(architecture: str = "llama", *, rows: int = 6, columns: int = 4) -> bytes:
    """A model of one projection, as far as its header goes."""
    return gguf([string("general.architecture", architecture)], {"blk.0.attn_q.weight": np.zeros((rows, columns))})


def adapter(
    tmp_path: Path, name: str = "brief", *, base: str = BASE, file: bytes | None = None, **about: Any
) -> Adapter:
    """An adapter in the registry."""
    source = tmp_path / f"{name}-source"
    source.mkdir(exist_ok=True)
    (source / "a.gguf").write_bytes(file if file is not None else lora())
    (source / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 32}))
    (source / "adapter_model.safetensors").write_bytes(b"weights")
    told = {"name": name, "base": base, "method": "sft", "created": "2026-11-20T10:00:00+00:00", **about}
    return adapters.save(told, source / "a.gguf", source)
