"""Searches and sweeps: a session's kind, plan and result; a call's phase, cut and cache key."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0002"
down_revision = "tale_0001"


# Plain ALTER TABLE, no batch: recreating the table would lose SQLite's AUTOINCREMENT.
def upgrade() -> None:
    op.add_column("session", sa.Column("kind", sa.Text(), nullable=False, server_default="ask"))
    op.add_column("session", sa.Column("plan", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("session", sa.Column("result", sa.JSON(), nullable=True))
    op.add_column("call", sa.Column("phase", sa.Text(), nullable=True))
    op.add_column("call", sa.Column("cut", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("call", sa.Column("cache_key", sa.Text(), nullable=True))
    op.create_index(op.f("ix_call_cache_key"), "call", ["cache_key"], unique=False)
