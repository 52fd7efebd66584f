"""Finding weights that are already on this machine: our cache, a named file, the caches of other tools.

A file is known by its size and sha256 alone, never by its name or place, and is used where it lies. Hashes are
remembered (with size and time of change) so that a gigabyte is not read at every start.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tale_core.files import file_sha256, read_json, write_whole
from tale_core.i18n import t
from tale_core.models.embedded import own
from tale_core.models.embedded.catalog import EmbeddedModel
from tale_core.models.weights.progress import Reporter
from tale_core.settings import Settings

MEMORY = "verified.json"


def model_folder(model: EmbeddedModel, settings: Settings) -> Path:
    """Where the file lives in our cache, together with its part file, journal and lock."""
    return settings.cache_dir / "models" / model.sha256[:12]


def find(model: EmbeddedModel, settings: Settings, report: Reporter) -> Path | None:
    """The first file that is the model's, or None; files of the right size are hashed unless their hash is known.

    Raises:
        StoppedError: The caller asked to stop.
    """
    if model.path and own.is_known(model):
        return Path(model.path)
    memory = Memory(model_folder(model, settings) / MEMORY)
    for path in candidates(model, settings):
        if _has_size(path, model.size) and memory.sha256(path, _telling(model, path, report)) == model.sha256:
            return path
    return None


def candidates(model: EmbeddedModel, settings: Settings) -> Iterator[Path]:
    """Places to look at, nearest first; most do not exist. A file that was named is looked at alone."""
    if model.path:
        yield Path(model.path)
        return
    yield model_folder(model, settings) / model.filename
    if settings.model_file is not None:
        yield settings.model_file.expanduser()
    home = Path.home()
    hubs = [_from_env("HF_HUB_CACHE"), _from_env("HF_HOME", "hub"), home / ".cache" / "huggingface" / "hub"]
    for hub in hubs:
        # The hub's cache names large files by their sha256.
        if hub is not None:
            yield from _glob(hub, f"models--*/blobs/{model.sha256}")
    for ollama in (_from_env("OLLAMA_MODELS"), home / ".ollama" / "models"):
        if ollama is not None:
            yield ollama / "blobs" / f"sha256-{model.sha256}"
    yield settings.cache_dir / model.filename
    yield from _glob(settings.cache_dir / "models", f"*/{model.filename}")


def named_file_problem(model: EmbeddedModel) -> str:
    """Why the very file that a model is to be read from is not used, in words. Call it after `find` failed."""
    try:
        size = Path(model.path).stat().st_size
    except OSError as e:
        return t("{path} cannot be read: {reason}.", path=model.path, reason=e.strerror)
    if size != model.size:
        return t("{path} has {found:,} bytes and not {wanted:,}.", path=model.path, found=size, wanted=model.size)
    return t("{path} has another sha256 than {wanted}.", path=model.path, wanted=model.sha256)


def model_file_problem(model: EmbeddedModel, settings: Settings) -> str:
    """Why TALE_MODEL_FILE is not used for this model, in words; "" when it is not set. Call it after `find` failed."""
    path = settings.model_file
    if path is None:
        return ""
    try:
        size = path.expanduser().stat().st_size
    except OSError as e:
        return t("TALE_MODEL_FILE={path} cannot be read ({problem})", path=path, problem=e.strerror)
    if size != model.size:
        return t(
            "TALE_MODEL_FILE={path} has {found:,} bytes, not the {wanted:,} of {file}",
            path=path,
            found=size,
            wanted=model.size,
            file=model.filename,
        )
    return t("TALE_MODEL_FILE={path} has another sha256 than {file}", path=path, file=model.filename)


class Memory:
    """Hashes of files seen before, in a small JSON file: path -> size, time of change, sha256."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sha256(self, file: Path, report: _Telling) -> str:
        """The file's hash, read from memory if the file has not changed since."""
        try:
            stat = file.stat()
            key, stamp = str(file.resolve()), [stat.st_size, stat.st_mtime_ns]
            known = read_json(self._path).get(key)
            if isinstance(known, list) and known[:2] == stamp and len(known) == 3:
                return str(known[2])
            found = file_sha256(file, each=report)
        except OSError:
            return ""  # unreadable or gone: as good as not there
        self.remember(file, found)
        return found

    def remember(self, file: Path, sha256: str) -> None:
        """Note a hash that was just computed. A cache that cannot be written costs a second look, nothing else."""
        with contextlib.suppress(OSError):
            stat = file.stat()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            entry = {str(file.resolve()): [stat.st_size, stat.st_mtime_ns, sha256]}
            write_whole(self._path, json.dumps(read_json(self._path) | entry))


class _Telling:
    """Called with the bytes hashed so far; passes them on as progress."""

    def __init__(self, what: str, report: Reporter) -> None:
        self._what = what
        self._report = report

    def __call__(self, read: int) -> None:
        self._report.say("checking", self._what, done=read)


def _telling(model: EmbeddedModel, path: Path, report: Reporter) -> _Telling:
    return _Telling(t("Checking {file} for {title}", file=path.name, title=model.title), report)


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:  # a folder of another tool that we may not read
        return []


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False


def _from_env(name: str, *below: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value).expanduser().joinpath(*below) if value else None
