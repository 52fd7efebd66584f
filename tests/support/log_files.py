"""Logs in the shapes that other evaluation tools write; contents made up.

Shapes read in github.com/EleutherAI/lm-evaluation-harness (`evaluation_tracker.py`, `evaluator.py`),
github.com/UKGovernmentBEIS/inspect_ai (`log/_log.py`, `log/_recorders/eval.py`), github.com/promptfoo/promptfoo
(`types/index.ts`) and github.com/openai/evals (`record.py`).
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import Any

import pyarrow as pa

JARS = "A jar has 9 red and 4 blue marbles. How many?"
PENS = "Ann has 3 pens and buys 5. How many?"


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


# lm-evaluation-harness


def harness_row(
    number: int, doc: dict[str, Any], target: str, responses: list[Any], *, name: str = "strict-match", **more: Any
) -> dict[str, Any]:
    return {
        "doc_id": number, "doc": doc, "target": target,
        "arguments": {"gen_args_0": {"arg_0": f"Question: Two?\nAnswer: 2\n\nQuestion: {doc.get('question')}\nAnswer:",
                                     "arg_1": {"until": ["Question:"], "do_sample": False}}},
        "resps": [responses], "filtered_resps": ["13"], "filter": name, "metrics": ["exact_match"], "doc_hash": "x",
        "prompt_hash": "y", "target_hash": "z", "exact_match": 1.0, **more,
    }  # fmt: skip


def harness() -> bytes:
    jars, pens = {"question": JARS, "answer": "9+4=13\n#### 13"}, {"question": PENS, "answer": "3+5=8\n#### 8"}
    rows = [
        harness_row(i, doc, doc["answer"], said)
        for i, (doc, said) in enumerate([(jars, ["9+4 is 13. The answer is 13.", "It is 14."]), (pens, ["It is 7."])])
    ]
    return jsonl(*rows, *(row | {"filter": "flexible-extract"} for row in rows))


# Inspect


def inspect_sample(
    number: int, asked: Any = JARS, target: Any = "13", said: Any = "So it is 13.", **more: Any
) -> dict[str, Any]:
    message = {"id": "m", "content": said, "source": "generate", "role": "assistant", "model": "gpt-4o-2024-08-06"}
    return {
        "id": number, "epoch": 1, "input": asked, "target": target, "messages": [], "scores": {}, "metadata": {},
        "output": {"model": "gpt-4o-2024-08-06", "choices": [{"message": message, "stop_reason": "stop"}],
                   "completion": said if isinstance(said, str) else "",
                   "usage": {"input_tokens": 50, "output_tokens": 9, "total_tokens": 61, "input_tokens_cache_read": 2,
                             "reasoning_tokens": 4}},
        **more,
    }  # fmt: skip


INSPECT_HEADER: dict[str, Any] = {
    "version": 2, "status": "success", "eval": {"task": "inspect_evals/gsm8k", "model": "openai/gpt-4o"}, "plan": {},
}  # fmt: skip


def inspect_log(*samples: Any) -> bytes:
    return json.dumps(
        {**INSPECT_HEADER, "samples": list(samples or (inspect_sample(1), inspect_sample(2, PENS, "8")))}
    ).encode()


def inspect_archive(members: dict[str, Any] | None = None, *, zstandard: bool = False) -> bytes:
    """An `.eval` file; values that are bytes are members as they are."""
    if members is None:
        samples = {f"samples/{i}_epoch_1.json": inspect_sample(i) for i in (1, 2)}
        members = {
            "_journal/start.json": INSPECT_HEADER,
            **samples,
            "summaries.json": [],
            "header.json": INSPECT_HEADER,
        }
    raw = {name: one if isinstance(one, bytes) else json.dumps(one).encode() for name, one in members.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if zstandard else zipfile.ZIP_DEFLATED) as archive:
        for name, data in raw.items():
            archive.writestr(name, zstd(data) if zstandard else data)
    return with_zstandard(out.getvalue(), raw) if zstandard else out.getvalue()


def zstd(data: bytes, frames: int = 2) -> bytes:
    """Compressed in several frames, as Inspect does with what is large."""
    size, found = -(-len(data) // frames) or 1, b""
    for start in range(0, len(data), size):
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data[start : start + size])
        found += sink.getvalue().to_pybytes()
    return found


def with_zstandard(data: bytes, raw: dict[str, bytes]) -> bytes:
    """An archive of members that are compressed already, told so: method 93, with their own size and checksum."""
    changed = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos, central = archive.infolist(), archive.start_dir
    for info in infos:
        size, check = len(raw[info.filename]), zlib.crc32(raw[info.filename])
        struct.pack_into("<H", changed, info.header_offset + 8, 93)
        struct.pack_into("<I", changed, info.header_offset + 14, check)
        struct.pack_into("<I", changed, info.header_offset + 22, size)
        struct.pack_into("<H", changed, central + 10, 93)
        struct.pack_into("<I", changed, central + 16, check)
        struct.pack_into("<I", changed, central + 24, size)
        name, extra, comment = struct.unpack_from("<HHH", changed, central + 28)
        central += 46 + name + extra + comment
    return bytes(changed)


# promptfoo


def promptfoo_result(
    asked: str = JARS, said: Any = "13 marbles", *, provider: Any = "openai:gpt-5-mini", prompt: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "promptIdx": prompt, "testIdx": 0, "id": "r", "success": False, "score": 0.5, "failureReason": 1,
        "error": "Latency 5794ms is greater than threshold 3000ms", "latencyMs": 5794,
        "provider": {"id": provider, "label": ""}, "prompt": {"raw": f"Solve: {asked}", "label": "Solve: {{question}}"},
        "vars": {"question": asked, "expected": "13"},
        "testCase": {"vars": {"question": asked}, "assert": [{"type": "cost", "threshold": 1},
                                                               {"type": "equals", "value": "{{expected}}"}]},
        "response": {"output": said, "cached": False, "finishReason": "stop",
                     "tokenUsage": {"total": 282, "prompt": 37, "completion": 245,
                                    "completionDetails": {"reasoning": 192}}},
        **more,
    }  # fmt: skip


def promptfoo(*results: Any) -> bytes:
    inner = {"version": 3, "timestamp": "t", "prompts": [], "stats": {}}
    document = {"evalId": "eval-x", "results": inner | {"results": list(results or (promptfoo_result(),))}}
    return json.dumps(document | {"config": {}, "shareableUrl": None}).encode()


# OpenAI evals


def event(number: int, sample: str, kind: str, **data: Any) -> dict[str, Any]:
    return {"run_id": "r", "event_id": number, "sample_id": sample, "type": kind, "data": data, "created_by": "",
            "created_at": "2026-01-01 00:00:00+00:00"}  # fmt: skip


def chat(asked: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": asked}]


def openai_evals() -> bytes:
    usage = {"completion_tokens": 4, "prompt_tokens": 30, "total_tokens": 34}
    return jsonl(
        {"spec": {"completion_fns": ["gpt-3.5-turbo"], "eval_name": "jars.dev.v0", "base_eval": "jars", "split": "dev",
                  "run_config": {}, "created_by": "", "run_id": "r", "created_at": "t"}},
        event(0, "jars.dev.0", "sampling", prompt=chat(JARS), sampled=["It is 13."], usage=usage,
              model="gpt-3.5-turbo-0613"),
        event(1, "jars.dev.1", "sampling", prompt=chat(PENS), sampled="It is 8."),
        event(2, "jars.dev.0", "match", correct=True, expected="13", picked="13", sampled="It is 13."),
        event(3, "jars.dev.1", "match", correct=False, expected=["8"], picked=None),
        event(4, "jars.dev.1", "sampling", prompt="Was that right?", sampled="Y"),
        {"final_report": {"accuracy": 0.5}, "run_id": "r"},
    )  # fmt: skip
