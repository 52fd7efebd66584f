"""Experiments: their questions and ended units; a call's unit and its step in it."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0003"
down_revision = "tale_0002"


def upgrade() -> None:
    op.add_column("call", sa.Column("unit", sa.Text(), nullable=True))
    op.add_column("call", sa.Column("step", sa.Integer(), nullable=True))
    op.create_table(
        "experiment_question",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.id"],
            name=op.f("fk_experiment_question_session_id_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "position", name=op.f("pk_experiment_question")),
    )
    op.create_table(
        "experiment_unit",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("repeat_index", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("graded", sa.Boolean(), nullable=False),
        sa.Column("answer_call_id", sa.Integer(), nullable=True),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_experiment_unit_session_id_session"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "unit", name=op.f("pk_experiment_unit")),
    )
