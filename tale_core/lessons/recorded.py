"""Recordings: real sessions of a model with the moment of every piece of text, as files that are checked when read.

A recording is a stored session, marked "recorded" wherever its numbers go, with one tape a call. It says which model
wrote it, when, and by which command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from tale_core.errors import InputError
from tale_core.files import write_whole
from tale_core.i18n import SOURCE, language, t
from tale_core.settings import DATA_ROOT, PROGRAM, get_settings
from tale_core.store.records import exported
from tale_core.types import CallRecord, Language, SessionRecord

FORMAT = 1
BUNDLED = DATA_ROOT / "recorded"
MAX_BYTES = 5_000_000
_SESSION = TypeAdapter(SessionRecord)
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Made(BaseModel):
    """Where a recording comes from.

    Attributes:
        on: The day it was recorded.
        machine: What it ran on, in words: the times are of that machine.
        command: What makes it again.
    """

    model_config = _STRICT

    model: str = Field(min_length=1)
    endpoint: str
    on: date
    machine: str
    program: str
    command: str


class Tape(BaseModel):
    """The timing of one call.

    Attributes:
        start_ms: When it was asked for, from the start of the recording.
        end_ms: When it had ended.
        pieces: For each piece of text: milliseconds since the piece before it (the first: since `start_ms`), letters of
            text, letters of reasoning.
    """

    model_config = _STRICT

    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)
    pieces: tuple[tuple[int, int, int], ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Tape:
        if any(value < 0 for piece in self.pieces for value in piece):
            raise ValueError("a piece of text came before the one before it, or took letters away")
        if self.start_ms + sum(piece[0] for piece in self.pieces) > self.end_ms:
            raise ValueError("a piece of text came after the end of its call")
        return self


@dataclass(frozen=True)
class Recording:
    """One recorded session.

    Attributes:
        name: Of its file; names it in lessons and addresses.
        note: Why it was chosen and what to know about it, by language.
        session: What was stored; every call's source is "recorded".
        tapes: One for each of the session's calls.
        marks: When each step of a search was known, in milliseconds; empty for other kinds.
    """

    name: str
    note: Mapping[Language, str]
    made: Made
    session: SessionRecord
    tapes: tuple[Tape, ...]
    marks: tuple[int, ...] = ()

    @property
    def kind(self) -> Literal["ask", "search", "sweep"]:
        """What was recorded."""
        return self.session.kind  # type: ignore[return-value]  # an experiment is never recorded: `read` refuses it

    @property
    def reason(self) -> str:
        """The note in the reader's language; the English one where it is not written in that."""
        return self.note.get(language()) or self.note[SOURCE]

    @cached_property
    def duration_ms(self) -> int:
        """How long it took; how much of an answer was needed is asked after its end, and not played."""
        return max([0, *(tape.end_ms for _, tape in self.played), *self.marks])

    @property
    def played(self) -> list[tuple[CallRecord, Tape]]:
        """The calls that a replay shows, with their tapes."""
        pairs = zip(self.session.calls, self.tapes, strict=True)
        return [(call, tape) for call, tape in pairs if call.role != "forced"]

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """The milliseconds at which something other than text changed, ascending, the end among them."""
        tapes = [tape for _, tape in self.played]
        found = {self.duration_ms, *self.marks, *(tape.end_ms for tape in tapes)}
        return tuple(sorted(found | {tape.start_ms for tape in tapes}))

    def document(self) -> dict[str, Any]:
        """JSON-safe; `parsed` reads it."""
        return {
            "format": FORMAT,
            "source": "recorded",
            "name": self.name,
            "note": dict(self.note),
            "made": self.made.model_dump(mode="json"),
            "session": exported(self.session)["session"],
            "tapes": [[t.start_ms, t.end_ms, [_flat(piece) for piece in t.pieces]] for t in self.tapes],
            "marks": list(self.marks),
        }


def _flat(piece: tuple[int, int, int]) -> list[int]:
    return list(piece if piece[2] else piece[:2])


def as_recorded(session: SessionRecord) -> SessionRecord:
    """The session with every number marked as recorded, and without what only the machine it ran on needs."""

    def mark(call: CallRecord) -> CallRecord:
        return replace(call, source="recorded", cache_key=None)

    result = json.loads(json.dumps(session.result)) if session.result else session.result
    done = (result or {}).get("done")
    if done and isinstance(done.get("sources"), dict):
        done["sources"] = {"recorded": sum(done["sources"].values())}
    calls = tuple(mark(call) for call in session.calls)
    return replace(session, source="recorded", calls=calls, result=result, owner="", parent_id=None)


def parsed(text: str, *, name: str) -> Recording:
    """Read a recording.

    Args:
        text: The file's text; hostile until checked.
        name: Of the file, for errors.

    Raises:
        InputError: It is no recording: not JSON, another format, a wrong field, tapes that do not fit its calls, or
            something in it is not marked as recorded.
    """
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        tapes = [Tape(start_ms=start, end_ms=end, pieces=[_piece(p) for p in pieces]) for start, end, pieces in
                 document["tapes"]]  # fmt: skip
        recording = Recording(
            name=str(document["name"]),
            note={"en": str(document["note"]["en"]), "zh": str(document["note"]["zh"])},
            made=Made.model_validate(document["made"]),
            session=_SESSION.validate_python(document["session"]),
            tapes=tuple(tapes),
            marks=tuple(int(mark) for mark in document["marks"]),
        )
        _check(recording)
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        why = f"{e.errors()[0]['loc']}: {e.errors()[0]['msg']}" if isinstance(e, ValidationError) else str(e) or repr(e)
        raise InputError(
            t("{file} is no recording that can be replayed: {why}.", file=name[:100], why=why[:300]),
            t("Record it again with `{program} record`.", program=PROGRAM),
        ) from e
    return recording


