"""The store: sessions, calls and labels in a database. The only package that imports sqlmodel and SQLAlchemy.

Records go in and come out as the frozen dataclasses of `tale_core.types`; rows, engines and database errors stay
inside. It knows no client, no estimator and no page. SQLite is the default; `TALE_DATABASE_URL` may name a PostgreSQL
database.
"""

from tale_core.store.answers import StoredAnswer, stored_answers
from tale_core.store.archive_format import Manifest
from tale_core.store.archive_reading import Archive
from tale_core.store.archive_writing import Exported, export_archive
from tale_core.store.copying import TableSum, copy_database, table_sums
from tale_core.store.experiments import ExperimentStore, Found, SpentSums, UnitFigures, UnitRecord, UnitStatus
from tale_core.store.history import COUNTED, Entry, History, Listing, Place, Wanted
from tale_core.store.importing import Contents, Existing, Imported, import_archive, look
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
from tale_core.store.opening import open_store, tidy
from tale_core.store.outage import through_outage
from tale_core.store.owner import current_owner
from tale_core.store.records import CallFields, SessionFields, SessionSummary, new_session_id, safe_text
from tale_core.store.repository import Store
from tale_core.store.rooms import RoomChanges, RoomRecord, RoomStore, SeatRecord, SeatSpent
from tale_core.store.trash import UNDO_FOR, Deleted, Refused, Trash

__all__ = [
    "COUNTED",
    "MAX_GOLD",
    "MAX_NAME",
    "SETTLED",
    "UNDO_FOR",
    "AccuracyMoved",
    "Archive",
    "CallFields",
    "Change",
    "Contents",
    "Deleted",
    "Entry",
    "Existing",
    "ExperimentStore",
    "Exported",
    "ExportedLabel",
    "Found",
    "Graded",
    "Grades",
    "GradesNeeded",
    "History",
    "Imported",
    "LabelQueue",
    "LabelStore",
    "LabelTarget",
    "Listing",
    "Manifest",
    "Moved",
    "Place",
    "QueueCounts",
    "QueueFilter",
    "QueueKind",
    "ReadAnswer",
    "Rederived",
    "Refused",
    "RightAnswer",
    "RoomChanges",
    "RoomRecord",
    "RoomStore",
    "Said",
    "SeatRecord",
    "SeatSpent",
    "SessionFields",
    "SessionSummary",
    "Share",
    "SpentSums",
    "Standing",
    "Store",
    "StoredAnswer",
    "TableSum",
    "ToGrade",
    "Trash",
    "UnitFigures",
    "UnitRecord",
    "UnitStatus",
    "Verdict",
    "Wanted",
    "Which",
    "annotator_key",
    "copy_database",
    "current_owner",
    "export_archive",
    "exported_labels",
    "import_archive",
    "look",
    "new_session_id",
    "normalised",
    "open_store",
    "question_key",
    "right_answers",
    "safe_text",
    "stored_answers",
    "table_sums",
    "through_outage",
    "tidy",
]
