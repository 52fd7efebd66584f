"""Adapters: what fine-tuning made, in the user data folder and shipped in `data/adapters/`.

    <data_dir>/adapters/<name>/
        adapter.json    what it is: base, method, data, settings, results; sha256 and size of the file beside it
        adapter.gguf    for llama.cpp: what the embedded server loads
        peft/           adapter_config.json and adapter_model.safetensors, for transformers and vLLM

A folder is made beside its place and renamed, so a crash leaves no half adapter. A file is used only if its hash is the
recorded one and its header fits the base.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from tale_core.errors import AdapterFileError, InputError
from tale_core.files import write_whole
from tale_core.i18n import t
from tale_core.models.adapters.check import check_fits, check_lora, measured
from tale_core.models.adapters.description import FORMAT, Description
from tale_core.models.adapters.gguf_file import Header
from tale_core.settings import DATA_ROOT, PROGRAM, get_settings

SHIPPED = DATA_ROOT / "adapters"
DESCRIPTION, GGUF, PEFT = "adapter.json", "adapter.gguf", "peft"
PEFT_FILES: Final = ("adapter_config.json", "adapter_model.safetensors")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on disk.

    Attributes:
        shipped: It came with this program; it cannot be deleted.
    """

    folder: Path
    about: Description
    shipped: bool = False

    @property
    def name(self) -> str:
        """Its name, unique among the user's adapters."""
        return self.about.name

    @property
    def key(self) -> str:
        """Name and content: trained again under the same name it is another one, and no answer is mixed up."""
        return f"{self.about.name}@{self.about.sha256[:12]}"

    @property
    def gguf(self) -> Path:
        """The file for llama.cpp."""
        return self.folder / GGUF

    @property
    def peft(self) -> Path:
        """The folder for transformers and vLLM; an imported adapter has none."""
        return self.folder / PEFT


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is, the newest first, and which folders cannot be used, in words."""

    adapters: tuple[Adapter, ...]
    problems: tuple[str, ...]


def folder() -> Path:
    """Where this user's adapters are."""
    return get_settings().data_dir / "adapters"


def listing() -> Listing:
    """Everything that is saved or shipped; a user's adapter goes before a shipped one of the same name."""
    found: dict[str, Adapter] = {}
    problems: list[str] = []
    for shipped, place in ((False, folder()), (True, SHIPPED)):
        for path in sorted(place.glob(f"*/{DESCRIPTION}")):
            if path.parent.name.startswith("."):
                continue  # Being written, or left by a crash.
            try:
                one = _read(path.parent, shipped=shipped)
                found.setdefault(one.name, one)
            except AdapterFileError as e:
                problems.append(str(e))
    ordered = sorted(found.values(), key=lambda a: (not a.shipped, a.about.created, a.name), reverse=True)
    return Listing(tuple(ordered), tuple(problems))


def of_base(base: str) -> tuple[Adapter, ...]:
    """The adapters of one embedded model, the newest first."""
    return tuple(a for a in listing().adapters if base and a.about.base == base)


def find(name: str) -> Adapter:
    """The adapter of this name, or of this key (`name@content`).

    Raises:
        InputError: There is none; the message says which there are.
        AdapterFileError: Its description is damaged.
    """
    bare, at, content = name.partition("@")
    for place, shipped in ((folder(), False), (SHIPPED, True)):
        if _NAME.fullmatch(bare) and (place / bare / DESCRIPTION).is_file():
            one = _read(place / bare, shipped=shipped)
            if not at or one.about.sha256.startswith(content):
                return one
    there = ", ".join(a.name for a in listing().adapters) or t("none yet")
    hint = t(
        "There are: {names}. Make one on the page Fine-tune or with `{program} tune train`.",
        names=there,
        program=PROGRAM,
    )
    if at and _NAME.fullmatch(bare):
        raise InputError(
            t("The adapter {name!r} was trained again or deleted since this was asked for.", name=bare), hint
        )
    raise InputError(t("There is no adapter {name!r}.", name=name[:60]), hint)


