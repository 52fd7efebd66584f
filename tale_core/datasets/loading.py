"""`load` and `read_upload`: a name, a path or the bytes of a file -> `Loaded`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path, PurePath
from typing import BinaryIO

from tale_core.datasets.collect import MAX_ROWS, Collector, Reading, behind_the_last
from tale_core.datasets.hub import hub_rows
from tale_core.datasets.named import SHIPPED_NAME, NamedSet, Part, find_set, named_sets
from tale_core.datasets.ours import SHIPPED, shipped
from tale_core.datasets.results import Loaded, fingerprint
from tale_core.datasets.tables import read_table
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.settings import get_settings

MAX_BYTES = 200_000_000
UPLOAD_ROWS = 5_000
UPLOAD_BYTES = 10_000_000
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

Columns = Mapping[str, str | Sequence[str]]


def load(
    name_or_path: str,
    *,
    mapping: Columns | None = None,
    limit: int | None = None,
    offset: int = 0,
    folder: Path | None = None,
) -> Loaded:
    """Read questions with known answers.

    Args:
        name_or_path: A name of `describe()`, or a file (JSON Lines, JSON, CSV, TSV, Parquet).
        mapping: For a file whose columns have unusual names: field ("question", "answer", "options", "id", "topic")
            -> column; `options` may be several columns; `{"answer": ""}` reads questions without known answers.
        limit: Questions to take, from 1; None takes all. Reading stops there, so later problems stay unknown.
        offset: Good questions to pass over first.
        folder: Where to look for a named set, before TALE_DATASETS_DIR, `./data` and the hub.

    Raises:
        InputError: No such set or file, a file that cannot be read, or without a single good row.
    """
    _check_numbers(limit, offset)
    if name_or_path.strip().casefold() == SHIPPED_NAME:
        _no_mapping(mapping, SHIPPED_NAME)
        return _own(limit, offset)
    named = find_set(name_or_path)
    collector = Collector(limit=limit, offset=offset, max_rows=MAX_ROWS)
    if named:
        _no_mapping(mapping, named.info.name)
        return _named(named, collector, folder)
    path = Path(name_or_path)
    with _open(path) as stream:
        suffix = _suffix(path)
        shown = _printable(path.name)
        stem = PurePath(shown).stem
        collector.feed(read_table(stream, suffix), Reading(stem, mapping))
    return collector.loaded(stem, shown)


def read_upload(
    name: str,
    data: bytes,
    *,
    mapping: Columns | None = None,
    max_rows: int = UPLOAD_ROWS,
    max_bytes: int = UPLOAD_BYTES,
) -> Loaded:
    """Read questions from a file that somebody sent. Nothing is written, and no path is made of `name`.

    Args:
        name: The file's name as sent; its ending says how to read it, the rest is only shown.
        data: The file.
        mapping: As for `load`.
        max_rows: Rows that are allowed.
        max_bytes: Bytes that are allowed.

    Raises:
        InputError: As for `load`.
    """
    if len(data) > max_bytes:
        raise InputError(t("The file has {n:,} bytes.", n=len(data)), t("At most {most:,} are read.", most=max_bytes))
    shown = PurePath(_printable(name).replace("\\", "/")).name[-80:] or "file"
    suffix, stem = _suffix(PurePath(shown)), PurePath(shown).stem
    collector = Collector(max_rows=max_rows)
    collector.feed(read_table(io.BytesIO(data), suffix), Reading(stem, mapping))
    return collector.loaded(stem, shown)


def _printable(name: str) -> str:
    """A file's name for messages, ids and the store: without line breaks, marks of direction and half characters."""
    return "".join(c for c in name if c.isprintable())


def _check_numbers(limit: int | None, offset: int) -> None:
    if limit is not None and (not isinstance(limit, Integral) or limit < 1):
        raise InputError(t("A limit of {limit} was given.", limit=limit), t("A limit is a whole number from 1."))
    if not isinstance(offset, Integral) or offset < 0:
        raise InputError(t("An offset of {offset} was given.", offset=offset), t("An offset is a whole number from 0."))


def _no_mapping(mapping: Columns | None, name: str) -> None:
    if mapping:
        raise InputError(
            t("A mapping was given for {name}.", name=name), t("Named sets know their columns; map those of a file.")
        )


