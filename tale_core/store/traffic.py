"""`TrafficStore`: what the drop-in endpoint passed on, and what became of requests that were asked both ways.

A request has its row before anything is sent, and its end before the last piece of the answer is handed on, so that a
kill between the two leaves a row that says so. No text is kept here: the texts of a pair, where they are kept, are an
Ask like any other, which goes when its time has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import bindparam, case, func, insert, select, update

from tale_core.process import current_owner, owner_is_gone
from tale_core.store import queries
from tale_core.store.repository import Store
from tale_core.store.tables import calls, sessions, traffic, traffic_pairs
from tale_core.types import Outcome

Status = Literal["open", "done", "refused", "left", "broken", "killed"]
"""Under way; answered; the upstream answered with an error; the client left; the upstream broke off; this program
ended before the answer did."""
Verdict = Literal["", "agree", "differ", "unread", "agree-person", "differ-person", "failed"]
"""Not known yet; judged by the graders; no answer to read, so that a person has to judge; judged by a person; the
second request failed."""
AGREE: Final = ("agree", "agree-person")
DIFFER: Final = ("differ", "differ-person")
DAY = timedelta(days=1)
TEMPLATE: Final = "traffic"
"""The prompt template that stored calls of the traffic name: the client's own words."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request.

    Attributes:
        left_alone: Why it may not be changed; "" where it may.
        strategy: How it was changed; "" where it was not.
        fallback: Why the plain request was sent after the changed one ("format", "cut", "unsure", …); "" where not.
        dropped_tokens: Output of answers that were thrown away for it.
        estimated: The tokens are counted by us: the upstream told none.
        thinking_tokens: Of the completion's tokens, those that nobody saw; None where the upstream does not say.
    """

    id: str
    upstream: str
    model: str
    status: Status = "open"
    at: datetime | None = None
    owner: str = ""
    http_status: int | None = None
    left_alone: str = ""
    strategy: str = ""
    budget: int | None = None
    fallback: str = ""
    streamed: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    dropped_tokens: int = 0
    estimated: bool = False
    ttft_s: float | None = None
    latency_s: float | None = None
    thinking_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that was asked plainly and changed.

    Attributes:
        origin: "observed": the client got the plain answer; "saved": the changed one; "replayed": neither, it came out
            of a log.
        plain_tokens: Output tokens of the plain answer.
        changed_tokens: Likewise of the changed one, with all that was thrown away for it.
        spent_tokens: What asking the second time took, prompt included; while it runs the most that it can take.
        session_id: The Ask that keeps the texts; None where they are not kept.
        kept_until: When they go.
    """

    id: str
    upstream: str
    model: str
    strategy: str
    origin: str
    budget: int | None = None
    at: datetime | None = None
    owner: str = ""
    status: Status = "open"
    plain_tokens: int | None = None
    changed_tokens: int | None = None
    spent_tokens: int = 0
    spent_usd: float | None = None
    verdict: Verdict = ""
    fallback: str = ""
    estimated: bool = False
    session_id: str | None = None
    kept_until: datetime | None = None


class Spending(NamedTuple):
    """What second requests took within a day; dollars are None where a price is unknown."""

    calls: int
    tokens: int
    usd: float | None


class ModelTraffic(NamedTuple):
    """The requests for one model.

    Tokens are output tokens; `open_tokens` those of requests that could be changed, `thinking_tokens` those that nobody
    saw, as far as the upstream says.
    """

    upstream: str
    model: str
    requests: int
    done: int
    refused: int
    left: int
    broken: int
    killed: int
    open: int
    changed: int
    fallbacks: int
    prompt_tokens: int
    tokens: int
    open_tokens: int
    estimated: int
    thinking_tokens: int


