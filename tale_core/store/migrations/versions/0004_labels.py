"""Labels: annotators, questions and answers to label, events, labels and claims; who judged a call."""

import sqlalchemy as sa
from alembic import op

revision = "tale_0004"
down_revision = "tale_0003"


def upgrade() -> None:
    op.add_column("call", sa.Column("labelled", sa.Text(), nullable=True))
    op.create_table(
        "annotator",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotator")),
    )
    op.create_table(
        "label_question",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("text_key", sa.Text(), nullable=False),
        sa.Column("spot", sa.BigInteger(), nullable=False),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("known", sa.Text(), nullable=True),
        sa.Column("gold", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_label_question")),
    )
    op.create_index(op.f("ix_label_question_text_key"), "label_question", ["text_key"], unique=False)
    op.create_table(
        "label_item",
        sa.Column("call_id", sa.Integer(), nullable=False),
        sa.Column("question_key", sa.Text(), nullable=False),
        sa.Column("answer_key", sa.Text(), nullable=False),
        sa.Column("spot", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("base_outcome", sa.Text(), nullable=False),
        sa.Column("base_extracted", sa.Text(), nullable=True),
        sa.Column("base_extracted_by", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("extracted", sa.Text(), nullable=True),
        sa.Column("extracted_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_id"], ["call.id"], name=op.f("fk_label_item_call_id_call"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["question_key"], ["label_question.key"], name=op.f("fk_label_item_question_key_label_question")
        ),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_label_item")),
    )
    op.create_index(op.f("ix_label_item_answer_key"), "label_item", ["answer_key"], unique=False)
    op.create_index(op.f("ix_label_item_question_key_outcome"), "label_item", ["question_key", "outcome"], unique=False)
    op.create_table(
        "label_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("question_key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("batch", sa.Text(), nullable=True),
        sa.Column("undoes", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_event")),
        sa.UniqueConstraint("undoes", name=op.f("uq_label_event_undoes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_label_event_annotator_id"), "label_event", ["annotator", "id"], unique=False)
    op.create_index(
        op.f("ix_label_event_target_holder_id"), "label_event", ["target", "holder", "id"], unique=False
    )
    op.create_table(
        "label",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("question_key", sa.Text(), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("target", "holder", name=op.f("pk_label")),
    )
    op.create_index(op.f("ix_label_holder_kind"), "label", ["holder", "kind"], unique=False)
    op.create_index(op.f("ix_label_question_key"), "label", ["question_key"], unique=False)
    op.create_table(
        "label_claim",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("annotator", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("target", "annotator", name=op.f("pk_label_claim")),
    )
