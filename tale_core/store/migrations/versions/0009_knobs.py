"""Calls say which budget was set beside the prompt."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0009"
down_revision = "tale_0008"


def upgrade() -> None:
    # Plain ALTER TABLE: SQLite's batch mode would make the table anew and lose the triggers of the search.
    op.add_column("call", sa.Column("knob", sa.Text(), nullable=True))
