"""GGUF files that a person brings: checked, hashed once, given a name, and used where they lie.

What was found stands in own-models.json in the data folder, so that every process knows the name. A file is known by
its content: its name ends with the beginning of its hash, and a file that has changed since is another model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock

from tale_core.errors import AdapterFileError, InputError
from tale_core.files import file_sha256, read_json, write_whole
from tale_core.i18n import N_, t
from tale_core.models.adapters.gguf_file import Header, read_header
from tale_core.models.embedded.model import EmbeddedModel, Thinking
from tale_core.settings import get_settings
from tale_core.text import safe_text

FILE = "own-models.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
MOST_CONTEXT = 10_000_000
MOST_NEARBY = 200
"""Files of one folder that are offered."""
NO_TEMPLATE = N_("It has no chat template of its own; ChatML is used.")
_SWITCHES: tuple[Thinking, ...] = ("enable_thinking", "reasoning_effort", "thinking")
_OPENS = re.compile(r"<think(?:ing)?>|\[THINK\]")


def is_file_name(name: str) -> bool:
    """Whether `--model` names a file and no model: it ends with .gguf, or is the path of a file."""
    return name.lower().endswith(".gguf") or (("/" in name or "\\" in name) and Path(name).expanduser().is_file())


def take(name: str, *, each: Callable[[int, int], None] = lambda read, size: None) -> EmbeddedModel:
    """A file as a model; it is read whole at first use, for its hash, and after that only when it has changed.

    Args:
        name: Its path.
        each: Told the bytes that were hashed so far, and of how many; may raise to stop.

    Raises:
        InputError: There is no such file, or it is no model that llama.cpp could load; the message says why.
    """
    path = Path(name).expanduser()
    try:
        path = path.resolve(strict=True)
        stat = path.stat()
    except (OSError, RuntimeError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise InputError(
            t("{path} cannot be read: {reason}.", path=str(name)[:300], reason=reason),
            t("Give the path of a GGUF file, or a model's name."),
        ) from e
    stamp = [stat.st_size, stat.st_mtime_ns]
    known = _read().get(str(path))
    if known and known.get("stamp") == stamp:
        return _model(known["model"])
    header = _checked(path)
    try:
        sha256 = file_sha256(path, each=lambda read: each(read, stat.st_size))
    except OSError as e:
        raise InputError(t("{path} cannot be read: {reason}.", path=path, reason=e.strerror), "") from e
    model = describe(path, header, size=stat.st_size, sha256=sha256)
    _remember(path, stamp, model)
    return model


def models() -> tuple[EmbeddedModel, ...]:
    """The files that were brought before and are still there as they were, in the order in which they came."""
    return tuple(_model(one["model"]) for path, one in _read().items() if _unchanged(Path(path), one))


def nearby() -> tuple[Path, ...]:
    """GGUF files where people and other tools keep them, each once; nothing of them was read."""
    settings, home = get_settings(), Path.home()
    folders = (
        (settings.data_dir / "models", "*.gguf"), (settings.cache_dir / "models", "*/*.gguf"),
        (home / "models", "*.gguf"), (home / "Downloads", "*.gguf"), (home / ".lmstudio" / "models", "*/*/*.gguf"),
        (home / ".cache" / "huggingface" / "hub", "models--*/snapshots/*/*.gguf"),
    )  # fmt: skip
    found: dict[Path, None] = {}
    for folder, pattern in folders:
        with suppress(OSError):  # A folder of another tool that we may not read.
            found |= dict.fromkeys(path.absolute() for path in islice(sorted(folder.glob(pattern)), MOST_NEARBY))
    return tuple(found)


def is_known(model: EmbeddedModel) -> bool:
    """Whether the model's file was hashed before and has not changed since."""
    one = _read().get(model.path)
    return one is not None and one["model"]["sha256"] == model.sha256 and _unchanged(Path(model.path), one)


def describe(path: Path, header: Header, *, size: int, sha256: str) -> EmbeddedModel:
    """What a file's header says of it, as a model of our catalog."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.")[:60].lower() or "model"
    architecture = header.text("general.architecture")
    context = header.values.get(f"{architecture}.context_length")
    template = header.text("tokenizer.chat_template")
    return EmbeddedModel(
        name=f"{stem}-{sha256[:8]}",
        title=path.name if path.name.isprintable() else stem,
        filename=path.name,
        size=size,
        sha256=sha256,
        licence=_words(header.text("general.license")) or "unknown",
        context_length=min(context, MOST_CONTEXT) if isinstance(context, int) and context >= 128 else 4096,
        note="" if template else NO_TEMPLATE,
        path=str(path),
        thinking=switch_of(template),
    )


def switch_of(template: str) -> Thinking:
    """How a chat template switches thinking: by which of its variables, always, or not at all."""
    code = re.sub(r"'[^']*'|\"[^\"]*\"", "''", " ".join(re.findall(r"{[%{].*?[%}]}", template, re.DOTALL)))
    for name in _SWITCHES:
        # The caller's variable, and neither a message's field nor one that the template makes for itself.
        asked = re.search(rf"\b{name}\s+is\s+(?:not\s+)?(?:un)?defined", code)
        if asked or (re.search(rf"(?<![\w.]){name}\b", code) and not re.search(rf"\bset\s+{name}\b", code)):
            return name
    begins = template.rpartition("add_generation_prompt")[2] if "add_generation_prompt" in template else ""
    return "always" if _OPENS.search(begins) else ""


def _checked(path: Path) -> Header:
    """The header of a model's file.

    Raises:
        InputError: It is damaged, hostile, or no language model that is whole.
    """
    try:
        header = read_header(path)
    except AdapterFileError as e:
        raise InputError(e.message, e.hint) from e
    kind, parts = header.text("general.type") or "model", header.values.get("split.count")
    hint = t("Give a GGUF file of a language model.")
    if kind != "model":
        raise InputError(t("{path} is no model: it says {kind!r} of itself.", path=path.name, kind=kind[:40]), hint)
    if isinstance(parts, int) and parts > 1:
        raise InputError(
            t("{path} is one of {n} parts of a model.", path=path.name, n=parts),
            t("Put them together first: llama-gguf-split --merge FIRST-PART OUTPUT."),
        )
    if not header.text("general.architecture") or not header.tensors or "token_embd.weight" not in header.tensors:
        raise InputError(t("{path} has no weights of a language model.", path=path.name), hint)
    return header


def _words(text: str) -> str:
    return " ".join(safe_text(text).split())[:80]


def _place() -> Path:
    return get_settings().data_dir / FILE


def _read() -> dict[str, Any]:
    """What was found before, by path; what another version wrote and cannot be understood is not there."""
    good: dict[str, Any] = {}
    for path, one in read_json(_place()).items():
        try:
            _model(one["model"])
        except (KeyError, TypeError):
            continue
        good[path] = one
    return good


def _model(stored: dict[str, Any]) -> EmbeddedModel:
    return replace(EmbeddedModel(**stored), wheels=())


def _unchanged(path: Path, one: dict[str, Any]) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return bool(one.get("stamp") == [stat.st_size, stat.st_mtime_ns])


def _remember(path: Path, stamp: list[int], model: EmbeddedModel) -> None:
    place = _place()
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        write_whole(place, json.dumps(_read() | {str(path): {"stamp": stamp, "model": asdict(model)}}, indent=1))
