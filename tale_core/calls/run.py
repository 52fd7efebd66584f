"""A run as it lives: begun, watched, stopped, written down. What an Ask, a search and a sweep have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, NotRequired, Protocol, TypedDict, TypeVar, Unpack

from tale_core.calls.budget_ledger import Spent
from tale_core.calls.recorder import CallView, Recorder
from tale_core.process import current_owner
from tale_core.store import Store, new_session_id
from tale_core.types import Client, Question, SessionKind, SessionRecord, Status

StudyPhase = Literal["preparing", "running", "ended"]


class QuestionPlan(Protocol):
    """What every plan about one question has."""

    @property
    def question(self) -> Question: ...  # noqa: D102
    @property
    def template(self) -> str: ...  # noqa: D102
    @property
    def parent_id(self) -> str | None: ...  # noqa: D102


P = TypeVar("P", bound=QuestionPlan)
E = TypeVar("E")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """What a search and a sweep have in common.

    Attributes:
        calls: Every answer asked for, in the order they started; running ones hold their text so far.
        parent_id: The session that this one resumed.
        error: Why it failed, in words.
        not_saved: Why the store holds less than this picture, in words.
        notice: What is being waited for right now, in words.
        created_at: When it was started.
    """

    session_id: str
    status: Status
    phase: StudyPhase
    question: Question
    model: str
    endpoint: str
    calls: tuple[CallView, ...]
    spent: Spent
    parent_id: str | None = None
    error: str | None = None
    not_saved: str | None = None
    notice: str | None = None
    created_at: datetime | None = None

    @property
    def running(self) -> bool:
        """True while anything may still change."""
        return self.status == "running"


class RunFields(TypedDict):
    """The fields of every view of a run about one question."""

    session_id: str
    status: Status
    phase: Any
    question: Question
    model: str
    endpoint: str
    error: str | None
    created_at: datetime | None


class Common(RunFields):
    """The fields of `StudyView` that a run and a stored session both know."""

    calls: tuple[CallView, ...]
    spent: Spent
    parent_id: str | None


class LiveFields(RunFields):
    """What a run that is watched has beside them."""

    not_saved: str | None
    notice: str | None


class Where(TypedDict, Generic[E]):
    """Whom a run asks, where it is kept, and who is told.

    Attributes:
        store: Where everything goes.
        open_client: Makes the client, waiting for weights and server if need be; its errors end the session as failed.
        model: Name for the session's row before the client exists.
        endpoint: Likewise.
        on_change: Called after every change, from the event loop.
        on_event: Told every event as it happens, from the event loop.
    """

    store: Store
    open_client: Callable[[], Awaitable[Client]]
    model: str
    endpoint: str
    on_change: NotRequired[Callable[[], None]]
    on_event: NotRequired[Callable[[E], None]]


class Run(ABC, Generic[P, E, V]):
    """Runs one plan about one question: its events become the picture that is watched and the rows that are stored.

    Args:
        plan: Checked before: of a wrong one nothing is stored.
        kind: Of its session.
        at_end: What is brought up to date in the store once the session has ended.
        where: See `Where`.
    """

    begun: str = "running"
    """The phase that begins once the client is there."""

    def __init__(
        self, plan: P, kind: SessionKind, *, at_end: Callable[[Store], None], **where: Unpack[Where[E]]
    ) -> None:
        self.plan, self.kind, self.id = plan, kind, new_session_id(kind)
        self._store, self._open_client = where["store"], where["open_client"]
        self._model, self._endpoint = where["model"], where["endpoint"]
        self._on_change = where.get("on_change", lambda: None)
        self._on_event = where.get("on_event", lambda event: None)
        self._created_at = datetime.now(UTC)
        self._client: Client | None = None
        self._phase = "preparing"
        self._status: Status = "running"
        self._error: str | None = None
        self._notice: str | None = None
        self._recorder: Recorder[Any] = Recorder(self._store, self.id, at_end=at_end)

    @abstractmethod
    def view(self) -> V:
        """The picture as it stands; safe to call from any thread."""

    @abstractmethod
    def _events(self, client: Client) -> AsyncGenerator[E, None]:
        """Do what the plan says."""

    @abstractmethod
    async def _take(self, event: E) -> None:
        """Learn from an event, beside what the recorder does with those of calls."""

    @property
    def ended(self) -> bool:
        """Nothing will change any more."""
        return self._phase == "ended"

    def notice(self, words: str) -> None:
        """Show what is being waited for, until the next event."""
        self._notice = words
        self._on_change()

    async def run(self) -> V:
        """Run to the end. Cancelling the task that awaits this stops the spending, and the session says cancelled.

        Returns:
            The final picture; a failure is in `status` and `error`, never raised.
        """
        status, error = await self._recorder.live(self._go, client=lambda: self._client)
        self._status, self._error, self._phase = status, error, "ended"
        self._on_change()
        return self.view()

    async def _go(self) -> Status:
        # The row is on its way before anything else: a stop from here on finds a session to end.
        await self._begin()
        self._client = await self._open_client()
        self._model, self._endpoint = self._client.model, self._client.endpoint
        self._phase, self._notice = self.begun, None
        self._on_change()
        async with aclosing(self._events(self._client)) as events:
            async for event in events:
                self._on_event(event)
                await self._take(event)
                if not self._recorder.waiting:  # One answer may wait for its endpoint while the other one grows.
                    self._notice = None
                self._on_change()
        return "done"

    async def _begin(self) -> None:
        self._recorder.writer.do(self._create)

    def _create(self, again: bool) -> None:
        """Store the session's row; in the writer's thread."""
        self._store.create_session(self._session_record(), again=again)

    def _session_record(self) -> SessionRecord:
        """What is stored of the run before it has found anything; each kind adds its own."""
        return SessionRecord(
            id=self.id,
            kind=self.kind,
            question=self.plan.question,
            model=self._model,
            endpoint=self._endpoint,
            estimator="",
            template=self.plan.template,
            parent_id=self.plan.parent_id,
            owner=current_owner(),
            created_at=self._created_at,
        )

    def _fields(self) -> LiveFields:
        return LiveFields(
            session_id=self.id,
            status=self._status,
            phase=self._phase,
            question=self.plan.question,
            model=self._model,
            endpoint=self._endpoint,
            error=self._error,
            not_saved=self._recorder.not_saved,
            notice=self._notice,
            created_at=self._created_at,
        )

    def _post(self, **changes: Any) -> None:
        """Change the session's row, without waiting."""
        self._recorder.writer.do(lambda _again: self._store.update_session(self.id, **changes))