class TrafficStore:
    """The traffic in a store; the same errors as `Store`, whose connections it uses."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def write(self, begun: Sequence[Passed], ended: Sequence[Passed]) -> None:
        """Store requests that begin and that have ended, in one transaction; one that had ended keeps its first end."""
        now, owner = queries.now(), current_owner()
        with self.store.writing() as connection:
            if begun:
                rows = [asdict(replace(one, at=one.at or now, owner=owner)) for one in begun]
                connection.execute(insert(traffic), rows)
            if ended:
                connection.execute(_END, [{f"new_{name}": value for name, value in asdict(one).items()
                                           if name in _ENDS or name == "id"} for one in ended])  # fmt: skip

    def begin_pair(self, pair: Pair) -> None:
        """Store a pair with the most that its second request can take."""
        with self.store.writing() as connection:
            now = queries.now()
            connection.execute(insert(traffic_pairs), asdict(replace(pair, at=pair.at or now, owner=current_owner())))

    def end_pair(self, pair: Pair) -> None:
        """Store what became of it."""
        values = {name: value for name, value in asdict(pair).items() if name not in ("id", "at", "owner")}
        with self.store.writing() as connection:
            connection.execute(update(traffic_pairs).where(traffic_pairs.c.id == pair.id).values(**values))

    def spent(self, upstream: str) -> Spending:
        """What second requests to this upstream took in the last day; of those that were killed the most they could."""
        where = (traffic_pairs.c.upstream == upstream, traffic_pairs.c.at >= queries.now() - DAY)
        sums = select(func.count(), func.sum(traffic_pairs.c.spent_tokens), func.sum(traffic_pairs.c.spent_usd),
                      func.count(traffic_pairs.c.spent_usd)).where(*where)  # fmt: skip
        with self.store.reading() as connection:
            count, tokens, usd, priced = connection.execute(sums).one()
        return Spending(int(count), int(tokens or 0), float(usd or 0) if priced == count else None)

    def models(self) -> list[ModelTraffic]:
        """The requests by upstream and model, the most expensive first."""
        self._reconcile()
        c = traffic.c

        def n(condition: Any) -> Any:
            return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

        output = func.coalesce(c.completion_tokens, 0) + c.dropped_tokens
        statement = select(
            c.upstream, c.model, func.count(),
            *(n(c.status == status) for status in ("done", "refused", "left", "broken", "killed", "open")),
            n(c.strategy != ""), n(c.fallback != ""), func.coalesce(func.sum(c.prompt_tokens), 0), func.sum(output),
            func.sum(case((c.left_alone == "", output), else_=0)), n(c.estimated),
            func.coalesce(func.sum(c.thinking_tokens), 0),
        ).group_by(c.upstream, c.model).order_by(func.sum(output).desc(), c.model)  # fmt: skip
        with self.store.reading() as connection:
            return [ModelTraffic(row[0], row[1], *map(int, row[2:])) for row in connection.execute(statement)]

    def reasons(self) -> dict[tuple[str, str], dict[str, int]]:
        """How many requests were left alone, by upstream and model, and why."""
        c = traffic.c
        statement = select(c.upstream, c.model, c.left_alone, func.count()).where(c.left_alone != "")
        found: dict[tuple[str, str], dict[str, int]] = {}
        with self.store.reading() as connection:
            for row in connection.execute(statement.group_by(c.upstream, c.model, c.left_alone)):
                found.setdefault((row[0], row[1]), {})[row[2]] = row[3]
        return found

    def pairs(self, *, upstream: str | None = None, model: str | None = None) -> list[Pair]:
        """Every pair that has ended, the oldest first, with what people have said of them since."""
        self.take_labels()
        conditions = [traffic_pairs.c.status == "done"]
        conditions += [traffic_pairs.c.upstream == upstream] if upstream is not None else []
        conditions += [traffic_pairs.c.model == model] if model is not None else []
        with self.store.reading() as connection:
            found = connection.execute(select(traffic_pairs).where(*conditions).order_by(traffic_pairs.c.at))
            return [Pair(**row) for row in found.mappings()]

    def requests(self, *, limit: int | None = None) -> list[Passed]:
        """The newest requests first."""
        self._reconcile()
        with self.store.reading() as connection:
            found = connection.execute(select(traffic).order_by(traffic.c.at.desc()).limit(limit))
            return [Passed(**row) for row in found.mappings()]

    def take_labels(self) -> None:
        """Note for pairs that no grader could judge what people have said of both their answers."""
        c = traffic_pairs.c
        waiting = select(c.id, calls.c.role, calls.c.outcome, calls.c.labelled).join(
            calls, calls.c.session_id == c.session_id
        ).where(c.verdict == "unread", calls.c.labelled.is_not(None))  # fmt: skip
        with self.store.reading() as connection:
            said: dict[str, dict[str, str]] = {}
            for row in connection.execute(waiting):
                said.setdefault(row.id, {})[row.role] = row.outcome
        judged = (Outcome.CORRECT.value, Outcome.WRONG.value)
        known = {key: by_role for key, by_role in said.items()
                 if [by_role.get(role) in judged for role in ("vanilla", "budgeted")] == [True, True]}  # fmt: skip
        if known:
            with self.store.writing() as connection:
                for key, by_role in known.items():
                    same = by_role["vanilla"] == by_role["budgeted"]
                    verdict = AGREE[1] if same else DIFFER[1]
                    connection.execute(update(traffic_pairs).where(c.id == key).values(verdict=verdict))

    def forget_texts(self) -> int:
        """Delete the texts whose time has come, with what people said of them noted first; how many questions."""
        self.take_labels()
        c = traffic_pairs.c
        with self.store.reading() as connection:
            over = connection.execute(
                select(c.id, c.session_id).where(c.kept_until < queries.now(), c.session_id.is_not(None))
            ).all()
        for key, session_id in over:
            with self.store.writing() as connection:
                connection.execute(sessions.delete().where(sessions.c.id == session_id))
                connection.execute(update(traffic_pairs).where(c.id == key).values(session_id=None, kept_until=None))
        return len(over)

    def _reconcile(self) -> None:
        """Requests and pairs whose process is gone were killed."""
        now = queries.now()
        for table in (traffic, traffic_pairs):
            with self.store.reading() as connection:
                under_way = select(table.c.owner, func.max(table.c.at)).where(table.c.status == "open")
                owners = connection.execute(under_way.group_by(table.c.owner)).all()
            gone = [owner for owner, at in owners if owner_is_gone(owner, heartbeat_at=at, now=now)]
            if gone:
                with self.store.writing() as connection:
                    dead = (table.c.status == "open", table.c.owner.in_(gone))
                    connection.execute(update(table).where(*dead).values(status="killed"))


_ENDS: Iterable[str] = (
    "status", "http_status", "left_alone", "strategy", "budget", "fallback", "prompt_tokens", "completion_tokens",
    "dropped_tokens", "estimated", "ttft_s", "latency_s", "thinking_tokens",
)  # fmt: skip
_CHANGES: Mapping[str, Any] = {name: bindparam(f"new_{name}") for name in _ENDS}
_END = update(traffic).where(traffic.c.id == bindparam("new_id"), traffic.c.status == "open").values(**_CHANGES)
