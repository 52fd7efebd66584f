"""`ExperimentStore`: what the experiment runner asks the database, written in batches and read in light rows.

An experiment is a session (so that owner, signs of life and interruption are the same for every kind of run) with its
questions and its ended units beside its calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, func, insert, or_, select, update

from tale_core.access.who import asking
from tale_core.errors import StoreError
from tale_core.i18n import t
from tale_core.process import current_owner, owner_is_gone
from tale_core.store import queries, records
from tale_core.store.calls import UnitRecord, UnitStatus, insert_calls, write_unit
from tale_core.store.repository import Store
from tale_core.store.tables import calls, experiment_questions, experiment_units, sessions
from tale_core.types import (
    ANSWERS,
    REFUSAL,
    CallRecord,
    LabelledBy,
    Outcome,
    Question,
    SessionRecord,
    judged,
    visible_part,
)

_ANSWERS = ("direct", *ANSWERS)
"""Roles of calls that answer a question, and neither estimate nor probe."""


class UnitFigures(NamedTuple):
    """A unit's numbers, without any text of an answer. Sums are over its finished calls, reused ones included.

    Attributes:
        outcome: Of the answer; None when the unit failed.
        output_tokens: Completion tokens of the answer, its thinking included, and of answers that were voted down or
            doubted on the way to it; estimates and probes are in `completion_tokens` alone.
        prompt_tokens: Of all calls; None when one of them has none (imported answers: nobody counted their prompts).
        completion_tokens: Of all calls.
        cost_usd: Of all calls; None when the price of one of them is unknown.
        latency_s: Of all calls, one after the other.
        reused: Calls that were answered from earlier ones.
        estimated: Calls whose token counts are ours and not the endpoint's.
        labelled: Who decided the outcome; see `CallRecord`.
        thinking_tokens: The part of output_tokens that is thinking; None when unknown.
        template: The answer's wording; None when the unit failed.
    """

    position: int
    repeat_index: int
    strategy: str
    status: UnitStatus
    graded: bool
    outcome: Outcome | None
    extracted: str | None
    finish_reason: str | None
    budget: int | None
    output_tokens: int | None
    prompt_tokens: int | None
    completion_tokens: int
    cost_usd: float | None
    latency_s: float | None
    calls: int
    reused: int
    estimated: int
    problem: str | None
    error: str | None
    labelled: LabelledBy | None = None
    thinking_tokens: int | None = None
    template: str | None = None

    @property
    def visible_tokens(self) -> int | None:
        """The part of output_tokens that is the visible answer; None when unknown."""
        return visible_part(self.output_tokens, self.thinking_tokens)

    @property
    def refused(self) -> bool:
        """A content filter refused the answer; see `CallRecord`."""
        return self.outcome is Outcome.ERROR and self.finish_reason == REFUSAL

    @property
    def judged(self) -> bool | None:
        """Right, not right, or not to be counted (None); see `tale_core.types.judged`.

        A person's verdict counts also where no answer is known.
        """
        known = self.graded or self.labelled is not None
        return judged(self.outcome, refused=self.refused) if known else None

    @property
    def all_in_tokens(self) -> int | None:
        """Prompt and completion tokens of all calls; None when a prompt's are unknown."""
        return None if self.prompt_tokens is None else self.prompt_tokens + self.completion_tokens


class SpentSums(NamedTuple):
    """What the calls of an experiment have cost, whatever became of them; reused ones cost nothing.

    Attributes:
        cost_usd: None when the price of a call is unknown.
    """

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    reused: int
    estimated: bool


