"""Requests that passed say how many of their tokens were thinking."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0015"
down_revision = "tale_0014"


def upgrade() -> None:
    # Plain ALTER TABLE: SQLite's batch mode would make the table anew.
    op.add_column("traffic", sa.Column("thinking_tokens", sa.BigInteger(), nullable=True))
