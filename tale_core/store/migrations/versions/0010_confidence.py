"""Calls say how sure the model was of its answer, where that was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0010"
down_revision = "tale_0009"


def upgrade() -> None:
    # Plain ALTER TABLE: SQLite's batch mode would make the table anew and lose the triggers of the search.
    op.add_column("call", sa.Column("confidence", sa.Float(), nullable=True))
