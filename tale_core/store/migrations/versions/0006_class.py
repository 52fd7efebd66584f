"""Rooms: a class that asks together, its seats and guesses, and what each call of it may cost or has cost."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0006"
down_revision = "tale_0005"


def upgrade() -> None:
    op.create_table(
        "room",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("teacher_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("student_calls", sa.BigInteger(), nullable=True),
        sa.Column("student_tokens", sa.BigInteger(), nullable=True),
        sa.Column("room_calls", sa.BigInteger(), nullable=True),
        sa.Column("room_tokens", sa.BigInteger(), nullable=True),
        sa.Column("recording", sa.Text(), nullable=True),
        sa.Column("revealed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room")),
        sa.UniqueConstraint("code", name=op.f("uq_room_code")),
    )
    op.create_table(
        "room_seat",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("nickname", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["room_id"], ["room.id"], name=op.f("fk_room_seat_room_id_room"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room_seat")),
    )
    op.create_index(op.f("ix_room_seat_room_id"), "room_seat", ["room_id"], unique=False)
    op.create_table(
        "room_guess",
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("recording", sa.Text(), nullable=False),
        sa.Column("seat_id", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["room.id"], name=op.f("fk_room_guess_room_id_room"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["seat_id"], ["room_seat.id"], name=op.f("fk_room_guess_seat_id_room_seat"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("room_id", "recording", "seat_id", name=op.f("pk_room_guess")),
    )
    op.create_table(
        "room_call",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("seat_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["room.id"], name=op.f("fk_room_call_room_id_room"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room_call")),
    )
    op.create_index(op.f("ix_room_call_room_id"), "room_call", ["room_id"], unique=False)