def _own(limit: int | None, offset: int) -> Loaded:
    questions = shipped()[offset : None if limit is None else offset + limit]
    if not questions:
        raise InputError(behind_the_last(offset), t("There are {n:,}.", n=len(shipped())))
    return Loaded(SHIPPED_NAME, questions, (), f"data/{SHIPPED.name}", fingerprint(questions))


def _named(named: NamedSet, collector: Collector, folder: Path | None) -> Loaded:
    folders = _folders(folder)
    sources = []
    for part in named.parts:
        if collector.full:
            break
        where = f"{part.name}, " if len(named.parts) > 1 else ""
        reading = Reading(part.name, layout=part.layout, kind=part.kind, language=part.language, named=True)
        sources.append(_feed_part(part, collector, reading, named, folders, where))
    source = ", ".join(sources)
    size = named.info.size
    whole = collector.limit is None and collector.offset == 0
    if size is not None and whole and collector.good != size:
        source = t("{source} ({n:,} of {size:,} published questions)", source=source, n=collector.good, size=size)
    return collector.loaded(named.info.name, source)


def _feed_part(
    part: Part, collector: Collector, reading: Reading, named: NamedSet, folders: tuple[Path, ...], where: str
) -> str:
    """Read one part from the first place that has it; returns that place in words."""
    path = _first_there(folders, part.files)
    if path:
        with _open(path) as stream:
            collector.feed(read_table(stream, _suffix(path)), reading, where=where)
        return _printable("/".join(path.parts[-2:]))
    looked = ", ".join(str(f) for f in folders)
    hint = t("Get it from {origin} and put it into {folders} (or TALE_DATASETS_DIR) as {file}.",
             origin=named.info.origin, folders=looked, file=part.files[0])  # fmt: skip
    if part.hub is None:
        message = t("{set} is not here, and its publishers have not put it on the hub.", set=part.name)
        raise InputError(message, hint)
    collector.feed(hub_rows(part.hub, hint=hint), reading, where=where)
    return f"https://huggingface.co/datasets/{part.hub.repo}"


def _first_there(folders: tuple[Path, ...], files: tuple[str, ...]) -> Path | None:
    try:
        return next((base / file for base in folders for file in files if (base / file).is_file()), None)
    except (OSError, ValueError) as e:
        message = t("The folders {folders} cannot be searched.", folders=", ".join(map(str, folders)))
        raise InputError(message, t("Give another one.")) from e


def _folders(folder: Path | None) -> tuple[Path, ...]:
    found = [f for f in (folder, get_settings().datasets_dir) if f is not None]
    return tuple(dict.fromkeys((*found, Path("data"))))


def _suffix(path: PurePath, allowed: Sequence[str] = SUFFIXES) -> str:
    suffix = path.suffix.casefold()
    if suffix not in allowed:
        raise InputError(
            t("A file that ends in {suffix!r} was given.", suffix=path.suffix[:20]),
            t("Files end in {suffixes}.", suffixes=", ".join(allowed)),
        )
    return suffix


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """The file, if it is a plain file of a size that is read."""
    shown = repr(str(path)[:200])
    try:
        if not path.is_file():
            groups = (s.info.name for s in named_sets().values() if s.info.part_of is None)
            raise InputError(
                t("There is no data set and no file {name}.", name=shown),
                t("Sets: {names}. Files end in {suffixes}.", names=", ".join((SHIPPED_NAME, *groups)),
                  suffixes=", ".join(SUFFIXES)),
            )  # fmt: skip
        size = path.stat().st_size
        stream = path.open("rb")
    except OSError as e:
        raise InputError(t("{path} cannot be read: {why}.", path=shown, why=e.strerror)) from e
    except ValueError as e:
        raise InputError(t("{path} is not the name of a file.", path=shown)) from e
    with stream:
        if size > MAX_BYTES:
            raise InputError(
                t("{file} has {n:,} bytes.", file=path.name, n=size),
                t("At most {most:,} are read: split it.", most=MAX_BYTES),
            )
        try:
            yield stream
        except OSError as e:
            raise InputError(t("{path} cannot be read: {why}.", path=shown, why=e.strerror)) from e
