"""`copy_database`: everything of one database into another, SQLite or PostgreSQL, in either direction.

Row by row, in one transaction: all of it or nothing. While rows are read their checksum is made; before the target
keeps them it reads them back and must come to the same counts and checksums. A checksum does not depend on the order of
the rows (databases sort text differently): it is the sum of the SHA-256 of each row. Numbers that a database counts go
on where they were, so that the number of a deleted row is never given again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text

from tale_core.errors import InputError, StoreError
from tale_core.i18n import t, tn
from tale_core.store.repository import Store
from tale_core.store.tables import Base, sessions

AT_ONCE = 1000
"""Rows in memory."""
_MODULUS = 2**256


@dataclass(frozen=True, slots=True)
class TableSum:
    """What a table holds.

    Attributes:
        checksum: 64 hexadecimal digits; equal for the same rows in any order and any kind of database.
    """

    rows: int
    checksum: str


@dataclass(slots=True)
class _Sum:
    rows: int = 0
    total: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        self.rows += 1
        self.total = (self.total + int.from_bytes(hashlib.sha256(_line(row)).digest(), "big")) % _MODULUS

    def done(self) -> TableSum:
        return TableSum(self.rows, f"{self.total:064x}")


def _line(row: Mapping[str, Any]) -> bytes:
    """A row as bytes that do not depend on the database."""
    return _ENCODER.encode(dict(row)).encode("ascii")


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


_ENCODER = json.JSONEncoder(default=_plain, sort_keys=True, ensure_ascii=True)


def table_sums(store: Store) -> dict[str, TableSum]:
    """Rows and checksum of every table, in one state of the database."""
    with store.reading() as connection:
        return {table.name: _sum_of(connection, table) for table in _tables()}


def copy_database(
    source: Store, target: Store, *, progress: Callable[[str, int, int], None] = lambda table, done, total: None
) -> dict[str, TableSum]:
    """Copy every row of every table.

    Args:
        source: Where from; it is only read, in one state, and may be written to meanwhile (what comes later stays
            there).
        target: Where to; an empty database.
        progress: Told the table, how many of its rows are there, and how many there will be.

    Returns:
        What each table holds, here and there.

    Raises:
        InputError: The target is the source or is not empty, or something is running in the source.
        StoreError: A database failed, or what arrived is not what was sent. The target is as empty as before.
    """
    if source is target or source.where == target.where:
        raise InputError(t("Source and target are the same database."), t("Name another target."))
    with source.reading() as old, target.writing() as new:
        _check(old, new, target.where)
        sent = {table.name: copy_table(old, new, table, progress) for table in _tables()}
        for table in _tables():
            _go_on_counting(old, new, table)
        for table in _tables():
            if (arrived := _sum_of(new, table)) != sent[table.name]:
                raise _different(table.name, sent[table.name], arrived)
        return sent


def _tables() -> list[Table]:
    """Parents before children."""
    return list(Base.metadata.sorted_tables)


def _check(old: Connection, new: Connection, where: str) -> None:
    taken = [table.name for table in _tables() if new.execute(select(table).limit(1)).first() is not None]
    if taken:
        raise InputError(
            t("The target {where} is not empty: {tables} hold rows.", where=where, tables=", ".join(taken)),
            t("Give a new database; nothing was changed."),
        )
    running = old.execute(select(func.count()).where(sessions.c.status == "running")).scalar_one()
    if running:
        raise InputError(
            tn(
                "{n} session is running in the source: how it ends would not be copied.",
                "{n} sessions are running in the source: how they end would not be copied.",
                running,
            ),
            t("Stop them or wait for their end."),
        )


def copy_table(old: Connection, new: Connection, table: Table, progress: Callable[[str, int, int], None]) -> TableSum:
    """Copy the rows of one table, in portions."""
    total = old.execute(select(func.count()).select_from(table)).scalar_one()
    found, statement = _Sum(), insert(table)
    for rows in _portions(old, table):
        for row in rows:
            found.add(row)
        new.execute(statement, rows)
        progress(table.name, found.rows, total)
    return found.done()


def _sum_of(connection: Connection, table: Table) -> TableSum:
    found = _Sum()
    for rows in _portions(connection, table):
        for row in rows:
            found.add(row)
    return found.done()


def _portions(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    with connection.execute(select(table), execution_options={"yield_per": AT_ONCE}) as streamed:
        for rows in streamed.mappings().partitions():
            yield [dict(row) for row in rows]


def _go_on_counting(old: Connection, new: Connection, table: Table) -> None:
    """The next number that the new database gives is one that neither has given."""
    column = table.autoincrement_column
    if column is None or len(table.primary_key.columns) != 1 or column.foreign_keys:
        return
    last = max(_last_given(old, table, column.name), new.execute(select(func.max(column))).scalar() or 0)
    if not last:
        return
    if new.dialect.name == "postgresql":
        new.execute(
            text("SELECT setval(:sequence, :last)"), {"sequence": _sequence(new, table, column.name), "last": last}
        )
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "last": last}
        if not new.execute(text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name"), values).rowcount:
            new.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)


def _last_given(connection: Connection, table: Table, column: str) -> int:
    if connection.dialect.name == "postgresql":
        sequence = _sequence(connection, table, column)
        # The name comes from the database itself, quoted.
        given = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
        return int(given.last_value) if given.is_called else 0
    if not table.dialect_options["sqlite"]["autoincrement"]:
        return 0
    found = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
    return int(found.scalar() or 0)


def _sequence(connection: Connection, table: Table, column: str) -> str:
    named = {"table": f'"{table.name}"', "column": column}
    return str(connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), named).scalar_one())


def _different(table: str, sent: TableSum, arrived: TableSum) -> StoreError:
    return StoreError(
        t(
            "What arrived in the table {table} is not what was sent: {arrived} rows of {sent}, their checksums differ.",
            table=table,
            arrived=arrived.rows,
            sent=sent.rows,
        ),
        t("Nothing was kept. Check the disk of the target and try again."),
    )
