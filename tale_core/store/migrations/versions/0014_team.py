"""Sessions are shared with single people, keys are kept sealed, and a deleted room can be brought back."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0014"
down_revision = "tale_0013"


def upgrade() -> None:
    # Plain ALTER TABLE: SQLite's batch mode would make the table anew and lose the triggers of the search.
    op.add_column("session", sa.Column("shared_with", sa.Text(), nullable=False, server_default=""))
    op.add_column("room", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "kept_key",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "name", name=op.f("pk_kept_key")),
    )
