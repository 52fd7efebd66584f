"""Between records and columns: conversions, the text that may be stored, and the light summary for lists."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, TypedDict

from tale_core.i18n import in_english
from tale_core.text import safe_text
from tale_core.types import (
    CallRecord,
    Message,
    Outcome,
    Price,
    Question,
    Sampling,
    SessionKind,
    SessionRecord,
    Source,
    Status,
)

EXPORT_FORMAT = 1

_URL_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")
_ENDPOINT_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#\s]*@")


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a list of sessions shows. Tokens are completion tokens; None where there is no such answer yet.

    Whether an answer is refused is said as in `CallRecord.refused`.
    """

    id: str
    kind: SessionKind
    created_at: datetime
    status: Status
    question_text: str
    model: str
    budget: int | None
    vanilla_tokens: int | None
    budgeted_tokens: int | None
    vanilla_outcome: Outcome | None
    budgeted_outcome: Outcome | None
    vanilla_refused: bool = False
    budgeted_refused: bool = False


def names_text(accounts: Iterable[str]) -> str:
    """Names of accounts as one column holds them: each between line breaks, which no name holds."""
    found = [name for name in sorted(set(accounts)) if name and name == name.strip() and "\n" not in name]
    return "".join(f"\n{name}\n" for name in found)


def names_of(text: str) -> tuple[str, ...]:
    """What `names_text` wrote."""
    return tuple(name for name in text.split("\n") if name)


class SessionFields(TypedDict, total=False):
    """What `update_session` may change. The status changes through `finish_session` alone."""

    question: Question
    estimator: str
    budget: int | None
    budget_raw: str
    budget_problem: str | None
    template: str
    together: bool
    guesses: dict[str, int]
    source: Source
    error: str | None
    result: dict[str, Any] | None


def new_session_id(kind: SessionKind = "ask") -> str:
    """An unguessable id for a shared link: "ask-" and 120 random bits in lower-case base32 (28 characters)."""
    return f"{kind}-" + base64.b32encode(secrets.token_bytes(15)).decode("ascii").lower()


def safe_json(value: Any) -> Any:
    """`safe_text` for every string, keys included, in lists and dicts."""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, Mapping):
        return {safe_json(k): safe_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [safe_json(v) for v in value]
    return value


def scrub_endpoint(endpoint: str) -> str:
    """An endpoint without user, password, query and fragment: any of them may carry a key."""
    return re.split(r"[?#]", _ENDPOINT_CREDENTIALS.sub(r"\1", endpoint), maxsplit=1)[0]


def scrub_credentials(words: str) -> str:
    """A sentence whose addresses hold no user and no password."""
    return _URL_CREDENTIALS.sub("", words)


def columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Spread record fields over table columns: question, sampling and price become several columns each."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name == "question":
            flat |= {f"question_{f.name}": getattr(value, f.name) for f in fields(Question)}
        elif name == "sampling":
            flat |= {f.name: getattr(value, f.name) for f in fields(Sampling)}
        elif name == "price":
            flat |= {f"price_{f.name}": getattr(value, f.name, None) for f in fields(Price)}
        elif name == "messages":
            flat[name] = [{"role": m.role, "content": m.content} for m in value]
        elif name == "outcome":
            flat[name] = str(value)
        else:
            flat[name] = value
    return flat


def session_columns(record: SessionRecord) -> dict[str, Any]:
    """All columns of a session except its heartbeat; its calls are rows of their own."""
    return columns({f.name: getattr(record, f.name) for f in fields(record) if f.name != "calls"})


def call_columns(record: CallRecord) -> dict[str, Any]:
    """All columns of a call except its id, which the database gives."""
    return columns({f.name: getattr(record, f.name) for f in fields(record) if f.name != "id"})


def session_record(row: Mapping[str, Any], calls: tuple[CallRecord, ...]) -> SessionRecord:
    """The record of a row of the session table."""
    question = {f.name: row[f"question_{f.name}"] for f in fields(Question)}
    question["options"] = tuple(question["options"])
    plain = {f.name: row[f.name] for f in fields(SessionRecord) if f.name not in ("question", "calls")}
    return SessionRecord(question=Question(**question), calls=calls, **plain)


def call_record(row: Mapping[str, Any]) -> CallRecord:
    """The record of a row of the call table."""
    special: dict[str, Any] = {
        "messages": tuple(Message(**m) for m in row["messages"]),
        "sampling": Sampling(**{f.name: row[f.name] for f in fields(Sampling)}),
        "price": None
        if row["price_as_of"] is None
        else Price(**{f.name: row[f"price_{f.name}"] for f in fields(Price)}),
        "outcome": Outcome(row["outcome"]),
        "adjustments": tuple(row["adjustments"]),
    }
    plain = {f.name: row[f.name] for f in fields(CallRecord) if f.name not in special}
    return CallRecord(**plain, **special)


def summary(row: Mapping[str, Any]) -> SessionSummary:
    """The summary of a row of the list query."""
    values = {f.name: row[f.name] for f in fields(SessionSummary)}
    for name in ("vanilla_outcome", "budgeted_outcome"):
        values[name] = None if values[name] is None else Outcome(values[name])
    for name in ("vanilla_refused", "budgeted_refused"):
        values[name] = bool(values[name])
    return SessionSummary(**values)


def exported(record: SessionRecord) -> dict[str, Any]:
    """The session as a JSON-safe document with a format number.

    `owner` is left out: it names this machine and says nothing about where a number came from.
    """
    document = _json_safe(asdict(record))
    del document["owner"]
    return {"format": EXPORT_FORMAT, "session": document}


def _json_safe(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Outcome):
        return str(value)
    if isinstance(value, dict):
        return {k: _json_safe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_safe(v) for v in value]
    return in_english(value)
