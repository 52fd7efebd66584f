"""Rows from elsewhere put into the tables: numbers that the database counts are given anew, references follow them.

Used by undo (rows of the trash) and by imports. It opens no transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.store.archive.belonging import Kin, of_sessions
from tale_core.store.archive.rows_json import Row

Numbers = dict[str, dict[Any, Any]]
"""By table, the key that a row had before -> the one that it has here."""


@dataclass(slots=True)
class Group:
    """One session with everything that belongs to it.

    Attributes:
        rows: By table, parents before children; `session` has exactly one.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def session(self) -> Row:
        """The session's row."""
        return self.rows["session"][0]

    @property
    def id(self) -> str:
        """The session's id."""
        return str(self.session["id"])

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))


def write_groups(connection: Connection, groups: Sequence[Group], shared: Mapping[str, dict[Any, Any]]) -> None:
    """Insert sessions that do not exist here with everything that belongs to them.

    Args:
        connection: In a transaction that writes.
        groups: The sessions.
        shared: By table that sessions share, old key -> key here.

    Raises:
        InputError: A row refers to one that is not there.
    """
    # Each session has numbers of its own: two of an archive may use the same one.
    numbers: list[Numbers] = [dict(shared) for _ in groups]
    for one in of_sessions():
        placed = [
            (own, row) for own, group in zip(numbers, groups, strict=True) for row in group.rows.get(one.name, ())
        ]
        if placed:
            _write(connection, one, placed)


def write_rows(connection: Connection, one: Kin, rows: Sequence[Row], numbers: Numbers) -> list[Row]:
    """Insert rows of one table; `numbers` learns their keys. The rows as they are stored."""
    return _write(connection, one, [(numbers, row) for row in rows])


def _write(connection: Connection, one: Kin, placed: Sequence[tuple[Numbers, Row]]) -> list[Row]:
    fresh = iter(_numbers(connection, one.table, one.number, len(placed)) if one.number else ())
    for numbers, row in placed:
        if len(one.key) == 1:
            key = row[one.key[0]]
            numbers.setdefault(one.name, {})[key] = next(fresh) if one.number else key
    moved = [_moved(one, row, numbers) for numbers, row in placed]
    connection.execute(insert(one.table), moved)
    return moved


def _moved(one: Kin, row: Row, numbers: Numbers) -> Row:
    moved = dict(row)
    if one.number:
        moved[one.number] = numbers[one.name][row[one.number]]
    for reference in one.references:
        old = row[reference.column]
        if old is None:
            continue
        try:
            moved[reference.column] = numbers[reference.to][old]
        except (KeyError, TypeError) as e:
            raise InputError(
                t("A row of the table {table} refers to a row of {other} that is not there.", table=one.name,
                  other=reference.to)
            ) from e  # fmt: skip
    return moved


def _numbers(connection: Connection, table: Table, column: str, count: int) -> list[int]:
    """Numbers that no row of the table has or had."""
    if connection.dialect.name == "postgresql":
        drawn = text("SELECT nextval(pg_get_serial_sequence(:table, :column)) FROM generate_series(1, :count)")
        values = {"table": f'"{table.name}"', "column": column, "count": count}
        return list(connection.execute(drawn, values).scalars())
    highest = connection.execute(select(func.max(table.c[column]))).scalar() or 0
    given = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
    if table.dialect_options["sqlite"]["autoincrement"]:
        highest = max(highest, connection.execute(given, {"table": table.name}).scalar() or 0)
    return list(range(highest + 1, highest + 1 + count))
