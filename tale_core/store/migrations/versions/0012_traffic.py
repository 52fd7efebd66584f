"""What the drop-in endpoint passed on: a row for each request, and one for each that was asked again beside it."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0012"
down_revision = "tale_0011"


def upgrade() -> None:
    op.create_table(
        "traffic",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("left_alone", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("fallback", sa.Text(), nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=True),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("dropped_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("ttft_s", sa.Float(), nullable=True),
        sa.Column("latency_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traffic")),
    )
    op.create_index(op.f("ix_traffic_status"), "traffic", ["status"])
    op.create_index(op.f("ix_traffic_model_at"), "traffic", ["model", "at"])
    op.create_table(
        "traffic_pair",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("plain_tokens", sa.BigInteger(), nullable=True),
        sa.Column("changed_tokens", sa.BigInteger(), nullable=True),
        sa.Column("spent_tokens", sa.BigInteger(), nullable=False),
        sa.Column("spent_usd", sa.Float(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("fallback", sa.Text(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("kept_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traffic_pair")),
    )
    op.create_index(op.f("ix_traffic_pair_upstream_at"), "traffic_pair", ["upstream", "at"])
    op.create_index(op.f("ix_traffic_pair_kept_until"), "traffic_pair", ["kept_until"])
