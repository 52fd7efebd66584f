"""The store: sessions, calls and labels in a database. The only package that imports sqlmodel and SQLAlchemy.

Records go in and come out as the frozen dataclasses of `tale_core.types`; rows, engines and database errors stay
inside. It knows no client, no estimator and no page. SQLite is the default; `TALE_DATABASE_URL` may name a PostgreSQL
database.
"""

from tale_core.store.archive_format import Manifest
from tale_core.store.archive_reading import Archive
from tale_core.store.archive_writing import Exported, export_archive
from tale_core.store.experiments import ExperimentStore, Found, SpentSums, UnitFigures, UnitRecord, UnitStatus
from tale_core.store.label_export import ExportedLabel, RightAnswer, exported_labels, right_answers
from tale_core.store.label_keys import annotator_key, normalised, question_key
from tale_core.store.label_queue import (
    LabelQueue,
    LabelTarget,
    QueueCounts,
    QueueFilter,
    QueueKind,
    ReadAnswer,
    Said,
    Standing,
    Which,
)
from tale_core.store.label_types import (
    MAX_GOLD,
    MAX_NAME,
    SETTLED,
    AccuracyMoved,
    Change,
    Graded,
    Grades,
    GradesNeeded,
    Moved,
    Rederived,
    Share,
    ToGrade,
    Verdict,
)
from tale_core.store.labels import LabelStore
from tale_core.store.opening import open_store
from tale_core.store.history import COUNTED, Entry, History, Listing, Place, Wanted
from tale_core.store.importing import Contents, Existing, Imported, import_archive, look
from tale_core.store.opening import open_store, tidy
from tale_core.store.owner import current_owner
from tale_core.store.records import CallFields, SessionFields, SessionSummary, new_session_id, safe_text
from tale_core.store.repository import Store
from tale_core.store.trash import UNDO_FOR, Deleted, Refused, Trash

__all__ = [
    "MAX_GOLD",
    "MAX_NAME",
    "SETTLED",
    "AccuracyMoved",
    "CallFields",
    "Change",
    "ExperimentStore",
    "ExportedLabel",
    "Found",
    "Graded",
    "Grades",
    "GradesNeeded",
    "LabelQueue",
    "LabelStore",
    "LabelTarget",
    "Moved",
    "QueueCounts",
    "QueueFilter",
    "QueueKind",
    "ReadAnswer",
    "Rederived",
    "RightAnswer",
    "Said",
    "COUNTED",
    "UNDO_FOR",
    "Archive",
    "CallFields",
    "Contents",
    "Deleted",
    "Entry",
    "Existing",
    "ExperimentStore",
    "Exported",
    "Found",
    "History",
    "Imported",
    "Listing",
    "Manifest",
    "Place",
    "Refused",
    "SessionFields",
    "SessionSummary",
    "Share",
    "SpentSums",
    "Standing",
    "Store",
    "ToGrade",
    "UnitFigures",
    "UnitRecord",
    "UnitStatus",
    "Verdict",
    "Which",
    "annotator_key",
    "current_owner",
    "exported_labels",
    "Trash",
    "UnitFigures",
    "UnitRecord",
    "UnitStatus",
    "Wanted",
    "current_owner",
    "export_archive",
    "import_archive",
    "look",
    "new_session_id",
    "normalised",
    "open_store",
    "question_key",
    "right_answers",
    "safe_text",
    "tidy",
]