class ExperimentStore:
    """The experiments in a store; the same errors as `Store`, whose connections it uses."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(self, record: SessionRecord, questions: Sequence[Question]) -> None:
        """Store a new experiment with its questions, in one transaction.

        Raises:
            StoreError: The id is taken.
        """
        with self.store.writing() as connection:
            _create(connection, record, questions)

    def create_ended(
        self, record: SessionRecord, questions: Sequence[Question], answers: Sequence[tuple[CallRecord, UnitRecord]]
    ) -> None:
        """Store an experiment that was not run here, with its answers, in one transaction: all of it or nothing.

        Args:
            record: With the status that it has.
            questions: Of the experiment.
            answers: Each with its unit, whose answer it becomes.

        Raises:
            StoreError: The id is taken.
        """
        with self.store.writing() as connection:
            _create(connection, record, questions)
            for call, unit in answers:
                write_unit(connection, replace(unit, answer_call_id=insert_calls(connection, [call])[0]))

    def reopen(self, experiment_id: str) -> None:
        """Take over an experiment that has stopped, to go on with it.

        Raises:
            NotFoundError: No such experiment.
            StoreError: It is no experiment, or somebody is running it.
        """
        now = queries.now()
        with self.store.writing() as connection:
            row = _head(connection, experiment_id)
            if not asking().sees_all and row.account != asking().account:
                raise StoreError(t("The experiment {id!r} is another person's.", id=experiment_id))
            if row.status == "running" and not owner_is_gone(row.owner, heartbeat_at=row.heartbeat_at, now=now):
                raise StoreError(
                    t("The experiment {id!r} is running.", id=experiment_id), t("Stop it first, or wait for its end.")
                )
            connection.execute(
                update(sessions)
                .where(sessions.c.id == experiment_id)
                .values(status="running", owner=current_owner(), heartbeat_at=now, updated_at=now, error=None)
            )
            queries.interrupt_calls(connection, calls.c.session_id == experiment_id)

    def head(self, experiment_id: str) -> SessionRecord:
        """The experiment's session, without its calls.

        Raises:
            NotFoundError: No such experiment.
            StoreError: It is no experiment.
        """
        self.store._reconcile_if_free()
        with self.store.reading() as connection:
            _head(connection, experiment_id)
            row = connection.execute(select(sessions).where(sessions.c.id == experiment_id)).mappings().one()
            return records.session_record(dict(row), ())

    def questions(self, experiment_id: str) -> tuple[Question, ...]:
        """The experiment's questions in their order."""
        table = experiment_questions
        statement = select(table.c.question).where(table.c.session_id == experiment_id).order_by(table.c.position)
        with self.store.reading() as connection:
            return tuple(_question(row) for row in connection.execute(statement).scalars())

    def done_units(self, experiment_id: str) -> set[str]:
        """Names of the units that ended well: nothing is left to do for them."""
        return self._units(experiment_id, "done")

    def failed_units(self, experiment_id: str) -> set[str]:
        """Names of the units that ended without an answer: a resume tries them again."""
        return self._units(experiment_id, "failed")

    def _units(self, experiment_id: str, status: UnitStatus) -> set[str]:
        table = experiment_units
        statement = select(table.c.unit).where(table.c.session_id == experiment_id, table.c.status == status)
        with self.store.reading() as connection:
            return set(connection.execute(statement).scalars())

    def imported(self, *, limit: int = 50) -> list[tuple[str, str, str]]:
        """Id, title and model of the newest experiments that were not run here but imported."""
        mine = (sessions.c.kind == "experiment", sessions.c.source == "recorded", sessions.c.status == "done")
        columns = (sessions.c.id, sessions.c.question_text, sessions.c.model, sessions.c.plan)
        statement = select(*columns).where(*mine, queries.seen())
        with self.store.reading() as connection:
            rows = connection.execute(statement.order_by(sessions.c.created_at.desc()).limit(limit)).all()
        return [(row.id, row.question_text, row.model) for row in rows if "imported" in (row.plan or {})]

    def spent(self, experiment_id: str) -> SpentSums:
        """What was paid for: stopped calls included, and failed ones that brought something; no imported answers."""
        brought = or_(calls.c.status != "failed", calls.c.completion_tokens.is_not(None))
        paid = and_(calls.c.session_id == experiment_id, calls.c.source.not_in(("cached", "recorded")), brought)
        prompt, completion = func.coalesce(calls.c.prompt_tokens, 0), func.coalesce(calls.c.completion_tokens, 0)
        cached = func.coalesce(calls.c.cached_prompt_tokens, 0)
        per_cached = func.coalesce(calls.c.price_cached_input_per_mtok, calls.c.price_input_per_mtok)
        asked = (prompt - cached) * calls.c.price_input_per_mtok + cached * per_cached
        cost = (asked + completion * calls.c.price_output_per_mtok) / 1_000_000.0
        statement = select(
            func.count(),
            func.coalesce(func.sum(prompt), 0),
            func.coalesce(func.sum(completion), 0),
            func.coalesce(func.sum(cost), 0.0),
            func.count(calls.c.price_as_of),
            func.coalesce(func.sum(case((calls.c.usage_estimated, 1), else_=0)), 0),
        ).where(paid)
        reused = and_(calls.c.session_id == experiment_id, calls.c.source == "cached")
        with self.store.reading() as connection:
            made, prompts, completions, usd, priced, estimated = connection.execute(statement).one()
            again = connection.execute(select(func.count()).select_from(calls).where(reused)).scalar_one()
        known = float(usd) if priced == made else None
        return SpentSums(made, int(prompts), int(completions), known, again, bool(estimated))

    def figures(self, experiment_id: str, *, units: Sequence[str] | None = None) -> list[UnitFigures]:
        """The numbers of every ended unit, in the order of the questions. Holds no text of an answer.

        Args:
            experiment_id: Which experiment.
            units: Names of the units that are wanted; None wants all.
        """
        statement = _figures(experiment_id, units)
        with self.store.reading() as connection:
            return [_unit_figures(row) for row in connection.execute(statement)]

    def outcomes(self, experiment_id: str, strategies: Sequence[str]) -> dict[str, Outcome | None]:
        """What became of every ended unit of these strategies, by the unit's name; None when it failed."""
        unit = experiment_units
        statement = (
            select(unit.c.unit, calls.c.outcome)
            .select_from(unit.outerjoin(calls, calls.c.id == unit.c.answer_call_id))
            .where(unit.c.session_id == experiment_id, unit.c.strategy.in_(strategies))
        )
        with self.store.reading() as connection:
            found = connection.execute(statement).all()
        return {name: None if outcome is None else Outcome(outcome) for name, outcome in found}

    def answers(self, experiment_id: str, units: Sequence[str]) -> dict[str, CallRecord]:
        """The calls that count as the answers of these units, with their texts, by the unit's name."""
        unit = experiment_units
        statement = (
            select(unit.c.unit.label("of_unit"), calls)
            .select_from(unit.join(calls, calls.c.id == unit.c.answer_call_id))
            .where(unit.c.session_id == experiment_id, unit.c.unit.in_(units))
        )
        with self.store.reading() as connection:
            rows = connection.execute(statement).mappings().all()
        return {row["of_unit"]: records.call_record(dict(row)) for row in rows}


