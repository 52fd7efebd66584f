"""A call from what is asked for to what is stored of it: begun, booked, failed, cancelled, graded, fingerprinted.

A `Step` is a request with what is stored of it. The one place where a completion becomes a record.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from tale_core.budgets.forcing import whole_text
from tale_core.budgets.kinds import ASKED, Kind, close_of
from tale_core.errors import InputError, ModelError
from tale_core.grading import graded
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.grading.lines import reader, tuned_template
from tale_core.i18n import t
from tale_core.process import stopped_status
from tale_core.prompts import messages as prompts
from tale_core.types import (
    CallRecord,
    Client,
    Completion,
    Level,
    Outcome,
    ProbePhase,
    Question,
    Request,
    Role,
    Sampling,
    Usage,
    Writes,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A call that is wanted.

    Attributes:
        template: Stored with the call, as is `version`.
        budget: Tokens that the prompt asks for; None when it asks for none.
        phase: For the probes of a search, the part of the search that asks.
        cap: Completion tokens at which the answer can no longer win; it is cut there. None lets it end by itself.
        sample: Which of several that are drawn for one question, from 0.
    """

    role: Role
    request: Request
    template: str
    version: int
    budget: int | None = None
    phase: ProbePhase | None = None
    cap: int | None = None
    sample: int = 0


MOST_TOKENS = 10_000_000
"""Of an answer: more than any context holds."""
MOST_SEED = 2**53
"""Whole numbers beyond it are not the same any more to those who read JSON's numbers as floats."""


def check_asked(question: Question, sampling: Sampling) -> None:
    """What every plan about one question is checked for.

    Raises:
        InputError: The question is empty, or a setting is out of range.
    """
    if not question.text.strip():
        raise InputError(t("The question is empty."), t("Type a question first."))
    check_sampling(sampling)


def check_sampling(sampling: Sampling) -> None:
    """Check the numbers that any endpoint would refuse.

    Raises:
        InputError: One is out of range.
    """
    cap, temperature, seed = sampling.max_tokens, sampling.temperature, sampling.seed
    if cap is not None and not 1 <= cap <= MOST_TOKENS:
        raise InputError(
            t("max_tokens is {given}.", given=cap), t("Give a whole number from 1 to {high:,}.", high=MOST_TOKENS)
        )
    if seed is not None and not -MOST_SEED <= seed <= MOST_SEED:
        allowed = t("Give a whole number from {low} to {high:,}.", low=f"{-MOST_SEED:,}", high=MOST_SEED)
        raise InputError(t("The seed is {given}.", given=seed), allowed)
    if temperature is not None and not 0 <= temperature <= 2:
        raise InputError(t("The temperature is {given}.", given=temperature), t("Give a number from 0 to 2."))


def answer_step(
    role: Role,
    question: Question,
    *,
    template: str,
    sampling: Sampling,
    budget: Level | None = None,
    kind: Kind = ASKED,
    phase: ProbePhase | None = None,
    cap: int | None = None,
) -> Step:
    """Step-by-step reasoning in this prompt template, under a budget of this kind if there is one."""
    form = prompts.template(template)
    asked = None if budget is None else kind.in_prompt(budget)
    sampling = sampling if budget is None else kind.in_sampling(sampling, budget)
    messages = prompts.answer_messages(question, template_name=form.name, kind=question.kind or "number", budget=asked)
    # A name of its own: what was forced out is no text to learn from.
    name = form.name if budget is None or kind.SENT != "continuation" else f"{form.name}-{kind.NAME}"
    return Step(role, Request(messages, sampling), name, form.version, asked, phase, cap)


def direct_step(
    question: Question, *, sampling: Sampling, phase: ProbePhase | None = None, cap: int | None = None
) -> Step:
    """The answer alone, without reasoning."""
    messages = prompts.direct_messages(question, kind=question.kind or "number")
    request = Request(messages, sampling)
    return Step("direct", request, prompts.DIRECT_TEMPLATE, prompts.DIRECT_VERSION, None, phase, cap)


