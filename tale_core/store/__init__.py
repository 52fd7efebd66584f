"""The store: sessions, calls and labels in a database. The only package that imports sqlmodel and SQLAlchemy.

Records go in and come out as the frozen dataclasses of `tale_core.types`; rows, engines and database errors stay
inside. SQLite is the default; `TALE_DATABASE_URL` may name a PostgreSQL database.
"""

from tale_core.store.answers import MarkedAnswer, StoredAnswer, answering_models, marked_answers, stored_answers
from tale_core.store.archive.copying import TableSum, copy_database, table_sums
from tale_core.store.archive.importing import Contents, Existing, Imported, import_archive, look
from tale_core.store.archive.reading import Archive
from tale_core.store.archive.trash import UNDO_FOR, Deleted, Trash
from tale_core.store.archive.writing import export_archive
from tale_core.store.audit import deeds, spent
from tale_core.store.calls import CallStore, UnitRecord
from tale_core.store.database.opening import open_store, tidy
from tale_core.store.database.reconnect import through_outage
from tale_core.store.experiments import ExperimentStore, UnitFigures
from tale_core.store.history import COUNTED, Entry, History, Listing, Place, SessionFilter
from tale_core.store.kept_keys import KeptKeys
from tale_core.store.labels.export import ExportedLabel, exported_labels
from tale_core.store.labels.grades import until_graded
from tale_core.store.labels.keys import annotator_key, answer_key, mark_target, normalised, question_key
from tale_core.store.labels.queue import LabelQueue
from tale_core.store.labels.store import LabelStore
from tale_core.store.labels.types import (
    MAX_NAME,
    SETTLED,
    AccuracyMoved,
    AnswerGroup,
    Change,
    LabelKind,
    LabelTarget,
    Moved,
    QueueCounts,
    QueueFilter,
    QueueKind,
    Rederived,
    Verdict,
)
from tale_core.store.records import new_session_id
from tale_core.store.repository import Belonging, Store, Try
from tale_core.store.rooms import RoomChanges, RoomRecord, RoomStore, SeatRecord, SeatSpent
from tale_core.store.traffic import ModelTraffic, Pair, Passed, TrafficStore

__all__ = [
    "COUNTED",
    "MAX_NAME",
    "SETTLED",
    "UNDO_FOR",
    "AccuracyMoved",
    "AnswerGroup",
    "Archive",
    "Belonging",
    "CallStore",
    "Change",
    "Contents",
    "Deleted",
    "Entry",
    "Existing",
    "ExperimentStore",
    "ExportedLabel",
    "History",
    "Imported",
    "KeptKeys",
    "LabelKind",
    "LabelQueue",
    "LabelStore",
    "LabelTarget",
    "Listing",
    "MarkedAnswer",
    "ModelTraffic",
    "Moved",
    "Pair",
    "Passed",
    "Place",
    "QueueCounts",
    "QueueFilter",
    "QueueKind",
    "Rederived",
    "RoomChanges",
    "RoomRecord",
    "RoomStore",
    "SeatRecord",
    "SeatSpent",
    "SessionFilter",
    "Store",
    "StoredAnswer",
    "TableSum",
    "TrafficStore",
    "Trash",
    "Try",
    "UnitFigures",
    "UnitRecord",
    "Verdict",
    "annotator_key",
    "answer_key",
    "answering_models",
    "copy_database",
    "deeds",
    "export_archive",
    "exported_labels",
    "import_archive",
    "look",
    "mark_target",
    "marked_answers",
    "new_session_id",
    "normalised",
    "open_store",
    "question_key",
    "spent",
    "stored_answers",
    "table_sums",
    "through_outage",
    "tidy",
    "until_graded",
]
