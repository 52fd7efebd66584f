"""`KeptKeys`: endpoints with their keys that people keep beyond a browser session, each sealed before it comes here.

The store cannot open them: what can lies outside of the database (`tale_core.access.keys`).
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, insert, select

from tale_core.access.who import asking
from tale_core.store import queries
from tale_core.store.repository import Store
from tale_core.store.tables import kept_keys


class KeptKeys:
    """Those of whoever asks, and nobody else's, an owner's neither; the same errors as `Store`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def keep(self, name: str, sealed: str) -> None:
        """Keep one, in the place of an older one of this name."""
        row = {"account": asking().account, "name": name, "kept_at": queries.now(), "sealed": sealed}
        with self.store.writing() as connection:
            connection.execute(delete(kept_keys).where(*self._mine(name)))
            connection.execute(insert(kept_keys).values(**row))

    def all(self) -> dict[str, str]:
        """Each by its name, sealed; oldest first."""
        mine = select(kept_keys.c.name, kept_keys.c.sealed).where(kept_keys.c.account == asking().account)
        with self.store.reading() as connection:
            found = connection.execute(mine.order_by(kept_keys.c.kept_at, kept_keys.c.name))
            return {row.name: row.sealed for row in found}

    def forget(self, name: str) -> None:
        """Keep this one no longer."""
        with self.store.writing() as connection:
            connection.execute(delete(kept_keys).where(*self._mine(name)))

    def _mine(self, name: str) -> tuple[ColumnElement[bool], ...]:
        return (kept_keys.c.account == asking().account, kept_keys.c.name == name)
