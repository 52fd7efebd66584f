"""`CallStore`: the calls of every run, written as they are made and found again by their fingerprint.

The ended units of an experiment are written the same way, in one transaction with the calls around them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, and_, bindparam, case, delete, insert, or_, select, update

from tale_core.access.who import asking
from tale_core.store import queries, records
from tale_core.store.tables import calls, experiment_units
from tale_core.types import CallRecord, Found

if TYPE_CHECKING:
    from tale_core.store.repository import Store

UnitStatus = Literal["done", "failed"]
_OPEN = ("running", "interrupted")
"""A row that was declared interrupted is still open: its process may turn out to be alive (a laptop that slept)."""
# Built once: making a statement takes longer than running it.
_INSERT_UNIT = insert(experiment_units)
_DELETE_FAILED = delete(experiment_units).where(
    experiment_units.c.session_id == bindparam("of_session"),
    experiment_units.c.unit == bindparam("of_unit"),
    experiment_units.c.status == "failed",
)
_INSERT_CALLS = insert(calls).returning(calls.c.id, sort_by_parameter_order=True)
_CHANGES = (
    "status", "endpoint", "text", "reasoning_text", "prompt_tokens", "completion_tokens", "reasoning_tokens",
    "cached_prompt_tokens", "usage_estimated", "reasoning_estimated", "ttft_s", "latency_s", "finish_reason",
    "cut", "price", "cost_usd", "source", "attempts", "adjustments", "outcome", "extracted", "extracted_by",
    "error", "confidence",
)  # fmt: skip
"""What is not fixed when a call begins, as who asks what of whom is."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """One ended unit: a question answered once by a strategy.

    Attributes:
        unit: Names it inside the experiment; its calls carry the same name.
        position: Of the question, from 0.
        graded: The question has a known answer.
        answer_call_id: The call that counts; None when it failed.
        budget: Tokens that the answer's prompt asked for; None when it asked for none.
        problem: Why a stated default budget was taken, in words.
        error: Why it failed, in words.
    """

    session_id: str
    unit: str
    position: int
    strategy: str
    repeat_index: int
    status: UnitStatus
    graded: bool
    answer_call_id: int | None = None
    budget: int | None = None
    problem: str | None = None
    error: str | None = None


class CallStore:
    """The calls behind records."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def write(self, batch: Sequence[CallRecord | UnitRecord], *, again: bool = False) -> list[int]:
        """Store calls and ended units in one transaction.

        A call without an id is inserted, one with an id gets its new state while it is open; a unit replaces an earlier
        failure of the same unit.

        Args:
            batch: In order.
            again: All of it may be stored already, by a try whose end is not known.

        Returns:
            For each of them the call's id; 0 for a unit.
        """
        # One process at a time runs an experiment: beside others, nobody writes what is written here.
        with self.store.writing(concurrent=True) as connection:
            if again:
                return [
                    _write_call(connection, one, again=True)
                    if isinstance(one, CallRecord)
                    else write_unit(connection, one, again=True)
                    for one in batch
                ]
            new = insert_calls(connection, [c for c in batch if isinstance(c, CallRecord) and not c.id])
            ids = iter(new)
            _write_units(connection, [one for one in batch if isinstance(one, UnitRecord)])
            return [
                0 if isinstance(one, UnitRecord) else _write_call(connection, one) if one.id else next(ids)
                for one in batch
            ]

    def known(self, cache_keys: Collection[str], *, session_id: str, anywhere: bool) -> set[str]:
        """Those of these fingerprints that a finished call has, in this session or anywhere."""
        where = [calls.c.cache_key.in_(cache_keys), calls.c.status == "done"]
        if not anywhere:
            where.append(calls.c.session_id == session_id)
        with self.store.reading() as connection:
            return set(connection.execute(select(calls.c.cache_key).where(*where).distinct()).scalars())

    def find(
        self, cache_key: str, *, session_id: str, unit: str | None, step: int | None, anywhere: bool
    ) -> Found | None:
        """A finished call of this fingerprint: the very step that asks before others, whole ones before cut ones.

        Args:
            cache_key: The request's fingerprint.
            session_id: The experiment.
            unit: The unit that asks; None for a call that belongs to none.
            step: Which of its calls.
            anywhere: Look beyond this experiment too.
        """
        wanted = {"key": cache_key, "session": session_id, "asker": unit, "place": step}
        with self.store.reading() as connection:
            statement = _find(anywhere)
            if not asking().sees_all:
                statement = statement.where(queries.in_seen(calls.c.session_id))
            row = connection.execute(statement, wanted).mappings().first()
        return None if row is None else Found(records.call_record(dict(row)), row["rank"] == 0)

    def any_of(self, *, model: str, endpoint: str) -> bool:
        """Whether any finished call of this model is stored that could be asked for again."""
        endpoint = records.scrub_endpoint(endpoint)
        # A call of a group names the endpoint that answered after the group.
        where = or_(calls.c.endpoint == endpoint, calls.c.endpoint.startswith(f"{endpoint} ", autoescape=True))
        same = (calls.c.model == model, where, calls.c.cache_key.is_not(None))
        with self.store.reading() as connection:
            return connection.execute(select(calls.c.id).where(*same).limit(1)).first() is not None


