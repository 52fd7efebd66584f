"""What stands, found anew from the events, where events came or went other than by what is said here.

Of what is said of one target under one name the last stands that was not taken back, wherever it was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from tale_core.store.labels.tables import label_events, labels

_SAID = ("kind", "value", "question_key", "annotator", "created_at")


def stand_anew(connection: Connection, targets: Sequence[str]) -> None:
    """Put the labels about these targets right."""
    event, label = label_events.c, labels.c
    events = select(label_events).where(event.target.in_(targets)).order_by(event.created_at, event.id)
    said = connection.execute(events).mappings().all()
    taken = {one["undoes"] for one in said}
    last: dict[tuple[str, str], Mapping[str, Any]] = {
        (one["target"], one["holder"]): {**{name: one[name] for name in _SAID}, "event_id": one["id"]}
        for one in said
        if one["action"] != "undo" and one["id"] not in taken
    }
    standing = select(label.target, label.holder, label.event_id).where(label.target.in_(targets))
    there = {(row.target, row.holder): row.event_id for row in connection.execute(standing)}
    for target, holder in there.keys() | last.keys():
        here, new = (label.target == target, label.holder == holder), last.get((target, holder))
        if new is None:
            connection.execute(delete(labels).where(*here))
        elif (target, holder) not in there:
            connection.execute(insert(labels).values(target=target, holder=holder, **new))
        elif there[target, holder] != new["event_id"]:
            connection.execute(update(labels).where(*here).values(**new))
