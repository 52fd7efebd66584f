"""Full-text search on PostgreSQL: trigram indexes, where the server has the extension pg_trgm.

It comes with PostgreSQL and whoever owns a database may add it; where that fails, texts are searched row by row.
Nothing on SQLite, whose index is that of 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "tale_0007"
down_revision = "tale_0006"

_INDEXES = {
    "trgm_session_question": "session USING gin (question_text gin_trgm_ops)",
    "trgm_session_model": "session USING gin (model gin_trgm_ops)",
    "trgm_call_text": "call USING gin (text gin_trgm_ops) WHERE status <> 'running'",
    "trgm_call_reasoning": "call USING gin (reasoning_text gin_trgm_ops) WHERE status <> 'running'",
    "trgm_experiment_question": "experiment_question USING gin ((question ->> 'text') gin_trgm_ops)",
}


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql" or not _has_trigrams(connection):
        return
    for name, on in _INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {on}")


def _has_trigrams(connection) -> bool:
    there = sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
    if connection.execute(there).first() is not None:
        return True
    available = sa.text("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
    if connection.execute(available).first() is None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION pg_trgm"))
    except sa.exc.DBAPIError:  # Not ours to add.
        return False
    return True