def insert_calls(connection: Connection, batch: Sequence[CallRecord]) -> list[int]:
    """Insert calls in one statement, which costs far less than one each; return their ids in the same order."""
    if not batch:
        return []
    values = [records.call_columns(one) | {"created_at": one.created_at or queries.now()} for one in batch]
    return list(connection.execute(_INSERT_CALLS, values).scalars())


def _same_call(connection: Connection, record: CallRecord) -> int | None:
    """The id of this very call if it is stored already: the moment at which it was begun tells it from every other."""
    names = ("session_id", "role", "created_at", "repeat_index", "unit", "step", "cache_key")
    same = (
        calls.c[name].is_(None) if (value := getattr(record, name)) is None else calls.c[name] == value
        for name in names
    )  # fmt: skip
    return connection.execute(select(calls.c.id).where(*same).limit(1)).scalar()


def _write_call(connection: Connection, record: CallRecord, *, again: bool = False) -> int:
    if not record.id:
        known = _same_call(connection, record) if again else None
        return known or insert_calls(connection, [record])[0]
    values = records.columns({name: getattr(record, name) for name in _CHANGES})
    still_open = (calls.c.id == record.id, calls.c.status.in_(_OPEN))
    connection.execute(update(calls).where(*still_open).values(**values))
    return record.id


def _write_units(connection: Connection, units: Sequence[UnitRecord]) -> None:
    if units:
        connection.execute(_DELETE_FAILED, [{"of_session": u.session_id, "of_unit": u.unit} for u in units])
        connection.execute(_INSERT_UNIT, [{f.name: getattr(u, f.name) for f in fields(u)} for u in units])


def write_unit(connection: Connection, unit: UnitRecord, *, again: bool = False) -> int:
    """Store a unit; `again`: it may be there already, and stays as it is then."""
    values = {f.name: getattr(unit, f.name) for f in fields(unit)}
    if again:
        table = experiment_units
        same = (table.c.session_id == unit.session_id, table.c.unit == unit.unit)
        there = connection.execute(select(table).where(*same)).mappings().first()
        if there is not None and dict(there) == values:
            return 0
    connection.execute(_DELETE_FAILED, {"of_session": unit.session_id, "of_unit": unit.unit})
    connection.execute(_INSERT_UNIT, values)
    return 0


@cache
def _find(anywhere: bool) -> Any:
    """What `CallStore.find` asks: put together once, it is asked before every call of an experiment."""
    here = calls.c.session_id == bindparam("session")
    own = and_(here, calls.c.unit == bindparam("asker"), calls.c.step == bindparam("place"))  # Nobody's is never that.
    others = calls.c.source != "cached" if anywhere else and_(calls.c.source != "cached", here)
    rank = case((own, 0), else_=1)
    return (
        select(calls, rank.label("rank"))
        .where(calls.c.cache_key == bindparam("key"), calls.c.status == "done", or_(own, others))
        .order_by(rank, calls.c.cut, calls.c.id.desc())
        .limit(1)
    )
