"""`stored_answers`: every whole answer of a model with its question, wherever it was asked for.

What fine-tuning learns from. Knows tables and records; decides nothing about which answer is good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, or_, select

from tale_core.store import records
from tale_core.store.repository import Store
from tale_core.store.tables import calls, experiment_questions, sessions
from tale_core.types import TUNED, Outcome, Question, SessionKind

_ROLES = ("vanilla", "budgeted", "probe")


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One finished answer that nobody cut.

    Attributes:
        whole: It ended by itself; False when max_tokens ended it.
        optimum: For a search's probe, whether it was asked under the budget that the search found; None elsewhere.
        temperature: It was sampled with; None when the endpoint's own.
        kind: Of the session; "solution" for a data set's worked solution, which no model wrote.
    """

    question: Question
    text: str
    tokens: int
    outcome: Outcome
    whole: bool
    vanilla: bool
    template: str
    budget: int | None
    optimum: bool | None
    temperature: float | None
    session_id: str
    kind: SessionKind | Literal["solution"]


def stored_answers(
    store: Store, *, model: str, sessions_only: Collection[str] = (), adapter: str = ""
) -> list[StoredAnswer]:
    """The answers of a model, oldest first; simulated ones, copies of earlier ones and those of adapters left out.

    Args:
        store: Where to look.
        model: As stored.
        sessions_only: Ids of sessions to read; empty reads all.
        adapter: Key of an adapter whose answers are read too.
    """
    columns = (calls.c.id, calls.c.unit, calls.c.role, calls.c.text, calls.c.completion_tokens, calls.c.outcome)
    more = (calls.c.finish_reason, calls.c.prompt_template, calls.c.requested_budget, calls.c.temperature)
    template, own = calls.c.prompt_template, f"{TUNED}{adapter}"
    statement = (
        select(*columns, *more, calls.c.session_id)
        .where(calls.c.model == model, calls.c.status == "done", calls.c.cut.is_(False), calls.c.role.in_(_ROLES))
        .where(calls.c.source.in_(("live", "recorded")), or_(template.not_like(f"{TUNED}%"), template == own))
        .order_by(calls.c.id)
    )
    if sessions_only:
        statement = statement.where(calls.c.session_id.in_(list(sessions_only)))
    with store._reading() as connection:
        rows = connection.execute(statement).all()
        about = _Sessions(connection)
        return [found for row in rows if (found := _answer(row, about)) is not None]


class _Sessions:
    """What is known about each session, read when first asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heads: dict[str, Any] = {}
        self._questions: dict[str, dict[int, Question]] = {}

    def head(self, session_id: str) -> Any:
        if session_id not in self._heads:
            row = self._connection.execute(select(sessions).where(sessions.c.id == session_id)).mappings().one()
            self._heads[session_id] = records.session_record(dict(row), ())
        return self._heads[session_id]

    def question(self, session_id: str, unit: str | None) -> Question | None:
        head = self.head(session_id)
        if head.kind != "experiment":
            return head.question  # type: ignore[no-any-return]
        if session_id not in self._questions:
            self._questions[session_id] = dict(self._asked(session_id))
        position = (unit or "").partition("/")[0]
        return self._questions[session_id].get(int(position)) if position.isdigit() else None

    def _asked(self, session_id: str) -> Iterator[tuple[int, Question]]:
        table = experiment_questions
        statement = select(table.c.position, table.c.question).where(table.c.session_id == session_id)
        for position, row in self._connection.execute(statement):
            known = {f.name: row[f.name] for f in fields(Question) if f.name in row}
            yield position, Question(**{**known, "options": tuple(row.get("options", ()))})


def _answer(row: Any, about: _Sessions) -> StoredAnswer | None:
    question = about.question(row.session_id, row.unit)
    if question is None or not row.completion_tokens:
        return None
    head = about.head(row.session_id)
    optimum = None
    if head.kind == "search":
        optimum = row.requested_budget is not None and row.requested_budget == _optimal_budget(head.result)
    return StoredAnswer(
        question=question,
        text=row.text,
        tokens=row.completion_tokens,
        outcome=Outcome(row.outcome),
        whole=row.finish_reason == "stop",
        vanilla=row.role == "vanilla",
        template=row.prompt_template,
        budget=row.requested_budget,
        optimum=optimum,
        temperature=row.temperature,
        session_id=row.session_id,
        kind=head.kind,
    )


def _optimal_budget(result: dict[str, Any] | None) -> int | None:
    done = (result or {}).get("done")
    budget = done.get("optimal_budget") if isinstance(done, dict) else None
    return budget if isinstance(budget, int) else None
