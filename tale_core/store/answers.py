"""`stored_answers`: every whole answer of a model with its question, wherever it was asked for.

What fine-tuning learns from. It decides nothing about which answer is good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Select, not_, or_, select

from tale_core.budgets.forcing import FORCED
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.grading.lines import tuned_template
from tale_core.store import queries, records
from tale_core.store.labels.keys import mark_target, marked_answer, question_key
from tale_core.store.labels.tables import label_items, label_questions, labels
from tale_core.store.labels.types import resolved
from tale_core.store.repository import Store
from tale_core.store.tables import calls, experiment_questions, sessions
from tale_core.types import TUNED, CallRecord, LabelledBy, Outcome, Question, SessionKind, Writes

_CHUNK = 500
_ROLES = ("vanilla", "budgeted", "probe")


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One finished answer that nobody cut.

    Attributes:
        whole: It ended by itself; False when max_tokens ended it.
        optimum: For a search's probe, whether it was asked under the budget that the search found; None elsewhere.
        temperature: It was sampled with; None when the endpoint's own.
        kind: Of the session; "solution" for a data set's worked solution, which no model wrote, and "mark" for an
            answer up to the sentence that a person marked, closed there.
        labelled: Who decided its outcome; None the grader alone.
        confidence: How sure the model was of it, see `Completion`; None where nobody asked.
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
    kind: SessionKind | Literal["solution", "mark"]
    labelled: LabelledBy | None = None
    confidence: float | None = None


class MarkedAnswer(NamedTuple):
    """A finished answer and the sentence at which people find it settled.

    Attributes:
        sentence: Its number, from 1.
        probes: What the model said when answers of the same session were closed before their end.
    """

    question: Question
    call: CallRecord
    sentence: int
    probes: tuple[CallRecord, ...]


def marked_answers(
    store: Store, *, model: str, sessions_only: Collection[str] = (), adapter: str = ""
) -> list[MarkedAnswer]:
    """The marked answers of a model, oldest first; where people disagree and nobody has settled it, none.

    Args:
        store: Where to look; the labels are brought up to date (`Labeling.sync`).
        model: As stored.
        sessions_only: Ids of sessions to read; empty reads all.
        adapter: Key of an adapter whose answers are read too.
    """
    with store.reading() as connection:
        marks = _marks(connection)
        about, found = _Sessions(connection), []
        for row in _marked_calls(connection, {marked_answer(target) for target in marks}, model, adapter):
            sentence = marks.get(mark_target(row["answer_key"], row["reasoning_text"]))
            if sentence is None or (sessions_only and row["session_id"] not in sessions_only):
                continue
            question = about.question(row["session_id"], row["unit"])
            if question is not None and row["completion_tokens"] and FORCED not in row["adjustments"]:
                call = records.call_record({name: value for name, value in row.items() if name != "answer_key"})
                found.append(MarkedAnswer(question, call, sentence, _probes(connection, row["session_id"])))
    return sorted(found, key=lambda one: one.call.id or 0)


def _marks(connection: Connection) -> dict[str, int]:
    """The sentence that counts, by `mark_target`."""
    rows = connection.execute(select(labels.c.target, labels.c.holder, labels.c.value).where(labels.c.kind == "mark"))
    said: dict[str, dict[str, str]] = {}
    for target, holder, value in rows:
        said.setdefault(target, {})[holder] = value
    return {target: int(value) for target, of in said.items() if (value := resolved(of)) is not None}


def _marked_calls(connection: Connection, keys: Collection[str], model: str, adapter: str) -> Iterator[dict[str, Any]]:
    wanted = sorted(keys)
    for start in range(0, len(wanted), _CHUNK):
        part = label_items.c.answer_key.in_(wanted[start : start + _CHUNK])
        statement = select(*calls.c, label_items.c.answer_key).join(label_items, label_items.c.call_id == calls.c.id)
        for row in connection.execute(_own(statement, adapter).where(part, calls.c.model == model)).mappings():
            yield dict(row)


def _probes(connection: Connection, session_id: str) -> tuple[CallRecord, ...]:
    here = (calls.c.session_id == session_id, calls.c.role == "forced", calls.c.status == "done")
    rows = connection.execute(select(calls).where(*here).order_by(calls.c.id)).mappings()
    return tuple(records.call_record(dict(row)) for row in rows)


def stored_answers(
    store: Store, *, model: str, sessions_only: Collection[str] = (), adapter: str = "", writes: Writes = "words"
) -> list[StoredAnswer]:
    """The answers of a model, oldest first; simulated ones, copies of earlier ones and those of adapters left out.

    A question comes with the known answer that people gave it, where they gave one.

    Args:
        store: Where to look.
        model: As stored.
        sessions_only: Ids of sessions to read; empty reads all.
        adapter: Key of an adapter whose answers are read too.
        writes: Answers in words, or in lines that a tool works out and vanilla ones in words beside them.
    """
    columns = (calls.c.id, calls.c.unit, calls.c.role, calls.c.text, calls.c.completion_tokens, calls.c.outcome)
    more = (calls.c.finish_reason, calls.c.prompt_template, calls.c.requested_budget, calls.c.temperature,
            calls.c.adjustments, calls.c.confidence)  # fmt: skip
    statement = _own(select(*columns, *more, calls.c.session_id, calls.c.labelled), adapter, writes)
    statement = statement.where(calls.c.model == model).order_by(calls.c.id)
    if sessions_only:
        statement = statement.where(calls.c.session_id.in_(list(sessions_only)))
    with store.reading() as connection:
        rows = connection.execute(statement).all()
        about = _Sessions(connection)
        return [found for row in rows if (found := _answer(row, about)) is not None]


def answering_models(store: Store) -> list[str]:
    """The models whose answers `stored_answers` finds, by name."""
    with store.reading() as connection:
        return sorted(connection.execute(_own(select(calls.c.model).distinct())).scalars())


def _own(statement: Select[Any], adapter: str = "", writes: Writes = "words") -> Select[Any]:
    """Of a selection of calls the finished answers that a model gave by itself, or this adapter of it."""
    template = calls.c.prompt_template
    lines = or_(template.like(f"{ASSIGNMENTS}%"), template.like(f"%/{ASSIGNMENTS}"))
    return statement.where(
        calls.c.status == "done", calls.c.cut.is_(False), calls.c.role.in_(_ROLES),
        calls.c.source.in_(("live", "recorded")),
        or_(template.not_like(f"{TUNED}%"), template == tuned_template(adapter, writes)),
        not_(lines) if writes == "words" else or_(lines, calls.c.role == "vanilla"),
        queries.in_seen(calls.c.session_id),
    )  # fmt: skip


class _Sessions:
    """What is known about each session, read when first asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heads: dict[str, Any] = {}
        self._questions: dict[str, dict[int, Question]] = {}
        golds = select(label_questions.c.key, label_questions.c.gold).where(label_questions.c.gold.is_not(None))
        self._golds = {row.key: str(row.gold) for row in connection.execute(golds)}

    def head(self, session_id: str) -> Any:
        if session_id not in self._heads:
            row = self._connection.execute(select(sessions).where(sessions.c.id == session_id)).mappings().one()
            self._heads[session_id] = records.session_record(dict(row), ())
        return self._heads[session_id]

    def question(self, session_id: str, unit: str | None) -> Question | None:
        """What was asked, with the known answer that counts."""
        asked = self._as_asked(session_id, unit)
        gold = self._golds.get(question_key(asked.text, asked.options)) if asked is not None and self._golds else None
        return asked if asked is None or gold is None else replace(asked, answer=gold)

    def _as_asked(self, session_id: str, unit: str | None) -> Question | None:
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
    if question is None or not row.completion_tokens or FORCED in row.adjustments:  # Forced: not its own words.
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
        labelled=row.labelled,
        confidence=row.confidence,
    )


def _optimal_budget(result: dict[str, Any] | None) -> int | None:
    done = (result or {}).get("done")
    budget = done.get("optimal_budget") if isinstance(done, dict) else None
    return budget if isinstance(budget, int) else None
