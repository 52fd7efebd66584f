"""History: lists that stay fast, full-text search on SQLite, deletions that can be undone, imports that can be undone.

The search index is SQLite's FTS5 with the trigram tokenizer, which finds parts of words and Chinese. It holds no text
of its own (its content is read through two views) and is kept right by triggers, whoever writes: a question when it is
stored, an answer when its call has ended. Two blanks end each text, so that its last characters begin a trigram too.
"""

import sqlalchemy as sa
from alembic import op

revision = "tale_0005"
down_revision = "tale_0004"

_FILTERS = ("kind", "model", "status", "source")
_QUESTION = "coalesce({r}.question_text, '') || char(10) || coalesce({r}.model, '') || '  '"
_IN_EXPERIMENT = "coalesce(json_extract({r}.question, '$.text'), '') || '  '"
_ANSWER = "{r}.text || char(10) || {r}.reasoning_text || '  '"


def upgrade() -> None:
    op.drop_index(op.f("ix_session_status"), table_name="session")
    for name in _FILTERS:
        op.create_index(op.f(f"ix_session_{name}_created_at_id"), "session", [name, "created_at", "id"], unique=False)
    op.create_index(op.f("ix_call_outcome_role_session_id"), "call", ["outcome", "role", "session_id"], unique=False)
    _create_trash()
    _create_imports()
    if op.get_bind().dialect.name == "sqlite":
        for statement in _search():
            op.execute(statement)


def _create_trash() -> None:
    op.create_table(
        "trash",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("final_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_trash")),
    )
    op.create_index(op.f("ix_trash_final_at"), "trash", ["final_at"], unique=False)


def _create_imports() -> None:
    op.create_table(
        "import_run",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
    )
    op.create_table(
        "import_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["import_run.id"], name=op.f("fk_import_row_import_id_import_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_row")),
    )
    op.create_index(op.f("ix_import_row_import_id"), "import_row", ["import_id"], unique=False)


def _search() -> list[str]:
    fts = "USING fts5(body, content='{}', content_rowid='id', tokenize='trigram', detail='none')"
    return [
        # A session's key has no position, a question of an experiment has its own. SQLite's own row numbers would do,
        # but VACUUM may change them.
        "CREATE TABLE fts_key (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, position INTEGER)",
        "CREATE INDEX fts_key_of ON fts_key (session_id, position)",
        "CREATE VIEW fts_question_text AS SELECT k.id AS id, CASE WHEN k.position IS NULL "
        f"THEN {_QUESTION.format(r='s')} ELSE {_IN_EXPERIMENT.format(r='e')} END AS body "
        "FROM fts_key k JOIN session s ON s.id = k.session_id "
        "LEFT JOIN experiment_question e ON e.session_id = k.session_id AND e.position = k.position",
        f"CREATE VIEW fts_answer_text AS SELECT c.id AS id, {_ANSWER.format(r='c')} AS body "
        "FROM call c WHERE c.status <> 'running'",
        f"CREATE VIRTUAL TABLE fts_question {fts.format('fts_question_text')}",
        f"CREATE VIRTUAL TABLE fts_answer {fts.format('fts_answer_text')}",
        "CREATE VIRTUAL TABLE fts_question_terms USING fts5vocab(fts_question, 'instance')",
        "CREATE VIRTUAL TABLE fts_answer_terms USING fts5vocab(fts_answer, 'instance')",
        "INSERT INTO fts_key (session_id) SELECT id FROM session ORDER BY created_at",
        "INSERT INTO fts_key (session_id, position) SELECT session_id, position FROM experiment_question",
        "INSERT INTO fts_question (fts_question) VALUES ('rebuild')",
        "INSERT INTO fts_answer (fts_answer) VALUES ('rebuild')",
        *_question_triggers("session", "id", "NULL", _QUESTION, "question_text, model"),
        *_question_triggers("experiment_question", "session_id", "{r}.position", _IN_EXPERIMENT, "question"),
        *_answer_triggers(),
    ]


def _question_triggers(table: str, session_id: str, position: str, body: str, columns: str) -> list[str]:
    def key(row: str) -> str:
        mine = f"session_id = {row}.{session_id} AND position IS {position.format(r=row)}"
        return f"(SELECT id FROM fts_key WHERE {mine})"

    def gone(row: str) -> str:
        values = f"'delete', {key(row)}, {body.format(r=row)}"
        return f"INSERT INTO fts_question (fts_question, rowid, body) VALUES ({values});"

    def come(row: str) -> str:
        return f"INSERT INTO fts_question (rowid, body) VALUES ({key(row)}, {body.format(r=row)});"

    new_key = f"INSERT INTO fts_key (session_id, position) VALUES (new.{session_id}, {position.format(r='new')});"
    return [
        f"CREATE TRIGGER fts_{table}_come AFTER INSERT ON {table} BEGIN {new_key} {come('new')} END",
        f"CREATE TRIGGER fts_{table}_change AFTER UPDATE OF {columns} ON {table} BEGIN {gone('old')} {come('new')} END",
        # Before, for the text: whoever deletes a session deletes its questions by cascade afterwards.
        f"CREATE TRIGGER fts_{table}_go BEFORE DELETE ON {table} BEGIN {gone('old')} "
        f"DELETE FROM fts_key WHERE id = {key('old')}; END",
    ]


def _answer_triggers() -> list[str]:
    come = f"INSERT INTO fts_answer (rowid, body) VALUES (new.id, {_ANSWER.format(r='new')});"
    gone = f"INSERT INTO fts_answer (fts_answer, rowid, body) VALUES ('delete', old.id, {_ANSWER.format(r='old')});"
    before, after = "old.status <> 'running'", "new.status <> 'running'"
    other = "(old.text <> new.text OR old.reasoning_text <> new.reasoning_text)"
    of = "AFTER UPDATE OF status, text, reasoning_text ON call"
    # Of the three for an update never two fire at once: SQLite does not say in which order they would.
    return [
        f"CREATE TRIGGER fts_call_come AFTER INSERT ON call WHEN {after} BEGIN {come} END",
        # A growing answer is running before and after: twice a second nothing happens here.
        f"CREATE TRIGGER fts_call_end {of} WHEN NOT ({before}) AND {after} BEGIN {come} END",
        f"CREATE TRIGGER fts_call_change {of} WHEN {before} AND {after} AND {other} BEGIN {gone} {come} END",
        f"CREATE TRIGGER fts_call_leave {of} WHEN {before} AND NOT ({after}) BEGIN {gone} END",
        f"CREATE TRIGGER fts_call_go AFTER DELETE ON call WHEN {before} BEGIN {gone} END",
    ]