def check_name(name: str, *, new: bool = True) -> str:
    """The name, if an adapter may be called so.

    Raises:
        InputError: It holds something else than a-z, 0-9, dot, dash and underscore, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            t("{name!r} cannot be an adapter's name.", name=name[:60]),
            t("Up to 40 lower-case letters, digits, dots, dashes and underscores; the first a letter or digit."),
        )
    if new and (folder() / name).exists():
        raise InputError(
            t("There is an adapter {name!r} already.", name=name), t("Choose another name, or delete that one first.")
        )
    return name


def save(about: Mapping[str, Any], gguf: Path, peft: Path | None = None) -> Adapter:
    """Take files into the registry, whole or not at all.

    Args:
        about: The fields of `Description` but format, sha256, size and architecture, which the file itself tells.
        gguf: The adapter for llama.cpp; copied.
        peft: Folder with PEFT_FILES; copied.

    Raises:
        InputError: The name is taken or not allowed.
        AdapterFileError: A file is damaged, or there is no room.
    """
    name = check_name(str(about["name"]))
    header = check_lora(gguf)
    draft = folder() / f".writing-{uuid.uuid4().hex[:12]}"
    try:
        draft.mkdir(parents=True, mode=0o700)
        shutil.copyfile(gguf, draft / GGUF)
        if peft is not None:
            (draft / PEFT).mkdir()
            for file in PEFT_FILES:
                shutil.copyfile(peft / file, draft / PEFT / file)
        size, digest = measured(draft / GGUF)
        description = {**about, "architecture": header.text("general.architecture"), "sha256": digest, "size": size}
        _write(draft / DESCRIPTION, Description(**description))
        os.rename(draft, folder() / name)
    except OSError as e:
        raise AdapterFileError(
            t(
                "The adapter {name!r} cannot be written to {folder}: {reason}.",
                name=name,
                folder=folder(),
                reason=e.strerror,
            ),
            t("Free some room, or set TALE_DATA_DIR; nothing was changed."),
        ) from e
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return _read(folder() / name, shipped=False)


def change(adapter: Adapter, **fields: Any) -> Adapter:
    """Write new words into the description: `note` or `results`.

    Raises:
        AdapterFileError: It came with this program, or cannot be written.
    """
    if adapter.shipped or set(fields) - {"note", "results"}:
        raise AdapterFileError(t("The description of {name!r} is not to be changed.", name=adapter.name))
    try:
        _write(adapter.folder / DESCRIPTION, adapter.about.model_copy(update=fields))
    except OSError as e:
        raise AdapterFileError(
            t("{path} cannot be written: {reason}.", path=adapter.folder / DESCRIPTION, reason=e.strerror)
        ) from e
    return _read(adapter.folder, shipped=False)


def delete(adapter: Adapter) -> None:
    """Delete an adapter. A server that has loaded it goes on with what it has in memory.

    Raises:
        InputError: It came with this program.
        AdapterFileError: It cannot be deleted.
    """
    if adapter.shipped:
        raise InputError(
            t("The adapter {name!r} came with this program.", name=adapter.name), t("It cannot be deleted.")
        )
    gone = folder() / f".deleted-{uuid.uuid4().hex[:12]}"
    try:
        os.rename(adapter.folder, gone)
        shutil.rmtree(gone)
    except OSError as e:
        raise AdapterFileError(t("{path} cannot be deleted: {reason}.", path=adapter.folder, reason=e.strerror)) from e


def verified(adapter: Adapter, base: Header | None = None) -> Path:
    """The adapter's file, once its content is the recorded one and fits the base.

    Args:
        adapter: To be loaded.
        base: The header of the base's weights.

    Raises:
        AdapterFileError: It is damaged, or belongs to another model.
    """
    header = check_lora(adapter.gguf)
    if measured(adapter.gguf) != (adapter.about.size, adapter.about.sha256):
        raise AdapterFileError(
            t("The adapter {name!r} is damaged: its file is not the one that was saved.", name=adapter.name),
            t("Delete it and train or import it again."),
        )
    if base is not None:
        check_fits(adapter.name, header, base)
    return adapter.gguf


def other_base(adapter: Adapter, model: str) -> str:
    """That an adapter is for another model than this one, in words."""
    base = adapter.about.base or t("another model")
    return t("The adapter {name!r} is for {base}, not for {model}.", name=adapter.name, base=base, model=model)


def choose_base(adapter: Adapter) -> str:
    """What to do about it."""
    return t("Choose {model}.", model=adapter.about.base) if adapter.about.base else ""


def _read(place: Path, *, shipped: bool) -> Adapter:
    path = place / DESCRIPTION
    try:
        about = Description.model_validate_json(path.read_bytes()[:8_000_000])
    except OSError as e:
        raise AdapterFileError(t("{path} cannot be read: {reason}.", path=path, reason=e.strerror)) from e
    except ValidationError as e:
        raise AdapterFileError(
            t("{path} is damaged.", path=path), t("Delete its folder; train or import it again.")
        ) from e
    if about.format != FORMAT or about.name != place.name:
        raise AdapterFileError(
            t("{path} is of another version or of another adapter.", path=path), t("Delete its folder.")
        )
    return Adapter(place, about, shipped)


def _write(path: Path, about: Description) -> None:
    write_whole(path, json.dumps(about.model_dump(), ensure_ascii=False, indent=2) + "\n")
