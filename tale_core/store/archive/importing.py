"""`look` and `import_archive`: what an archive would bring, and bringing it: all of it or nothing.

An archive is read twice. The first time nothing is stored (`look`): every row is checked, so that the second time only
the machine can fail. Then sessions come in small transactions, so that nobody who writes meanwhile waits for long, and
every row that came is noted in the same transaction. If the import cannot end (a full disk, a stop), what came is taken
out again; if its process is gone, the next process that opens the store does that (`undo_dead_imports`). With its end
what people say, there and here, decides about all answers that it is about, there and here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection, UniqueConstraint, delete, insert, select, update

from tale_core.access.who import asking
from tale_core.errors import StoppedError, StoreError
from tale_core.i18n import t
from tale_core.process import current_owner, owner_is_gone
from tale_core.store import queries
from tale_core.store.archive.belonging import Kin, delete_sessions, shared_tables
from tale_core.store.archive.reading import Archive
from tale_core.store.archive.rows_json import Row
from tale_core.store.archive.trash import Refused, bring_back, others_deleted, put_away
from tale_core.store.archive.writing_rows import Group, Numbers, write_groups, write_rows
from tale_core.store.labels.store import LabelStore
from tale_core.store.labels.tables import label_events, label_questions, labels
from tale_core.store.labels.types import Came, Rederive
from tale_core.store.repository import Store
from tale_core.store.tables import imported_rows, imports, sessions, trash

Existing = Literal["skip", "replace"]
"""What to do with a session that is here already."""
AT_ONCE = 250
"""Rows of a transaction, unless one session has more."""
REST = 0.5
"""Time between two transactions, as a share of what the first took: others that wait for the database get it."""
_ASKED_AT_ONCE = 500
_stuck: set[str] = set()
"""Imports of this process that could neither end nor be undone."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive would bring.

    Attributes:
        sessions: Sessions in it, by kind.
        new: Sessions that are not here.
        here: Sessions that are here already.
        changed: Of these, those that changed later in the archive than here.
        running: Of these, those that are running here and cannot be replaced.
        rows: Of all tables.
    """

    whole: bool
    created_at: str
    program: str
    sessions: Mapping[str, int]
    new: int
    here: int
    changed: int
    running: int
    rows: int

    @property
    def total(self) -> int:
        """How many sessions it holds."""
        return sum(self.sessions.values())


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        skipped: Sessions that were here, or in somebody else's trash, and were left alone.
        replaced: Sessions that were here and are now the archive's.
    """

    new: int = 0
    skipped: int = 0
    replaced: int = 0


def look(
    store: Store,
    archive: Archive,
    *,
    progress: Callable[[int], None] = lambda sessions: None,
    stop: Callable[[], bool] = lambda: False,
) -> Contents:
    """Read an archive to its end, checking everything and storing nothing.

    Args:
        store: Where it would be imported.
        archive: What to read.
        progress: Told how many sessions were read.
        stop: Asked now and then whether to stop.

    Raises:
        ArchiveError: It is damaged or hostile.
        StoppedError: `stop` said so.
    """
    for _ in archive.shared():
        pass
    kinds: dict[str, int] = {}
    here = changed = running = read = 0
    for batch in _batches(archive.groups(), most=_ASKED_AT_ONCE):
        _stop_if(stop)
        with store.reading() as connection:
            known = _known(connection, [group.id for group in batch])
        for group in batch:
            kinds[group.session["kind"]] = kinds.get(group.session["kind"], 0) + 1
            if (row := known.get(group.id)) is not None:
                here += 1
                changed += group.session["updated_at"] > row.updated_at
                running += row.status == "running"
        read += len(batch)
        progress(read)
    m = archive.manifest
    rows = sum(member.rows for member in m.members)
    return Contents(m.whole, m.created_at, m.program, kinds, read - here, here, changed, running, rows)


def import_archive(
    store: Store,
    archive: Archive,
    *,
    existing: Existing = "skip",
    rederive: Rederive | None = None,
    progress: Callable[[int], None] = lambda sessions: None,
    stop: Callable[[], bool] = lambda: False,
) -> Imported:
    """Bring an archive that `look` has read: all of it or nothing.

    Sessions that were running on the other machine are interrupted here. Sessions that are running here are left alone.

    Args:
        store: Where to.
        archive: What to bring.
        existing: What to do with sessions that are here already.
        rederive: Finds anew what a search or sweep has found; see `LabelStore`.
        progress: Told how many sessions are done.
        stop: Asked now and then whether to stop.

    Raises:
        ArchiveError: It is damaged after all.
        StoppedError: `stop` said so.
        StoreError: The database could not take it. After each of these nothing of the archive is here.
    """
    run = _Run(LabelStore(store, rederive), existing)
    try:
        run.begin()
        run.import_shared(archive)
        for batch in _batches(archive.groups(), most=AT_ONCE):
            _stop_if(stop)
            run.bring(batch)
            progress(run.done.new + run.done.skipped + run.done.replaced)
        run.labelled.follow(run.end)
    except BaseException:
        run.undo()
        raise
    run.labelled.catch_up()
    return run.done


