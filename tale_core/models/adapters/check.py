"""What an adapter's file must be before llama.cpp sees it: a LoRA, whole, made for this base."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from tale_core.errors import AdapterFileError
from tale_core.i18n import joined, t
from tale_core.models.adapters.gguf_file import FLOAT_BYTES, Header, read_header

MAX_BYTES = 2_000_000_000
WRITES = "tale.writes"
"""The key of a GGUF file that says what the adapter in it writes."""
_LORA = re.compile(r"(.+)\.lora_([ab])")


def check_lora(path: Path) -> Header:
    """The header of an adapter file.

    Raises:
        AdapterFileError: It is damaged, hostile, or no LoRA adapter.
    """
    header = read_header(path)
    what = (header.text("general.type"), header.text("adapter.type"))
    if what != ("adapter", "lora"):
        raise AdapterFileError(
            t("{path} is no LoRA adapter: it says {what!r} of itself.", path=path.name, what=what[0])
        )
    alpha = header.values.get("adapter.lora.alpha")
    if not isinstance(alpha, float) or not 0 < alpha < 1e6:
        raise AdapterFileError(
            t("{path} has the scale {alpha!r}.", path=path.name, alpha=alpha), t("A LoRA adapter has a positive alpha.")
        )
    if any(tensor.kind not in FLOAT_BYTES for tensor in header.tensors.values()):
        raise AdapterFileError(
            t("{path} holds quantised numbers.", path=path.name), t("Convert the adapter again, to F16 or F32.")
        )
    halves = {name: match.groups() for name in header.tensors if (match := _LORA.fullmatch(name))}
    pairs = {base for base, _ in halves.values()}
    if not pairs or len(halves) != len(header.tensors) or len(halves) != 2 * len(pairs):
        raise AdapterFileError(t("{path} has tensors that are no pairs of a LoRA adapter.", path=path.name))
    return header


def check_fits(name: str, adapter: Header, base: Header) -> None:
    """Check that every tensor of an adapter changes one of the base's and has its size.

    Raises:
        AdapterFileError: It belongs to another model.
    """
    other = t("The adapter {name!r} belongs to another model.", name=name)
    hint = t("Choose the model that it was trained on.")
    mine, theirs = adapter.text("general.architecture"), base.text("general.architecture")
    if mine != theirs:
        raise AdapterFileError(
            other, joined(t("It is for {mine}, this is {theirs}.", mine=mine or "?", theirs=theirs), hint)
        )
    for tensor in {match[1] for n in adapter.tensors if (match := _LORA.fullmatch(n))}:
        a, b = adapter.tensors[f"{tensor}.lora_a"].dims, adapter.tensors[f"{tensor}.lora_b"].dims
        whole = base.tensors.get(tensor)
        if whole is None or len(a) != 2 or len(b) != 2 or (a[0], b[1]) != whole.dims or a[1] != b[0]:
            raise AdapterFileError(other, joined(t("Its {tensor} does not fit.", tensor=tensor), hint))


def base_header(weights: Path) -> Header:
    """The header of a base's weights; read once as long as the file does not change.

    Raises:
        AdapterFileError: It cannot be read.
    """
    try:
        changed = weights.stat().st_mtime_ns
    except OSError as e:
        raise AdapterFileError(t("{path} cannot be read: {reason}.", path=weights, reason=e.strerror)) from e
    return _base_header(weights, changed)


@lru_cache(maxsize=4)
def _base_header(weights: Path, changed: int) -> Header:
    return read_header(weights)


def measured(path: Path) -> tuple[int, str]:
    """Bytes and sha256 of a file, computed again only when it has changed."""
    try:
        found = path.stat()
        return found.st_size, _digest(path, found.st_mtime_ns, found.st_size)
    except OSError as e:
        raise AdapterFileError(t("{path} cannot be read: {reason}.", path=path, reason=e.strerror)) from e


@lru_cache(maxsize=64)
def _digest(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
