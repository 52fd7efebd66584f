"""The header of a GGUF file, read without trusting it: lengths, counts, offsets and types are checked against the file.

llama.cpp reads such a file in C++; whatever is handed to it has passed here first. Versions 2 and 3 of the format are
read, little-endian. Nothing of the tensors' data is read.
Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tale_core.errors import AdapterFileError
from tale_core.i18n import t

MAGIC: Final = b"GGUF"
MAX_TENSORS, MAX_VALUES = 100_000, 10_000
MAX_NAME, MAX_TEXT = 256, 4_000_000
MAX_ITEMS = 4_000_000
"""Items of an array: a vocabulary has a few hundred thousand."""
_SCALARS: dict[int, str] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
FLOAT_BYTES: dict[int, int] = {0: 4, 1: 2, 30: 2}
"""Bytes of one value of the unquantised types: F32, F16, BF16. Only these are measured against the file's end."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as the header describes it.

    Attributes:
        dims: Sizes, the fastest-moving first (the reverse of numpy's shape).
        kind: ggml's number of the type; 0 F32, 1 F16, 30 BF16.
        offset: Bytes from the start of the data.
    """

    dims: tuple[int, ...]
    kind: int
    offset: int

    @property
    def shape(self) -> tuple[int, ...]:
        """As numpy and PyTorch say it."""
        return self.dims[::-1]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself. Arrays are kept as their length alone."""

    values: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    def text(self, key: str) -> str:
        """A string value; "" when it is missing or something else."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""


def read_header(path: Path) -> Header:
    """The header of a file.

    Raises:
        AdapterFileError: It cannot be read, or is no well-formed GGUF; the message says what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < 24:
                raise _damaged(path, t("it has {size} bytes", size=size))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data, size).header()
    except OSError as e:
        raise AdapterFileError(t("{path} cannot be read: {reason}.", path=path.name, reason=e.strerror)) from e
    except (struct.error, UnicodeDecodeError, OverflowError) as e:
        raise _damaged(path, t("it ends too early, or holds what is no text")) from e


def _damaged(path: Path, why: str) -> AdapterFileError:
    return AdapterFileError(
        t("{path} is no usable GGUF file: {why}.", path=path.name, why=why), t("Nothing of it was loaded.")
    )


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap, size: int) -> None:
        self._path, self._data, self._size, self._at = path, data, size, 0

    def header(self) -> Header:
        if self._data[:4] != MAGIC:
            raise self._bad(t("it does not begin with GGUF"))
        self._at = 4
        version = self._scalar("<I")
        if version not in (2, 3):
            raise self._bad(t("its version is {version}", version=version))
        n_tensors, n_values = self._scalar("<Q"), self._scalar("<Q")
        if n_tensors > MAX_TENSORS or n_values > MAX_VALUES:
            raise self._bad(
                t("it claims {n_tensors:,} tensors and {n_values:,} values", n_tensors=n_tensors, n_values=n_values)
            )
        values = self._values(n_values)
        tensors = self._tensors(n_tensors)
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 8 <= alignment <= 65_536 or alignment % 8:
            raise self._bad(t("its alignment is {alignment!r}", alignment=alignment))
        self._check_data(tensors, math.ceil(self._at / alignment) * alignment, alignment)
        return Header(values, tensors)

    def _values(self, count: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(count):
            key = self._text(MAX_NAME)
            if key in values:
                raise self._bad(t("it has {key!r} twice", key=key))
            values[key] = self._value(self._scalar("<I"))
        return values

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._text(MAX_TEXT)
        if kind != _ARRAY:
            raise self._bad(t("it has a value of the unknown type {kind}", kind=kind))
        inner, count = self._scalar("<I"), self._scalar("<Q")
        if count > MAX_ITEMS:
            raise self._bad(t("it claims a list of {count:,}", count=count))
        if inner in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[inner]))
        elif inner == _STRING:
            self._skip_texts(count)
        else:
            raise self._bad(t("it has a list of lists"))
        return count

    def _tensors(self, count: int) -> dict[str, TensorInfo]:
        tensors: dict[str, TensorInfo] = {}
        for _ in range(count):
            name, n_dims = self._text(MAX_NAME), self._scalar("<I")
            if not 1 <= n_dims <= 4 or name in tensors:
                raise self._bad(
                    t("its tensor {name!r} stands twice or has {n_dims} dimensions", name=name[:60], n_dims=n_dims)
                )
            dims = tuple(self._scalar("<Q") for _ in range(n_dims))
            if min(dims) < 1 or math.prod(dims) > 2**40:
                raise self._bad(
                    t("its tensor {name!r} has the size {dims}", name=name[:60], dims=" × ".join(map(str, dims)))
                )
            tensors[name] = TensorInfo(dims, self._scalar("<I"), self._scalar("<Q"))
        return tensors

    def _check_data(self, tensors: Mapping[str, TensorInfo], start: int, alignment: int) -> None:
        for name, tensor in tensors.items():
            # Of quantised types, whose blocks are not known here, at least the beginning must lie inside.
            length = math.prod(tensor.dims) * FLOAT_BYTES[tensor.kind] if tensor.kind in FLOAT_BYTES else 1
            if tensor.offset % alignment or start + tensor.offset + length > self._size:
                raise self._bad(t("its tensor {name!r} reaches past the end of the file", name=name[:60]))

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def _text(self, limit: int) -> str:
        length = self._scalar("<Q")
        if length > limit:
            raise self._bad(t("it claims a text of {length:,} bytes", length=length))
        start = self._at
        self._skip(length)
        return self._data[start : self._at].decode("utf-8")

    def _skip_texts(self, count: int) -> None:
        unpack, data, at, size = struct.Struct("<Q").unpack_from, self._data, self._at, self._size
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
            if at > size:
                raise self._bad(t("it ends too early"))
        self._at = at

    def _skip(self, length: int) -> None:
        if length > self._size - self._at:
            raise self._bad(t("it ends too early"))
        self._at += length

    def _bad(self, why: str) -> AdapterFileError:
        return _damaged(self._path, why)
