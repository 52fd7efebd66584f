"""A store full of sessions that were never run: questions, answers and figures drawn by a seed, marked simulated.

Written in bulk through the same code as an import, so that the search index and every table are as they would be.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tale_core.calls.budget_ledger import Spent
from tale_core.datasets.ours import shipped
from tale_core.elasticity.plan import SweepPlan
from tale_core.search.engine import SearchResult
from tale_core.search.plan import SearchPlan
from tale_core.store import Store, new_session_id, records
from tale_core.store.archive.writing_rows import Group, write_groups
from tale_core.types import CallRecord, Message, Outcome, Price, Question, Sampling, SessionKind, SessionRecord

MODELS = ("qwen2.5-coder-1.5b", "smollm2-135m", "gpt-4o-mini", "llama-3.1-8b-instruct")
AT_ONCE = 500
END = datetime(2026, 11, 1, tzinfo=UTC)
_KINDS: tuple[SessionKind, ...] = ("ask",) * 12 + ("search",) * 6 + ("sweep",) * 2
_OUTCOMES = (Outcome.CORRECT,) * 6 + (Outcome.WRONG,) * 3 + (Outcome.TRUNCATED, Outcome.UNPARSED)


def fill(store: Store, count: int, *, seed: int, say: Callable[[str], None] = lambda words: None) -> None:
    """Write so many sessions, spread over two years."""
    made = groups(count, seed=seed)
    for start in range(0, count, AT_ONCE):
        batch = [next(made) for _ in range(min(AT_ONCE, count - start))]
        with store.writing() as connection:
            write_groups(connection, batch, {})
        if start % 20_000 == 0:
            say(f"generated {start:,} of {count:,} sessions")


def groups(count: int, *, seed: int) -> Iterator[Group]:
    """Sessions with their calls, oldest first."""
    rng = random.Random(seed)
    texts = [q.text for q in shipped()]
    words = " ".join(texts).split()
    step = timedelta(days=730) / count
    for i in range(count):
        yield _group(rng, texts, words, END - step * (count - i))


def _group(rng: random.Random, texts: list[str], words: list[str], when: datetime) -> Group:
    kind = rng.choice(_KINDS)
    question = Question(f"{rng.choice(texts)} ({' '.join(rng.choices(words, k=4))})", answer=str(rng.randint(1, 99)))
    vanilla, budgeted = rng.randint(90, 600), rng.randint(10, 90)
    session = SessionRecord(
        id=new_session_id(kind),
        kind=kind,
        question=question,
        model=rng.choice(MODELS),
        endpoint="embedded",
        estimator="zero-shot" if kind == "ask" else "",
        template="paper",
        budget=budgeted + 5 if kind == "ask" else None,
        status=rng.choice(("done",) * 18 + ("failed", "cancelled")),
        source="simulated",
        created_at=when,
        updated_at=when,
        plan=_plan(kind, question),
        result=_result(kind, vanilla, budgeted),
    )
    row = records.session_columns(session) | {"heartbeat_at": when}
    second = "budgeted" if kind == "ask" else "probe"
    calls = [_call(rng, session, "vanilla", vanilla, words)]
    calls += [_call(rng, session, second, budgeted, words)] if kind != "sweep" else []
    return Group({"session": [row], "call": [records.call_columns(c) | {"id": i} for i, c in enumerate(calls)]})


def _plan(kind: str, question: Question) -> dict[str, Any]:
    if kind == "search":
        return SearchPlan(question).document()
    return SweepPlan(question).document() if kind == "sweep" else {}


def _result(kind: str, vanilla: int, budgeted: int) -> dict[str, Any] | None:
    if kind == "search":
        done = SearchResult("tale", budgeted + 5, budgeted, "converged", vanilla, 0, None, Spent(2, 120, 500))
        return {"steps": [], "done": done.document()}
    return {"finished": 24, "planned": 24, "done": None} if kind == "sweep" else None


def _call(rng: random.Random, session: SessionRecord, role: Any, tokens: int, words: list[str]) -> CallRecord:
    return CallRecord(
        session_id=session.id,
        role=role,
        status="done",
        model=session.model,
        endpoint=session.endpoint,
        prompt_template="paper",
        prompt_version=1,
        messages=(Message("user", session.question.text),),
        sampling=Sampling(),
        created_at=session.created_at,
        text=" ".join(rng.choices(words, k=tokens // 4)) + f" [[{rng.randint(1, 999)}]]",
        prompt_tokens=60,
        completion_tokens=tokens,
        requested_budget=None if role == "vanilla" else tokens + 5,
        latency_s=tokens / 30,
        ttft_s=0.1,
        finish_reason="stop",
        price=Price(0.0, 0.0, "2026-01-01"),
        cost_usd=0.0,
        source="simulated",
        outcome=rng.choice(_OUTCOMES),
        extracted=json.dumps(rng.randint(1, 99)),
    )