def _create(connection: Connection, record: SessionRecord, questions: Sequence[Question]) -> None:
    now = queries.now()
    owned = replace(record, created_at=now, updated_at=now, owner=current_owner())
    rows = [{"session_id": record.id, "position": i, "question": asdict(q)} for i, q in enumerate(questions)]
    if queries.exists(connection, sessions, record.id):
        raise StoreError(t("There is an experiment {id!r} already.", id=record.id), t("Take a new id."))
    values = records.session_columns(owned) | {"account": asking().account}
    connection.execute(insert(sessions).values(**values, heartbeat_at=now))
    connection.execute(insert(experiment_questions), rows)
    queries.note(connection, "began", record.id)


def _head(connection: Connection, experiment_id: str) -> Any:
    columns = (sessions.c.status, sessions.c.owner, sessions.c.heartbeat_at, sessions.c.kind, sessions.c.account)
    row = connection.execute(select(*columns).where(sessions.c.id == experiment_id, queries.seen())).first()
    if row is None:
        raise queries.no_session(experiment_id)
    if row.kind != "experiment":
        raise StoreError(
            t("Session {id!r} is no experiment.", id=experiment_id), t("Give an id that begins with experiment-.")
        )
    return row


def _question(row: dict[str, Any]) -> Question:
    known = {f.name: row[f.name] for f in fields(Question) if f.name in row}
    return Question(**{**known, "options": tuple(row.get("options", ()))})


