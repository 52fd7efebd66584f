"""`Store`: every question the rest of the core asks the database, each answered in one short transaction.

Safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, Unpack

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select, update

from tale_core.access.who import asking
from tale_core.budgets.forcing import FORCED
from tale_core.errors import StoreError, StoreLockedError
from tale_core.i18n import t
from tale_core.process import current_owner, owner_is_gone
from tale_core.store import queries, records
from tale_core.store.calls import insert_calls
from tale_core.store.database.engine import for_reading, for_writing, transaction
from tale_core.store.records import SessionFields, SessionSummary
from tale_core.store.tables import calls, kept_keys, sessions
from tale_core.types import REFUSAL, Outcome, SessionKind, SessionRecord, Status

# A row that was declared interrupted is still open: its process may turn out to be alive (a laptop that slept).
_OPEN = ("running", "interrupted")


class Try(NamedTuple):
    """One try on a question: the budget asked for (None without one), and what came of it."""

    budget: int | None
    outcome: Outcome
    tokens: int
    refused: bool = False


class Belonging(NamedTuple):
    """Whose session it is, by the name of an account ("": whoever set the program up), and who else sees it.

    Attributes:
        shared: Everybody who signs in sees it.
        people: The accounts that see it by name.
    """

    account: str
    shared: bool
    people: tuple[str, ...] = ()

    @property
    def mine(self) -> bool:
        """Whoever asks may change it."""
        return asking().sees_all or asking().account == self.account


class Store:
    """The database behind records. Made by `open_store`.

    Every method may raise `StoreLockedError` (held by another process past the time limit) and `StoreError` (in words).

    Attributes:
        where: The database in words, without a password.
        engine: SQLAlchemy's, of which `reading` and `writing` take their connections.
        closed: `close` was called; `open_store` then looks at the database afresh.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self.where = where
        self.closed = False
        self.engine = engine
        self._read_engine = for_reading(engine)
        self._write_engine = for_writing(engine)
        self._concurrent_engine = for_writing(engine, concurrent=True)

    def close(self) -> None:
        """Close the pooled connections. The next use opens new ones."""
        self.closed = True
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads, while others write."""
        with transaction(self._read_engine, self.where) as connection:
            yield connection

    @contextmanager
    def writing(self, *, concurrent: bool = False) -> Iterator[Connection]:
        """A transaction that writes, with no other writer; see `tale_core.store.database.engine` for `concurrent`."""
        with transaction(self._concurrent_engine if concurrent else self._write_engine, self.where) as connection:
            yield connection

    # Sessions

    def create_session(self, record: SessionRecord, *, again: bool = False) -> SessionRecord:
        """Store a new session, with its calls if it has any; give it times and this process as owner if it has none.

        Args:
            record: The session.
            again: It may be stored already, by a try of this process whose end is not known.

        Raises:
            StoreError: The id is taken.
        """
        now = queries.now()
        values = records.session_columns(
            replace(
                record,
                created_at=record.created_at or now,
                updated_at=record.updated_at or now,
                owner=record.owner or current_owner(),
            )
        )
        with self.writing() as connection:
            if queries.exists(connection, sessions, record.id):
                if again and (there := queries.read_session(connection, record.id)).owner == values["owner"]:
                    return there
                raise StoreError(t("There is a session {id!r} already.", id=record.id), t("Take a new id."))
            connection.execute(insert(sessions).values(**values, heartbeat_at=now, account=asking().account))
            queries.note(connection, "began", record.id)
            insert_calls(connection, [replace(call, session_id=record.id) for call in record.calls])
            return queries.read_session(connection, record.id)

    def update_session(self, session_id: str, **changes: Unpack[SessionFields]) -> None:
        """Change fields of a session.

        Raises:
            TypeError: A field that may not be changed.
            NotFoundError: No such session.
        """
        _check_names(changes, SessionFields, "update_session")
        with self.writing() as connection:
            done = connection.execute(
                update(sessions)
                .where(sessions.c.id == session_id)
                .values(**records.columns(changes), updated_at=queries.now())
            )
            if not done.rowcount:
                raise queries.no_session(session_id)

    def finish_session(self, session_id: str, status: Status, *, error: str | None = None) -> bool:
        """Close a session. The first end counts: False means that it had ended already and nothing was changed.

        Calls that are still running become interrupted and keep their text.

        Raises:
            ValueError: The status is "running".
            NotFoundError: No such session.
        """
        _check_end(status)
        now = queries.now()
        with self.writing() as connection:
            done = connection.execute(
                update(sessions)
                .where(sessions.c.id == session_id, sessions.c.status.in_(_OPEN))
                .values(status=status, error=error, updated_at=now)
            )
            if done.rowcount:
                queries.interrupt_calls(connection, calls.c.session_id == session_id)
            elif not queries.exists(connection, sessions, session_id):
                raise queries.no_session(session_id)
            return bool(done.rowcount)

    def get_session(self, session_id: str) -> SessionRecord:
        """A session with its calls in the order they were started.

        Raises:
            NotFoundError: No such session.
        """
        self._reconcile_if_free()
        with self.reading() as connection:
            return queries.read_session(connection, session_id)

    def list_sessions(
        self,
        limit: int = 20,
        before: datetime | None = None,
        offset: int = 0,
        query: str | None = None,
        kind: SessionKind | None = None,
    ) -> list[SessionSummary]:
        """Sessions, newest first, in one query.

        Args:
            limit: At most so many.
            before: Only sessions created before this moment (aware).
            offset: Leave out so many of the newest.
            query: Only questions that hold this text, whatever its case.
            kind: Only sessions of this kind.
        """
        self._reconcile_if_free()
        statement = select(*(sessions.c[name] for name in queries.SUMMARY))
        statement = statement.where(queries.seen()).order_by(sessions.c.created_at.desc(), sessions.c.id.desc())
        if before is not None:
            statement = statement.where(sessions.c.created_at < before)
        if kind is not None:
            statement = statement.where(sessions.c.kind == kind)
        if query:
            statement = statement.where(sessions.c.question_text.icontains(query, autoescape=True))
        with self.reading() as connection:
            page = statement.limit(limit).offset(offset).subquery("page")
            rows = connection.execute(queries.with_answers(page)).mappings()
            found = [records.summary(dict(row)) for row in rows]
        return sorted(found, key=lambda s: (s.created_at, s.id), reverse=True)

    def search_results(self, *, model: str, template: str, limit: int) -> list[dict[str, Any]]:
        """What the newest finished searches of this model and template found, newest first (`Session.result`)."""
        done = (sessions.c.kind == "search", sessions.c.status == "done", sessions.c.model == model)
        statement = select(sessions.c.result).where(*done, sessions.c.template == template, queries.seen())
        with self.reading() as connection:
            found = connection.execute(statement.order_by(sessions.c.created_at.desc()).limit(limit)).scalars()
            return [dict(result) for result in found if result]

    def finished_searches(self, *, model: str | None = None, template: str | None = None) -> list[SessionRecord]:
        """Searches that ended well, oldest first, without their calls: an estimator is trained on what they found."""
        statement = select(sessions).where(sessions.c.kind == "search", sessions.c.status == "done", queries.seen())
        for name, wanted in (("model", model), ("template", template)):
            if wanted is not None:
                statement = statement.where(sessions.c[name] == wanted)
        with self.reading() as connection:
            rows = connection.execute(statement.order_by(sessions.c.created_at, sessions.c.id)).mappings()
            return [records.session_record(dict(row), ()) for row in rows]

    def own_estimates(self, *, model: str) -> list[tuple[str, str]]:
        """Prompt and answer of every finished call that asked this model for a budget, oldest first."""
        made = (calls.c.role == "estimate", calls.c.status == "done", calls.c.model == model)
        with self.reading() as connection:
            statement = select(calls.c.messages, calls.c.text).where(*made, queries.in_seen(calls.c.session_id))
            rows = connection.execute(statement.order_by(calls.c.id))
            return [(messages[-1]["content"], text) for messages, text in rows if messages]

    def vanilla_tokens(self, *, model: str, limit: int = 200) -> list[int]:
        """Output tokens of this model's newest whole answers without a budget, wherever they were asked for."""
        statement = select(calls.c.completion_tokens).join(sessions, sessions.c.id == calls.c.session_id)
        statement = statement.where(
            sessions.c.model == model, calls.c.role == "vanilla", calls.c.status == "done", calls.c.cut.is_(False),
            calls.c.completion_tokens > 0, calls.c.source.in_(("live", "recorded")), queries.seen(),
        )  # fmt: skip
        with self.reading() as connection:
            newest = statement.order_by(sessions.c.created_at.desc(), calls.c.id.desc()).limit(limit)
            return list(connection.execute(newest).scalars())

    def tries(self, question: str, *, model: str, endpoint: str, limit: int = 500) -> list[Try]:
        """Every whole answer of a model to a question, in an Ask, a search or a sweep; of each budget the newest.

        Only budgets that the prompt asked for, and no answer that was forced out.
        The one without a budget comes first, then from the largest budget down.
        """
        columns = (calls.c.requested_budget, calls.c.outcome, calls.c.completion_tokens, calls.c.finish_reason)
        statement = select(*columns, calls.c.adjustments)
        statement = statement.join(sessions, sessions.c.id == calls.c.session_id).where(
            sessions.c.model == model, sessions.c.endpoint == endpoint, sessions.c.question_text == question,
            sessions.c.kind.in_(("ask", "search", "sweep")), calls.c.status == "done", calls.c.cut.is_(False),
            calls.c.completion_tokens.is_not(None), calls.c.role != "forced", calls.c.knob.is_(None), queries.seen(),
            or_(calls.c.role == "vanilla", calls.c.requested_budget.is_not(None)),
        )  # fmt: skip
        found: dict[int | None, Try] = {}
        with self.reading() as connection:
            for row in connection.execute(statement.order_by(calls.c.id.desc()).limit(limit)):
                if FORCED in row.adjustments:
                    continue
                outcome = Outcome(row.outcome)
                refused = outcome is Outcome.ERROR and row.finish_reason == REFUSAL
                one = Try(row.requested_budget, outcome, row.completion_tokens, refused)
                found.setdefault(one.budget, one)
        return sorted(found.values(), key=lambda one: (one.budget is not None, -(one.budget or 0)))

    def searched_questions(self, *, model: str, template: str, knob: str = "asked") -> list[tuple[str, dict[str, Any]]]:
        """The questions that a search of this model, template and kind of budget was finished for, each with its plan.

        Not ended by a limit.
        """
        done = (sessions.c.kind == "search", sessions.c.status == "done", sessions.c.model == model)
        statement = select(sessions.c.question_text, sessions.c.plan, sessions.c.result)
        statement = statement.where(*done, sessions.c.template == template, queries.seen())
        with self.reading() as connection:
            rows = connection.execute(statement).all()
        done_of = ((row, (row.result or {}).get("done") or {}) for row in rows)
        ends = ((row, one.get("stop_reason", "")) for row, one in done_of if one.get("knob", "asked") == knob)
        return [(row.question_text, row.plan) for row, reason in ends if reason and not reason.startswith("limit-")]

    def count_sessions(self) -> int:
        """How many sessions are stored."""
        with self.reading() as connection:
            return connection.execute(select(func.count()).select_from(sessions).where(queries.seen())).scalar_one()

    def belongs_to(self, session_id: str) -> Belonging:
        """Whose session it is.

        Raises:
            NotFoundError: No such session, or none that whoever asks may see.
        """
        columns = (sessions.c.account, sessions.c.shared, sessions.c.shared_with)
        statement = select(*columns).where(sessions.c.id == session_id, queries.seen())
        with self.reading() as connection:
            row = connection.execute(statement).first()
        if row is None:
            raise queries.no_session(session_id)
        return Belonging(row.account, row.shared, records.names_of(row.shared_with))

    def share(self, session_id: str, shared: bool, *, people: Sequence[str] = ()) -> None:
        """Let everybody who signs in see a session, or nobody else any more.

        Args:
            session_id: Of the session.
            shared: Whether they may.
            people: Only these accounts may see it, beside those that may already. Not with `shared` False.

        Raises:
            NotFoundError: No such session, or none of whoever asks.
        """
        mine = (sessions.c.id == session_id, queries.changeable())
        with self.writing() as connection:
            row = connection.execute(select(sessions.c.shared_with).where(*mine)).first()
            if row is None:
                raise queries.no_session(session_id)
            named = records.names_text((*records.names_of(row.shared_with), *people)) if shared else ""
            values = {"shared_with": named} if shared and people else {"shared": shared, "shared_with": named}
            connection.execute(update(sessions).where(*mine).values(**values))
            done = f"shared with {', '.join(people)}" if people else "shared"
            queries.note(connection, done if shared else "took back", session_id)

    def forget_person(self, account: str) -> None:
        """Nothing is shared by name with an account that is no more: another person may be given its name."""
        kept = func.replace(sessions.c.shared_with, records.names_text((account,)), "")
        with self.writing() as connection:
            connection.execute(update(sessions).where(queries.names(account)).values(shared_with=kept))
            connection.execute(delete(kept_keys).where(kept_keys.c.account == account))

    def export_session(self, session_id: str) -> dict[str, Any]:
        """A session as a JSON-safe document: {"format": 1, "session": {…, "calls": […]}} with all provenance.

        Raises:
            NotFoundError: No such session.
        """
        return records.exported(self.get_session(session_id))

    # Life and death

    def heartbeat(self, session_ids: Iterable[str]) -> None:
        """Say that these sessions are still being worked on; to be called every few seconds."""
        if ids := list(session_ids):
            with self.writing(concurrent=True) as connection:
                connection.execute(update(sessions).where(sessions.c.id.in_(ids)).values(heartbeat_at=queries.now()))

    def reconcile_interrupted(self) -> list[str]:
        """Mark running sessions whose process is gone, and their running calls, as interrupted; keep their text.

        Returns:
            The ids of the sessions that were marked now.
        """
        now = queries.now()
        running = select(sessions.c.id, sessions.c.owner, sessions.c.heartbeat_at)
        with self.reading() as connection:
            rows = connection.execute(running.where(sessions.c.status == "running")).all()
        gone = [row for row in rows if owner_is_gone(row.owner, heartbeat_at=row.heartbeat_at, now=now)]
        if not gone:
            return []
        marked: list[str] = []
        with self.writing() as connection:
            for row in gone:
                # Only if nothing happened since it was read: the session may have ended, or shown a sign of life.
                same = (sessions.c.owner == row.owner, sessions.c.heartbeat_at == row.heartbeat_at)
                done = connection.execute(
                    update(sessions)
                    .where(sessions.c.id == row.id, sessions.c.status == "running", *same)
                    .values(status="interrupted", updated_at=now)
                )
                if done.rowcount:
                    marked.append(row.id)
            queries.interrupt_calls(connection, calls.c.session_id.in_(marked))
        return marked

    def _reconcile_if_free(self) -> None:
        try:
            self.reconcile_interrupted()
        except StoreLockedError:
            return  # readers go on while somebody writes for long; the next read tries again


def _check_names(changes: Any, allowed: Any, function: str) -> None:
    if unknown := sorted(set(changes) - set(allowed.__annotations__)):
        names = ", ".join(sorted(allowed.__annotations__))
        raise TypeError(f"{function}() got {', '.join(unknown)}; allowed are {names}")


def _check_end(status: Status) -> None:
    if status == "running":
        raise ValueError("A session or call cannot be finished with the status 'running'")
