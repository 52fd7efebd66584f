"""A room stands at a step of the lesson, and keeps the sentences that its students strike out."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0013"
down_revision = "tale_0012"


def upgrade() -> None:
    op.add_column("room", sa.Column("step", sa.Text(), nullable=True))
    op.create_table(
        "room_strike",
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("recording", sa.Text(), nullable=False),
        sa.Column("seat_id", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["room.id"], name=op.f("fk_room_strike_room_id_room"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["seat_id"], ["room_seat.id"], name=op.f("fk_room_strike_seat_id_room_seat"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("room_id", "recording", "seat_id", "sentence", name=op.f("pk_room_strike")),
    )
