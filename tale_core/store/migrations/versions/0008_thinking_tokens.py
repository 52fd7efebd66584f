"""Calls say whether the split into answer and thinking is an estimate, and what came out of the endpoint's cache."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0008"
down_revision = "tale_0007"

_PRICES = ("price_cached_input_per_mtok", "price_cache_write_per_mtok")


def upgrade() -> None:
    # Plain ALTER TABLE: SQLite's batch mode would make the table anew and lose the triggers of the search.
    op.add_column("call", sa.Column("cached_prompt_tokens", sa.BigInteger(), nullable=True))
    op.add_column("call", sa.Column("reasoning_estimated", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in _PRICES:
        op.add_column("call", sa.Column(name, sa.Float(), nullable=True))
