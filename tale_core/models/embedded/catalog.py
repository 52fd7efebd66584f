"""The models this program can serve itself, and where each comes from.

They are those pinned in data/models.toml, what a models.toml in the data folder adds to them (docs/models.md), and the
GGUF files that a person brought (`own`).
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from tale_core.budgets.native import NativeKnob
from tale_core.errors import SettingsError, UnknownModelError
from tale_core.i18n import t
from tale_core.models.embedded import own
from tale_core.models.embedded.model import EmbeddedModel, Thinking, WheelPart
from tale_core.models.endpoints import Strict
from tale_core.settings import DATA_ROOT, get_settings

MODELS_FILE = DATA_ROOT / "models.toml"
FILE = "models.toml"
_ON_HUB = re.compile(r"(?:https://huggingface\.co/)?([\w.-]+/[\w.-]+)/(?:(?:resolve|blob)/[\w.-]+/)?([\w./-]+\.gguf)")

__all__ = ["EmbeddedModel", "WheelPart", "embedded_model", "embedded_models", "knobs_of"]


class Entry(Strict):
    """A model as a file describes it."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    licence: str = Field(min_length=1)
    source: str = ""
    thinking: Thinking = ""
    title: str = ""
    filename: str = ""
    context_length: int = Field(default=4096, ge=128)
    note: str = ""
    wheels: tuple[WheelPart, ...] = ()

    @field_validator("sha256", mode="before")
    @classmethod
    def _lower_case(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    def model(self, name: str) -> EmbeddedModel:
        """The model of this entry.

        Raises:
            ValueError: It has no source, or one that is neither a file of the hub nor one on this machine.
        """
        path, repo, file = "", "", ""
        if self.source.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", self.source):
            path = str(Path(self.source).expanduser())
        elif found := _ON_HUB.fullmatch(self.source):
            repo, file = found.groups()
        elif self.source or not self.wheels:
            raise ValueError(
                f"source: {self.source!r} is neither owner/repository/FILE.gguf on the hub nor a whole path here"
            )
        filename = self.filename or Path(path or file).name
        return EmbeddedModel(
            name, self.title or name, filename, self.size, self.sha256, self.licence, repo, file, self.wheels,
            self.context_length, self.note, path, self.thinking,
        )  # fmt: skip


def embedded_models() -> tuple[EmbeddedModel, ...]:
    """Every model the embedded server can load: shipped (the first is the default), added, and a person's own files.

    Raises:
        SettingsError: The models.toml in the data folder cannot be read; the message says where it is wrong.
    """
    shipped = _load(MODELS_FILE, 0)
    found = {one.name: one for one in (*shipped, *_added(shipped))}
    return (*found.values(), *(one for one in own.models() if one.name not in found))


def embedded_model(name: str) -> EmbeddedModel:
    """Look a model up, by its name or as a GGUF file (`own.take`).

    Raises:
        UnknownModelError: No embedded model of this name; the message lists those there are.
        InputError: The file is none that can be loaded.
        SettingsError: See `embedded_models`.
    """
    if own.is_file_name(name):
        return own.take(name)
    models = {m.name: m for m in embedded_models()}
    if name not in models:
        raise UnknownModelError(
            t("There is no embedded model called {name!r}.", name=name),
            t("There are: {names}.", names=", ".join(models)),
        )
    return models[name]


def knobs_of(name: str) -> tuple[NativeKnob, ...]:
    """How the thinking of an embedded model is set, by the switch of its chat template; nothing for one without."""
    model = next((one for one in embedded_models() if one.name == name), None)
    if model is None or not model.thinking:
        return ()
    if model.thinking == "reasoning_effort":
        path = "chat_template_kwargs.reasoning_effort"
        return (NativeKnob("effort", path, levels=("low", "medium", "high")),)
    if model.thinking == "always":
        return (NativeKnob("thinking", "thinking_budget_tokens"),)
    switch = f"chat_template_kwargs.{model.thinking}"
    on, off = {switch: True}, {switch: False}
    return (
        NativeKnob("effort", switch, levels=("none", "default"), off=off, instead={"default": on}),
        NativeKnob("thinking", "thinking_budget_tokens", beside=on, off=off),
    )


def _added(shipped: tuple[EmbeddedModel, ...]) -> tuple[EmbeddedModel, ...]:
    path = get_settings().data_dir / FILE
    try:
        changed = path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as e:
        raise _unreadable(path, e.strerror or str(e)) from e
    added = _load(path, changed)
    if taken := {one.name for one in shipped} & {one.name for one in added}:
        raise _unreadable(path, t("{name} is a model that comes with the program", name=min(taken)))
    return added


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> tuple[EmbeddedModel, ...]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise _unreadable(path, str(e)) from e
    entries = document.pop("embedded", {})
    if document or not isinstance(entries, dict):
        raise _unreadable(path, t('{name}: a model begins with [embedded."NAME"]', name=next(iter(document), FILE)))
    return tuple(_model(path, name, entry) for name, entry in entries.items())


def _model(path: Path, name: str, entry: Any) -> EmbeddedModel:
    if not own.NAME.fullmatch(name):
        raise _unreadable(path, t("{name!r} is no name: use letters, digits, dots and hyphens", name=name[:60]))
    try:
        return Entry.model_validate(entry).model(name)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(str(part) for part in (name, *first["loc"]))
        raise _unreadable(path, f"{where}: {first['msg']}") from None
    except ValueError as e:
        raise _unreadable(path, f"{name}.{e}") from None


def _unreadable(path: Path, problem: str) -> SettingsError:
    return SettingsError(
        t("{path} cannot be read as a list of models: {problem}.", path=path, problem=problem.rstrip(".")),
        t("docs/models.md shows one."),
    )
