"""The tables, and the column types that guard the edge to the database.

A table that refers to a session, by however many steps, is deleted, restored, exported and imported with it
(`tale_core.store.archive.belonging`); its `info` may say {"archive": False} to stay out, a column's {"refers_to":
table} that it holds that table's number without a foreign key, and {"private": True} that it stays on this machine.
Every column works on SQLite and on PostgreSQL. No column holds an API key in clear, and an endpoint loses its user,
password and query before it is written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from tale_core.i18n import from_stored, to_stored
from tale_core.store.records import safe_json, scrub_credentials, scrub_endpoint
from tale_core.text import safe_text


class SafeText(TypeDecorator[str]):
    """Text that every database takes: see `safe_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what UTF-8 or PostgreSQL refuses."""
        return None if value is None else safe_text(value)


class EndpointText(TypeDecorator[str]):
    """An endpoint without credentials: see `scrub_endpoint`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Drop user, password, query and fragment."""
        return None if value is None else safe_text(scrub_endpoint(value))


class SentenceText(TypeDecorator[str]):
    """A sentence that is read in the reader's language (see `to_stored`); addresses in it lose user and password."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Drop user and password of every address in the sentence."""
        return None if value is None else safe_text(scrub_credentials(to_stored(value)))

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Say it."""
        return from_stored(value)


class SafeJSON(TypeDecorator[Any]):
    """JSON whose strings every database takes."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Clean every string inside."""
        return safe_json(value)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in UTC. SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC.

        Raises:
            ValueError: The datetime is naive: nobody can say which moment it means.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; give an aware datetime.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Attach UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(SQLModel):
    """Own metadata, so that nobody else's tables end up in our migrations; named constraints, so that they can go."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SessionRow(Base, table=True):
    """One session; `SessionRecord` explains the fields. The question's fields are prefixed with `question_`."""

    __tablename__ = "session"
    # "Newest first" (read backwards) with its tie-break, of all sessions and of those one filter leaves. The one of the
    # status also finds the running sessions.
    __table_args__ = (
        Index(None, "created_at", "id"),
        *(Index(None, name, "created_at", "id") for name in ("kind", "model", "status", "source", "account")),
    )

    id: str = Field(primary_key=True, sa_type=SafeText)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    heartbeat_at: datetime = Field(sa_type=UtcDateTime)
    status: str = Field(sa_type=SafeText)
    owner: str = Field(sa_type=SafeText, sa_column_kwargs={"info": {"private": True}})
    account: str = Field(
        default="", sa_type=SafeText, sa_column_kwargs={"server_default": "", "info": {"private": True}}
    )
    shared: bool = Field(default=False, sa_column_kwargs={"server_default": false(), "info": {"private": True}})
    shared_with: str = Field(
        default="", sa_type=SafeText, sa_column_kwargs={"server_default": "", "info": {"private": True}}
    )
    model: str = Field(sa_type=SafeText)
    endpoint: str = Field(sa_type=EndpointText)
    estimator: str = Field(sa_type=SafeText)
    template: str = Field(sa_type=SafeText)
    together: bool
    budget: int | None = Field(sa_type=BigInteger)
    budget_raw: str = Field(sa_type=SafeText)
    budget_problem: str | None = Field(sa_type=SentenceText)
    guesses: dict[str, int] = Field(sa_type=SafeJSON)
    parent_id: str | None = Field(sa_type=SafeText)
    source: str = Field(sa_type=SafeText)
    error: str | None = Field(sa_type=SentenceText)
    kind: str = Field(sa_type=SafeText)
    plan: dict[str, Any] = Field(sa_type=SafeJSON)
    result: dict[str, Any] | None = Field(sa_type=SafeJSON)
    question_text: str = Field(sa_type=SafeText)
    question_id: str | None = Field(sa_type=SafeText)
    question_answer: str | None = Field(sa_type=SafeText)
    question_kind: str | None = Field(sa_type=SafeText)
    question_options: list[str] = Field(sa_type=SafeJSON)
    question_language: str = Field(sa_type=SafeText)
    question_topic: str | None = Field(sa_type=SafeText)
    question_difficulty: int | None
    question_source: str | None = Field(sa_type=SafeText)


class CallRow(Base, table=True):
    """One call; `CallRecord` explains the fields. Sampling and price are spread over their own columns."""

    __tablename__ = "call"
    # Without autoincrement SQLite gives the id of a deleted call to the next one, and a late write would land there.
    __table_args__ = (
        Index(None, "session_id", "role", "id"),
        Index(None, "outcome", "role", "session_id"),
        Index(None, "cache_key"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    session_id: str = Field(foreign_key="session.id", ondelete="CASCADE", sa_type=SafeText)
    role: str = Field(sa_type=SafeText)
    status: str = Field(sa_type=SafeText)
    created_at: datetime = Field(sa_type=UtcDateTime)
    model: str = Field(sa_type=SafeText)
    endpoint: str = Field(sa_type=EndpointText)
    prompt_template: str = Field(sa_type=SafeText)
    prompt_version: int
    messages: list[dict[str, str]] = Field(sa_type=SafeJSON)
    temperature: float | None
    top_p: float | None
    seed: int | None = Field(sa_type=BigInteger)
    max_tokens: int | None = Field(sa_type=BigInteger)
    reasoning_effort: str | None = Field(sa_type=SafeText)
    knob: str | None = Field(default=None, sa_type=SafeText)
    repeat_index: int
    requested_budget: int | None = Field(sa_type=BigInteger)
    phase: str | None = Field(sa_type=SafeText)
    cut: bool
    cache_key: str | None = Field(sa_type=SafeText)
    unit: str | None = Field(sa_type=SafeText)
    step: int | None
    text: str = Field(sa_type=SafeText)
    reasoning_text: str = Field(sa_type=SafeText)
    prompt_tokens: int | None = Field(sa_type=BigInteger)
    completion_tokens: int | None = Field(sa_type=BigInteger)
    reasoning_tokens: int | None = Field(sa_type=BigInteger)
    cached_prompt_tokens: int | None = Field(default=None, sa_type=BigInteger)
    usage_estimated: bool
    reasoning_estimated: bool = False
    ttft_s: float | None
    latency_s: float | None
    finish_reason: str | None = Field(sa_type=SafeText)
    price_input_per_mtok: float | None
    price_output_per_mtok: float | None
    price_as_of: str | None = Field(sa_type=SafeText)
    price_cached_input_per_mtok: float | None = None
    price_cache_write_per_mtok: float | None = None
    cost_usd: float | None
    source: str = Field(sa_type=SafeText)
    attempts: int
    adjustments: list[str] = Field(sa_type=SafeJSON)
    outcome: str = Field(sa_type=SafeText)
    extracted: str | None = Field(sa_type=SafeText)
    extracted_by: str | None = Field(sa_type=SafeText)
    labelled: str | None = Field(sa_type=SafeText)
    error: str | None = Field(sa_type=SentenceText)
    confidence: float | None = None


class ExperimentQuestionRow(Base, table=True):
    """One question of an experiment, so that it can be resumed and read without its file."""

    __tablename__ = "experiment_question"

    session_id: str = Field(primary_key=True, foreign_key="session.id", ondelete="CASCADE", sa_type=SafeText)
    position: int = Field(primary_key=True)
    question: dict[str, Any] = Field(sa_type=SafeJSON)


class ExperimentUnitRow(Base, table=True):
    """One ended unit of an experiment; `UnitRecord` explains the fields."""

    __tablename__ = "experiment_unit"

    session_id: str = Field(primary_key=True, foreign_key="session.id", ondelete="CASCADE", sa_type=SafeText)
    unit: str = Field(primary_key=True, sa_type=SafeText)
    position: int
    strategy: str = Field(sa_type=SafeText)
    repeat_index: int
    status: str = Field(sa_type=SafeText)
    graded: bool
    answer_call_id: int | None = Field(sa_column_kwargs={"info": {"refers_to": "call"}})
    budget: int | None = Field(sa_type=BigInteger)
    problem: str | None = Field(sa_type=SentenceText)
    error: str | None = Field(sa_type=SentenceText)


class TrashRow(Base, table=True):
    """A deleted session with all its rows in one document, until the deletion is final; see `store.archive.trash`."""

    __tablename__ = "trash"
    __table_args__ = (Index(None, "final_at"), {"info": {"archive": False}})

    session_id: str = Field(primary_key=True, sa_type=SafeText)
    kind: str = Field(sa_type=SafeText)
    title: str = Field(sa_type=SafeText)
    deleted_at: datetime = Field(sa_type=UtcDateTime)
    final_at: datetime = Field(sa_type=UtcDateTime)
    import_id: str | None = Field(sa_type=SafeText)
    account: str = Field(default="", sa_type=SafeText, sa_column_kwargs={"server_default": ""})
    document: bytes = Field(sa_type=LargeBinary)


class ImportRow(Base, table=True):
    """An import that has not ended; it is undone when its process is gone. See `tale_core.store.archive.importing`."""

    __tablename__ = "import_run"
    __table_args__ = ({"info": {"archive": False}},)

    id: str = Field(primary_key=True, sa_type=SafeText)
    owner: str = Field(sa_type=SafeText)
    started_at: datetime = Field(sa_type=UtcDateTime)
    heartbeat_at: datetime = Field(sa_type=UtcDateTime)


class ImportedRow(Base, table=True):
    """One row that an unfinished import has brought, so that it can be taken out again."""

    __tablename__ = "import_row"
    __table_args__ = (Index(None, "import_id"), {"info": {"archive": False}})

    id: int | None = Field(default=None, primary_key=True)
    import_id: str = Field(foreign_key="import_run.id", ondelete="CASCADE", sa_type=SafeText)
    name: str = Field(sa_type=SafeText)
    key: list[Any] = Field(sa_type=SafeJSON)


class AuditRow(Base, table=True):
    """Something that somebody did; see `tale_core.store.audit`."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at", "id"), {"info": {"archive": False}})

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    account: str = Field(sa_type=SafeText)
    action: str = Field(sa_type=SafeText)
    about: str = Field(sa_type=SafeText)
    tokens: int = Field(sa_type=BigInteger)
    usd: float


class KeptKeyRow(Base, table=True):
    """An endpoint's key that somebody keeps, sealed; see `tale_core.store.kept_keys`."""

    __tablename__ = "kept_key"
    __table_args__ = ({"info": {"archive": False}},)

    account: str = Field(primary_key=True, sa_type=SafeText)
    name: str = Field(primary_key=True, sa_type=SafeText)
    kept_at: datetime = Field(sa_type=UtcDateTime)
    sealed: str = Field(sa_type=SafeText)


class RoomRow(Base, table=True):
    """One class; `RoomRecord` explains the fields."""

    __tablename__ = "room"
    __table_args__ = (UniqueConstraint("code"), {"info": {"archive": False}})

    id: str = Field(primary_key=True, sa_type=SafeText)
    code: str = Field(sa_type=SafeText)
    teacher_hash: str = Field(sa_type=SafeText)
    created_at: datetime = Field(sa_type=UtcDateTime)
    status: str = Field(sa_type=SafeText)
    model: str = Field(sa_type=SafeText)
    endpoint: str = Field(sa_type=EndpointText)
    student_calls: int | None = Field(sa_type=BigInteger)
    student_tokens: int | None = Field(sa_type=BigInteger)
    room_calls: int | None = Field(sa_type=BigInteger)
    room_tokens: int | None = Field(sa_type=BigInteger)
    recording: str | None = Field(sa_type=SafeText)
    revealed: bool
    locked: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    seats_per_address: int | None = Field(default=None, sa_type=BigInteger)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    step: str | None = Field(default=None, sa_type=SafeText)


class RoomSeatRow(Base, table=True):
    """One student in a room; `SeatRecord` explains the fields."""

    __tablename__ = "room_seat"
    __table_args__ = (Index(None, "room_id"), {"info": {"archive": False}})

    id: str = Field(primary_key=True, sa_type=SafeText)
    room_id: str = Field(foreign_key="room.id", ondelete="CASCADE", sa_type=SafeText)
    nickname: str = Field(sa_type=SafeText)
    token_hash: str = Field(sa_type=SafeText)
    joined_at: datetime = Field(sa_type=UtcDateTime)
    left_at: datetime | None = Field(sa_type=UtcDateTime)
    browser_hash: str | None = Field(default=None, sa_type=SafeText)
    address_hash: str | None = Field(default=None, sa_type=SafeText)
    removed: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class RoomGuessRow(Base, table=True):
    """How many tokens a student guessed for a recording."""

    __tablename__ = "room_guess"
    __table_args__ = ({"info": {"archive": False}},)

    room_id: str = Field(primary_key=True, foreign_key="room.id", ondelete="CASCADE", sa_type=SafeText)
    recording: str = Field(primary_key=True, sa_type=SafeText)
    seat_id: str = Field(primary_key=True, foreign_key="room_seat.id", ondelete="CASCADE", sa_type=SafeText)
    tokens: int = Field(sa_type=BigInteger)


class RoomStrikeRow(Base, table=True):
    """A sentence that a student struck out of a recorded answer, as it was."""

    __tablename__ = "room_strike"
    __table_args__ = ({"info": {"archive": False}},)

    room_id: str = Field(primary_key=True, foreign_key="room.id", ondelete="CASCADE", sa_type=SafeText)
    recording: str = Field(primary_key=True, sa_type=SafeText)
    seat_id: str = Field(primary_key=True, foreign_key="room_seat.id", ondelete="CASCADE", sa_type=SafeText)
    sentence: int = Field(primary_key=True)
    text: str = Field(sa_type=SafeText)


class RoomCallRow(Base, table=True):
    """One call of a room: the most it can cost while it runs, what it cost when it has ended."""

    __tablename__ = "room_call"
    __table_args__ = (Index(None, "room_id"), {"info": {"archive": False}})

    id: str = Field(primary_key=True, sa_type=SafeText)
    room_id: str = Field(foreign_key="room.id", ondelete="CASCADE", sa_type=SafeText)
    seat_id: str = Field(sa_type=SafeText)
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended: bool
    prompt_tokens: int = Field(sa_type=BigInteger)
    completion_tokens: int = Field(sa_type=BigInteger)


class TrafficRow(Base, table=True):
    """One request that the drop-in endpoint passed on; `tale_core.store.traffic.Passed` explains the fields."""

    __tablename__ = "traffic"
    __table_args__ = (Index(None, "status"), Index(None, "model", "at"), {"info": {"archive": False}})

    id: str = Field(primary_key=True, sa_type=SafeText)
    at: datetime = Field(sa_type=UtcDateTime)
    owner: str = Field(sa_type=SafeText)
    upstream: str = Field(sa_type=EndpointText)
    model: str = Field(sa_type=SafeText)
    status: str = Field(sa_type=SafeText)
    http_status: int | None
    left_alone: str = Field(sa_type=SafeText)
    strategy: str = Field(sa_type=SafeText)
    budget: int | None = Field(sa_type=BigInteger)
    fallback: str = Field(sa_type=SafeText)
    streamed: bool
    prompt_tokens: int | None = Field(sa_type=BigInteger)
    completion_tokens: int | None = Field(sa_type=BigInteger)
    dropped_tokens: int = Field(sa_type=BigInteger)
    estimated: bool
    ttft_s: float | None
    latency_s: float | None
    thinking_tokens: int | None = Field(sa_type=BigInteger)


class TrafficPairRow(Base, table=True):
    """One request that was asked both ways; `tale_core.store.traffic.Pair` explains the fields."""

    __tablename__ = "traffic_pair"
    __table_args__ = (Index(None, "upstream", "at"), Index(None, "kept_until"), {"info": {"archive": False}})

    id: str = Field(primary_key=True, sa_type=SafeText)
    at: datetime = Field(sa_type=UtcDateTime)
    owner: str = Field(sa_type=SafeText)
    upstream: str = Field(sa_type=EndpointText)
    model: str = Field(sa_type=SafeText)
    strategy: str = Field(sa_type=SafeText)
    budget: int | None = Field(sa_type=BigInteger)
    origin: str = Field(sa_type=SafeText)
    status: str = Field(sa_type=SafeText)
    plain_tokens: int | None = Field(sa_type=BigInteger)
    changed_tokens: int | None = Field(sa_type=BigInteger)
    spent_tokens: int = Field(sa_type=BigInteger)
    spent_usd: float | None
    verdict: str = Field(sa_type=SafeText)
    fallback: str = Field(sa_type=SafeText)
    estimated: bool
    session_id: str | None = Field(sa_type=SafeText)
    kept_until: datetime | None = Field(sa_type=UtcDateTime)


# Queries are written against the tables, not the row classes: their columns have the types of SQL expressions.
sessions: Table = Base.metadata.tables["session"]
calls: Table = Base.metadata.tables["call"]
experiment_questions: Table = Base.metadata.tables["experiment_question"]
experiment_units: Table = Base.metadata.tables["experiment_unit"]
trash: Table = Base.metadata.tables["trash"]
imports: Table = Base.metadata.tables["import_run"]
imported_rows: Table = Base.metadata.tables["import_row"]
experiment_units.add_is_dependent_on(calls)  # By answer_call_id, which is no foreign key.
audit: Table = Base.metadata.tables["audit"]
kept_keys: Table = Base.metadata.tables["kept_key"]
rooms: Table = Base.metadata.tables["room"]
room_seats: Table = Base.metadata.tables["room_seat"]
room_guesses: Table = Base.metadata.tables["room_guess"]
room_strikes: Table = Base.metadata.tables["room_strike"]
room_calls: Table = Base.metadata.tables["room_call"]
traffic: Table = Base.metadata.tables["traffic"]
traffic_pairs: Table = Base.metadata.tables["traffic_pair"]
