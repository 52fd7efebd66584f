"""Keeps the texts of a question that was asked both ways, as an Ask: History shows it, and Label judges its answers."""

from __future__ import annotations

from tale_core.proxy.reading import Read
from tale_core.store import Pair, Store, new_session_id
from tale_core.store.traffic import TEMPLATE
from tale_core.types import CallRecord, FinishReason, Message, Question, Role, Sampling, SessionRecord

_FINISHES: dict[str | None, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}


def keep(store: Store, pair: Pair, question: Question, plain: Read, changed: Read) -> str:
    """Store both answers; the id of their session."""
    session_id = new_session_id("ask")

    def call(role: Role, answer: Read, budget: int | None, knob: str | None) -> CallRecord:
        return CallRecord(
            session_id=session_id, role=role, status="done", model=pair.model, endpoint=pair.upstream,
            prompt_template=TEMPLATE, prompt_version=1, messages=(Message("user", question.text),),
            sampling=Sampling(None, None, None, None, knob=knob), requested_budget=budget, text=answer.text,
            prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens,
            usage_estimated=answer.estimated, finish_reason=_FINISHES.get(answer.finish_reason, "other"),
        )  # fmt: skip

    store.create_session(
        SessionRecord(
            id=session_id, question=question, model=pair.model, endpoint=pair.upstream, estimator=pair.strategy,
            status="done", template=TEMPLATE, budget=pair.budget,
            calls=(call("vanilla", plain, None, None), call("budgeted", changed, pair.budget, None)),
        )
    )  # fmt: skip
    return session_id
