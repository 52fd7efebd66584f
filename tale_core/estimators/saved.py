"""Saved estimators: in the user data folder, and those shipped in `data/estimators/`; which one is used by default.

Files are written beside their place and renamed, so a crash leaves the old one or the new one. scikit-learn is imported
when an estimator is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tale_core.errors import EstimatorFileError, InputError, TaleError
from tale_core.estimators import archive
from tale_core.estimators.predictor import Metadata, TrainedEstimator
from tale_core.files import write_whole
from tale_core.i18n import t
from tale_core.settings import DATA_ROOT, PROGRAM, get_settings

SHIPPED = DATA_ROOT / "estimators"
SUFFIX = ".skops"
_DEFAULTS = "defaults.json"
_DEFAULTS_FORMAT = 1


class Use(NamedTuple):
    """What an estimator is for: an optimum of one model and prompt template says nothing about another."""

    kind: str
    model: str
    template: str


@dataclass(frozen=True, slots=True)
class SavedEstimator:
    """An estimator on disk.

    Attributes:
        shipped: It came with this program; it cannot be deleted.
    """

    path: Path
    metadata: Metadata
    shipped: bool

    @property
    def use(self) -> Use:
        """What it is for."""
        return Use(self.metadata.kind, self.metadata.model, self.metadata.template)

    def load(self) -> TrainedEstimator:
        """The estimator, ready to predict. Loaded once as long as its file does not change.

        Raises:
            EstimatorFileError: The file is damaged, or gone.
        """
        return load(self.path)


@dataclass(frozen=True, slots=True)
class Listing:
    """What is saved, the newest first, and which files cannot be used, in words."""

    estimators: tuple[SavedEstimator, ...]
    problems: tuple[str, ...]


def folder() -> Path:
    """Where this user's estimators are."""
    return get_settings().data_dir / "estimators"


def save(estimator: TrainedEstimator) -> SavedEstimator:
    """Write an estimator to the user data folder.

    Raises:
        EstimatorFileError: The folder cannot be written to.
    """
    metadata = estimator.metadata
    stem = "-".join(_slug(part) for part in (metadata.kind, metadata.model, metadata.template))
    path = folder() / f"{stem}-{metadata.version}{SUFFIX}"
    content = archive.to_bytes(estimator)
    archive.from_bytes(content, where=path.name)  # Never write what would be refused later.
    _write(path, content)
    return SavedEstimator(path, metadata, shipped=False)


