"""A call's record from its start to its end: begun, booked, failed, cancelled, graded, fingerprinted.

The one place where a completion becomes a record. Knows the client protocol and the grader; knows no store.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime

from tale_core.errors import ModelError
from tale_core.grading import grade
from tale_core.shutdown import stopped_status
from tale_core.types import (
    CallRecord,
    Client,
    Completion,
    Outcome,
    ProbePhase,
    Question,
    Request,
    Role,
    Usage,
)


def begun_call(
    role: Role,
    request: Request,
    client: Client,
    *,
    session_id: str,
    template: str,
    version: int,
    budget: int | None = None,
    repeat: int = 0,
    phase: ProbePhase | None = None,
) -> CallRecord:
    """The record of a call that is about to be sent."""
    return CallRecord(
        session_id=session_id,
        role=role,
        status="running",
        model=client.model,
        endpoint=client.endpoint,
        prompt_template=template,
        prompt_version=version,
        messages=request.messages,
        sampling=request.sampling,
        requested_budget=budget,
        repeat_index=repeat,
        phase=phase,
        cache_key=fingerprint(request, client, repeat=repeat),
        price=client.price,
        usage_estimated=True,  # Until the endpoint reports: a kill leaves our own count behind.
        created_at=datetime.now(UTC),
    )


def fingerprint(request: Request, client: Client, *, repeat: int = 0) -> str:
    """What makes two answers the same measurement: model, adapter, endpoint, prompt, sampling, repeat (64 hex digits).

    max_tokens is left out: an answer that ended by itself is the same under any cap that it stayed below.
    """
    sampling = {k: v for k, v in asdict(request.sampling).items() if k != "max_tokens"}
    prompt = [[m.role, m.content] for m in request.messages]
    adapter = [request.adapter] if request.adapter else []  # Without one the fingerprint is what it always was.
    parts = json.dumps(
        [client.model, client.endpoint, prompt, sampling, repeat, *adapter], sort_keys=True, ensure_ascii=True
    )
    return hashlib.sha256(parts.encode("ascii")).hexdigest()


def booked_call(call: CallRecord, completion: Completion) -> CallRecord:
    """The record of a call that ended with this completion, not graded yet."""
    usage = completion.usage
    return replace(
        call,
        status="done",
        endpoint=completion.endpoint or call.endpoint,
        text=completion.text,
        reasoning_text=completion.reasoning_text,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        usage_estimated=usage.estimated,
        ttft_s=completion.ttft_s,
        latency_s=completion.latency_s,
        finish_reason=completion.finish_reason,
        cost_usd=call.price.cost(usage) if call.price else None,
        source=completion.source,
        attempts=completion.attempts,
        adjustments=completion.adjustments,
    )


def failed_call(call: CallRecord, error: ModelError) -> CallRecord:
    """The record of a call that failed, with what had arrived."""
    ended = booked_call(call, error.partial) if error.partial else call
    return replace(ended, status="failed", finish_reason="error", outcome=Outcome.ERROR, error=str(error))


async def stopped_call(call: CallRecord, client: Client, *, text: str, reasoning: str) -> CallRecord:
    """The record of a call whose stream we closed.

    Its tokens, the prompt's too, are our own count and marked as estimated: they were spent, and the endpoint never
    reported any.
    """
    prompt = "\n".join(m.content for m in call.messages)
    usage = Usage(
        prompt_tokens=await client.count_tokens(prompt),
        completion_tokens=await client.count_tokens(text + reasoning),
        estimated=True,
    )
    elapsed = time.time() - call.created_at.timestamp() if call.created_at else 0.0
    stopped = Completion(text, usage, "cancelled", None, elapsed, reasoning_text=reasoning)
    return replace(booked_call(call, stopped), outcome=Outcome.UNGRADED)


async def cancelled_call(call: CallRecord, client: Client, *, text: str, reasoning: str) -> CallRecord:
    """The record of a call that was stopped on the way, by a person or by the process's end; see `stopped_call`."""
    return replace(await stopped_call(call, client, text=text, reasoning=reasoning), status=stopped_status())


async def graded_call(call: CallRecord, question: Question) -> CallRecord:
    """The record with its outcome against the known answer; `question.kind` must be set."""
    # In a thread: comparing expressions may wait for the grader's own process.
    result = await asyncio.to_thread(grade, call.text, question, finish_reason=call.finish_reason)
    extraction = result.extraction
    return replace(call, outcome=result.outcome, extracted=extraction.value, extracted_by=extraction.method)


def replayed_call(stored: CallRecord, *, session_id: str) -> CallRecord:
    """A stored call to be shown again in another session: marked cached, with its original tokens and times.

    Labels are looked up again for the copy when its session ends: its question may be another.
    """
    return replace(stored, id=0, session_id=session_id, source="cached", status="running", labelled=None)
