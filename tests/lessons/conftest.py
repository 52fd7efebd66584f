from tests.support.databases import *  # noqa: F403  (rooms on SQLite and on PostgreSQL)
