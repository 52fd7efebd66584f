"""Which rows belong to a session, read from the tables' own foreign keys.

A table that refers to `session`, or to a table that does, belongs to sessions: its rows are deleted, restored, exported
and imported with them. A table that refers to none (names that labels share, say) is shared by them: an export takes
those of its rows that are referred to or are about rows of its sessions, or all of them with the whole database. So a
new table joins by itself; `info` in `tale_core.store.tables` says what the keys cannot: the table whose number a column
holds (`refers_to`) or whose key it holds without needing the row (`names`), and the columns that its value is one of
(`about`). It opens no transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, delete, or_, select

from tale_core.store.tables import Base, sessions


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that holds another table's key.

    Attributes:
        to: The other table's name.
        required: The column may not be empty.
    """

    column: str
    to: str
    required: bool


@dataclass(frozen=True, slots=True)
class Kin:
    """A table and how it hangs together with others.

    Attributes:
        path: The columns that lead from it to `session`, one step each; empty for `session` itself. None when it stands
            beside sessions.
        number: Its key when the database counts it (an integer that means nothing elsewhere), else None.
        references: Every column that holds another table's key.
    """

    table: Table
    path: tuple[str, ...] | None
    number: str | None
    references: tuple[Reference, ...]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        return tuple(column.name for column in self.table.primary_key.columns)

    @property
    def owner(self) -> Reference | None:
        """The first step of its path."""
        if not self.path:
            return None
        return next(r for r in self.references if r.column == self.path[0])


@cache
def kin() -> tuple[Kin, ...]:
    """Every table that is archived, parents before children, `session` first of those that belong to sessions."""
    tables = [table for table in Base.metadata.sorted_tables if table.info.get("archive", True)]
    paths = _paths(tables)
    return tuple(
        Kin(table, paths.get(table.name), _number(table), tuple(_references(table)))
        for table in sorted(tables, key=lambda table: (table.name in paths, table is not sessions))
    )


def of_sessions() -> tuple[Kin, ...]:
    """The tables that belong to sessions, `session` first, parents before children."""
    return tuple(one for one in kin() if one.path is not None)


def shared_tables() -> tuple[Kin, ...]:
    """The tables that sessions share, parents before children."""
    return tuple(one for one in kin() if one.path is None)


def _paths(tables: list[Table]) -> dict[str, tuple[str, ...]]:
    """The shortest way from each table to `session`."""
    found: dict[str, tuple[str, ...]] = {sessions.name: ()}
    for _ in tables:
        for table in tables:
            ways = [
                (column.name, *found[key.column.table.name])
                for column in table.columns
                for key in column.foreign_keys
                if key.column.table.name in found and table is not sessions
            ]
            if ways:
                found[table.name] = min([*ways, *([found[table.name]] if table.name in found else [])], key=len)
    return found


def _number(table: Table) -> str | None:
    keys = list(table.primary_key.columns)
    counted = len(keys) == 1 and keys[0].type.python_type is int and not keys[0].foreign_keys
    return keys[0].name if counted else None


def _references(table: Table) -> Iterator[Reference]:
    for column in table.columns:
        named = column.info.get("refers_to")
        target = next((key.column.table.name for key in column.foreign_keys), named)
        if target is not None:
            yield Reference(column.name, target, not column.nullable)


def rows(one: Kin, which: ColumnElement[bool] | None) -> Select[Any]:
    """The rows of a table whose sessions fulfil a condition, in the order of their sessions, then of their keys.

    Args:
        one: The table.
        which: A condition on `session`; None for all.
    """
    statement = select(one.table).select_from(_joined(one))
    if which is not None:
        statement = statement.where(which)
    return statement.order_by(sessions.c.created_at, sessions.c.id, *(one.table.c[name] for name in one.key))


def _joined(one: Kin) -> Any:
    whole: Any = one.table
    here = one
    for column in one.path or ():
        there = _named(next(r.to for r in here.references if r.column == column))
        whole = whole.join(there.table, here.table.c[column] == _key_column(there))
        here = there
    return whole


def _named(name: str) -> Kin:
    return next(one for one in kin() if one.name == name)


def _key_column(one: Kin) -> Column[Any]:
    return one.table.c[one.key[0]]


def shared_rows(one: Kin, which: ColumnElement[bool] | None) -> Select[Any]:
    """The rows of a shared table: all, or those that the sessions of a condition lead to."""
    order = [one.table.c[name] for name in one.key]
    if which is None:
        return select(one.table).order_by(*order)
    return select(one.table).where(_referred_to(one, which)).order_by(*order)


def _referred_to(one: Kin, which: ColumnElement[bool]) -> ColumnElement[bool]:
    ways = []
    for other in kin():
        for column in other.table.columns:
            to = {column.info.get("names"), *(r.to for r in other.references if r.column == column.name)}
            if one.name not in to or other.name == one.name:
                continue
            if other.path is None:
                ways.append(_key_column(one).in_(select(column).where(_referred_to(other, which))))
            else:
                ways.append(_key_column(one).in_(_chosen(column, which)))
    for mine in one.table.columns:
        for value, column in mine.info["about"](mine) if "about" in mine.info else ():
            ways.append(value.in_(_chosen(column, which)))
    return or_(False, *ways)


def _chosen(column: Column[Any], which: ColumnElement[bool]) -> Select[Any]:
    """What a column of a table that belongs to sessions holds in the rows of those that fulfil a condition."""
    return select(column).select_from(_joined(_named(column.table.name))).where(which)


def delete_sessions(connection: Connection, ids: list[str]) -> int:
    """Delete sessions with everything that belongs to them, children first; how many sessions there were."""
    for one in reversed(of_sessions()[1:]):
        mine = select(_key_column(one)).select_from(_joined(one)).where(sessions.c.id.in_(ids))
        if one.path is not None and len(one.path) == 1:
            connection.execute(delete(one.table).where(one.table.c[one.path[0]].in_(ids)))
        elif len(one.key) == 1:
            connection.execute(delete(one.table).where(_key_column(one).in_(mine)))
    return connection.execute(delete(sessions).where(sessions.c.id.in_(ids))).rowcount