def plain_step(question: Question, adapter: str, *, sampling: Sampling, writes: Writes = "words") -> Step:
    """The question without a word on how, to the model with an adapter switched on."""
    request = Request(prompts.plain_messages(question, writes=writes), sampling, adapter)
    version = prompts.template(ASSIGNMENTS).version if writes == "lines" else 1
    return Step("budgeted", request, tuned_template(adapter, writes), version)


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
    sample: int = 0,
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
        cache_key=fingerprint(request, client, repeat=repeat, sample=sample),
        price=client.price,
        usage_estimated=True,  # Until the endpoint reports: a kill leaves our own count behind.
        created_at=datetime.now(UTC),
    )


def fingerprint(request: Request, client: Client, *, repeat: int = 0, sample: int = 0) -> str:
    """What makes two answers the same measurement: model, adapter, endpoint, prompt, sampling, repeat (64 hex digits).

    max_tokens is left out: an answer that ended by itself is the same under any cap that it stayed below.
    """
    said = request.sampling
    # Without a knob the fingerprint is what it always was.
    left_out = {"max_tokens"} if said.knob else {"max_tokens", "knob"}
    sampling = {f.name: getattr(said, f.name) for f in fields(said) if f.name not in left_out}
    prompt = [[m.role, m.content] for m in request.messages]
    # Without any of these the fingerprint is what it always was.
    more: list[object] = [request.adapter] if request.adapter or request.stop or request.logprobs else []
    more += [*request.stop, *([True] if request.logprobs else [])]
    # Answers that were forced out before their level, below the cap of a search, are known by the key without this.
    more += ["whole"] if close_of(said) else []
    # Samples of one question have seeds of their own, unless nobody gave a seed.
    more += [["sample", sample]] if sample and said.seed is None else []
    parts = json.dumps(
        [client.model, client.endpoint, prompt, sampling, repeat, *more], sort_keys=True, ensure_ascii=True
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
        cached_prompt_tokens=usage.cached_prompt_tokens,
        usage_estimated=usage.estimated,
        reasoning_estimated=usage.reasoning_estimated,
        ttft_s=completion.ttft_s,
        latency_s=completion.latency_s,
        finish_reason=completion.finish_reason,
        cost_usd=call.price.cost(usage) if call.price else None,
        source=completion.source,
        attempts=completion.attempts,
        adjustments=completion.adjustments,
        confidence=completion.confidence,
    )


def failed_call(call: CallRecord, error: ModelError) -> CallRecord:
    """The record of a call that failed, with what had arrived."""
    ended = booked_call(call, error.partial) if error.partial else replace(call, attempts=error.attempts)
    return replace(ended, status="failed", finish_reason="error", outcome=Outcome.ERROR, error=str(error))


async def stopped_call(call: CallRecord, client: Client, *, text: str, reasoning: str) -> CallRecord:
    """The record of a call whose stream we closed.

    Its tokens, the prompt's too, are our own count and marked as estimated: they were spent, and the endpoint never
    reported any.
    """
    prompt = "\n".join(m.content for m in call.messages)
    written = await client.count_tokens(text + reasoning)
    usage = Usage(
        prompt_tokens=await client.count_tokens(prompt),
        completion_tokens=written,
        reasoning_tokens=min(written, await client.count_tokens(reasoning)) if reasoning else 0,
        estimated=True,
        reasoning_estimated=True,
    )
    elapsed = time.time() - call.created_at.timestamp() if call.created_at else 0.0
    stopped = Completion(text, usage, "cancelled", None, elapsed, reasoning_text=reasoning)
    return replace(booked_call(call, stopped), outcome=Outcome.UNGRADED)


async def cancelled_call(call: CallRecord, client: Client, *, text: str, reasoning: str) -> CallRecord:
    """The record of a call that was stopped on the way, by a person or by the process's end; see `stopped_call`."""
    return replace(await stopped_call(call, client, text=text, reasoning=reasoning), status=stopped_status())


async def graded_call(call: CallRecord, question: Question) -> CallRecord:
    """The record with its outcome against the known answer; `question.kind` must be set."""
    read = reader(call.prompt_template)
    result = await graded(whole_text(call), question, finish_reason=call.finish_reason, read=read)
    extraction = result.extraction
    return replace(call, outcome=result.outcome, extracted=extraction.value, extracted_by=extraction.method)


def replayed_call(stored: CallRecord, *, session_id: str) -> CallRecord:
    """A stored call to be shown again in another session: marked cached, with its original tokens and times.

    Labels are looked up again for the copy when its session ends: its question may be another.
    """
    return replace(stored, id=0, session_id=session_id, source="cached", status="running", labelled=None)
