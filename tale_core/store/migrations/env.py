"""Alembic's entry point. The caller hands over an open connection (see `tale_core.store.database.migrate`)."""

from __future__ import annotations

from alembic import context

from tale_core.store.database.migrate import is_ours
from tale_core.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
    include_name=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