@dataclass(slots=True)
class _Run:
    """One import while it goes on."""

    labelled: LabelStore
    existing: Existing
    id: str = field(default_factory=lambda: f"import-{secrets.token_hex(8)}")
    done: Imported = Imported()
    shared: dict[str, dict[Any, Any]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.labelled.store

    def begin(self) -> None:
        now = queries.now()
        values = {"id": self.id, "owner": current_owner(), "started_at": now, "heartbeat_at": now}
        with self.store.writing() as connection:
            connection.execute(insert(imports).values(**values))

    def import_shared(self, archive: Archive) -> None:
        for one, rows in archive.shared():
            with self.store.writing() as connection:
                self._alive(connection)
                self._note(connection, one, _import_shared(connection, one, rows, self.shared))

    def bring(self, batch: list[Group]) -> None:
        began = time.monotonic()
        with self.store.writing() as connection:
            self._alive(connection)
            coming, done = self._make_room(connection, batch)
            for group in coming:
                if group.session["status"] == "running":
                    _interrupt(group)
            write_groups(connection, coming, self.shared)
            keys = [{"import_id": self.id, "name": sessions.name, "key": [group.id]} for group in coming]
            if keys:
                connection.execute(insert(imported_rows), keys)
        self.done = done
        time.sleep(REST * (time.monotonic() - began))

    def _make_room(self, connection: Connection, batch: list[Group]) -> tuple[list[Group], Imported]:
        ids = [group.id for group in batch]
        known, others = _known(connection, ids), others_deleted(connection, ids)
        coming, done = [], self.done
        for group in batch:
            here = known.get(group.id)
            # What is new belongs to whoever brings it; what is replaced stays whose it is, and shared as it was.
            whose = {"account": asking().account, "shared": False, "shared_with": ""}
            group.session.update(whose if here is None else {name: getattr(here, name) for name in whose})
            if here is None and group.id not in others:
                coming.append(group)
                done = replace(done, new=done.new + 1)
            elif (
                here is None
                or self.existing == "skip"
                or isinstance(put_away(connection, group.id, import_id=self.id), Refused)
            ):
                done = replace(done, skipped=done.skipped + 1)
            else:
                coming.append(group)
                done = replace(done, replaced=done.replaced + 1)
        return coming, done

    def _note(self, connection: Connection, one: Kin, rows: list[Row]) -> None:
        keys = [{"import_id": self.id, "name": one.name, "key": [row[name] for name in one.key]} for row in rows]
        if keys:
            connection.execute(insert(imported_rows), keys)

    def _alive(self, connection: Connection) -> None:
        mine = update(imports).where(imports.c.id == self.id).values(heartbeat_at=queries.now())
        if not connection.execute(mine).rowcount:
            raise StoreError(t("This import was taken for dead and undone by another program."), t("Start it again."))

    def end(self, connection: Connection) -> Came:
        self._alive(connection)
        mine = select(imported_rows.c.name, imported_rows.c.key).where(imported_rows.c.import_id == self.id)
        came = _came(connection, connection.execute(mine).all())
        connection.execute(delete(trash).where(trash.c.import_id == self.id))
        connection.execute(delete(imports).where(imports.c.id == self.id))
        queries.note(connection, "imported", f"{self.done.new + self.done.replaced} sessions")
        return came

    def undo(self) -> None:
        try:
            undo(self.labelled, self.id)
        except StoreError:
            _stuck.add(self.id)  # The next look takes out what is left: the notes are still there.


def undo_dead_imports(store: Store) -> int:
    """Take out what imports have brought whose process is gone; how many imports there were."""
    now = queries.now()
    with store.reading() as connection:
        rows = connection.execute(select(imports.c.id, imports.c.owner, imports.c.heartbeat_at)).all()
    gone = [
        row.id for row in rows if row.id in _stuck or owner_is_gone(row.owner, heartbeat_at=row.heartbeat_at, now=now)
    ]
    for import_id in gone:
        undo(LabelStore(store), import_id)
        _stuck.discard(import_id)
    return len(gone)


def undo(labelled: LabelStore, import_id: str) -> None:
    """Take out what an import has brought, newest first, bring back what it replaced, and forget it."""
    tables = {one.name: one for one in shared_tables()}
    newest = (
        select(imported_rows.c.id, imported_rows.c.name, imported_rows.c.key)
        .where(imported_rows.c.import_id == import_id)
        .order_by(imported_rows.c.id.desc())
        .limit(AT_ONCE)
    )

    def take_out(connection: Connection) -> Came:
        rows = connection.execute(newest).all()
        went = _came(connection, rows)
        delete_sessions(connection, list(went.sessions))
        for row in rows:
            if (one := tables.get(row.name)) is not None:
                same = (one.table.c[name] == value for name, value in zip(one.key, row.key, strict=True))
                connection.execute(delete(one.table).where(*same))
        connection.execute(delete(imported_rows).where(imported_rows.c.id.in_([row.id for row in rows])))
        if len(rows) == AT_ONCE:
            return went._replace(sessions=[])
        mine = select(trash.c.session_id).where(trash.c.import_id == import_id)
        replaced = list(connection.execute(mine).scalars())
        for session_id in replaced:
            bring_back(connection, session_id)
        connection.execute(delete(imports).where(imports.c.id == import_id))
        return went._replace(sessions=replaced)

    while True:
        with labelled.store.reading() as connection:
            if not queries.exists(connection, imports, import_id):
                return
        labelled.follow(take_out)


def _came(connection: Connection, rows: Sequence[Any]) -> Came:
    """The sessions among these rows, and what the labels, events and known answers among them are about."""
    about = [row.key[0] for row in rows if row.name in (labels.name, label_questions.name)]
    events = [row.key[0] for row in rows if row.name == label_events.name]
    for start in range(0, len(events), _ASKED_AT_ONCE):
        part = label_events.c.id.in_(events[start : start + _ASKED_AT_ONCE])
        about += connection.execute(select(label_events.c.target).where(part)).scalars()
    return Came([row.key[0] for row in rows if row.name == sessions.name], sorted(set(about)))


def _import_shared(connection: Connection, one: Kin, rows: list[Row], numbers: Numbers) -> list[Row]:
    """Insert the rows that are not here; `numbers` learns every key. The rows that were inserted."""
    known = numbers.setdefault(one.name, {})
    links = {reference.column for reference in one.references}
    plain = [c.name for c in one.table.columns if c.name not in {*links, one.number}]
    unique = {c.name for rule in one.table.constraints if isinstance(rule, UniqueConstraint) for c in rule.columns}
    once = [r.column for r in one.references if r.to == one.name and r.column in unique]
    fresh = []
    for row in rows:
        names = plain if one.number else one.key
        same = (one.table.c[name].is_(None) if row[name] is None else one.table.c[name] == row[name] for name in names)
        key = select(*(one.table.c[name] for name in one.key))
        here = connection.execute(key.where(*same).limit(1)).first()
        for name in once if here is None else ():
            if row[name] in known:  # Two machines may each have a row of what there is one of.
                here = connection.execute(key.where(one.table.c[name] == known[row[name]])).first()
        if here is None:
            fresh.append(row)
        elif len(one.key) == 1:
            known[row[one.key[0]]] = here[0]
    return write_rows(connection, one, fresh, numbers) if fresh else []


def _batches(groups: Iterator[Group], *, most: int) -> Iterator[list[Group]]:
    """Sessions in portions of about so many rows."""
    batch: list[Group] = []
    size = 0
    for group in groups:
        if batch and size + group.size > most:
            yield batch
            batch, size = [], 0
        batch.append(group)
        size += group.size
    if batch:
        yield batch


def _known(connection: Connection, ids: list[str]) -> dict[str, Any]:
    columns = (sessions.c[name] for name in ("id", "updated_at", "status", "account", "shared", "shared_with"))
    rows = connection.execute(select(*columns).where(sessions.c.id.in_(ids)))
    return {row.id: row for row in rows}


def _interrupt(group: Group) -> None:
    group.session["status"] = "interrupted"
    for call in group.rows.get("call", ()):
        if call["status"] == "running":
            call["status"] = "interrupted"


def _stop_if(stop: Callable[[], bool]) -> None:
    if stop():
        raise StoppedError(t("It was stopped; nothing was imported."))