def _piece(values: list[int]) -> tuple[int, int, int]:
    after, letters, *reasoning = values
    return (after, letters, reasoning[0] if reasoning else 0)


def _check(one: Recording) -> None:
    """The parts fit each other.

    Raises:
        ValueError: They do not; the message says which.
    """
    session = one.session
    if session.kind not in ("ask", "search", "sweep"):
        raise ValueError(f"a session of the kind {session.kind!r} cannot be replayed")
    if {session.source, *(call.source for call in session.calls)} != {"recorded"}:
        raise ValueError("not every call in it is marked as recorded")
    if session.status != "done" or any(call.status != "done" for call in session.calls):
        raise ValueError("it did not end well")
    if not session.calls or len(session.calls) != len(one.tapes):
        raise ValueError(f"it has {len(session.calls)} calls and {len(one.tapes)} tapes")
    for call, tape in zip(session.calls, one.tapes, strict=True):
        letters = (sum(p[1] for p in tape.pieces), sum(p[2] for p in tape.pieces))
        if letters != (len(call.text), len(call.reasoning_text)):
            raise ValueError(f"the tape of call {call.id} does not fit its text")
    steps = len((session.result or {}).get("steps", ()))
    if len(one.marks) != steps or list(one.marks) != sorted(one.marks):
        raise ValueError(f"it has {steps} steps and {len(one.marks)} marks")


def read(path: Path) -> Recording:
    """Read a recording's file.

    Raises:
        InputError: It cannot be read, is too large, or is no recording (see `parsed`).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                t("{file} is larger than {n} MB.", file=path.name, n=MAX_BYTES // 1_000_000),
                t("Record a shorter session."),
            )
        return parsed(path.read_text(encoding="utf-8"), name=path.name)
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(t("{file} cannot be read: {why}.", file=path.name, why=e), t("Check the file.")) from e


def write(recording: Recording, folder: Path) -> Path:
    """Write a recording as `<name>.json`; a file is there whole or not at all.

    Raises:
        InputError: The folder cannot be written.
    """
    path = folder / f"{recording.name}.json"
    text = json.dumps(recording.document(), ensure_ascii=False, separators=(",", ":"))
    parsed(text, name=path.name)  # What is written can be read.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, text + "\n")
    except OSError as e:
        why = e.strerror or str(e)
        raise InputError(
            t("{file} cannot be written: {why}.", file=path, why=why),
            t("Give another folder with {flag}.", flag="--out"),
        ) from e
    return path


def own_folder() -> Path:
    """Where recordings lie that were made here and do not ship with the program."""
    return get_settings().data_dir / "recorded"


def bundled() -> dict[str, Recording]:
    """The recordings that ship with the program, by name.

    Raises:
        InputError: One of them cannot be read; they are checked by the tests.
    """
    return {path.stem: read_again(path) for path in sorted(BUNDLED.glob("*.json"))}


def in_language(name: str, spoken: Language | None = None) -> Recording:
    """The bundled recording of this name in a language, the reader's when None; in English where there is no other.

    Raises:
        InputError: It cannot be read.
    """
    own = BUNDLED / f"{name}-{spoken or language()}.json"
    return read_again(own if own.exists() else BUNDLED / f"{name}-{SOURCE}.json")


def rebounding(spoken: Language | None = None) -> Recording:
    """A bundled sweep with a rebound beyond chance, of the language if there is one, the reader's when None.

    Raises:
        InputError: A bundled recording cannot be read.
    """
    found = [one for one in bundled().values() if one.kind == "sweep" and _rebounds(one)]
    return max(found, key=lambda one: one.session.question.language == (spoken or language()))


def _rebounds(sweep: Recording) -> bool:
    rebound = ((sweep.session.result or {}).get("done") or {}).get("rebound")
    return bool(rebound and rebound["significant"])


def available() -> tuple[dict[str, Recording], list[str]]:
    """Every recording by name, those made here after the bundled ones; and in words which files cannot be used."""
    found, problems = dict(bundled()), []
    for path in sorted(own_folder().glob("*.json")):
        try:
            found.setdefault(path.stem, read_again(path))
        except InputError as e:
            problems.append(str(e))
    return found, problems


def read_again(path: Path) -> Recording:
    """`read`, once for as long as the file does not change.

    Raises:
        InputError: As `read`.
    """
    try:
        return _cached(path, path.stat().st_mtime_ns)
    except OSError as e:
        raise InputError(t("{file} cannot be read: {why}.", file=path.name, why=e), t("Check the file.")) from e


@lru_cache(maxsize=128)
def _cached(path: Path, _changed: int) -> Recording:
    return read(path)