def _figures(experiment_id: str, units: Sequence[str] | None) -> Any:
    wanted = calls.c.unit.is_not(None) if units is None else calls.c.unit.in_(units)
    mine = (calls.c.session_id == experiment_id, calls.c.status == "done", wanted)
    # A step asked for twice (cut by a limit, then resumed) counts once: the spend has both, the strategy's cost one.
    latest = select(func.max(calls.c.id)).where(*mine).group_by(calls.c.unit, calls.c.step)
    answered = calls.c.role.in_(_ANSWERS)
    sums = (
        select(
            calls.c.unit,
            func.sum(case((answered, calls.c.completion_tokens))).label("output"),
            func.sum(case((answered, calls.c.reasoning_tokens))).label("thinking"),
            func.count(case((answered, calls.c.reasoning_tokens))).label("thought"),
            func.count(case((answered, calls.c.id))).label("answers"),
            func.sum(calls.c.prompt_tokens).label("prompts"),
            func.count(calls.c.prompt_tokens).label("prompted"),
            func.sum(func.coalesce(calls.c.completion_tokens, 0)).label("completions"),
            func.sum(calls.c.cost_usd).label("cost"),
            func.count(calls.c.cost_usd).label("priced"),
            func.sum(calls.c.latency_s).label("latency"),
            func.count().label("made"),
            func.sum(case((calls.c.source == "cached", 1), else_=0)).label("reused"),
            func.sum(case((calls.c.usage_estimated, 1), else_=0)).label("estimated"),
        )
        .where(calls.c.id.in_(latest))
        .group_by(calls.c.unit)
        .subquery()
    )
    answer, unit = calls.alias("answer"), experiment_units
    thinking = case((sums.c.thought == sums.c.answers, sums.c.thinking))
    return (
        select(
            *(unit.c[name] for name in ("position", "repeat_index", "strategy", "status", "graded", "budget")),
            unit.c.problem,
            unit.c.error,
            answer.c.outcome,
            answer.c.extracted,
            answer.c.labelled,
            answer.c.finish_reason,
            # Where a probe is the answer, nothing else is one.
            case((answer.c.role.in_(_ANSWERS), sums.c.output), else_=answer.c.completion_tokens).label("output"),
            case((answer.c.role.in_(_ANSWERS), thinking), else_=answer.c.reasoning_tokens).label("thinking"),
            answer.c.prompt_template.label("template"),
            *(sums.c[name] for name in ("prompts", "prompted", "completions", "cost", "priced", "latency", "made")),
            sums.c.reused,
            sums.c.estimated,
        )
        .select_from(
            unit.outerjoin(sums, sums.c.unit == unit.c.unit).outerjoin(answer, answer.c.id == unit.c.answer_call_id)
        )
        .where(unit.c.session_id == experiment_id, *(() if units is None else (unit.c.unit.in_(units),)))
        .order_by(unit.c.position, unit.c.repeat_index, unit.c.strategy)
    )


def _unit_figures(row: Any) -> UnitFigures:
    made = int(row.made or 0)
    return UnitFigures(
        position=row.position,
        repeat_index=row.repeat_index,
        strategy=row.strategy,
        status=row.status,
        graded=row.graded,
        outcome=Outcome(row.outcome) if row.outcome is not None else None,
        extracted=row.extracted,
        finish_reason=row.finish_reason,
        budget=row.budget,
        output_tokens=None if row.output is None else int(row.output),
        prompt_tokens=int(row.prompts or 0) if made == (row.prompted or 0) else None,
        completion_tokens=int(row.completions or 0),
        cost_usd=float(row.cost) if made and row.priced == made else None,
        latency_s=row.latency,
        calls=made,
        reused=int(row.reused or 0),
        estimated=int(row.estimated or 0),
        problem=row.problem,
        error=row.error,
        labelled=row.labelled,
        thinking_tokens=None if row.thinking is None else int(row.thinking),
        template=row.template,
    )
