"""Inspect's `.eval` archives -> their header and their samples, one at a time, within limits that no file can move.

The archive is a ZIP with `header.json` (or, of an interrupted run, `_journal/start.json`) and a JSON member for each
sample, compressed by deflate or, since 2026, by Zstandard, which Python's `zipfile` does not read before 3.14: those
members are unpacked by pyarrow. Sizes that the archive declares are not trusted; unpacking stops at the limit.
"""

from __future__ import annotations

import importlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tale_core.datasets.results import RowProblem
from tale_core.errors import InputError
from tale_core.i18n import t

MAX_MEMBER = 50_000_000
"""Bytes of one member once unpacked."""
MAX_UNPACKED = 400_000_000
"""Of all together."""
MAX_MEMBERS = 100_000
_SAMPLE = re.compile(r"samples/(?:[^/]+\.json|[^/]+/sample\.json)")
_HEADERS = ("header.json", "_journal/start.json")
_ZSTANDARD = (93, 20)
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1


class Member(NamedTuple):
    """A sample as JSON; `number` counts from 1 in the order of the archive."""

    number: int
    value: object


class _Refused(Exception):
    """A member that is not read; the message is the reason, for people."""


def read_members(data: bytes) -> tuple[Mapping[str, Any], Iterator[Member | RowProblem]]:
    """The header of an archive, and its samples.

    Raises:
        InputError: It is no such archive, or too large.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        infos = {info.filename: info for info in archive.infolist()}  # Of one name the last one counts.
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError, EOFError) as e:
        raise InputError(
            t("The file is not an archive of Inspect, or it is damaged."), t("Write it again, or give the JSON log.")
        ) from e
    if len(infos) > MAX_MEMBERS:
        message = t("The archive has {n:,} members.", n=len(infos))
        raise InputError(message, t("At most {most:,} are read: split it.", most=MAX_MEMBERS))
    name = next((one for one in _HEADERS if one in infos), None)
    samples = [info for one, info in infos.items() if _SAMPLE.fullmatch(one)]
    if name is None or not samples:
        raise InputError(t("The archive holds no log of Inspect with samples."), t("Give the .eval file unchanged."))
    try:
        header = _parsed(_unpacked(data, archive, infos[name]))
    except _Refused as e:
        raise InputError(t("The log's header cannot be read: {why}.", why=str(e))) from e
    return header if isinstance(header, Mapping) else {}, _samples(data, archive, samples)


def _samples(data: bytes, archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> Iterator[Member | RowProblem]:
    total = 0
    for number, info in enumerate(infos, start=1):
        try:
            raw = _unpacked(data, archive, info)
            total += len(raw)
            if total > MAX_UNPACKED:
                raise InputError(
                    t("The archive unpacks to more than {most:,} bytes.", most=MAX_UNPACKED), t("Split it.")
                )
            yield Member(number, _parsed(raw))
        except _Refused as e:
            yield RowProblem(number, str(e))


def _parsed(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except RecursionError as e:
        raise _Refused(t("nested too deeply")) from e
    except ValueError as e:
        raise _Refused(t("broken JSON")) from e


def _unpacked(data: bytes, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member's bytes, at most MAX_MEMBER of them.

    Raises:
        _Refused: It is larger, encrypted, damaged or compressed in a way that is not read.
    """
    if info.flag_bits & _ENCRYPTED:
        raise _Refused(t("the member is encrypted"))
    try:
        if info.compress_type in _ZSTANDARD:
            raw = _unpack_zstandard(data, info)
        else:
            with archive.open(info) as member:
                raw = member.read(MAX_MEMBER + 1)
    except _Refused:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, struct.error, RuntimeError, ValueError) as e:
        raise _Refused(t("the member is damaged")) from e
    if len(raw) > MAX_MEMBER:
        raise _Refused(t("larger than {most:,} bytes", most=MAX_MEMBER))
    return raw


def _unpack_zstandard(data: bytes, info: zipfile.ZipInfo) -> bytes:
    pa: Any = importlib.import_module("pyarrow")
    name, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    start = info.header_offset + _LOCAL_HEADER + name + extra
    packed = data[start : start + info.compress_size]
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            raw = bytes(stream.read(MAX_MEMBER + 1))
    except pa.ArrowException as e:
        raise _Refused(t("the member is damaged")) from e
    if len(raw) <= MAX_MEMBER and zlib.crc32(raw) != info.CRC:
        raise _Refused(t("the member is damaged"))
    return raw
