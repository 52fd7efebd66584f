"""Adapters that leave and come: copies for llama.cpp, Ollama, transformers and vLLM; somebody's GGUF taken in."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tale_core.errors import AdapterFileError, InputError
from tale_core.i18n import t
from tale_core.models.adapters.check import MAX_BYTES, WRITES, base_header, check_fits, check_lora
from tale_core.models.adapters.registry import PEFT_FILES, Adapter, check_name, save, verified

Form = Literal["gguf", "peft"]


def export(adapter: Adapter, target: Path, form: Form, *, make_peft: Callable[[Adapter, Path], None]) -> Path:
    """Copy an adapter to where a person wants it.

    Args:
        adapter: Which.
        target: A folder to put it into, or the name of the new file ("gguf") or folder ("peft").
        form: For llama.cpp and Ollama, or for transformers and vLLM.
        make_peft: Fills a folder with the PEFT form of an adapter that came as GGUF alone.

    Raises:
        InputError: The target exists.
        AdapterFileError: It cannot be written, or the adapter is damaged.
    """
    verified(adapter)
    if target.is_dir():
        target = target / (f"{adapter.name}.gguf" if form == "gguf" else adapter.name)
    if target.exists():
        raise InputError(t("{path} exists already.", path=target), t("Name another place."))
    try:
        if form == "gguf":
            shutil.copyfile(adapter.gguf, target)
        elif adapter.peft.is_dir():
            shutil.copytree(adapter.peft, target)
        else:
            with tempfile.TemporaryDirectory(dir=target.parent) as draft:
                make_peft(adapter, Path(draft))
                shutil.copytree(draft, target)
    except OSError as e:
        raise AdapterFileError(
            t("{path} cannot be written: {reason}.", path=target, reason=e.strerror), t("Name another place.")
        ) from e
    return target


def peft_archive(adapter: Adapter) -> bytes:
    """The PEFT folder as a zip archive, for a download.

    Raises:
        AdapterFileError: It cannot be read.
    """
    whole = io.BytesIO()
    try:
        with zipfile.ZipFile(whole, "w") as archive:  # Numbers do not get smaller: stored as they are.
            for file in PEFT_FILES:
                archive.write(adapter.peft / file, f"{adapter.name}/{file}")
    except OSError as e:
        raise AdapterFileError(t("{path} cannot be read: {reason}.", path=adapter.peft, reason=e.strerror)) from e
    return whole.getvalue()


def import_gguf(path: Path, *, name: str, base: str, weights: Path) -> Adapter:
    """Take somebody's GGUF adapter into the registry. The file is hostile until its header has been checked.

    Args:
        path: The file.
        name: To call it by.
        base: Catalog name of the model that it belongs to.
        weights: That model's file.

    Raises:
        InputError: The name is taken or not allowed, or the file is too large.
        AdapterFileError: It is damaged, no LoRA adapter, or for another model.
    """
    check_name(name)
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise InputError(
            t("{path} is larger than {most:,} MB.", path=path.name, most=MAX_BYTES // 1_000_000),
            t("An adapter is smaller."),
        )
    header = check_lora(path)
    check_fits(name, header, base_header(weights))
    # Of what somebody else trained nothing is known: it is asked the plain question.
    writes = "lines" if header.text(WRITES) == "lines" else "words"
    origin = {"name": name, "base": base, "method": "imported", "writes": writes}
    return save({**origin, "created": datetime.now(UTC).isoformat()}, path)
