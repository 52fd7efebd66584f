"""Sessions belong to somebody, an audit list says who did what, and seats are held by browsers.

What was stored before belongs to the owner, whose account has no name.
"""

import sqlalchemy as sa
from alembic import op

revision = "tale_0011"
down_revision = "tale_0010"

_YES_OR_NO = {"nullable": False, "server_default": sa.false()}
_ADDED = (
    ("session", "account", sa.Text(), {"nullable": False, "server_default": ""}),
    ("session", "shared", sa.Boolean(), _YES_OR_NO),
    ("trash", "account", sa.Text(), {"nullable": False, "server_default": ""}),
    ("room", "locked", sa.Boolean(), _YES_OR_NO),
    ("room", "seats_per_address", sa.BigInteger(), {"nullable": True}),
    ("room_seat", "browser_hash", sa.Text(), {"nullable": True}),
    ("room_seat", "address_hash", sa.Text(), {"nullable": True}),
    ("room_seat", "removed", sa.Boolean(), _YES_OR_NO),
)


def upgrade() -> None:
    # Plain ALTER TABLE: SQLite's batch mode would make the table anew and lose the triggers of the search.
    for table, name, kind, options in _ADDED:
        op.add_column(table, sa.Column(name, kind, **options))
    op.create_index(op.f("ix_session_account_created_at_id"), "session", ["account", "created_at", "id"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_id"), "audit", ["at", "id"])
