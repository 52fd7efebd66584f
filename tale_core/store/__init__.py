"""The store: Ask sessions and their calls in a database. The only package that imports sqlmodel and SQLAlchemy.

Records go in and come out as the frozen dataclasses of `tale_core.types`; rows, engines and database errors stay
inside. It knows no client, no estimator and no page. SQLite is the default; `TALE_DATABASE_URL` may name a PostgreSQL
database.
"""

from tale_core.store.experiments import ExperimentStore, Found, SpentSums, UnitFigures, UnitRecord, UnitStatus
from tale_core.store.opening import open_store
from tale_core.store.owner import current_owner
from tale_core.store.records import CallFields, SessionFields, SessionSummary, new_session_id, safe_text
from tale_core.store.repository import Store

__all__ = [
    "CallFields",
    "ExperimentStore",
    "Found",
    "SessionFields",
    "SessionSummary",
    "SpentSums",
    "Store",
    "UnitFigures",
    "UnitRecord",
    "UnitStatus",
    "current_owner",
    "new_session_id",
    "open_store",
    "safe_text",
]
