"""Records to store: plain ones, and hypothesis strategies that fill every field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

from hypothesis import strategies as st

from tale_core.store import CallStore, Store, new_session_id
from tale_core.store.archive.belonging import delete_sessions
from tale_core.types import (
    AnswerKind,
    CallRecord,
    FinishReason,
    Language,
    Message,
    Outcome,
    Price,
    Question,
    ReasoningEffort,
    Role,
    Sampling,
    SessionRecord,
    Source,
    Status,
)


def session(**fields: Any) -> SessionRecord:
    plain: dict[str, Any] = {
        "id": new_session_id(),
        "question": Question("How many legs have 3 cats?", answer="12"),
        "model": "scripted",
        "endpoint": "embedded",
        "estimator": "zero-shot",
    }
    return SessionRecord(**{**plain, **fields})


def call(session_id: str, role: Role = "vanilla", **fields: Any) -> CallRecord:
    plain: dict[str, Any] = {
        "status": "running",
        "model": "scripted",
        "endpoint": "embedded",
        "prompt_template": "paper",
        "prompt_version": 1,
        "messages": (Message("user", "How many legs have 3 cats?"),),
        "sampling": Sampling(),
    }
    return CallRecord(session_id=session_id, role=role, **{**plain, **fields})


def begun(store: Store, record: CallRecord, *, again: bool = False) -> CallRecord:
    """The call as it stands in the store once it has begun."""
    record = replace(record, created_at=record.created_at or datetime.now(UTC))
    (call_id,) = CallStore(store).write([record], again=again)
    return replace(record, id=call_id)


def written(store: Store, call: CallRecord, **changes: Any) -> None:
    """Write how a call stands now."""
    CallStore(store).write([replace(call, **changes)])


def literal(choices: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(choices))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
big = st.integers(min_value=0, max_value=2**63 - 1)
small = st.integers(min_value=0, max_value=2**31 - 1)
numbers = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
moments = st.datetimes(
    min_value=datetime(2000, 1, 2),
    max_value=datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-8))]),
)
endpoints = st.sampled_from(["embedded", "https://api.openai.com/v1", "http://127.0.0.1:8080/v1"])


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


questions = st.builds(
    Question,
    text=texts,
    id=maybe(texts),
    answer=maybe(texts),
    kind=maybe(literal(AnswerKind)),
    options=st.lists(texts, max_size=4).map(tuple),
    language=literal(Language),
    topic=maybe(texts),
    difficulty=maybe(small),
    source=maybe(texts),
)
samplings = st.builds(
    Sampling,
    temperature=maybe(numbers),
    top_p=maybe(numbers),
    seed=maybe(big),
    max_tokens=maybe(big),
    reasoning_effort=maybe(literal(ReasoningEffort)),
)
prices = st.builds(Price, input_per_mtok=numbers, output_per_mtok=numbers, as_of=texts)
messages = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=texts)
calls = st.builds(
    CallRecord,
    session_id=st.just(""),
    role=literal(Role),
    status=literal(Status),
    model=texts,
    endpoint=endpoints,
    prompt_template=texts,
    prompt_version=small,
    messages=st.lists(messages, max_size=3).map(tuple),
    sampling=samplings,
    id=st.just(0),
    created_at=moments,
    repeat_index=small,
    requested_budget=maybe(big),
    text=texts,
    reasoning_text=texts,
    prompt_tokens=maybe(big),
    completion_tokens=maybe(big),
    reasoning_tokens=maybe(big),
    usage_estimated=st.booleans(),
    ttft_s=maybe(numbers),
    latency_s=maybe(numbers),
    finish_reason=maybe(literal(FinishReason)),
    price=maybe(prices),
    cost_usd=maybe(numbers),
    source=literal(Source),
    attempts=small,
    adjustments=st.lists(texts, max_size=2).map(tuple),
    outcome=st.sampled_from(Outcome),
    extracted=maybe(texts),
    extracted_by=maybe(texts),
    error=maybe(texts.map(lambda s: s.replace("@", ""))),
)
sessions = st.builds(
    SessionRecord,
    id=st.builds(new_session_id),
    question=questions,
    model=texts,
    endpoint=endpoints,
    estimator=texts,
    # "running" with an owner that does not exist would read back as interrupted, which is tested on its own.
    status=st.sampled_from(["done", "failed", "cancelled", "interrupted"]),
    created_at=moments,
    updated_at=moments,
    budget=maybe(big),
    budget_raw=texts,
    budget_problem=maybe(texts),
    template=texts,
    together=st.booleans(),
    guesses=st.dictionaries(texts, small, max_size=3),
    parent_id=maybe(texts),
    owner=texts.filter(bool),
    error=maybe(texts.map(lambda s: s.replace("@", ""))),
    source=literal(Source),
    calls=st.lists(calls, max_size=3).map(tuple),
)


def gone(store: Store, session_id: str) -> None:
    """Delete a session for good."""
    with store.writing() as connection:
        delete_sessions(connection, [session_id])
