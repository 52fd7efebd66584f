"""What is asked of the list of sessions, as the words of an address and of the command line, and back.

An address may have been typed or changed by anybody: what it holds that is no value of a filter is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args

from tale_core.store import Place, SessionFilter
from tale_core.types import Outcome, SessionKind, Source, Status

LONGEST_TEXT = 200
ONE_OF: Mapping[str, tuple[str, ...]] = {
    "kind": get_args(SessionKind),
    "status": get_args(Status),
    "outcome": tuple(str(outcome) for outcome in Outcome),
    "source": get_args(Source),
}
"""The filters that are one of a few words."""
_MOMENT = "%Y%m%dT%H%M%S.%f"


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for, as a person says it; "" and None ask for nothing.

    Attributes:
        first: The first day, in this machine's time zone.
        last: The last day.
    """

    text: str = ""
    kind: str = ""
    model: str = ""
    status: str = ""
    outcome: str = ""
    source: str = ""
    first: date | None = None
    last: date | None = None

    @property
    def many(self) -> int:
        """How many of them ask for something."""
        return sum(bool(getattr(self, f.name)) for f in fields(self))

    def session_filter(self) -> SessionFilter:
        """For the store."""
        return SessionFilter(
            text=self.text,
            kind=self.kind or None,  # type: ignore[arg-type]
            model=self.model or None,
            status=self.status or None,  # type: ignore[arg-type]
            outcome=Outcome(self.outcome) if self.outcome else None,
            source=self.source or None,  # type: ignore[arg-type]
            since=day_begin(self.first) if self.first else None,
            until=day_begin(self.last + timedelta(days=1)) if self.last else None,
        )

    def address(self) -> dict[str, str]:
        """As parts of an address; what asks for nothing is left out."""
        values = {name: getattr(self, field) for name, field in _PARTS.items()}
        return {name: str(value) for name, value in values.items() if value}


_PARTS = {
    "q": "text", "kind": "kind", "model": "model", "status": "status", "outcome": "outcome", "source": "source",
    "from": "first", "to": "last",
}  # fmt: skip
"""Part of the address -> field of `Filters`."""


def filters_from(address: Mapping[str, str]) -> Filters:
    """The filters of an address."""
    said = {field: address.get(name, "")[:LONGEST_TEXT] for name, field in _PARTS.items()}
    for field, allowed in ONE_OF.items():
        said[field] = said[field] if said[field] in allowed else ""
    first, last = parsed_day(said.pop("first")), parsed_day(said.pop("last"))
    return Filters(**said, first=first, last=last)


def parsed_day(text: str) -> date | None:
    """A day like 2026-11-24; None when it is none that can be asked for."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1971 <= day.year <= 9000 else None


def day_begin(day: date) -> datetime:
    """The first moment of a day, in the time zone of this machine."""
    return datetime.combine(day, time()).astimezone()


def place_words(place: Place) -> str:
    """A place in the list as a part of an address."""
    return f"{place.created_at.astimezone(UTC).strftime(_MOMENT)}~{place.id}"


def place_from(words: str) -> Place | None:
    """The place that `place_words` wrote; None when it is none."""
    moment, _, session_id = words.partition("~")
    try:
        return Place(datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC), session_id[:100])
    except ValueError:
        return None