def load(path: Path) -> TrainedEstimator:
    """The estimator of a file.

    Raises:
        EstimatorFileError: See `archive.from_bytes`; or the file cannot be read.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError as e:
        raise EstimatorFileError(
            t("{path} cannot be read: {why}.", path=path, why=e.strerror), t("Train an estimator, or name another.")
        ) from e
    return _loaded(path, changed)


@lru_cache(maxsize=8)
def _loaded(path: Path, changed: int) -> TrainedEstimator:
    return archive.from_bytes(_read(path), where=path.name)


def listing() -> Listing:
    """Everything that is saved or shipped."""
    found: list[SavedEstimator] = []
    problems: list[str] = []
    for shipped, place in ((False, folder()), (True, SHIPPED)):
        for path in sorted(place.glob(f"*{SUFFIX}")):
            try:
                found.append(SavedEstimator(path, _metadata_of(path, path.stat().st_mtime_ns), shipped))
            except (EstimatorFileError, OSError) as e:
                problems.append(str(e))
    found.sort(key=lambda s: (not s.shipped, s.metadata.trained_on, s.metadata.version), reverse=True)
    return Listing(tuple(found), tuple(problems))


@lru_cache(maxsize=256)
def _metadata_of(path: Path, changed: int) -> Metadata:
    return archive.metadata_of(_read(path), where=path.name)


def find(use: Use, version: str = "") -> SavedEstimator:
    """The saved estimator of this version, or the one in use: the chosen default, else the newest, else a shipped one.

    Raises:
        InputError: There is none.
        EstimatorFileError: The file of defaults is damaged.
    """
    found = in_use(listing().estimators, use, version or _defaults().get(use, ""))
    if found is not None and version in ("", found.metadata.version):
        return found
    asked = use._asdict()
    if version:
        words = t("There is no version {version!r} of the {kind} estimator for {model} with the template {template!r}.",
                 version=version[:40], **asked)  # fmt: skip
    else:
        words = t("There is no {kind} estimator for {model} with the template {template!r}.", **asked)
    hint = t(
        "Train one: {program} train-estimator --model {model} --template {template} --kind {kind}. Or choose "
        "zero-shot or fixed:N.",
        program=PROGRAM,
        **asked,
    )
    raise InputError(words, hint)


def in_use(estimators: Iterable[SavedEstimator], use: Use, version: str) -> SavedEstimator | None:
    """The one of this version, or else the first of those for a use; None where there is none.

    Args:
        estimators: In the order of `listing`.
        use: What it is for.
        version: The default that somebody chose; "" for none.
    """
    mine = [saved for saved in estimators if saved.use == use]
    return next((saved for saved in mine if saved.metadata.version == version), mine[0] if mine else None)


def default_version(use: Use) -> str | None:
    """The version that was chosen; None when nobody chose."""
    return _defaults().get(use)


def set_default(saved: SavedEstimator) -> None:
    """Use this one from now on for its kind, model and prompt template.

    Raises:
        EstimatorFileError: The file of defaults is damaged or cannot be written.
    """
    _write_defaults(_defaults() | {saved.use: saved.metadata.version})


def delete(saved: SavedEstimator) -> None:
    """Delete a saved estimator, and its being the default.

    Raises:
        InputError: It came with this program.
        EstimatorFileError: It cannot be deleted.
    """
    if saved.shipped:
        raise InputError(
            t("{file} came with this program.", file=saved.path.name), t("Set another one as the default instead.")
        )
    defaults = _defaults()
    if defaults.get(saved.use) == saved.metadata.version:
        del defaults[saved.use]
        _write_defaults(defaults)
    try:
        saved.path.unlink(missing_ok=True)
    except OSError as e:
        raise EstimatorFileError(t("{path} cannot be deleted: {why}.", path=saved.path, why=e.strerror)) from e


def _defaults() -> dict[Use, str]:
    path = folder() / _DEFAULTS
    try:
        document = json.loads(_read(path)) if path.exists() else {"format": _DEFAULTS_FORMAT, "defaults": []}
        if document["format"] != _DEFAULTS_FORMAT:
            raise ValueError("another format")
        return dict(_entries(document["defaults"]))
    except TaleError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise EstimatorFileError(
            t("{path} is damaged or of another version.", path=path),
            t("Delete it; the newest estimators are used then."),
        ) from e


def _entries(entries: Any) -> Iterator[tuple[Use, str]]:
    for entry in entries:
        yield Use(*(str(entry[name]) for name in Use._fields)), str(entry["version"])


def _write_defaults(defaults: dict[Use, str]) -> None:
    entries = [use._asdict() | {"version": version} for use, version in sorted(defaults.items())]
    document = {"format": _DEFAULTS_FORMAT, "defaults": entries}
    _write(folder() / _DEFAULTS, json.dumps(document, ensure_ascii=False, indent=2).encode())


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > archive.MAX_BYTES:
            message = t("{file} is larger than {most} MB.", file=path.name, most=archive.MAX_BYTES // 1_000_000)
            raise EstimatorFileError(message, t("Delete it."))
        return path.read_bytes()
    except OSError as e:
        raise EstimatorFileError(t("{path} cannot be read: {why}.", path=path, why=e.strerror)) from e


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, private=True)
    except OSError as e:
        raise EstimatorFileError(
            t("{path} cannot be written: {why}.", path=path, why=e.strerror),
            t("Free some room, or set TALE_DATA_DIR."),
        ) from e


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", text.lower()).strip("._")[:60] or "x"
